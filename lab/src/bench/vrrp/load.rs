//! The shortest interval there is, on a machine with nothing but busy programs: does a backup take over from an active router that lives?

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use super::rig::{Daemon, Rig, Settings};
use super::{Bench, figure};
use crate::figure::{Figure, Goal};
use crate::pair::{Side, until_wall, wall};

const INTERVAL: Duration = Duration::from_millis(10);
/// Busy programs, on however few processors.
const LOOPS: usize = 16;
/// For each run of the bench: a minute by default, ten for a release.
const TIME: Duration = Duration::from_secs(12);

/// Threads that do nothing, as fast as they can.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = || {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    spin_loop();
                }
            })
        };
        Self { threads: (0..LOOPS).map(|_| one()).collect(), stop }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Both pairs at once, under the same load.
pub(super) fn busy(bench: &Bench) -> Result<Vec<Figure>> {
    let settings = Settings::new(INTERVAL, [200, 100], true);
    let rigs = [Rig::start(bench, Daemon::Ours, settings)?, Rig::start(bench, Daemon::Keepalived, settings)?];
    let load = Busy::start();
    rigs.iter().for_each(|rig| rig.pair.forget());
    until_wall(wall() + TIME * bench.runs);
    let heard = rigs.each_ref().map(|rig| rig.pair.heard());
    drop(load);
    let mut found = Vec::new();
    for heard in &heard {
        let [a, b] = Side::BOTH.map(Side::v4);
        // A claim of the backup right after one of the active.
        let claims = heard.adverts.iter().filter(|advert| advert.priority > 0).map(|advert| advert.source);
        let claims: Vec<_> = claims.collect();
        let taken = claims.windows(2).filter(|pair| pair[0] == a && pair[1] == b).count();
        let at: Vec<Duration> =
            heard.adverts.iter().filter(|advert| advert.source == a).map(|advert| advert.at).collect();
        let gap = at.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().context("nothing was advertised")?;
        found.push((f64::from(u32::try_from(taken)?), gap));
    }
    let [(ours, our_gap), (theirs, their_gap)] = found[..] else { anyhow::bail!("two were measured") };
    let seconds = (TIME * bench.runs).as_secs();
    let what = format!("10 ms, {LOOPS} busy loops, {seconds} s: false take-overs");
    Ok(vec![
        Figure::plain(what, ours, "", Goal::AtMost(0.0)).beside(format!("keepalived {theirs}")),
        figure("longest time between two advertisements", our_gap, None)
            .beside(format!("keepalived {:.3}", super::millis(their_gap))),
    ])
}
