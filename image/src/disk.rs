//! The disk: a GPT with the loader for BIOS and UEFI, two slots and the partition of the configuration, in a raw sparse file.
//!
//! Partitions are found by their names (`PARTLABEL`), and by nothing else, so the names are the contract with init and with
//! `install`. Sizes are for the product's life: an upgrade cannot change them.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{self, Type};
use uuid::Uuid;

use crate::base::Base;
use crate::files;
use crate::grub::{self, Loader};
use crate::slot;
use crate::tool::{Tools, run};

/// Bytes of a sector of the image. Disks with native 4 KiB sectors need another GPT and are not supported.
pub const SECTOR: u64 = 512;
const MIB: u64 = 1024 * 1024;
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
    /// Unique GUID on a new disk, the same on each: first boot is where a disk gets its own.
    pub guid: Uuid,
}

/// Partitions 1 to 5, one after the other from 1 MiB on.
pub const LAYOUT: [Partition; 5] = [
    Partition { name: "bios", bytes: MIB, kind: partition_types::BIOS, guid: guid(1) },
    Partition { name: "esp", bytes: 64 * MIB, kind: partition_types::EFI, guid: guid(2) },
    Partition { name: "slot-a", bytes: SLOT_BYTES, kind: partition_types::LINUX_ROOT_X64, guid: guid(3) },
    Partition { name: "slot-b", bytes: SLOT_BYTES, kind: partition_types::LINUX_ROOT_X64, guid: guid(4) },
    Partition { name: "config", bytes: 64 * MIB, kind: partition_types::LINUX_FS, guid: guid(5) },
];

/// GUIDs of a new disk: random once, with the partition's number (0 for the disk) at the end. The ESP's and the configuration's
/// file systems take theirs from here too.
const fn guid(number: u128) -> Uuid {
    Uuid::from_u128(0x7c1e_5b0a_9d34_4f62_8a4e_5f6f_6b65_0000 + number)
}

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

/// Makes `yoke-x86_64.img` below `out`, with `slot` in slot a and its signed description behind it. The file appears under its name when it is complete, so that a
/// machine which runs from the old one is not disturbed.
///
/// # Errors
/// A part does not fit its partition, or a program for file systems fails.
pub fn assemble(out: &Path, base: &Base, loader: &Loader, slot: &Path, signed: &[u8]) -> Result<PathBuf> {
    let image = out.join("yoke-x86_64.img");
    let draft = out.join("yoke-x86_64.img.new");
    files::remove(&draft)?;
    let (starts, size) = offsets();
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&draft)?;
    file.set_len(size)?;
    write_table(&mut file, &starts)?;

    let (boot, core) = grub::patch(loader, starts[0] / SECTOR)?;
    put(&mut file, 0, u64::MAX, &boot)?;
    put(&mut file, starts[0], LAYOUT[0].bytes, &core)?;
    let time = slot::epoch(base)?;
    for (number, part) in
        [(1, esp(out, base, loader, time)?), (2, slot.to_owned()), (4, config(out, &base.tools, time)?)]
    {
        let bytes = fs::read(&part).with_context(|| format!("{}", part.display()))?;
        put(&mut file, starts[number], LAYOUT[number].bytes, &bytes)?;
    }
    let at = starts[2] + yoke_install::slot::room(SLOT_BYTES);
    put(&mut file, at, yoke_install::update::HEADER_BYTES as u64, signed)?;
    drop(file);
    fs::rename(&draft, &image)?;
    Ok(image)
}

/// The protective MBR and both GPTs.
fn write_table(file: &mut File, starts: &[u64; 5]) -> Result<()> {
    let sectors = file.metadata()?.len() / SECTOR;
    let protected = u32::try_from(sectors - 1).context("the image is larger than an MBR can say")?;
    ProtectiveMBR::with_lb_size(protected).overwrite_lba0(file).context("protective MBR")?;
    let config = gpt::GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
    let mut disk = config.create_from_device(file, Some(guid(0))).context("GPT")?;
    let mut entries = disk.take_partitions();
    for (number, (partition, start)) in (1_u32..).zip(LAYOUT.iter().zip(starts)) {
        let first_lba = start / SECTOR;
        entries.insert(
            number,
            gpt::partition::Partition {
                part_type_guid: partition.kind.clone(),
                part_guid: partition.guid,
                first_lba,
                last_lba: first_lba + partition.bytes / SECTOR - 1,
                flags: 0,
                name: partition.name.to_owned(),
            },
        );
    }
    disk.update_partitions(entries).context("GPT")?;
    disk.write().context("GPT")?;
    Ok(())
}

/// Writes `bytes` at `at`, leaving holes where they are zero.
fn put(file: &mut File, at: u64, room: u64, bytes: &[u8]) -> Result<()> {
    ensure!(bytes.len() as u64 <= room, "{} bytes do not fit a partition of {room}", bytes.len());
    let mut offset = at;
    for chunk in bytes.chunks(4096) {
        if chunk.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(chunk)?;
        }
        offset += chunk.len() as u64;
    }
    Ok(())
}

/// The ESP's file system: FAT32 with the loader for UEFI, the menu and the environment block.
fn esp(out: &Path, base: &Base, loader: &Loader, time: i64) -> Result<PathBuf> {
    let image = out.join("esp.img");
    blank(&image, LAYOUT[1].bytes)?;
    let tools = &base.tools;
    let mut format = tools.command("usr/sbin/mkfs.fat");
    // One sector a cluster: 64 MiB is close to the least that FAT32 can be.
    format.args(["-F", "32", "-s", "1", "-n", "YOKE-ESP", "-i", "5f6f6b65", "--invariant"]).arg(&image);
    run(&mut format)?;
    let mtools = |name: &str| {
        let mut command = tools.command_as("usr/bin/mtools", name);
        command.env("SOURCE_DATE_EPOCH", time.to_string()).env("TZ", "UTC").arg("-i").arg(&image);
        command
    };
    run(mtools("mmd").args(["::/EFI", "::/EFI/BOOT", "::/grub"]))?;
    for (source, target) in [
        (&loader.bootx64, "::/EFI/BOOT/BOOTX64.EFI"),
        (&loader.grub_cfg, "::/grub/grub.cfg"),
        // Once it is there its cluster never moves.
        (&loader.grubenv, "::/grub/grubenv"),
    ] {
        run(mtools("mcopy").arg(source).arg(target))?;
    }
    Ok(image)
}

/// The file system of `/flash`: ext4, empty, with checksums and a journal of 4 MiB. In blocks of 1 KiB it has eight groups and so three copies of its
/// superblock, where e2fsck looks for them; of 4 KiB it would have one group and no copy, and the superblock is written at each mount, outside of the
/// journal: a power cut between its two sectors would be the end of what was saved (found by the lab's `cut_firmware`).
fn config(out: &Path, tools: &Tools, time: i64) -> Result<PathBuf> {
    let image = out.join("config.img");
    blank(&image, LAYOUT[4].bytes)?;
    let uuid = LAYOUT[4].guid.to_string();
    // Everything is initialised now, so that no background thread writes to a new flash.
    let extended = format!("hash_seed={uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard");
    let mut format = tools.command("usr/sbin/mke2fs");
    format.args(["-q", "-F", "-t", "ext4", "-b", "1024", "-m", "0", "-L", "config", "-U", &uuid]);
    format.args(["-J", "size=4", "-O", "metadata_csum", "-E", &extended]).arg(&image);
    run(format.env("E2FSPROGS_FAKE_TIME", time.to_string()))?;
    Ok(image)
}

fn blank(image: &Path, bytes: u64) -> Result<()> {
    files::remove(image)?;
    File::create(image)?.set_len(bytes)?;
    Ok(())
}

/// The disk for downloading, beside it.
///
/// # Errors
/// zstd fails.
pub fn compress(disk: &Path, tools: &Tools) -> Result<PathBuf> {
    let target = disk.with_extension("img.zst");
    // What is in it is compressed already; a higher level takes long and gains nothing.
    run(tools.command("usr/bin/zstd").args(["-q", "-f", "-T0", "-6"]).arg(disk).arg("-o").arg(&target))?;
    Ok(target)
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
    fn both_tables_name_the_partitions() {
        let path = std::env::temp_dir().join(format!("yoke-image-gpt-{}", std::process::id()));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).expect("temporary file");
        let (starts, size) = offsets();
        file.set_len(size).expect("sparse");
        write_table(&mut file, &starts).expect("writes");
        let disk = gpt::GptConfig::new().only_valid_headers(true).open(&path).expect("both tables are valid");
        let names: Vec<&str> = disk.partitions().values().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["bios", "esp", "slot-a", "slot-b", "config"]);
        assert_eq!(disk.partitions()[&3].part_type_guid.guid.to_string(), "4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
        assert_eq!(disk.partitions()[&5].first_lba, 322 * 2048);
        assert_eq!(*disk.guid(), guid(0));
        fs::remove_file(path).expect("removes");
    }

    #[test]
    fn a_part_that_is_too_large_is_refused() {
        let path = std::env::temp_dir().join(format!("yoke-image-put-{}", std::process::id()));
        let mut file = File::create(&path).expect("temporary file");
        assert!(put(&mut file, 0, 3, b"four").is_err());
        fs::remove_file(path).expect("removes");
    }
}
