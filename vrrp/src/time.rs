//! Points in time as plain numbers, so that a test can name them. Nothing here reads a clock.
//!
//! Two clocks exist in VRRP and are two types: timers run on a monotonic clock ([`Instant`]); the replay protection of the
//! HMAC trailer compares calendar time between boxes ([`UnixTime`]), and only there a jump of the clock can be felt.

use std::ops::Add;
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds from an origin that is the caller's (on Linux: CLOCK_MONOTONIC).
///
/// Arithmetic saturates: 2^64 ns are 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// From nanoseconds of the clock.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds of the clock.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Calendar time (CLOCK_REALTIME), as time since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// From the time since 1970-01-01 UTC.
    #[must_use]
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Whole seconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Nanoseconds within the second, 0..1_000_000_000.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.0.subsec_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::from_nanos(0) + Duration::MAX, end);
        assert_eq!(Instant::from_nanos(3).since(Instant::from_nanos(5)), Duration::ZERO);
    }
}
