//! `install add stdin`: an update comes through the operator's own connection, `ssh BOX 'install add stdin' < FILE`.
//!
//! The one-shot reads it from a pipe that is made here for it: nothing is stored on the way, and neither sftp nor scp is needed. What is in
//! the update, and whether it is believed, is the one-shot's business.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use nix::libc;
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
            if let Some(mut to) = self.open()? {
                return match io::copy(&mut io::stdin().lock(), &mut to) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    other => other.map(drop),
                };
            }
        }
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
