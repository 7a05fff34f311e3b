//! How long a client goes without an answer when the active router fails, and when it returns; and what a healed partition leaves behind.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::rig::{Daemon, Failure, Rig, Seen, Settings, VIP};
use super::{Bench, figure, maximum, median};
use crate::figure::{Figure, Goal};
use crate::pair::Side;
use crate::wait;

/// Intervals at which both are measured.
const INTERVALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(10)];
/// What a median may be above keepalived's, which is what the client's question every millisecond resolves; and a maximum.
const ABOVE_MEDIAN: Duration = Duration::from_millis(1);
const ABOVE_MAXIMUM: Duration = Duration::from_millis(2);
/// No outage at 10 ms may be longer.
const SHORTEST_LIMIT: Duration = Duration::from_millis(50);
/// Goals of our own defaults.
const POWER_LOSS_LIMIT: Duration = Duration::from_millis(320);
const ORDERLY_LIMIT: Duration = Duration::from_millis(10);
/// Until a router that was cut off gives the other up.
const LIMIT: Duration = Duration::from_secs(10);

/// How far off a blow may fall. The last answer before it is up to a millisecond older.
const OFF_PHASE: Duration = Duration::from_micros(1500);
/// Blows before one off its phase is taken as it is.
const TRIES: u32 = 4;

/// What is repeated, with its name.
type Cases = BTreeMap<(&'static str, Daemon), Vec<Seen>>;

/// Each failure at the same phase for both programs: priorities 200 and 100, preemption on, as keepalived has it.
pub(super) fn beside_keepalived(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for interval in INTERVALS {
        let settings = Settings::new(interval, [200, 100], true);
        let mut rigs = [Daemon::Ours, Daemon::Keepalived].map(|daemon| (daemon, Rig::start(bench, daemon, settings)));
        let mut cases = Cases::new();
        for run in 0..bench.runs {
            let phase = (f64::from(run) + 0.5) / f64::from(bench.runs);
            for (daemon, rig) in &mut rigs {
                let rig = rig.as_mut().map_err(|error| anyhow::anyhow!("start {daemon:?}: {error:#}"))?;
                let mut note = |name, seen| cases.entry((name, *daemon)).or_default().push(seen);
                for failure in Failure::ALL {
                    let (seen, back) = hit(rig, failure, phase)?;
                    note(failure.name(), seen);
                    match failure {
                        Failure::PowerLoss => note(HEAL_LOSER, back),
                        Failure::Stop => note("preemption", back),
                        Failure::LinkDown | Failure::PortDown => {}
                    }
                }
                note(HEAL_WINNER, backup_cut_off(rig, phase)?);
            }
            // Who is measured first is measured on the colder machine.
            rigs.reverse();
        }
        figures.extend(outages(&cases, interval)?);
        figures.extend(heals(&cases, interval)?);
    }
    Ok(figures)
}

/// One failure and its end. The blow is repeated when it fell at another phase than it was meant for: that is this machine's doing, and
/// nothing that the router did afterwards decides on it.
fn hit(rig: &mut Rig, failure: Failure, phase: f64) -> Result<(Seen, Seen)> {
    let meant = rig.interval().mul_f64(phase);
    let mut tries = 0;
    loop {
        let seen = rig.fail(Side::A, failure, phase)?;
        let back = rig.mend(Side::A, failure, Side::A, phase)?;
        tries += 1;
        // An orderly stop costs the same at every phase.
        if failure == Failure::Stop || tries == TRIES || seen.hit.abs_diff(meant) <= OFF_PHASE {
            return Ok((seen, back));
        }
    }
}

/// The client was on the side of the router that lost, or of the one that won.
const HEAL_LOSER: &str = "heal, client by the loser";
const HEAL_WINNER: &str = "heal, client by the winner";

/// The backup is cut off until it is active too, and joined again.
fn backup_cut_off(rig: &mut Rig, phase: f64) -> Result<Seen> {
    rig.settle(Side::A)?;
    rig.cut(Side::B)?;
    wait::until("a backup that is cut off to be active", LIMIT, || {
        ensure!(rig.pair.holds(Side::B, VIP.into())?, "not yet");
        Ok(())
    })?;
    rig.mend(Side::B, Failure::PowerLoss, Side::A, phase)
}

fn found<'c>(cases: &'c Cases, name: &'static str, daemon: Daemon) -> Result<&'c [Seen]> {
    Ok(cases.get(&(name, daemon)).with_context(|| format!("{name} was not measured"))?)
}

fn longest(seen: &[Seen]) -> Vec<Duration> {
    seen.iter().map(|seen| seen.outage.longest).collect()
}

fn outages(cases: &Cases, interval: Duration) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let ms = interval.as_millis();
    for name in Failure::ALL.map(Failure::name).into_iter().chain(["preemption"]) {
        let ours = longest(found(cases, name, Daemon::Ours)?);
        let theirs = longest(found(cases, name, Daemon::Keepalived)?);
        let capped = |goal: Duration| if interval == INTERVALS[1] { goal.min(SHORTEST_LIMIT) } else { goal };
        let mut add = |word, of: fn(&[Duration]) -> Duration, above| {
            let what = format!("{name} at {ms} ms, {word}");
            let row = figure(what, of(&ours), Some(capped(of(&theirs) + above)));
            figures.push(row.beside(format!("keepalived {:.3}", super::millis(of(&theirs)))));
        };
        add("median", median, ABOVE_MEDIAN);
        add("longest", maximum, ABOVE_MAXIMUM);
    }
    Ok(figures)
}

fn heals(cases: &Cases, interval: Duration) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let ms = interval.as_millis();
    for name in [HEAL_LOSER, HEAL_WINNER] {
        let (ours, theirs) = (found(cases, name, Daemon::Ours)?, found(cases, name, Daemon::Keepalived)?);
        let mut count = |word: &str, bad: fn(&Seen) -> bool| {
            let [here, there] = [ours, theirs].map(|seen| seen.iter().filter(|seen| bad(seen)).count());
            let here = f64::from(u32::try_from(here).unwrap_or(u32::MAX));
            let row = Figure::plain(format!("{name}, {ms} ms: {word}"), here, "", Goal::AtMost(0.0));
            figures.push(row.beside(format!("keepalived {there} of {}", theirs.len())));
        };
        count("not served by the winner", |seen| !seen.served);
        count("not announced", |seen| !seen.announced);
        let both = |seen: &[Seen]| maximum(&seen.iter().map(|seen| seen.both).collect::<Vec<_>>());
        let row = figure(format!("{name}, {ms} ms: two active"), both(ours), Some(interval));
        figures.push(row.beside(format!("keepalived {:.3}", super::millis(both(theirs)))));
    }
    Ok(figures)
}

/// Our own defaults: 100 ms, 254 and 253, who returns stays backup.
pub(super) fn by_default(bench: &Bench) -> Result<Vec<Figure>> {
    let settings = Settings::new(Duration::from_millis(100), [254, 253], false);
    let mut rig = Rig::start(bench, Daemon::Ours, settings)?;
    let mut active = Side::A;
    let (mut lost, mut stopped, mut handed) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..bench.runs {
        let phase = (f64::from(run) + 0.5) / f64::from(bench.runs);
        // Whole runs with each as the first: the higher priority has the shorter skew.
        stopped.push(rig.fail(active, Failure::Stop, phase)?.outage.longest);
        rig.run(active)?;
        rig.wait_backup(active)?;
        active = active.other();
        handed.push(rig.hand_over(active, phase)?.outage.longest);
        active = active.other();
        if active == Side::B {
            // Power loss is told of side A: after the heal the higher priority has it again.
            rig.hand_over(active, phase)?;
            active = Side::A;
        }
        lost.push(rig.fail(Side::A, Failure::PowerLoss, phase)?.outage.longest);
        rig.mend(Side::A, Failure::PowerLoss, Side::A, phase)?;
    }
    let rows = [
        ("power loss by default", lost, POWER_LOSS_LIMIT),
        ("orderly stop by default", stopped, ORDERLY_LIMIT),
        ("hand-over by default", handed, ORDERLY_LIMIT),
    ];
    let row = |(name, found, goal): (&str, Vec<Duration>, Duration)| {
        [
            figure(format!("{name}, median"), median(&found), None),
            figure(format!("{name}, longest"), maximum(&found), Some(goal)),
        ]
    };
    Ok(rows.into_iter().flat_map(row).collect())
}
