//! The way from this box to a real server, as far as the configuration knows it: which interface, how large a packet, and what a
//! tunnel takes of that. What routers on the way allow is not known here.

use std::net::IpAddr;

use crate::value::IfName;

use super::{Checksum, Config, Interface, Tunnel};

/// Bytes of an IP packet on Ethernet, unless an interface is told otherwise.
pub const ETHERNET_MTU: u16 = 1500;

/// Outer IP headers, without options.
const IPV4_HEADER: u16 = 20;
const IPV6_HEADER: u16 = 40;
const UDP_HEADER: u16 = 8;
/// draft-ietf-intarea-gue, version 0.
const GUE_HEADER: u16 = 4;
/// Private flags and the remote checksum option (kernel: `GUE_LEN_PRIV` + `GUE_PLEN_REMCSUM`).
const GUE_REMCSUM: u16 = 4 + 4;
/// RFC 2784, and its optional checksum.
const GRE_HEADER: u16 = 4;
const GRE_CHECKSUM: u16 = 4;

impl Tunnel {
    /// Bytes it puts before a packet on its way to a real server, which is an IPv6 or an IPv4 address.
    #[must_use]
    pub fn overhead(self, ipv6: bool) -> u16 {
        let outer = if ipv6 { IPV6_HEADER } else { IPV4_HEADER };
        let between = match self {
            Self::Ipip => 0,
            Self::Gue(_, Checksum::Remote) => UDP_HEADER + GUE_HEADER + GUE_REMCSUM,
            Self::Gue(..) => UDP_HEADER + GUE_HEADER,
            Self::Gre(Checksum::None) => GRE_HEADER,
            Self::Gre(_) => GRE_HEADER + GRE_CHECKSUM,
        };
        outer + between
    }
}

impl Config {
    /// The interface a packet to `address` leaves by: that of its network, or of the gateway of its longest route. `None` when the
    /// configuration does not say.
    #[must_use]
    pub fn interface_towards(&self, address: IpAddr) -> Option<&IfName> {
        self.interface_of(address).or_else(|| {
            let routes = self.routes.iter().filter(|route| route.prefix.contains(address));
            let best = routes.max_by_key(|route| (route.prefix.prefix_len, std::cmp::Reverse(route.distance)))?;
            self.interface_of(best.gateway)
        })
    }

    /// Whether no router is on the way to `address`: it is in a prefix of an interface, and in no longer one of a route.
    #[must_use]
    pub fn is_neighbour(&self, address: IpAddr) -> bool {
        let up = self.interfaces.values().filter(|interface| !interface.shutdown);
        let near = up.flat_map(|interface| &interface.addresses).filter(|net| net.contains(address));
        let far = self.routes.iter().map(|route| &route.prefix).filter(|net| net.contains(address));
        near.map(|net| net.prefix_len).max().is_some_and(|near| far.map(|net| net.prefix_len).max() <= Some(near))
    }

    /// The interface with the longest prefix that `address` is in: where its neighbours are.
    #[must_use]
    pub fn interface_of(&self, address: IpAddr) -> Option<&IfName> {
        let nets = self.interfaces.iter().filter(|(_, interface)| !interface.shutdown);
        let nets = nets.flat_map(|(name, interface)| interface.addresses.iter().map(move |net| (name, net)));
        let best = nets.filter(|(_, net)| net.contains(address)).max_by_key(|(_, net)| net.prefix_len)?;
        Some(best.0)
    }

    /// Bytes of the largest IP packet that leaves by this interface. A VLAN has that of what it lies on.
    #[must_use]
    pub fn mtu_of(&self, name: &IfName) -> u16 {
        let configured = |name: &IfName| self.interfaces.get(name).and_then(|interface: &Interface| interface.mtu);
        let below = || name.vlan().and_then(|(parent, _)| configured(&parent));
        configured(name).or_else(below).unwrap_or(ETHERNET_MTU)
    }

    /// The same, towards a real server.
    #[must_use]
    pub fn mtu_towards(&self, address: IpAddr) -> u16 {
        self.interface_towards(address).map_or(ETHERNET_MTU, |name| self.mtu_of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::load;

    fn config(text: &str) -> Config {
        let (tree, rejected) = load(text);
        assert!(rejected.is_empty(), "{rejected:?}");
        Config::try_from(&tree).unwrap()
    }

    #[test]
    fn the_way_is_the_longest_prefix() {
        let config = config(
            "ip route 0.0.0.0/0 203.0.113.1\nip route 10.8.0.0/16 10.0.20.1\nip route 10.8.1.0/24 10.0.20.1 20\ninterface eth0\n ip address 203.0.113.2/24\n mtu 1400\n\
             interface eth1\n mtu 9000\ninterface eth1.20\n ip address 10.0.20.2/24\n",
        );
        let way = |address: &str| {
            let address = address.parse().unwrap();
            (config.interface_towards(address).map(ToString::to_string), config.mtu_towards(address))
        };
        assert_eq!(way("10.0.20.9"), (Some("eth1.20".into()), 9000));
        assert_eq!(way("10.8.1.1"), (Some("eth1.20".into()), 9000));
        assert_eq!(way("192.0.2.1"), (Some("eth0".into()), 1400));
        assert_eq!(way("2001:db8::1"), (None, ETHERNET_MTU));
    }

    #[test]
    fn tunnels_cost_what_their_headers_have() {
        let cost = |tunnel: Tunnel| (tunnel.overhead(false), tunnel.overhead(true));
        assert_eq!(cost(Tunnel::Ipip), (20, 40));
        assert_eq!(cost(Tunnel::Gue(6080, Checksum::Full)), (32, 52));
        assert_eq!(cost(Tunnel::Gue(6080, Checksum::Remote)), (40, 60));
        assert_eq!(cost(Tunnel::Gre(Checksum::None)), (24, 44));
        assert_eq!(cost(Tunnel::Gre(Checksum::Full)), (28, 48));
    }
}
