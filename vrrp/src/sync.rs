//! Sync groups: virtual routers that are active on the same box or not at all, as the outside and the inside of a NAT
//! pair must be. Every member keeps its own state machine and packets; this file couples them, without I/O.
//!
//! 1. *All or nothing.* A member whose timer ran out waits until every other member is active or waits too; then they take
//!    over in one step. One that still hears the active router holds all of them back: taking half would tear the pair
//!    apart.
//! 2. *Down together.* When a member loses to another box, the others resign.
//! 3. *Fault together.* A fault of one member is a fault of all.
//! 4. *One tracking.* What tracking takes from one member's priority it takes from all, so that the boxes compare alike on
//!    every network.
//! 5. *One tie-break.* With equal priorities the address decides, and it may decide differently on each network: both boxes
//!    would then resign to each other. So the first member decides at once, and the others stay: for an interval and a
//!    half, in which the other box must be heard on the first network if it can be, and for `Active_Down_Interval` once it
//!    was. Whoever is still in conflict then cannot rely on the first network, and decides by itself after all.
//!
//! Members should have the same priority on a box; nothing can couple boxes of which each is the better one somewhere.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::router::{ConfigError, Fault, Refused, Role, Ties, Why};
use crate::track::Tracking;
use crate::{AdvertPriority, Config, Effect, Heard, Instant, Router};

/// Virtual routers that move together. A group of one behaves as the router alone, so that a daemon needs only groups.
#[derive(Debug)]
pub struct SyncGroup {
    members: Vec<Router>,
    /// Roles after the last step.
    roles: Vec<Role>,
}

impl SyncGroup {
    /// Couples `members`, in the state they are in. An active member does not give up for one that is not: the others join
    /// it when they hear nobody else. The first member decides ties.
    #[must_use]
    pub fn new(members: Vec<Router>, now: Instant) -> Self {
        let roles = members.iter().map(Router::role).collect();
        let mut group = Self { members, roles };
        let penalty = group.members.iter().fold(0_u16, |sum, member| sum.saturating_add(member.tracking().penalty));
        for member in &mut group.members {
            member.set_coupled(true, now);
            member.set_group_penalty(Some(penalty));
        }
        group.settle(now);
        group
    }

    /// Lets the members go on alone, in the state they are in.
    #[must_use]
    pub fn dissolve(mut self, now: Instant) -> Vec<Router> {
        for member in &mut self.members {
            member.set_coupled(false, now);
            member.set_ties(Ties::ByAddress);
            member.set_group_penalty(None);
            member.handle_fault(Fault::SyncGroup, false, now);
            member.tell_priority(now);
        }
        self.members
    }

    /// The members, to look at; the index is the one that the inputs take.
    #[must_use]
    pub fn members(&self) -> &[Router] {
        &self.members
    }

    /// The next thing to do, and for which member. Advertisements of all members come before what takes time.
    pub fn poll_effect(&mut self) -> Option<(usize, Effect)> {
        let is_advert = |member: &Router| matches!(member.next_effect(), Some(Effect::Advertise(_)));
        let urgent = self.members.iter().position(is_advert);
        let index = urgent.or_else(|| self.members.iter().position(|member| member.next_effect().is_some()))?;
        Some((index, self.members[index].poll_effect()?))
    }

    /// The earliest of the members' deadlines.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.members.iter().filter_map(Router::poll_timeout).min()
    }

    /// As [`Router::start`]. A group resumes only when the addresses of every member were still held: half a group is none.
    pub fn start(&mut self, resume: bool, now: Instant) {
        self.members.iter_mut().for_each(|member| member.start(resume, now));
        self.settle(now);
    }

    /// As [`Router::shutdown`], for all.
    pub fn shutdown(&mut self, now: Instant) {
        self.members.iter_mut().for_each(|member| member.shutdown(now));
        self.settle(now);
    }

    /// As [`Router::handle_advert`].
    pub fn handle_advert(&mut self, member: usize, heard: Heard, now: Instant) {
        let ties = self.ties(member, now);
        self.members[member].set_ties(ties);
        self.members[member].handle_advert(heard, now);
        self.settle(now);
    }

    /// As [`Router::handle_timeout`], for all.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.members.iter_mut().for_each(|member| member.handle_timeout(now));
        self.settle(now);
    }

    /// As [`Router::handle_link`].
    pub fn handle_link(&mut self, member: usize, up: bool, now: Instant) {
        self.members[member].handle_link(up, now);
        self.settle(now);
    }

    /// As [`Router::handle_source`].
    pub fn handle_source(&mut self, member: usize, source: Option<std::net::IpAddr>, now: Instant) {
        self.members[member].handle_source(source, now);
        self.settle(now);
    }

    /// As [`Router::handle_fault`]. [`Fault::SyncGroup`] is the group's own.
    pub fn handle_fault(&mut self, member: usize, fault: Fault, present: bool, now: Instant) {
        self.members[member].handle_fault(fault, present, now);
        self.settle(now);
    }

    /// As [`Router::handle_tracking`]; the penalty counts for every member.
    pub fn handle_tracking(&mut self, member: usize, tracking: Tracking, now: Instant) {
        let others = self.members.iter().enumerate().filter(|(index, _)| *index != member);
        let penalty = others.fold(tracking.penalty, |sum, (_, other)| sum.saturating_add(other.tracking().penalty));
        for member in &mut self.members {
            member.set_group_penalty(Some(penalty));
        }
        self.members[member].handle_tracking(tracking, now);
        self.settle(now);
    }

    /// As [`Router::set_config`].
    ///
    /// # Errors
    /// [`ConfigError`]; nothing is changed then.
    pub fn set_config(&mut self, member: usize, config: Config, now: Instant) -> Result<(), ConfigError> {
        self.members[member].set_config(config, now)?;
        self.settle(now);
        Ok(())
    }

    /// As [`Router::announce`].
    pub fn announce(&mut self, member: usize, now: Instant) {
        self.members[member].announce(now);
    }

    /// As [`Router::hand_over`], for all.
    ///
    /// # Errors
    /// [`Refused::NotActive`] when no member is active.
    pub fn hand_over(&mut self, now: Instant) -> Result<(), Refused> {
        if self.members.iter().all(|member| member.role() != Role::Active) {
            return Err(Refused::NotActive);
        }
        for member in self.members.iter_mut().filter(|member| member.role() == Role::Active) {
            member.hand_over(now)?;
        }
        self.settle(now);
        Ok(())
    }

    /// As [`Router::hand_back`], for all or none.
    ///
    /// # Errors
    /// [`Refused`], of the first member that refuses; nothing is changed then.
    pub fn hand_back(&mut self, now: Instant) -> Result<(), Refused> {
        if self.members.iter().all(|member| member.role() == Role::Active) {
            return Err(Refused::NotBackup);
        }
        for member in self.members.iter().filter(|member| member.role() != Role::Active) {
            member.may_hand_back(now)?;
        }
        for member in self.members.iter_mut().filter(|member| member.role() != Role::Active) {
            member.hand_back(now)?;
        }
        self.settle(now);
        Ok(())
    }

    /// Brings the members in line after a step: faults, priorities, defeats, take-over, in this order.
    fn settle(&mut self, now: Instant) {
        let own_fault = |member: &Router| !member.faults().with(Fault::SyncGroup, false).is_empty();
        let faulty = self.members.iter().filter(|member| own_fault(member)).count();
        for member in &mut self.members {
            let others = faulty > usize::from(own_fault(member));
            if others != member.faults().contains(Fault::SyncGroup) {
                member.handle_fault(Fault::SyncGroup, others, now);
            }
        }
        let lost = |(member, before): (&Router, &Role)| *before == Role::Active && member.role() == Role::Backup;
        if self.members.iter().zip(&self.roles).any(lost) {
            for member in self.members.iter_mut().filter(|member| member.role() == Role::Active) {
                let interval = member.config().interval;
                member.step_down(AdvertPriority::Resign, interval, Why::SyncGroup, now);
            }
        }
        if self.members.iter().all(|member| member.role() == Role::Active || member.ready().is_some()) {
            for member in &mut self.members {
                if let Some(why) = member.ready() {
                    member.become_active(why, now);
                }
            }
        }
        for (role, member) in self.roles.iter_mut().zip(&mut self.members) {
            member.tell_priority(now);
            *role = member.role();
        }
    }

    /// Rule 5.
    fn ties(&self, member: usize, now: Instant) -> Ties {
        let down = |router: &Router| router.config().interval.active_down(router.priority());
        let Some(leader) = self.members.first().filter(|_| member != 0) else {
            return Ties::ByAddress;
        };
        let heard_there = leader.conflict().is_some_and(|conflict| now.since(conflict.peer.at) <= down(leader));
        let router = &self.members[member];
        let lasting: Duration = match router.conflict() {
            Some(conflict) if now.since(conflict.peer.at) <= down(router) => now.since(conflict.since),
            Some(_) | None => Duration::ZERO,
        };
        let patience = if heard_there { down(router) } else { leader.config().interval.duration() * 3 / 2 };
        if lasting <= patience { Ties::Stay } else { Ties::ByAddress }
    }
}
