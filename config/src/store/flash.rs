//! The few operations a save needs of a file system, so that a test can cut the power between any two of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Files of one directory; names are relative, with at most one `/`.
///
/// Each method reports what the file system says; only [`Flash::write`] and [`Flash::sync`] wait for the medium.
#[expect(clippy::missing_errors_doc, reason = "all of them: what the file system says")]
pub trait Flash {
    /// The whole file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Creates or replaces a file, for the owner only, and returns when its bytes are on the medium.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// A second name for a file.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what has it, in one step.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes a directory unless it is there.
    fn make_dir(&self, name: &str) -> io::Result<()>;
    /// Names in a directory (`""` is the top), in no order.
    fn list(&self, name: &str) -> io::Result<Vec<String>>;
    /// Returns when the names in a directory are on the medium.
    fn sync(&self, name: &str) -> io::Result<()>;
}

/// A directory of the real file system.
#[derive(Debug, Clone)]
pub struct Dir(PathBuf);

impl Dir {
    /// Files below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Flash for Dir {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // It holds hashes of passwords.
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.0.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.0.join(from), self.0.join(to))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        fs::create_dir_all(self.0.join(name))
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        fs::read_dir(self.0.join(name))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        File::open(self.0.join(name))?.sync_all()
    }
}
