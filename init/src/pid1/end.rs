//! The last second of the box: whatever still runs is killed, `/flash` is brought to rest, the machine restarts.
//!
//! Only here PID 1 waits, and never long: a disk that hangs must not keep a box from restarting.

use std::time::Duration;

use nix::mount::{MsFlags, mount, umount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::{now, pause};
use crate::{say, sys};

/// For what no service owns, such as SSH sessions, between SIGTERM and SIGKILL.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);
/// For writing back and unmounting 64 MiB of flash.
const FLASH_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks for ended children.
const LOOK: Duration = Duration::from_millis(5);

/// What happens at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Restart,
    PowerOff,
}

/// Ends everything. Returns only why the machine is still running.
pub(super) fn finish(how: How) -> anyhow::Error {
    say::kernel_log("everything is stopped");
    let everybody = Pid::from_raw(-1);
    if kill(everybody, Signal::SIGTERM).is_ok() {
        reap(LEFTOVER_GRACE, None);
    }
    if kill(everybody, Signal::SIGKILL).is_ok() {
        reap(LEFTOVER_GRACE, None);
    }
    // A child of its own: unmounting waits for the disk as long as the disk likes.
    let stop = std::process::Command::new(super::INIT).arg("unmount").env_clear().spawn();
    match stop {
        Ok(child) => reap(FLASH_LIMIT, Some(Pid::from_raw(child.id().cast_signed()))),
        Err(error) => say::kernel_log(&format!("{}: {error}", super::INIT)),
    }
    let mode = match how {
        How::Restart => RebootMode::RB_AUTOBOOT,
        How::PowerOff => RebootMode::RB_POWER_OFF,
    };
    let Err(errno) = reboot(mode);
    errno.into()
}

/// `init unmount`: brings `/flash` to rest.
#[must_use]
pub fn unmount_main() -> u8 {
    nix::unistd::sync();
    if let Err(errno) = umount("/flash")
        && errno != nix::errno::Errno::EINVAL
    {
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        let _ = mount(None::<&str>, "/flash", None::<&str>, read_only, None::<&str>);
    }
    nix::unistd::sync();
    0
}

/// Reaps until `child` has ended, or everybody, at most as long as `limit`.
fn reap(limit: Duration, child: Option<Pid>) {
    let end = now() + limit;
    while now() < end {
        match sys::reap() {
            Ok(None) => pause(LOOK),
            Ok(Some((pid, _))) if child == Some(pid) => return,
            Ok(Some(_)) => {}
            // Nobody is left.
            Err(_) => return,
        }
    }
}
