//! The disk: a GPT with the loader for BIOS and UEFI, two slots and the partition of the configuration, in a raw sparse file.
//!
//! What is where is [`layout`]'s, which `install disk` on the box shares; here are the parts, made with programs of the build machine.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use yoke_install::layout::{self, Guids, LAYOUT, SECTOR, SLOT_BYTES, config_format, offsets};

use crate::base::Base;
use crate::files;
use crate::grub::{self, Loader};
use crate::slot;
use crate::tool::{Tools, run};

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
    layout::write_table(&mut file, &Guids::of_image())?;

    let (boot, core) = grub::patch(loader, starts[0] / SECTOR)?;
    put(&mut file, 0, SECTOR, &layout::first_sector(size, &boot))?;
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

/// The file system of `/flash`, empty.
fn config(out: &Path, tools: &Tools, time: i64) -> Result<PathBuf> {
    let image = out.join("config.img");
    blank(&image, LAYOUT[4].bytes)?;
    let mut format = tools.command("usr/sbin/mke2fs");
    format.args(config_format(&Guids::of_image())).arg(&image);
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
    fn a_part_that_is_too_large_is_refused() {
        let path = std::env::temp_dir().join(format!("yoke-image-put-{}", std::process::id()));
        let mut file = File::create(&path).expect("temporary file");
        assert!(put(&mut file, 0, 3, b"four").is_err());
        fs::remove_file(path).expect("removes");
    }
}
