//! A stretch of a disk, read and written as if it were a device of its own: a partition whose table the kernel has not read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// What is said of a disk that takes nothing, and of one that gives nothing.
pub const UNWRITABLE: &str = "the disk cannot be written";
/// See [`UNWRITABLE`].
pub const UNREADABLE: &str = "the disk cannot be read";

/// From a byte of a disk on.
#[derive(Debug)]
pub struct Part {
    file: File,
    start: u64,
}

impl Part {
    /// Of a device, from its byte `start` on.
    #[must_use]
    pub fn new(file: File, start: u64) -> Self {
        Self { file, start }
    }

    /// Everything written is on the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// What is clean is dropped from memory, so that the disk itself is read next. A disk that refuses the advice is read through memory.
    pub fn forget(&self) {
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

impl From<File> for Part {
    fn from(file: File) -> Self {
        Self::new(file, 0)
    }
}

impl FileExt for Part {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(bytes, self.start + at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.file.write_at(bytes, self.start + at)
    }
}
