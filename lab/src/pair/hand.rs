//! An `ip` that is running already and waits for words: what a bench does to a link happens within a fraction of a millisecond, and not
//! when a busy machine has started a program.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

/// Above both routers (50): the blow falls when it is meant to.
pub(super) const PRIORITY: &str = "60";

/// It ends with its value.
#[derive(Debug)]
pub struct Hand {
    ip: Child,
    words: ChildStdin,
}

impl Hand {
    pub(super) fn start(ns: &str) -> Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "chrt", "--fifo", PRIORITY, "ip", "-n", ns, "-force", "-batch", "-"]);
        let mut ip = command.stdin(Stdio::piped()).spawn().context("start ip (packages util-linux, iproute2)")?;
        let words = ip.stdin.take().context("its input is a pipe")?;
        Ok(Self { ip, words })
    }

    /// Has it do this, in the words of ip(8). What it complains of goes to stderr; whether it had an effect, the caller sees.
    ///
    /// # Errors
    /// When it has ended.
    pub fn say(&mut self, words: &str) -> Result<()> {
        self.words.write_all(format!("{words}\n").as_bytes()).context("ip has ended")
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let _ = self.ip.kill();
        let _ = self.ip.wait();
    }
}
