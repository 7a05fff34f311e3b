//! `install disk`: puts the box that runs on another disk.
//!
//! First the configuration is put into a new file system in memory, by mke2fs, file by file, since a mounted one cannot be copied: whatever fails
//! there has cost nothing. From then on the order is that of a cut of the power: the other disk's table goes first and the first sector of the new
//! one comes last, in one write, so that no firmware starts a disk that is not whole. Everything is read back. Of the disk that runs nothing is
//! written: the loader and the running slot are copied, the latter as an update would be, by its signed hash. GUIDs are new, so that both disks may
//! stay in the box.

use std::fs::{self, File};
use std::io::{Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::libc;
use nix::sys::statvfs::statvfs;

use crate::environment::{Environment, Slot};
use crate::layout::{self, BOOT_CODE_BYTES, Guids, LAYOUT, MIB, SLOT_BYTES};
use crate::part::{Part, UNREADABLE, UNWRITABLE};
use crate::report::Progress;
use crate::update::{HEADER_BYTES, Manifest};
use crate::{esp, slot};

/// Read and written at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Where the new file system is made: in memory, as no disk may be written but the new one. It has no name there, so that it is gone with who
/// makes it, however that ends.
const MEMORY: &str = "/tmp";
/// What a new file system of ours takes of memory while it is empty: 0.4 MiB, its journal is zeros that take none.
const EMPTY_BYTES: u64 = MIB;
/// What has to be left for the balancer meanwhile.
const SPARE_BYTES: u64 = 16 * MIB;
/// Its maker.
pub const MKE2FS: &str = "/usr/sbin/mke2fs";

/// What is copied.
pub struct Running {
    /// The whole disk: the loader's part of its first sector.
    pub disk: Part,
    /// Its partition `bios`.
    pub bios: Part,
    /// Its partition `esp`.
    pub esp: Part,
    /// The slot that runs, its size, and what its signed block says.
    pub slot: (Part, u64, Manifest),
}

/// The new disk's configuration and its names, before anything of the disk is touched.
pub struct Draft {
    guids: Guids,
    config: File,
}

impl Draft {
    /// Has the program `mke2fs` make it. `flash` is the folder whose files become the configuration, `None`: it starts factory-fresh.
    ///
    /// # Errors
    /// There is not enough memory for it, or mke2fs fails.
    pub fn make(mke2fs: &str, flash: Option<&Path>) -> Result<Self> {
        let used = flash.map_or(Ok(0), |flash| used(flash).context("/flash"))?;
        let meminfo = fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        let about = statvfs(MEMORY).context(MEMORY)?;
        has_room(used, available(&meminfo), about.blocks_available() * about.fragment_size())?;
        // Nobody else's to read: keys and passwords are in it.
        let mut options = File::options();
        options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
        let mut config = options.open(MEMORY).context(MEMORY)?;
        config.set_len(LAYOUT[4].bytes)?;
        let guids = Guids::random();
        let mut command = Command::new(mke2fs);
        command.args(layout::config_format(&guids));
        if let Some(flash) = flash {
            command.arg("-d").arg(flash);
        }
        // It is told the file as its standard input, the one way to hand on what has no name.
        let made = command.arg("/proc/self/fd/0").stdin(config.try_clone()?).output().context(mke2fs.to_owned())?;
        let why = String::from_utf8_lossy(&made.stderr).trim().replace('\n', "; ");
        ensure!(made.status.success(), "the configuration cannot be copied, nothing was written: {why}");
        config.seek(SeekFrom::Start(0))?;
        Ok(Self { guids, config })
    }
}

/// Bytes in use of the file system under `folder`.
fn used(folder: &Path) -> Result<u64> {
    let about = statvfs(folder)?;
    Ok((about.blocks() - about.blocks_free()) * about.fragment_size())
}

/// `MemAvailable`, in bytes.
fn available(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default().saturating_mul(1024)
}

/// Whether a draft of a flash with so many bytes fits into memory, and into the file system it is made in.
fn has_room(used: u64, memory: u64, room: u64) -> Result<()> {
    let needed = used + EMPTY_BYTES;
    let (needed_mib, free) = ((needed + SPARE_BYTES).div_ceil(MIB), memory.saturating_sub(SPARE_BYTES).min(room));
    ensure!(
        needed <= free,
        "the configuration is copied in memory: {needed_mib} MiB have to be free, {} are; nothing was written",
        (free + SPARE_BYTES) / MIB
    );
    Ok(())
}

/// Writes everything to `disk`.
///
/// # Errors
/// Of a disk, or that what was copied is damaged. The disk does not start then.
pub fn write(running: &Running, draft: &Draft, disk: &mut File, say: &mut dyn FnMut(Progress)) -> Result<()> {
    let (starts, _) = layout::offsets();
    let bytes = layout::size(disk)?;
    let part = |start: u64| -> Result<Part> { Ok(Part::new(disk.try_clone()?, start)) };
    let [bios, esp, slot_a, slot_b, config] = starts.map(part);
    let (esp, slot_a) = (esp?, slot_a?);
    let whole = part(0)?;

    // Who is told nothing yet may say that nothing was written.
    say(Progress { step: "loader".to_owned(), done: 0, all: LAYOUT[0].bytes });
    let nothing = vec![0; CHUNK_BYTES];
    for at in [0, bytes - MIB] {
        whole.write_all_at(&nothing, at).context(UNWRITABLE)?;
    }
    whole.sync().context(UNWRITABLE)?;

    copy("loader", &running.bios, &bios?, LAYOUT[0].bytes, say)?;
    copy("loader", &running.esp, &esp, LAYOUT[1].bytes, say)?;
    let mut environment = Environment::default();
    environment.set_good(Slot::A);
    esp::write(&esp, &environment)?;

    let (source, room, manifest) = &running.slot;
    let mut block = vec![0; HEADER_BYTES];
    source.read_exact_at(&mut block, slot::room(*room))?;
    let mut squashfs = Stretch { part: source, at: 0, end: manifest.bytes };
    slot::write(&slot_a, SLOT_BYTES, &block, manifest, &mut squashfs, say).context("the running slot")?;
    slot::clear(&slot_b?, SLOT_BYTES)?;

    copy("config", &Part::from(draft.config.try_clone()?), &config?, LAYOUT[4].bytes, say)?;

    layout::write_table(disk, &draft.guids)?;
    whole.sync().context(UNWRITABLE)?;
    let mut code = [0; BOOT_CODE_BYTES];
    running.disk.read_exact_at(&mut code, 0)?;
    whole.write_all_at(&layout::first_sector(bytes, &code), 0).context(UNWRITABLE)?;
    whole.sync().context(UNWRITABLE)
}

/// Copies the first `bytes` and compares what the disk holds then.
fn copy(step: &str, from: &Part, to: &Part, bytes: u64, say: &mut dyn FnMut(Progress)) -> Result<()> {
    let (mut chunk, mut again) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut tell = |done| say(Progress { step: step.to_owned(), done, all: bytes });
    let places = || (0..bytes).step_by(CHUNK_BYTES).map(|at| (at, length(bytes - at)));
    for (at, length) in places() {
        from.read_exact_at(&mut chunk[..length], at).context("the disk that runs cannot be read")?;
        to.write_all_at(&chunk[..length], at).context(UNWRITABLE)?;
        tell(at);
    }
    to.sync().context(UNWRITABLE)?;
    to.forget();
    for (at, length) in places() {
        from.read_exact_at(&mut chunk[..length], at).context("the disk that runs cannot be read")?;
        to.read_exact_at(&mut again[..length], at).context(UNREADABLE)?;
        ensure!(chunk[..length] == again[..length], "the disk does not hold what was written to it");
    }
    tell(bytes);
    Ok(())
}

fn length(left: u64) -> usize {
    usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES))
}

/// Bytes of a part in their order.
struct Stretch<'p> {
    part: &'p Part,
    at: u64,
    end: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let wanted = bytes.len().min(length(self.end - self.at));
        let got = self.part.read_at(&mut bytes[..wanted], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that stands for mke2fs.
    fn maker(dir: &Path, script: &str) -> String {
        let path = dir.join("mke2fs");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writes");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("is there");
        path.to_str().expect("plain").to_owned()
    }

    #[test]
    fn a_draft_holds_the_files_and_has_no_name() {
        // A small file system, as the flash is: what is in use of it counts.
        let flash = tempfile::tempdir_in("/dev/shm").expect("temporary folder");
        fs::write(flash.path().join("startup-config"), "hostname lb1\n").expect("writes");
        let draft = Draft::make(MKE2FS, Some(flash.path())).expect("package e2fsprogs");
        let links = std::os::unix::fs::MetadataExt::nlink(&draft.config.metadata().expect("is there"));
        assert_eq!(links, 0, "it outlives who makes it");
        let mut bytes = Vec::new();
        (&draft.config).read_to_end(&mut bytes).expect("reads");
        assert_eq!(bytes.len() as u64, LAYOUT[4].bytes);
        assert_eq!(bytes[1024 + 0x38..1024 + 0x3a], [0x53, 0xef], "no ext4");
        assert!(bytes.windows(12).any(|window| window == b"hostname lb1"));
    }

    #[test]
    fn a_maker_that_fails_says_why_and_there_is_no_draft() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let failing = maker(dir.path(), "echo 'Could not allocate block' >&2; exit 1");
        let error = Draft::make(&failing, None).err().expect("fails").to_string();
        assert_eq!(error, "the configuration cannot be copied, nothing was written: Could not allocate block");
        assert!(Draft::make("/nonexistent/mke2fs", None).is_err());
    }

    #[test]
    fn a_draft_does_not_take_the_balancers_memory() {
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:     2048 kB\n"), 2 * MIB);
        assert_eq!(available("MemTotal: 5 kB\n"), 0);
        has_room(2 * MIB, 19 * MIB, 64 * MIB).expect("just fits");
        let error = has_room(2 * MIB, 18 * MIB, 64 * MIB).expect_err("does not fit").to_string();
        assert!(error.contains("19 MiB have to be free, 18 are; nothing was written"), "{error}");
        assert!(has_room(60 * MIB, 400 * MIB, 40 * MIB).is_err(), "its file system is full");
    }
}
