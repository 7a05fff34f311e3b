//! Kernel modules: what a set of names needs, and the index files for a part of a kernel's modules.
//!
//! Pure: text in, text out. The names that a director needs are in `base/modules.list`; loading them is init's business, and it
//! sees the same files: `modules.dep`, `modules.alias`, `modules.softdep` and `modules.builtin` (modules.dep(5), depmod(8)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, bail};

/// The list of the product.
const LIST: &str = include_str!("../base/modules.list");

/// Names by the section of `base/modules.list` that they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What the initrd holds, plain.
    pub stage1: Vec<String>,
    /// What the initrd also holds, packed.
    pub packed: Vec<String>,
    /// What only the slot holds; it also holds those of the initrd.
    pub root: Vec<String>,
}

impl Wanted {
    /// The list of the product.
    ///
    /// # Errors
    /// The list has a line outside a section.
    pub fn load() -> Result<Self> {
        Self::parse(LIST)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut section = "";
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
            } else {
                sections.entry(section).or_default().extend(line.split_whitespace().map(normal));
            }
        }
        let mut take = |name| sections.remove(name).unwrap_or_default();
        let wanted = Self { stage1: take("stage1"), packed: take("stage1-packed"), root: take("root") };
        match sections.into_iter().find(|(_, names)| !names.is_empty()) {
            Some((section, names)) => bail!("modules.list: section [{section}] with {} is unknown", names[0]),
            None => Ok(wanted),
        }
    }

    /// All sections.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.initrd().chain(self.root.iter().map(String::as_str))
    }

    /// What the initrd holds, plain or packed.
    pub fn initrd(&self) -> impl Iterator<Item = &str> {
        self.stage1.iter().chain(&self.packed).map(String::as_str)
    }
}

/// `-` and `_` are the same in a module's name; the kernel reports `_`.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The module's name of a path such as `kernel/fs/ext4/ext4.ko.xz`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split(".ko").next().unwrap_or(file))
}

/// What a kernel's index files say.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Path below the modules' directory, and the paths that must be loaded before, in the order of the file.
    modules: BTreeMap<String, (String, Vec<String>)>,
    /// The lines of `modules.alias` by module, and the patterns in them.
    aliases: Vec<(String, String)>,
    /// Modules and the names that are loaded before or after them.
    softdeps: Vec<(String, String)>,
    builtin: BTreeSet<String>,
    builtin_text: String,
}

/// The four files for a part of the modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Paths of the modules themselves, below the modules' directory.
    pub modules: Vec<String>,
    /// File names and contents.
    pub texts: [(&'static str, String); 4],
}

impl Index {
    /// Reads the contents of `modules.dep`, `modules.alias`, `modules.softdep` and `modules.builtin`.
    #[must_use]
    pub fn parse(dep: &str, alias: &str, softdep: &str, builtin: &str) -> Self {
        let mut index = Self { builtin_text: builtin.to_owned(), ..Self::default() };
        for line in dep.lines() {
            if let Some((path, needs)) = line.split_once(':') {
                let needs = needs.split_whitespace().map(str::to_owned).collect();
                index.modules.insert(name_of(path), (path.to_owned(), needs));
            }
        }
        for line in alias.lines() {
            // A pattern may hold spaces, a module's name does not.
            if let Some((pattern, module)) = line.strip_prefix("alias ").and_then(|rest| rest.rsplit_once(' ')) {
                index.aliases.push((pattern.to_owned(), normal(module)));
            }
        }
        for line in softdep.lines() {
            if let Some((module, names)) = line.strip_prefix("softdep ").and_then(|rest| rest.split_once(' ')) {
                index.softdeps.push((normal(module), names.to_owned()));
            }
        }
        index.builtin.extend(builtin.lines().map(name_of));
        index
    }

    /// The modules that must be there for `wanted` to work: those named, what they depend on, and their soft dependencies with
    /// every module that answers to such a name. A softdep that the kernel does not have is left out, as kmod does.
    ///
    /// # Errors
    /// A wanted name is neither a module nor built in; all of them are named.
    pub fn closure<'a>(&self, wanted: impl Iterator<Item = &'a str>) -> Result<BTreeSet<String>> {
        let mut missing = Vec::new();
        let mut open = Vec::new();
        for name in wanted {
            if self.modules.contains_key(name) {
                open.push(name.to_owned());
            } else if !self.builtin.contains(name) {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            bail!("the kernel has no module {}", missing.join(", "));
        }
        let mut closure = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some((_, needs)) = self.modules.get(&name) else { continue };
            open.extend(needs.iter().map(|path| name_of(path)));
            for (_, names) in self.softdeps.iter().filter(|(module, _)| *module == name) {
                let names = names.split_whitespace().filter(|word| !matches!(*word, "pre:" | "post:"));
                open.extend(names.flat_map(|soft| self.answering(soft)));
            }
            closure.insert(name);
            open.retain(|name| !closure.contains(name));
        }
        Ok(closure)
    }

    /// The module of that name, else all with that alias. Only literal aliases: a wildcard stands for hardware, and no softdep
    /// names any.
    fn answering(&self, name: &str) -> Vec<String> {
        let name = normal(name);
        if self.modules.contains_key(&name) {
            return vec![name];
        }
        let answering = self.aliases.iter().filter(|(pattern, _)| normal(pattern) == name);
        answering.map(|(_, module)| module.clone()).collect()
    }

    /// The index files for these modules alone. The built-in ones are all named: they are there in any case.
    #[must_use]
    pub fn subset(&self, names: &BTreeSet<String>) -> Files {
        let mut dep = String::new();
        let mut modules = Vec::new();
        for (path, needs) in names.iter().filter_map(|name| self.modules.get(name)) {
            let needs: String = needs.iter().fold(String::new(), |line, need| line + " " + need);
            let _ = writeln!(dep, "{path}:{needs}");
            modules.push(path.clone());
        }
        let mut alias = String::new();
        for (pattern, module) in self.aliases.iter().filter(|(_, module)| names.contains(module)) {
            let _ = writeln!(alias, "alias {pattern} {module}");
        }
        let mut softdep = String::new();
        for (module, soft) in self.softdeps.iter().filter(|(module, _)| names.contains(module)) {
            let _ = writeln!(softdep, "softdep {module} {soft}");
        }
        let texts = [
            ("modules.dep", dep),
            ("modules.alias", alias),
            ("modules.softdep", softdep),
            ("modules.builtin", self.builtin_text.clone()),
        ];
        Files { modules, texts }
    }
}

/// Options of `required` (lines `CONFIG_X=m` or `=y`) that the kernel's `config` does not satisfy; `m` is satisfied by `y` too.
#[must_use]
pub fn unmet_options(required: &str, config: &str) -> Vec<String> {
    let has: BTreeSet<&str> = config.lines().map(str::trim).collect();
    let lines = required.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let unmet = lines.filter(|line| !line.is_empty()).filter(|line| {
        let built_in = line.strip_suffix("=m").is_some_and(|option| has.contains(format!("{option}=y").as_str()));
        !has.contains(line) && !built_in
    });
    unmet.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/ext4/ext4.ko.xz: kernel/lib/libcrc32c.ko.xz kernel/fs/jbd2/jbd2.ko.xz\n\
                       kernel/fs/jbd2/jbd2.ko.xz:\n\
                       kernel/lib/libcrc32c.ko.xz:\n\
                       kernel/crypto/crc32c_generic.ko.xz:\n\
                       kernel/arch/x86/crypto/crc32c-intel.ko.xz:\n\
                       kernel/net/8021q/8021q.ko.xz:\n";
    const ALIAS: &str = "# Aliases extracted from modules themselves.\n\
                         alias crypto-crc32c crc32c_generic\n\
                         alias crc32c crc32c_generic\n\
                         alias cpu:type:x86,ven*fam*mod*:feature:*0094* crc32c_intel\n\
                         alias crc32c crc32c_intel\n\
                         alias fs-ext4 ext4\n\
                         alias rtnl-link-vlan 8021q\n";
    const SOFTDEP: &str = "softdep libcrc32c pre: crc32c nosuch post: jbd2\nsoftdep other pre: 8021q\n";
    const BUILTIN: &str = "kernel/drivers/virtio/virtio_pci.ko\n";

    fn index() -> Index {
        Index::parse(DEP, ALIAS, SOFTDEP, BUILTIN)
    }

    fn closure(names: &[&str]) -> Vec<String> {
        index().closure(names.iter().copied()).expect("all there").into_iter().collect()
    }

    #[test]
    fn closure_follows_dependencies_and_every_provider_of_a_softdep() {
        assert_eq!(closure(&["ext4"]), ["crc32c_generic", "crc32c_intel", "ext4", "jbd2", "libcrc32c"]);
        assert_eq!(closure(&["8021q", "virtio_pci"]), ["8021q"]);
    }

    #[test]
    fn every_missing_name_is_told() {
        let error = index().closure(["ext4", "one", "two"].into_iter()).expect_err("two are missing");
        assert_eq!(error.to_string(), "the kernel has no module one, two");
    }

    #[test]
    fn subset_keeps_lines_of_kept_modules_only() {
        let names = BTreeSet::from(["crc32c_intel".to_owned(), "jbd2".to_owned()]);
        let files = index().subset(&names);
        assert_eq!(files.modules, ["kernel/arch/x86/crypto/crc32c-intel.ko.xz", "kernel/fs/jbd2/jbd2.ko.xz"]);
        let [dep, alias, softdep, builtin] = files.texts;
        assert_eq!(dep.1, "kernel/arch/x86/crypto/crc32c-intel.ko.xz:\nkernel/fs/jbd2/jbd2.ko.xz:\n");
        assert_eq!(alias.1, "alias cpu:type:x86,ven*fam*mod*:feature:*0094* crc32c_intel\nalias crc32c crc32c_intel\n");
        assert_eq!(softdep.1, "");
        assert_eq!(builtin.1, BUILTIN);
    }

    #[test]
    fn a_subset_of_the_closure_is_closed() {
        let names = index().closure(["ext4"].into_iter()).expect("all there");
        let files = index().subset(&names).texts;
        let again = Index::parse(&files[0].1, &files[1].1, &files[2].1, &files[3].1);
        assert_eq!(again.closure(["ext4"].into_iter()).expect("all there"), names);
    }

    #[test]
    fn the_list_has_three_sections_and_no_name_twice() {
        let wanted = Wanted::load().expect("parses");
        assert!(wanted.packed.contains(&"nvme".to_owned()));
        assert!(wanted.stage1.contains(&"squashfs".to_owned()));
        assert!(wanted.root.contains(&"ip_vs_mh".to_owned()));
        let names: BTreeSet<&str> = wanted.all().collect();
        assert_eq!(names.len(), wanted.all().count());
        assert!(Wanted::parse("ext4\n").is_err());
    }

    #[test]
    fn options_are_met_by_module_or_built_in() {
        let config = "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n";
        assert_eq!(unmet_options("CONFIG_A=y\nCONFIG_A=m # why\nCONFIG_B=m\n", config), [""; 0]);
        assert_eq!(unmet_options("CONFIG_B=y\n\nCONFIG_C=m\n", config), ["CONFIG_B=y", "CONFIG_C=m"]);
    }
}
