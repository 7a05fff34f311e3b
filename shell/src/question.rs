//! Questions to whoever sits there. Where nobody does, a question is a refusal.

use crate::outcome::{Fail, Stop};
use crate::session::Shell;
use crate::tty;

impl Shell {
    /// Asks a question that needs yes; what is asked for goes ahead with `force`.
    ///
    /// # Errors
    /// [`Fail::Refused`] when the answer is no, or nobody is there to answer.
    pub(crate) fn confirm(&mut self, question: &str, force: &str) -> Result<(), Fail> {
        self.somebody(force)?;
        let answer = self.editor.borrow_mut().ask(&format!("{question} [confirm]"));
        match answer.as_deref().map(str::trim) {
            Some("" | "y" | "Y" | "yes") => Ok(()),
            _ => Err(Stop::Enough.into()),
        }
    }

    /// Says what will be lost and asks for a yes, of `command`, which goes ahead with `force`.
    ///
    /// # Errors
    /// As [`Self::confirm`].
    pub(crate) fn give_up(&mut self, command: &str, loss: &str, question: &str) -> Result<(), Fail> {
        self.somebody(command)?;
        tty::show(loss);
        match self.yes_or_no(question) {
            Some(true) => Ok(()),
            _ => Err(Stop::Enough.into()),
        }
    }

    fn somebody(&self, command: &str) -> Result<(), Fail> {
        if self.terminal.interactive {
            return Ok(());
        }
        let object = command.trim_end_matches(':');
        Err(Fail::failed(format!("{object}: nobody to ask for confirmation, use: {command} force")))
    }

    /// Asks a question until the answer is yes or no; `None` for Ctrl-C.
    pub(crate) fn yes_or_no(&mut self, question: &str) -> Option<bool> {
        loop {
            let answer = self.editor.borrow_mut().ask(&format!("{question} [yes/no]: "))?;
            match answer.trim().to_ascii_lowercase().as_str() {
                "yes" | "y" => return Some(true),
                "no" | "n" => return Some(false),
                _ => tty::show("% Please answer 'yes' or 'no'.\n"),
            }
        }
    }
}
