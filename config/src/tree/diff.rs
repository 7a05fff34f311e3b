//! The commands that turn one tree into another.

use super::{Entry, Key, Tree};

impl Tree {
    /// The commands that turn `self` into `other`, indented as they are printed. In each block removals come first, then
    /// lines, then the blocks in it, so that the commands mean the same when they are pasted without indentation.
    #[must_use]
    pub fn diff(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        level(&mut out, self, other, 0);
        out
    }
}

fn level(out: &mut Vec<String>, old: &Tree, new: &Tree, depth: usize) {
    let indent = " ".repeat(depth);
    for key in old.0.keys().filter(|key| !new.0.contains_key(key)) {
        out.push(format!("{indent}no {key}"));
    }
    let empty = Entry::default();
    let mut blocks: Vec<(&Key, &Tree, &Tree)> = Vec::new();
    for (key, entry) in &new.0 {
        let before = old.0.get(key);
        let below = &before.unwrap_or(&empty).below;
        if *below != entry.below {
            blocks.push((key, below, &entry.below));
        } else if before.is_none_or(|before| before.values != entry.values) {
            out.push(format!("{indent}{}", entry.line(key)));
        }
    }
    for (key, old, new) in blocks {
        out.push(format!("{indent}{key}"));
        level(out, old, new, depth + 1);
    }
}
