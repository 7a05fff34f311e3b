//! Whether packets can get from this box to a real server the way its mode sends them. Only what is certain to fail is said.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::model::{Config, Mode, Tunnel, VirtualServer};
use crate::value::Value;

use super::super::Findings;
use super::is_connected;

/// RFC 8200 section 5. Through a tunnel over IPv6 that leaves less, IPVS sends nothing at all; a client of IPv6 does not send less than this,
/// whatever it is told (ip_vs_xmit.c).
const IPV6_MTU_MIN: u16 = 1280;

pub(super) fn check(config: &Config, out: &mut Findings) {
    let ours = ours(config);
    let mut wrapped = Wrapped::new();
    for (name, server) in &config.virtual_servers {
        let real = server.real_servers.iter().filter(|(_, real)| !real.shutdown);
        let real = real.map(|(&(address, port), real)| ("real-server", address, port, real.mode));
        let sorry = server.sorry_server.map(|sorry| ("sorry-server", sorry.address, sorry.port, sorry.mode));
        for (kind, address, port, mode) in real.chain(sorry) {
            let object = format!("virtual-server {name}: {kind} {address} {}", Value::Port(port));
            if let Some(whose) = ours.get(&address) {
                out.warning(format!("{object}: this is an address of this box, {whose}: nothing serves there"));
            } else if mode == Mode::Dr && !config.interfaces.is_empty() && !is_connected(config, address) {
                // A router would send it by its destination: back to this box.
                out.warning(format!(
                    "{object}: it is in no interface prefix, mode dr reaches neighbours only, use: mode tun"
                ));
            } else if mode == Mode::Tun {
                tunnel(config, server, address, &object, out);
                if let IpAddr::V4(address) = address
                    && !server.shutdown
                    && let Some(kind) = portless(server.tunnel)
                {
                    wrapped.entry(address).or_default().entry(kind).or_insert_with(|| format!("virtual-server {name}"));
                }
            }
        }
    }
    two_tunnels(&wrapped, out);
}

/// Of each real server of IPv4 by which of the tunnels without a port it is reached, and who does so first.
type Wrapped = BTreeMap<Ipv4Addr, BTreeMap<&'static str, String>>;

/// The word of a tunnel that has no port; of GUE none.
fn portless(tunnel: Tunnel) -> Option<&'static str> {
    match tunnel {
        Tunnel::Ipip => Some("ipip"),
        Tunnel::Gre(_) => Some("gre"),
        Tunnel::Gue(..) => None,
    }
}

/// IPVS finds the tunnel that an ICMP error is about by the real server's address and the tunnel's port, takes the first entry it has, and
/// leaves the error alone where that is of the other kind (ip_vs_find_tunnel and its caller ip_vs_in_icmp, ip_vs_core.c): which of the two kinds
/// hears of a narrow link is chance.
fn two_tunnels(wrapped: &Wrapped, out: &mut Findings) {
    for (address, kinds) in wrapped {
        if let [(one, by), (other, by_other)] = kinds.iter().collect::<Vec<_>>()[..] {
            out.warning(format!(
                "real-server {address}: tunnel {one} in {by} and {other} in {by_other}: behind a link narrower than the tunnel large packets of \
                 one of them are lost, use the same, or gue"
            ));
        }
    }
}

fn tunnel(config: &Config, server: &VirtualServer, address: IpAddr, object: &str, out: &mut Findings) {
    let needed = IPV6_MTU_MIN + server.tunnel.overhead(address.is_ipv6());
    if let Some(interface) = config.interface_towards(address)
        && (server.virtual_.is_ipv6() || address.is_ipv6())
        && config.mtu_of(interface) < needed
    {
        out.warning(format!(
            "{object}: interface {interface}: too narrow for a tunnel with IPv6, use: mtu {needed} or more"
        ));
    }
}

/// Addresses this box answers at, and what they are.
fn ours(config: &Config) -> BTreeMap<IpAddr, String> {
    let virtual_ = config.virtual_servers.iter();
    let virtual_ =
        virtual_.filter_map(|(name, server)| Some((server.virtual_.address()?, format!("virtual-server {name}"))));
    let fixed = config.interfaces.iter().flat_map(|(name, interface)| {
        interface.addresses.iter().map(move |net| (net.addr, format!("interface {name}")))
    });
    virtual_.chain(fixed).collect()
}
