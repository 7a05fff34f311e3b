//! What a disk holds if the power fails at any one write: QEMU's log of writes, cut and replayed.
//!
//! The log is that of QEMU's `blklogwrites` filter, in the format of Linux's dm-log-writes (drivers/md/dm-log-writes.c).
//! A disk promises no more than its flushes: at a cut, all before the last flush is there; of what came after it, any
//! part may be, in any order, and torn between sectors. Killing QEMU alone shows none of this: the host keeps it all.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// First eight bytes of a log.
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Entries and data are laid out in these; we ask QEMU for them.
pub const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// One write, or a flush without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Byte on the disk.
    pub at: u64,
    /// What was written; empty for a bare flush.
    pub data: Vec<u8>,
    /// All before it is on the disk now.
    pub flush: bool,
    /// This write itself is on the disk when it is done.
    pub fua: bool,
}

/// A stream of choices that a seed repeats (xorshift64*): a failure can be looked at again.
#[derive(Debug)]
pub struct Choices(u64);

impl Choices {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).expect("31 bits") % bound
    }
}

/// How many entries the log has now; QEMU may still be writing it.
///
/// # Errors
/// When it is not a log.
pub fn entries_so_far(log: &Path) -> Result<usize> {
    let mut header = [0; 28];
    File::open(log)?.read_exact(&mut header).with_context(|| format!("{}: no log yet", log.display()))?;
    let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let sector = u32::from_le_bytes(header[24..28].try_into().expect("four bytes"));
    ensure!(word(0) == MAGIC && word(8) == 1, "{} is not a log of writes", log.display());
    ensure!(usize::try_from(sector)? == SECTOR, "the log has sectors of {sector} bytes");
    Ok(usize::try_from(word(16))?)
}

/// Reads the writes into `part` of the disk; their offsets are relative to its start then. Entries that lie elsewhere stay
/// as empty ones, so that numbers keep their meaning.
///
/// # Errors
/// When the log is cut short.
pub fn read(log: &Path, part: &Range<u64>) -> Result<Vec<Entry>> {
    let count = entries_so_far(log)?;
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(SECTOR as u64))?;
    let mut entries = Vec::with_capacity(count);
    for number in 0..count {
        let mut head = [0; SECTOR];
        file.read_exact(&mut head).with_context(|| format!("entry {number} of {count}"))?;
        let word = |n: usize| u64::from_le_bytes(head[n * 8..n * 8 + 8].try_into().expect("eight bytes"));
        let (at, sectors, flags) = (word(0) * SECTOR as u64, usize::try_from(word(1))?, word(2));
        let mut data = vec![0; if flags & DISCARD == 0 { sectors * SECTOR } else { 0 }];
        file.read_exact(&mut data).with_context(|| format!("data of entry {number} of {count}"))?;
        if !part.contains(&at) {
            data.clear();
        }
        let at = at.saturating_sub(part.start);
        entries.push(Entry { at, data, flush: flags & FLUSH != 0, fua: flags & FUA != 0 });
    }
    Ok(entries)
}

/// The disk after a cut behind the first `cut` entries, from `disk` as it was before them.
pub fn cut(disk: &mut [u8], entries: &[Entry], cut: usize, choices: &mut Choices) {
    let done = &entries[..cut.min(entries.len())];
    let safe = done.iter().rposition(|entry| entry.flush).map_or(0, |last| last + 1);
    for entry in &done[..safe] {
        put(disk, entry, 0..entry.data.len());
    }
    let mut loose: Vec<&Entry> = done[safe..].iter().filter(|entry| !entry.data.is_empty()).collect();
    while !loose.is_empty() {
        let entry = loose.swap_remove(choices.below(loose.len()));
        let sectors = entry.data.len() / SECTOR;
        match choices.below(10) {
            // Kept whole, as FUA always is; torn between two sectors; or lost.
            _ if entry.fua => put(disk, entry, 0..entry.data.len()),
            0..4 => put(disk, entry, 0..entry.data.len()),
            4..7 => put(disk, entry, 0..choices.below(sectors + 1) * SECTOR),
            _ => {}
        }
    }
}

fn put(disk: &mut [u8], entry: &Entry, part: Range<usize>) {
    let Ok(at) = usize::try_from(entry.at) else { return };
    let end = (at + part.end).min(disk.len());
    if let Some(room) = disk.get_mut(at..end) {
        room.copy_from_slice(&entry.data[..room.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: u64, byte: u8) -> Entry {
        Entry { at, data: vec![byte; 2 * SECTOR], flush: false, fua: false }
    }

    const FLUSHED: Entry = Entry { at: 0, data: Vec::new(), flush: true, fua: false };

    #[test]
    fn what_was_flushed_is_there_and_what_was_not_may_be() {
        let entries = [write(0, 1), FLUSHED, write(0, 2), write(1024, 3)];
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut disk = vec![0; 2048];
            cut(&mut disk, &entries, 4, &mut Choices::new(seed));
            assert!(disk[0] == 1 || disk[0] == 2, "a flushed write is lost");
            seen.insert((disk[0], disk[512], disk[1024], disk[1536]));
        }
        assert!(seen.contains(&(1, 1, 0, 0)) && seen.contains(&(2, 2, 3, 3)), "{seen:?}");
        assert!(seen.contains(&(2, 1, 0, 0)), "nothing was torn: {seen:?}");
        assert!(seen.contains(&(1, 1, 3, 3)), "nothing was reordered: {seen:?}");
    }

    #[test]
    fn a_cut_before_the_flush_promises_nothing() {
        let entries = [write(0, 1), FLUSHED];
        let lost = (0..50).any(|seed| {
            let mut disk = vec![0; 2048];
            cut(&mut disk, &entries, 1, &mut Choices::new(seed));
            disk[0] == 0
        });
        assert!(lost);
    }

    #[test]
    fn a_log_reads_back() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; SECTOR];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8] = 1;
        bytes[16] = 2;
        bytes[24..28].copy_from_slice(&512_u32.to_le_bytes());
        for (sector, count, flags) in [(9_u64, 1_u64, FUA), (0, 0, FLUSH)] {
            let mut head = vec![0; SECTOR];
            for (n, word) in [sector, count, flags].into_iter().enumerate() {
                head[n * 8..n * 8 + 8].copy_from_slice(&word.to_le_bytes());
            }
            bytes.extend(head);
            bytes.extend(vec![7; SECTOR * usize::try_from(count).unwrap()]);
        }
        std::fs::write(log.path(), bytes).unwrap();
        let entries = read(log.path(), &(4096..8192)).unwrap();
        assert_eq!(entries[0], Entry { at: 512, data: vec![7; 512], flush: false, fua: true });
        assert!(entries[1].flush);
        assert!(read(log.path(), &(0..4096)).unwrap()[0].data.is_empty());
    }
}
