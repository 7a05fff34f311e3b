//! How a failure is said: on the terminal under the line that was typed, or on standard error with the line before it.

use std::io::{self, Write};

use yoke_config::walk::{LineError, caret, looks_secret};

use crate::outcome::Fail;
use crate::tty;

/// Where a line came from, for the report of what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    /// Typed behind a prompt of this width.
    Prompt(usize),
    /// Line of a script.
    Script(usize),
    /// The end of a script, which leaves what is open.
    End,
}

/// The failure of a line that means nothing.
pub(crate) fn syntax(error: &LineError, line: &str) -> Fail {
    match error {
        LineError::Denied => Fail::denied("Permission denied: privilege 15 needed"),
        LineError::Invalid { offset, .. } => {
            Fail::Syntax { at: Some(*offset), lines: error.render(line, 0).into_iter().skip(1).collect() }
        }
        _ => Fail::Syntax { at: None, lines: error.render(line, 0) },
    }
}

/// Says what went wrong: on the terminal under the line, else to standard error with the line before it.
pub(crate) fn report(fail: &Fail, line: &str, origin: Origin) {
    let lines = fail.lines();
    if lines.is_empty() {
        return;
    }
    let mut text = String::new();
    let width = match origin {
        Origin::Prompt(width) => width,
        Origin::Script(number) => {
            let prefix = format!("line {number}: ");
            if !looks_secret(line) {
                text = format!("{prefix}{line}\n");
            }
            prefix.chars().count()
        }
        Origin::End => 0,
    };
    if let Fail::Syntax { at: Some(at), .. } = fail {
        text.push_str(&format!("{}\n", caret(width, line, *at)));
    }
    lines.iter().for_each(|line| text.push_str(&format!("{}\n", tty::harmless(line))));
    // Nobody can be told that standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}
