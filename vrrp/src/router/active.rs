//! The Active state (RFC 9568 §6.4.3), and the ways in and out of it.

use super::{ASSERT_GAP, Conflict, Effect, Peer, Preempt, Router, Schedule, Standing, State, Wait, Why, listening};
use crate::{AdvertInterval, AdvertPriority, Heard, Instant};

impl Router {
    /// "Send an ADVERTISEMENT", then the addresses, then their announcement: others stop their timers before we spend
    /// time on netlink.
    pub(crate) fn become_active(&mut self, why: Why, now: Instant) {
        self.stats.became_active += 1;
        self.yielded = false;
        self.advertise(AdvertPriority::Claim(self.priority()), now);
        self.push(Effect::TakeAddresses);
        self.push(Effect::Announce);
        let advertise_at = now + self.config.interval.duration();
        let announcements = Schedule::begin(now);
        self.enter(State::Active { advertise_at, standing: Standing::Firm, announcements }, why, now);
    }

    /// Initialize to Active without a word: the addresses are still ours from before.
    pub(super) fn resume(&mut self, now: Instant) {
        self.stats.became_active += 1;
        self.push(Effect::TakeAddresses);
        let advertise_at = now + listening(self.config.interval);
        let announcements = Schedule::begin(now);
        self.enter(State::Active { advertise_at, standing: Standing::Restarted, announcements }, Why::Resumed, now);
    }

    /// Active to Backup. `last` is what the others hear: our priority when we lost to a higher one, so that it announces its
    /// addresses again after us; priority 0 when somebody else shall take over.
    pub(crate) fn step_down(&mut self, last: AdvertPriority, every: AdvertInterval, why: Why, now: Instant) {
        self.advertise(last, now);
        self.push(Effect::DropAddresses);
        let wait = Wait::Until(now + every.active_down(self.priority()));
        let state = State::Backup { wait, interval: every, preempt_at: None, because: Why::Silence };
        self.enter(state, why, now);
    }

    /// An advertisement while active.
    pub(super) fn hear_as_active(&mut self, heard: Heard, standing: Standing, now: Instant) {
        self.stats.conflicts += 1;
        let run = self.config.interval.active_down(self.priority());
        let since = match self.conflict {
            Some(conflict) if now.since(conflict.peer.at) <= run => conflict.since,
            Some(_) | None => now,
        };
        self.conflict = Some(Conflict { peer: Peer { heard, at: now }, since });
        if let Some(why) = self.is_beaten_by(&heard, self.ties) {
            let last = AdvertPriority::Claim(self.priority());
            self.step_down(last, heard.interval, why, now);
            return;
        }
        let claims = heard.priority != AdvertPriority::Resign;
        let returns = standing == Standing::Overslept && self.config.preempt == Preempt::Off;
        if claims && returns && !self.priority().is_owner() {
            // While we slept another took over, with the connections of that time. Without preemption the box that
            // returns stays backup, also when it returns from sleep. Our own priority would beat the other: resign.
            self.step_down(AdvertPriority::Resign, heard.interval, Why::Overslept(heard.source), now);
            return;
        }
        // §6.4.3, priority 0 as well as a lower one: "Send an ADVERTISEMENT immediately to assert the Active state".
        self.assert_active(now);
        self.announce(now);
    }

    /// `Adver_Timer`, the end of a doubt, and announcements.
    pub(super) fn active_timeout(&mut self, advertise_at: Instant, standing: Standing, now: Instant) {
        if now >= advertise_at {
            self.note_lateness(advertise_at, now);
            let every = self.config.interval.duration();
            match standing {
                Standing::Firm if self.last_sent.is_some_and(|sent| now.since(sent) >= every * 3) => {
                    self.set_standing(Standing::Overslept, now + listening(self.config.interval));
                    return;
                }
                Standing::Firm => {
                    self.advertise(AdvertPriority::Claim(self.priority()), now);
                    // From the deadline, not from now: lateness does not add up.
                    let next = advertise_at + every;
                    self.set_standing(Standing::Firm, if next > now { next } else { now + every });
                }
                Standing::Restarted | Standing::Overslept => {
                    // Nobody contradicted. Somebody may have been active in between, hence the announcement.
                    self.assert_active(now);
                    self.announce(now);
                }
            }
        }
        let refresh = self.config.refresh;
        if let State::Active { announcements, standing: Standing::Firm, .. } = &mut self.state
            && announcements.poll(now, refresh)
        {
            self.push(Effect::Announce);
        }
    }

    /// Advertises now, or at the end of [`ASSERT_GAP`]; the `Adver_Timer` starts again. Ends a doubt.
    pub(super) fn assert_active(&mut self, now: Instant) {
        let gap_ends = self.last_sent.map(|sent| sent + ASSERT_GAP);
        match (gap_ends, self.state) {
            (Some(gap_ends), State::Active { advertise_at, .. }) if now < gap_ends => {
                self.set_standing(Standing::Firm, advertise_at.min(gap_ends));
            }
            _ => {
                self.advertise(AdvertPriority::Claim(self.priority()), now);
                self.set_standing(Standing::Firm, now + self.config.interval.duration());
            }
        }
    }

    fn set_standing(&mut self, to: Standing, until: Instant) {
        if let State::Active { advertise_at, standing, .. } = &mut self.state {
            *standing = to;
            *advertise_at = until;
        }
    }
}
