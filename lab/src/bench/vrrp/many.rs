//! As many addresses and as many groups as there are: what they cost the advertisements, and the processor.

use std::time::Duration;

use anyhow::{Context, Result};

use super::rig::{Daemon, Failure, Rig, Settings};
use super::{Bench, figure, maximum, median, millis};
use crate::figure::{Figure, Goal};
use crate::pair::{Side, until_wall, wall};

const INTERVAL: Duration = Duration::from_millis(100);
/// What a second advertisement may be late by.
const LATE: Duration = Duration::from_millis(2);
/// Processor time of every group there is, as a part of keepalived's.
const HALF: f64 = 0.5;
/// How long the processor's time is counted, and how often in turns.
const COUNTED: Duration = Duration::from_secs(4);

/// 200 addresses move, and the new active router's second advertisement is due.
pub(super) fn addresses(bench: &Bench) -> Result<Vec<Figure>> {
    let settings = Settings { addresses: 200, ..Settings::new(INTERVAL, [254, 253], true) };
    let late = |daemon| -> Result<Vec<Duration>> {
        let mut rig = Rig::start(bench, daemon, settings)?;
        let one = |run| {
            let phase = (f64::from(run) + 0.5) / f64::from(bench.runs);
            let seen = rig.fail(Side::A, Failure::Stop, phase)?;
            rig.mend(Side::A, Failure::Stop, Side::A, phase)?;
            Ok(seen.second.context("there was no second advertisement")?.saturating_sub(INTERVAL))
        };
        (0..bench.runs).map(one).collect()
    };
    let (ours, theirs) = (late(Daemon::Ours)?, late(Daemon::Keepalived)?);
    let row = |word: &str, of: fn(&[Duration]) -> Duration, goal| {
        figure(format!("200 addresses, second advertisement late, {word}"), of(&ours), goal)
            .beside(format!("keepalived {:.3}", millis(of(&theirs))))
    };
    Ok(vec![row("median", median, None), row("longest", maximum, Some(LATE))])
}

/// 255 groups on one interface, both boxes together.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Figure>> {
    let settings = Settings { groups: 255, ..Settings::new(INTERVAL, [254, 253], true) };
    let rigs = [Rig::start(bench, Daemon::Ours, settings)?, Rig::start(bench, Daemon::Keepalived, settings)?];
    // What they do once, at their start, is over when the announcements of 5 s after a take-over are (keepalived's garp_master_delay).
    until_wall(wall() + Duration::from_secs(6));
    let mut used = [[Duration::ZERO; 2]; 2];
    let cpu = |rig: &Rig| -> Result<[Duration; 2]> { Ok([rig.cpu(Side::A)?, rig.cpu(Side::B)?]) };
    for _ in 0..bench.runs {
        for (rig, used) in rigs.iter().zip(&mut used) {
            let before = cpu(rig)?;
            until_wall(wall() + COUNTED);
            let after = cpu(rig)?;
            for (side, used) in used.iter_mut().enumerate() {
                *used += after[side].saturating_sub(before[side]);
            }
        }
    }
    let time = COUNTED * bench.runs;
    let part = |used: Duration| 100.0 * used.as_secs_f64() / time.as_secs_f64();
    let [ours, theirs] = used;
    let row = |what: &str, ours: Duration, theirs: Duration, goal| {
        Figure::plain(
            format!("255 groups, {what}: of keepalived's processor time"),
            ours.as_secs_f64() / theirs.as_secs_f64(),
            "",
            goal,
        )
        .beside(format!("{:.2} % and {:.2} % of a processor", part(ours), part(theirs)))
    };
    Ok(vec![
        row("active", ours[0], theirs[0], Goal::None),
        row("backup", ours[1], theirs[1], Goal::None),
        row("both", ours[0] + ours[1], theirs[0] + theirs[1], Goal::AtMost(HALF)),
    ])
}
