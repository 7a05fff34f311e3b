//! Rules between objects: addresses, names, parents.

mod health;
mod pool;
mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::{Config, ConnectionSync, ETHERNET_MTU, Interface, Privilege, Transport, Virtual};
use crate::tree::Tree;
use crate::value::{IfName, IpNet, Name, Value};

use super::virtual_server::is_unicast;
use super::{Findings, Line, vrrp};

pub(super) fn check(config: &Config, tree: &Tree, out: &mut Findings) {
    people(config, out);
    interfaces(config, out);
    addresses(config, out);
    routes(config, out);
    marks(config, out);
    pool::check(config, out);
    pool::inside(config, out);
    services(config, out);
    vips(config, out);
    health::check(config, out);
    reach::check(config, out);
    vrrp::check(config, out);
    connection_sync(config, out);
    names(config, tree, out);
}

/// Accounts the system has for itself.
const RESERVED_USERS: [&str; 4] = ["root", "daemon", "nobody", "sshd"];

fn people(config: &Config, out: &mut Findings) {
    for name in config.users.keys() {
        let text = name.as_str();
        if RESERVED_USERS.contains(&text) {
            out.problem(format!("username {name}: the system has this account, choose another name"));
        }
        // Rules of passwd(5); a number would be taken for a user id.
        if text.len() > 32 || !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            out.problem(format!(
                "username {name}: a login name begins with a letter, at most 32 letters, choose another"
            ));
        }
    }
    if !config.users.is_empty()
        && config.enable_secret.is_none()
        && !config.users.values().any(|user| user.privilege == Privilege::Admin)
    {
        out.warning("username: nobody has privilege 15 and there is no enable secret, nobody could configure this box");
    }
}

fn interfaces(config: &Config, out: &mut Findings) {
    let mut bond_of: BTreeMap<&IfName, &IfName> = BTreeMap::new();
    for (name, interface) in &config.interfaces {
        let object = format!("interface {name}");
        if name.is_lo() && interface.shutdown {
            out.problem(format!("{object}: routed virtual addresses live here, it cannot be shut down"));
        }
        if !name.is_bond() && (!interface.members.is_empty() || interface.bond_mode.is_some()) {
            out.problem(format!("{object}: member and bond-mode are for bondN, remove them"));
        }
        if name.is_bond() && interface.members.is_empty() {
            out.warning(format!("{object}: the bond has no member and carries nothing"));
        }
        for member in interface.members.iter().filter(|_| name.is_bond()) {
            if !member.is_port() {
                out.problem(format!("{object}: member {member} is no Ethernet port, use ethN"));
            }
            if let Some(other) = bond_of.insert(member, name) {
                out.problem(format!("{object}: {member} is a member of {other} too, remove it from one"));
            }
        }
        mtu(config, name, interface, &object, out);
        if let Some((parent, _)) = name.vlan()
            && parent.is_bond()
            && !config.interfaces.contains_key(&parent)
        {
            out.warning(format!("{object}: interface {parent} is not configured"));
        }
    }
    for (name, interface) in &config.interfaces {
        let parent = name.vlan().map(|(parent, _)| parent);
        if let Some(bond) = bond_of.get(parent.as_ref().unwrap_or(name)) {
            if parent.is_some() {
                out.problem(format!("interface {name}: its port is a member of {bond}, put the VLAN on {bond}"));
            } else if !interface.addresses.is_empty() {
                out.problem(format!("interface {name}: it is a member of {bond}, put the address on {bond}"));
            }
            if parent.is_none() && interface.mtu.is_some() {
                out.warning(format!("interface {name}: it is a member of {bond} and has its mtu, put mtu on {bond}"));
            }
        }
    }
}

/// RFC 8200 §5.
const IPV6_MTU_MIN: u16 = 1280;

fn mtu(config: &Config, name: &IfName, interface: &Interface, object: &str, out: &mut Findings) {
    let Some(mtu) = interface.mtu else { return };
    if mtu < IPV6_MTU_MIN && interface.addresses.iter().any(|net| net.addr.is_ipv6()) {
        out.problem(format!("{object}: mtu {mtu} is too small for IPv6, use at least {IPV6_MTU_MIN}"));
    }
    if let Some((parent, _)) = name.vlan() {
        let carried = config.interfaces.get(&parent).and_then(|parent| parent.mtu).unwrap_or(ETHERNET_MTU);
        if mtu > carried {
            out.problem(format!("{object}: mtu {mtu} is above the {carried} of interface {parent}, raise that first"));
        }
    }
}

/// Addresses of the box itself.
fn addresses(config: &Config, out: &mut Findings) {
    let mut owner: BTreeMap<IpAddr, &IfName> = BTreeMap::new();
    let mut networks: Vec<(IpNet, &IfName)> = Vec::new();
    for (name, interface) in &config.interfaces {
        for net in &interface.addresses {
            let object = format!("interface {name}: {net}");
            if let Some(other) = owner.insert(net.addr, name) {
                let place = if other == name { "here twice".to_owned() } else { format!("on interface {other} too") };
                out.problem(format!("{object}: the address is {place}, use another"));
            }
            if !is_unicast(net.addr) || is_network_or_broadcast(*net) {
                out.problem(format!("{object}: this is no address of a host, use another in {}", net.network()));
            }
            if !net.is_host() {
                networks.push((net.network(), name));
            }
        }
    }
    networks.sort();
    networks.dedup();
    // Two prefixes are apart or one holds the other; sorted, the one that holds comes first.
    let mut cover: Option<(IpNet, &IfName)> = None;
    for (net, name) in networks {
        match cover {
            Some((outer, on)) if outer.overlaps(&net) => {
                if on != name {
                    out.warning(format!("interface {name}: {net} overlaps {outer} of interface {on}"));
                }
            }
            _ => cover = Some((net, name)),
        }
    }
}

fn is_network_or_broadcast(net: IpNet) -> bool {
    let IpAddr::V4(address) = net.addr else { return false };
    let host_bits = 32 - u32::from(net.prefix_len);
    if host_bits < 2 {
        return false;
    }
    let host = address.to_bits() & ((1u32.checked_shl(host_bits).unwrap_or(0)).wrapping_sub(1));
    host == 0 || host == (1u32.checked_shl(host_bits).unwrap_or(0)).wrapping_sub(1)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

/// Whether a neighbour at `address` can be reached without a gateway.
fn is_connected(config: &Config, address: IpAddr) -> bool {
    config.interfaces.values().flat_map(|interface| &interface.addresses).any(|net| net.contains(address))
}

fn routes(config: &Config, out: &mut Findings) {
    for route in &config.routes {
        let family = if route.prefix.addr.is_ipv4() { "ip" } else { "ipv6" };
        let object = format!("{family} route {} {}", route.prefix, route.gateway);
        if !is_unicast(route.gateway) || route.gateway.is_loopback() {
            out.problem(format!("{object}: the gateway is no address of a host, use another"));
        } else if is_link_local(route.gateway) {
            out.problem(format!("{object}: a link-local gateway is not available, use a global address"));
        } else if config.interfaces.values().flat_map(|i| &i.addresses).any(|net| net.addr == route.gateway) {
            out.problem(format!("{object}: the gateway is this box itself, use another"));
        } else if !is_connected(config, route.gateway) {
            out.warning(format!("{object}: the gateway is in no interface prefix"));
        }
    }
}

fn marks(config: &Config, out: &mut Findings) {
    let mut seen = BTreeMap::new();
    for mark in &config.firewall_marks {
        let what = format!("{} {} {}", mark.prefix, mark.protocol.word(), mark.ports);
        if let Some(other) = seen.insert((mark.prefix, mark.protocol, mark.ports), mark.mark) {
            out.problem(format!("firewall-mark {}: {what} has mark {other} already, remove one", mark.mark));
        }
    }
    let marks: BTreeSet<u32> = config.firewall_marks.iter().map(|line| line.mark).collect();
    for mark in marks.iter().filter(|mark| Config::PROBE_MARKS.contains(mark)) {
        out.problem(format!("firewall-mark {mark}: {}", health::reserved()));
    }
}

/// Two virtual servers for one packet, and marks nobody sets.
fn services(config: &Config, out: &mut Findings) {
    let mut seen: BTreeMap<Virtual, &Name> = BTreeMap::new();
    for (name, server) in &config.virtual_servers {
        let object = format!("virtual-server {name}");
        if let Some(other) = seen.insert(server.virtual_, name) {
            out.problem(format!("{object}: virtual-server {other} has the same virtual, use another address or port"));
        }
        if let Virtual::Fwmark { mark, .. } = server.virtual_
            && Config::PROBE_MARKS.contains(&mark)
        {
            out.problem(format!("{object}: {}", health::reserved()));
        }
        if let Virtual::Fwmark { mark, ipv6 } = server.virtual_
            && !config.firewall_marks.iter().any(|m| m.mark == mark && m.prefix.addr.is_ipv6() == ipv6)
        {
            out.warning(format!("{object}: no firewall-mark line sets mark {mark}"));
        }
        pool::used_by(config, server, &object, out);
    }
}

/// Virtual addresses and who answers for them.
fn vips(config: &Config, out: &mut Findings) {
    let own: BTreeSet<IpAddr> =
        config.interfaces.values().flat_map(|interface| &interface.addresses).map(|net| net.addr).collect();
    let of_groups: BTreeSet<IpAddr> =
        config.vrrp_groups.values().flat_map(|group| &group.addresses).map(|a| a.net.addr).collect();
    bindings(config, &own, out);
    let mut told = BTreeSet::new();
    for (name, server) in &config.virtual_servers {
        let Virtual::Address(address, protocol, port) = server.virtual_ else { continue };
        let object = format!("virtual-server {name}");
        let takes_ssh = protocol == Transport::Tcp && (port == 0 || port == config.ssh.port);
        if own.contains(&address) && takes_ssh && !config.ssh.shutdown {
            out.warning(format!("{object}: it takes the SSH port of this box at {address}"));
        }
        let answered = own.contains(&address) || of_groups.contains(&address) || is_connected(config, address);
        if !answered && told.insert(address) {
            out.warning(format!(
                "{object}: {address} is in no interface prefix, nobody answers ARP for it: it is routed to this box, or lost"
            ));
        }
    }
}

/// `redundancy` of virtual servers and pools: an address moves with one group, and an interface's own does not.
fn bindings(config: &Config, own: &BTreeSet<IpAddr>, out: &mut Findings) {
    let mut owners: BTreeMap<IpAddr, &Name> = BTreeMap::new();
    for (name, group) in &config.vrrp_groups {
        owners.extend(group.addresses.iter().map(|address| (address.net.addr, name)));
    }
    let servers = config.virtual_servers.iter().filter_map(|(name, server)| {
        Some((format!("virtual-server {name}"), server.redundancy.as_ref()?, config.addresses_of(server)))
    });
    let pools = config.pool_groups.iter().filter_map(|(name, group)| {
        Some((format!("ip nat pool {name}"), group, config.nat_pools.get(name)?.addresses().collect()))
    });
    for (object, group, addresses) in servers.chain(pools) {
        if !config.vrrp_groups.contains_key(group) {
            out.warning(format!("{object}: vrrp group {group} does not exist, nobody answers for it"));
        }
        for address in addresses {
            if own.contains(&address) {
                out.problem(format!("{object}: redundancy {group}: {address} is an interface's own and does not move"));
            }
            if let Some(other) = owners.insert(address, group).filter(|other| *other != group) {
                out.problem(format!("{object}: redundancy {group}: {address} moves with vrrp group {other} already"));
            }
        }
    }
}

/// `connection-sync`: what it needs, and who could talk to it.
fn connection_sync(config: &Config, out: &mut Findings) {
    let (sync, object) = (&config.connection_sync, "connection-sync");
    if *sync == ConnectionSync::default() {
        return;
    }
    match (&sync.interface, &sync.group) {
        (None, _) => out.warning(format!("{object}: it does not run, use: connection-sync interface IFNAME")),
        (_, None) => out.warning(format!("{object}: it does not run, use: connection-sync vrrp GROUP")),
        (Some(interface), Some(_)) => {
            if let Some(name) = config.mixes_families() {
                out.warning(format!(
                    "{object}: virtual-server {name} has real servers of both address families, beside which the kernel \
                     does not run it, use: one virtual server for each family, or no connection-sync"
                ));
            }
            let addresses = config.interfaces.get(interface).map_or(&[][..], |interface| &interface.addresses);
            if config.interfaces.contains_key(interface)
                && !addresses.iter().any(|net| net.addr.is_ipv4() == sync.multicast.is_ipv4())
            {
                out.warning(format!("{object}: interface {interface} has no address to send from"));
            }
            if config.sync_peers().is_empty() {
                out.warning(format!(
                    "{object}: connections of nobody are taken on {interface}, use: connection-sync peer ADDR"
                ));
            }
        }
    }
    if !sync.multicast.is_multicast() {
        out.problem(format!("{object}: group {} is no multicast group, use one such as 224.0.0.81", sync.multicast));
    }
    for peer in &sync.peers {
        if peer.is_ipv4() != sync.multicast.is_ipv4() {
            out.problem(format!("{object}: peer {peer} and group {} are of two families, use one", sync.multicast));
        }
    }
}

/// Names that point at nothing, and names that could not be typed.
fn names(config: &Config, tree: &Tree, out: &mut Findings) {
    for name in config.monitors.keys().filter(|name| name.as_str() == "none") {
        out.problem(format!("health-monitor {name}: the word has a meaning in health-check, choose another name"));
    }
    for name in config.virtual_servers.keys().filter(|name| ["detail", "setup"].contains(&name.as_str())) {
        out.problem(format!("virtual-server {name}: the word has a meaning in show, choose another name"));
    }
    let mut missing = BTreeSet::new();
    for (key, entry) in tree.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("virtual-server", _) => {
                let inner = entry
                    .below()
                    .lines()
                    .flat_map(|(key, entry)| std::iter::once((key, entry)).chain(entry.below().lines()));
                for (inner, entry) in inner.filter(|(inner, _)| inner.kind() == "health-check") {
                    if let [Value::Name(monitor)] = entry.values()
                        && config.monitor(monitor).is_none()
                    {
                        missing.insert(format!("{key}: {inner}: health-monitor {monitor} does not exist"));
                    }
                }
            }
            ("vrrp group", _) => {
                for (inner, _) in entry.below().lines() {
                    match (inner.kind().as_str(), inner.args().next()) {
                        ("track virtual-server", Some(Value::Name(name)))
                            if !config.virtual_servers.contains_key(name) =>
                        {
                            missing.insert(format!("{key}: virtual-server {name} does not exist"));
                        }
                        ("track interface", Some(Value::If(name))) if !config.interfaces.contains_key(name) => {
                            missing.insert(format!("{key}: interface {name} is not configured"));
                        }
                        _ => {}
                    }
                }
            }
            ("vrrp sync-group", _) => {
                for (inner, _) in entry.below().lines() {
                    if let ("member", Some(Value::Name(name))) = (inner.kind().as_str(), inner.args().next())
                        && !config.vrrp_groups.contains_key(name)
                    {
                        missing.insert(format!("{key}: vrrp group {name} does not exist"));
                    }
                }
            }
            ("connection-sync vrrp", [Value::Name(name)]) if !config.vrrp_groups.contains_key(name) => {
                missing.insert(format!("{key}: vrrp group {name} does not exist"));
            }
            ("connection-sync interface", [Value::If(name)]) if !config.interfaces.contains_key(name) => {
                missing.insert(format!("{key}: interface {name} is not configured"));
            }
            _ => {}
        }
    }
    missing.into_iter().for_each(|text| out.warning(text));
}
