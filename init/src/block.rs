//! Disks and their partitions by name, from `/sys`, and which of several disks is ours.
//!
//! Partitions are known by PARTLABEL only. A second disk of ours has the same labels, so the disk the loader read is preferred: `yoke.boot=` holds
//! the GUID of a partition on it. Two disks that were written with the same image have the same GUIDs too, and nothing tells which of them the loader
//! read: the first by name is taken, all of it, and who asks is told ([`twins`]). Nothing is written here.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// One partition that carries a label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// Kernel name of the disk, such as `vda`.
    pub disk: String,
    /// Kernel name of the partition, such as `vda3`.
    pub name: String,
    /// PARTLABEL.
    pub label: String,
}

/// What a search for a label came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'p> {
    /// On the disk the box booted from, or there is no doubt.
    Sure(&'p Partition),
    /// The label exists, the disk it booted from is not known (yet).
    Likely(&'p Partition),
    /// Nowhere.
    Nowhere,
}

/// Lists the labelled partitions, in the order of names.
#[must_use]
pub fn partitions() -> Vec<Partition> {
    let mut found: Vec<Partition> = fs::read_dir("/sys/class/block")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let uevent = fs::read_to_string(entry.path().join("uevent")).ok()?;
            let label = uevent.lines().find_map(|line| line.strip_prefix("PARTNAME="))?.to_owned();
            let name = entry.file_name().into_string().ok()?;
            let disk = fs::canonicalize(entry.path()).ok()?.parent()?.file_name()?.to_str()?.to_owned();
            Some(Partition { disk, name, label })
        })
        .collect();
    found.sort();
    found
}

/// Chooses the partition `label`, on `boot_disk` if that is known.
#[must_use]
pub fn choose<'p>(partitions: &'p [Partition], label: &str, boot_disk: Option<&str>) -> Found<'p> {
    let mut labelled = partitions.iter().filter(|partition| partition.label == label);
    let ours = partitions.iter().find(|partition| partition.label == label && Some(&*partition.disk) == boot_disk);
    match (ours, labelled.next()) {
        (Some(partition), _) => Found::Sure(partition),
        (None, Some(partition)) => Found::Likely(partition),
        (None, None) => Found::Nowhere,
    }
}

/// The disk that holds a partition with this GUID, among `partitions`' disks.
#[must_use]
pub fn disk_of_guid(partitions: &[Partition], guid: &str) -> Option<String> {
    let mut disks: Vec<&str> = partitions.iter().map(|partition| &*partition.disk).collect();
    disks.dedup();
    let holds = |disk: &&&str| read_guids(disk).is_ok_and(|guids| guids.iter().any(|g| g.eq_ignore_ascii_case(guid)));
    disks.iter().find(holds).map(|disk| (*disk).to_owned())
}

/// The disks that share a GUID with `disk`, from which the box runs: what the loader keeps on one of them, it may read on another at the next start.
#[must_use]
pub fn twins(disk: &str) -> Vec<String> {
    twins_of(&partitions(), disk, |disk| read_guids(disk).unwrap_or_default())
}

fn twins_of(partitions: &[Partition], disk: &str, guids: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    // No other disk is read than one with a name of ours on it.
    let is_ours = |label: &str| partitions.iter().any(|own| own.disk == disk && own.label == label);
    let mut others: Vec<&str> =
        partitions.iter().filter(|it| it.disk != disk && is_ours(&it.label)).map(|it| &*it.disk).collect();
    others.dedup();
    if others.is_empty() {
        return Vec::new();
    }
    let own = guids(disk);
    others.retain(|other| guids(other).iter().any(|guid| own.contains(guid)));
    others.into_iter().map(str::to_owned).collect()
}

/// The name of the disk that the file system mounted at `path` lies on.
///
/// # Errors
/// When `path` does not exist; `NotFound` when it is not on a partition of a disk.
pub fn disk_under(path: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let device = fs::metadata(path)?.dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let node = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"))?;
    let disk = node.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    disk.map(str::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Bytes of a GPT header that matter, and of a partition entry (UEFI 2.10 §5.3).
const GPT_HEADER_BYTES: usize = 92;
/// Entries are 128 bytes in every table ever seen; more than 4 KiB is damage.
const ENTRY_BYTES_MAX: usize = 4096;
/// A table has 128 entries; more than this is damage.
const ENTRIES_MAX: usize = 1024;

fn read_guids(disk: &str) -> io::Result<Vec<String>> {
    let block: u64 = fs::read_to_string(format!("/sys/class/block/{disk}/queue/logical_block_size"))?
        .trim_end()
        .parse()
        .map_err(|_| io::ErrorKind::InvalidData)?;
    let file = File::open(format!("/dev/{disk}"))?;
    let mut header = [0; GPT_HEADER_BYTES];
    file.read_exact_at(&mut header, block)?;
    let Some((lba, count, size)) = parse_header(&header) else { return Ok(Vec::new()) };
    let mut entries = vec![0; count * size];
    file.read_exact_at(&mut entries, lba.saturating_mul(block))?;
    Ok(entries.chunks_exact(size).filter_map(parse_entry).collect())
}

/// First block, number and size of the entries.
fn parse_header(header: &[u8; GPT_HEADER_BYTES]) -> Option<(u64, usize, usize)> {
    let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let lba = u64::from_le_bytes(header[72..80].try_into().ok()?);
    let (count, size) = (u32_at(80), u32_at(84));
    (header.starts_with(b"EFI PART") && count <= ENTRIES_MAX && (128..=ENTRY_BYTES_MAX).contains(&size))
        .then_some((lba, count, size))
}

/// The GUID of a partition as text, `None` for an unused entry.
fn parse_entry(entry: &[u8]) -> Option<String> {
    let guid = entry.get(16..32)?;
    if entry[..16].iter().all(|&b| b == 0) {
        return None;
    }
    // The first three fields are little-endian, the rest are bytes in order (UEFI 2.10 appendix A).
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (place, &at) in ORDER.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", guid[at]));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(disk: &str, number: u8, label: &str) -> Partition {
        Partition { disk: disk.into(), name: format!("{disk}{number}"), label: label.into() }
    }

    #[test]
    fn the_disk_it_booted_from_wins() {
        let all = [partition("sda", 3, "slot-a"), partition("sdb", 3, "slot-a"), partition("sdb", 4, "slot-b")];
        assert_eq!(choose(&all, "slot-a", Some("sdb")), Found::Sure(&all[1]));
        assert_eq!(choose(&all, "slot-a", None), Found::Likely(&all[0]));
        assert_eq!(choose(&all, "slot-b", Some("sda")), Found::Likely(&all[2]));
        assert_eq!(choose(&all, "config", Some("sda")), Found::Nowhere);
    }

    #[test]
    fn a_disk_with_the_same_guids_is_a_twin() {
        let all = [
            partition("sda", 2, "esp"),
            partition("sda", 3, "slot-a"),
            partition("sdb", 2, "esp"),
            partition("sdb", 3, "slot-a"),
            partition("sdc", 2, "esp"),
            partition("sdd", 1, "data"),
        ];
        let guids = |disk: &str| match disk {
            "sda" | "sdb" => vec!["1".to_owned(), "2".to_owned()],
            "sdc" => vec!["3".to_owned()],
            other => panic!("{other} is read"),
        };
        assert_eq!(twins_of(&all, "sda", guids), ["sdb"]);
        assert_eq!(twins_of(&all, "sdb", guids), ["sda"]);
        assert!(twins_of(&all, "sdc", guids).is_empty());
        assert!(twins_of(&all[..2], "sda", |disk| panic!("{disk} is read")).is_empty(), "alone");
    }

    #[test]
    fn a_guid_is_read_as_grub_prints_it() {
        let mut entry = [0u8; 128];
        assert_eq!(parse_entry(&entry), None);
        entry[0] = 1;
        for (value, byte) in (0u8..).zip(&mut entry[16..32]) {
            *byte = value;
        }
        assert_eq!(parse_entry(&entry).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(parse_entry(&entry[..20]), None);
    }

    #[test]
    fn a_damaged_header_is_no_table() {
        let mut header = [0u8; GPT_HEADER_BYTES];
        header[..8].copy_from_slice(b"EFI PART");
        header[72] = 2;
        header[80] = 128;
        header[84] = 128;
        assert_eq!(parse_header(&header), Some((2, 128, 128)));
        header[83] = 0xff;
        assert_eq!(parse_header(&header), None);
        header[83] = 0;
        header[84] = 0;
        assert_eq!(parse_header(&header), None);
    }
}
