//! The groups of this box, by what moves together, with one queue of deadlines for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use vrrp::router::{Fault, Role, Why};
use vrrp::{Discard, Effect, Family, Instant, Router, SyncGroup, Vrid, receive};
use yoke_config::value::{IpNet, Name};

use super::Event;
use super::hold::Progress;
use super::io::Io;
use crate::group::{Group, Strange, World};
use crate::links::Links;
use crate::opener::Key;
use crate::port::Packet;
use crate::worker::Job;

/// Names a unit for as long as it lives.
pub(super) type Id = u32;

/// Groups that move together: the library's machines, and ours beside each.
pub(crate) struct Unit {
    pub(super) sync_group: Option<Name>,
    pub(super) sync: SyncGroup,
    pub(super) groups: Vec<Group>,
    /// As it stands in the queue.
    deadline: Option<Instant>,
}

/// All units.
#[derive(Default)]
pub(crate) struct Units {
    pub(super) units: BTreeMap<Id, Unit>,
    pub(super) next: Id,
    /// Whose packet it is: interface, family, VRID.
    index: BTreeMap<(u32, Family, Vrid), (Id, usize)>,
    /// Whose address it is.
    pub(super) owners: BTreeMap<IpAddr, (Id, usize)>,
    /// Addresses of groups that take no part.
    pub(super) absent: BTreeSet<IpAddr>,
    deadlines: BTreeSet<(Instant, Id)>,
    pub(super) progress: Progress,
}

impl Unit {
    pub(super) fn new(sync_group: Option<Name>, sync: SyncGroup, groups: Vec<Group>) -> Self {
        Self { sync_group, sync, groups, deadline: None }
    }

    /// Does what the machines ask for.
    pub(super) fn drain(&mut self, io: &mut Io, links: &Links) {
        while let Some((member, effect)) = self.sync.poll_effect() {
            perform(&mut self.groups[member], &self.sync.members()[member], effect, io, links);
        }
    }

    fn has(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group.wanted.name.as_str() == name)
    }
}

/// One effect of one router.
pub(super) fn perform(group: &mut Group, router: &Router, effect: Effect, io: &mut Io, links: &Links) {
    match effect {
        Effect::Advertise(priority) => {
            let (ports, packet) = (&io.ports, &mut io.packet);
            group.advertise(router, priority, ports, packet);
        }
        Effect::TakeAddresses => take(group, io, links),
        Effect::DropAddresses => {
            io.job(Job::Remove(group.everywhere(links)));
            switch(group, false, io);
        }
        Effect::Announce => io.job(Job::Announce(group.announcement(links))),
        Effect::Transition(transition) => {
            let tracked = match transition.why {
                Why::Fault(faults) if faults.contains(Fault::Track) => {
                    group.tracker.down().map(ToString::to_string).collect()
                }
                _ => Vec::new(),
            };
            let _ = io.events.send(Event::Transition(group.wanted.name.clone(), transition, tracked));
        }
    }
}

/// Has the worker take all addresses.
pub(super) fn take(group: &Group, io: &Io, links: &Links) {
    add(group, group.places(links), io);
}

/// Has the worker take these addresses, behind their hardware address.
pub(super) fn add(group: &Group, places: Vec<(u32, IpNet)>, io: &Io) {
    switch(group, true, io);
    io.job(Job::Add(places));
}

pub(super) fn switch(group: &Group, up: bool, io: &Io) {
    if let Some((_, index)) = group.vmac.as_ref().filter(|(_, index)| *index != 0) {
        io.job(Job::Switch(*index, up));
    }
}

impl Units {
    /// Effects of a unit, and its place in the queue.
    pub(super) fn settle(&mut self, id: Id, io: &mut Io, links: &Links) {
        let Some(unit) = self.units.get_mut(&id) else { return };
        unit.drain(io, links);
        let deadline = unit.sync.poll_timeout();
        if deadline != unit.deadline {
            if let Some(old) = unit.deadline {
                self.deadlines.remove(&(old, id));
            }
            if let Some(new) = deadline {
                self.deadlines.insert((new, id));
            }
            unit.deadline = deadline;
        }
    }

    /// Takes a unit out of everything.
    pub(super) fn remove(&mut self, id: Id) -> Option<Unit> {
        let unit = self.units.remove(&id)?;
        if let Some(deadline) = unit.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        Some(unit)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Each unit whose time has come, once.
    pub(crate) fn handle_timeouts(&mut self, now: Instant, io: &mut Io, links: &Links) {
        let due: Vec<Id> = self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        for id in due {
            if let Some(unit) = self.units.get_mut(&id) {
                unit.sync.handle_timeout(now);
                self.settle(id, io, links);
            }
        }
    }

    /// A packet: the receive checks of RFC 9568 §7.1, each failure counted.
    pub(crate) fn handle_packet(&mut self, key: Key, packet: &Packet<'_>, io: &mut Io, links: &Links) {
        let endpoints = &packet.carrier.endpoints;
        let (source, at) = (endpoints.source(), packet.at);
        let message = match receive::screen(packet.payload, &packet.carrier) {
            Ok(message) => message,
            Err(why) => return io.discard(key, source, why, at, links),
        };
        let Some(&(id, member)) = self.index.get(&(key.0, key.1, message.vrid())) else {
            return io.discard(key, source, Discard::Vrid, at, links);
        };
        let Some(unit) = self.units.get_mut(&id) else { return };
        let group = &mut unit.groups[member];
        match group.gate.admit(&message, endpoints, crate::clock::unix()) {
            Ok(received) => {
                if received.addresses_differ || received.interval_differs {
                    let why = if received.addresses_differ { "other addresses" } else { "another interval" };
                    group.differs = Some(Strange { source, why: why.to_owned(), at });
                }
                unit.sync.handle_advert(member, received.heard, at);
                self.settle(id, io, links);
            }
            // Our own packet; or one of a pair that speaks unicast, or multicast, and we do not.
            Err(Discard::Looped | Discard::Destination) => {}
            Err(why) => {
                group.discarded = Some(Strange { source, why: why.to_string(), at });
                io.tell(key, source, why, at, links);
            }
        }
    }

    /// Tells every router of its link, its source and what it tracks.
    pub(crate) fn refresh(&mut self, now: Instant, io: &mut Io, links: &Links, world: &World) {
        self.index.clear();
        let ids: Vec<Id> = self.units.keys().copied().collect();
        for id in ids {
            self.refresh_unit(id, now, io, links, world);
        }
    }

    pub(super) fn refresh_unit(&mut self, id: Id, now: Instant, io: &mut Io, links: &Links, world: &World) {
        let count = self.units.get(&id).map_or(0, |unit| unit.groups.len());
        for member in 0..count {
            self.refresh_group(id, member, now, io, links, world);
        }
    }

    fn refresh_group(&mut self, id: Id, member: usize, now: Instant, io: &mut Io, links: &Links, world: &World) {
        let (owners, absent) = (&self.owners, &self.absent);
        let Some(unit) = self.units.get_mut(&id) else { return };
        let group = &mut unit.groups[member];
        let before = group.vmac.as_ref().map_or(0, |(_, index)| *index);
        let facts =
            group.look(links, world, &io.ports, |address| owners.contains_key(&address) || absent.contains(&address));
        let appeared = match &group.vmac {
            Some((vmac, 0)) if !group.vmac_asked => {
                io.job(Job::Make(vmac.clone()));
                group.vmac_asked = true;
                false
            }
            Some((_, index)) => *index != 0 && *index != before,
            None => false,
        };
        self.index.insert((group.ifindex, group.family(), group.wanted.identity.vrid), (id, member));
        if appeared && unit.sync.members()[member].role() == Role::Active {
            take(group, io, links);
            unit.sync.announce(member, now);
        }
        let Some(facts) = facts else { return self.settle(id, io, links) };
        // One step at a time, each drained: a fault that goes and one that comes are two events to the machine.
        unit.sync.handle_source(member, facts.source, now);
        unit.drain(io, links);
        unit.sync.handle_tracking(member, facts.tracking, now);
        unit.drain(io, links);
        unit.sync.handle_link(member, facts.up, now);
        self.settle(id, io, links);
    }

    /// An address came or went. One of a group is put right when somebody else did it: a backup holds none, an active one all. Whether
    /// the groups have to be [told](Self::refresh), since it is none of theirs.
    #[must_use]
    pub(crate) fn handle_address(&mut self, address: IpAddr, now: Instant, io: &mut Io, links: &Links) -> bool {
        let Some(&(id, member)) = self.owners.get(&address) else {
            if self.absent.contains(&address) {
                io.job(Job::Remove(links.places(address)));
            }
            return true;
        };
        let Some(unit) = self.units.get_mut(&id) else { return false };
        let (group, router) = (&unit.groups[member], &unit.sync.members()[member]);
        let places: Vec<_> = group.places(links).into_iter().filter(|(_, net)| net.addr == address).collect();
        let there = links.places(address);
        if router.role() == Role::Active {
            let missing: Vec<_> = places.iter().filter(|place| !there.contains(place)).copied().collect();
            if !missing.is_empty() {
                add(group, missing, io);
                unit.sync.announce(member, now);
                self.settle(id, io, links);
            }
        } else if !there.is_empty() {
            io.job(Job::Remove(there));
        }
        false
    }

    /// The unit of a group.
    fn find(&self, name: &str) -> Result<Id, String> {
        let found = self.units.iter().find(|(_, unit)| unit.has(name)).map(|(id, _)| *id);
        found.ok_or_else(|| format!("vrrp group {name}: does not exist, or takes no part"))
    }

    pub(crate) fn hand_over(&mut self, name: &str, now: Instant, io: &mut Io, links: &Links) -> Result<(), String> {
        let id = self.find(name)?;
        let unit = self.units.get_mut(&id).expect("it was just found");
        let done = unit.sync.hand_over(now).map_err(|why| format!("vrrp group {name}: {why}"));
        self.settle(id, io, links);
        done
    }

    pub(crate) fn hand_back(&mut self, name: &str, now: Instant, io: &mut Io, links: &Links) -> Result<(), String> {
        let id = self.find(name)?;
        let unit = self.units.get_mut(&id).expect("it was just found");
        let done = unit.sync.hand_back(now).map_err(|why| format!("vrrp group {name}: {why}"));
        self.settle(id, io, links);
        done
    }

    /// The unit of `name` from its beginning.
    pub(crate) fn reset(
        &mut self,
        name: &str,
        now: Instant,
        io: &mut Io,
        links: &Links,
        world: &World,
    ) -> Result<(), String> {
        let id = self.find(name)?;
        let mut unit = self.remove(id).expect("it was just found");
        unit.sync.shutdown(now);
        unit.drain(io, links);
        let wanted = crate::wanted::WantedUnit {
            sync_group: unit.sync_group,
            groups: unit.groups.into_iter().map(|group| group.wanted).collect(),
        };
        let problems = self.start(wanted, BTreeMap::new(), now, io, links, world);
        self.refresh(now, io, links, world);
        problems.into_iter().next().map_or(Ok(()), Err)
    }

    /// Resigns from everything.
    pub(crate) fn stop(&mut self, now: Instant, io: &mut Io, links: &Links) {
        let mut virtuals = Vec::new();
        for unit in self.units.values_mut() {
            unit.sync.shutdown(now);
            unit.drain(io, links);
            virtuals.extend(unit.groups.iter().filter_map(|group| Some(group.vmac.as_ref()?.0.name.clone())));
        }
        io.job(Job::Unmake(virtuals));
        self.units.clear();
        self.deadlines.clear();
    }

    /// Sockets that are needed.
    pub(crate) fn ports(&self) -> BTreeSet<Key> {
        let groups = self.units.values().flat_map(|unit| &unit.groups);
        groups.filter(|group| group.ifindex != 0).map(|group| (group.ifindex, group.family())).collect()
    }
}
