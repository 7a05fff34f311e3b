//! From a tree to text: canonical, with defaults, without secrets, or one section.

use crate::grammar::{GLOBAL, Node, Role, block_of, nodes_of};
use crate::value::Value;
use crate::walk;

use super::{Entry, Key, Tree, write_words};

/// What stands in place of a secret; IOS's word.
const MASK: &str = "<removed>";

/// The text of `show running-config`: three comment lines, which tools for IOS drop, the configuration, and `end`.
#[must_use]
pub fn listing(text: &str) -> String {
    format!("! Building configuration...\n! Current configuration : {} bytes\n!\n{text}end\n", text.len())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Sanitized,
    All,
}

impl Tree {
    /// Canonical text: one space of indentation per level, every block at the top closed with `!`.
    #[must_use]
    pub fn print(&self) -> String {
        self.print_as(Style::Plain)
    }

    /// The same with every secret masked. Not for loading.
    #[must_use]
    pub fn print_sanitized(&self) -> String {
        self.print_as(Style::Sanitized)
    }

    /// The same with what is not configured, as comments: `! default scheduler wlc`.
    #[must_use]
    pub fn print_all(&self) -> String {
        self.print_as(Style::All)
    }

    /// The lines whose identity begins with `words` (`interface eth0`, `vrrp`), as they are printed; `None` when there
    /// are none or the words mean nothing.
    #[must_use]
    pub fn section(&self, words: &str) -> Option<String> {
        let prefix = walk::identity_of(words).ok()?;
        let mut out = String::new();
        for (key, entry) in self.under(&prefix) {
            print_entry(&mut out, GLOBAL, key, entry, 0, Style::Plain);
        }
        (!out.is_empty()).then_some(out)
    }

    fn print_as(&self, style: Style) -> String {
        let mut out = String::new();
        print_level(&mut out, GLOBAL, self, 0, style);
        out
    }
}

fn print_level(out: &mut String, nodes: &'static [Node], tree: &Tree, depth: usize, style: Style) {
    if style == Style::All {
        let mut lines: Vec<(Key, Option<&Entry>, String)> =
            tree.0.iter().map(|(key, entry)| (key.clone(), Some(entry), String::new())).collect();
        lines.extend(
            defaults(nodes).into_iter().filter(|(key, _)| !tree.0.contains_key(key)).map(|(k, t)| (k, None, t)),
        );
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, entry, text) in lines {
            match entry {
                Some(entry) => print_entry(out, nodes, &key, entry, depth, style),
                None => push_line(out, depth, &format!("! default {text}")),
            }
        }
        return;
    }
    for (key, entry) in &tree.0 {
        print_entry(out, nodes, key, entry, depth, style);
    }
}

fn print_entry(out: &mut String, nodes: &'static [Node], key: &Key, entry: &Entry, depth: usize, style: Style) {
    out.extend(std::iter::repeat_n(' ', depth));
    write_line(out, nodes, key, entry, style);
    out.push('\n');
    if let Some(block) = block_of(nodes, key) {
        print_level(out, block.nodes, &entry.below, depth + 1, style);
        if depth == 0 {
            out.push_str("!\n");
        }
    }
}

fn write_line(out: &mut String, nodes: &'static [Node], key: &Key, entry: &Entry, style: Style) {
    let written = if style == Style::Sanitized {
        write_words(out, masked(nodes, key, &entry.values).iter())
    } else {
        write_words(out, key.words().chain(&entry.values))
    };
    written.expect("writing to a String cannot fail");
}

/// The words of a line with a mask for each that is a secret.
pub(super) fn masked(nodes: &'static [Node], key: &Key, values: &[Value]) -> Vec<Value> {
    let known = nodes_of(nodes, key, values).unwrap_or_default();
    let words = key.words().chain(values);
    known.iter().zip(words).map(|(node, value)| if node.secret { Value::Kw(MASK) } else { value.clone() }).collect()
}

fn push_line(out: &mut String, depth: usize, text: &str) {
    out.extend(std::iter::repeat_n(' ', depth));
    out.push_str(text);
    out.push('\n');
}

/// The lines of a block that have a default, with their text, in schema order.
pub(crate) fn defaults(nodes: &'static [Node]) -> Vec<(Key, String)> {
    let mut found = Vec::new();
    collect(nodes, &mut Vec::new(), &mut found);
    found
}

fn collect(nodes: &'static [Node], path: &mut Vec<(u16, Value)>, found: &mut Vec<(Key, String)>) {
    for (index, node) in (0..).zip(nodes) {
        if node.role == Role::Val {
            continue;
        }
        if !node.is_kw() {
            // A line about an object that does not exist has no default.
            continue;
        }
        path.push((index, Value::Kw(node.word)));
        if !node.is_complete()
            && let Some(default) = node.next.iter().filter(|next| next.role == Role::Val).find_map(|next| next.default)
        {
            let key = Key(path.clone());
            let text = format!("{key} {default}");
            found.push((key, text));
        }
        collect(node.next, path, found);
        path.pop();
    }
}
