//! How a kernel, a base and our binaries become a disk.
//!
//! [`build`] is all that `cargo xtask image` needs. In order:
//!
//! | step | module | leaves below `Params::out` |
//! |---|---|---|
//! | Debian packages by name, verified by apt | [`apt`], [`packages`] | `apt/`, `debian/` |
//! | by choice a kernel of our own, built once | [`kernel`] | |
//! | or a finished Buildroot build | [`buildroot`] | |
//! | the base: what a kernel, a root and a loader are, wherever they come from | [`base`], [`modules`] | `base/` |
//! | who signs, and the update file | [`update`] | `keys/`, `yoke-x86_64.update` |
//! | the slot: one squashfs with kernel, initrd and root | [`slot`], [`cpio`] | `slot/`, `slot.sqsh` |
//! | the loader for BIOS and UEFI | [`grub`] | `loader/` |
//! | the disk | [`disk`] | `yoke-x86_64.img`, `.img.zst` |
//!
//! The directory `base/` is a contract: `vmlinuz`, `config`, `modules/VERSION/`, `root/`, `grub/{i386-pc,x86_64-efi}` and
//! `base.json`. The steps after it do not know which of the two it was made from.
//!
//! Nothing here needs root, mounts anything or installs anything on the build machine: the external programs are run out of
//! the unpacked packages ([`tool`]). Our own binaries are built by the caller.

pub mod apt;
pub mod base;
pub mod buildroot;
pub mod cpio;
pub mod disk;
mod elf;
mod files;
pub mod grub;
pub mod keep;
pub mod kernel;
pub mod modules;
pub mod packages;
pub mod slot;
pub mod tool;
pub mod update;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// What [`build`] is told.
#[derive(Debug, Clone)]
pub struct Params {
    /// Where everything goes, `target/yoke` by custom. Created when missing.
    pub out: PathBuf,
    /// Where packages, the base and the key for development are kept between builds: the same directory, or one that several `out` share.
    pub cache: PathBuf,
    /// Our programs: static x86-64 executables.
    pub programs: Programs,
    /// Version of the product, as `/etc/yoke-release` tells it.
    pub version: String,
    /// When its sources were committed, in seconds since 1970; 0 when that is not known.
    pub built: u64,
    /// Where the base comes from.
    pub base: Source,
    /// For a boot here and now: the slot is packed fast instead of small, and `yoke-x86_64.img.zst` is not written.
    pub hurry: bool,
}

/// What the base is made from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Debian packages.
    Debian {
        /// Ask the mirror for newer packages even if the base is less than a day old.
        refresh: bool,
        /// A kernel of our own instead of Debian's.
        kernel: Option<kernel::Own>,
    },
    /// A finished Buildroot build.
    Buildroot(buildroot::Output),
}

/// The programs of ours that a slot holds.
#[derive(Debug, Clone)]
pub struct Programs {
    /// PID 1 and `modprobe`: one binary.
    pub init: PathBuf,
    /// Stage 1, the program of the initrd.
    pub stage1: PathBuf,
    /// The control plane.
    pub director: PathBuf,
    /// The operator's shell.
    pub shell: PathBuf,
    /// The kernel's table in the words of the original, for whoever reaches a root shell on the box.
    pub ipvsadm: PathBuf,
    /// The redundancy protocol.
    pub vrrpd: PathBuf,
    /// Writes slots.
    pub install: PathBuf,
}

/// What [`build`] made; its `Display` is the table for the end of a build. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct Report {
    /// The raw disk.
    pub disk: PathBuf,
    /// The same compressed by zstd, unless it was made in a hurry.
    pub compressed: Option<PathBuf>,
    /// The squashfs of a slot.
    pub slot: PathBuf,
    /// The same as a signed update file, for `install add`.
    pub update: PathBuf,
    /// Release of the kernel, such as `6.12.117+deb13-amd64`.
    pub kernel: String,
    /// Names and sizes of the parts.
    pub sizes: Vec<(&'static str, u64)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, kernel {}", self.disk.display(), self.kernel)?;
        for (name, bytes) in &self.sizes {
            // Whole tenths of a MiB; no floating point is needed for a size.
            let tenths = bytes * 10 / (1024 * 1024);
            writeln!(f, " {name:<18} {:>4}.{} MiB", tenths / 10, tenths % 10)?;
        }
        Ok(())
    }
}

/// Makes the disk image. `say` gets a line at the start of each step that takes more than a moment.
///
/// A build after which only our programs changed takes seconds: the base is kept until the mirror has newer packages, and the
/// mirror is asked once a day. When it does not answer, the base that is there is used and `say` says so.
///
/// # Errors
/// A missing program of the build machine, a mirror that does not answer while no base is there, a package or kernel option that
/// the base lacks, a program of ours that is not static, a slot that does not fit its partition.
pub fn build(params: &Params, say: &dyn Fn(&str)) -> Result<Report> {
    let Programs { init, stage1, director, shell, ipvsadm, vrrpd, install } = &params.programs;
    for program in [init, stage1, director, shell, ipvsadm, vrrpd, install] {
        check_static(program)?;
    }
    let place = |dir: &Path| -> Result<PathBuf> {
        fs::create_dir_all(dir).with_context(|| format!("{}: cannot be created", dir.display()))?;
        // A relative path would stop being right in the programs that run in another directory.
        Ok(dir.canonicalize()?)
    };
    let (out, cache) = (place(&params.out)?, place(&params.cache)?);
    let _lock = lock(&cache, say)?;

    let base = match &params.base {
        Source::Debian { refresh, kernel } => base::quick(&cache, *refresh, kernel.as_ref(), say)?,
        Source::Buildroot(output) => buildroot::base(&cache, output, say)?,
    };
    let key = update::Key::load(&cache, say)?;
    let slot = slot::build(&out, &base, params, &key.public, say)?;
    let update = out.join("yoke-x86_64.update");
    let signed =
        key.block(&update::describe(&slot.squashfs, &params.version, params.built, &base.release)?, &update)?;
    update::write(&update, &signed, &slot.squashfs)?;
    let loader = grub::build(&out, &base)?;
    say("disk: partitions, loader, slot a");
    let disk = disk::assemble(&out, &base, &loader, &slot.squashfs, &signed)?;

    let mut sizes =
        vec![("kernel", size(&base.vmlinuz())?), ("initrd", size(&slot.initrd)?), ("slot", size(&slot.squashfs)?)];
    let compressed = if params.hurry {
        None
    } else {
        say("disk: compress");
        let file = disk::compress(&disk, &base.tools)?;
        sizes.push(("image, compressed", size(&file)?));
        Some(file)
    };
    Ok(Report { disk, compressed, slot: slot.squashfs, update, kernel: base.release, sizes })
}

/// Keeps a second build out of the directory until the file is dropped.
fn lock(out: &Path, say: &dyn Fn(&str)) -> Result<File> {
    let file = File::create(out.join("lock")).context("lock of the output directory")?;
    if file.try_lock().is_err() {
        say("waiting for another build in the same directory");
        file.lock().context("lock of the output directory")?;
    }
    Ok(file)
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("{}", path.display()))?.len())
}

/// A program that wants an interpreter would not find it in the initrd, and the kernel would only say "no working init".
fn check_static(path: &Path) -> Result<()> {
    let bytes =
        fs::read(path).with_context(|| format!("{}: our program is missing, build it first", path.display()))?;
    ensure!(
        elf::is_static(&bytes),
        "{}: not a static x86-64 program, use: RUSTFLAGS=-Ctarget-feature=+crt-static cargo build --target x86_64-unknown-linux-gnu",
        path.display()
    );
    Ok(())
}
