//! Where GRUB's environment block lies: the file `grub/grubenv` of the ESP, found in its FAT32 and read and written in place.
//!
//! Nothing is mounted: no driver marks the file system dirty, no cluster moves, and the one-shot needs no privilege but the device. The
//! file was laid down with the image and is never made here.

use std::os::unix::fs::FileExt;

use anyhow::{Context as _, Result, bail, ensure};

use crate::environment::{BLOCK_BYTES, Environment, SECTOR_BYTES};

/// Clusters followed of one folder: ours have one or two; more is a circle.
const CHAIN_MAX: usize = 64;
/// Bytes of a directory entry, of its name, and where in it is what (Microsoft's FAT specification 1.03, part 6).
const ENTRY_BYTES: usize = 32;
const NAME_BYTES: usize = 11;
/// Marks of an entry that is a part of a long name, and of a folder.
const LONG_NAME: u8 = 0x0f;
const FOLDER: u8 = 0x10;
/// Cluster numbers have 28 bits; from here on it is the end of a chain.
const CLUSTER_MASK: u32 = 0x0fff_ffff;
const CHAIN_END: u32 = 0x0fff_fff8;

/// What of the boot sector is needed. Bytes and clusters.
struct Fat {
    table: u64,
    data: u64,
    cluster_bytes: u64,
    root: u32,
}

impl Fat {
    fn read(device: &impl FileExt) -> Result<Self> {
        let mut sector = [0; SECTOR_BYTES];
        device.read_exact_at(&mut sector, 0)?;
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let u32_at = |at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
        let (sector_bytes, per_cluster) = (u16_at(11), u64::from(sector[13]));
        let fat_sectors = u64::from(u32_at(36));
        ensure!(
            sector[510..] == [0x55, 0xaa] && sector_bytes == 512 && per_cluster > 0 && fat_sectors > 0,
            "is no FAT32"
        );
        let table = u16_at(14) * sector_bytes;
        let data = table + u64::from(sector[16]) * fat_sectors * sector_bytes;
        Ok(Self { table, data, cluster_bytes: per_cluster * sector_bytes, root: u32_at(44) & CLUSTER_MASK })
    }

    /// Where a cluster is.
    fn place(&self, cluster: u32) -> Result<u64> {
        let number = cluster.checked_sub(2).context("has a damaged folder")?;
        Ok(self.data + u64::from(number) * self.cluster_bytes)
    }

    /// The first cluster and the size of what is called `name` in the folder that begins at `cluster`.
    fn find(
        &self,
        device: &impl FileExt,
        mut cluster: u32,
        name: &[u8; NAME_BYTES],
        folder: bool,
    ) -> Result<(u32, u32)> {
        let bytes = usize::try_from(self.cluster_bytes)?;
        for _ in 0..CHAIN_MAX {
            let mut entries = vec![0; bytes];
            device.read_exact_at(&mut entries, self.place(cluster)?)?;
            for entry in entries.chunks_exact(ENTRY_BYTES) {
                let is_folder = entry[11] & FOLDER != 0;
                if entry[11] & LONG_NAME != LONG_NAME && &entry[..NAME_BYTES] == name && is_folder == folder {
                    let high = u32::from(u16::from_le_bytes([entry[20], entry[21]]));
                    let low = u32::from(u16::from_le_bytes([entry[26], entry[27]]));
                    let size = u32::from_le_bytes([entry[28], entry[29], entry[30], entry[31]]);
                    return Ok((high << 16 | low, size));
                }
            }
            let mut next = [0; 4];
            device.read_exact_at(&mut next, self.table + u64::from(cluster) * 4)?;
            cluster = u32::from_le_bytes(next) & CLUSTER_MASK;
            if cluster >= CHAIN_END {
                break;
            }
        }
        bail!("has no grub/grubenv")
    }
}

/// The block, and where it is on `device`. Its first sector is all that ever changes.
///
/// # Errors
/// There is none.
fn locate(device: &impl FileExt) -> Result<u64> {
    let fat = Fat::read(device)?;
    let (folder, _) = fat.find(device, fat.root, b"GRUB       ", true)?;
    let (file, size) = fat.find(device, folder, b"GRUBENV    ", false)?;
    ensure!(size as usize == BLOCK_BYTES, "has a grub/grubenv of {size} bytes");
    fat.place(file)
}

/// Reads the variables on an ESP.
///
/// # Errors
/// There is no such file; one without sense has no variables.
pub fn read(device: &impl FileExt) -> Result<Environment> {
    let mut block = [0; SECTOR_BYTES];
    device.read_exact_at(&mut block, locate(device)?)?;
    Ok(Environment::parse(&block))
}

/// Writes the variables: one sector. The caller flushes.
///
/// # Errors
/// They do not fit, or there is no such file.
pub fn write(device: &impl FileExt, environment: &Environment) -> Result<()> {
    let at = locate(device)?;
    Ok(device.write_all_at(&environment.block()?[..SECTOR_BYTES], at)?)
}
