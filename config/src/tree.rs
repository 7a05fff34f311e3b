//! The tree of canonical lines: what a configuration is.
//!
//! Ordered by schema, then naturally by key, so that printing needs no sorting and input order never matters. Each concern
//! is one generic function over (trie, tree); none knows a command.

mod diff;
mod json;
mod load;
mod merge;
mod names;
mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use crate::grammar::{nodes_at, nodes_of};
use crate::value::Value;

pub use load::{Rejected, indent, load, parse_edits};
pub use merge::merge;
pub use print::listing;

/// Which line: schema index and identity words, ordered as printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub(crate) Vec<(u16, Value)>);

impl Key {
    /// The identity words, keywords included.
    pub fn words(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The keywords joined by spaces, `ip route`: what kind of line this is.
    #[must_use]
    pub fn kind(&self) -> String {
        let words: Vec<&str> =
            self.words().filter_map(|value| if let Value::Kw(word) = value { Some(*word) } else { None }).collect();
        words.join(" ")
    }

    /// The identity words that are no keywords.
    pub fn args(&self) -> impl Iterator<Item = &Value> {
        self.words().filter(|value| !matches!(value, Value::Kw(_)))
    }

    /// Whether the first words of this are `prefix`.
    fn begins_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

/// Writes the words as they are printed.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, self.words())
    }
}

fn write_words<'v>(f: &mut dyn fmt::Write, words: impl Iterator<Item = &'v Value>) -> fmt::Result {
    for (at, word) in words.enumerate() {
        if at > 0 {
            f.write_char(' ')?;
        }
        write!(f, "{word}")?;
    }
    Ok(())
}

/// What one line says and the lines below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    pub(crate) values: Vec<Value>,
    pub(crate) below: Tree,
}

impl Entry {
    /// The value words of the line.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The line in full words, without indentation.
    #[must_use]
    pub fn line(&self, key: &Key) -> String {
        let mut out = String::new();
        write_words(&mut out, key.words().chain(&self.values)).expect("writing to a String cannot fail");
        out
    }

    /// The lines of the block, if the line opens one.
    #[must_use]
    pub fn below(&self) -> &Tree {
        &self.below
    }
}

/// A configuration, or the lines of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(pub(crate) BTreeMap<Key, Entry>);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Enclosing blocks, outermost first.
    pub path: Vec<Key>,
    /// `no`.
    pub negate: bool,
    /// The line says what its absence says too: it is removed, and that is not worth a warning.
    pub is_default: bool,
    /// Identity (for `no`: any prefix of one).
    pub key: Key,
    /// Values.
    pub values: Vec<Value>,
}

impl Edit {
    /// Whether the line carries a secret: history and logs must not hold it.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        let nodes = nodes_at(&self.path).and_then(|nodes| nodes_of(nodes, &self.key, &self.values));
        nodes.is_some_and(|nodes| nodes.iter().any(|node| node.secret))
    }
}

/// Writes the line in full words, without indentation: what history and the audit log hold of it.
impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negate {
            f.write_str("no ")?;
        }
        write_words(f, self.key.words().chain(&self.values))
    }
}

impl Tree {
    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines, in the order they are printed.
    pub fn lines(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.0.iter()
    }

    /// Number of lines, those of blocks included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(|entry| 1 + entry.below.len()).sum()
    }

    /// Each line at the top with its block, as a tree of its own, in the order they are printed.
    pub fn pieces(&self) -> impl Iterator<Item = Self> + '_ {
        self.0.iter().map(|(key, entry)| Self(BTreeMap::from([(key.clone(), entry.clone())])))
    }

    /// Puts the lines at the top of `other`, with their blocks, in the place of those of the same identity.
    pub fn put(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(key, entry)| (key.clone(), entry.clone())));
    }

    /// The lines of the block at `path`; the whole tree for an empty path.
    #[must_use]
    pub fn at(&self, path: &[Key]) -> Option<&Self> {
        path.iter().try_fold(self, |tree, key| Some(&tree.0.get(key)?.below))
    }

    /// One line.
    #[must_use]
    pub fn get(&self, path: &[Key], key: &Key) -> Option<&Entry> {
        self.at(path)?.0.get(key)
    }

    /// The lines whose identity begins with `prefix`.
    pub(crate) fn under(&self, prefix: &Key) -> impl Iterator<Item = (&Key, &Entry)> {
        let prefix = prefix.clone();
        let from = Bound::Included(prefix.clone());
        self.0.range((from, Bound::Unbounded)).take_while(move |(key, _)| key.begins_with(&prefix))
    }

    /// Applies one edit; `false` when a `no` removed nothing. Blocks on the path are made as needed.
    pub fn edit(&mut self, edit: &Edit) -> bool {
        if edit.negate {
            return edit.path.iter().try_fold(self, |tree, key| Some(&mut tree.0.get_mut(key)?.below)).is_some_and(
                |tree| {
                    let gone: Vec<Key> = tree.under(&edit.key).map(|(key, _)| key.clone()).collect();
                    gone.iter().for_each(|key| drop(tree.0.remove(key)));
                    !gone.is_empty()
                },
            );
        }
        let mut tree = self;
        for key in &edit.path {
            tree = &mut tree.0.entry(key.clone()).or_default().below;
        }
        if edit.is_default {
            tree.0.remove(&edit.key);
        } else {
            // A header that is typed again keeps its block.
            tree.0.entry(edit.key.clone()).or_default().values.clone_from(&edit.values);
        }
        true
    }

    /// Applies edits in order; those whose `no` removed nothing come back, for `% Warning: no such ...`.
    pub fn edit_all<'e>(&mut self, edits: &'e [Edit]) -> Vec<&'e Edit> {
        edits.iter().filter(|edit| !self.edit(edit)).collect()
    }
}
