//! `?` and Tab: what may come next, from the walk that executes the line.

use std::cell::OnceCell;
use std::rc::Rc;

use yoke_config::grammar::{Node, PIPES};
use yoke_config::lex::{in_quotes, quote, split_pipes};
use yoke_config::tree::Tree;
use yoke_config::walk::{LineError, Next, Position, help_line, next};

use crate::editor::{Assist, Candidates};

/// What `?` says of words that lead nowhere.
const UNRECOGNIZED: &str = "% Unrecognized command";

/// Knows what may be typed at one prompt.
pub(crate) struct Assistant {
    position: Position,
    tree: OnceCell<Rc<Tree>>,
    load: Box<dyn Fn() -> Rc<Tree>>,
}

impl Assistant {
    /// `load` gets the configuration to look up names and values in, when the first of them is asked for.
    pub(crate) fn new(position: Position, load: Box<dyn Fn() -> Rc<Tree>>) -> Self {
        Self { position, tree: OnceCell::new(), load }
    }

    /// The lines of `?` for what stands before the cursor.
    pub(crate) fn help(&self, line: &str) -> Vec<String> {
        if let Some((_, part)) = self.pipe_part(line) {
            return list(part, &pipe_nodes(part), None);
        }
        let next = match next(&self.position, line) {
            Ok(next) => next,
            Err(error @ LineError::Ambiguous { .. }) => return error.render(line, 0),
            Err(_) => return vec![UNRECOGNIZED.to_owned()],
        };
        let typed = line.get(next.offset..).unwrap_or_default();
        let now = next.nodes.iter().any(|node| !node.is_kw()).then(|| self.tree().current(&next)).flatten();
        let mut lines = if next.nodes.is_empty() && next.complete && typed.is_empty() {
            Vec::new()
        } else {
            list(typed, &next.nodes, now.as_deref())
        };
        if next.complete && typed.is_empty() {
            if self.is_show(line) {
                lines.push(format!("  {:width$}  Output modifiers", "|", width = width(&next.nodes)));
            }
            lines.push("  <cr>".to_owned());
        }
        lines
    }

    fn tree(&self) -> &Rc<Tree> {
        self.tree.get_or_init(|| (self.load)())
    }

    /// What stands behind the last `|` of a command that has output, and where it begins.
    fn pipe_part<'l>(&self, line: &'l str) -> Option<(usize, &'l str)> {
        let parts = split_pipes(line);
        let (_, command) = parts.first()?;
        let (start, part) = parts.last()?;
        (parts.len() > 1 && self.is_show(command)).then_some((*start, part))
    }

    fn is_show(&self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        let first = match &self.position {
            Position::Exec(_) => words.next(),
            Position::Config(_) => match words.next() {
                Some("do") => words.next(),
                _ => None,
            },
        };
        first.is_some_and(|word| word.len() >= 2 && "show".starts_with(&word.to_ascii_lowercase()))
    }

    fn words(&self, line: &str, next: &Next) -> Vec<String> {
        let typed = line.get(next.offset..).unwrap_or_default();
        let mut words: Vec<String> =
            next.nodes.iter().filter(|node| node.is_kw()).map(|node| node.word.to_owned()).collect();
        if next.nodes.iter().any(|node| !node.is_kw()) {
            let names = self.tree().suggestions(next);
            words.extend(names.iter().map(|name| quote(name).into_owned()).filter(|name| name.starts_with(typed)));
        }
        words.dedup();
        words
    }
}

impl Assist for Assistant {
    fn complete(&self, line: &str) -> Candidates {
        if in_quotes(line) {
            return Candidates::default();
        }
        if let Some((start, part)) = self.pipe_part(line) {
            let offset = start + part.len() - part.trim_start().len();
            let words = pipe_nodes(part).iter().filter(|node| node.is_kw()).map(|node| node.word.to_owned()).collect();
            return Candidates { offset, words };
        }
        match next(&self.position, line) {
            Ok(next) => Candidates { offset: next.offset, words: self.words(line, &next) },
            Err(_) => Candidates::default(),
        }
    }
}

/// What may stand behind a `|`: filters that begin so, or the argument of the one that is there.
fn pipe_nodes(part: &str) -> Vec<&'static Node> {
    let typed = part.trim_start();
    let (word, argument) = typed.split_once(char::is_whitespace).map_or((typed, false), |(word, _)| (word, true));
    let word = word.to_ascii_lowercase();
    let mut begins = PIPES.iter().filter(|node| node.word.starts_with(&word));
    if argument { begins.next().map(|node| node.next.iter().collect()).unwrap_or_default() } else { begins.collect() }
}

/// `word?` lists words in a row, `word ?` what may follow in two columns.
fn list(typed: &str, nodes: &[&'static Node], now: Option<&str>) -> Vec<String> {
    let partial = !typed.trim_start().is_empty() && !typed.ends_with(char::is_whitespace);
    if nodes.is_empty() {
        return vec![UNRECOGNIZED.to_owned()];
    }
    if partial && nodes.iter().all(|node| node.is_kw()) {
        return vec![nodes.iter().map(|node| node.word).collect::<Vec<_>>().join("  ")];
    }
    nodes.iter().map(|node| help_line(node, width(nodes), now)).collect()
}

fn width(nodes: &[&'static Node]) -> usize {
    nodes.iter().map(|node| node.word.len()).max().unwrap_or(0)
}
