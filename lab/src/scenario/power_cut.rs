//! The plug pulled at every point of a save. The box saves while QEMU logs each write and flush; afterwards the disk is
//! rebuilt as it may look after a cut at many of them, checked as the next boot would, and must hold a whole configuration:
//! never an older one than the last `[OK]` the operator saw.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::PASSWORD;
use crate::disk;
use crate::runner::Scene;
use crate::vm::Machine;
use crate::writelog::{self, Choices, Entry};

/// Saves while the log runs.
const SAVES: usize = 12;
/// Cuts tried, spread evenly over the log; each with its own choices.
const CUTS: usize = 200;
/// Cuts of the control.
const CONTROL_CUTS: usize = 20;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    let log = scene.world.dir.join("writes.log");
    let mut acknowledged: Vec<usize> = Vec::new();
    disk::copy(&crate::vm::image()?, &scene.world.disk())?;
    let before = scene.world.dir.join("before.img");
    disk::copy(&scene.world.disk(), &before)?;
    scene.world.machine = Machine { write_log: Some(log.clone()), ..Machine::default() };
    scene.must("a_box_saves_while_every_write_is_logged", |world| {
        world.power_on()?;
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        for save in 1..=SAVES {
            console.configure(&[&format!("hostname save-{save}")])?;
            let said = console.ok("write memory")?.text();
            ensure!(said.contains("[OK]"), "{said}");
            // Whatever comes later than this must keep this save.
            acknowledged.push(writelog::entries_so_far(&log)?);
        }
        world.cut_power()
    })?;
    let mut film = None;
    scene.must("the_log_reads_back", |world| {
        let part = disk::partition(&before, "config")?;
        let entries = writelog::read(&log, &(part.offset..part.offset + part.bytes))?;
        let whole = std::fs::read(&before)?;
        let (from, to) = (usize::try_from(part.offset)?, usize::try_from(part.offset + part.bytes)?);
        let start = whole.get(from..to).context("the image is shorter than its partition")?.to_vec();
        let file = world.dir.join("cut.img");
        film = Some(Film { start, entries, acknowledged, file });
        Ok(())
    })?;
    let mut film = film.context("no log")?;
    scene.check("no_cut_loses_a_save_that_was_acknowledged", |_| match film.cut_often(CUTS)? {
        lost if lost.is_empty() => Ok(()),
        lost => bail!("{} of {CUTS} cuts lose a save, first: {}", lost.len(), lost[0]),
    });
    scene.check("the_same_cuts_of_a_disk_that_never_flushes_do_lose_saves", |_| {
        // The instrument's own check: what it calls safe is so because of the flushes in the log.
        for entry in &mut film.entries {
            (entry.flush, entry.fua) = (false, false);
        }
        let lost = film.cut_often(CONTROL_CUTS)?;
        ensure!(!lost.is_empty(), "{CONTROL_CUTS} cuts without a flush lose nothing: this test cannot fail");
        Ok(())
    });
    Ok(())
}

/// A disk before the first save, and what was written to it since.
struct Film {
    start: Vec<u8>,
    entries: Vec<Entry>,
    /// For each save, how many writes and flushes there were when its `[OK]` was seen.
    acknowledged: Vec<usize>,
    /// Where a cut disk is looked at.
    file: PathBuf,
}

impl Film {
    /// Cuts `count` times, evenly over the saves; returns a sentence for each that lost an acknowledged one.
    fn cut_often(&self, count: usize) -> Result<Vec<String>> {
        // Cuts before the first save find an empty flash, which is right, and teach nothing.
        let (first, last) = (self.acknowledged[0], *self.acknowledged.last().context("no save")?);
        ensure!(last > first + SAVES, "only {} writes in {SAVES} saves", last - first);
        let mut lost = Vec::new();
        for number in 0..count {
            let cut = first + (last - first) * number / count;
            let promised = self.acknowledged.iter().rposition(|at| *at <= cut).map_or(0, |index| index + 1);
            let mut flash = self.start.clone();
            writelog::cut(&mut flash, &self.entries, cut, &mut Choices::new(number as u64));
            std::fs::write(&self.file, flash)?;
            match newest_whole(&self.file) {
                Ok(found) if found >= promised => {}
                Ok(found) => lost.push(format!("behind write {cut}: save {found}, acknowledged was {promised}")),
                Err(error) => lost.push(format!("behind write {cut}: {error:#}")),
            }
        }
        Ok(lost)
    }
}

/// Checks a flash as the boot does and returns the number of the save that would be loaded.
fn newest_whole(flash: &Path) -> Result<usize> {
    disk::check(flash)?;
    // The order of the boot: startup-config, its backup, the newest archive.
    for name in ["startup-config", "startup-config.bak"] {
        let request = format!("cat {name}");
        let text = disk::run(Command::new("debugfs").args(["-R", &request]).arg(flash))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Some(number) = whole(&text) {
            return Ok(number);
        }
    }
    bail!("neither startup-config nor its backup is whole")
}

/// The number of a save whose checksum is right.
fn whole(text: &str) -> Option<usize> {
    whole_body(text)?.lines().find_map(|line| line.strip_prefix("hostname save-")?.parse().ok())
}

/// The text of a save whose checksum is right.
pub(super) fn whole_body(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("! sha256 ")?;
    let (sum, body) = rest.split_once('\n')?;
    let real: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    (sum.split_whitespace().next()? == real).then_some(body)
}
