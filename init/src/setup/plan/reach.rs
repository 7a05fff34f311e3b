//! Addresses, routes and neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use yoke_config::value::IpNet;

use super::super::table::{Address, Change, route};
use super::{ANOTHER_HOST, IS_MISSING, IS_SHUT_DOWN, NO_PREFIX, Planner};

impl Planner<'_> {
    pub(super) fn remove_routes_and_neighbours(&mut self) {
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

    pub(super) fn remove_addresses(&mut self) {
        let ours: Vec<&String> = self.network.addresses.keys().filter(|name| self.is_kept(name)).collect();
        for link in ours {
            for net in self.surplus(link, false) {
                self.change(Change::DeleteAddress { link: link.clone(), net });
            }
        }
    }

    pub(super) fn add_addresses(&mut self) {
        for (link, wanted) in &self.wanted.addresses {
            if !self.can_exist(link) {
                // The missing interface is a problem already, except where virtual addresses only would go to it.
                continue;
            }
            let actual: BTreeMap<IpNet, &Address> =
                self.network.addresses.get(link).into_iter().flatten().map(|address| (address.net, address)).collect();
            for (net, vip) in wanted {
                match actual.get(net) {
                    None => self.change(Change::AddAddress { link: link.clone(), net: *net, vip: *vip }),
                    Some(address) if address.duplicate => {
                        // The kernel gives it up for good on one answer, which anybody on the link can forge, or a host that is gone by now
                        // gave. So it is asked about anew; what the second answer is will be known after this run.
                        self.change(Change::DeleteAddress { link: link.clone(), net: *net });
                        self.change(Change::AddAddress { link: link.clone(), net: *net, vip: *vip });
                        self.plan.lasting.push(format!("interface {link}: {net}: {ANOTHER_HOST}"));
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
            None => Some(format!("{address} {NO_PREFIX}")),
            Some(link) if !self.can_exist(link) => Some(format!("interface {link} {IS_MISSING}")),
            Some(link) if self.links.get(link).is_some_and(|wanted| !wanted.up) => {
                Some(format!("interface {link} {IS_SHUT_DOWN}"))
            }
            Some(_) => None,
        }
    }

    pub(super) fn add_routes(&mut self) {
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

    pub(super) fn add_neighbours(&mut self) {
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

/// fe80::/10: the kernel makes one for each interface.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}
