//! What a thread of this machine has worked so far.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Time on a processor that the thread of `task`, a directory such as `/proc/PID/task/TID`, has had: what the kernel does in its name included,
/// waiting not (`Documentation/scheduler/sched-stats.rst`).
///
/// # Errors
/// When there is no such thread.
pub fn time(task: &Path) -> Result<Duration> {
    let path = task.join("schedstat");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let nanoseconds = text.split_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(nanoseconds.parse().with_context(|| format!("{}: {text}", path.display()))?))
}
