//! Which modules a name, an alias or a device needs, and in which order: the text files of depmod(8) read as kmod reads them.
//!
//! Pure. Two rules of kmod matter and are easily missed: *every* module whose alias matches is loaded, since
//! the first provider of `crc32c` may refuse this processor, and soft dependencies come along. Loading is in `modprobe`.

use std::collections::{BTreeMap, BTreeSet};

/// The text of `modules.dep`, `.alias`, `.softdep` and `.builtin` of one kernel.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Name to file (relative to the directory) and the names it needs, nearest first.
    modules: BTreeMap<String, Module>,
    /// Kept as text: a kernel has 20,000 of them and a boot looks at them a handful of times.
    aliases: String,
    soft: BTreeMap<String, SoftDependency>,
    builtin: BTreeSet<String>,
}

/// One line of `modules.dep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// File, relative to `/lib/modules/VERSION`.
    pub path: String,
    /// Names of the modules whose symbols it uses, as depmod orders them: the last is loaded first.
    pub needs: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct SoftDependency {
    pre: Vec<String>,
    post: Vec<String>,
}

/// `-` and `_` are the same in the name of a module.
#[must_use]
pub fn normalized(name: &str) -> String {
    name.replace('-', "_")
}

/// The module name of a file: `kernel/net/veth.ko.xz` is `veth`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalized(file.split(".ko").next().unwrap_or(file))
}

impl Index {
    /// Reads the four files; lines that make no sense are passed over, as kmod does.
    #[must_use]
    pub fn parse(dep: &str, alias: &str, softdep: &str, builtin: &str) -> Self {
        let modules = dep
            .lines()
            .filter_map(|line| {
                let (path, needs) = line.split_once(':')?;
                let needs = needs.split_ascii_whitespace().map(name_of).collect();
                Some((name_of(path), Module { path: path.to_owned(), needs }))
            })
            .collect();
        let mut soft: BTreeMap<String, SoftDependency> = BTreeMap::new();
        for line in softdep.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some("softdep"), Some(name)) = (words.next(), words.next()) else { continue };
            let entry = soft.entry(normalized(name)).or_default();
            let mut list = None;
            for word in words {
                match (word, &mut list) {
                    ("pre:" | "post:", _) => list = Some(word == "pre:"),
                    (word, Some(true)) => entry.pre.push(normalized(word)),
                    (word, Some(false)) => entry.post.push(normalized(word)),
                    (_, None) => {}
                }
            }
        }
        let builtin = builtin.lines().map(name_of).collect();
        Self { modules, aliases: alias.to_owned(), soft, builtin }
    }

    /// The file and the needs of a module.
    #[must_use]
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.get(name)
    }

    /// The modules `name` stands for: itself when it is one, nothing more when it is part of the kernel, otherwise every
    /// module with a matching alias. `None` when nobody knows the name.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<Vec<String>> {
        let name = normalized(name);
        if self.modules.contains_key(&name) {
            return Some(vec![name]);
        }
        if self.builtin.contains(&name) {
            return Some(Vec::new());
        }
        let mut found: Vec<String> = Vec::new();
        for (pattern, module) in self.aliases() {
            if matches(pattern, &name) && !found.iter().any(|f| f == module) {
                found.push(normalized(module));
            }
        }
        (!found.is_empty()).then_some(found)
    }

    /// For each of `devices` (modalias strings) the modules that want it, in one pass over the aliases.
    #[must_use]
    pub fn wanted_by<'d>(&self, devices: &[&'d str]) -> Vec<(&'d str, Vec<String>)> {
        let mut by_bus: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, device) in devices.iter().enumerate() {
            by_bus.entry(bus(device)).or_default().push(index);
        }
        let mut wanted: Vec<(&str, Vec<String>)> = devices.iter().map(|device| (*device, Vec::new())).collect();
        for (pattern, module) in self.aliases() {
            for &index in by_bus.get(bus(pattern)).into_iter().flatten() {
                if matches(pattern, &normalized(devices[index])) {
                    let modules = &mut wanted[index].1;
                    let module = normalized(module);
                    if !modules.contains(&module) {
                        modules.push(module);
                    }
                }
            }
        }
        wanted
    }

    /// `name` (a module) after everything it needs, in load order.
    #[must_use]
    pub fn load_order(&self, name: &str) -> Vec<String> {
        let mut order = Vec::new();
        self.visit(&normalized(name), &mut BTreeSet::new(), &mut order);
        order
    }

    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        let Some(module) = self.modules.get(name) else { return };
        if !seen.insert(name.to_owned()) {
            return;
        }
        let soft = self.soft.get(name);
        for other in soft.iter().flat_map(|s| &s.pre).flat_map(|n| self.resolve(n).unwrap_or_default()) {
            self.visit(&other, seen, order);
        }
        for need in module.needs.iter().rev() {
            self.visit(need, seen, order);
        }
        order.push(name.to_owned());
        for other in soft.iter().flat_map(|s| &s.post).flat_map(|n| self.resolve(n).unwrap_or_default()) {
            self.visit(&other, seen, order);
        }
    }

    fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.lines().filter_map(|line| line.strip_prefix("alias ")?.split_once(' '))
    }
}

/// The part of a modalias or pattern before its `:`, such as `pci`.
fn bus(modalias: &str) -> &str {
    modalias.split(':').next().unwrap_or(modalias)
}

/// fnmatch(3) with `*`, `?` and `[...]`; `-` in the pattern, outside brackets, matches the `_` of a normalized name.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (p, n) = (pattern.as_bytes(), name.as_bytes());
    let (mut pi, mut ni) = (0, 0);
    // Where to go on after the latest `*`, should the rest not match: one more byte goes to the star.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match p.get(pi) {
            None => (ni == n.len()).then_some(0),
            Some(b'*') => {
                star = Some((pi + 1, ni));
                pi += 1;
                continue;
            }
            Some(_) if ni == n.len() => None,
            Some(b'?') => Some(1),
            Some(b'[') => class(&p[pi..], n[ni]),
            Some(b'-') => (n[ni] == b'_' || n[ni] == b'-').then_some(1),
            Some(&byte) => (byte == n[ni]).then_some(1),
        };
        match (step, star) {
            (Some(0), _) => return true,
            (Some(used), _) => {
                pi += used;
                ni += 1;
            }
            (None, Some((after, from))) if from < n.len() => {
                star = Some((after, from + 1));
                pi = after;
                ni = from + 1;
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the `[...]` at the start of `pattern`; the length of the class when it does.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let close = pattern.iter().position(|&b| b == b']')?;
    let mut set = &pattern[1..close];
    let mut hit = false;
    while let Some(&first) = set.first() {
        let last = if set.len() > 2 && set[1] == b'-' { set[2] } else { first };
        set = &set[if set.len() > 2 && set[1] == b'-' { 3 } else { 1 }..];
        hit |= (first..=last).contains(&byte);
    }
    hit.then_some(close + 1)
}

#[cfg(test)]
mod tests;
