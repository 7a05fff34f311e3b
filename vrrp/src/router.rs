//! One virtual router: the state machine of RFC 9568 §6.4 (and RFC 3768 §6.4). It knows no socket, clock, interface or log.
//!
//! A deadline is part of the state it belongs to, so none can outlive it. Inputs are methods with `now`; outputs are
//! [`Effect`]s and one next deadline. The contract is in the crate's documentation. Members of a sync group are driven
//! through [`SyncGroup`](crate::SyncGroup).
//!
//! ```text
//!                    faults gone, or start                           silence, or priority 0 and skew
//!      Initialize ------------------------> Backup -------------------------------------------> Active
//!        ^   ^                              |    ^                                             |   |
//!        |   +------------------------------+    +---------------------------------------------+   |
//!        |           fault, or stop                     higher advertisement, or hand-over         |
//!        +-----------------------------------------------------------------------------------------+
//!                                              fault, or stop
//! ```
//! The owner, and a router that resumes what it held, go from Initialize to Active at once.
#![warn(clippy::wildcard_enum_match_arm)]

mod active;
mod backup;
mod config;
mod effect;
mod fault;
mod schedule;
mod state;
#[cfg(test)]
mod tests;
mod view;

pub use config::{ChecksumChoice, Config, ConfigError, Preempt};
pub use effect::{Effect, Role, Transition, Why};
pub use fault::{Fault, Faults};
pub use schedule::{ANNOUNCE_GAP, Schedule};
pub(crate) use state::Ties;
pub use state::{Conflict, Peer, Refused, Standing, State, Stats, Wait};

use std::net::IpAddr;
use std::time::Duration;

use crate::track::Tracking;
use crate::{AdvertInterval, AdvertPriority, Heard, Identity, Instant, Priority, Version};

/// Most effects of one step. Six is the worst: a member of a sync group is started as the owner and its group is ready
/// (drop, transition; advertise, take, announce, transition). A power of two above; the tests count.
pub const EFFECTS_PER_STEP_MAX: usize = 8;

/// Least time between two advertisements that answer foreign ones: one centisecond, the shortest interval there is.
///
/// RFC 9568 §6.4.3 answers every losing advertisement at once. A second answer within this time says nothing that the
/// first, still on its way, does not say; without the limit a flood is reflected one to one.
pub const ASSERT_GAP: Duration = Duration::from_millis(10);

/// How long a router in doubt listens for an active router of the interval `every`: its next advertisement, and an eighth of
/// the interval for the way and for its timer. Short enough that a restarted router speaks before the others give it up,
/// which is after three intervals.
fn listening(every: AdvertInterval) -> Duration {
    every.duration() * 9 / 8
}

/// One virtual router on one interface.
#[derive(Debug)]
pub struct Router {
    identity: Identity,
    config: Config,
    state: State,
    started: bool,
    faults: Faults,
    tracking: Tracking,
    /// What the tracking of the whole sync group takes, instead of our own.
    group_penalty: Option<u16>,
    source: Option<IpAddr>,
    /// Handed over by command: does not preempt until it is handed back or nobody is active.
    yielded: bool,
    /// Member of a sync group: waits in [`Wait::Ready`] instead of taking over.
    coupled: bool,
    ties: Ties,
    last_sent: Option<Instant>,
    /// The priority in the last advertisement, unless it resigned.
    claimed: Option<Priority>,
    peer: Option<Peer>,
    conflict: Option<Conflict>,
    last: Option<Transition>,
    stats: Stats,
    effects: heapless::Deque<Effect, EFFECTS_PER_STEP_MAX>,
}

impl Router {
    /// A router that was not started and knows of no link and no address yet.
    ///
    /// # Errors
    /// [`ConfigError`] when `config` does not fit `identity`.
    pub fn new(identity: Identity, config: Config) -> Result<Self, ConfigError> {
        config.check(identity)?;
        Ok(Self {
            identity,
            config,
            state: State::Initialize,
            started: false,
            faults: Faults::default().with(Fault::Link, true).with(Fault::Source, true),
            tracking: Tracking::default(),
            group_penalty: None,
            source: None,
            yielded: false,
            coupled: false,
            ties: Ties::ByAddress,
            last_sent: None,
            claimed: None,
            peer: None,
            conflict: None,
            last: None,
            stats: Stats::default(),
            effects: heapless::Deque::new(),
        })
    }

    // Outputs.

    /// The next thing to do. To be called after every input until `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; it may be in the past. `None`: not before another
    /// input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Initialize => None,
            State::Backup { wait: Wait::Until(at) | Wait::Again(at), .. } => Some(at),
            State::Backup { wait: Wait::Ready, .. } => None,
            State::Active { advertise_at, standing: Standing::Firm, announcements } => {
                Some(announcements.next().map_or(advertise_at, |next| next.min(advertise_at)))
            }
            State::Active { advertise_at, standing: Standing::Restarted | Standing::Overslept, .. } => {
                Some(advertise_at)
            }
        }
    }

    // Inputs.

    /// The Startup event of §6.4.1. With `resume` the group's addresses are still there from an earlier life of the
    /// process: it goes on holding them, listens for an interval, and goes on advertising unless it heard a higher
    /// advertisement. Without, addresses that were left over are dropped.
    pub fn start(&mut self, resume: bool, now: Instant) {
        if self.started {
            return;
        }
        self.started = true;
        if self.faults.is_empty() {
            self.startup(resume, now);
        } else {
            self.push(Effect::DropAddresses);
        }
    }

    /// The Shutdown event of §6.4.2 and §6.4.3: an active router resigns and drops its addresses.
    pub fn shutdown(&mut self, now: Instant) {
        self.started = false;
        self.yielded = false;
        self.leave(Why::Stopped, now);
    }

    /// An advertisement that passed [`Gate::admit`](crate::Gate::admit), received at `now`.
    pub fn handle_advert(&mut self, heard: Heard, now: Instant) {
        self.stats.heard += 1;
        if heard.priority == AdvertPriority::Resign {
            self.stats.heard_resigned += 1;
        }
        self.peer = Some(Peer { heard, at: now });
        match self.state {
            State::Initialize => {}
            State::Backup { .. } => self.hear_as_backup(heard, now),
            State::Active { standing, .. } => self.hear_as_active(heard, standing, now),
        }
    }

    /// Time passed. Harmless when nothing is due.
    ///
    /// Lateness is taken for what it is. A backup that looks more than an interval after its deadline did not run, and may
    /// have lost packets while it did not: it listens for one more interval. An active router that was silent for three
    /// intervals, the least that a backup waits, no longer knows whether it is the only one: it listens before it speaks.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Initialize => {}
            State::Backup { wait, interval, because, .. } => self.backup_timeout(wait, interval, because, now),
            State::Active { advertise_at, standing, .. } => self.active_timeout(advertise_at, standing, now),
        }
    }

    /// The interface came up or went down.
    pub fn handle_link(&mut self, up: bool, now: Instant) {
        self.handle_fault(Fault::Link, !up, now);
    }

    /// The address to send from: primary IPv4 address or link-local IPv6 address of the interface.
    pub fn handle_source(&mut self, source: Option<IpAddr>, now: Instant) {
        self.source = source;
        self.handle_fault(Fault::Source, source.is_none(), now);
    }

    /// The state of what is tracked ([`Tracker`](crate::track::Tracker)).
    pub fn handle_tracking(&mut self, tracking: Tracking, now: Instant) {
        self.tracking = tracking;
        self.handle_fault(Fault::Track, tracking.failed, now);
        self.tell_priority(now);
    }

    /// Something that is needed is missing, or there again.
    pub fn handle_fault(&mut self, fault: Fault, present: bool, now: Instant) {
        self.faults = self.faults.with(fault, present);
        if !self.faults.is_empty() {
            self.leave(Why::Fault(self.faults), now);
        } else if self.started && self.role() == Role::Initialize {
            self.startup(false, now);
        }
    }

    /// A changed configuration. State and timers stay; others hear of a change at once.
    ///
    /// # Errors
    /// [`ConfigError`]; nothing is changed then.
    pub fn set_config(&mut self, config: Config, now: Instant) -> Result<(), ConfigError> {
        config.check(self.identity)?;
        let old = std::mem::replace(&mut self.config, config);
        let other_addresses = old.addresses != self.config.addresses;
        let other_interval = old.interval != self.config.interval;
        match &mut self.state {
            State::Initialize => {}
            State::Backup { interval, preempt_at, .. } => {
                if old.preempt != self.config.preempt {
                    *preempt_at = None;
                }
                // Version 2 learns nothing: everybody is configured alike. Version 3 keeps what it learned.
                if self.identity.protocol.version() == Version::V2 {
                    *interval = self.config.interval;
                }
            }
            State::Active { standing, .. } => {
                let speaks = *standing == Standing::Firm;
                if other_addresses {
                    self.push(Effect::TakeAddresses);
                    self.announce(now);
                }
                if speaks && (other_addresses || other_interval) {
                    self.assert_active(now);
                }
                self.tell_priority(now);
            }
        }
        Ok(())
    }

    /// By command: resigns, and stays backup until [`hand_back`](Self::hand_back) or until nobody else is active.
    ///
    /// # Errors
    /// [`Refused::NotActive`].
    pub fn hand_over(&mut self, now: Instant) -> Result<(), Refused> {
        if self.role() != Role::Active {
            return Err(Refused::NotActive);
        }
        self.yielded = true;
        self.step_down(AdvertPriority::Resign, self.config.interval, Why::HandOver, now);
        Ok(())
    }

    /// By command: takes over from a lower active router, preemption or not. Also ends a [`hand_over`](Self::hand_over).
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn hand_back(&mut self, now: Instant) -> Result<(), Refused> {
        self.may_hand_back(now)?;
        self.become_active(Why::HandBack, now);
        Ok(())
    }

    /// Announces now, as after a conflict: for addresses that the group owns and does not advertise, and by command. A
    /// router in doubt announces when the doubt ends.
    pub fn announce(&mut self, now: Instant) {
        if let State::Active { announcements, standing: Standing::Firm, .. } = &mut self.state
            && announcements.renew(now)
        {
            self.push(Effect::Announce);
        }
    }

    // What the states share.

    /// An active router whose priority is no longer the one it claimed says so at once: a backup may have to take over.
    pub(crate) fn tell_priority(&mut self, now: Instant) {
        let speaks = matches!(self.state, State::Active { standing: Standing::Firm, .. });
        if speaks && self.claimed != Some(self.priority()) {
            self.assert_active(now);
        }
    }

    pub(crate) const fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// What to take from the priority instead of our own tracking. To be followed by [`tell_priority`](Self::tell_priority).
    pub(crate) const fn set_group_penalty(&mut self, penalty: Option<u16>) {
        self.group_penalty = penalty;
    }

    /// Joins or leaves a sync group. Who only waited for the others waits no longer.
    pub(crate) fn set_coupled(&mut self, coupled: bool, now: Instant) {
        self.coupled = coupled;
        if let State::Backup { wait, .. } = &mut self.state
            && *wait == Wait::Ready
        {
            *wait = Wait::Until(now);
        }
    }

    pub(crate) fn next_effect(&self) -> Option<&Effect> {
        self.effects.front()
    }

    pub(crate) const fn set_ties(&mut self, ties: Ties) {
        self.ties = ties;
    }

    /// From Initialize, with no fault left (§6.4.1).
    fn startup(&mut self, resume: bool, now: Instant) {
        if resume {
            self.resume(now);
            return;
        }
        let owner = self.priority().is_owner() && !self.yielded;
        if owner && !self.coupled {
            self.become_active(Why::Owner, now);
            return;
        }
        self.push(Effect::DropAddresses);
        let interval = self.config.interval;
        let (wait, because) = if owner {
            (Wait::Ready, Why::Owner)
        } else {
            (Wait::Until(now + interval.active_down(self.priority())), Why::Silence)
        };
        let state = State::Backup { wait, interval, preempt_at: None, because };
        self.enter(state, Why::Started, now);
    }

    /// To Initialize, from wherever.
    fn leave(&mut self, why: Why, now: Instant) {
        match self.state {
            State::Initialize => return,
            State::Backup { .. } => {}
            State::Active { .. } => {
                self.advertise(AdvertPriority::Resign, now);
                self.push(Effect::DropAddresses);
            }
        }
        self.enter(State::Initialize, why, now);
    }

    /// The last thing of a change of state.
    fn enter(&mut self, state: State, why: Why, now: Instant) {
        let from = self.role();
        self.state = state;
        let transition = Transition { from, to: self.role(), why, at: now };
        self.last = Some(transition);
        self.push(Effect::Transition(transition));
    }

    fn advertise(&mut self, priority: AdvertPriority, now: Instant) {
        self.stats.sent += 1;
        self.claimed = match priority {
            AdvertPriority::Resign => {
                self.stats.resigned += 1;
                None
            }
            AdvertPriority::Claim(claimed) => Some(claimed),
        };
        self.last_sent = Some(now);
        self.push(Effect::Advertise(priority));
    }

    fn push(&mut self, effect: Effect) {
        self.effects
            .push_back(effect)
            .expect("the effects of the last step were drained, and one step has at most six");
    }

    fn note_lateness(&mut self, deadline: Instant, now: Instant) -> Duration {
        let late = now.since(deadline);
        self.stats.late_max = self.stats.late_max.max(late);
        late
    }

    /// True when `heard` wins against us by the rule of §6.4.3.
    fn is_beaten_by(&self, heard: &Heard, ties: Ties) -> Option<Why> {
        let AdvertPriority::Claim(theirs) = heard.priority else {
            return None;
        };
        let ours = self.priority();
        if theirs > ours {
            return Some(Why::Higher(heard.source, theirs));
        }
        // Addresses compare as unsigned integers in network byte order, which is how they are ordered.
        let higher_address = self.source.is_none_or(|source| heard.source > source);
        (theirs == ours && ties == Ties::ByAddress && higher_address).then_some(Why::Tie(heard.source))
    }
}
