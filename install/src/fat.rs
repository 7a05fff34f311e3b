//! FAT32, read only and without the kernel: a file by its name, from the loader's partition or from an operator's USB stick.
//!
//! Nothing is mounted: no driver of the kernel parses what a stranger has formatted, no file of it can be executed, and the one-shot needs
//! no privilege but to read the device. What is damaged is an error: no chain is followed further than its folder or file can be long.
//! FAT12, FAT16 and exFAT are not read.

use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::FileExt;

use anyhow::{Context as _, Result, bail, ensure};

/// Clusters followed of one folder; more is a circle. Of 512 bytes, 16,384 entries.
const FOLDER_CLUSTERS_MAX: usize = 1024;
/// Largest cluster that FAT32 allows and a little more, as some formatters do.
const CLUSTER_BYTES_MAX: u64 = 256 << 10;
/// Bytes of a directory entry, of its name, and where in it is what (Microsoft's FAT specification 1.03, parts 6 and 7).
const ENTRY_BYTES: usize = 32;
const NAME_BYTES: usize = 11;
/// Marks of an entry that is a part of a long name, of the disk's label, and of a folder.
const LONG_NAME: u8 = 0x0f;
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
/// First byte of an entry that was deleted, and of the first that was never used.
const DELETED: u8 = 0xe5;
const UNUSED: u8 = 0;
/// Where the characters of a long name are in its entries.
const LONG_CHARACTERS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// Entries of one long name: 255 characters.
const LONG_ENTRIES_MAX: usize = 20;
/// Cluster numbers have 28 bits; from here on it is the end of a chain.
const CLUSTER_MASK: u32 = 0x0fff_ffff;
const CHAIN_END: u32 = 0x0fff_fff8;

/// A file system on what a pointer points to. Bytes and clusters.
#[derive(Debug)]
pub struct Fat<D> {
    device: D,
    table: u64,
    data: u64,
    cluster_bytes: u64,
    root: u32,
}

/// A file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its first cluster.
    pub cluster: u32,
    /// Bytes; 0 for a folder.
    pub size: u32,
    folder: bool,
}

impl<D: Deref<Target: FileExt>> Fat<D> {
    /// Reads the boot sector.
    ///
    /// # Errors
    /// It is none of FAT32.
    pub fn open(device: D) -> Result<Self> {
        let mut sector = [0; 512];
        device.read_exact_at(&mut sector, 0)?;
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let u32_at = |at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
        let (sector_bytes, per_cluster) = (u16_at(11), u64::from(sector[13]));
        // FAT12 and FAT16 have the size of their table elsewhere, and 0 here or something else.
        let (fat_sectors, of_old) = (u64::from(u32_at(36)), u16_at(22));
        ensure!(
            sector[510..] == [0x55, 0xaa]
                && matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
                && per_cluster > 0
                && per_cluster * sector_bytes <= CLUSTER_BYTES_MAX
                && fat_sectors > 0
                && of_old == 0,
            "is no FAT32"
        );
        let table = u16_at(14) * sector_bytes;
        let data = table + u64::from(sector[16]) * fat_sectors * sector_bytes;
        let cluster_bytes = per_cluster * sector_bytes;
        Ok(Self { device, table, data, cluster_bytes, root: u32_at(44) & CLUSTER_MASK })
    }

    /// The file at `path`, with `/` between folders, in small or capital letters.
    ///
    /// # Errors
    /// There is none, or a folder is damaged.
    pub fn file(&self, path: &str) -> Result<Entry> {
        let mut at = Entry { cluster: self.root, size: 0, folder: true };
        for name in path.split('/').filter(|name| !name.is_empty()) {
            ensure!(at.folder, "has no {path}");
            at = self.find(at.cluster, name)?.with_context(|| format!("has no {path}"))?;
        }
        ensure!(!at.folder, "has no file {path}");
        Ok(at)
    }

    /// Where a cluster is on the device.
    ///
    /// # Errors
    /// There is no such cluster.
    pub fn place(&self, cluster: u32) -> Result<u64> {
        let number = cluster.checked_sub(2).context("is damaged: a chain leads nowhere")?;
        Ok(self.data + u64::from(number) * self.cluster_bytes)
    }

    /// The bytes of a file.
    #[must_use]
    pub fn read(self, file: Entry) -> Content<D> {
        let left = u64::from(file.size);
        Content { fat: self, cluster: file.cluster, at: 0, left }
    }

    fn next(&self, cluster: u32) -> io::Result<u32> {
        let mut next = [0; 4];
        self.device.read_exact_at(&mut next, self.table + u64::from(cluster) * 4)?;
        Ok(u32::from_le_bytes(next) & CLUSTER_MASK)
    }

    fn find(&self, mut cluster: u32, name: &str) -> Result<Option<Entry>> {
        let mut long = LongName::default();
        let mut entries = vec![0; usize::try_from(self.cluster_bytes)?];
        for _ in 0..FOLDER_CLUSTERS_MAX {
            self.device.read_exact_at(&mut entries, self.place(cluster)?)?;
            for entry in entries.chunks_exact(ENTRY_BYTES) {
                let kind = entry[11];
                match entry[0] {
                    UNUSED => return Ok(None),
                    DELETED => long = LongName::default(),
                    _ if kind & LONG_NAME == LONG_NAME => long.add(entry),
                    _ if kind & LABEL != 0 => long = LongName::default(),
                    _ => {
                        let found = long.take(&entry[..NAME_BYTES]).unwrap_or_else(|| short(&entry[..NAME_BYTES]));
                        if found.eq_ignore_ascii_case(name) || short(&entry[..NAME_BYTES]).eq_ignore_ascii_case(name) {
                            let high = u32::from(u16::from_le_bytes([entry[20], entry[21]]));
                            let low = u32::from(u16::from_le_bytes([entry[26], entry[27]]));
                            let size = u32::from_le_bytes([entry[28], entry[29], entry[30], entry[31]]);
                            let folder = kind & FOLDER != 0;
                            return Ok(Some(Entry { cluster: (high << 16 | low) & CLUSTER_MASK, size, folder }));
                        }
                    }
                }
            }
            cluster = self.next(cluster)?;
            if cluster >= CHAIN_END {
                return Ok(None);
            }
        }
        bail!("is damaged: a folder has no end")
    }
}

/// `GRUB.CFG` of the eleven bytes on disk.
fn short(name: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (base, extension) = (text(&name[..8]), text(&name[8..]));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// A long name as its entries come, the last part first.
#[derive(Debug, Default)]
struct LongName {
    parts: Vec<[u16; LONG_CHARACTERS.len()]>,
    sum: u8,
}

impl LongName {
    fn add(&mut self, entry: &[u8]) {
        // The mark of the last part.
        if entry[0] & 0x40 != 0 {
            self.parts.clear();
            self.sum = entry[13];
        }
        if self.sum == entry[13] && self.parts.len() < LONG_ENTRIES_MAX {
            self.parts.push(LONG_CHARACTERS.map(|at| u16::from_le_bytes([entry[at], entry[at + 1]])));
        }
    }

    /// The name, if it belongs to the entry with this short one.
    fn take(&mut self, short: &[u8]) -> Option<String> {
        let Self { parts, sum } = std::mem::take(self);
        let of_short = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if parts.is_empty() || sum != of_short {
            return None;
        }
        let characters = parts.into_iter().rev().flatten().take_while(|character| *character != 0);
        Some(char::decode_utf16(characters).map(|it| it.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    }
}

/// A file that is read.
#[derive(Debug)]
pub struct Content<D> {
    fat: Fat<D>,
    cluster: u32,
    /// In this cluster.
    at: u64,
    left: u64,
}

impl<D: Deref<Target: FileExt>> Read for Content<D> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at == self.fat.cluster_bytes && self.left > 0 {
            self.cluster = self.fat.next(self.cluster)?;
            self.at = 0;
        }
        let most = (self.fat.cluster_bytes - self.at).min(self.left);
        let length = usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()));
        if length == 0 {
            return Ok(0);
        }
        if self.cluster >= CHAIN_END {
            return Err(io::Error::other("the file system is damaged: the file ends before its size"));
        }
        let place = self.fat.place(self.cluster).map_err(io::Error::other)?;
        self.fat.device.read_exact_at(&mut bytes[..length], place + self.at)?;
        (self.at, self.left) = (self.at + length as u64, self.left - length as u64);
        Ok(length)
    }
}

#[cfg(test)]
mod tests;
