//! When an active router announces its addresses: at once, twice more, then every refresh; and anew after a conflict.

use std::time::Duration;

use crate::Instant;

/// Pauses after the first announcement: one frame may be lost, and a switch may still learn. keepalived's burst of five
/// within 0.5 ms survives neither; a switch port that was just unblocked needs the second.
const REPEATS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(900)];

/// Least time between two announcements. Whoever answers every foreign advertisement of a backlog with all its addresses
/// floods the link (measured with keepalived: 60 frames for one address).
pub const ANNOUNCE_GAP: Duration = REPEATS[0];

/// The announcements of one active router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    last: Instant,
    next: Option<Instant>,
    /// How many of [`REPEATS`] are behind.
    step: usize,
}

impl Schedule {
    /// The first announcement is made `now`.
    #[must_use]
    pub fn begin(now: Instant) -> Self {
        Self { last: now, next: Some(now + REPEATS[0]), step: 0 }
    }

    /// When the next is due.
    #[must_use]
    pub const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// True when one is due `now`; the next is then set.
    pub fn poll(&mut self, now: Instant, refresh: Option<Duration>) -> bool {
        if self.next.is_none_or(|next| now < next) {
            return false;
        }
        self.last = now;
        self.step += 1;
        self.next = REPEATS.get(self.step).copied().or(refresh).map(|pause| now + pause);
        true
    }

    /// A neighbour may have been misled. True when an announcement is to be made `now`; if the last is too fresh, it is
    /// made at the end of [`ANNOUNCE_GAP`]. The repeats follow again either way.
    pub fn renew(&mut self, now: Instant) -> bool {
        let gap_ends = self.last + ANNOUNCE_GAP;
        if now < gap_ends {
            self.next = Some(self.next.map_or(gap_ends, |next| next.min(gap_ends)));
            self.step = 0;
            return false;
        }
        *self = Self::begin(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Option<Duration> = Some(Duration::from_secs(60));

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// The instants, in milliseconds, of the announcements until `end`.
    fn run(schedule: &mut Schedule, end: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some(next) = schedule.next().filter(|next| *next <= at(end)) {
            assert!(schedule.poll(next, REFRESH));
            seen.push(next.as_nanos() / 1_000_000);
        }
        seen
    }

    #[test]
    fn announces_at_once_twice_more_and_every_minute() {
        let mut schedule = Schedule::begin(at(0));
        assert!(!schedule.poll(at(99), REFRESH));
        assert_eq!(run(&mut schedule, 130_000), [100, 1000, 61_000, 121_000]);
    }

    #[test]
    fn without_refresh_it_ends() {
        let mut schedule = Schedule::begin(at(0));
        assert!(schedule.poll(at(100), None) && schedule.poll(at(1000), None));
        assert_eq!(schedule.next(), None);
        assert!(schedule.renew(at(5000)), "a conflict begins it anew");
        assert_eq!(schedule.next(), Some(at(5100)));
    }

    /// A backlog of foreign advertisements makes one announcement, not one each.
    #[test]
    fn a_backlog_of_conflicts_is_one_announcement() {
        let mut schedule = Schedule::begin(at(0));
        run(&mut schedule, 5000);
        let announced = (0..50).filter(|millis| schedule.renew(at(10_000 + millis))).count();
        assert_eq!(announced, 1);
        assert_eq!(run(&mut schedule, 20_000), [10_100, 11_000]);
    }
    #[test]
    fn a_postponed_announcement_is_repeated_too() {
        let mut schedule = Schedule::begin(at(0));
        assert!(schedule.poll(at(100), REFRESH));
        assert!(!schedule.renew(at(150)));
        assert_eq!(run(&mut schedule, 10_000), [200, 1100]);
    }
}
