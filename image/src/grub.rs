//! The loader: GRUB for BIOS and for UEFI, with one `grub.cfg` and one `grubenv` on the ESP.
//!
//! No `grub-install` and no root: the BIOS images are patched here the way `grub-bios-setup` does it. The texts are in `boot/`;
//! what they do is written in them. GRUB's environment block is laid down here and written later by the loader and by `install`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use yoke_install::environment::{Environment, Slot};
use yoke_install::layout::BOOT_CODE_BYTES;

use crate::base::Base;
use crate::files;
use crate::tool::run;

/// The menu and the choice of the slot.
pub const GRUB_CFG: &str = include_str!("../boot/grub.cfg");
/// Built into both images: what runs before the ESP is read.
const EARLY_CFG: &str = include_str!("../boot/early.cfg");

/// On the disk that the firmware started; GRUB puts the disk before the comma.
const PREFIX: &str = "(,gpt2)/grub";
/// What `grub.cfg` and reading a slot need; decompressors follow by themselves.
const MODULES: &[&str] = &[
    "part_gpt",
    "fat",
    "squash4",
    "normal",
    "configfile",
    "linux",
    "serial",
    "terminal",
    "loadenv",
    "regexp",
    "probe",
    "smbios",
    "echo",
    "test",
    "minicmd",
    "sleep",
    "reboot",
    "halt",
    "boot",
];
const PC_MODULES: &[&str] = &["biosdisk", "linux16"];
const EFI_MODULES: &[&str] = &["efi_gop", "all_video"];

const SECTOR: usize = 512;

/// The loader's files.
#[derive(Debug, Clone)]
pub struct Loader {
    /// What goes into the bytes of LBA 0 before the partition table.
    pub boot_img: PathBuf,
    /// What goes into the partition `bios`, not patched yet.
    pub core_img: PathBuf,
    /// What UEFI starts.
    pub bootx64: PathBuf,
    /// `grub.cfg` and `grubenv`.
    pub grub_cfg: PathBuf,
    /// The environment block of a new disk: slot a is good, nothing is tried.
    pub grubenv: PathBuf,
}

/// Makes `loader/` below `out`.
///
/// # Errors
/// grub-mkimage fails, which it does when a module of the list is missing.
pub fn build(out: &Path, base: &Base) -> Result<Loader> {
    let dir = out.join("loader");
    files::make_dir(&dir)?;
    let early = dir.join("early.cfg");
    files::write(&early, EARLY_CFG, 0o644)?;
    let core_img = dir.join("core.img");
    let bootx64 = dir.join("BOOTX64.EFI");
    for (platform, image, own) in [("i386-pc", &core_img, PC_MODULES), ("x86_64-efi", &bootx64, EFI_MODULES)] {
        let mut command = base.tools.command("usr/bin/grub-mkimage");
        command.args(["-O", platform, "-p", PREFIX]).arg("-d").arg(base.dir.join("grub").join(platform));
        command.arg("-c").arg(&early).arg("-o").arg(image).args(MODULES).args(own);
        run(&mut command)?;
    }
    let grub_cfg = dir.join("grub.cfg");
    files::write(&grub_cfg, GRUB_CFG, 0o644)?;
    let grubenv = dir.join("grubenv");
    let mut environment = Environment::default();
    environment.set_good(Slot::A);
    files::write(&grubenv, environment.block()?, 0o644)?;
    Ok(Loader { boot_img: base.dir.join("grub/i386-pc/boot.img"), core_img, bootx64, grub_cfg, grubenv })
}

/// `boot.img` and `core.img` for a disk whose partition `bios` begins at `start` (in sectors of 512 bytes).
///
/// # Errors
/// One of them does not look like what GRUB 2 makes.
pub fn patch(loader: &Loader, start: u64) -> Result<([u8; BOOT_CODE_BYTES], Vec<u8>)> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("{}", path.display()));
    let mut boot = read(&loader.boot_img)?;
    let mut core = read(&loader.core_img)?;
    let code = patch_images(&mut boot, &mut core, start)?;
    Ok((code, core))
}

fn patch_images(boot: &mut [u8], core: &mut Vec<u8>, start: u64) -> Result<[u8; BOOT_CODE_BYTES]> {
    // include/grub/i386/pc/boot.h: GRUB_BOOT_MACHINE_KERNEL_SECTOR, GRUB_BOOT_MACHINE_DRIVE_CHECK.
    const KERNEL_SECTOR: usize = 0x5c;
    const DRIVE_CHECK: usize = 0x66;
    // The block list that ends the first sector of core.img: start (8 bytes), length (2), segment (2).
    const LIST_START: usize = 0x1f4;
    const LIST_LENGTH: usize = 0x1fc;

    ensure!(boot.len() == SECTOR && boot.ends_with(&[0x55, 0xaa]), "boot.img is not a boot sector");
    boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&start.to_le_bytes());
    // Two NOPs instead of a jump: trust the drive number of the BIOS, as grub-bios-setup decides for disks.
    ensure!(boot[DRIVE_CHECK] == 0xeb || boot[DRIVE_CHECK] == 0x90, "boot.img has no drive check");
    boot[DRIVE_CHECK..DRIVE_CHECK + 2].fill(0x90);

    core.resize(core.len().next_multiple_of(SECTOR), 0);
    ensure!(core.len() > SECTOR, "core.img is empty");
    // The first sector loads the rest.
    let rest = u16::try_from(core.len() / SECTOR - 1).context("core.img is too large for its block list")?;
    core[LIST_START..LIST_START + 8].copy_from_slice(&(start + 1).to_le_bytes());
    core[LIST_LENGTH..LIST_LENGTH + 2].copy_from_slice(&rest.to_le_bytes());
    Ok(*boot.first_chunk().expect("it has a sector"))
}

#[cfg(test)]
mod tests;
