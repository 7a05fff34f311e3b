//! Processes that a program of a check has left behind outside of its process group (`setsid`, a daemon's double fork), found and killed.
//!
//! Whoever loses its parent comes to this process, which is a subreaper, and not to PID 1. There it is known by its user: no other child of this
//! process is nobody's. So nothing is found where this process is not root, which is in tests only. One that dies slowly, or is orphaned only by the
//! death of another, is looked for again, a few times.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::NOBODY;

/// After the end of a program: a killed process needs a moment to die, and orphans others only then. A chain of more links, each of which has left the
/// group of the one before, is found after the next program.
const AGAIN: [Duration; 4] =
    [Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1)];

/// Leaders of groups, which their own attempt reaps, and whether that attempt is over.
static LEADERS: Mutex<BTreeMap<Pid, bool>> = Mutex::new(BTreeMap::new());

fn leaders() -> MutexGuard<'static, BTreeMap<Pid, bool>> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a leader. Nobody looks for strays meanwhile: it would be one.
pub(super) fn begin<T>(spawn: impl FnOnce() -> io::Result<T>, id: impl Fn(&T) -> Option<Pid>) -> io::Result<T> {
    static SUBREAPER: Once = Once::new();
    // Without it PID 1 reaps them, and they end when they like.
    SUBREAPER.call_once(|| {
        let _ = prctl::set_child_subreaper(true);
    });
    let mut leaders = leaders();
    let child = spawn()?;
    leaders.extend(id(&child).map(|id| (id, false)));
    Ok(child)
}

thread_local! {
    /// Looks to come of the task that looks for strays on this thread, which is the prober's; 0: there is no such task.
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

/// A leader has ended or been killed, with its group.
pub(super) fn ended(leader: Pid) {
    leaders().insert(leader, true);
    // One task for all that end meanwhile: a look goes through all processes.
    if LOOKS.replace(AGAIN.len()) > 0 {
        return;
    }
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(look(Looking))),
        Err(_) => {
            LOOKS.set(0);
            sweep();
        }
    }
}

/// That the task exists: it may end with its runtime at any point.
struct Looking;

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKS.set(0);
    }
}

async fn look(_looking: Looking) {
    while let left @ 1.. = LOOKS.get() {
        tokio::time::sleep(AGAIN[AGAIN.len() - left]).await;
        // Unless somebody has ended meanwhile: then it begins anew.
        if LOOKS.get() == left {
            LOOKS.set(left - 1);
        }
        sweep();
    }
}

/// Kills and reaps every stray there is.
fn sweep() {
    let mut leaders = leaders();
    let children = children();
    // The number of a leader that nobody has reaped is its own as long as it is listed.
    leaders.retain(|id, ended| !*ended || children.contains(id));
    for id in children.into_iter().filter(|id| !leaders.contains_key(id)) {
        // A child of this process keeps its number until this process reaps it.
        let _ = kill(id, Signal::SIGKILL);
        let _ = waitpid(id, Some(WaitPidFlag::WNOHANG));
    }
}

/// The children of this process that are nobody's. Few are nobody's on a box, and only of those more is read.
fn children() -> Vec<Pid> {
    let parent = std::process::id().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let is_nobody = |id: &i32| fs::metadata(format!("/proc/{id}")).is_ok_and(|of| of.uid() == NOBODY);
    let is_child = |id: &i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // NUMBER (NAME) STATE PARENT; a name may hold anything.
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(&parent)
    };
    ids.filter(is_nobody).filter(is_child).map(Pid::from_raw).collect()
}
