//! The walker: a line and a position in, its meaning or the furthest error out.
use crate::grammar::{Block, Command, Node};
use crate::model::Privilege;
use crate::tree::{Edit, Key};
use crate::value::Value;
/// Where the operator is.
#[derive(Debug, Clone)]
pub enum Position {
    /// `yoke>` or `yoke#`.
    Exec(Privilege),
    /// `(config)#` (empty path) or inside blocks, outermost first.
    Config(Vec<(&'static Block, Key)>),
}
/// What a line means.
#[derive(Debug, Clone)]
pub enum Meaning {
    /// Blank or a comment.
    Nothing,
    /// Run this (typed in EXEC mode, or after `do`, or a control word of configuration mode).
    Run {
        /// Which.
        command: Command,
        /// Its arguments in order, keywords of choice included as text.
        values: Vec<Value>,
    },
    /// Change the tree.
    Edit {
        /// The change, with its absolute path.
        edit: Edit,
        /// How many blocks the walk-up leaves first.
        leave: usize,
        /// The block a header opens.
        opens: Option<&'static Block>,
    },
}
/// Why a line means nothing. Offsets are bytes into the line.
#[derive(Debug, Clone)]
pub enum LineError {
    /// No such word.
    Invalid {
        /// Where.
        offset: usize,
        /// What could stand there.
        expected: Vec<&'static Node>,
    },
    /// Several words begin so.
    Ambiguous {
        /// Where.
        offset: usize,
        /// The candidates.
        candidates: Vec<&'static str>,
    },
    /// More is needed.
    Incomplete {
        /// What could follow.
        expected: Vec<&'static Node>,
    },
    /// Privilege 15 needed.
    Denied,
}
/// Interprets one line (abbreviations, `no`, `do`, walk-up per cli.md 3.1).
pub fn interpret(_position: &Position, _line: &str) -> Result<Meaning, LineError> {
    todo!()
}
/// What may come at the end of `line`: for Tab (last word is a prefix) and `?`.
#[derive(Debug, Clone)]
pub struct Next {
    /// Byte offset of the word being completed.
    pub offset: usize,
    /// Nodes that match it.
    pub nodes: Vec<&'static Node>,
    /// Whether the line is complete as it is (`<cr>`).
    pub complete: bool,
    /// Lines of the tree this word belongs to, to look up current values and names.
    pub path: Vec<Key>,
}
/// Tab and `?` use the same walk.
pub fn next(_position: &Position, _line: &str) -> Result<Next, LineError> {
    todo!()
}
