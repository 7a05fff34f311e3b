//! QEMU killed at random moments of a save, `install add`, `install activate`, a first boot and `factory-reset`: the disk that is left is
//! judged as the loader and the next boot would, and every fifth is booted.
//!
//! What a process has written outlives it in its machine's memory, so the kill of an emulator on a raw file loses nothing that the box has
//! written, flushed or not, and could not tell a wrong writer from a right one. Here the writes go to a qcow2 file of small clusters: QEMU
//! keeps where it has put new ones to itself until the box flushes, and takes that with it. So what was not flushed is lost, in parts, as by a
//! power cut, and a box that does not flush fails the same test. What is torn within a cluster, `power_cut` shows.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::install;
use super::power_cut_firmware::{Judge, Kind, Told};
use crate::disk;
use crate::runner::{Scene, World, say};
use crate::vm::{Firmware, Machine};
use crate::wait;
use crate::writelog::Choices;

/// Kills of saves.
const SAVES: usize = 10;
/// The others, the disk they begin with, and within how many milliseconds they come.
const OTHERS: [(Kind, &str, usize, usize); 4] = [
    (Kind::Add, "saved", 8, 15_000),
    (Kind::Activate, "added", 4, 9_000),
    (Kind::Begin, "fresh", 4, 14_000),
    (Kind::Reset, "saved", 4, 3_000),
];
/// Saves asked for in a row, before a kill.
const ROW: usize = 12;
/// Within how many milliseconds of the first one the kill comes: some are left to be done then.
const SAVES_WITHIN: usize = 4_000;
/// Every so manieth disk is booted.
const BOOTED: usize = 5;
/// Kills of the control, at most.
const CONTROL: usize = 3;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let dir = scene.world.dir.clone();
    let state = |name: &str| dir.join(format!("{name}.img"));
    disk::copy(&crate::vm::image()?, &state("fresh"))?;
    install::begin(scene, Machine::default())?;
    scene.must("the_states_to_begin_with", |world| {
        world.console()?.serial.send("poweroff force\r")?;
        world.wait_off(super::OFF_LIMIT)?;
        disk::copy(&world.disk(), &state("saved"))?;
        install::boot(world)
    })?;
    install::add(scene)?;
    scene.must("the_states_after_an_update", |world| {
        world.console()?.serial.send("poweroff force\r")?;
        world.wait_off(super::OFF_LIMIT)?;
        disk::copy(&world.disk(), &state("added"))
    })?;
    let judge = Judge::new(&state("fresh"), &dir)?;
    let mut choices = Choices::new(6);
    let mut kills = 0;
    scene.check("no_kill_within_saves_loses_one_that_was_acknowledged", |world| {
        disk::copy(&state("saved"), &world.disk())?;
        let mut told = Told::default();
        for _ in 0..SAVES {
            kills += 1;
            let at = 300 + choices.below(SAVES_WITHIN);
            let promised = saves(world, false, at)?;
            judge_saves(world, &judge, promised, &mut told)?;
            if kills % BOOTED == 0 {
                boots(world)?;
            }
        }
        tell("Save", &told)
    });
    for (kind, name, count, within) in OTHERS {
        scene.check(&format!("no_kill_of_{kind:?}_leaves_neither_state").to_lowercase(), |world| {
            disk::copy(&state(name), &world.disk())?;
            let mut told = Told::default();
            for _ in 0..count {
                kills += 1;
                let at = choices.below(within);
                fresh_overlay(world)?;
                begin(world, kind)?;
                kill(world, at)?;
                let bytes = left(world)?;
                match judge.judge(kind, &bytes) {
                    Ok(true) => told.new += 1,
                    Ok(false) => told.old += 1,
                    Err(error) => told.bad.push(format!("{at} ms after its begin: {error:#}")),
                }
                if kills % BOOTED == 0 {
                    boots(world)?;
                }
            }
            tell(&format!("{kind:?}"), &told)
        });
    }
    scene.check("the_same_kills_of_a_box_that_does_not_flush_do_lose_saves", |world| {
        disk::copy(&state("saved"), &world.disk())?;
        let mut told = Told::default();
        for _ in 0..CONTROL {
            let promised = saves(world, true, SAVES_WITHIN + choices.below(SAVES_WITHIN))?;
            judge_saves(world, &judge, promised, &mut told)?;
        }
        say(&format!("  without a flush: {CONTROL} kills, {} lose what was acknowledged", told.bad.len()));
        ensure!(!told.bad.is_empty(), "{CONTROL} kills without a flush lose nothing: this test cannot fail");
        Ok(())
    });
    Ok(())
}

fn tell(what: &str, told: &Told) -> Result<()> {
    let count = told.old + told.new + told.bad.len();
    say(&format!(
        "  {what}: {count} kills, {} to the old state, {} to the new, {} to neither",
        told.old,
        told.new,
        told.bad.len()
    ));
    match told.bad.first() {
        None => Ok(()),
        Some(first) => bail!("{} of {count} kills leave neither state, first: {first}", told.bad.len()),
    }
}

fn overlay(world: &World) -> PathBuf {
    world.dir.join("overlay.qcow2")
}

/// Lays an empty overlay over the scenario's disk.
fn fresh_overlay(world: &mut World) -> Result<()> {
    // One that a failure has left.
    let _ = world.cut_power();
    let overlay = overlay(world);
    let mut create = Command::new("qemu-img");
    create.args(["create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-F", "raw", "-b"]);
    disk::run(create.arg(world.disk()).arg(&overlay))?;
    world.machine = Machine { overlay: Some(overlay), ..Machine::default() };
    Ok(())
}

/// Brings a box to the moment at which the clock starts.
fn begin(world: &mut World, kind: Kind) -> Result<()> {
    if kind == Kind::Begin {
        return world.power_on();
    }
    install::boot(world)?;
    let line = match kind {
        Kind::Add => format!("install add http://{}/good force\r", install::SERVER),
        Kind::Activate => "install activate force\r".to_owned(),
        Kind::Begin | Kind::Reset => "factory-reset force\r".to_owned(),
    };
    world.console()?.serial.send(&line)
}

/// Kills QEMU after so many milliseconds, unless the box has ended by itself.
fn kill(world: &mut World, after_ms: usize) -> Result<()> {
    let end = wait::now() + Duration::from_millis(after_ms as u64);
    wait::until("the moment", Duration::from_millis(after_ms as u64 + 1_000), || {
        ensure!(wait::now() >= end);
        Ok(())
    })?;
    world.cut_power()
}

/// The disk that is left.
fn left(world: &World) -> Result<Vec<u8>> {
    let raw = world.dir.join("left.img");
    disk::run(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(overlay(world)).arg(&raw))?;
    let bytes = std::fs::read(&raw)?;
    std::fs::remove_file(&raw)?;
    Ok(bytes)
}

/// Boots a box, asks it for many saves in a row and kills it; `careless`: it flushes nothing. Returns how many were acknowledged.
fn saves(world: &mut World, careless: bool, at: usize) -> Result<usize> {
    fresh_overlay(world)?;
    if careless {
        world.machine.firmware = Firmware::Direct { append: String::new() };
    }
    install::boot(world)?;
    if careless {
        world.shell()?.wait_ready()?;
        world.shell()?.ok("chroot $SLOT /usr/bin/busybox mount -o remount,barrier=0 /flash")?;
    }
    let console = world.console()?;
    console.ok("terminal length 0")?;
    let first = console.serial.look(|screen| screen.term.row());
    let line = |n| format!("configure terminal\rhostname save-{n}\rend\rwrite memory\r");
    console.serial.send(&(1..=ROW).map(line).collect::<String>())?;
    let end = wait::now() + Duration::from_millis(at as u64);
    let promised = wait::until("the moment", Duration::from_millis(at as u64 + 1_000), || {
        ensure!(wait::now() >= end);
        Ok(console
            .serial
            .look(|screen| screen.term.lines_from(first).iter().filter(|row| row.trim() == "[OK]").count()))
    })?;
    world.cut_power()?;
    Ok(promised)
}

fn judge_saves(world: &World, judge: &Judge, promised: usize, told: &mut Told) -> Result<()> {
    let found = judge.configuration(&left(world)?).and_then(|text| {
        let text = text.context("the saved configuration is gone")?;
        Ok(text.lines().find_map(|line| line.strip_prefix("hostname save-")?.parse::<usize>().ok()).unwrap_or(0))
    });
    match found {
        Ok(found) if found < promised => told.bad.push(format!("save {found}, acknowledged was {promised}")),
        Ok(0) => told.old += 1,
        Ok(_) => told.new += 1,
        Err(error) => told.bad.push(format!("{error:#}")),
    }
    Ok(())
}

/// Whether the disk that is left starts, to a login or the question of a box without a configuration.
fn boots(world: &mut World) -> Result<()> {
    world.power_on()?;
    wait::until("a login", crate::console::BOOT_LIMIT, || {
        let text = world.console()?.serial.look(|screen| screen.term.lines_from(0).join("\n"));
        ensure!(text.contains("login:") || text.contains("Password for user admin (new):"), "{text}");
        Ok(())
    })?;
    world.cut_power()
}
