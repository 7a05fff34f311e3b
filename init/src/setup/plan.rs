//! The changes that lead from the network as it is to the one that is wanted, in order, and what cannot be had. Pure.
//!
//! Nothing that is right is touched: a link goes down only where the kernel insists (to become a member of a bond, or to
//! change a bond's mode). What conflicts is removed first, except an IPv4 address that only changes its prefix length.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use yoke_config::model::BondMode;
use yoke_config::value::{IfName, IpNet};

use super::table::{Change, Kind, Link, Network, route};
use super::wanted::{Wanted, WantedKind, WantedLink};

/// What to do, and what cannot be done: each a sentence that begins with the object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order in which to do them.
    pub changes: Vec<Change>,
    /// For the operator.
    pub problems: Vec<String>,
    /// Cards in use that are up and have no carrier. A problem only if they had time to find one, which is not ours to know.
    pub dark: BTreeSet<String>,
}

/// MTU of a bond that is told nothing.
const ETHERNET_MTU: u32 = 1500;

/// Plans. `driver_mtu` is what a card has when nobody says otherwise.
#[must_use]
pub fn plan(network: &Network, wanted: &Wanted, driver_mtu: &BTreeMap<String, u32>) -> Plan {
    let mut planner = Planner { network, wanted, driver_mtu, links: links(network, wanted), plan: Plan::default() };
    planner.machine();
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
    planner.look_for_carriers();
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

/// fe80::/10: the kernel makes one for each interface.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
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

    /// Names with VLANs after what they lie on.
    fn bottom_up(&self) -> Vec<String> {
        let mut names: Vec<String> = self.links.keys().cloned().collect();
        names.sort_by_key(|name| self.links[name].parent.is_some());
        names
    }

    fn machine(&mut self) {
        if self.network.hostname != self.wanted.hostname {
            self.change(Change::Hostname(self.wanted.hostname.clone()));
        }
        for (key, value) in self.network.sysctl_drift.clone() {
            self.change(Change::Sysctl { key, value });
        }
    }

    fn remove_routes_and_neighbours(&mut self) {
        for (to, via) in &self.network.routes {
            let wanted = self.wanted.routes.get(to);
            // One whose gateways cannot be reached goes too: it would only hide a route of higher distance.
            if wanted.is_none_or(|gateways| gateways.iter().all(|gateway| self.unreachable(*gateway).is_some())) {
                self.change(Change::DeleteRoute { to: *to, via: via.clone() });
            }
        }
        for (link, address) in self.network.neighbours.keys() {
            let wanted = self.wanted.neighbours.contains_key(address) && self.interface_of(*address) == Some(link);
            if self.is_kept(link) && !wanted {
                self.change(Change::DeleteNeighbour { link: link.clone(), address: *address });
            }
        }
    }

    /// Whether an interface is ours, and stays.
    fn is_kept(&self, name: &str) -> bool {
        self.actual(name).is_some() && self.links.contains_key(name)
    }

    /// Addresses on `name` that should go; `late` those that go after their successor has come.
    fn surplus(&self, name: &str, late: bool) -> Vec<IpNet> {
        let wanted = self.wanted.addresses.get(name);
        let is_wanted = |net: &IpNet| wanted.is_some_and(|wanted| wanted.contains_key(net));
        let has_successor =
            |net: &IpNet| net.addr.is_ipv4() && wanted.is_some_and(|w| w.keys().any(|other| other.addr == net.addr));
        let addresses = self.network.addresses.get(name).into_iter().flatten().map(|address| address.net);
        addresses
            .filter(|net| !is_wanted(net) && !is_link_local(net.addr) && !self.wanted.foreign.contains(&net.addr))
            .filter(|net| !(name == "lo" && net.addr.is_loopback()))
            .filter(|net| has_successor(net) == late)
            .collect()
    }

    fn remove_addresses(&mut self) {
        let ours: Vec<&String> = self.network.addresses.keys().filter(|name| self.is_kept(name)).collect();
        for link in ours {
            for net in self.surplus(link, false) {
                self.change(Change::DeleteAddress { link: link.clone(), net });
            }
        }
    }

    /// VLANs and bonds that nobody wants any more, and those whose name lies.
    fn remove_links(&mut self) {
        for (name, link) in self.network.links.iter().rev() {
            let parsed = name.parse::<IfName>().ok();
            let nameable = parsed.as_ref().is_some_and(|n| n.is_bond() || n.vlan().is_some());
            let made = matches!(link.kind, Kind::Bond(_) | Kind::Vlan(_));
            if nameable && made && (!self.links.contains_key(name) || !is_ours(name, link)) {
                self.change(Change::DeleteLink { link: name.clone() });
            }
        }
    }

    fn make_links(&mut self) {
        for name in self.bottom_up() {
            let wanted = self.links[&name].clone();
            match (wanted.kind, self.actual(&name).map(|link| link.kind)) {
                (WantedKind::Card | WantedKind::Loopback, Some(_)) | (WantedKind::Vlan(_), Some(_)) => {}
                (WantedKind::Card | WantedKind::Loopback, None) => {
                    self.problem(format!("interface {name}: there is no such network card"));
                }
                (WantedKind::Bond(mode), None) => self.change(Change::AddBond { link: name, mode }),
                (WantedKind::Bond(mode), Some(kind)) => self.bond_mode(&name, mode, kind),
                (WantedKind::Vlan(id), None) => {
                    let parent = wanted.parent.unwrap_or_default();
                    if self.can_exist(&parent) {
                        self.change(Change::AddVlan { link: name, parent, id });
                    } else {
                        self.problem(format!("interface {name}: interface {parent} is missing"));
                    }
                }
            }
        }
    }

    /// The kernel changes the mode of a bond only while it is down and empty.
    fn bond_mode(&mut self, name: &str, mode: BondMode, actual: Kind) {
        if actual == Kind::Bond(Some(mode)) {
            return;
        }
        for (member, link) in &self.network.links {
            if link.master.as_deref() == Some(name) {
                self.change(Change::Release { link: member.clone() });
            }
        }
        if self.actual(name).is_some_and(|link| link.up) {
            self.change(Change::Down { link: name.to_owned() });
        }
        self.change(Change::BondMode { link: name.to_owned(), mode });
    }

    fn is_planned(&self, change: &Change) -> bool {
        self.plan.changes.contains(change)
    }

    /// Whether the kernel takes an interface down because it, or everybody, is taken out of its bond.
    fn leaves_bond(&self, name: &str) -> bool {
        let bond = self.actual(name).and_then(|link| link.master.clone());
        self.is_planned(&Change::Release { link: name.to_owned() })
            || bond.is_some_and(|bond| self.is_planned(&Change::DeleteLink { link: bond }))
    }

    fn members(&mut self) {
        for (name, wanted) in self.links.clone() {
            let Some(link) = self.actual(&name).cloned() else { continue };
            let released = self.is_planned(&Change::Release { link: name.clone() });
            let in_right_bond = link.master == wanted.master && !released;
            if in_right_bond {
                continue;
            }
            if let Some(bond) = &link.master
                && !released
            {
                // Out of a bond of ours only; what somebody else has put together stays.
                let deleted = self.is_planned(&Change::DeleteLink { link: bond.clone() });
                if self.actual(bond).is_none() {
                    continue;
                }
                if !deleted {
                    self.change(Change::Release { link: name.clone() });
                }
            }
            if let Some(bond) = wanted.master {
                // A member that leaves its bond comes out down; any other must be taken down.
                if link.up && link.master.is_none() {
                    self.change(Change::Down { link: name.clone() });
                }
                self.change(Change::Enslave { link: name, bond });
            }
        }
    }

    /// The MTU an interface is to have in the end; `None`: as it is.
    fn mtu_of(&self, name: &str) -> Option<u32> {
        let wanted = self.links.get(name)?;
        let fallback = || match wanted.kind {
            WantedKind::Card => self.driver_mtu.get(name).copied(),
            WantedKind::Bond(_) => Some(ETHERNET_MTU),
            WantedKind::Vlan(_) => {
                let parent = wanted.parent.as_deref()?;
                self.mtu_of(parent).or_else(|| Some(self.actual(parent)?.mtu))
            }
            WantedKind::Loopback => None,
        };
        wanted.mtu.or_else(fallback)
    }

    fn mtus(&mut self) {
        for name in self.bottom_up() {
            let wanted = self.links[&name].clone();
            let Some(mtu) = self.mtu_of(&name) else { continue };
            let (is, max) = match self.actual(&name) {
                Some(link) => (link.mtu, link.mtu_max),
                // It begins with what its parent has, or with Ethernet's.
                None if self.can_exist(&name) => (wanted.parent.as_deref().map_or(ETHERNET_MTU, |p| self.mtu_is(p)), 0),
                None => continue,
            };
            // A member has the MTU of its bond.
            if is == mtu || wanted.master.is_some() {
                continue;
            }
            if max != 0 && mtu > max {
                self.problem(format!("interface {name}: mtu {mtu} is more than the {max} its driver can do"));
            } else {
                self.change(Change::Mtu { link: name, mtu });
            }
        }
    }

    fn mtu_is(&self, name: &str) -> u32 {
        self.actual(name).map_or(ETHERNET_MTU, |link| link.mtu)
    }

    fn add_addresses(&mut self) {
        for (link, wanted) in &self.wanted.addresses {
            if !self.can_exist(link) {
                // The missing interface is a problem already, except where virtual addresses only would go to it.
                continue;
            }
            for (net, vip) in wanted {
                let actual = self.network.addresses.get(link).into_iter().flatten().find(|a| a.net == *net);
                match actual {
                    None => self.change(Change::AddAddress { link: link.clone(), net: *net, vip: *vip }),
                    Some(address) if address.duplicate => {
                        self.problem(format!("interface {link}: {net}: another host has this address"));
                    }
                    Some(_) => {}
                }
            }
            if self.actual(link).is_some() {
                for net in self.surplus(link, true) {
                    self.change(Change::DeleteAddress { link: link.clone(), net });
                }
            }
        }
    }

    fn up_and_down(&mut self) {
        for name in self.bottom_up() {
            let wanted = self.links[&name].clone();
            if !self.can_exist(&name) {
                continue;
            }
            let taken_down = self.is_planned(&Change::Down { link: name.clone() }) || self.leaves_bond(&name);
            let is_up = self.actual(&name).is_some_and(|link| link.up) && !taken_down;
            // Becoming a member brings a link up.
            let is_up =
                is_up || self.plan.changes.iter().any(|c| matches!(c, Change::Enslave { link, .. } if *link == name));
            let parent_up = wanted.parent.as_ref().is_none_or(|p| self.links.get(p).is_none_or(|parent| parent.up));
            match (wanted.up, is_up) {
                (true, false) if parent_up => self.change(Change::Up { link: name }),
                (true, _) if !parent_up => {
                    let parent = wanted.parent.unwrap_or_default();
                    self.problem(format!("interface {name}: does not work while interface {parent} is shut down"));
                }
                (false, true) => self.change(Change::Down { link: name }),
                (true, _) | (false, false) => {}
            }
        }
    }

    fn look_for_carriers(&mut self) {
        let parents = self.wanted.links.values().filter_map(|link| link.parent.as_ref());
        let used: BTreeSet<&String> = self.wanted.links.keys().chain(parents).collect();
        for name in used {
            let dark = |link: &Link| link.kind == Kind::Card && link.up && !link.carrier;
            if self.actual(name).is_some_and(dark) {
                self.plan.dark.insert(name.clone());
            }
        }
    }

    /// The interface whose own prefix holds `address`.
    fn interface_of(&self, address: IpAddr) -> Option<&str> {
        let own =
            self.wanted.addresses.iter().flat_map(|(link, nets)| nets.iter().map(move |(net, vip)| (link, net, vip)));
        let holding = own.filter(|(_, net, vip)| !**vip && net.contains(address));
        holding.max_by_key(|(_, net, _)| net.prefix_len).map(|(link, ..)| link.as_str())
    }

    /// Why nothing can be sent to `address`.
    fn unreachable(&self, address: IpAddr) -> Option<String> {
        match self.interface_of(address) {
            None => Some(format!("{address} is in the prefix of no interface")),
            Some(link) if !self.can_exist(link) => Some(format!("interface {link} is missing")),
            Some(link) if self.links.get(link).is_some_and(|wanted| !wanted.up) => {
                Some(format!("interface {link} is shut down"))
            }
            Some(_) => None,
        }
    }

    fn add_routes(&mut self) {
        for (to, gateways) in &self.wanted.routes {
            let mut via = BTreeSet::new();
            for gateway in gateways {
                match self.unreachable(*gateway) {
                    None => {
                        via.insert(*gateway);
                    }
                    Some(why) => self.problem(format!("{}: {why}", route(to, &BTreeSet::from([*gateway])))),
                }
            }
            let actual = self.network.routes.get(to);
            if !via.is_empty() && actual != Some(&via) {
                self.change(Change::Route { to: *to, via, replace: actual.is_some() });
            }
        }
    }

    fn add_neighbours(&mut self) {
        for (address, mac) in &self.wanted.neighbours {
            let link = self.interface_of(*address).map(str::to_owned);
            match (self.unreachable(*address), link) {
                (None, Some(link)) => {
                    let key = (link, *address);
                    if self.network.neighbours.get(&key) != Some(mac) {
                        self.change(Change::Neighbour { link: key.0, address: *address, mac: *mac });
                    }
                }
                (Some(why), _) => self.problem(format!("arp {address}: {why}")),
                (None, None) => {}
            }
        }
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
