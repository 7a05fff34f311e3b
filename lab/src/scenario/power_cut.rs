//! The plug pulled at every point of a save. The box saves while QEMU logs each write and flush; afterwards the disk is
//! rebuilt as it may look after a cut at many of them, checked as the next boot would, and must hold a whole configuration:
//! never an older one than the last `[OK]` the operator saw.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::PASSWORD;
use crate::disk;
use crate::runner::Scene;
use crate::vm::Machine;
use crate::writelog::{self, Choices};

/// Saves while the log runs.
const SAVES: usize = 12;
/// Cuts tried, spread evenly over the log; each with its own choices.
const CUTS: usize = 200;

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
    scene.must("no_cut_loses_a_save_that_was_acknowledged", |world| {
        let part = disk::partition(&before, "config")?;
        let entries = writelog::read(&log, &(part.offset..part.offset + part.bytes))?;
        let start = {
            let whole = std::fs::read(&before)?;
            let (from, to) = (usize::try_from(part.offset)?, usize::try_from(part.offset + part.bytes)?);
            whole.get(from..to).context("the image is shorter than its partition")?.to_vec()
        };
        // Cuts before the first save find an empty flash, which is right, and teach nothing.
        let (first, last) = (acknowledged[0], *acknowledged.last().context("no save")?);
        ensure!(last > first + SAVES, "only {} writes in {SAVES} saves", last - first);
        for number in 0..CUTS {
            let cut = first + (last - first) * number / CUTS;
            let promised = acknowledged.iter().rposition(|at| *at <= cut).map_or(0, |index| index + 1);
            let mut flash = start.clone();
            writelog::cut(&mut flash, &entries, cut, &mut Choices::new(number as u64));
            let file = world.dir.join("cut.img");
            std::fs::write(&file, flash)?;
            let found = newest_whole(&file).with_context(|| format!("cut {number}, behind write {cut}"))?;
            ensure!(
                found >= promised,
                "cut {number}, behind write {cut}: save {found}, but {promised} was acknowledged"
            );
        }
        Ok(())
    })?;
    Ok(())
}

/// Checks a flash as the boot does and returns the number of the save that would be loaded.
fn newest_whole(flash: &Path) -> Result<usize> {
    disk::check(flash)?;
    // The order of the boot, cli.md 2.5.
    for name in ["startup-config", "startup-config.bak"] {
        let request = format!("cat {name}");
        let text = disk::run(Command::new("debugfs").args(["-R", &request]).arg(flash))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Some(number) = whole(&text) {
            return Ok(number);
        }
    }
    anyhow::bail!("neither startup-config nor its backup is whole")
}

/// The number of a save whose checksum is right.
fn whole(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("! sha256 ")?;
    let (sum, body) = rest.split_once('\n')?;
    let real: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let sum = sum.split_whitespace().next()?;
    (sum == real).then(|| body.lines().find_map(|line| line.strip_prefix("hostname save-")?.parse().ok()))?
}
