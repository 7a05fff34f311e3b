//! `install add stdin`: an update comes through the operator's own connection, `ssh BOX 'install add stdin' < FILE`.
//!
//! The one-shot reads it from a pipe that is made here for it: nothing is stored on the way, and neither sftp nor scp is needed. What is in
//! the update, and whether it is believed, is the one-shot's business.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// The word for it, and how the one-shot is told which pipe.
pub(super) const WORD: &str = "stdin";

/// A pipe with a name, which goes away with the value.
pub(super) struct Pipe(PathBuf);

impl Pipe {
    /// Makes one. The one-shot has no privilege to read what others may not.
    pub(super) fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("install-{}", std::process::id()));
        mkfifo(&path, Mode::from_bits_truncate(0o644))?;
        Ok(Self(path))
    }

    /// What the one-shot is told to read.
    pub(super) fn source(&self) -> String {
        format!("{WORD}:{}", self.0.display())
    }

    /// Its writing end, once somebody reads: `None` before that.
    fn open(&self) -> io::Result<Option<File>> {
        match File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&self.0) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            Err(error) => Err(error),
            // Again, so that it waits for its reader: that is there by now.
            Ok(_first) => File::options().write(true).open(&self.0).map(Some),
        }
    }

    /// Sends standard input to whoever reads, as long as it `runs`. Somebody who reads no more has said why elsewhere.
    pub(super) fn send(&self, mut runs: impl FnMut() -> bool) -> io::Result<()> {
        while runs() {
            if let Some(to) = self.open()? {
                return pass(io::stdin().as_fd(), to);
            }
        }
        Ok(())
    }
}

/// Passes on what comes until it ends, or nobody reads it any more: that is seen while nothing comes, too.
fn pass(from: BorrowedFd<'_>, mut to: File) -> io::Result<()> {
    let mut bytes = [0; 64 << 10];
    loop {
        let mut wait = [PollFd::new(from, PollFlags::POLLIN), PollFd::new(to.as_fd(), PollFlags::empty())];
        match poll(&mut wait, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        // Of the end that is written, only that the other is gone is told unasked.
        if wait[1].any() == Some(true) {
            return Ok(());
        }
        let length = match nix::unistd::read(from, &mut bytes) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        match to.write_all(&bytes[..length]) {
            _ if length == 0 => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (File, File) {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        (reader.into(), writer.into())
    }

    #[test]
    fn all_of_it_is_passed_on() {
        let ((from, mut operator), (mut one_shot, to)) = (pipe(), pipe());
        let sent = std::thread::spawn(move || operator.write_all(&[7; 300_000]));
        let passed = std::thread::spawn(move || pass(from.as_fd(), to));
        assert_eq!(io::copy(&mut one_shot, &mut io::sink()).unwrap(), 300_000);
        sent.join().unwrap().unwrap();
        passed.join().unwrap().unwrap();
    }

    #[test]
    fn an_operator_who_stalls_is_told_when_nobody_reads_any_more() {
        let ((from, operator), (one_shot, to)) = (pipe(), pipe());
        let passed = std::thread::spawn(move || pass(from.as_fd(), to));
        drop(one_shot);
        // With the operator's end open, and nothing in it.
        passed.join().unwrap().unwrap();
        drop(operator);
    }
}
