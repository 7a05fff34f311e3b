//! All machines together: what is tried next, what is known of each target, and how it came to be.
//!
//! One probe a target, however many virtual servers ask. New targets are started a little apart, within one interval, so that their probes stay
//! spread; each keeps its place from then on. What is remembered of a target is bounded: its last outcome and its last changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::machine::{Change, Machine, Outcome, State, Timing};
use crate::target::Probe;
use crate::{Target, Time};

/// Between the first probes of two new targets, unless an interval is too short for all of them: 200 a second.
const STAGGER: Duration = Duration::from_millis(5);
/// Changes remembered of each target.
const HISTORY_MAX: usize = 10;
/// Probes under way at most: each holds a descriptor, and there are 65,536.
const UNDER_WAY_MAX: usize = 16_384;

/// A probe to be made.
#[derive(Debug, Clone)]
pub struct Job {
    /// Says whose outcome it is.
    pub number: u64,
    /// Where to.
    pub target: Arc<Target>,
    /// How.
    pub probe: Probe,
}

/// A change that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// When.
    pub at: Time,
    /// What the target is since.
    pub state: State,
    /// Why, in words; empty for one that is up.
    pub reason: String,
}

/// What a pool has to know of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What it is.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// Whether it has ever been up.
    pub proven: bool,
}

impl Verdict {
    /// What is known of a target that was never probed.
    pub const UNKNOWN: Self = Self { state: State::Unknown, since: Time::ZERO, proven: false };
}

/// Everything known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub target: Target,
    /// What it is, since when.
    pub verdict: Verdict,
    /// The last outcome and when; `None` before the first.
    pub last: Option<(Time, Outcome)>,
    /// Good attempts.
    pub good: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Its last changes, the oldest first.
    pub history: Vec<Past>,
    /// Why the last attempt did not go the way of clients, though its target has one.
    pub aside: Option<String>,
}

/// What an outcome has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Of which target.
    pub target: Target,
    /// The verdict.
    pub change: Option<Change>,
    /// Why it is not asked the way of clients, now that this is another than before; the inner `None`: it is.
    pub aside: Option<Option<String>>,
}

/// One target.
#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    probe: Probe,
    timing: Timing,
    machine: Machine,
    /// Of the job under way.
    number: u64,
    since: Time,
    proven: bool,
    last: Option<(Time, Outcome)>,
    good: u64,
    failed: u64,
    history: VecDeque<Past>,
    aside: Option<String>,
}

/// All targets. What happens with every probe finds its entry by a number: names are compared, and copied, only where targets come and go.
#[derive(Debug, Default)]
pub struct Checks {
    ids: BTreeMap<Arc<Target>, u64>,
    entries: BTreeMap<u64, Entry>,
    /// When each target that is not under way is due.
    due: BTreeSet<(Time, u64)>,
    /// Of each job.
    under_way: BTreeMap<u64, u64>,
    next_number: u64,
}

impl Checks {
    /// Takes over what is to be probed. What is known of a target that stays is kept, also when its monitor has changed, and then it is tried
    /// anew soon; `known` is what an earlier process knew of those that are new. Returns jobs under way whose outcome nobody waits for any more.
    pub fn handle_targets(
        &mut self,
        targets: &BTreeMap<Target, Probe>,
        known: &BTreeMap<Target, Verdict>,
        now: Time,
    ) -> BTreeSet<u64> {
        let before: BTreeSet<u64> = self.under_way.keys().copied().collect();
        let gone: Vec<_> = self.ids.keys().filter(|target| !targets.contains_key(&***target)).cloned().collect();
        for target in gone {
            self.remove(&target);
        }
        let is_new =
            |(target, probe): &(&Target, &Probe)| self.entry(target).is_none_or(|entry| entry.probe != **probe);
        let new: Vec<(Target, Probe)> =
            targets.iter().filter(is_new).map(|(target, probe)| (target.clone(), probe.clone())).collect();
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        for (place, (target, probe)) in (0u32..).zip(new) {
            let timing = Timing::from(&*probe.monitor);
            let apart = STAGGER.min(timing.interval / count.max(1));
            let first = now + apart * place;
            let kept = self.remove(&target);
            let verdict = kept.as_ref().map(Entry::verdict).or_else(|| known.get(&target).copied());
            let verdict = verdict.unwrap_or(Verdict { state: State::Unknown, since: now, proven: false });
            let machine = Machine::new(verdict.state, first);
            self.next_number += 1;
            let id = self.next_number;
            let target = kept.as_ref().map_or_else(|| Arc::new(target), |entry| entry.target.clone());
            let entry = match kept {
                Some(entry) => Entry { probe, timing, machine, number: 0, ..entry },
                None => Entry {
                    target: target.clone(),
                    probe,
                    timing,
                    machine,
                    number: 0,
                    since: verdict.since,
                    proven: verdict.proven,
                    last: None,
                    good: 0,
                    failed: 0,
                    history: VecDeque::new(),
                    aside: None,
                },
            };
            self.due.insert((first, id));
            self.entries.insert(id, entry);
            self.ids.insert(target, id);
        }
        before.into_iter().filter(|number| !self.under_way.contains_key(number)).collect()
    }

    fn entry(&self, target: &Target) -> Option<&Entry> {
        self.entries.get(self.ids.get(target)?)
    }

    fn remove(&mut self, target: &Target) -> Option<Entry> {
        let id = self.ids.remove(target)?;
        let entry = self.entries.remove(&id)?;
        match entry.machine.poll_timeout() {
            Some(at) => drop(self.due.remove(&(at, id))),
            None => drop(self.under_way.remove(&entry.number)),
        }
        Some(entry)
    }

    /// When the next probe is due; `None` when nothing is waited for but outcomes.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        self.due.first().map(|(at, _)| *at)
    }

    /// The next probe that is due, which begins now.
    pub fn poll_job(&mut self, now: Time) -> Option<Job> {
        if self.poll_timeout()? > now {
            return None;
        }
        let (_, id) = self.due.pop_first()?;
        let entry = self.entries.get_mut(&id)?;
        entry.machine.handle_start(now);
        self.next_number += 1;
        entry.number = self.next_number;
        self.under_way.insert(entry.number, id);
        Some(Job { number: entry.number, target: entry.target.clone(), probe: entry.probe.clone() })
    }

    /// A probe has ended, `aside` being why it did not go the way of clients. One of a target that is gone, or that is probed otherwise by now,
    /// says nothing.
    pub fn handle_outcome(&mut self, number: u64, outcome: Outcome, aside: Option<String>, now: Time) -> Option<Noted> {
        let id = self.under_way.remove(&number)?;
        let entry = self.entries.get_mut(&id)?;
        let change = entry.machine.handle_outcome(outcome.is_ok(), now, &entry.timing);
        if let Some(at) = entry.machine.poll_timeout() {
            self.due.insert((at, id));
        }
        match &outcome {
            Ok(_) => entry.good += 1,
            Err(_) => entry.failed += 1,
        }
        if let Some(change) = change {
            entry.since = now;
            entry.proven |= change.to == State::Up;
            if entry.history.len() == HISTORY_MAX {
                entry.history.pop_front();
            }
            let reason = outcome.as_ref().err().cloned().unwrap_or_default();
            entry.history.push_back(Past { at: now, state: change.to, reason });
        }
        entry.last = Some((now, outcome));
        let turned = entry.aside != aside;
        if turned {
            entry.aside.clone_from(&aside);
        }
        let target = || Target::clone(&entry.target);
        (change.is_some() || turned).then(|| Noted { target: target(), change, aside: turned.then_some(aside) })
    }

    /// The verdict on one target; unknown where there is none.
    #[must_use]
    pub fn verdict(&self, target: &Target) -> Verdict {
        self.entry(target).map_or(Verdict::UNKNOWN, Entry::verdict)
    }

    /// Verdicts of all targets.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<Target, Verdict> {
        self.entries.values().map(|entry| (Target::clone(&entry.target), entry.verdict())).collect()
    }

    /// What is known of all targets.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        let report = |entry: &Entry| Report {
            target: Target::clone(&entry.target),
            verdict: entry.verdict(),
            last: entry.last.clone(),
            good: entry.good,
            failed: entry.failed,
            history: entry.history.iter().cloned().collect(),
            aside: entry.aside.clone(),
        };
        self.ids.values().filter_map(|id| self.entries.get(id)).map(report).collect()
    }

    /// Probes under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }
}

impl Entry {
    fn verdict(&self) -> Verdict {
        Verdict { state: self.machine.state(), since: self.since, proven: self.proven }
    }
}

#[cfg(test)]
mod tests;
