//! The walker: a line and a position in, its meaning or the furthest error out.
//!
//! One walk serves execution, loading, Tab, `?` and the caret. It changes nothing: whoever calls applies the meaning.

mod complete;
mod error;
mod pipe;
mod step;
#[cfg(test)]
mod tests;

use crate::grammar::{Act, Block, CONTROL, Command, DO, EXEC, GLOBAL, NO, Node, Role};
use crate::lex::{Word, words};
use crate::model::Privilege;
use crate::tree::{Edit, Key};
use crate::value::Value;

pub use complete::{Next, help_line, next};
pub use error::{LineError, caret};
pub use pipe::{Pipe, pipe};
use step::{Step, Stopped, Walked, Words, abbreviates, walk};

/// Where the operator is.
#[derive(Debug, Clone)]
pub enum Position {
    /// `yoke>` or `yoke#`.
    Exec(Privilege),
    /// `(config)#` (empty path) or inside blocks, outermost first.
    Config(Vec<(&'static Block, Key)>),
}

impl Position {
    /// At the top of configuration mode.
    pub const CONFIG: Self = Self::Config(Vec::new());

    /// The open blocks, outermost first.
    #[must_use]
    pub fn path(&self) -> Vec<Key> {
        match self {
            Self::Exec(_) => Vec::new(),
            Self::Config(blocks) => blocks.iter().map(|(_, key)| key.clone()).collect(),
        }
    }

    /// What the prompt holds between its parentheses, `config-vs`; `None` in EXEC mode.
    #[must_use]
    pub fn prompt(&self) -> Option<&'static str> {
        match self {
            Self::Exec(_) => None,
            Self::Config(blocks) => Some(blocks.last().map_or("config", |(block, _)| block.prompt)),
        }
    }

    /// Where the operator is after an edit: some blocks left, perhaps one opened. Other meanings move nobody by themselves.
    #[must_use]
    pub fn after(&self, meaning: &Meaning) -> Self {
        match (self, meaning) {
            (Self::Config(blocks), Meaning::Edit { edit, leave, opens }) => {
                let mut blocks = blocks[..blocks.len().saturating_sub(*leave)].to_vec();
                blocks.extend(opens.map(|block| (block, edit.key.clone())));
                Self::Config(blocks)
            }
            _ => self.clone(),
        }
    }

    /// The lines of the block `leave` levels up.
    fn nodes(&self, leave: usize) -> &'static [Node] {
        match self {
            Self::Exec(_) => EXEC,
            Self::Config(blocks) => match blocks.len().checked_sub(leave + 1) {
                Some(at) => blocks[at].0.nodes,
                None => GLOBAL,
            },
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Exec(_) => 0,
            Self::Config(blocks) => blocks.len(),
        }
    }
}

/// What a line means.
#[derive(Debug, Clone)]
pub enum Meaning {
    /// Blank or a comment.
    Nothing,
    /// The line ends in ` ?`: print the help for its first `upto` bytes ([`next`]), change nothing, status 0.
    Help {
        /// Length of the line without the question mark.
        upto: usize,
    },
    /// Run this (typed in EXEC mode, or after `do`, or a control word of configuration mode).
    Run {
        /// Which.
        command: Command,
        /// Its arguments in order, keywords of choice included ([`option`] finds one by its keyword).
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
    /// A secret is to be set. Whoever reads the terminal asks for it when `plain` is absent, hashes it, and interprets
    /// `{line} sha512 {hash}` at the same position; neither this line nor `plain` goes into history or logs.
    Secret {
        /// The words up to `secret`, in full.
        line: String,
        /// What was typed in clear.
        plain: Option<String>,
    },
}

impl Meaning {
    /// Whether the line holds a secret, hashed or not: history and logs must not have it.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        match self {
            Self::Secret { .. } => true,
            Self::Edit { edit, .. } => edit.is_secret(),
            Self::Nothing | Self::Help { .. } | Self::Run { .. } => false,
        }
    }
}

/// Whether a line that means nothing may hold a secret all the same (`usrname admin secert hunter2`). Says yes too often
/// rather than too seldom: such a line is only missing in history.
#[must_use]
pub fn looks_secret(line: &str) -> bool {
    let words: Vec<String> = line.split_whitespace().map(str::to_ascii_lowercase).collect();
    let is_secret = |word: &String| {
        let known = ["secret", "community", "password", "authentication"];
        word.contains("$6$") || known.iter().any(|known| word.len() >= 3 && known.starts_with(word.as_str()))
    };
    // With the word for the secret itself mistyped, the lines that can have one are still told by their beginning.
    let begins = |word: &String| ["us", "en", "snmp"].iter().any(|start| word.starts_with(start));
    words.iter().any(is_secret) || (words.len() > 2 && words.iter().take(2).any(begins))
}

/// The argument that follows the keyword `word` among the values of a command.
#[must_use]
pub fn option<'v>(values: &'v [Value], word: &str) -> Option<&'v Value> {
    values.iter().position(|value| value.is_kw(word)).and_then(|at| values.get(at + 1))
}

/// Whether the keyword `word` is among the values of a command.
#[must_use]
pub fn has(values: &[Value], word: &str) -> bool {
    values.iter().any(|value| value.is_kw(word))
}

/// Interprets one line (abbreviations, `no`, `do`, walk-up to an outer mode).
///
/// Indentation means nothing, with one exception that makes pasted text mean what it shows: a line that is indented, but
/// by fewer spaces than blocks are open, is first tried in the block at that depth.
pub fn interpret(position: &Position, line: &str) -> Result<Meaning, LineError> {
    let trimmed = line.trim_end();
    let help = trimmed.strip_suffix('?').filter(|rest| rest.is_empty() || rest.ends_with(char::is_whitespace));
    match help {
        Some(rest) if !crate::lex::in_quotes(rest) => Ok(Meaning::Help { upto: rest.len() }),
        _ => interpret_text(position, line),
    }
}

/// The same for text that is loaded: a question mark is a letter like any other.
pub(crate) fn interpret_text(position: &Position, line: &str) -> Result<Meaning, LineError> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let words = words(line);
    if words.is_empty() || line.trim_start().starts_with('!') {
        return Ok(Meaning::Nothing);
    }
    let input = Words { line, words: &words };
    let privilege = match position {
        Position::Exec(privilege) => return run(walk(vec![EXEC], input, *privilege), *privilege),
        Position::Config(_) => Privilege::Admin,
    };
    match control_word(position, &words[0]) {
        Some(DO) => return run(walk(vec![EXEC], input.from(1), privilege), privilege),
        Some(NO) => return edit(position, input.from(1), true, indent),
        _ => {}
    }
    edit(position, input, false, indent)
}

impl<'a> Words<'a> {
    fn from(self, first: usize) -> Self {
        Self { words: &self.words[first..], ..self }
    }
}

/// `no` or `do`, if the word means one of them here.
fn control_word(position: &Position, word: &Word<'_>) -> Option<&'static str> {
    if word.quoted {
        return None;
    }
    let exact = |node: &&Node| node.word == word.text;
    let nodes = position.nodes(0);
    if nodes.iter().any(|node| exact(&node)) {
        return None;
    }
    let found = CONTROL.iter().find(exact).or_else(|| {
        let mut matches = nodes.iter().chain(CONTROL).filter(|node| abbreviates(&word.text, node));
        let first = matches.next()?;
        matches.next().is_none().then_some(first)
    })?;
    [NO, DO].into_iter().find(|control| *control == found.word)
}

fn incomplete(walked: &Walked) -> LineError {
    LineError::Incomplete { expected: walked.candidates().map(|(_, node)| node).collect() }
}

/// Turns the walk of an EXEC command or control word into its meaning.
fn run(walked: Result<Walked, Box<Stopped>>, privilege: Privilege) -> Result<Meaning, LineError> {
    let walked = walked.map_err(|stopped| stopped.error)?;
    match walked.last().map(|node| node.act) {
        Some(Act::Exec(needed, _)) if needed > privilege => Err(LineError::Denied),
        Some(Act::Exec(_, command)) => Ok(Meaning::Run { command, values: values(&walked.steps) }),
        _ => Err(incomplete(&walked)),
    }
}

fn values(steps: &[Step]) -> Vec<Value> {
    steps.iter().filter(|step| step.node.role == Role::Val).map(|step| step.value.clone()).collect()
}

/// A line of configuration mode: tried in the innermost block, then by walk-up in the outer ones.
fn edit(position: &Position, input: Words<'_>, negate: bool, indent: usize) -> Result<Meaning, LineError> {
    let Some(first) = input.words.first() else {
        return Err(LineError::Incomplete { expected: position.nodes(0).iter().collect() });
    };
    let depth = position.depth();
    if indent > 0
        && indent < depth
        && let Ok(meaning) = edit_at(position, depth - indent, input, negate)
    {
        return Ok(meaning);
    }
    let mut furthest = match edit_at(position, 0, input, negate) {
        Ok(meaning) => return Ok(meaning),
        Err(error) => error,
    };
    for leave in 1..=depth {
        let shadowed = (0..leave).any(|inner| position.nodes(inner).iter().any(|node| abbreviates(&first.text, node)));
        let in_full = position.nodes(leave).iter().any(|node| node.is_kw() && node.word == first.text);
        if shadowed && !in_full {
            continue;
        }
        match edit_at(position, leave, input, negate) {
            Ok(meaning) => return Ok(meaning),
            Err(error) if error.offset(input.line) > furthest.offset(input.line) => furthest = error,
            Err(_) => {}
        }
    }
    Err(furthest)
}

/// A line tried in one block, `leave` levels up.
fn edit_at(position: &Position, leave: usize, input: Words<'_>, negate: bool) -> Result<Meaning, LineError> {
    let mut sets = vec![position.nodes(leave)];
    // Control words belong to where the operator is; they neither negate nor walk up.
    if leave == 0 && !negate {
        sets.push(CONTROL);
    }
    let walked = walk(sets, input, Privilege::Admin);
    if let Ok(Walked { steps, .. }) = &walked
        && steps.first().is_some_and(|step| CONTROL.iter().any(|node| std::ptr::eq(node, step.node)))
    {
        return run(walked, Privilege::Admin);
    }
    let walked = walked.map_err(|stopped| stopped.error)?;
    let node = walked.last().ok_or_else(|| incomplete(&walked))?;
    let mut path = position.path();
    path.truncate(path.len() - leave);
    if negate {
        return Ok(Meaning::Edit { edit: negation(path, &walked.steps), leave, opens: None });
    }
    match node.act {
        Act::Line => Ok(Meaning::Edit { edit: setting(path, &walked.steps), leave, opens: None }),
        Act::Block(block) => Ok(Meaning::Edit { edit: setting(path, &walked.steps), leave, opens: Some(block) }),
        Act::AskSecret => Ok(secret(&walked.steps)),
        Act::Refused(why) => {
            let before: Vec<String> =
                walked.steps[..walked.steps.len() - 1].iter().map(|s| s.value.to_string()).collect();
            let offset = walked.steps.last().map_or(0, |step| step.offset);
            Err(LineError::Refused { offset, message: format!("{}: {why}", before.join(" ")) })
        }
        Act::Incomplete | Act::Exec(..) => Err(incomplete(&walked)),
    }
}

/// The identity that the words of a line begin with, from the top of the configuration: `interface eth0`, `vrrp`.
pub(crate) fn identity_of(line: &str) -> Result<Key, LineError> {
    let words = words(line);
    let walked =
        walk(vec![GLOBAL], Words { line, words: &words }, Privilege::Admin).map_err(|stopped| stopped.error)?;
    Ok(identity(&walked.steps))
}

fn identity(steps: &[Step]) -> Key {
    let ids = steps.iter().take_while(|step| step.node.role == Role::Id);
    Key(ids.map(|step| (step.index, step.value.clone())).collect())
}

fn negation(path: Vec<Key>, steps: &[Step]) -> Edit {
    Edit { path, negate: true, is_default: false, key: identity(steps), values: Vec::new() }
}

fn setting(path: Vec<Key>, steps: &[Step]) -> Edit {
    let kept = without_defaults(steps);
    let is_default = kept.is_empty();
    let values = if is_default { values(steps) } else { values(kept) };
    Edit { path, negate: false, is_default, key: identity(steps), values }
}

/// Drops trailing words that say what their absence says too. Nothing is left of a line that is all default.
fn without_defaults(mut steps: &[Step]) -> &[Step] {
    while let [before @ .., last] = steps {
        let default = last.node.default.is_some_and(|default| last.value.to_string() == default);
        if last.node.role == Role::Id || !default {
            break;
        }
        steps = before;
        while let [before @ .., last] = steps {
            if last.node.is_complete() {
                break;
            }
            steps = before;
        }
    }
    steps
}

fn secret(steps: &[Step]) -> Meaning {
    let words: Vec<String> =
        steps.iter().take_while(|step| step.node.role == Role::Id).map(|step| step.value.to_string()).collect();
    let plain = steps.iter().find(|step| step.node.role == Role::Val).and_then(|step| step.value.as_str());
    Meaning::Secret { line: words.join(" "), plain: plain.map(str::to_owned) }
}
