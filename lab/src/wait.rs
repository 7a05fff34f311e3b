//! The lab's one reader of the clock, and its only way to wait: for a condition, with a deadline.
//!
//! There is deliberately no `sleep` here. A poll between two looks at a condition parks the thread for `POLL`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Between two looks at a condition. Short against everything the lab measures, long against what a look costs.
const POLL: Duration = Duration::from_millis(25);

/// Now. Everything in the lab that needs the time asks here.
#[expect(clippy::disallowed_methods, reason = "a test of real machines runs in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Tries `attempt` until it succeeds, at most for `limit`, and returns what it yields.
///
/// # Errors
/// The last error of `attempt`, with `what` and the time it was given.
pub fn until<T>(what: &str, limit: Duration, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    until_every(what, limit, POLL, attempt)
}

/// As [`until`], with `pause` between two attempts: for what counts how often it is asked.
///
/// # Errors
/// As [`until`].
pub fn until_every<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = now() + limit;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if now() >= deadline => {
                return Err(error).with_context(|| format!("{what}: not within {limit:?}"));
            }
            Err(_) => std::thread::park_timeout(pause),
        }
    }
}

/// What is left until `deadline`, zero when it has passed.
pub fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_the_one_reported() {
        let mut attempts = 0;
        let error = until("three things", Duration::from_millis(80), || -> Result<()> {
            attempts += 1;
            anyhow::bail!("attempt {attempts}")
        })
        .unwrap_err();
        assert!(attempts > 1);
        assert_eq!(format!("{error:#}"), format!("three things: not within 80ms: attempt {attempts}"));
    }

    #[test]
    fn success_ends_the_wait_at_once() {
        let mut attempts = 0;
        let value = until("the third attempt", Duration::from_secs(10), || {
            attempts += 1;
            anyhow::ensure!(attempts == 3);
            Ok(attempts)
        });
        assert_eq!(value.unwrap(), 3);
    }
}
