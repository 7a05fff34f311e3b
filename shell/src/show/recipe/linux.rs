//! A recipe in commands of Linux: sysctl, iproute2, nft. Pure.
//!
//! The order is the point. Kernel settings come before any address: a server that has the virtual address and still answers ARP for it
//! takes the traffic of everybody. Virtual addresses of mode dr are on `lo`; those of mode tun on the interface that unwraps, because the
//! kernel takes nothing from clients elsewhere that comes in by an interface without an IPv4 address, unless rp_filter is off.

use std::collections::{BTreeMap, BTreeSet};

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
    if needs.vips().iter().any(|vip| vip.addr.is_ipv4()) {
        commands.push(QUIET_ARP.to_owned());
    }
    let devices = devices(needs);
    for (Device { module, name, kind, options }, vips) in &devices {
        commands.push(format!("modprobe {module}"));
        commands.push(format!("ip link add {name} type {kind} local {}{options}", needs.address));
        // Requests come out of the tunnel from clients whose way back is another interface.
        let mut of_ipv4 = vips.iter().filter(|vip| vip.addr.is_ipv4()).peekable();
        if of_ipv4.peek().is_some() {
            let all_off = if of_ipv4.any(IpNet::is_host) { "" } else { "net.ipv4.conf.all.rp_filter=0 " };
            let loose = if all_off.is_empty() { 2 } else { 0 };
            commands.push(format!("sysctl -w {all_off}net.ipv4.conf.{name}.rp_filter={loose}"));
        }
        commands.push(format!("ip link set {name} up"));
    }
    let ports: BTreeSet<u16> = needs.tunnels.keys().filter_map(|(_, tunnel)| gue(*tunnel)).collect();
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
    let places = devices.iter().map(|(device, vips)| (device.name, vips)).chain([("lo", &needs.direct)]);
    for (place, vips) in places {
        commands.extend(vips.iter().map(|vip| match vip.is_host() {
            true => format!("ip address add {vip} dev {place}"),
            false => format!("ip route add local {vip} dev lo"),
        }));
    }
    commands.extend(needs.gateway.map(|gateway| format!("ip route replace default via {gateway}")));
    Recipe { commands, remarks: needs.remarks.iter().cloned().collect() }
}

/// Each device once, and what comes out of it.
fn devices(needs: &Needs) -> BTreeMap<Device, BTreeSet<IpNet>> {
    let summed = needs.tunnels.keys().any(|(_, tunnel)| *tunnel == Tunnel::Gre(Checksum::Full));
    let mut devices: BTreeMap<Device, BTreeSet<IpNet>> = BTreeMap::new();
    for (&(inner_v6, tunnel), vips) in &needs.tunnels {
        let mut device = match (tunnel, needs.address.is_ipv6(), inner_v6) {
            (Tunnel::Gre(_), false, _) => device("ip_gre", "lvs-gre", "gre"),
            (Tunnel::Gre(_), true, _) => device("ip6_gre", "lvs-gre6", "ip6gre"),
            // What arrives in GUE is handed on as if it had come without.
            (_, false, false) => device("ipip", "lvs-ipip", "ipip"),
            (_, false, true) => device("sit", "lvs-sit", "sit"),
            (_, true, _) => device("ip6_tunnel", "lvs-ip6tnl", "ip6tnl mode any"),
        };
        if matches!(tunnel, Tunnel::Gre(_)) && summed {
            device.options = " icsum";
        }
        devices.entry(device).or_default().extend(vips);
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
