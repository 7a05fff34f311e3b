//! From text to a tree: whole configurations, and batches of typed lines.
//!
//! A line that means nothing never stops a load and is never lost: it comes back as [`Rejected`].

use crate::grammar::{Act, Block, Command, Node};
use crate::lex::words;
use crate::walk::{LineError, Meaning, Position, interpret_text};

use super::{Edit, Tree};

/// A line that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// 1-based.
    pub number: usize,
    /// As written.
    pub text: String,
    /// Why.
    pub why: String,
    /// The header lines of the blocks it stands in, in full words, outermost first; needed to type it again elsewhere.
    pub within: Vec<String>,
}

/// Loads configuration text (indentation optional, comments dropped, `exit` and `end` accepted).
///
/// A header that means nothing takes the lines of its block with it: applied elsewhere they would say something else.
#[must_use]
pub fn load(text: &str) -> (Tree, Vec<Rejected>) {
    let mut loader = Loader::default();
    for (number, line) in (1..).zip(text.lines()) {
        loader.line(number, line);
    }
    (loader.tree, loader.rejected)
}

/// Reads a batch of typed lines as edits, each with its absolute path, without applying them.
///
/// # Errors
/// The first line that is no line of configuration; nothing of the batch should be applied then.
pub fn parse_edits(lines: &[String]) -> Result<Vec<Edit>, Rejected> {
    let mut position = Position::CONFIG;
    let mut edits = Vec::new();
    for (number, line) in (1..).zip(lines) {
        match outcome(&position, line) {
            Outcome::Nothing => {}
            Outcome::Moved(to) => position = to,
            Outcome::Edit(edit, to) => {
                edits.push(edit);
                position = to;
            }
            Outcome::Rejected(why) => return Err(reject(&position, number, line, why)),
        }
    }
    Ok(edits)
}

enum Outcome {
    Nothing,
    Moved(Position),
    Edit(Edit, Position),
    Rejected(String),
}

fn outcome(position: &Position, line: &str) -> Outcome {
    let meaning = match interpret_text(position, line) {
        Ok(meaning) => meaning,
        Err(error) => return Outcome::Rejected(error.sentence(line)),
    };
    let to = position.after(&meaning);
    match meaning {
        Meaning::Nothing => Outcome::Nothing,
        Meaning::Edit { edit, .. } => Outcome::Edit(edit, to),
        Meaning::Run { command: Command::End, .. } => Outcome::Moved(Position::CONFIG),
        Meaning::Run { command: Command::Exit, .. } => {
            let Position::Config(mut blocks) = to else { return Outcome::Nothing };
            blocks.pop();
            Outcome::Moved(Position::Config(blocks))
        }
        Meaning::Secret { line, .. } => {
            Outcome::Rejected(format!("{line}: a secret in a file must be hashed (sha512)"))
        }
        Meaning::Run { .. } | Meaning::Help { .. } => Outcome::Rejected("not a line of a configuration".to_owned()),
    }
}

fn reject(position: &Position, number: usize, line: &str, why: String) -> Rejected {
    let within = position.path().iter().map(ToString::to_string).collect();
    Rejected { number, text: line.to_owned(), why, within }
}

#[derive(Debug)]
struct Loader {
    tree: Tree,
    rejected: Vec<Rejected>,
    position: Position,
    bad: Option<BadHeader>,
}

impl Default for Loader {
    fn default() -> Self {
        Self { tree: Tree::default(), rejected: Vec::new(), position: Position::CONFIG, bad: None }
    }
}

/// A rejected line that may have been a header.
#[derive(Debug)]
struct BadHeader {
    number: usize,
    indent: usize,
    /// The block it would have opened, if its first words still say so.
    block: Option<&'static Block>,
}

impl Loader {
    fn line(&mut self, number: usize, line: &str) {
        if blank(line) {
            return;
        }
        if let Some(bad) = self.bad.take().filter(|bad| bad.holds(line)) {
            let why = format!("its block was rejected in line {}", bad.number);
            self.rejected.push(reject(&self.position, number, line, why));
            self.bad = Some(bad);
            return;
        }
        match outcome(&self.position, line) {
            Outcome::Nothing => {}
            Outcome::Moved(to) => self.position = to,
            Outcome::Edit(edit, to) => {
                // A `no` that removes nothing has what it asks for.
                self.tree.edit(&edit);
                self.position = to;
            }
            Outcome::Rejected(why) => {
                self.rejected.push(reject(&self.position, number, line, why));
                self.bad = Some(BadHeader { number, indent: indent(line), block: self.would_open(line) });
            }
        }
    }

    /// The block a bad line was meant to open, judging by its keywords.
    fn would_open(&self, line: &str) -> Option<&'static Block> {
        let error = interpret_text(&self.position, line).err()?;
        let expected: Vec<&'static Node> = match error {
            LineError::Invalid { expected, .. } | LineError::Incomplete { expected } => expected,
            LineError::Ambiguous { .. } | LineError::Refused { .. } | LineError::Denied => return None,
        };
        // At the first word everything is expected, which tells nothing.
        let first = words(line).first().map_or(0, |word| word.offset);
        if error_at(&self.position, line) == first {
            return None;
        }
        expected.into_iter().find_map(opens)
    }
}

fn error_at(position: &Position, line: &str) -> usize {
    interpret_text(position, line).err().map_or(0, |error| error.offset(line))
}

/// The first block that can be reached from a node through arguments.
fn opens(node: &'static Node) -> Option<&'static Block> {
    match node.act {
        Act::Block(block) => Some(block),
        // Commands open nothing, and their options go round in circles.
        Act::Exec(..) => None,
        _ => node.next.iter().find_map(opens),
    }
}

impl BadHeader {
    /// Whether a line belongs to the block that does not exist.
    fn holds(&self, line: &str) -> bool {
        if indent(line) > self.indent {
            return true;
        }
        // Without indentation the words decide: lines of that block, or of a block in it.
        indent(line) == self.indent && self.block.is_some_and(|block| means_something(block, line))
    }
}

fn means_something(block: &'static Block, line: &str) -> bool {
    let first = words(line).first().map(|word| word.text.to_string()).unwrap_or_default();
    block.nodes.iter().any(|node| node.word == first)
        || block.nodes.iter().filter_map(opens).any(|inner| inner.nodes.iter().any(|node| node.word == first))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('!')
}
