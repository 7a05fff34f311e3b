//! The Backup state (RFC 9568 §6.4.2).

use super::{Preempt, Refused, Router, State, Ties, Wait, Why, listening};
use crate::{AdvertInterval, AdvertPriority, Heard, Instant};

impl Router {
    /// An advertisement while backup.
    pub(super) fn hear_as_backup(&mut self, heard: Heard, now: Instant) {
        let ours = self.priority();
        let (preempt, yielded) = (self.config.preempt, self.yielded);
        let State::Backup { wait, interval, preempt_at, because } = &mut self.state else {
            return;
        };
        let theirs = match heard.priority {
            AdvertPriority::Resign => {
                // "If the Priority in the ADVERTISEMENT is 0, then set the Active_Down_Timer to Skew_Time". A timer that
                // ran out already stays so.
                if *wait != Wait::Ready {
                    *wait = Wait::Until(now + interval.skew(ours));
                }
                *because = Why::Resigned(heard.source);
                return;
            }
            AdvertPriority::Claim(theirs) => theirs,
        };
        if theirs >= ours {
            *preempt_at = None;
        } else {
            let due = match preempt {
                // §6.1: "the router that owns the IPvX address(es) always preempts, independent of this flag".
                _ if yielded => false,
                _ if ours.is_owner() => true,
                Preempt::Off => false,
                Preempt::On { delay } => now >= *preempt_at.get_or_insert(now + delay),
            };
            if due {
                // "Discard the ADVERTISEMENT": the timer runs on, and ends in our favour.
                *because = Why::Preempted(heard.source);
                return;
            }
        }
        *interval = heard.interval;
        *wait = Wait::Until(now + interval.active_down(ours));
        *because = Why::Silence;
    }

    /// `Active_Down_Timer`.
    pub(super) fn backup_timeout(&mut self, wait: Wait, every: AdvertInterval, because: Why, now: Instant) {
        match wait {
            Wait::Ready => {}
            Wait::Until(at) if now >= at => {
                if self.note_lateness(at, now) > every.duration() {
                    self.set_wait(Wait::Again(now + listening(every)));
                } else {
                    self.expire(because, now);
                }
            }
            Wait::Again(at) if now >= at => {
                self.note_lateness(at, now);
                self.expire(because, now);
            }
            Wait::Until(_) | Wait::Again(_) => {}
        }
    }

    fn expire(&mut self, because: Why, now: Instant) {
        if self.coupled {
            self.set_wait(Wait::Ready);
        } else {
            self.become_active(because, now);
        }
    }

    fn set_wait(&mut self, to: Wait) {
        if let State::Backup { wait, .. } = &mut self.state {
            *wait = to;
        }
    }

    /// Why it would take over, when its timer ran out and only the sync group holds it back.
    pub(crate) fn ready(&self) -> Option<Why> {
        match self.state {
            State::Backup { wait: Wait::Ready, because, .. } => Some(because),
            State::Initialize | State::Backup { .. } | State::Active { .. } => None,
        }
    }

    /// Whether [`hand_back`](Self::hand_back) would be obeyed.
    pub(crate) fn may_hand_back(&self, now: Instant) -> Result<(), Refused> {
        let State::Backup { interval, .. } = self.state else {
            return Err(Refused::NotBackup);
        };
        match self.peer {
            // A router that fell silent has no say.
            Some(peer)
                if now.since(peer.at) <= interval.active_down(self.priority())
                    && self.is_beaten_by(&peer.heard, Ties::ByAddress).is_some() =>
            {
                Err(Refused::ActiveIsHigher(peer.heard.source))
            }
            Some(_) | None => Ok(()),
        }
    }
}
