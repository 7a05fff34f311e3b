//! Runs the nft program and waits for it, at most for a while. Blocks, so the loop calls it on another thread.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::TABLE;

/// How long nft may take. A script for a thousand virtual servers takes some ten milliseconds; a change waits meanwhile, and so do those after
/// it.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// Why nft did not do what it was told, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It said so: nothing has changed.
    Refused(String),
    /// It came to no end of its own, and may have done it all the same.
    Unknown(String),
}

impl Failure {
    /// The sentence.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Refused(why) | Self::Unknown(why) => why,
        }
    }
}

/// Hands `script` to nft, which applies all of it or nothing.
///
/// # Errors
/// What nft says, or why it could not be run.
pub(crate) fn apply(program: &Path, script: &str) -> Result<(), Failure> {
    run(program, &["-f", "-"], script, LIMIT).map(drop)
}

/// The table as nft lists it, sorted and without counters; empty when there is none.
///
/// # Errors
/// What nft says, or why it could not be run.
pub(crate) fn list(program: &Path) -> Result<String, String> {
    let words: Vec<&str> = ["-s", "list", "table"].into_iter().chain(TABLE.split(' ')).collect();
    match run(program, &words, "", LIMIT) {
        // The kernel's ENOENT, in the words of the C library.
        Err(Failure::Refused(said)) if said.contains("No such file or directory") && program.exists() => {
            Ok(String::new())
        }
        other => other.map_err(Failure::why),
    }
}

/// How many packets a named counter has counted.
///
/// # Errors
/// What nft says, or why it could not be run.
pub(crate) fn counter(program: &Path, table: &str, name: &str) -> Result<u64, String> {
    let words: Vec<&str> = ["list", "counter"].into_iter().chain(table.split(' ')).chain([name]).collect();
    let said = run(program, &words, "", LIMIT).map_err(Failure::why)?;
    let mut words = said.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    let count = words.next().and_then(|number| number.parse().ok());
    count.ok_or_else(|| format!("nft: counter {name} cannot be read"))
}

pub(super) fn run(program: &Path, arguments: &[&str], input: &str, limit: Duration) -> Result<String, Failure> {
    let refused = |e: std::io::Error| Failure::Refused(format!("nft: {e}"));
    let unknown = |e: std::io::Error| Failure::Unknown(format!("nft: {e}"));
    let mut child = Command::new(program)
        .env_clear()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(refused)?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let (mut stdin, mut stdout, mut stderr) =
        (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (mut listed, mut said) = (Vec::new(), Vec::new());
    let killed = thread::scope(|scope| {
        let (ended, end) = channel::<()>();
        let watch = scope.spawn(move || {
            let late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late {
                // It has not been waited for, so the number is still its own.
                let _ = kill(pid, Signal::SIGKILL);
            }
            late
        });
        let writer = scope.spawn(move || stdin.write_all(input.as_bytes()));
        let complaints = scope.spawn(|| stderr.read_to_end(&mut said));
        // What cannot be read is told by the exit status.
        let _ = stdout.read_to_end(&mut listed);
        let _ = (writer.join(), complaints.join());
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        drop(ended);
        watch.join().unwrap_or_default()
    });
    let status = child.wait().map_err(unknown)?;
    if killed {
        return Err(Failure::Unknown(format!("nft: no end after {} seconds, it was stopped", limit.as_secs())));
    }
    if status.success() {
        return Ok(String::from_utf8_lossy(&listed).into_owned());
    }
    let said = String::from_utf8_lossy(&said);
    let sentence = format!("nft: {}", said.lines().next().unwrap_or("failed without a word").trim());
    // A signal is no answer.
    Err(if status.code().is_some() { Failure::Refused(sentence) } else { Failure::Unknown(sentence) })
}
