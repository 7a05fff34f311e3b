//! The operator at the serial console: logs in, types a line, reads what comes back up to the next prompt.
//!
//! Knows prompts and `%` lines, not what any command prints.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use regex_lite::Regex;

use crate::serial::{Screen, Serial};

/// A command's time on an emulated machine with one core that may be busy.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// From power-on to the console's first question, with firmware that may be UEFI.
pub const BOOT_LIMIT: Duration = Duration::from_secs(240);

/// `lb1#`, `lb1(config-vs*)#`.
static PROMPT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\(config[A-Za-z0-9._*-]*\))?[>#]$").expect("a constant pattern")
});

/// The console of a running machine.
#[derive(Debug)]
pub struct Console {
    /// The port, for what this type does not cover.
    pub serial: Serial,
}

/// What came back between a line and the next prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Rows between the echo and the prompt.
    pub lines: Vec<String>,
    /// The prompt that followed.
    pub prompt: String,
}

impl Answer {
    /// All rows.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The `%` rows that say the line did not do what it says.
    pub fn errors(&self) -> Vec<&str> {
        let harmless = |line: &str| line.starts_with("% Warning:") || line.starts_with("% Note:");
        self.lines.iter().map(String::as_str).filter(|l| l.starts_with('%') && !harmless(l)).collect()
    }
}

/// The prompt the cursor waits behind, if it does.
fn prompt(screen: &Screen) -> Option<String> {
    let (text, nothing_typed) = screen.term.before_cursor();
    (nothing_typed && PROMPT.is_match(&text)).then_some(text)
}

impl Console {
    /// Takes over a port.
    pub fn new(serial: Serial) -> Self {
        Self { serial }
    }

    /// Waits for any prompt and returns it.
    ///
    /// # Errors
    /// When there is none within `limit`.
    pub fn wait_prompt(&self, limit: Duration) -> Result<(String, Instant)> {
        self.serial.wait("wait for a prompt", limit, prompt)
    }

    /// Types `line` at a prompt and waits for the next one.
    ///
    /// # Errors
    /// When there is no prompt before or after, within [`COMMAND_LIMIT`] each.
    pub fn run(&mut self, line: &str) -> Result<Answer> {
        self.run_within(line, COMMAND_LIMIT)
    }

    /// As [`Console::run`] with an own limit.
    ///
    /// # Errors
    /// As [`Console::run`].
    pub fn run_within(&mut self, line: &str, limit: Duration) -> Result<Answer> {
        let (before, _) = self.wait_prompt(COMMAND_LIMIT).with_context(|| format!("before `{line}`"))?;
        let start = self.serial.look(|screen| screen.term.row());
        self.serial.send(&format!("{line}\r"))?;
        // A row that the echo fills to the last column has wrapped already.
        let echo_rows = (before.len() + line.len()) / 80 + 1;
        let done = |screen: &Screen| {
            let row = screen.term.row();
            let prompt = prompt(screen).filter(|_| row >= start + echo_rows)?;
            let mut lines = screen.term.lines_from(start + echo_rows);
            lines.pop();
            Some(Answer { lines, prompt })
        };
        Ok(self.serial.wait(&format!("`{line}`"), limit, done)?.0)
    }

    /// As [`Console::run`]; a `%` row that is not a warning or a note fails.
    ///
    /// # Errors
    /// The rows.
    pub fn ok(&mut self, line: &str) -> Result<Answer> {
        let answer = self.run(line)?;
        ensure!(answer.errors().is_empty(), "`{line}` is refused: {}", answer.text());
        Ok(answer)
    }

    /// As [`Console::ok`], with `| json`, parsed.
    ///
    /// # Errors
    /// Also when the answer is not one JSON value.
    pub fn json(&mut self, line: &str) -> Result<serde_json::Value> {
        let answer = self.ok(&format!("{line} | json"))?;
        let text = answer.text();
        serde_json::from_str(&text).with_context(|| format!("`{line} | json` prints {text:?}"))
    }

    /// `configure terminal`, `lines`, `end`: each must be accepted, and the mode left.
    ///
    /// # Errors
    /// The first refusal.
    pub fn configure(&mut self, lines: &[&str]) -> Result<()> {
        self.ok("configure terminal")?;
        for line in lines {
            self.ok(line)?;
        }
        let end = self.ok("end")?;
        ensure!(!end.prompt.contains('('), "`end` stays at {}", end.prompt);
        Ok(())
    }

    /// Answers the two questions of a factory-fresh box and waits for its prompt.
    ///
    /// # Errors
    /// When the questions or the prompt do not come.
    pub fn first_password(&mut self, password: &str) -> Result<Instant> {
        let row = self.serial.look(|screen| screen.term.row());
        self.serial.wait_text(0, "Password for user admin (new):", BOOT_LIMIT)?;
        self.serial.send(&format!("{password}\r"))?;
        self.serial.wait_text(row, "Again:", COMMAND_LIMIT)?;
        self.serial.send(&format!("{password}\r"))?;
        Ok(self.wait_prompt(COMMAND_LIMIT)?.1)
    }

    /// Waits for `login:` on the cursor's row.
    ///
    /// # Errors
    /// When it does not come within `limit`.
    pub fn wait_login(&self, limit: Duration) -> Result<Instant> {
        let waiting = |screen: &Screen| screen.term.before_cursor().0.trim_end().ends_with("login:").then_some(());
        Ok(self.serial.wait("wait for `login:`", limit, waiting)?.1)
    }

    /// Types a name and a password at `login:`; returns whether a prompt followed.
    ///
    /// # Errors
    /// When neither a prompt nor a new `login:` comes.
    pub fn try_login(&mut self, user: &str, password: &str) -> Result<bool> {
        self.wait_login(BOOT_LIMIT)?;
        let row = self.serial.look(|screen| screen.term.row());
        self.serial.send(&format!("{user}\r"))?;
        self.serial.wait_text(row, "Password:", COMMAND_LIMIT)?;
        let row = self.serial.look(|screen| screen.term.row());
        self.serial.send(&format!("{password}\r"))?;
        let settled = |screen: &Screen| {
            let again = || screen.term.row() > row && screen.term.before_cursor().0.trim_end().ends_with("login:");
            if prompt(screen).is_some() { Some(true) } else { again().then_some(false) }
        };
        Ok(self.serial.wait("log in", COMMAND_LIMIT, settled)?.0)
    }

    /// As [`Console::try_login`], and the pager off.
    ///
    /// # Errors
    /// When the login is refused.
    pub fn login(&mut self, user: &str, password: &str) -> Result<()> {
        ensure!(self.try_login(user, password)?, "login of {user} refused");
        self.ok("terminal length 0")?;
        Ok(())
    }

    /// Types Ctrl-C and waits for the prompt it brings.
    ///
    /// # Errors
    /// When it brings none.
    pub fn interrupt(&mut self) -> Result<String> {
        let start = self.serial.look(|screen| screen.term.row());
        self.serial.send("\x03")?;
        let fresh = |screen: &Screen| prompt(screen).filter(|_| screen.term.row() > start);
        Ok(self.serial.wait("Ctrl-C", COMMAND_LIMIT, fresh)?.0)
    }

    /// Comes back to the EXEC prompt from wherever a failed check has left the console.
    ///
    /// # Errors
    /// When there is no way back.
    pub fn recover(&mut self) -> Result<()> {
        for _ in 0..4 {
            let prompt = self.interrupt()?;
            if !prompt.contains('(') {
                return Ok(());
            }
            let answer = self.run(if prompt.contains("*)") { "abort" } else { "end" })?;
            if !answer.prompt.contains('(') {
                return Ok(());
            }
        }
        bail!("no way back to the EXEC prompt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_told_from_text() {
        for yes in ["yoke#", "yoke>", "lb-1.x(config)#", "lb1(config-vs-rs*)#", "lb1(config-s-night-vs)#"] {
            assert!(PROMPT.is_match(yes), "{yes}");
        }
        for no in ["yoke#show", "Password:", "#", "yoke login:", "grub>  x", "Save? [yes/no]:"] {
            assert!(!PROMPT.is_match(no), "{no}");
        }
    }

    #[test]
    fn warnings_are_not_errors() {
        let lines = ["% Warning: odd", "% Error: web: wrong", "text"].map(str::to_owned).to_vec();
        assert_eq!(Answer { lines, prompt: String::new() }.errors(), ["% Error: web: wrong"]);
    }
}
