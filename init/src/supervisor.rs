//! The supervisor of services: a state machine without a clock, a process or a log.
//!
//! Inputs are `handle_*` with the time `now` (since boot), outputs are [`Effect`]s and the next deadline. Contract: one
//! input, then drain [`Supervisor::poll_effect`], then wait until [`Supervisor::poll_timeout`]. Every [`Effect::Spawn`] is
//! answered by [`Supervisor::handle_spawned`] before the next input.
//!
//! A service is never given up: forwarding must go on with whatever still works, so one that keeps failing is started
//! again every [`RETRY_MAX`], and says why. Nothing here restarts the machine because of a service.
//!
//! Each state holds its own deadlines, so none outlives its state. The one-shots of the boot are in `tasks`.

mod report;
mod steps;
#[cfg(test)]
mod tests;
mod words;

use std::collections::VecDeque;
use std::time::Duration;

use crate::request::{ServiceSpec, ServiceStatus};

pub use self::words::{Effect, Exit, Notice, Service, Signal, Step};

/// Wait before the second restart in a row; the first comes at once, since most deaths are single. Doubles each time.
pub const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest wait between restarts: an operator who has repaired the cause should not wait longer than he looks.
pub const RETRY_MAX: Duration = Duration::from_secs(30);
/// A service that ran this long was healthy: its next failure counts as the first.
pub const HEALTHY: Duration = Duration::from_secs(60);
/// A console that ended orderly after this long was a logout, not a fault. A shell needs longer to log in and out.
pub const LOGOUT: Duration = Duration::from_secs(1);
/// From SIGTERM, or SIGABRT, to SIGKILL. The handing over of a pair needs it (at most 5 s).
pub const TERM_GRACE: Duration = Duration::from_secs(5);
/// From the start to READY=1. The director loads 10,000 lines in 1 s; an emulated box is 20 times slower.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
/// For each command that runs before a service. An RSA host key takes 10 s on an old Atom, and minutes under emulation.
pub const BEFORE_LIMIT: Duration = Duration::from_secs(180);
/// For stopping everything, whatever hangs: after this what is left is killed and the machine restarts.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);
/// A service with a `release` is started again at once until it has failed [`RELEASE_FAILURES`] times within this.
pub const RELEASE_WINDOW: Duration = Duration::from_secs(10);
/// So many failures within [`RELEASE_WINDOW`] are no accident: the third.
pub const RELEASE_FAILURES: usize = 3;
/// For letting go: some netlink requests and packets.
pub const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// This many failures in a row are worth a warning; fewer heal before anybody has read it.
pub const WORTH_A_WARNING: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Not before [`Supervisor::handle_release`].
    Held { why: String },
    /// A spawn was asked for and not answered yet: lasts no time.
    Spawning { step: Step },
    /// A command of `before` runs.
    Preparing { pid: i32, step: usize, kill_at: Duration },
    /// Has not said READY=1 yet.
    Starting { pid: i32, abort_at: Duration },
    /// All is well; `abort_at` when it has a watchdog.
    Running { pid: i32, since: Duration, abort_at: Option<Duration> },
    /// It did not answer and was told to dump core; `kill_at` is `None` once it was killed. Counts as a failure.
    Aborting { pid: i32, kill_at: Option<Duration>, why: String },
    /// It was told to end; `kill_at` is `None` once it was killed.
    Stopping { pid: i32, kill_at: Option<Duration>, then: Then },
    /// It failed too often, and its `release` runs; afterwards it waits for its next start.
    Releasing { pid: i32, kill_at: Duration, why: String },
    /// It failed and waits for its next start.
    Backoff { until: Duration, why: String },
    /// It does not run and is not meant to.
    Stopped { why: String },
}

/// What follows a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    /// Start again, as the service is described by then.
    Start,
    /// Forget it.
    Remove,
    /// Stay down.
    Stay,
}

#[derive(Debug)]
struct Unit {
    service: Service,
    /// From the configuration, not built in.
    configured: bool,
    state: State,
    /// When it entered the state that an operator sees.
    since: Duration,
    /// Failures in a row.
    failures: u32,
    /// When it failed within the last [`RELEASE_WINDOW`], and how the last time, for one with a `release`.
    recent: Vec<Duration>,
    last_failure: String,
    /// Starts after the first.
    restarts: u32,
    started: bool,
    status: String,
}

impl Unit {
    fn pid(&self) -> Option<i32> {
        match self.state {
            State::Preparing { pid, .. }
            | State::Starting { pid, .. }
            | State::Running { pid, .. }
            | State::Aborting { pid, .. }
            | State::Releasing { pid, .. }
            | State::Stopping { pid, .. } => Some(pid),
            State::Held { .. } | State::Spawning { .. } | State::Backoff { .. } | State::Stopped { .. } => None,
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Preparing { kill_at: at, .. }
            | State::Starting { abort_at: at, .. }
            | State::Releasing { kill_at: at, .. }
            | State::Backoff { until: at, .. } => Some(at),
            State::Running { abort_at: at, .. }
            | State::Aborting { kill_at: at, .. }
            | State::Stopping { kill_at: at, .. } => at,
            State::Held { .. } | State::Spawning { .. } | State::Stopped { .. } => None,
        }
    }

    fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.since = now;
    }
}

/// The supervisor. Services stop in the reverse of the order in which they were added.
#[derive(Debug, Default)]
pub struct Supervisor {
    units: Vec<Unit>,
    effects: VecDeque<Effect>,
    /// Since [`Supervisor::handle_shutdown`]: when to stop waiting, `None` once it was said.
    shutdown: Option<Option<Duration>>,
}

impl Supervisor {
    /// Adds a built-in service and starts it, or holds it back with a reason until [`Supervisor::handle_release`].
    pub fn handle_add(&mut self, service: Service, held: Option<&str>, now: Duration) {
        self.insert(service, false, now);
        let last = self.units.len() - 1;
        match held {
            Some(why) => self.units[last].enter(State::Held { why: why.to_owned() }, now),
            None => self.launch(last, now),
        }
    }

    /// Starts a service that was held back.
    pub fn handle_release(&mut self, name: &str, now: Duration) {
        if let Some(index) = self.find(name)
            && matches!(self.units[index].state, State::Held { .. })
        {
            self.launch(index, now);
        }
    }

    /// Makes the configured services those of `specs`: starts, stops and restarts what differs, leaves the rest alone. A
    /// name that a built-in service has, or an earlier spec, is passed over.
    pub fn handle_configured(&mut self, specs: &[ServiceSpec], now: Duration) {
        if self.shutdown.is_some() {
            return;
        }
        for index in (0..self.units.len()).rev() {
            let unit = &self.units[index];
            if unit.configured && !specs.iter().any(|spec| spec.name == unit.service.spec.name) {
                self.stop(index, Then::Remove, now);
            }
        }
        for (place, spec) in specs.iter().enumerate() {
            if specs[..place].iter().any(|earlier| earlier.name == spec.name) {
                self.effects.push_back(Effect::Log(format!("{}: configured twice, the first counts", spec.name)));
                continue;
            }
            match self.find(&spec.name) {
                None => {
                    self.insert(Service::from(spec), true, now);
                    self.launch(self.units.len() - 1, now);
                }
                Some(index) if !self.units[index].configured => {
                    let text = format!("{}: is a built-in service, the configured one is not started", spec.name);
                    self.effects.push_back(Effect::Log(text));
                }
                // One that is being stopped comes back too.
                Some(index) => {
                    let unit = &mut self.units[index];
                    let leaving = matches!(unit.state, State::Stopping { then: Then::Remove, .. });
                    if unit.service.spec != *spec || leaving {
                        unit.service = Service::from(spec);
                        self.restart(index, now);
                    }
                }
            }
        }
    }

    /// Restarts a service at an operator's word: a waiting one starts at once.
    ///
    /// # Errors
    /// A sentence when there is no such service, or everything is being stopped.
    pub fn handle_restart(&mut self, name: &str, now: Duration) -> Result<(), String> {
        if self.shutdown.is_some() {
            return Err(format!("service {name}: the box is going down"));
        }
        let index = self.find(name).ok_or_else(|| format!("service {name}: no such service"))?;
        if matches!(self.units[index].state, State::Stopping { then: Then::Remove, .. }) {
            return Err(format!("service {name}: is being removed"));
        }
        self.restart(index, now);
        Ok(())
    }

    /// Answers [`Effect::Spawn`]: the process, or why there is none.
    pub fn handle_spawned(&mut self, name: &str, outcome: Result<i32, String>, now: Duration) {
        let Some(index) = self.find(name) else { return };
        let unit = &mut self.units[index];
        let State::Spawning { step } = unit.state else { return };
        match (outcome, step) {
            (Ok(pid), Step::Before(step)) => {
                unit.state = State::Preparing { pid, step, kill_at: now + BEFORE_LIMIT };
            }
            (Ok(pid), Step::Release) => {
                let why = unit.last_failure.clone();
                unit.enter(State::Releasing { pid, kill_at: now + RELEASE_LIMIT, why }, now);
            }
            (Err(why), Step::Release) => {
                let text = format!("{}: {why}", unit.service.spec.release.first().cloned().unwrap_or_default());
                self.effects.push_back(Effect::Log(text));
                self.back_off(index, now);
            }
            (Ok(pid), Step::Main) if unit.service.notify => {
                unit.state = State::Starting { pid, abort_at: now + READY_LIMIT };
            }
            (Ok(pid), Step::Main) => unit.enter(State::Running { pid, since: now, abort_at: None }, now),
            (Err(why), _) => self.failed(index, Duration::ZERO, &Exit::NotStarted(why), now),
        }
    }

    /// Takes note that `pid` ended. `false` when it is nobody's (an orphan).
    pub fn handle_exit(&mut self, pid: i32, exit: &Exit, now: Duration) -> bool {
        let Some(index) = self.units.iter().position(|unit| unit.pid() == Some(pid)) else { return false };
        // What it left behind in its group must not meet its successor. Its own sessions (SSH logins) live on.
        self.effects.push_back(Effect::Signal { pid, signal: Signal::Kill });
        match self.units[index].state.clone() {
            State::Preparing { step, .. } if *exit == Exit::Code(0) && self.shutdown.is_none() => {
                self.spawn_from(index, step + 1);
            }
            State::Preparing { step, .. } => {
                let program = self.units[index].service.spec.before[step].first().cloned().unwrap_or_default();
                self.failed(index, Duration::ZERO, &Exit::NotStarted(format!("{program}: {exit}")), now);
            }
            State::Starting { .. } => self.failed(index, Duration::ZERO, exit, now),
            State::Running { since, .. } => {
                let ran = now.saturating_sub(since);
                let logout = self.units[index].service.terminal.is_some() && *exit == Exit::Code(0) && ran >= LOGOUT;
                if logout && self.shutdown.is_none() {
                    self.units[index].failures = 0;
                    self.launch(index, now);
                } else {
                    self.failed(index, ran, exit, now);
                }
            }
            State::Aborting { why, .. } => {
                self.failed(index, Duration::ZERO, &Exit::NotStarted(format!("{why}, {exit}")), now);
            }
            State::Stopping { then, .. } => self.stopped(index, &then, now),
            State::Releasing { .. } => self.released(index, exit, now),
            State::Held { .. } | State::Spawning { .. } | State::Backoff { .. } | State::Stopped { .. } => {}
        }
        true
    }

    /// Takes a word of the process `pid`. Only the main process of a service is listened to.
    pub fn handle_notice(&mut self, pid: i32, notice: Notice, now: Duration) {
        let Some(index) = self.units.iter().position(|unit| unit.pid() == Some(pid)) else { return };
        let unit = &mut self.units[index];
        let watchdog = unit.service.watchdog.map(|period| now + period);
        match (&mut unit.state, notice) {
            (_, Notice::Status(text)) => unit.status = text,
            (State::Starting { .. }, Notice::Ready) => {
                unit.enter(State::Running { pid, since: now, abort_at: watchdog }, now);
            }
            (State::Running { abort_at, .. }, Notice::Alive) => *abort_at = watchdog,
            (State::Running { .. } | State::Starting { .. }, Notice::Broken) => {
                self.abort(index, "said it is broken".to_owned(), now);
            }
            // Said twice, or fed before it is ready.
            (State::Running { .. }, Notice::Ready) | (State::Starting { .. }, Notice::Alive) => {}
            // One that is being stopped still feeds its watchdog; the others have no process.
            (
                State::Held { .. }
                | State::Spawning { .. }
                | State::Preparing { .. }
                | State::Aborting { .. }
                | State::Stopping { .. }
                | State::Releasing { .. }
                | State::Backoff { .. }
                | State::Stopped { .. },
                Notice::Ready | Notice::Alive | Notice::Broken,
            ) => {}
        }
    }

    /// Does what the time demands.
    pub fn handle_timeout(&mut self, now: Duration) {
        for index in 0..self.units.len() {
            if self.units[index].deadline().is_some_and(|at| at <= now) {
                self.expired(index, now);
            }
        }
        if let Some(Some(limit)) = self.shutdown
            && limit <= now
        {
            let left: Vec<&str> =
                self.units.iter().filter(|u| u.pid().is_some()).map(|u| &*u.service.spec.name).collect();
            self.effects.push_back(Effect::Log(format!("did not end: {}", left.join(", "))));
            self.effects.push_back(Effect::AllStopped);
            self.shutdown = Some(None);
        }
    }

    /// Stops everything, one service after the other, the latest first; says [`Effect::AllStopped`] at the end.
    pub fn handle_shutdown(&mut self, now: Duration) {
        if self.shutdown.is_none() {
            self.shutdown = Some(Some(now + SHUTDOWN_LIMIT));
            // Those without a process must not get one while the others are waited for.
            for unit in self.units.iter_mut().filter(|unit| unit.pid().is_none()) {
                unit.enter(State::Stopped { why: steps::GOING_DOWN.to_owned() }, now);
            }
            self.stop_next(now);
        }
    }

    /// The next thing to do, if any.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Supervisor::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.units.iter().filter_map(Unit::deadline).chain(self.shutdown.flatten()).min()
    }

    /// How often it has failed in a row.
    #[must_use]
    pub fn failures(&self, name: &str) -> u32 {
        self.units.iter().find(|unit| unit.service.spec.name == name).map_or(0, |unit| unit.failures)
    }

    /// Whether it is there and has said that it is ready.
    #[must_use]
    pub fn is_running(&self, name: &str) -> bool {
        self.ready_since(name).is_some()
    }

    /// Since when it is ready, if it is.
    #[must_use]
    pub fn ready_since(&self, name: &str) -> Option<Duration> {
        self.units.iter().find(|unit| unit.service.spec.name == name).and_then(|unit| match unit.state {
            State::Running { since, .. } => Some(since),
            _ => None,
        })
    }

    /// The description of a service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.find(name).map(|index| &self.units[index].service)
    }

    /// What an operator sees, in start order.
    #[must_use]
    pub fn status(&self, now: Duration) -> Vec<ServiceStatus> {
        self.units.iter().map(|unit| report::status(unit, now)).collect()
    }

    /// Services that keep failing, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.units.iter().filter_map(report::warning).collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.units.iter().position(|unit| unit.service.spec.name == name)
    }

    fn insert(&mut self, service: Service, configured: bool, now: Duration) {
        let state = State::Stopped { why: String::new() };
        self.units.push(Unit {
            service,
            configured,
            state,
            since: now,
            failures: 0,
            recent: Vec::new(),
            last_failure: String::new(),
            restarts: 0,
            started: false,
            status: String::new(),
        });
    }
}
