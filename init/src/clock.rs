//! The one reader of the clock: everything else takes `now` as a parameter.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since the kernel started (`CLOCK_BOOTTIME`): monotonic, and what log lines are stamped with.
#[must_use]
pub fn now() -> Duration {
    // It fails only for clocks that do not exist; a box whose clock stands still does not pass a deadline, and says nothing.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Waits for `time`. For stage 1 and the one-shots only: they poll `/sys` for devices, which cannot be waited for otherwise
/// without netlink. PID 1 never calls it once services run.
pub fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "devices appear in /sys without an event that these processes hear")]
    std::thread::sleep(time);
}
