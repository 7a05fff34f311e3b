//! Sessions where nobody sits: lines of `-c` or of standard input, one after the other, until one fails.

use std::rc::Rc;

use yoke_config::walk::Position;

use crate::editor::Typed;
use crate::outcome::{Fail, Status};
use crate::report::{Origin, report};
use crate::session::Shell;

/// What a script says next.
pub(crate) enum Next {
    /// This line.
    Line(String),
    /// Nothing more.
    End,
    /// The beginning of a line: the connection or the program it came from is gone.
    Cut(String),
    /// Stop.
    Interrupted,
}

impl Shell {
    /// Runs the lines of standard input; the exit status.
    pub(crate) fn run_piped(&mut self) -> u8 {
        let assist: Rc<dyn crate::editor::Assist> = Rc::new(self.assistant());
        let editor = Rc::clone(&self.editor);
        self.run_script(|| match editor.borrow_mut().read("", ("", ""), &assist) {
            Typed::Line(line) | Typed::End(line) => Next::Line(line),
            Typed::Cut(line) => Next::Cut(line),
            Typed::Interrupted => Next::Interrupted,
            _ => Next::End,
        })
    }

    /// Runs lines until they end or one fails; the exit status is that of the first failure. What is open when they end is applied, unless they
    /// break off.
    pub(crate) fn run_script(&mut self, mut next: impl FnMut() -> Next) -> u8 {
        let mut status = 0;
        let mut number = 0;
        while !self.ended {
            number += 1;
            let line = match next() {
                Next::Line(line) => line,
                Next::End => break,
                // A command that is whole does what it says; half a line of configuration would do something else.
                Next::Cut(line) if matches!(self.position, Position::Exec(_)) => line,
                Next::Cut(line) => {
                    self.open = None;
                    let why = "the input ended within this line: it is not taken, nor is the block it stands in";
                    let fail = Fail::Refused { status: Status::NotApplied, problems: vec![why.to_owned()] };
                    report(&fail, &line, Origin::Script(number));
                    return if status == 0 { fail.code() } else { status };
                }
                Next::Interrupted => {
                    self.open = None;
                    return if status == 0 { Status::Interrupted as u8 } else { status };
                }
            };
            let code = self.serve(&line, Origin::Script(number));
            if status == 0 {
                status = code;
            }
            if code == Status::Interrupted as u8 || (code != 0 && !self.terminal.continue_on_error) {
                return status;
            }
        }
        if self.open.is_some() {
            let code = self.serve("end", Origin::End);
            if status == 0 {
                status = code;
            }
        }
        status
    }
}
