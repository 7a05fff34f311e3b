//! The tree of canonical lines: parse, print, edit, diff, merge.
use crate::value::Value;
use std::collections::BTreeMap;
/// Which line: schema index and identity words, ordered as printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub(crate) Vec<(u16, Value)>);
/// What one line says and the lines below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    pub(crate) values: Vec<Value>,
    pub(crate) below: Tree,
}
/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(pub(crate) BTreeMap<Key, Entry>);
/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Enclosing blocks, outermost first.
    pub path: Vec<Key>,
    /// `no`.
    pub negate: bool,
    /// Identity (for `no`: any prefix of one).
    pub key: Key,
    /// Values.
    pub values: Vec<Value>,
}
/// A line that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// 1-based.
    pub number: usize,
    /// As written.
    pub text: String,
    /// Why.
    pub why: String,
}
/// Loads configuration text (indentation optional, comments dropped, `end` accepted).
pub fn load(_text: &str) -> (Tree, Vec<Rejected>) {
    todo!()
}
/// Reads a batch of typed lines as edits, each with its absolute path, without applying them. Error: line number and reason.
pub fn parse_edits(_lines: &[String]) -> Result<Vec<Edit>, Rejected> {
    todo!()
}
impl Tree {
    /// Applies one edit; `false` when a `no` removed nothing.
    pub fn edit(&mut self, _edit: &Edit) -> bool {
        todo!()
    }
    /// Canonical text, blocks closed with `!`.
    pub fn print(&self) -> String {
        todo!()
    }
    /// The commands that turn `self` into `other`.
    pub fn diff(&self, _other: &Tree) -> Vec<String> {
        todo!()
    }
    /// The subtree printed under `section` words such as `interface eth0`.
    pub fn section(&self, _words: &str) -> Option<String> {
        todo!()
    }
}
/// Three-way merge by line identity: `mine` and `theirs` both grew from `base`. Error: identities both changed differently.
pub fn merge(_base: &Tree, _mine: &[Edit], _theirs: &Tree) -> Result<Tree, Vec<String>> {
    todo!()
}
