//! The transitions of the supervisor: start, fail, wait, abort, stop. Inputs are in the parent module.

use super::{
    Duration, Effect, Exit, HEALTHY, RELEASE_FAILURES, RELEASE_WINDOW, RETRY_FIRST, RETRY_MAX, Signal, State, Step,
    Supervisor, TERM_GRACE, Then,
};

/// Why nothing runs after a shutdown began.
pub(super) const GOING_DOWN: &str = "the box is going down";

/// How long to wait after `failures` failures in a row, the latest included: not at all after the first.
pub(super) fn delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        // 2^6 half seconds exceed the maximum already.
        n => (RETRY_FIRST * (1 << (n - 2).min(6))).min(RETRY_MAX),
    }
}

impl Supervisor {
    /// Starts a service from its first command.
    pub(super) fn launch(&mut self, index: usize, now: Duration) {
        let unit = &mut self.units[index];
        unit.since = now;
        unit.status.clear();
        unit.restarts += u32::from(unit.started);
        unit.started = true;
        self.spawn_from(index, 0);
    }

    /// Asks for the command `step` of `before`, or for the service itself after the last.
    pub(super) fn spawn_from(&mut self, index: usize, step: usize) {
        let unit = &mut self.units[index];
        let step = if step < unit.service.spec.before.len() { Step::Before(step) } else { Step::Main };
        unit.state = State::Spawning { step };
        self.effects.push_back(Effect::Spawn { name: unit.service.spec.name.clone(), step });
    }

    /// A start or a run failed: again at once, or after a while.
    pub(super) fn failed(&mut self, index: usize, ran: Duration, exit: &Exit, now: Duration) {
        let unit = &mut self.units[index];
        let name = &unit.service.spec.name;
        self.effects.push_back(Effect::Log(format!("{name}: {exit}")));
        if self.shutdown.is_some() {
            return self.stopped(index, &Then::Stay, now);
        }
        unit.failures = if ran >= HEALTHY { 1 } else { unit.failures.saturating_add(1) };
        unit.last_failure = exit.to_string();
        if unit.service.spec.release.is_empty() {
            return self.back_off(index, now);
        }
        unit.recent.retain(|at| now.saturating_sub(*at) < RELEASE_WINDOW);
        unit.recent.push(now);
        if unit.recent.len() < RELEASE_FAILURES {
            self.launch(index, now);
        } else {
            unit.recent.clear();
            unit.state = State::Spawning { step: Step::Release };
            self.effects.push_back(Effect::Spawn { name: unit.service.spec.name.clone(), step: Step::Release });
        }
    }

    /// Starts a service again when it is time.
    pub(super) fn back_off(&mut self, index: usize, now: Duration) {
        let unit = &mut self.units[index];
        let wait = delay(unit.failures);
        if wait.is_zero() {
            self.launch(index, now);
        } else {
            unit.enter(State::Backoff { until: now + wait, why: unit.last_failure.clone() }, now);
        }
    }

    /// What the service held was let go of, or not: the service itself starts again later.
    pub(super) fn released(&mut self, index: usize, exit: &Exit, now: Duration) {
        let unit = &self.units[index];
        let program = unit.service.spec.release.first().cloned().unwrap_or_default();
        self.effects.push_back(Effect::Log(format!("{}: {program} has let go: {exit}", unit.service.spec.name)));
        if self.shutdown.is_some() {
            return self.stopped(index, &Then::Stay, now);
        }
        self.back_off(index, now);
    }

    /// The deadline of the unit's state has passed.
    pub(super) fn expired(&mut self, index: usize, now: Duration) {
        match self.units[index].state.clone() {
            State::Backoff { .. } => self.launch(index, now),
            State::Preparing { pid, step, .. } => {
                let program = self.units[index].service.spec.before[step].first().cloned().unwrap_or_default();
                self.effects.push_back(Effect::Signal { pid, signal: Signal::Kill });
                let why = format!("{program}: not ready in time");
                self.units[index].state = State::Aborting { pid, kill_at: None, why };
            }
            State::Releasing { pid, .. } => {
                self.effects.push_back(Effect::Signal { pid, signal: Signal::Kill });
                self.units[index].state = State::Aborting { pid, kill_at: None, why: "does not let go".to_owned() };
            }
            State::Starting { .. } => self.abort(index, "did not become ready".to_owned(), now),
            State::Running { .. } => self.abort(index, "watchdog: silent".to_owned(), now),
            State::Aborting { pid, why, .. } => {
                self.effects.push_back(Effect::Signal { pid, signal: Signal::Kill });
                self.units[index].state = State::Aborting { pid, kill_at: None, why };
            }
            State::Stopping { pid, then, .. } => {
                self.effects.push_back(Effect::Signal { pid, signal: Signal::Kill });
                self.units[index].state = State::Stopping { pid, kill_at: None, then };
            }
            State::Held { .. } | State::Spawning { .. } | State::Stopped { .. } => {}
        }
    }

    /// Tells a process that does not answer to leave a trace and end.
    pub(super) fn abort(&mut self, index: usize, why: String, now: Duration) {
        let unit = &mut self.units[index];
        let Some(pid) = unit.pid() else { return };
        self.effects.push_back(Effect::Log(format!("{}: {why}, aborted", unit.service.spec.name)));
        self.effects.push_back(Effect::Signal { pid, signal: Signal::Abort });
        unit.enter(State::Aborting { pid, kill_at: Some(now + TERM_GRACE), why }, now);
    }

    /// Stops a service; what follows when it has ended is `then`.
    pub(super) fn stop(&mut self, index: usize, then: Then, now: Duration) {
        let unit = &mut self.units[index];
        match &mut unit.state {
            // It is on its way already; only what follows changes.
            State::Stopping { then: old, .. } => *old = then,
            State::Aborting { pid, kill_at, .. } => {
                let (pid, kill_at) = (*pid, *kill_at);
                unit.enter(State::Stopping { pid, kill_at, then }, now);
            }
            State::Preparing { pid, .. }
            | State::Starting { pid, .. }
            | State::Running { pid, .. }
            | State::Releasing { pid, .. } => {
                let pid = *pid;
                self.effects.push_back(Effect::Signal { pid, signal: Signal::Term });
                unit.enter(State::Stopping { pid, kill_at: Some(now + TERM_GRACE), then }, now);
            }
            State::Held { .. } | State::Spawning { .. } | State::Backoff { .. } | State::Stopped { .. } => {
                self.stopped(index, &then, now);
            }
        }
    }

    /// Starts a service afresh: what it did before is forgotten. One that is held back stays so.
    pub(super) fn restart(&mut self, index: usize, now: Duration) {
        self.units[index].failures = 0;
        self.units[index].recent.clear();
        if !matches!(self.units[index].state, State::Held { .. }) {
            self.stop(index, Then::Start, now);
        }
    }

    /// A service that was to end has ended.
    pub(super) fn stopped(&mut self, index: usize, then: &Then, now: Duration) {
        if self.shutdown.is_some() {
            self.units[index].enter(State::Stopped { why: GOING_DOWN.to_owned() }, now);
            return self.stop_next(now);
        }
        match then {
            Then::Start => self.launch(index, now),
            Then::Remove => {
                self.units.remove(index);
            }
            Then::Stay => self.units[index].enter(State::Stopped { why: "stopped".to_owned() }, now),
        }
    }

    /// Stops the last service that is not down yet, or says that all are.
    pub(super) fn stop_next(&mut self, now: Duration) {
        let Some(Some(_)) = self.shutdown else { return };
        match self.units.iter().rposition(|unit| !matches!(unit.state, State::Stopped { .. })) {
            Some(index) if matches!(self.units[index].state, State::Stopping { .. }) => {}
            Some(index) => self.stop(index, Then::Stay, now),
            None => {
                self.shutdown = Some(None);
                self.effects.push_back(Effect::AllStopped);
            }
        }
    }
}
