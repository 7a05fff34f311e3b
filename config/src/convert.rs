//! From the tree to [`Config`]: each line becomes its field, then the whole is checked.
//!
//! A problem refuses the commit; all of them are reported at once. What may be put right by a later line (an object that
//! does not exist yet) is a warning, so that the order of a paste never matters. Nothing here asks a kernel.

mod check;
mod global;
mod interface;
mod later;
mod monitor;
#[cfg(test)]
mod tests;
mod virtual_server;
mod vrrp;

use std::fmt;

use crate::model::Config;
use crate::tree::{Entry, Key, Tree};
use crate::value::Value;

/// `<object>: <what is wrong>, <what to do>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(
    /// The sentence.
    pub String,
);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&Tree> for Config {
    type Error = Vec<Problem>;

    fn try_from(tree: &Tree) -> Result<Self, Vec<Problem>> {
        let mut out = Findings::default();
        let mut config = Self::default();
        for (key, entry) in tree.lines() {
            global::read(&mut config, &Line::new(key, entry), &mut out);
        }
        check::check(&config, tree, &mut out);
        later::warn(tree, &mut out);
        if out.problems.is_empty() {
            config.warnings = out.warnings;
            Ok(config)
        } else {
            Err(out.problems)
        }
    }
}

/// What is wrong (refused) and what is odd (accepted).
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Findings {
    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(Problem(text.into()));
    }

    fn warning(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// A line of the trie that nothing here reads: a mistake in this crate, found by a test over the whole trie.
    fn unread(&mut self, line: &Line<'_>) {
        self.problem(format!("{}: not understood, this is a fault of the firmware", line.key));
    }
}

/// One line, in the form a `match` can take apart.
struct Line<'t> {
    key: &'t Key,
    entry: &'t Entry,
    /// Keywords of the identity.
    kind: String,
    /// Arguments of the identity, then all value words.
    words: Vec<&'t Value>,
}

impl<'t> Line<'t> {
    fn new(key: &'t Key, entry: &'t Entry) -> Self {
        Self { key, entry, kind: key.kind(), words: key.args().chain(entry.values()).collect() }
    }
}
