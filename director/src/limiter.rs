//! How often a source may try a password: the wait before the next attempt doubles with each failure.
//!
//! A pure state machine; the caller waits. A source is whatever attempts are counted by, such as a terminal or a user.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Wait after the first failure. A person who mistyped does not notice it.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two attempts: 120 guesses an hour.
const LONGEST: Duration = Duration::from_secs(30);
/// Attempts that would have to wait longer than this are refused, so that waiting ones cannot pile up.
const PATIENCE: Duration = Duration::from_secs(60);
/// A source without attempts for so long starts again from nothing.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Sources kept. Names come from the box itself (terminals, configured users), so more are not expected.
const SOURCES_MAX: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Source {
    failures: u32,
    free_at: Instant,
}

/// Counts failures by source.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    sources: BTreeMap<String, Source>,
}

/// Too many attempts are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Limiter {
    /// Says how long `source` has to wait before its attempt, and takes the slot: an attempt counts as failed until
    /// [`Limiter::succeeded`], so that attempts made side by side do not share a wait.
    pub(crate) fn attempt(&mut self, source: &str, now: Instant) -> Result<Duration, TooMany> {
        self.sources.retain(|_, s| now.saturating_duration_since(s.free_at) < FORGET);
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(source) {
            return Err(TooMany);
        }
        let entry = self.sources.entry(source.to_owned()).or_insert(Source { failures: 0, free_at: now });
        let wait = entry.free_at.saturating_duration_since(now);
        if wait > PATIENCE {
            return Err(TooMany);
        }
        let pause = FIRST.saturating_mul(1 << entry.failures.min(16)).min(LONGEST);
        entry.failures = entry.failures.saturating_add(1);
        entry.free_at = entry.free_at.max(now) + pause;
        Ok(wait)
    }

    /// The password was right: the source starts again from nothing.
    pub(crate) fn succeeded(&mut self, source: &str) {
        self.sources.remove(source);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start to count from")]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let start = Instant::now();
        let (mut limiter, mut now) = (Limiter::default(), start);
        for expected in [0, 1, 2, 4, 8, 16, 30, 30] {
            let wait = limiter.attempt("ttyS0", now).unwrap();
            assert_eq!(wait, s(expected));
            now += wait;
        }
        assert_eq!(limiter.attempt("tty1", now), Ok(s(0)), "another terminal is not concerned");
    }

    #[test]
    fn attempts_side_by_side_queue_up_and_then_are_refused() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let waits: Vec<_> = (0..9).map(|_| limiter.attempt("ana", now)).collect();
        let expected = [0, 1, 3, 7, 15, 31].map(|n| Ok(s(n)));
        assert_eq!(waits[..6], expected);
        assert_eq!(waits[7..], [Err(TooMany), Err(TooMany)]);
    }

    #[test]
    fn success_and_time_forgive() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        limiter.attempt("a", now).unwrap();
        limiter.succeeded("a");
        assert_eq!(limiter.attempt("a", now), Ok(s(0)));
        limiter.attempt("b", now).unwrap();
        assert_eq!(limiter.attempt("b", now + FORGET + s(1)), Ok(s(0)));
        assert!(limiter.sources.len() <= 2);
    }
}
