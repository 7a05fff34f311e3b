//! `ip nat pool` and who uses one. Its addresses are this box's alone: everything but replies to it is dropped there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::model::{Config, Mode, NatPool, SourceNat, Virtual, VirtualServer};
use crate::value::IpNet;

use super::super::Findings;
use super::super::virtual_server::is_unicast;
use super::{is_connected, is_link_local};

pub(super) fn check(config: &Config, out: &mut Findings) {
    let taken = taken(config);
    for (name, pool) in &config.nat_pools {
        let object = format!("ip nat pool {name}");
        let NatPool { first, last } = *pool;
        if first.is_ipv4() != last.is_ipv4() {
            out.problem(format!("{object}: {first} and {last} are of two families, use one"));
        } else if last < first {
            out.problem(format!("{object}: the last address is before the first, use: {last} {first}"));
        } else if pool.count() > NatPool::MAX {
            let (count, most) = (pool.count(), NatPool::MAX);
            out.problem(format!("{object}: {count} addresses are too many, use at most {most}"));
        }
        if [first, last].iter().any(|end| !is_unicast(*end) || end.is_loopback() || is_link_local(*end)) {
            out.problem(format!("{object}: only addresses of hosts can be used, choose others"));
        }
        for (address, whose) in taken.iter().filter(|(address, _)| pool.contains(**address)) {
            out.problem(format!("{object}: it holds {address}, {whose}, choose other addresses"));
        }
        if let Some(lost) = [first, last].into_iter().find(|end| !has_place(config, *end)) {
            out.warning(format!(
                "{object}: {lost} is in no interface prefix, real servers need a route to it through this box"
            ));
        }
    }
}

/// `ip nat inside source` and the pool it names.
pub(super) fn inside(config: &Config, out: &mut Findings) {
    for (prefix, to) in &config.nat_inside {
        let SourceNat::Pool(name) = to else { continue };
        let object = format!("ip nat inside source {prefix}");
        match config.nat_pools.get(name) {
            None => out.warning(format!("{object}: ip nat pool {name} does not exist")),
            Some(pool) if pool.first.is_ipv6() != prefix.addr.is_ipv6() => {
                let family = if prefix.addr.is_ipv6() { "IPv6" } else { "IPv4" };
                out.problem(format!("{object}: the hosts are {family}, ip nat pool {name} is not, use another pool"));
            }
            Some(_) => {}
        }
    }
}

/// Whether neighbours find the address without a route of theirs.
fn has_place(config: &Config, address: IpAddr) -> bool {
    let of_groups = config.vrrp_groups.values().flat_map(|group| &group.addresses);
    is_connected(config, address) || of_groups.into_iter().any(|owned| owned.net.addr == address)
}

/// Addresses that mean something else already, and what. A vrrp group may own a pool's: that is how a pair shares them.
fn taken(config: &Config) -> BTreeMap<IpAddr, String> {
    let mut taken = BTreeMap::new();
    for (name, server) in &config.virtual_servers {
        for (address, _) in server.real_servers.keys() {
            taken.insert(*address, format!("a real server of virtual-server {name}"));
        }
    }
    for route in &config.routes {
        taken.insert(route.gateway, "the gateway of a route".to_owned());
    }
    for mark in config.firewall_marks.iter().filter(|mark| mark.prefix.is_host()) {
        taken.insert(mark.prefix.addr, format!("the destination of firewall-mark {}", mark.mark));
    }
    for (name, server) in &config.virtual_servers {
        if let Virtual::Address(address, ..) = server.virtual_ {
            taken.insert(address, format!("the address of virtual-server {name}"));
        }
    }
    for (name, interface) in &config.interfaces {
        for net in &interface.addresses {
            for end in ends(*net) {
                taken.insert(end, format!("no host's address in {}", net.network()));
            }
            taken.insert(net.addr, format!("the address of interface {name}"));
        }
    }
    taken
}

/// The network's own address and its broadcast address, where there are such.
fn ends(net: IpNet) -> Vec<IpAddr> {
    let IpAddr::V4(network) = net.network().addr else { return Vec::new() };
    match u32::MAX.checked_shr(u32::from(net.prefix_len)) {
        Some(hosts) if hosts > 1 => vec![network.into(), Ipv4Addr::from_bits(network.to_bits() | hosts).into()],
        _ => Vec::new(),
    }
}

/// A virtual server and the pool it names.
pub(super) fn used_by(config: &Config, server: &VirtualServer, object: &str, out: &mut Findings) {
    let SourceNat::Pool(name) = &server.source_nat else { return };
    let ipv6 = server.virtual_.is_ipv6();
    match config.nat_pools.get(name) {
        None => out.warning(format!("{object}: ip nat pool {name} does not exist")),
        Some(pool) if server.uses(Mode::Fullnat) && pool.first.is_ipv6() != ipv6 => {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            out.problem(format!(
                "{object}: the virtual server is {family}, ip nat pool {name} is not, use another pool"
            ));
        }
        Some(_) => {}
    }
}
