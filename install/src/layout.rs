//! What every disk of ours looks like: a GPT, the partitions of the loader, two slots and the configuration.
//!
//! Used twice: for the image, on the machine that builds it, and by `install disk` on the box. Partitions are found by their names
//! (`PARTLABEL`) and by nothing else, so the names are the contract with init. Sizes are for the product's life: an upgrade cannot change
//! them. What is *in* the partitions is not here.

use std::io::{Read, Seek, SeekFrom, Write};

use anyhow::{Context as _, Result};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{self, Type};
use uuid::Uuid;

use crate::environment::SECTOR_BYTES;

/// Bytes of a sector. Disks with native 4 KiB sectors need another GPT and are not supported.
pub const SECTOR: u64 = 512;
/// The bytes of the first sector that belong to the loader; disk signature and partition table follow.
pub const BOOT_CODE_BYTES: usize = 440;
/// Bytes, and what everything begins at a multiple of.
pub const MIB: u64 = 1024 * 1024;
/// Room for a slot's squashfs.
pub const SLOT_BYTES: u64 = 128 * MIB;

/// A partition of the layout.
#[derive(Debug, Clone)]
pub struct Partition {
    /// `PARTLABEL`.
    pub name: &'static str,
    /// Size in bytes, a multiple of 1 MiB.
    pub bytes: u64,
    /// GPT type.
    pub kind: Type,
}

/// Partitions 1 to 5, one after the other from 1 MiB on.
pub const LAYOUT: [Partition; 5] = [
    Partition { name: "bios", bytes: MIB, kind: partition_types::BIOS },
    Partition { name: "esp", bytes: 64 * MIB, kind: partition_types::EFI },
    Partition { name: "slot-a", bytes: SLOT_BYTES, kind: partition_types::LINUX_ROOT_X64 },
    Partition { name: "slot-b", bytes: SLOT_BYTES, kind: partition_types::LINUX_ROOT_X64 },
    Partition { name: "config", bytes: 64 * MIB, kind: partition_types::LINUX_FS },
];

/// First byte of each partition, and the size of the disk: the last MiB is for the second GPT.
#[must_use]
pub fn offsets() -> ([u64; 5], u64) {
    let mut at = MIB;
    let starts = LAYOUT.map(|partition| {
        let start = at;
        at += partition.bytes;
        start
    });
    (starts, at + MIB)
}

/// GUIDs of a disk, and of its partitions in their order. The loader names its disk by that of the ESP: two disks in one machine must differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guids {
    /// Of the disk.
    pub disk: Uuid,
    /// Of the partitions. The file system of the configuration takes its own from here too.
    pub partitions: [Uuid; 5],
}

impl Guids {
    /// Those of a disk that no other has.
    #[must_use]
    pub fn random() -> Self {
        Self { disk: Uuid::new_v4(), partitions: [(); 5].map(|()| Uuid::new_v4()) }
    }

    /// Those of the image, the same for each build: random once, with the partition's number (0 for the disk) at the end.
    #[must_use]
    pub fn of_image() -> Self {
        let guid = |number: u128| Uuid::from_u128(0x7c1e_5b0a_9d34_4f62_8a4e_5f6f_6b65_0000 + number);
        Self { disk: guid(0), partitions: [1, 2, 3, 4, 5].map(guid) }
    }
}

/// Writes both GPTs. Nothing takes them for a table before the first sector is there ([`first_sector`]).
///
/// # Errors
/// The disk's.
pub fn write_table<D: Read + Write + Seek + std::fmt::Debug>(disk: &mut D, guids: &Guids) -> Result<()> {
    let config = gpt::GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
    let mut table = config.create_from_device(disk, Some(guids.disk)).context("GPT")?;
    let mut entries = table.take_partitions();
    let (starts, _) = offsets();
    for (number, ((partition, start), guid)) in (1_u32..).zip(LAYOUT.iter().zip(starts).zip(guids.partitions)) {
        let first_lba = start / SECTOR;
        entries.insert(
            number,
            gpt::partition::Partition {
                part_type_guid: partition.kind.clone(),
                part_guid: guid,
                first_lba,
                last_lba: first_lba + partition.bytes / SECTOR - 1,
                flags: 0,
                name: partition.name.to_owned(),
            },
        );
    }
    table.update_partitions(entries).context("GPT")?;
    table.write().context("GPT")?;
    Ok(())
}

/// The first sector of a disk of `bytes`: `boot_code`, and the protective MBR that makes the GPT one.
#[must_use]
pub fn first_sector(bytes: u64, boot_code: &[u8; BOOT_CODE_BYTES]) -> [u8; SECTOR_BYTES] {
    // An MBR cannot say more, and then says all (UEFI 2.10, table 5-4).
    let protected = u32::try_from((bytes / SECTOR).saturating_sub(1)).unwrap_or(u32::MAX);
    let mut mbr = ProtectiveMBR::with_lb_size(protected);
    mbr.set_bootcode(*boot_code);
    mbr.to_bytes()
}

/// Size of a disk or a file.
///
/// # Errors
/// The disk's.
pub fn size(disk: &mut impl Seek) -> Result<u64> {
    Ok(disk.seek(SeekFrom::End(0))?)
}

/// Arguments of mke2fs for the file system of `/flash` in an image file that is to be named last: ext4 with checksums and a journal of 4 MiB. In
/// blocks of 1 KiB it has eight groups and so three copies of its superblock, where e2fsck looks for them; of 4 KiB it would have one group
/// and no copy, and the superblock is written at each mount, outside of the journal: a power cut between its two sectors would be the end of
/// what was saved (found by the lab's `cut_firmware`).
#[must_use]
pub fn config_format(guids: &Guids) -> Vec<String> {
    let [.., uuid] = guids.partitions.map(|guid| guid.to_string());
    // Everything is initialised now, so that no background thread writes to a new flash.
    let extended = format!("hash_seed={uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard");
    let words = "-q -F -t ext4 -b 1024 -m 0 -L config -J size=4 -O metadata_csum -U";
    words.split(' ').map(str::to_owned).chain([uuid, "-E".to_owned(), extended]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_for_the_products_life() {
        let (starts, size) = offsets();
        assert_eq!(LAYOUT.each_ref().map(|partition| partition.name), ["bios", "esp", "slot-a", "slot-b", "config"]);
        assert_eq!(starts.map(|start| start / MIB), [1, 2, 66, 194, 322]);
        assert_eq!(size / MIB, 387);
        // A stick of 512 MB, counted in powers of ten.
        assert!(size < 512_000_000);
    }

    #[test]
    fn both_tables_name_the_partitions_once_the_first_sector_is_there() {
        let mut file = tempfile::NamedTempFile::new().expect("temporary file");
        // Larger than the image, as disks are.
        let bytes = offsets().1 + 5 * MIB;
        file.as_file().set_len(bytes).expect("sparse");
        write_table(file.as_file_mut(), &Guids::of_image()).expect("writes");
        let open = || gpt::GptConfig::new().only_valid_headers(true).open(file.path());
        let code = [0x90; BOOT_CODE_BYTES];
        let sector = first_sector(bytes, &code);
        assert_eq!((&sector[..BOOT_CODE_BYTES], &sector[510..]), (&code[..], &[0x55, 0xaa][..]));
        std::os::unix::fs::FileExt::write_all_at(file.as_file(), &sector, 0).expect("writes");
        let disk = open().expect("both tables are valid");
        let names: Vec<&str> = disk.partitions().values().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["bios", "esp", "slot-a", "slot-b", "config"]);
        assert_eq!(disk.partitions()[&3].part_type_guid.guid.to_string(), "4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
        assert_eq!(disk.partitions()[&5].first_lba, 322 * 2048);
        assert_eq!(*disk.guid(), Guids::of_image().disk);
        assert_eq!(disk.backup_header().expect("the second").current_lba, bytes / SECTOR - 1);
    }

    #[test]
    fn a_disk_that_an_mbr_cannot_measure_has_all_of_it_protected() {
        let sector = first_sector(1 << 44, &[0; BOOT_CODE_BYTES]);
        assert_eq!(sector[450], 0xee);
        assert_eq!(sector[458..462], [0xff; 4]);
    }

    #[test]
    fn two_disks_differ() {
        let (one, other) = (Guids::random(), Guids::random());
        assert_ne!(one.partitions[1], other.partitions[1]);
        assert_ne!(one.disk, one.partitions[0]);
        assert!(config_format(&one).contains(&one.partitions[4].to_string()));
    }
}
