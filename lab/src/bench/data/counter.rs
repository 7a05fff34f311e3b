//! How many instructions the emulated processor has executed: a measure that no neighbour on this machine, no turbo and no cache changes.
//!
//! In a machine that is [`counted`](crate::vm::Machine::counted) every instruction takes the same by the machine's own clock, and the kernel
//! in there keeps book of how long it has idled, to the nanosecond (`/proc/timer_list`, `kernel/time/tick-sched.c`). The difference of both is work:
//! the kernel's and every program's, interrupts that woke it from idleness included. The look itself is work too, always as much: it is measured and
//! taken off.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::runner::World;
use crate::vm::INSTRUCTION;
use crate::wait;

/// What the processor may work between two looks while it counts as idle, and how long it may take to become so: after the client has its answer
/// the last packets are still under way, and a proxy has connections to forget.
const IDLE: Duration = Duration::from_millis(3);
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Looks of which the middle one is what a look costs.
const LOOKS: usize = 11;

/// The counter, and what a look at it costs.
pub(super) struct Counter {
    look: f64,
}

impl Counter {
    /// Finds out what a look costs.
    ///
    /// # Errors
    /// When the machine does not tell, or never idles.
    pub(super) fn new(world: &mut World) -> Result<Self> {
        let raw = Self { look: 0.0 };
        let mut looks = Vec::new();
        for _ in 0..LOOKS {
            looks.push(raw.during(world, || Ok(()))?.1);
        }
        looks.sort_by(f64::total_cmp);
        Ok(Self { look: looks[LOOKS / 2] })
    }

    /// Does `work`, which makes the machine work; returns what it yields and how many instructions that took, from idle to idle.
    ///
    /// # Errors
    /// Those of `work`, and as above.
    pub(super) fn during<T>(&self, world: &mut World, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
        let before = executed(world)?;
        let t = wait::now();
        let result = work()?;
        let wall = wait::now() - t;
        if std::env::var_os("YOKE_RAW").is_some() {
            crate::runner::say(&format!(
                "worked {:.1} ms wall {:.1} ms",
                (executed(world)? - before) / 1e6,
                wall.as_secs_f64() * 1e3
            ));
        }
        Ok((result, executed(world)? - before - self.look))
    }
}

/// Instructions executed since it was switched on, but for a constant, at a moment when it has nothing to do.
fn executed(world: &mut World) -> Result<f64> {
    let mut last = Duration::ZERO;
    let idle = wait::until("the box to be idle", IDLE_LIMIT, || {
        let worked = world.vm()?.processor_time()?;
        let since = worked.saturating_sub(std::mem::replace(&mut last, worked));
        ensure!(since < IDLE, "its processor has worked for {since:?}");
        Ok(worked)
    })?;
    if std::env::var_os("YOKE_COUNTED").is_none() {
        return Ok(idle.as_nanos() as f64);
    }
    let list = world.shell()?.ok("grep -e '^now at' -e '_sleeptime' /proc/timer_list")?;
    let worked = worked(&list).with_context(|| format!("/proc/timer_list says {list}"))?;
    Ok(worked / INSTRUCTION.as_nanos() as f64)
}

/// Nanoseconds since the clock began, less those idled, of a machine with one processor.
fn worked(list: &str) -> Option<f64> {
    let (mut now, mut idle) = (None, 0.0);
    for line in list.lines() {
        if let Some(at) = line.strip_prefix("now at ") {
            now = Some(at.strip_suffix(" nsecs")?.parse::<f64>().ok()?);
        } else {
            let (_, value) = line.split_once(':')?;
            idle += value.trim().strip_suffix(" nsecs")?.parse::<f64>().ok()?;
        }
    }
    Some(now? - idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_idled_is_worked() {
        let list =
            "now at 5000000100 nsecs\n  .idle_sleeptime : 4000000000 nsecs\n  .iowait_sleeptime: 500000040 nsecs\n";
        assert_eq!(worked(list), Some(500_000_060.0));
        assert_eq!(worked("  .idle_sleeptime : 4000 nsecs\n"), None);
        assert_eq!(worked("now at soon\n"), None);
    }
}
