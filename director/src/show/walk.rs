//! Reading the kernel's connection table: on another thread, in small pieces with pauses, one reader at a time.
//!
//! The kernel hands out a page of it for each read, walks its table from where the last one ended, and counts as busy meanwhile. Without the
//! pauses a table of a million connections would keep a small box from everything else for a second; without the turns, a few sessions that
//! look at once would do so for long, and hold their answers in memory side by side.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::director::Director;

/// Read at once. The kernel gives a page of 4 KiB, some 50 connections, however much room there is.
const READ_BYTES: usize = 16 << 10;
/// Reads between two pauses: some 3,000 connections, a millisecond or two.
const READS: u32 = 64;
/// A pause. A million connections take 330 of them.
const PAUSE: Duration = Duration::from_millis(1);

/// Hands the table's path to `read` on another thread, after those who read it now.
pub(crate) async fn run<V: Send + 'static>(director: &Director, read: impl FnOnce(&Path) -> V + Send + 'static) -> V {
    let _turn = director.walk_turn().await;
    let path: PathBuf = director.paths.proc.join("net/ip_vs_conn");
    tokio::task::spawn_blocking(move || read(&path)).await.expect("reading does not panic")
}

/// Opens the table for reading lines, on the thread that [`run`] gives.
///
/// # Errors
/// Those of the file.
#[expect(clippy::disallowed_methods, reason = "a pause is what it is for, and no condition ends it")]
pub(crate) fn open(path: &Path) -> io::Result<BufReader<Paced<File>>> {
    let pause = std::thread::sleep;
    Ok(BufReader::with_capacity(READ_BYTES, Paced { inner: File::open(path)?, reads: 0, pause }))
}

/// A reader that rests.
#[derive(Debug)]
pub(crate) struct Paced<R> {
    inner: R,
    reads: u32,
    pause: fn(Duration),
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.reads.is_multiple_of(READS) {
            (self.pause)(PAUSE);
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local!(static PAUSES: Cell<u32> = const { Cell::new(0) });

    #[test]
    fn a_long_table_is_read_whole_and_with_pauses() {
        let bytes = vec![b'x'; READ_BYTES * 200 + 1];
        let pause = |_| PAUSES.set(PAUSES.get() + 1);
        let mut reader = BufReader::with_capacity(READ_BYTES, Paced { inner: bytes.as_slice(), reads: 0, pause });
        let mut read = 0;
        while let Ok(piece @ [_, ..]) = io::BufRead::fill_buf(&mut reader) {
            let length = piece.len();
            read += length;
            io::BufRead::consume(&mut reader, length);
        }
        assert_eq!((read, PAUSES.get()), (bytes.len(), 3));
    }
}
