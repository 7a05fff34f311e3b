//! `install disk`: puts the box that runs on another disk.
//!
//! The order is that of a cut of the power: the other disk's table goes first and the first sector of the new one comes last, in one write, so
//! that no firmware starts a disk that is not whole. Everything is read back. Of the disk that runs nothing is written: the loader and the
//! running slot are copied, the latter as an update would be, by its signed hash; the configuration is put into a new file system by mke2fs,
//! file by file, since a mounted one cannot be copied. GUIDs are new, so that both disks may stay in the box.

use std::fs::{self, File};
use std::io::{Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::environment::{Environment, Slot};
use crate::layout::{self, BOOT_CODE_BYTES, Guids, LAYOUT, MIB, SLOT_BYTES};
use crate::part::Part;
use crate::report::Progress;
use crate::update::{HEADER_BYTES, Manifest};
use crate::{esp, slot};

/// Read and written at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Where the new file system is made, in memory: a box has this much, and no disk may be written but the new one.
const DRAFT: &str = "/tmp/install-disk.img";

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

/// Writes everything to `disk`. `flash` is the folder whose files become the configuration, `None`: it starts factory-fresh.
///
/// # Errors
/// Of a disk, or that what was copied is damaged. The disk does not start then.
pub fn write(running: &Running, flash: Option<&Path>, disk: &mut File, say: &mut dyn FnMut(Progress)) -> Result<()> {
    let guids = Guids::random();
    let (starts, _) = layout::offsets();
    let bytes = layout::size(disk)?;
    let part = |start: u64| -> Result<Part> { Ok(Part::new(disk.try_clone()?, start)) };
    let [bios, esp, slot_a, slot_b, config] = starts.map(part);
    let (esp, slot_a) = (esp?, slot_a?);
    let whole = part(0)?;

    let nothing = vec![0; CHUNK_BYTES];
    for at in [0, bytes - MIB] {
        whole.write_all_at(&nothing, at).context("the disk cannot be written")?;
    }
    whole.sync().context("the disk cannot be written")?;

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

    let draft = format(&guids, flash)?;
    copy("config", &Part::from(draft), &config?, LAYOUT[4].bytes, say)?;

    layout::write_table(disk, &guids)?;
    whole.sync().context("the disk cannot be written")?;
    let mut code = [0; BOOT_CODE_BYTES];
    running.disk.read_exact_at(&mut code, 0)?;
    whole.write_all_at(&layout::first_sector(bytes, &code), 0).context("the disk cannot be written")?;
    whole.sync().context("the disk cannot be written")
}

/// Copies the first `bytes` and compares what the disk holds then.
fn copy(step: &str, from: &Part, to: &Part, bytes: u64, say: &mut dyn FnMut(Progress)) -> Result<()> {
    let (mut chunk, mut again) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut tell = |done| say(Progress { step: step.to_owned(), done, all: bytes });
    let places = || (0..bytes).step_by(CHUNK_BYTES).map(|at| (at, length(bytes - at)));
    for (at, length) in places() {
        from.read_exact_at(&mut chunk[..length], at).context("the disk that runs cannot be read")?;
        to.write_all_at(&chunk[..length], at).context("the disk cannot be written")?;
        tell(at);
    }
    to.sync().context("the disk cannot be written")?;
    to.forget();
    for (at, length) in places() {
        from.read_exact_at(&mut chunk[..length], at).context("the disk that runs cannot be read")?;
        to.read_exact_at(&mut again[..length], at).context("the disk cannot be read")?;
        ensure!(chunk[..length] == again[..length], "the disk does not hold what was written to it");
    }
    tell(bytes);
    Ok(())
}

fn length(left: u64) -> usize {
    usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES))
}

/// A new file system of the configuration, with the files of `flash`; it is gone when it is closed.
fn format(guids: &Guids, flash: Option<&Path>) -> Result<File> {
    let _ = fs::remove_file(DRAFT);
    // Nobody else's to read: keys and passwords are in it.
    let mut options = File::options();
    let mut draft = options.read(true).write(true).create_new(true).mode(0o600).open(DRAFT).context(DRAFT)?;
    draft.set_len(LAYOUT[4].bytes)?;
    let mut mke2fs = Command::new("/usr/sbin/mke2fs");
    mke2fs.args(layout::config_format(guids));
    if let Some(flash) = flash {
        mke2fs.arg("-d").arg(flash);
    }
    let made = mke2fs.arg(DRAFT).output();
    fs::remove_file(DRAFT)?;
    let made = made.context("/usr/sbin/mke2fs")?;
    let why = String::from_utf8_lossy(&made.stderr).trim().replace('\n', "; ");
    ensure!(made.status.success(), "the configuration cannot be copied: {why}");
    draft.seek(SeekFrom::Start(0))?;
    Ok(draft)
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
