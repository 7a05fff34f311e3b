//! The plug pulled at every point of a first boot, a save, `install add`, `install activate` and `factory-reset`: QEMU logs each write and
//! flush, the disk is rebuilt as it may look after a cut, and judged by what the loader and the next boot would make of it. Nothing is booted
//! again for that: which slot the loader takes is in its variables, and a slot is whole or it is not.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use yoke_install::environment::{Environment, Slot};
use yoke_install::esp;
use yoke_install::slot::room;
use yoke_install::update::HEADER_BYTES;

use super::power_cut::whole_body;
use super::{OFF_LIMIT, install};
use crate::disk::{self, Partition};
use crate::runner::{Scene, say};
use crate::vm::Machine;
use crate::writelog::{self, Choices, Entry};

/// Cuts of each kind, each with its own choices.
const CUTS: [(Kind, usize); 4] = [(Kind::Begin, 100), (Kind::Add, 100), (Kind::Activate, 60), (Kind::Reset, 60)];
/// Cuts of the control.
const CONTROL_CUTS: usize = 60;

/// What was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// First boot and the first save.
    Begin,
    Add,
    Activate,
    Reset,
}

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let logs = ["begin.log", "reset.log"].map(|name| scene.world.dir.join(name));
    let logged = |log: &Path| Machine { write_log: Some(log.to_owned()), ..Machine::default() };
    install::begin(scene, logged(&logs[0]))?;
    let saved = writelog::entries_so_far(&logs[0])?;
    install::add(scene)?;
    let added = writelog::entries_so_far(&logs[0])?;
    scene.must("activate_takes_the_box_down", |world| install::activate(world, 30))?;
    let between = scene.world.dir.join("between.img");
    disk::copy(&scene.world.disk(), &between)?;
    scene.world.machine = logged(&logs[1]);
    let reset = scene.must("factory_reset_takes_the_box_down", |world| {
        install::boot(world)?;
        let before = writelog::entries_so_far(&logs[1])?;
        world.console()?.serial.send("factory-reset force\r")?;
        world.wait_off(OFF_LIMIT)?;
        Ok(before)
    })?;
    let dir = scene.world.dir.clone();
    let mut films = scene.must("the_logs_read_back", |_| {
        Ok([
            Film::open(
                &crate::vm::image()?,
                &logs[0],
                &dir,
                [(Kind::Begin, 0), (Kind::Add, saved), (Kind::Activate, added)].to_vec(),
            )?,
            Film::open(&between, &logs[1], &dir, vec![(Kind::Reset, reset)])?,
        ])
    })?;
    for (kind, count) in CUTS {
        let film = films.iter().find(|film| film.from(kind).is_some()).context("a film")?;
        scene.check(&format!("no_cut_of_{kind:?}_leaves_neither_state").to_lowercase(), |_| {
            let told = film.cut_often(kind, count)?;
            say(&format!(
                "  {kind:?}: {count} cuts, {} to the old state, {} to the new, {} to neither",
                told.old,
                told.new,
                told.bad.len()
            ));
            match told.bad.first() {
                None => Ok(()),
                Some(first) => bail!("{} of {count} cuts leave neither state, first: {first}", told.bad.len()),
            }
        });
    }
    scene.check("the_same_cuts_of_a_disk_that_never_flushes_leave_neither", |_| {
        // The instrument's own check, as in `power_cut`.
        for entry in &mut films[0].entries {
            (entry.flush, entry.fua) = (false, false);
        }
        let told = films[0].cut_often(Kind::Activate, CONTROL_CUTS)?;
        say(&format!("  without a flush: {CONTROL_CUTS} cuts, {} to neither", told.bad.len()));
        ensure!(!told.bad.is_empty(), "{CONTROL_CUTS} cuts without a flush harm nothing: this test cannot fail");
        Ok(())
    });
    Ok(())
}

/// What cuts came to.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) old: usize,
    pub(super) new: usize,
    pub(super) bad: Vec<String>,
}

/// A disk, what was written to it since, and what began with which entry.
struct Film {
    start: Vec<u8>,
    entries: Vec<Entry>,
    begins: Vec<(Kind, usize)>,
    judge: Judge,
}

/// Who looks at a disk as the loader and the next boot would.
pub(super) struct Judge {
    esp: Partition,
    slot_b: Partition,
    config: Partition,
    update: Vec<u8>,
    /// Where its flash is looked at.
    file: PathBuf,
}

impl Film {
    fn open(before: &Path, log: &Path, dir: &Path, begins: Vec<(Kind, usize)>) -> Result<Self> {
        let start = std::fs::read(before)?;
        let entries = writelog::read(log, &(0..start.len() as u64))?;
        Ok(Self { start, entries, begins, judge: Judge::new(before, dir)? })
    }

    /// The entries of one kind.
    fn from(&self, kind: Kind) -> Option<Range<usize>> {
        let at = self.begins.iter().position(|(it, _)| *it == kind)?;
        let end = self.begins.get(at + 1).map_or(self.entries.len(), |(_, next)| *next);
        Some(self.begins[at].1..end)
    }

    fn cut_often(&self, kind: Kind, count: usize) -> Result<Told> {
        let range = self.from(kind).context("no such film")?;
        ensure!(range.len() > 1, "{kind:?}: only {} writes and flushes", range.len());
        let mut told = Told::default();
        for number in 0..count {
            let cut = range.start + 1 + (range.len() - 1) * number / count;
            let mut bytes = self.start.clone();
            writelog::cut(&mut bytes, &self.entries, cut, &mut Choices::new(number as u64));
            match self.judge.judge(kind, &bytes) {
                Ok(true) => told.new += 1,
                Ok(false) => told.old += 1,
                Err(error) => told.bad.push(format!("behind write {cut}: {error:#}")),
            }
        }
        Ok(told)
    }
}

impl Judge {
    /// For disks with the partitions of this one.
    pub(super) fn new(disk: &Path, dir: &Path) -> Result<Self> {
        let part = |label| disk::partition(disk, label);
        let (esp, slot_b, config) = (part("esp")?, part("slot-b")?, part("config")?);
        let update = std::fs::read(install::image_file())?;
        Ok(Self { esp, slot_b, config, update, file: dir.join("cut.img") })
    }

    /// What the next boot finds on a disk: whether the new state; an error when neither.
    pub(super) fn judge(&self, kind: Kind, bytes: &[u8]) -> Result<bool> {
        let loader = esp::read(&Bytes(part(bytes, &self.esp)?)).context("the loader's variables")?;
        let slot_b = part(bytes, &self.slot_b)?;
        let body = &self.update[HEADER_BYTES..];
        let block = usize::try_from(room(self.slot_b.bytes))?;
        let b_is_whole = slot_b.starts_with(body) && slot_b[block..block + HEADER_BYTES] == self.update[..HEADER_BYTES];
        let starts = if loader.is_pending() { loader.next() } else { None }.unwrap_or_else(|| loader.good());
        ensure!(starts == Slot::A || b_is_whole, "the loader starts slot b, which is not whole: {loader:?}");
        match kind {
            Kind::Begin => Ok(self.configuration(bytes)?.is_some()),
            Kind::Add => {
                ensure!(self.configuration(bytes)?.is_some(), "the saved configuration is gone");
                Ok(b_is_whole)
            }
            Kind::Activate => {
                ensure!(b_is_whole, "what was acknowledged as written is not whole");
                Ok(is_activated(&loader))
            }
            Kind::Reset => Ok(self.configuration(bytes)?.is_none()),
        }
    }

    /// The configuration that is loaded, checked as the boot does; `None`: as from the factory. A file that is there and damaged is an error.
    pub(super) fn configuration(&self, bytes: &[u8]) -> Result<Option<String>> {
        std::fs::write(&self.file, part(bytes, &self.config)?)?;
        disk::check(&self.file)?;
        let read = |name: &str| -> Result<String> {
            let text = disk::run(Command::new("debugfs").args(["-R", &format!("cat {name}")]).arg(&self.file))?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        // The order of the boot, `config/src/store.rs`.
        let texts = [read("startup-config")?, read("startup-config.bak")?];
        if texts.iter().all(String::is_empty) {
            return Ok(None);
        }
        let whole = texts.iter().find_map(|text| whole_body(text));
        Ok(Some(whole.context("neither startup-config nor its backup is whole")?.to_owned()))
    }
}

fn is_activated(loader: &Environment) -> bool {
    loader.is_pending() && loader.next() == Some(Slot::B)
}

fn part<'b>(bytes: &'b [u8], part: &Partition) -> Result<&'b [u8]> {
    let (from, to) = (usize::try_from(part.offset)?, usize::try_from(part.offset + part.bytes)?);
    bytes.get(from..to).context("the disk is shorter than its partitions")
}

/// Memory that reads like a device.
struct Bytes<'b>(&'b [u8]);

impl FileExt for Bytes<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let rest = self.0.get(from..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
