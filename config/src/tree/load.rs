//! From text to a tree: whole configurations, and batches of typed lines.
//!
//! A line that means nothing never stops a load and is never lost: it comes back as [`Rejected`].

use std::fmt;

use crate::grammar::{Act, Block, Command, Node};
use crate::lex::words;
use crate::walk::{LineError, Meaning, Position, interpret_text, looks_secret};

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

/// One sentence for logs and banners; a line that may hold a secret is not quoted.
impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.number)?;
        for header in &self.within {
            write!(f, "{header}: ")?;
        }
        if !looks_secret(&self.text) {
            write!(f, "{}: ", self.text.trim())?;
        }
        f.write_str(&self.why)
    }
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
            Outcome::Rejected(why) => return Err(reject(within(&position), number, line, why)),
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

fn reject(within: Vec<String>, number: usize, line: &str, why: String) -> Rejected {
    Rejected { number, text: line.to_owned(), why, within }
}

fn within(position: &Position) -> Vec<String> {
    position.path().iter().map(ToString::to_string).collect()
}

#[derive(Debug)]
struct Loader {
    tree: Tree,
    rejected: Vec<Rejected>,
    position: Position,
    bad: Option<BadHeader>,
    /// Some line was indented, so indentation says where a line stands.
    indented: bool,
}

impl Default for Loader {
    fn default() -> Self {
        Self { tree: Tree::default(), rejected: Vec::new(), position: Position::CONFIG, bad: None, indented: false }
    }
}

/// A rejected line that may have been a header.
#[derive(Debug)]
struct BadHeader {
    number: usize,
    indent: usize,
    opens: Opens,
    /// What the lines of its block stand in: its own blocks, and itself as it was written.
    within: Vec<String>,
}

/// What a bad line would have opened.
#[derive(Debug)]
enum Opens {
    Nothing,
    /// This block, if its keywords still say so.
    Block(&'static Block),
    /// Nobody knows: what follows may belong to it, and not to the block that is open.
    Unknown,
}

impl Loader {
    fn line(&mut self, number: usize, line: &str) {
        if blank(line) {
            return;
        }
        if let Some(bad) = self.bad.take().filter(|bad| bad.holds(line, &self.position)) {
            let why = format!("its block was rejected in line {}", bad.number);
            self.rejected.push(reject(bad.within.clone(), number, line, why));
            self.bad = Some(bad);
            return;
        }
        self.indented |= indent(line) > 0;
        match outcome(&self.position, line) {
            Outcome::Nothing => {}
            Outcome::Moved(to) => self.position = to,
            Outcome::Edit(edit, to) => {
                // A `no` that removes nothing has what it asks for.
                self.tree.edit(&edit);
                self.position = to;
            }
            Outcome::Rejected(why) => {
                let mut within = within(&self.position);
                if self.indented {
                    within.truncate(indent(line));
                }
                self.rejected.push(reject(within.clone(), number, line, why));
                within.push(line.trim().to_owned());
                self.bad = Some(BadHeader { number, indent: indent(line), opens: self.would_open(line), within });
            }
        }
    }

    /// What a bad line was meant to open, judging by its keywords.
    fn would_open(&self, line: &str) -> Opens {
        let Err(error) = interpret_text(&self.position, line) else { return Opens::Nothing };
        let first = words(line).first().map_or(0, |word| word.offset);
        if error.offset(line) == first {
            return if indent(line) == 0 { Opens::Unknown } else { Opens::Nothing };
        }
        let (LineError::Invalid { expected, .. } | LineError::Incomplete { expected }) = error else {
            return Opens::Nothing;
        };
        expected.into_iter().find_map(opens).map_or(Opens::Nothing, Opens::Block)
    }
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
    fn holds(&self, line: &str, position: &Position) -> bool {
        if indent(line) > self.indent {
            return true;
        }
        // Without indentation the words decide: lines of that block, or of a block in it.
        indent(line) == self.indent
            && match self.opens {
                Opens::Nothing => false,
                Opens::Block(block) => means_something(block, line),
                Opens::Unknown => match interpret_text(position, line) {
                    Ok(Meaning::Edit { edit, .. }) => !edit.path.is_empty(),
                    Ok(_) | Err(_) => false,
                },
            }
    }
}

fn means_something(block: &'static Block, line: &str) -> bool {
    let first = words(line).first().map(|word| word.text.to_string()).unwrap_or_default();
    block.nodes.iter().any(|node| node.word == first)
        || block.nodes.iter().filter_map(opens).any(|inner| inner.nodes.iter().any(|node| node.word == first))
}

/// Spaces before a line.
#[must_use]
pub fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('!')
}
