//! The one reader of the clocks in this daemon. Everything else takes `now`, or a text of the date, as a parameter.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time, for waits and ages.
#[expect(clippy::disallowed_methods, reason = "the daemon's one reader of the monotonic clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970 in UTC, for the header of a saved file. The box may not know the date yet.
#[expect(clippy::disallowed_methods, reason = "the daemon's one reader of the date")]
pub(crate) fn utc() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since boot. Unlike [`now`] it means the same to the next director.
pub(crate) fn monotonic() -> Duration {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    Duration::from(now)
}
