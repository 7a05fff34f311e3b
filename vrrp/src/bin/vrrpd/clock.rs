//! The one reader of the clocks. Timers run on CLOCK_MONOTONIC, which no correction of the time can move; calendar time is read for
//! the HMAC trailer and to tell the age of a packet.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use vrrp::{Instant, UnixTime};

/// CLOCK_MONOTONIC.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(u64::try_from(read(ClockId::CLOCK_MONOTONIC).as_nanos()).unwrap_or(u64::MAX))
}

/// CLOCK_REALTIME since 1970.
pub(crate) fn wall() -> Duration {
    read(ClockId::CLOCK_REALTIME)
}

/// The same, for the library.
pub(crate) fn unix() -> UnixTime {
    UnixTime::new(wall())
}

/// Waits until CLOCK_MONOTONIC is `at`, or less when a signal comes.
pub(crate) fn wait_until(at: Instant) {
    let at = TimeSpec::from_duration(Duration::from_nanos(at.as_nanos()));
    let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at);
}

fn read(clock: ClockId) -> Duration {
    // It fails for clocks that do not exist; these do.
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}
