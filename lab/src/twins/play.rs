//! A program plays a block of lines: what it says of each, and what is in the kernel afterwards.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::corpus::{Block, Line};

/// The kernel's own listing of this namespace's table: services, forwarding, weights.
const TABLE: &str = "/proc/self/net/ip_vs";

/// What is read by the original after each block, whoever has played it: all that [`TABLE`] does not tell.
const READINGS: [&str; 5] = ["-S -n", "-L -n --thresholds", "-L -n --tun-info", "-L --timeout", "-L --daemon"];

/// Puts everything back that a block may have left, in one process.
const RESET: &str = "-C\n--set 900 120 300\n--stop-daemon master\n--stop-daemon backup\n";

/// One of the two.
#[derive(Debug)]
pub struct Program {
    path: &'static str,
    /// What it is called by: a message that names the program shall not tell which it is.
    name: &'static str,
    /// Lines it has ended with another status than 0.
    pub refused: Cell<usize>,
}

/// What a line did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status; 128 + signal when it was killed.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A line and all that came of it.
#[derive(Debug)]
pub struct Played {
    line: Line,
    outcome: Outcome,
    table: String,
}

impl Program {
    /// The program at `path`.
    pub fn new(path: &'static str) -> Self {
        Self { path, name: "ipvsadm", refused: Cell::new(0) }
    }

    /// The same, called by another name.
    pub fn named(&self, name: &'static str) -> Self {
        Self { path: self.path, name, refused: Cell::new(0) }
    }

    /// Runs one line.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn run(&self, line: &Line) -> Result<Outcome> {
        let mut command = Command::new(self.path);
        command.arg0(self.name).args(&line.words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {}", self.path))?;
        // Nobody has to read it; and it is far shorter than a pipe holds.
        let _ = child.stdin.take().context("it was piped")?.write_all(line.input.as_bytes());
        let output = child.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status).unwrap_or(0);
        let status = output.status.code().unwrap_or(128 + signal);
        Ok(Outcome { status, out: text(output.stdout), err: text(output.stderr) })
    }

    /// As [`Program::run`], of words; the line has to succeed.
    ///
    /// # Errors
    /// When it does not.
    pub fn ok(&self, words: &str, input: &str) -> Result<String> {
        let outcome = self.run(&Line { input: input.to_owned(), ..Line::words(words) })?;
        let Outcome { status, out, err } = outcome;
        ensure!(status == 0 && err.is_empty(), "{} {words} ends with {status}: {err}", self.path);
        Ok(out)
    }

    /// Plays a block from an empty table to an empty table. `reader` reads what was left in the end.
    ///
    /// # Errors
    /// When a program cannot be started.
    pub fn play(&self, reader: &Self, block: &Block) -> Result<Vec<Played>> {
        let table = || std::fs::read_to_string(TABLE).context(TABLE);
        let mut played = Vec::new();
        for line in &block.lines {
            let mut outcome = self.run(line)?;
            if outcome.status != 0 {
                self.refused.set(self.refused.get() + 1);
            }
            if line.is_own_text() {
                outcome.out.clear();
            }
            played.push(Played { line: line.clone(), outcome, table: table()? });
        }
        for reading in READINGS {
            let line = Line::words(reading);
            played.push(Played { outcome: reader.run(&line)?, line, table: String::new() });
        }
        reader.reset()?;
        Ok(played)
    }

    /// Leaves an empty table, no daemon, and the kernel's timeouts.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn reset(&self) -> Result<()> {
        // What does not run cannot be stopped: that is a refusal, and gone past.
        self.run(&Line { input: RESET.to_owned(), ..Line::words("-R") })?;
        Ok(())
    }

    /// All there is to read, one reading after the other.
    ///
    /// # Errors
    /// When one fails.
    pub fn everything(&self) -> Result<String> {
        READINGS.iter().map(|words| self.ok(words, "")).collect()
    }
}

/// The lines on which two programs differ, each with what both did. Beside each other, line by line.
pub fn differences(expected: &[Played], found: &[Played]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (expected, found) in expected.iter().zip(found) {
        if expected.outcome == found.outcome && expected.table == found.table {
            continue;
        }
        let mut text = format!("### {}\n", expected.line);
        if expected.line != found.line {
            let _ = writeln!(text, "### (the other: {})", found.line);
        }
        for (who, played) in [("original", expected), ("ours", found)] {
            let Outcome { status, out, err } = &played.outcome;
            let _ = writeln!(text, "--- {who}: status {status}");
            let tables = if expected.table == found.table { "" } else { &played.table };
            for (mark, lines) in [("o|", out.as_str()), ("e|", err.as_str()), ("k|", tables)] {
                lines.lines().for_each(|line| {
                    let _ = writeln!(text, "{mark}{line}");
                });
            }
        }
        wrong.push(text);
    }
    if expected.len() != found.len() {
        wrong.push(format!("{} lines were played, and {}", expected.len(), found.len()));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(status: i32, out: &str, err: &str, table: &str) -> Vec<Played> {
        let outcome = Outcome { status, out: out.into(), err: err.into() };
        vec![Played { line: Line::words("-L -n"), outcome, table: table.into() }]
    }

    #[test]
    fn each_kind_of_difference_is_one() {
        let right = || played(0, "a\n", "", "t\n");
        assert!(differences(&right(), &right()).is_empty());
        for wrong in [
            played(1, "a\n", "", "t\n"),
            played(0, "a", "", "t\n"),
            played(0, "a\n", "e", "t\n"),
            played(0, "a\n", "", "u\n"),
            vec![],
        ] {
            assert_eq!(differences(&right(), &wrong).len(), 1, "{wrong:?}");
        }
        let text = &differences(&right(), &played(2, "b\n", "", "t\n"))[0];
        assert_eq!(text, "### -L -n\n--- original: status 0\no|a\n--- ours: status 2\no|b\n");
    }
}
