//! vrrpd is killed on the active box, and init starts it again: does a client notice, and for how long do two boxes hold the address?

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::rig::{Rig, Settings};
use super::{Bench, figure, maximum, median};
use crate::figure::{Figure, Goal};
use crate::pair::{Side, until_wall, wall};

const INTERVALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(10)];
/// Two boxes may hold the address for so long.
const TWO_LIMIT: Duration = Duration::from_millis(50);
/// Between two deaths on one box: the third within 10 s has init give everything up.
const PAUSE: Duration = Duration::from_millis(5500);
/// Until a client is served as before, and the announcement that follows a restart is made.
const LIMIT: Duration = Duration::from_secs(5);

/// SIGKILL, with the defaults of priority and preemption.
pub(super) fn killed(bench: &Bench) -> Result<Vec<Figure>> {
    let init = crate::bench::built("yoke-init", &["--bin", "init"], "init")?;
    let mut rigs = Vec::new();
    for interval in INTERVALS {
        let settings = Settings::new(interval, [254, 253], false);
        rigs.push(Rig::start_guarded(bench, &init, settings)?);
    }
    let mut seen = [Vec::new(), Vec::new()];
    for run in 0..bench.runs {
        let begun = wall();
        for (rig, seen) in rigs.iter_mut().zip(&mut seen) {
            rig.settle(Side::A)?;
            let victim = Pid::from_raw(rig.pair.vrrpd_of(Side::A)?);
            let phase = (f64::from(run) + 0.5) / f64::from(bench.runs);
            seen.push(rig.watch(Side::A, phase, LIMIT, |_| kill(victim, Signal::SIGKILL).context("kill it"))?);
        }
        until_wall(begun + PAUSE);
    }
    let mut figures = Vec::new();
    for (interval, seen) in INTERVALS.into_iter().zip(&seen) {
        let ms = interval.as_millis();
        let lost: usize = seen.iter().map(|seen| seen.outage.lost).sum();
        let lost = f64::from(u32::try_from(lost)?);
        figures.push(Figure::plain(format!("vrrpd killed at {ms} ms: questions lost"), lost, "", Goal::AtMost(0.0)));
        let two: Vec<Duration> = seen.iter().map(|seen| seen.two).collect();
        figures.push(figure(format!("vrrpd killed at {ms} ms: two active, longest"), maximum(&two), Some(TWO_LIMIT)));
        let taken = seen.iter().filter(|seen| !seen.two.is_zero()).count();
        let back: Vec<Duration> = seen.iter().filter_map(|seen| seen.first).collect();
        figures.push(
            figure(format!("vrrpd killed at {ms} ms: it advertises again, median"), median(&back), None)
                .beside(format!("the other took over in {taken} of {} runs", seen.len())),
        );
    }
    Ok(figures)
}
