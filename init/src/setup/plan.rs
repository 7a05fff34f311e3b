//! The changes that lead from the network as it is to the one that is wanted, in order, and what cannot be had. Pure.
//!
//! Nothing that is right is touched: a link goes down only where the kernel insists (to become a member of a bond, or to
//! change a bond's mode). What conflicts is removed first, except an IPv4 address that only changes its prefix length.

mod delivery;
mod links;
mod reach;

use std::collections::BTreeMap;

use yoke_config::value::IfName;

use super::table::{Change, Kind, Link, Network};
use super::wanted::{Wanted, WantedKind, WantedLink};

/// What to do, and what cannot be done: each a sentence that begins with the object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order in which to do them.
    pub changes: Vec<Change>,
    /// For the operator.
    pub problems: Vec<String>,
    /// For the operator as well, whatever a later look of the same run says: it is too early to know whether they are over.
    pub lasting: Vec<String>,
}

/// Ends of sentences about what is around the box, or not in its configuration: no other firmware would do better.
const ANOTHER_HOST: &str = "another host has this address";
const IS_MISSING: &str = "is missing";
const IS_SHUT_DOWN: &str = "is shut down";
const NO_PREFIX: &str = "is in the prefix of no interface";
const NO_CARD: &str = ": there is no such network card";

/// Whether a problem of `init setup` speaks of what is around the box, or is not in its configuration, and not of what this firmware could
/// not do. `is_fitted` says of a network card that it is in the box, whether this firmware has found it or not.
#[must_use]
pub fn is_outside(problem: &str, is_fitted: impl Fn(&str) -> bool) -> bool {
    if let Some(card) = problem.strip_prefix("interface ").and_then(|rest| rest.strip_suffix(NO_CARD)) {
        return !is_fitted(card);
    }
    [ANOTHER_HOST, IS_MISSING, IS_SHUT_DOWN, NO_PREFIX].iter().any(|end| problem.ends_with(end))
}

/// Plans. `driver_mtu` is what a card has when nobody says otherwise.
#[must_use]
pub fn plan(network: &Network, wanted: &Wanted, driver_mtu: &BTreeMap<String, u32>) -> Plan {
    let mut planner = Planner { network, wanted, driver_mtu, links: links(network, wanted), plan: Plan::default() };
    planner.machine();
    planner.remove_rules();
    planner.remove_routes_and_neighbours();
    planner.remove_addresses();
    planner.remove_links();
    planner.make_links();
    planner.members();
    planner.mtus();
    planner.add_addresses();
    planner.up_and_down();
    planner.add_routes();
    planner.add_neighbours();
    planner.add_rules();
    planner.plan
}

/// Every interface that is ours: those of the configuration, and the cards nobody mentions.
fn links(network: &Network, wanted: &Wanted) -> BTreeMap<String, WantedLink> {
    let mut links = wanted.links.clone();
    for (name, link) in &network.links {
        let kind = match link.kind {
            Kind::Card if is_ours(name, link) => WantedKind::Card,
            Kind::Loopback => WantedKind::Loopback,
            Kind::Card | Kind::Bond(_) | Kind::Vlan(_) | Kind::Foreign => continue,
        };
        let idle = WantedLink { kind, up: true, mtu: None, master: None, parent: None };
        links.entry(name.clone()).or_insert(idle);
    }
    links
}

/// Whether an existing interface is one that an operator can name, and is what its name says.
fn is_ours(name: &str, link: &Link) -> bool {
    let Ok(parsed) = name.parse::<IfName>() else { return false };
    match link.kind {
        Kind::Card => parsed.is_port(),
        Kind::Bond(_) => parsed.is_bond(),
        Kind::Vlan(id) => {
            parsed.vlan().is_some_and(|(parent, vid)| vid == id && link.parent.as_deref() == Some(parent.as_str()))
        }
        Kind::Loopback => true,
        Kind::Foreign => false,
    }
}

struct Planner<'a> {
    network: &'a Network,
    wanted: &'a Wanted,
    driver_mtu: &'a BTreeMap<String, u32>,
    links: BTreeMap<String, WantedLink>,
    plan: Plan,
}

impl Planner<'_> {
    fn change(&mut self, change: Change) {
        self.plan.changes.push(change);
    }

    fn problem(&mut self, text: String) {
        self.plan.problems.push(text);
    }

    /// The interface as it is, if it is ours.
    fn actual(&self, name: &str) -> Option<&Link> {
        self.network.links.get(name).filter(|link| is_ours(name, link))
    }

    /// Whether the interface is there, or can be made.
    fn can_exist(&self, name: &str) -> bool {
        match self.links.get(name).map(|link| (link.kind, &link.parent)) {
            None => false,
            Some((WantedKind::Card | WantedKind::Loopback, _)) => self.actual(name).is_some(),
            Some((WantedKind::Bond(_), _)) => true,
            Some((WantedKind::Vlan(_), parent)) => parent.as_ref().is_some_and(|parent| self.can_exist(parent)),
        }
    }

    fn machine(&mut self) {
        if self.network.hostname != self.wanted.hostname {
            self.change(Change::Hostname(self.wanted.hostname.clone()));
        }
        for (key, value) in self.network.sysctl_drift.clone() {
            self.change(Change::Sysctl { key, value });
        }
    }

    /// Whether an interface is ours, and stays.
    fn is_kept(&self, name: &str) -> bool {
        self.actual(name).is_some() && self.links.contains_key(name)
    }

    fn is_planned(&self, change: &Change) -> bool {
        self.plan.changes.contains(change)
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
