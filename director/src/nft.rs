//! Our nft table, `inet yoke`: who may reach SSH, firewall marks, and source addresses of mode fullnat and of hosts inside. Replaced as a
//! whole in one transaction; nothing outside it is touched.
//!
//! [`Rules`] is what a configuration asks of it, as data; [`mod@render`] makes the script, [`mod@program`] hands it to nft, [`mod@generation`] tells when
//! somebody else has used nft. Rules for the box itself come after IPVS, rules for connections see first packets only: what is balanced passes none,
//! but for `firewall-mark`.
//!
//! # Mode fullnat
//! IPVS translates the destination (its masquerading), netfilter the source: with `net.ipv4.vs.conntrack` IPVS leaves a connection its entry of
//! connection tracking, in which the client still talks to the virtual address. IPVS itself marks nothing, so the first packet of a connection
//! gets a connection mark where it comes in, found by virtual address, protocol and port in one lookup; where it goes out, that mark says which
//! source address it gets. Both chains are nat chains, which see no other packet. The rules are as many for one virtual server as for a thousand. Adding a real server or changing a weight is not
//! seen here at all, unless real servers of one virtual server differ in whether they are fullnat.
//!
//! # Hosts inside
//! `ip nat inside source` is for connections that real servers begin themselves. What IPVS forwards is not touched by it: without
//! `net.ipv4.vs.conntrack` IPVS takes its packets out of connection tracking, with it they belong to the client's connection, whose first packet
//! is the client's.
//!
//! # A takeover
//! A segment of a connection that this box does not know (yet) would be answered by a reset, and end it. So at addresses that have just come, or
//! are to come, segments without a SYN that IPVS has not taken are dropped: the client repeats them, and by then the connection is known. Only
//! where connections are shared with the peer, and only for some seconds.
//!
//! # Why a program and text
//! nft applies a script in one transaction, as netlink would. Its language is the one that every description of the kernel's tables uses, so
//! that what we ask for can be read, compared with what the kernel lists, and tried by hand; and which of the kernel's expressions a rule
//! becomes is the audited program's to know, and not ours. The JSON form says the same in five times the words through the same program.
//! The price is one process for each change of the rules, some milliseconds.

mod generation;
mod program;
mod render;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use yoke_config::model::{Config, Mode, NatPool, SourceNat, Transport, Virtual, VirtualServer};
use yoke_config::value::{IfName, IpNet, Name, Ports};

use crate::roles::{self, Roles};
use crate::services;

pub(crate) use generation::{Generation, generation};
pub(crate) use program::{Failure, apply, counter, list};
pub(crate) use render::render;

/// The table's name, as nft takes it.
pub(crate) const TABLE: &str = "inet yoke";

/// What is asked of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// `ip ssh access-class`; empty: everybody.
    ssh_clients: Vec<IpNet>,
    ssh_port: u16,
    /// Where SSH answers, if there is an access-class: port 22 of a virtual address is the virtual server's.
    ssh_addresses: BTreeSet<IpAddr>,
    /// `firewall-mark`.
    marks: BTreeMap<(IpNet, Transport, Ports), u32>,
    /// `connection-sync`: who may give this box connections.
    sync: Option<Sync>,
    /// Addresses that move, where connections may be known to the other box only.
    quiet: BTreeSet<IpAddr>,
    /// `ip nat pool`: nothing but replies gets in there.
    pools: BTreeMap<Name, NatPool>,
    /// Pools of a configuration that is going: the box has their addresses until its network is set up anew.
    leaving: BTreeSet<NatPool>,
    /// `ip nat inside source`, but for those whose pool does not exist.
    inside: BTreeMap<IpNet, SourceNat>,
    /// Virtual servers of mode fullnat, and those that would be taken for one of them.
    servers: BTreeMap<Virtual, Treatment>,
}

/// Whose word the kernel's sync daemon hears.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sync {
    interface: IfName,
    multicast: IpAddr,
    port: u16,
    /// Empty: anybody there.
    peers: BTreeSet<IpAddr>,
}

/// What happens to the source addresses of a virtual server's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Treatment {
    /// Nothing, though a wider virtual server would have it otherwise.
    Keep,
    /// All are translated.
    Translate(SourceNat),
    /// Those to these real servers are translated (true), those to the others, which IPVS masquerades too, are not.
    Some(SourceNat, BTreeMap<(IpAddr, u16), bool>),
}

impl From<&Config> for Rules {
    fn from(config: &Config) -> Self {
        let guarded = !config.ssh.access_class.is_empty();
        Self {
            ssh_clients: config.ssh.access_class.clone(),
            ssh_port: config.ssh.port,
            ssh_addresses: if guarded { services::interface_addresses(config) } else { BTreeSet::new() },
            marks: config.firewall_marks.iter().map(|m| ((m.prefix, m.protocol, m.ports), m.mark)).collect(),
            sync: sync(config),
            quiet: BTreeSet::new(),
            pools: config.nat_pools.clone(),
            leaving: BTreeSet::new(),
            inside: inside(config),
            servers: servers(config),
        }
    }
}

impl Rules {
    /// What is asked for by what is in force, while groups have these roles.
    pub(crate) fn new(config: &Config, roles: &Roles) -> Self {
        let mut rules = Self::from(roles::in_force(config, roles).as_ref());
        if rules.sync.is_some() {
            let away = config.vrrp_groups.keys().filter(|name| !roles.is_active(name) || roles.is_settling(name));
            rules.quiet = away.flat_map(|name| config.addresses_of_group(name)).map(|a| a.net.addr).collect();
        }
        rules
    }

    /// Whether there is no table.
    pub(crate) fn is_empty(&self) -> bool {
        self.ssh_clients.is_empty()
            && self.sync.is_none()
            && self.quiet.is_empty()
            && self.marks.is_empty()
            && self.pools.is_empty()
            && self.leaving.is_empty()
            && !self.translates()
    }

    /// Whether there is a nat chain, so that the kernel tracks connections, those of IPVS or only others.
    pub(crate) fn translates(&self) -> bool {
        self.needs_conntrack() || !self.inside.is_empty()
    }

    /// Whether connections of IPVS have to be tracked: `net.ipv4.vs.conntrack`.
    pub(crate) fn needs_conntrack(&self) -> bool {
        self.servers.values().any(|treatment| !matches!(treatment, Treatment::Keep))
    }

    /// These rules, together with what `others` has for virtual servers and marks that are not here: in effect while IPVS changes from what
    /// belongs to those to what belongs to these, so that no packet of either finds itself without.
    pub(crate) fn joined(&self, others: &Self) -> Self {
        let mut both = self.clone();
        for (virtual_, theirs) in &others.servers {
            let ours = both.servers.get(virtual_);
            if matches!(ours, None | Some(Treatment::Keep)) && !matches!(theirs, Treatment::Keep) {
                both.servers.insert(*virtual_, theirs.clone());
            }
        }
        for (what, mark) in &others.marks {
            both.marks.entry(*what).or_insert(*mark);
        }
        for (name, pool) in &others.pools {
            both.pools.entry(name.clone()).or_insert(*pool);
        }
        both.guarding(others)
    }

    /// These rules, with the addresses of `others`' pools guarded as well: whoever lets go of a pool has its addresses for a moment longer.
    pub(crate) fn guarding(mut self, others: &Self) -> Self {
        let pools = others.pools.values().filter(|pool| !self.pools.values().any(|ours| ours == *pool));
        self.leaving.extend(pools.copied());
        self
    }

    /// Every range of addresses that nothing but replies gets in at.
    fn guarded(&self) -> impl Iterator<Item = &NatPool> {
        self.pools.values().chain(&self.leaving)
    }

    /// The source addresses in use.
    fn translations(&self) -> BTreeSet<&SourceNat> {
        self.of_servers().into_iter().chain(self.inside.values()).collect()
    }

    /// Those of virtual servers.
    fn of_servers(&self) -> BTreeSet<&SourceNat> {
        let used = self.servers.values().filter_map(|treatment| match treatment {
            Treatment::Keep => None,
            Treatment::Translate(nat) | Treatment::Some(nat, _) => Some(nat),
        });
        used.collect()
    }
}

fn sync(config: &Config) -> Option<Sync> {
    let sync = &config.connection_sync;
    let (interface, _) = (sync.interface.clone()?, sync.group.as_ref()?);
    Some(Sync {
        interface,
        multicast: sync.multicast,
        port: sync.port,
        peers: config.sync_peers().into_iter().collect(),
    })
}

fn inside(config: &Config) -> BTreeMap<IpNet, SourceNat> {
    let exists = |to: &SourceNat| match to {
        SourceNat::Interface => true,
        SourceNat::Pool(name) => config.nat_pools.contains_key(name),
    };
    let lines = config.nat_inside.iter().filter(|(_, to)| exists(to));
    lines.map(|(prefix, to)| (prefix.network(), to.clone())).collect()
}

/// Whether IPVS is given this real server of mode fullnat: one without source addresses would be left without an answer.
pub(crate) fn has_source(config: &Config, server: &VirtualServer) -> bool {
    match &server.source_nat {
        SourceNat::Interface => true,
        SourceNat::Pool(name) => config.nat_pools.contains_key(name),
    }
}

fn servers(config: &Config) -> BTreeMap<Virtual, Treatment> {
    let mut servers: BTreeMap<Virtual, Treatment> = BTreeMap::new();
    let in_service = config.virtual_servers.values().filter(|server| !server.shutdown);
    for server in in_service {
        servers.insert(server.virtual_, treatment(config, server));
    }
    // A packet belongs to a mark before it belongs to an address, and to a port before it belongs to any port. So a virtual server that
    // leaves addresses alone is named where a wider one does not.
    let wide = |servers: &BTreeMap<Virtual, Treatment>, virtual_: &Virtual| match *virtual_ {
        Virtual::Address(address, protocol, port) if port != 0 => servers
            .get(&Virtual::Address(address, protocol, 0))
            .is_some_and(|treatment| !matches!(treatment, Treatment::Keep)),
        Virtual::Address(..) => false,
        Virtual::Fwmark { ipv6, .. } => servers.iter().any(|(other, treatment)| {
            other.address().is_some_and(|a| a.is_ipv6() == ipv6) && *treatment != Treatment::Keep
        }),
    };
    let keep: BTreeSet<Virtual> = servers
        .iter()
        .filter(|(virtual_, treatment)| !matches!(treatment, Treatment::Keep) || wide(&servers, virtual_))
        .map(|(virtual_, _)| *virtual_)
        .collect();
    servers.retain(|virtual_, _| keep.contains(virtual_));
    servers
}

fn treatment(config: &Config, server: &VirtualServer) -> Treatment {
    let in_service = server.real_servers.iter().filter(|(_, real)| !real.shutdown).map(|(key, real)| (*key, real.mode));
    // It may be needed at any moment, and then at once.
    let sorry = server.sorry_server.map(|sorry| ((sorry.address, sorry.port), sorry.mode));
    let all: Vec<((IpAddr, u16), Mode)> = in_service.chain(sorry).collect();
    let some =
        if all.is_empty() { server.mode == Mode::Fullnat } else { all.iter().any(|(_, mode)| *mode == Mode::Fullnat) };
    if !some || !has_source(config, server) {
        return Treatment::Keep;
    }
    let nat = server.source_nat.clone();
    if all.iter().all(|(_, mode)| *mode == Mode::Fullnat) {
        return Treatment::Translate(nat);
    }
    let masqueraded = all.into_iter().filter(|(_, mode)| matches!(mode, Mode::Nat | Mode::Fullnat));
    Treatment::Some(nat, masqueraded.map(|(key, mode)| (key, mode == Mode::Fullnat)).collect())
}
