//! What the configuration wants of the network. Pure.
//!
//! A virtual address goes where its clients look for it: as a host address on the interface whose prefix holds it, or on
//! `lo` when no prefix does, so that a route of somebody else can lead to it. One that is an address of the box anyway, or
//! that a vrrp group owns, is not ours to add. The addresses of `ip nat pool` are the same to the network: real servers
//! send their replies there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use yoke_config::model::{BondMode, Config, Virtual};
use yoke_config::value::{IfName, IpNet, MacAddr};

use super::table::{Destination, Rule};

/// What an interface is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedKind {
    /// It must exist: nobody can make a card.
    Card,
    /// Made when missing.
    Bond(BondMode),
    /// Made when missing, on the interface its name begins with.
    Vlan(u16),
    /// `lo`.
    Loopback,
}

/// An interface of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedLink {
    /// What it is.
    pub kind: WantedKind,
    /// Not `shutdown`.
    pub up: bool,
    /// `mtu`.
    pub mtu: Option<u32>,
    /// The bond that names it as a member.
    pub master: Option<String>,
    /// What a VLAN lies on.
    pub parent: Option<String>,
}

/// The network that the configuration describes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// By name. Cards that nobody mentions are not here; they come up without an address.
    pub links: BTreeMap<String, WantedLink>,
    /// By interface; whether the address is a virtual one.
    pub addresses: BTreeMap<String, BTreeMap<IpNet, bool>>,
    /// Of vrrp groups: neither added nor removed.
    pub foreign: BTreeSet<IpAddr>,
    /// With their gateways.
    pub routes: BTreeMap<Destination, BTreeSet<IpAddr>>,
    /// `arp`.
    pub neighbours: BTreeMap<IpAddr, MacAddr>,
    /// For marks of virtual servers in service.
    pub rules: BTreeSet<Rule>,
    /// `hostname`, or the one every box has.
    pub hostname: String,
}

impl From<&Config> for Wanted {
    fn from(config: &Config) -> Self {
        let mut wanted = Self {
            hostname: config.hostname().to_owned(),
            neighbours: config.neighbours.clone(),
            rules: rules(config),
            foreign: config.moving_addresses(),
            ..Self::default()
        };
        for (name, interface) in &config.interfaces {
            let link = wanted.link(name);
            link.up = !interface.shutdown;
            link.mtu = interface.mtu.map(u32::from);
            if name.is_bond() {
                link.kind = WantedKind::Bond(interface.bond_mode.unwrap_or(BondMode::ActiveBackup));
            }
            for member in &interface.members {
                wanted.link(member).master = Some(name.to_string());
            }
            let addresses = wanted.addresses.entry(name.to_string()).or_default();
            addresses.extend(interface.addresses.iter().map(|net| (*net, false)));
        }
        let own: BTreeSet<IpAddr> = wanted.addresses.values().flat_map(BTreeMap::keys).map(|net| net.addr).collect();
        let of_pools = config.nat_pools.values().flat_map(|pool| pool.addresses());
        let of_servers = config.virtual_servers.values().flat_map(|server| config.addresses_of(server));
        for address in of_servers.chain(of_pools) {
            if !own.contains(&address) && !wanted.foreign.contains(&address) {
                let place = config.place_of(address).map_or("lo", |name| name.as_str()).to_owned();
                wanted.addresses.entry(place).or_default().insert(IpNet::host(address), true);
            }
        }
        for route in &config.routes {
            let to = Destination { prefix: route.prefix, metric: u32::from(route.distance) };
            wanted.routes.entry(to).or_default().insert(route.gateway);
        }
        wanted
    }
}

impl Wanted {
    /// Families that need the table its rules lead to.
    #[must_use]
    pub fn takes_in(&self) -> BTreeSet<bool> {
        self.rules.iter().map(|rule| rule.ipv6()).collect()
    }

    /// The entry of an interface, made from its name when it is new.
    fn link(&mut self, name: &IfName) -> &mut WantedLink {
        let (kind, parent) = match name.vlan() {
            Some((parent, id)) => (WantedKind::Vlan(id), Some(parent.to_string())),
            None if name.is_bond() => (WantedKind::Bond(BondMode::ActiveBackup), None),
            None if name.is_lo() => (WantedKind::Loopback, None),
            None => (WantedKind::Card, None),
        };
        let fresh = WantedLink { kind, up: true, mtu: None, master: None, parent };
        self.links.entry(name.to_string()).or_insert(fresh)
    }
}

/// Rules for marks of virtual servers in service. A mark that names single addresses needs none: they are this box's, so that
/// neighbours find them and a ping is answered.
fn rules(config: &Config) -> BTreeSet<Rule> {
    let mut rules = BTreeSet::new();
    for server in config.virtual_servers.values().filter(|server| !server.shutdown) {
        let Virtual::Fwmark { mark, ipv6 } = server.virtual_ else { continue };
        let mut lines = config.firewall_marks.iter().filter(|m| m.mark == mark && m.prefix.addr.is_ipv6() == ipv6);
        if lines.any(|m| !m.prefix.is_host()) {
            rules.extend([Rule::Own { ipv6 }, Rule::Mark { ipv6, mark }]);
        }
    }
    rules
}
