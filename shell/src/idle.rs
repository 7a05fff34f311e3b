//! `exec-timeout`: ends a session that nobody uses.
//!
//! rustyline cannot be told to stop waiting, so a thread watches the time since the last key. Only waiting for keys counts:
//! a command that runs is not idle. What was typed but not applied is dropped with the process.

#![expect(clippy::disallowed_methods, reason = "this is the one clock of a session")]

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::tty;

/// How long before the end it is announced.
const WARNING: Duration = Duration::from_secs(30);

/// The watch of one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: never.
    limit: Option<Duration>,
    /// When the last key came, while keys are waited for.
    since: Option<Instant>,
    warned: bool,
    started: bool,
}

impl Idle {
    /// Sets how long a session may wait for a key; `None` for ever.
    pub(crate) fn set_limit(&self, limit: Option<Duration>) {
        let mut state = self.lock();
        state.limit = limit;
        if limit.is_some() && !state.started {
            state.started = true;
            let shared = Arc::clone(&self.0);
            // It lives as long as the process. Without it (no memory for a thread) the session has no timeout.
            let _ = std::thread::Builder::new().name("exec-timeout".to_owned()).spawn(move || watch(&shared));
        }
        self.0.changed.notify_one();
    }

    /// A key is waited for from now on, or one came.
    pub(crate) fn touch(&self) {
        let mut state = self.lock();
        let woke = state.since.is_none();
        state.since = Some(Instant::now());
        state.warned = false;
        drop(state);
        // The watcher looks again when its time is up; only a new beginning needs telling.
        if woke {
            self.0.changed.notify_one();
        }
    }

    /// Something runs: nobody is idle.
    pub(crate) fn pause(&self) {
        self.lock().since = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch(shared: &Shared) {
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        match poll_timeout(&state, now) {
            None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) if left.is_zero() && state.warned => {
                // A terminal that was stopped must not keep a session open that nobody watches.
                tty::unblock();
                tty::show("\r\n% Idle timeout\r\n");
                tty::restore();
                std::process::exit(0);
            }
            Some(left) if left.is_zero() => {
                state.warned = true;
                if tty::takes_output() {
                    tty::show("\r\n% Idle, this session ends soon\r\n");
                }
            }
            Some(left) => {
                state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// Time until the warning, or after it until the end; `None` while nobody waits.
fn poll_timeout(state: &State, now: Instant) -> Option<Duration> {
    let (limit, since) = (state.limit?, state.since?);
    let due = if state.warned { limit } else { limit.saturating_sub(WARNING).max(limit / 2) };
    Some((since + due).saturating_duration_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_warns_half_a_minute_before_the_end() {
        let now = Instant::now();
        let mut state = State { limit: Some(Duration::from_mins(10)), since: Some(now), warned: false, started: true };
        assert_eq!(poll_timeout(&state, now), Some(Duration::from_secs(570)));
        state.warned = true;
        assert_eq!(poll_timeout(&state, now + Duration::from_secs(570)), Some(WARNING));
        assert_eq!(poll_timeout(&state, now + Duration::from_hours(1)), Some(Duration::ZERO));
        state.since = None;
        assert_eq!(poll_timeout(&state, now), None);
        state = State { limit: Some(Duration::from_secs(2)), since: Some(now), warned: false, started: true };
        assert_eq!(poll_timeout(&state, now), Some(Duration::from_secs(1)));
    }
}
