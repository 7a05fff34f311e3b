//! A root shell inside the director, for what no operator can do: killing daemons, foreign hands on the IPVS table.
//!
//! It exists only when the slot's kernel is started by QEMU with one more initrd appended (`disk::Slot`): the slot, its
//! root and the shipped initrd are the unmodified ones. It lives beside the director's root file system, in its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::serial::{Screen, Serial};

/// From power-on until the shell answers.
const START_LIMIT: Duration = Duration::from_secs(240);
/// One command on an emulated machine.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Nobody reads it on a screen: no row is ever cut in two.
pub const COLUMNS: usize = 10_000;

/// PID 1 for a moment: prepares the shell's root, starts it, and becomes the initrd's own `/init`.
pub const INIT: &str = include_str!("../guest/init");
/// What runs on ttyS1.
pub const SHELL: &str = include_str!("../guest/shell");

/// The shell on ttyS1.
#[derive(Debug)]
pub struct LabShell {
    serial: Serial,
    commands: u32,
}

impl LabShell {
    /// Takes over the port.
    pub fn new(serial: Serial) -> Self {
        Self { serial, commands: 0 }
    }

    /// Waits until the shell is there.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_ready(&self) -> Result<()> {
        // With the newline that ends the row.
        let ready = |screen: &Screen| {
            let rows = screen.term.lines_from(0);
            rows.iter().rev().skip(1).any(|row| row.contains("lab shell ready")).then_some(())
        };
        self.serial.wait("wait for the lab shell", START_LIMIT, ready)?;
        Ok(())
    }

    /// Runs a command line; returns its exit status and what it printed on both outputs.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn run(&mut self, line: &str) -> Result<(i32, String)> {
        self.run_within(line, COMMAND_LIMIT)
    }

    fn run_within(&mut self, line: &str, limit: Duration) -> Result<(i32, String)> {
        self.commands += 1;
        let number = self.commands;
        let first = self.serial.look(|screen| screen.term.row());
        self.serial.send(&format!("{line}\n"))?;
        let end = format!("@{number} ");
        let done = |screen: &Screen| {
            let mut rows = screen.term.lines_from(first);
            // The row of the cursor is empty: the mark is a whole row.
            rows.pop();
            let status = rows.pop()?.strip_prefix(&end)?.parse::<i32>().ok()?;
            Some((status, rows.join("\n")))
        };
        Ok(self.serial.wait(&format!("lab shell: `{line}`"), limit, done)?.0)
    }

    /// As [`LabShell::run`]; anything but exit status 0 fails.
    ///
    /// # Errors
    /// What the command said.
    pub fn ok(&mut self, line: &str) -> Result<String> {
        self.ok_within(line, COMMAND_LIMIT)
    }

    /// As [`LabShell::ok`] with an own limit.
    ///
    /// # Errors
    /// As [`LabShell::ok`].
    pub fn ok_within(&mut self, line: &str, limit: Duration) -> Result<String> {
        let (status, text) = self.run_within(line, limit).context("lab shell")?;
        ensure!(status == 0, "lab shell: `{line}` ends with {status}: {text}");
        Ok(text)
    }

    /// Process ids of the programs called `name` (as in `/proc/PID/comm`).
    ///
    /// # Errors
    /// When there is none.
    pub fn pids(&mut self, name: &str) -> Result<Vec<i32>> {
        let text = self.ok(&format!("pidof {name}"))?;
        text.split_whitespace().map(|pid| pid.parse().with_context(|| format!("pidof {name}: {text}"))).collect()
    }
}
