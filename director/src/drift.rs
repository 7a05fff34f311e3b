//! The slow look at what others did to the kernel's table: what differs is put right, and said.
//!
//! IPVS tells nobody of changes, so it is asked every few seconds. A look that finds nothing sends nothing but the question.

use std::time::{Duration, Instant};

use crate::director::Director;
use crate::kernel::{self, Wanted};
use crate::notes::Source;
use crate::{clock, reconcile, settle};

/// How long after the last foreign change `show warnings` speaks of it.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// Foreign changes closer together than this are one story: logged when it begins.
const EPISODE: Duration = Duration::from_secs(60);

/// Foreign changes seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Drift {
    last: Option<Instant>,
    /// Times in this memory.
    times: u32,
    /// Steps it took the last time.
    changes: usize,
}

impl Drift {
    /// Notes that `changes` steps were needed. Returns whether this is the beginning of a story.
    fn seen(&mut self, changes: usize, now: Instant) -> bool {
        let quiet = self.last.is_none_or(|last| now.saturating_duration_since(last) > EPISODE);
        self.last = Some(now);
        self.times = self.times.saturating_add(1);
        self.changes = changes;
        quiet
    }

    fn sentences(&mut self, now: Instant) -> Vec<String> {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) > REMEMBERED) {
            *self = Self::default();
            return Vec::new();
        }
        let times = if self.times == 1 { "once".to_owned() } else { format!("{} times", self.times) };
        vec![format!(
            "ipvs: another program changed the kernel's table ({times} in the last hour), put right: {}",
            self.changes
        )]
    }
}

/// Compares and heals, unless somebody is changing the configuration right now.
pub(crate) fn resync(director: &Director) {
    let Some(_turn) = director.try_turn() else { return };
    let now = clock::now();
    {
        let mut guard = director.state_mut();
        let state = &mut *guard;
        let wanted = Wanted { desired: &state.desired, timeouts: reconcile::timeouts(&state.running.config) };
        let sentences = match kernel::converge(state.kernel.as_mut(), &wanted, &|_| true) {
            Ok(outcome) => {
                // What the kernel did not take before and takes now (a module came) is our own change.
                let ours = !state.notes.of(Source::Kernel).is_empty();
                state.refused = outcome.refused;
                if outcome.changes > 0 && !ours && state.drift.seen(outcome.changes, now) {
                    log::warn!("ipvs: another program changed the kernel's table, put right: {}", outcome.changes);
                }
                state.refused.values().cloned().collect()
            }
            // A box that balances nothing does not need what it cannot reach.
            Err(_) if state.desired.table.services.is_empty() => Vec::new(),
            Err(why) => vec![why],
        };
        state.notes.set(Source::Kernel, sentences);
        let drift = state.drift.sentences(now);
        state.notes.set(Source::Drift, drift);
    }
    settle::sysctls(director);
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start to count from")]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_logged_once_and_forgotten_after_an_hour() {
        let (mut drift, start) = (Drift::default(), Instant::now());
        assert!(drift.sentences(start).is_empty());
        assert!(drift.seen(3, start));
        assert!(!drift.seen(2, start + EPISODE));
        assert!(drift.sentences(start)[0].contains("(2 times in the last hour), put right: 2"));
        assert!(drift.seen(1, start + EPISODE * 3));
        assert!(drift.sentences(start + REMEMBERED * 2).is_empty());
        assert_eq!(drift, Drift::default());
    }
}
