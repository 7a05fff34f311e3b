//! How a session reads: commands, answers and secrets, from a person, a script or a pipe.
//!
//! A session on a terminal begins without the drawing editor: whole lines that are there are taken as they are, so that
//! programs which drive the shell see a prompt with nothing behind it and an echo without escape sequences. The first key
//! that comes alone, as people type, hands over to rustyline ([`crate::rich`]) for good. A dumb terminal never does.

mod plain;

use std::collections::VecDeque;
use std::rc::Rc;

use crate::idle::Idle;
use crate::input::{Got, Input};
use crate::line::Line;
use crate::rich::Rich;
use crate::tty;

/// Lines kept unless `terminal history size` says otherwise.
pub(crate) const HISTORY: usize = 50;

/// A script writes a line at once, a person one key at a time. More than this between two keys is a person.
const TYPING_MS: u16 = 20;

/// What reading a command brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Enter.
    Line(String),
    /// Ctrl-Z: run the line, then `end`.
    End(String),
    /// What there was of a line when the input ended.
    Cut(String),
    /// `?` at this byte of the line.
    Help {
        /// The whole line, to go on with.
        line: String,
        /// Where the cursor was.
        at: usize,
    },
    /// Ctrl-C: the line is dropped.
    Interrupted,
    /// Ctrl-D on an empty line, or the end of a file.
    EndOfFile,
    /// The terminal is gone.
    Gone,
}

/// Words that may stand at the end of what was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    /// Where the word begins that they replace.
    pub(crate) offset: usize,
    /// The words.
    pub(crate) words: Vec<String>,
}

/// Who knows what may be typed.
pub(crate) trait Assist {
    /// What the last word of `line` may become.
    fn complete(&self, line: &str) -> Candidates;
}

/// How lines come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// No terminal: no prompt, no echo, no keys.
    Pipe,
    /// A terminal without drawing.
    Dumb,
    /// A terminal that can draw, used by a script until proven otherwise.
    Script,
    /// A person at a terminal that can draw.
    Person,
}

/// Reads everything a session reads.
pub(crate) struct Editor {
    input: Input,
    line: Line,
    rich: Option<Rich>,
    style: Style,
    echo: bool,
    idle: Idle,
    history: VecDeque<String>,
    history_max: usize,
    /// The other side of the terminal is.
    gone: bool,
}

impl Editor {
    /// For input that is no terminal.
    pub(crate) fn piped(idle: Idle) -> Self {
        Self::new(Style::Pipe, false, idle)
    }

    /// For a terminal in session mode, of which nothing is asked but to print.
    pub(crate) fn plain(idle: Idle) -> Self {
        Self::new(Style::Dumb, tty::echoed(), idle)
    }

    fn new(style: Style, echo: bool, idle: Idle) -> Self {
        let (input, line) = (Input::default(), Line::default());
        let (rich, history) = (None, VecDeque::new());
        Self { input, line, rich, style, echo, idle, history, history_max: HISTORY, gone: false }
    }

    /// From now on the terminal may be drawn on, if it can. What was typed ahead is kept.
    pub(crate) fn may_draw(&mut self) {
        if self.style == Style::Dumb && tty::is_capable() {
            self.style = Style::Script;
        }
    }

    /// Whether nobody can answer any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Waits for Enter, at most so long; for somebody who looks whether anything is alive.
    pub(crate) fn wait_enter(&mut self, timeout_ms: u16) -> bool {
        match self.input.wait(Some(timeout_ms)) {
            Ok(Got::Bytes) => std::iter::from_fn(|| self.input.next()).any(|byte| matches!(byte, b'\r' | b'\n')),
            Ok(Got::End) | Err(_) => {
                self.gone = true;
                false
            }
            Ok(Got::Interrupt | Got::Nothing) => false,
        }
    }

    /// Reads a command. `initial` is text before and after the cursor to go on with.
    pub(crate) fn read(&mut self, prompt: &str, initial: (&str, &str), assist: &Rc<dyn Assist>) -> Typed {
        self.idle.touch();
        let typed = match self.style {
            Style::Pipe => self.read_piped(),
            Style::Person => self.read_rich(prompt, initial, Some(Rc::clone(assist))),
            Style::Dumb | Style::Script => self.read_plain(prompt, initial, Some(assist)),
        };
        self.idle.pause();
        typed
    }

    /// Asks a question; `None` when it was not answered. Nothing is asked where nobody sits.
    pub(crate) fn ask(&mut self, question: &str) -> Option<String> {
        self.idle.touch();
        let typed = match self.style {
            Style::Pipe => Typed::Gone,
            Style::Person => self.read_rich(question, ("", ""), None),
            Style::Dumb | Style::Script => self.read_plain(question, ("", ""), None),
        };
        self.idle.pause();
        match typed {
            Typed::Line(line) => Some(line),
            _ => None,
        }
    }

    /// Asks for something that is not shown; `None` when it was not answered.
    pub(crate) fn ask_secret(&mut self, question: &str) -> Option<String> {
        self.idle.touch();
        let secret = match (self.style, &mut self.rich) {
            (Style::Pipe, _) => None,
            (Style::Person, Some(rich)) => rich.read_secret(question),
            _ => self.read_plain_secret(question),
        };
        self.idle.pause();
        secret
    }

    /// Waits for one key, for the pager; `None` for Ctrl-C or a terminal that is gone.
    pub(crate) fn key(&mut self) -> Option<u8> {
        self.idle.touch();
        let key = match self.input.wait(None) {
            Ok(Got::Bytes) => self.input.next(),
            _ => None,
        };
        self.idle.pause();
        key
    }

    /// Remembers a line, unless it is the one before.
    pub(crate) fn remember(&mut self, line: &str) {
        if self.history_max == 0 || self.history.back().is_some_and(|last| last == line) {
            return;
        }
        while self.history.len() >= self.history_max {
            self.history.pop_front();
        }
        self.history.push_back(line.to_owned());
        if let Some(rich) = &mut self.rich {
            rich.remember(line);
        }
    }

    /// The lines remembered, oldest first.
    pub(crate) fn history(&self) -> impl Iterator<Item = &str> {
        self.history.iter().map(String::as_str)
    }

    /// How many are remembered.
    pub(crate) fn set_history_max(&mut self, lines: usize) {
        self.history_max = lines;
        let surplus = self.history.len().saturating_sub(lines);
        self.history.drain(..surplus);
        // What the editor itself remembers begins anew with the next line.
        if self.rich.is_some() {
            self.rich = Rich::new(self.idle.clone(), lines).ok();
            self.teach();
        }
    }

    fn teach(&mut self) {
        if let Some(rich) = &mut self.rich {
            self.history.iter().for_each(|line| rich.remember(line));
        }
    }

    fn read_rich(&mut self, prompt: &str, initial: (&str, &str), assist: Option<Rc<dyn Assist>>) -> Typed {
        if self.rich.is_none() {
            self.rich = Rich::new(self.idle.clone(), self.history_max).ok();
            self.teach();
        }
        match &mut self.rich {
            Some(rich) => {
                self.style = Style::Person;
                rich.read(prompt, initial, assist)
            }
            None => {
                self.style = Style::Dumb;
                self.read_plain(prompt, initial, assist.as_ref())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keeps_the_last_lines_without_repeats() {
        let mut editor = Editor::piped(Idle::default());
        for n in 0..60 {
            editor.remember(&format!("line {n}"));
            editor.remember(&format!("line {n}"));
        }
        assert_eq!(editor.history().count(), HISTORY);
        assert_eq!(editor.history().last(), Some("line 59"));
        editor.set_history_max(2);
        assert_eq!(editor.history().collect::<Vec<_>>(), ["line 58", "line 59"]);
    }
}
