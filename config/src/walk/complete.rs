//! What may come next: Tab and `?` use the walk that executes.

use crate::grammar::{Act, CONTROL, DO, EXEC, NO, Node, Role};
use crate::lex::words;
use crate::model::Privilege;
use crate::tree::Key;
use crate::value::parse::plausible;

use super::step::{Walked, Words, abbreviates, allowed, walk};
use super::{LineError, Position, control_word};

/// What may come at the end of a line.
#[derive(Debug, Clone)]
pub struct Next {
    /// Byte offset of the word being completed (the end of the line when a new word begins).
    pub offset: usize,
    /// Nodes that match it: keywords that begin with it, arguments it may grow into.
    pub nodes: Vec<&'static Node>,
    /// Whether the line is complete as it is (`<cr>`).
    pub complete: bool,
    /// Blocks the line would change, outermost first: where to look up current values.
    pub path: Vec<Key>,
    /// Identity words before the cursor.
    pub key: Key,
    /// How many value words stand before the cursor; `None` in EXEC commands, which change no line.
    pub filled: Option<usize>,
}

/// Tab and `?` use the same walk. `line` ends at the cursor.
///
/// An error means that the words before the cursor mean nothing; the contract's answer to `?` is then `% Unrecognized
/// command`, as it is when nothing matches. Inside free text the result names that argument; inside an open quote `?` is a letter ([`crate::lex::in_quotes`]).
pub fn next(position: &Position, line: &str) -> Result<Next, LineError> {
    let all = words(line);
    let typing = all.last().filter(|word| word.end == line.len());
    let (done, prefix, offset) = match typing {
        Some(word) => (&all[..all.len() - 1], &line[word.offset..], word.offset),
        None => (&all[..], "", line.len()),
    };
    let cursor = Cursor { all: Words { line, words: &all }, done: Words { line, words: done }, prefix, offset };
    let privilege = match position {
        Position::Exec(privilege) => {
            return cursor.look(vec![EXEC], Vec::new(), *privilege, Kind::Exec);
        }
        Position::Config(_) => Privilege::Admin,
    };
    let (cursor, kind) = match done.first().and_then(|word| control_word(position, word)) {
        Some(DO) => return cursor.skip().look(vec![EXEC], Vec::new(), privilege, Kind::Exec),
        Some(NO) => (cursor.skip(), Kind::Negation),
        _ => (cursor, Kind::Line),
    };
    let mut first_error = None;
    for leave in 0..=position.depth() {
        let first = cursor.all.words.first();
        let shadowed = first.is_some_and(|first| {
            (0..leave).any(|inner| position.nodes(inner).iter().any(|node| abbreviates(&first.text, node)))
                && !position.nodes(leave).iter().any(|node| node.word == first.text)
        });
        if shadowed {
            continue;
        }
        let mut sets = vec![position.nodes(leave)];
        if leave == 0 && kind == Kind::Line {
            sets.push(CONTROL);
        }
        let mut path = position.path();
        path.truncate(path.len() - leave);
        match cursor.look(sets, path, privilege, kind) {
            Ok(found) if !found.nodes.is_empty() || found.complete => return Ok(found),
            Ok(found) => first_error = first_error.or(Some(Ok(found))),
            Err(error) => first_error = first_error.or(Some(Err(error))),
        }
    }
    first_error.unwrap_or(Err(LineError::Incomplete { expected: Vec::new() }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exec,
    Line,
    Negation,
}

#[derive(Debug, Clone, Copy)]
struct Cursor<'a> {
    /// All words.
    all: Words<'a>,
    /// Those before the one being typed.
    done: Words<'a>,
    /// What is typed of it.
    prefix: &'a str,
    offset: usize,
}

impl Cursor<'_> {
    /// Without the first word.
    fn skip(self) -> Self {
        Self { all: self.all.from(1), done: self.done.from(1), ..self }
    }

    fn look(
        &self,
        sets: Vec<&'static [Node]>,
        path: Vec<Key>,
        privilege: Privilege,
        kind: Kind,
    ) -> Result<Next, LineError> {
        let complete =
            walk(sets.clone(), self.all, privilege).is_ok_and(|walked| is_complete(&walked, kind, privilege));
        let (walked, mut nodes) = match walk(sets, self.done, privilege) {
            Ok(walked) => {
                let nodes = self.matching(&walked, privilege);
                (walked, nodes)
            }
            Err(stopped) => match stopped.error {
                // An IOS style prefix whose mask is missing.
                LineError::Incomplete { expected } => (stopped.walked, expected),
                error => return Err(error),
            },
        };
        let mut offset = self.offset;
        if let Some(step) = walked.steps.last().filter(|step| step.node.is_rest()) {
            // Free text goes on to the end of the line.
            offset = step.offset;
            nodes = vec![step.node];
        }
        let is_line = kind != Kind::Exec && !walked.steps.first().is_some_and(|step| step.in_control());
        let filled = walked.steps.iter().filter(|step| step.node.role == Role::Val).count();
        let key = super::identity(&walked.steps);
        Ok(Next { offset, nodes, complete, path, key, filled: is_line.then_some(filled) })
    }

    /// Candidates that begin with what is typed.
    fn matching(&self, walked: &Walked, privilege: Privilege) -> Vec<&'static Node> {
        let quoted = self.prefix.starts_with('"');
        walked
            .candidates()
            .map(|(_, node)| node)
            .filter(|node| allowed(node, privilege) && !matches!(node.act, Act::Refused(_)))
            .filter(|node| {
                if node.is_kw() {
                    !quoted && abbreviates(self.prefix, node)
                } else {
                    quoted || plausible(node.ty, self.prefix)
                }
            })
            .collect()
    }
}

impl super::Step {
    fn in_control(&self) -> bool {
        CONTROL.iter().any(|node| std::ptr::eq(node, self.node))
    }
}

fn is_complete(walked: &Walked, kind: Kind, privilege: Privilege) -> bool {
    match (walked.last(), kind) {
        (None, _) => false,
        (Some(_), Kind::Negation) => true,
        (Some(node), _) => match node.act {
            Act::Exec(needed, _) => needed <= privilege,
            Act::Refused(_) => false,
            _ => node.is_complete(),
        },
    }
}

/// One line of `?`: two columns, indent 2, with the default and the current value of an argument.
#[must_use]
pub fn help_line(node: &Node, width: usize, now: Option<&str>) -> String {
    let mut notes = Vec::new();
    if !node.is_kw() {
        notes.extend(node.default.map(|default| format!("default {default}")));
        notes.extend(now.map(|now| format!("now {now}")));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    format!("  {:width$}  {}{notes}", node.word, node.help)
}
