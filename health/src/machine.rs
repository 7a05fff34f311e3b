//! The judge of one server: attempts become checks, checks in a row become a verdict.
//!
//! A check begins every interval. While the server is up a failed attempt is tried again, `retry` times, the beginnings `retry-delay` apart, but
//! one after the other: an attempt has all of its timeout, as with keepalived (which begins `retry-delay` after its end), and a check in path has
//! only one port to come from. Several at a time would find a silent server out sooner, and take one for dead that a switch kept from answering.
//! Only then the check has failed, and after `fall` of them in a row the server is down. A server that is not up gets one attempt a check: the
//! first success lets in one that was never seen, `rise` in a row one that was down. Pure; says when the next attempt begins and never asks the
//! time itself.

use std::time::Duration;

use yoke_config::model::Monitor;

use crate::Time;

/// What an attempt may be late by because others begin with it. More than that is a box that does not keep up, and gets no denser for it.
const LATE_MAX: Duration = Duration::from_millis(50);

/// How often, and how patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between the beginnings of two checks.
    pub interval: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Failed attempts a check forgives.
    pub retry: u8,
    /// Between the beginnings of two attempts of a check.
    pub retry_delay: Duration,
    /// Good checks in a row from down to up; at least 1.
    pub rise: u8,
    /// Failed checks in a row from up to down; at least 1.
    pub fall: u8,
}

impl From<&Monitor> for Timing {
    fn from(monitor: &Monitor) -> Self {
        let seconds = |s: u16| Duration::from_secs(u64::from(s));
        Self {
            interval: seconds(monitor.interval_s),
            timeout: seconds(monitor.timeout_s),
            retry: monitor.retry,
            retry_delay: seconds(monitor.retry_delay_s),
            rise: monitor.rise,
            fall: monitor.fall,
        }
    }
}

impl Timing {
    /// The longest time from the death of a server that was up to the verdict, if every attempt runs into its timeout.
    #[must_use]
    pub fn detection_max(&self) -> Duration {
        let failing = self.retry_delay.max(self.timeout) * u32::from(self.retry) + self.timeout;
        // A check that takes longer than an interval is followed at the next beat.
        let beats = failing.as_nanos().div_ceil(self.interval.as_nanos().max(1)).max(1);
        let apart = self.interval * u32::try_from(beats).unwrap_or(u32::MAX);
        self.interval + apart * u32::from(self.fall.saturating_sub(1)) + failing
    }
}

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No check has ended yet.
    Unknown,
    /// It works.
    Up,
    /// It does not.
    Down,
}

/// How an attempt ended: how long it took, or the reason in words.
pub type Outcome = Result<Duration, String>;

/// A change of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
}

/// One server under one monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    state: State,
    /// When the next attempt begins; of an attempt under way, when it was to begin, or up to [`LATE_MAX`] before it did.
    at: Time,
    /// When the check began to which it belongs; `None` before a check.
    check: Option<Time>,
    /// An attempt is under way.
    trying: bool,
    /// Failed attempts of this check.
    attempts: u8,
    /// Checks in a row that speak against the verdict.
    streak: u8,
}

impl Machine {
    /// A server of which `state` is known, first checked at `first`.
    #[must_use]
    pub fn new(state: State, first: Time) -> Self {
        Self { state, at: first, check: None, trying: false, attempts: 0, streak: 0 }
    }

    /// The verdict.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When the next attempt is to begin; `None` while one is under way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        (!self.trying).then_some(self.at)
    }

    /// An attempt begins.
    pub fn handle_start(&mut self, now: Time) {
        self.trying = true;
        // A late check keeps its place in the schedule: lateness does not add up.
        let planned = self.at;
        self.check.get_or_insert(planned);
        self.at = planned.max(now.saturating_sub(LATE_MAX));
    }

    /// The attempt has ended. One that was not under way says nothing.
    pub fn handle_outcome(&mut self, good: bool, now: Time, timing: &Timing) -> Option<Change> {
        if !std::mem::take(&mut self.trying) {
            return None;
        }
        if !good && self.state == State::Up && self.attempts < timing.retry {
            self.attempts += 1;
            self.at = (self.at + timing.retry_delay).max(now);
            return None;
        }
        self.attempts = 0;
        let began = self.check.take().unwrap_or(self.at);
        self.at = next_beat(began, timing.interval, now);
        let to = if good { State::Up } else { State::Down };
        if to == self.state {
            self.streak = 0;
            return None;
        }
        self.streak = self.streak.saturating_add(1);
        let needed = match (self.state, to) {
            (State::Unknown, _) => 1,
            (_, State::Up) => timing.rise,
            (_, _) => timing.fall,
        };
        if self.streak < needed {
            return None;
        }
        self.streak = 0;
        Some(Change { from: std::mem::replace(&mut self.state, to), to })
    }
}

/// The first of `began + n * interval`, n at least 1, that is not over; an interval of nothing is now.
fn next_beat(began: Time, interval: Duration, now: Time) -> Time {
    if interval.is_zero() {
        return now;
    }
    let passed = now.saturating_sub(began).as_nanos() / interval.as_nanos();
    let beats = u32::try_from(passed).unwrap_or(u32::MAX);
    let beat = began + interval * beats;
    if beat >= now && beats > 0 { beat } else { beat + interval }
}

#[cfg(test)]
mod tests;
