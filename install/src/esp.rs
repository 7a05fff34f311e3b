//! Where GRUB's environment block lies: the file `grub/grubenv` of the ESP, found in its FAT32 and read and written in place.
//!
//! Nothing is mounted: no driver marks the file system dirty, no cluster moves, and the one-shot needs no privilege but the device. The
//! file was laid down with the image and is never made here.

use std::os::unix::fs::FileExt;

use anyhow::{Result, ensure};

use crate::environment::{BLOCK_BYTES, Environment, SECTOR_BYTES};
use crate::fat::Fat;

/// Where the block is on `device`. Its first sector is all that ever changes.
///
/// # Errors
/// There is none.
fn locate(device: &impl FileExt) -> Result<u64> {
    let fat = Fat::open(device)?;
    let file = fat.file("grub/grubenv")?;
    ensure!(file.size as usize == BLOCK_BYTES, "has a grub/grubenv of {} bytes", file.size);
    fat.place(file.cluster)
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
