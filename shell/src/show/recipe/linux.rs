//! A recipe in commands of Linux: sysctl, iproute2, nft. Pure.
//!
//! The order is the point. Kernel settings come before any address: a server that has the virtual address and still answers ARP for it
//! takes the traffic of everybody. All virtual addresses are on `lo`, whatever the mode: that is up, is no neighbour's, and a server may be
//! reached in several modes.

use std::collections::BTreeSet;

use yoke_config::model::{Checksum, Tunnel};
use yoke_config::value::IpNet;

use super::Recipe;
use super::needs::Needs;

/// Keeps a server from answering ARP for addresses that other interfaces hold, and from asking with them.
const QUIET_ARP: &str = "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2";

/// An interface that unwraps. It has a name and the server's own address, because the nameless ones that come with the modules (tunl0, gre0,
/// ip6tnl0) take no GRE with checksums and no IPv4 in IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Device {
    module: &'static str,
    name: &'static str,
    kind: &'static str,
    options: &'static str,
}

const fn device(module: &'static str, name: &'static str, kind: &'static str) -> Device {
    Device { module, name, kind, options: "" }
}

pub(super) fn recipe(needs: &Needs) -> Recipe {
    let mut commands = Vec::new();
    if needs.vips.iter().any(|vip| vip.addr.is_ipv4()) {
        commands.push(QUIET_ARP.to_owned());
    }
    for (device, inner_v4) in devices(needs) {
        let Device { module, name, kind, options } = device;
        commands.push(format!("modprobe {module}"));
        commands.push(format!("ip link add {name} type {kind} local {}{options}", needs.address));
        if inner_v4 {
            // Loose: requests come out of the tunnel from clients whose way back is another interface.
            commands.push(format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2"));
        }
        commands.push(format!("ip link set {name} up"));
    }
    let ports: BTreeSet<u16> = needs.tunnels.iter().filter_map(|(_, tunnel)| gue(*tunnel)).collect();
    if !ports.is_empty() {
        commands.push("modprobe fou".to_owned());
        let family = if needs.address.is_ipv6() { " -6" } else { "" };
        commands.extend(ports.iter().map(|port| format!("ip fou add port {port} gue{family}")));
    }
    if !needs.mss.is_empty() {
        commands.push("nft add table inet lvs".to_owned());
        commands.push("nft add chain inet lvs mss '{ type filter hook output priority mangle; }'".to_owned());
        for (vip, mss) in &needs.mss {
            let family = if vip.addr.is_ipv6() { "ip6" } else { "ip" };
            commands.push(format!(
                "nft add rule inet lvs mss {family} saddr {} tcp flags syn \\\n    tcp option maxseg size set {mss}",
                plain(*vip)
            ));
        }
    }
    commands.extend(needs.vips.iter().map(|vip| match vip.is_host() {
        true => format!("ip address add {vip} dev lo"),
        false => format!("ip route add local {vip} dev lo"),
    }));
    commands.extend(needs.gateway.map(|gateway| format!("ip route replace default via {gateway}")));
    Recipe { commands, remarks: needs.remarks.iter().cloned().collect() }
}

/// Each device once, and whether IPv4 comes out of it.
fn devices(needs: &Needs) -> Vec<(Device, bool)> {
    let mut devices: Vec<(Device, bool)> = Vec::new();
    for &(inner_v6, tunnel) in &needs.tunnels {
        let mut device = match (tunnel, needs.address.is_ipv6(), inner_v6) {
            (Tunnel::Gre(_), false, _) => device("ip_gre", "lvs-gre", "gre"),
            (Tunnel::Gre(_), true, _) => device("ip6_gre", "lvs-gre6", "ip6gre"),
            // What arrives in GUE is handed on as if it had come without.
            (_, false, false) => device("ipip", "lvs-ipip", "ipip"),
            (_, false, true) => device("sit", "lvs-sit", "sit"),
            (_, true, _) => device("ip6_tunnel", "lvs-ip6tnl", "ip6tnl mode any"),
        };
        let summed = needs.tunnels.iter().any(|(_, other)| *other == Tunnel::Gre(Checksum::Full));
        if matches!(tunnel, Tunnel::Gre(_)) && summed {
            device.options = " icsum";
        }
        match devices.iter_mut().find(|(known, _)| *known == device) {
            Some((_, inner_v4)) => *inner_v4 |= !inner_v6,
            None => devices.push((device, !inner_v6)),
        }
    }
    devices
}

fn gue(tunnel: Tunnel) -> Option<u16> {
    match tunnel {
        Tunnel::Gue(port, _) => Some(port),
        Tunnel::Ipip | Tunnel::Gre(_) => None,
    }
}

/// Without the length of a single address.
fn plain(net: IpNet) -> String {
    if net.is_host() { net.addr.to_string() } else { net.to_string() }
}
