//! Scenarios side by side.
//!
//! One emulated machine keeps one processor busy, and most of a scenario is waiting for it. A lane is a thread that plays one scenario after the
//! other. Everything a scenario makes has a fixed name, and `ip netns` keeps its names in `/run/netns`: each lane has one of its own there,
//! in a mount namespace that its programs and threads inherit. Files are apart by the scenario's name already.

use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::runner::{Report, Scenario};

/// More at once than this would only be more memory: the longest scenario is a sixth of all.
const MOST: usize = 4;

/// As many as this machine has processors.
#[must_use]
pub fn of_this_machine() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST)
}

/// Plays `scenarios` in `lanes` lanes, begun in their order. One lane alone is on the machine's own `/run/netns`, where a person finds it.
///
/// # Errors
/// When a lane could not be set up, or a scenario panicked.
pub fn run(scenarios: &[&Scenario], lanes: usize) -> Result<Report> {
    let next = Mutex::new(scenarios.iter());
    let play = || {
        let mut report = Report::default();
        // Not `while let`: the lock would be held for as long as the scenario runs.
        loop {
            let Some(scenario) = next.lock().ok().and_then(|mut next| next.next()) else { return report };
            report.run(scenario);
        }
    };
    let lanes = lanes.min(scenarios.len());
    if lanes <= 1 {
        return Ok(play());
    }
    std::thread::scope(|scope| {
        let lane = || own_names().map(|()| play());
        let running: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        let mut report = Report::default();
        for lane in running {
            let Ok(played) = lane.join() else { bail!("a scenario panicked") };
            report.absorb(played?);
        }
        Ok(report)
    })
}

/// Gives this thread, and all that it starts, an empty `/run/netns`.
fn own_names() -> Result<()> {
    const NAMES: &str = "/run/netns";
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace (needs root)")?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("keep mounts to this lane")?;
    std::fs::create_dir_all(NAMES)?;
    mount(Some("lane"), NAMES, Some("tmpfs"), MsFlags::empty(), none).context(NAMES)
}
