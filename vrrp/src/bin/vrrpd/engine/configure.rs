//! From one configuration to the next: what did not change is not touched, and a group whose neighbours changed goes on as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use vrrp::router::Role;
use vrrp::{Instant, Router, SyncGroup};
use yoke_config::value::Name;

use super::io::Io;
use super::units::{Id, Unit, Units, perform, take};
use crate::group::{Group, World};
use crate::links::Links;
use crate::opener::Key;
use crate::vmac;
use crate::wanted::{Wanted, WantedGroup, WantedUnit};
use crate::worker::Job;

/// Routers that were taken out of their unit and may go on in another.
type Parts = BTreeMap<Name, (Router, Group)>;

impl Units {
    /// Makes it so. What could not be had: a sentence each.
    pub(crate) fn configure(
        &mut self,
        wanted: Wanted,
        now: Instant,
        io: &mut Io,
        links: &Links,
        world: &World,
    ) -> Vec<String> {
        let mut problems = wanted.problems;
        self.give_up(&wanted.units, links, io);
        self.absent = wanted.absent;
        let mut fresh = Vec::new();
        let mut kept: BTreeSet<Id> = BTreeSet::new();
        for unit in wanted.units {
            match self.units.iter().find(|(id, old)| !kept.contains(id) && old.is_made_of(&unit)).map(|(id, _)| *id) {
                Some(id) => {
                    kept.insert(id);
                    problems.extend(self.update(id, unit, now, io, links));
                }
                None => fresh.push(unit),
            }
        }
        let mut parts = self.take_apart(&kept, now, io, links);
        let stays = |name: &Name, group: &Group| {
            fresh.iter().flat_map(|unit| &unit.groups).any(|w| w.name == *name && group.wanted.continues(w))
        };
        let leaving: Vec<Name> =
            parts.iter().filter(|(name, (_, group))| !stays(name, group)).map(|(name, _)| name.clone()).collect();
        for name in leaving {
            if let Some((mut router, mut group)) = parts.remove(&name) {
                router.shutdown(now);
                drain(&mut router, &mut group, io, links);
            }
        }
        self.own_addresses();
        for unit in fresh {
            let own: Parts = unit.groups.iter().filter_map(|w| parts.remove_entry(&w.name)).collect();
            problems.extend(self.start(unit, own, now, io, links, world));
        }
        self.remove_strays(links, io);
        problems
    }

    /// Addresses that no longer belong to the group that has them. Before anything else: another group may get them.
    fn give_up(&self, wanted: &[WantedUnit], links: &Links, io: &Io) {
        let groups = || wanted.iter().flat_map(|unit| &unit.groups);
        for group in self.units.values().flat_map(|unit| &unit.groups) {
            let stays = |net: &yoke_config::value::IpNet| {
                groups().any(|w| w.name == group.wanted.name && w.addresses.iter().any(|address| address.net == *net))
            };
            let gone: Vec<_> = group.places(links).into_iter().filter(|(_, net)| !stays(net)).collect();
            if !gone.is_empty() {
                io.job(Job::Remove(gone));
            }
        }
    }

    /// The same routers, other settings.
    fn update(&mut self, id: Id, wanted: WantedUnit, now: Instant, io: &mut Io, links: &Links) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(unit) = self.units.get_mut(&id) else { return problems };
        unit.sync_group = wanted.sync_group;
        for (member, wanted) in wanted.groups.into_iter().enumerate() {
            if unit.groups[member].wanted == wanted {
                continue;
            }
            let name = wanted.name.clone();
            let outcome = set(&mut unit.groups[member], wanted)
                .and_then(|config| unit.sync.set_config(member, config, now).map_err(|error| error.to_string()));
            if let Err(why) = outcome {
                problems.push(format!("vrrp group {name}: {why}"));
            }
            unit.drain(io, links);
            // Addresses that are not advertised may have changed as well.
            if unit.sync.members()[member].role() == Role::Active {
                take(&unit.groups[member], io, links);
                unit.sync.announce(member, now);
            }
        }
        self.settle(id, io, links);
        problems
    }

    /// Takes all units apart but those that are kept.
    fn take_apart(&mut self, kept: &BTreeSet<Id>, now: Instant, io: &mut Io, links: &Links) -> Parts {
        let ids: Vec<Id> = self.units.keys().filter(|id| !kept.contains(id)).copied().collect();
        let mut parts = Parts::new();
        for unit in ids.into_iter().filter_map(|id| self.remove(id)) {
            for (mut router, mut group) in unit.sync.dissolve(now).into_iter().zip(unit.groups) {
                drain(&mut router, &mut group, io, links);
                parts.insert(group.wanted.name.clone(), (router, group));
            }
        }
        parts
    }

    /// Puts a unit together, of routers that go on and new ones, and starts it.
    pub(super) fn start(
        &mut self,
        wanted: WantedUnit,
        mut parts: Parts,
        now: Instant,
        io: &mut Io,
        links: &Links,
        world: &World,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        let (mut routers, mut groups) = (Vec::new(), Vec::new());
        let mut all_new = true;
        for wanted in wanted.groups {
            let name = wanted.name.clone();
            let made = match parts.remove(&name) {
                Some((mut router, mut group)) => {
                    all_new = false;
                    let outcome = set(&mut group, wanted)
                        .and_then(|config| router.set_config(config, now).map_err(|error| error.to_string()));
                    drain(&mut router, &mut group, io, links);
                    outcome.map(|()| (router, group))
                }
                None => Router::new(wanted.identity, wanted.config.clone())
                    .map_err(|error| error.to_string())
                    .and_then(|router| Ok((router, Group::new(wanted)?))),
            };
            match made {
                Ok((router, group)) => {
                    routers.push(router);
                    groups.push(group);
                }
                Err(why) => problems.push(format!("vrrp group {name}: {why}")),
            }
        }
        if groups.is_empty() {
            return problems;
        }
        // A router begins with every fault there is; together with others it must not be seen like that.
        let own: BTreeSet<IpAddr> =
            groups.iter().flat_map(|group| group.wanted.addresses.iter().map(|address| address.net.addr)).collect();
        let moves = |at: IpAddr| own.contains(&at) || self.owners.contains_key(&at) || self.absent.contains(&at);
        for (router, group) in routers.iter_mut().zip(&mut groups) {
            if let Some(facts) = group.look(links, world, &io.ports, moves) {
                router.handle_source(facts.source, now);
                drain(router, group, io, links);
                router.handle_tracking(facts.tracking, now);
                drain(router, group, io, links);
                router.handle_link(facts.up, now);
                drain(router, group, io, links);
            }
        }
        let id = self.next;
        self.next += 1;
        self.units.insert(id, Unit::new(wanted.sync_group, SyncGroup::new(routers, now), groups));
        self.settle(id, io, links);
        self.own(id);
        self.refresh_unit(id, now, io, links, world);
        if let Some(unit) = self.units.get_mut(&id) {
            let resume = all_new && unit.groups.iter().all(|group| group.is_held(links));
            unit.sync.start(resume, now);
        }
        self.settle(id, io, links);
        problems
    }

    fn own_addresses(&mut self) {
        self.owners.clear();
        let ids: Vec<Id> = self.units.keys().copied().collect();
        ids.into_iter().for_each(|id| self.own(id));
    }

    fn own(&mut self, id: Id) {
        for (member, group) in self.units.get(&id).into_iter().flat_map(|unit| unit.groups.iter().enumerate()) {
            self.owners.extend(group.wanted.addresses.iter().map(|address| (address.net.addr, (id, member))));
        }
    }

    /// What an earlier life of this process has left behind, and what groups that take no part must not have.
    fn remove_strays(&self, links: &Links, io: &Io) {
        let mut strays = Vec::new();
        for (index, link) in links.iter() {
            let of_nobody = link.addresses.iter().filter(|address| {
                let addr = address.net.addr;
                self.absent.contains(&addr) || address.ours && !self.owners.contains_key(&addr)
            });
            strays.extend(of_nobody.map(|address| (index, address.net)));
        }
        if !strays.is_empty() {
            io.job(Job::Remove(strays));
        }
        let groups = || self.units.values().flat_map(|unit| &unit.groups);
        let wanted: BTreeSet<&str> = groups().filter_map(|group| Some(group.vmac.as_ref()?.0.name.as_str())).collect();
        let virtuals = links.iter().filter(|(_, link)| vmac::is_one(&link.name, link.mac)).map(|(_, link)| &link.name);
        let of_nobody: Vec<String> = virtuals.filter(|name| !wanted.contains(name.as_str())).cloned().collect();
        if !of_nobody.is_empty() {
            io.job(Job::Unmake(of_nobody));
        }
    }

    /// Sockets that will be needed.
    pub(crate) fn ports_with(&self, wanted: &Wanted, links: &Links) -> BTreeSet<Key> {
        let mut ports = self.ports();
        for group in wanted.units.iter().flat_map(|unit| &unit.groups) {
            let family = group.identity.protocol.family();
            ports.extend(links.index(group.interface.as_str()).map(|index| (index, family)));
        }
        ports
    }
}

impl Unit {
    /// Whether the same routers, in the same order, are wanted.
    fn is_made_of(&self, wanted: &WantedUnit) -> bool {
        self.groups.len() == wanted.groups.len()
            && self.groups.iter().zip(&wanted.groups).all(|(group, wanted)| group.wanted.continues(wanted))
    }
}

/// Gives a group its new settings; what the router is to be told.
fn set(group: &mut Group, wanted: WantedGroup) -> Result<vrrp::Config, String> {
    let config = wanted.config.clone();
    group.set(wanted)?;
    // The next look tells the router what it tracks now.
    group.told = None;
    Ok(config)
}

fn drain(router: &mut Router, group: &mut Group, io: &mut Io, links: &Links) {
    while let Some(effect) = router.poll_effect() {
        perform(group, router, effect, io, links);
    }
}
