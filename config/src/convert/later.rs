//! Lines that are accepted though nothing acts on them in this release: said once for each kind, not for each line.

use std::collections::BTreeMap;

use crate::grammar::{GLOBAL, Node, block_of, nodes_of};
use crate::tree::{Entry, Key, Tree};

use super::Findings;

/// Warns about every line marked so in the trie.
pub(super) fn warn(tree: &Tree, out: &mut Findings) {
    let mut found = BTreeMap::new();
    for (key, entry) in tree.lines() {
        collect(GLOBAL, key, entry, "", &mut found);
    }
    for (first, count) in found.into_values() {
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        out.warning(format!("{first}: accepted, but without function in this release{more}"));
    }
}

/// Kind of line, the first of them, how many.
type Found = BTreeMap<String, (String, usize)>;

fn collect(nodes: &'static [Node], key: &Key, entry: &Entry, within: &str, found: &mut Found) {
    let words = nodes_of(nodes, key, entry.values()).unwrap_or_default();
    let later = words.iter().any(|node| node.later);
    // Warnings are for everybody to read.
    let line = if words.iter().any(|node| node.secret) { key.kind() } else { entry.line(key) };
    let object = if within.is_empty() { line } else { format!("{within}: {line}") };
    if later {
        let (_, count) = found.entry(key.kind()).or_insert((object, 0));
        *count += 1;
        return;
    }
    if let Some(block) = block_of(nodes, key) {
        for (key, entry) in entry.below().lines() {
            collect(block.nodes, key, entry, &object, found);
        }
    }
}
