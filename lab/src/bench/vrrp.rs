//! What a pair of routers costs a client, and the box: our vrrpd beside Debian's keepalived, each on a network of its own in namespaces of
//! this machine, in turns, hit by the same hand at the same phase of the advertisement interval.
//!
//! keepalived runs at its best: realtime, memory locked, no detailed log. `YOKE_BENCH_RUNS` says how often each failure is repeated;
//! figures for a release are of 50.

mod kill;
mod load;
mod many;
mod outage;
mod rig;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::figure::{Figure, Goal};
use crate::runner::Scene;

/// Repeats of everything, unless the environment says otherwise: what five minutes allow.
const RUNS: u32 = 5;
/// The environment's word.
const RUNS_VARIABLE: &str = "YOKE_BENCH_RUNS";

/// What all measurements share.
struct Bench {
    /// The image's vrrpd.
    vrrpd: PathBuf,
    runs: u32,
    dir: PathBuf,
}

/// Gives the figures of one measurement.
type Measure = fn(&Bench) -> Result<Vec<Figure>>;

/// What a failover costs a client.
pub(super) fn outage(scene: &mut Scene<'_>) -> Result<()> {
    measure(scene, &[("beside_keepalived", outage::beside_keepalived), ("by_default", outage::by_default)])
}

/// A daemon that dies.
pub(super) fn kill(scene: &mut Scene<'_>) -> Result<()> {
    measure(scene, &[("killed", kill::killed)])
}

/// Many addresses, many groups.
pub(super) fn many(scene: &mut Scene<'_>) -> Result<()> {
    measure(scene, &[("addresses", many::addresses), ("groups", many::groups)])
}

/// Short intervals on a busy machine.
pub(super) fn load(scene: &mut Scene<'_>) -> Result<()> {
    measure(scene, &[("busy", load::busy)])
}

fn measure(scene: &mut Scene<'_>, measures: &[(&str, Measure)]) -> Result<()> {
    let vrrpd = super::built("yoke-vrrp", &["--bin", "vrrpd"], "vrrpd")?;
    let bench = Bench { vrrpd, runs: runs()?, dir: scene.world.dir.clone() };
    for (name, measure) in measures {
        let figures = scene.must(name, |_| measure(&bench))?;
        scene.figures(figures);
    }
    Ok(())
}

fn runs() -> Result<u32> {
    let Some(word) = std::env::var_os(RUNS_VARIABLE) else { return Ok(RUNS) };
    let word = word.to_string_lossy();
    let runs = word.parse().with_context(|| format!("{RUNS_VARIABLE}={word}: use a number of runs"))?;
    ensure!((1..=1000).contains(&runs), "{RUNS_VARIABLE}={word}: use 1 to 1000");
    Ok(runs)
}

/// Milliseconds with their fraction.
fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The middle one of at least one.
fn median(found: &[Duration]) -> Duration {
    let mut sorted = found.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

fn maximum(found: &[Duration]) -> Duration {
    found.iter().copied().max().unwrap_or_default()
}

/// A figure in milliseconds.
fn figure(what: impl Into<String>, measured: Duration, goal: Option<Duration>) -> Figure {
    Figure::plain(what, millis(measured), "ms", goal.map_or(Goal::None, |goal| Goal::AtMost(round(millis(goal)))))
}

/// To a tenth, as it is printed.
fn round(millis: f64) -> f64 {
    (millis * 10.0).round() / 10.0
}
