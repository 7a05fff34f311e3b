//! Who runs on the two boxes: vrrpd or keepalived, started, asked, signalled and buried.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Pair, Side};

impl Pair {
    /// Has another vrrpd run than the one that was built beside this program: the one of the image.
    pub fn set_program(&mut self, vrrpd: PathBuf) {
        self.program = vrrpd;
    }

    pub(super) fn built(&self) -> Result<&Path> {
        let path = &self.program;
        ensure!(path.exists(), "{}: not built, type: cargo build --package yoke-vrrp", path.display());
        Ok(path)
    }

    /// Starts our vrrpd with this configuration. It must not run there already.
    ///
    /// # Errors
    /// When the program was not built, or does not start.
    pub fn vrrpd(&mut self, side: Side, config: &str) -> Result<()> {
        let file = self.file(side, "cfg");
        std::fs::write(&file, config)?;
        let program = self.built()?.to_owned();
        let socket = self.file(side, "sock");
        let words =
            [program.as_os_str(), "--config".as_ref(), file.as_os_str(), "--socket".as_ref(), socket.as_os_str()];
        self.start(side, &words)
    }

    /// Has a running vrrpd read another configuration.
    ///
    /// # Errors
    /// Its refusal.
    pub fn reload(&self, side: Side, config: &str) -> Result<()> {
        std::fs::write(self.file(side, "cfg"), config)?;
        match self.ask(side, &vrrp::status::Request::Reload)? {
            vrrp::status::Reply::Reloaded { problems } if problems.is_empty() => Ok(()),
            other => anyhow::bail!("reload: {other:?}"),
        }
    }

    /// Asks a running vrrpd.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, side: Side, request: &vrrp::status::Request) -> Result<vrrp::status::Reply> {
        let mut client = yoke_control::Client::connect(&self.file(side, "sock"))?;
        client.set_timeout(Some(Duration::from_secs(5)))?;
        Ok(client.call(request)?)
    }

    /// Says something to a running vrrpd that it does not answer.
    ///
    /// # Errors
    /// When it is not there.
    pub fn tell(&self, side: Side, request: &vrrp::status::Request) -> Result<()> {
        let stream = std::os::unix::net::UnixStream::connect(self.file(side, "sock"))?;
        Ok(yoke_control::Connection::new(stream).send(request)?)
    }

    /// The first process of a side: vrrpd, where that is what was started.
    ///
    /// # Errors
    /// When there is none.
    pub fn pid(&self, side: Side) -> Result<i32> {
        self.pids(side)?.into_iter().min().with_context(|| format!("nothing runs on side {side:?}"))
    }

    /// All processes of a side.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn pids(&self, side: Side) -> Result<Vec<i32>> {
        let output = Command::new("ip").args(["netns", "pids", &self.ns(side.letter())]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut pids: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        pids.retain(|pid| pid.cast_unsigned() != std::process::id());
        Ok(pids)
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self, side: Side) -> Result<vrrp::status::Status> {
        match self.ask(side, &vrrp::status::Request::Status)? {
            vrrp::status::Reply::Status(status) => Ok(status),
            other => anyhow::bail!("status: {other:?}"),
        }
    }

    /// Runs `vrrpd --release` to its end.
    ///
    /// # Errors
    /// When it fails.
    pub fn release(&self, side: Side) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.ns(side.letter())]).arg(self.built()?).args(["--release", "--config"]);
        let output = command.arg(self.file(side, "cfg")).output()?;
        ensure!(output.status.success(), "vrrpd --release: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Starts keepalived with this configuration.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn keepalived(&mut self, side: Side, config: &str) -> Result<()> {
        let file = self.file(side, "conf");
        std::fs::write(&file, config)?;
        let (pid, vrrp_pid) = (self.file(side, "pid"), self.file(side, "vpid"));
        for stale in [&pid, &vrrp_pid] {
            let _ = std::fs::remove_file(stale);
        }
        let words = ["keepalived", "-n", "-l", "-P", "-f"].map(AsRef::as_ref);
        let words =
            [&words[..], &[file.as_os_str(), "-p".as_ref(), pid.as_os_str(), "-r".as_ref(), vrrp_pid.as_os_str()]];
        self.start(side, &words.concat())
    }

    pub(super) fn start(&mut self, side: Side, words: &[&std::ffi::OsStr]) -> Result<()> {
        self.reap(side);
        let log = File::options().create(true).append(true).open(self.file(side, "log"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &self.ns(side.letter())]).args(words);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.running[usize::from(side.number() - 1)] = Some(child.with_context(|| format!("start {words:?}"))?);
        Ok(())
    }

    pub(super) fn file(&self, side: Side, kind: &str) -> PathBuf {
        self.dir.join(format!("{}-{}.{kind}", self.tag, side.letter()))
    }

    /// The process that was started on a side, which is the first of keepalived's two.
    ///
    /// # Errors
    /// When there is none.
    pub fn started(&self, side: Side) -> Result<Pid> {
        let child = self.running[usize::from(side.number() - 1)].as_ref();
        Ok(Pid::from_raw(child.with_context(|| format!("nothing runs on side {side:?}"))?.id().cast_signed()))
    }

    /// Sends a signal to all processes of a side: keepalived has two, of which the first would have the second resign.
    ///
    /// # Errors
    /// When there is none.
    pub fn signal(&mut self, side: Side, signal: Signal) -> Result<()> {
        let mut pids = self.pids(side)?;
        ensure!(!pids.is_empty(), "nothing runs on side {side:?}");
        pids.sort_unstable();
        for pid in pids.into_iter().rev() {
            // It may have ended with the one before.
            let _ = kill(Pid::from_raw(pid), signal);
        }
        if matches!(signal, Signal::SIGKILL | Signal::SIGTERM) {
            self.reap(side);
        }
        Ok(())
    }

    pub(super) fn reap(&mut self, side: Side) {
        if let Some(mut child) = self.running[usize::from(side.number() - 1)].take() {
            let _ = child.wait();
        }
    }

    /// What the programs of a side have written so far.
    #[must_use]
    pub fn written(&self, side: Side) -> String {
        std::fs::read_to_string(self.file(side, "log")).unwrap_or_default()
    }

    /// The end of what both have written.
    pub(super) fn logs(&self) -> String {
        let mut text = String::new();
        for side in Side::BOTH {
            let log = self.written(side);
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(12)..].join("\n");
            text += &format!("side {side:?} wrote:\n{tail}\n");
        }
        text
    }
}
