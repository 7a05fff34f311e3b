//! The interfaces and addresses of this box as the kernel tells them. Pure: messages in, answers out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use vrrp::Family;
use vrrp::announce::Mac;
use yoke_config::value::IpNet;

/// What the kernel remembers of who added an address (IFA_PROTO): VRRP's protocol number, for what this daemon added.
pub(crate) const OURS: AddressProtocol = AddressProtocol::Other(vrrp::packet::PROTOCOL);

/// All interfaces, by index.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Links(BTreeMap<u32, Link>);

/// One interface.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    /// Up, and with a carrier.
    pub(crate) up: bool,
    /// Somebody took it up, whatever its carrier is.
    pub(crate) enabled: bool,
    pub(crate) mac: Option<Mac>,
    /// In the kernel's order: what was there first comes first.
    pub(crate) addresses: Vec<Address>,
}

/// One address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) net: IpNet,
    /// This daemon added it, in this life or an earlier one.
    pub(crate) ours: bool,
    /// Another address of its subnet is there.
    secondary: bool,
    /// Not tentative, not a duplicate.
    usable: bool,
}

/// What a message changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// An interface: its state, its name, or its existence.
    Link(u32),
    /// An address of an interface.
    Address(u32, IpAddr),
}

impl Links {
    /// Takes a message in. `None` when it says nothing new.
    pub(crate) fn handle(&mut self, message: &RouteNetlinkMessage) -> Option<Changed> {
        match message {
            RouteNetlinkMessage::NewLink(message) => self.link(message),
            RouteNetlinkMessage::DelLink(message) => {
                let index = message.header.index;
                self.0.remove(&index).map(|_| Changed::Link(index))
            }
            RouteNetlinkMessage::NewAddress(message) => {
                let (link, address) = (self.0.get_mut(&message.header.index)?, address(message)?);
                match link.addresses.iter_mut().find(|known| known.net == address.net) {
                    Some(known) if *known == address => return None,
                    Some(known) => *known = address,
                    None => link.addresses.push(address),
                }
                Some(Changed::Address(message.header.index, address.net.addr))
            }
            RouteNetlinkMessage::DelAddress(message) => {
                let (link, address) = (self.0.get_mut(&message.header.index)?, address(message)?);
                link.addresses.retain(|known| known.net != address.net);
                Some(Changed::Address(message.header.index, address.net.addr))
            }
            _ => None,
        }
    }

    fn link(&mut self, message: &LinkMessage) -> Option<Changed> {
        let index = message.header.index;
        let flags = message.header.flags;
        let old = self.0.get(&index);
        let mut link = Link {
            up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::LowerUp),
            enabled: flags.contains(LinkFlags::Up),
            addresses: old.map(|old| old.addresses.clone()).unwrap_or_default(),
            ..Link::default()
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(bytes) => link.mac = bytes.as_slice().try_into().ok(),
                _ => {}
            }
        }
        // Messages of the wireless and bridge code come with less than all.
        if link.name.is_empty() {
            return None;
        }
        let new = old != Some(&link);
        self.0.insert(index, link);
        new.then_some(Changed::Link(index))
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Link> {
        self.0.get(&index)
    }

    pub(crate) fn index(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(_, link)| link.name == name).map(|(index, _)| *index)
    }

    /// Whether the interface of this name exists and has a carrier.
    pub(crate) fn is_up(&self, name: &str) -> bool {
        self.0.values().any(|link| link.name == name && link.up)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Link)> {
        self.0.iter().map(|(index, link)| (*index, link))
    }

    /// Where this address is.
    pub(crate) fn places(&self, address: IpAddr) -> Vec<(u32, IpNet)> {
        let on = |(index, link): (&u32, &Link)| {
            let nets: Vec<(u32, IpNet)> =
                link.addresses.iter().filter(|a| a.net.addr == address).map(|a| (*index, a.net)).collect();
            nets
        };
        self.0.iter().flat_map(on).collect()
    }

    /// Whether this daemon put exactly this address there.
    pub(crate) fn holds(&self, index: u32, net: IpNet) -> bool {
        self.get(index).is_some_and(|link| link.addresses.iter().any(|address| address.net == net && address.ours))
    }

    /// Whether exactly this address is there, whoever put it there.
    pub(crate) fn has(&self, index: u32, net: IpNet) -> bool {
        self.get(index).is_some_and(|link| link.addresses.iter().any(|address| address.net == net))
    }

    /// For tests: an interface that is up, with these addresses, all of this daemon.
    #[cfg(test)]
    pub(crate) fn set(&mut self, index: u32, name: &str, addresses: &[&str]) {
        let address = |text: &&str| Address { net: text.parse().unwrap(), ours: true, secondary: false, usable: true };
        let addresses = addresses.iter().map(address).collect();
        self.0.insert(
            index,
            Link { name: name.to_owned(), up: true, enabled: true, mac: Some([2, 0, 0, 0, 0, 1]), addresses },
        );
    }

    /// For tests: takes it up or down.
    #[cfg(test)]
    pub(crate) fn enable(&mut self, index: u32, enabled: bool) {
        let link = self.0.get_mut(&index).unwrap();
        (link.up, link.enabled) = (enabled, enabled);
    }

    /// The address to send advertisements from: `asked` for if it is there; else the primary IPv4 address, or the link-local IPv6
    /// address (RFC 9568 §5.1.1.1, §5.1.2.1). Never one that moves.
    pub(crate) fn source(
        &self,
        index: u32,
        family: Family,
        asked: Option<IpAddr>,
        moves: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let own = || {
            let addresses = self.get(index).into_iter().flat_map(|link| &link.addresses);
            addresses.filter(|a| a.usable && Family::from(a.net.addr) == family && !moves(a.net.addr))
        };
        if asked.is_some() {
            return own().map(|address| address.net.addr).find(|address| Some(*address) == asked);
        }
        let right = |address: &&Address| match address.net.addr {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        own().filter(right).min_by_key(|address| address.secondary).map(|address| address.net.addr)
    }
}

fn address(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut address, mut protocol, mut flags) = (None, None, None, AddressFlags::empty());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(it) => local = Some(*it),
            AddressAttribute::Address(it) => address = Some(*it),
            AddressAttribute::Protocol(it) => protocol = Some(*it),
            AddressAttribute::Flags(it) => flags = *it,
            _ => {}
        }
    }
    // IFA_ADDRESS is the far end of a point-to-point link; IPv6 says only that one.
    let net = IpNet::new(local.or(address)?, message.header.prefix_len)?;
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
    Some(Address {
        net,
        ours: protocol == Some(OURS),
        secondary: flags.contains(AddressFlags::Secondary),
        usable: !flags.intersects(unusable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, up: bool) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        if up {
            message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
        }
        message.attributes =
            vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1])];
        RouteNetlinkMessage::NewLink(message)
    }

    fn on(index: u32, net: &str, flags: AddressFlags, ours: bool) -> AddressMessage {
        let net: IpNet = net.parse().unwrap();
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.prefix_len = net.prefix_len;
        message.attributes = vec![AddressAttribute::Address(net.addr), AddressAttribute::Flags(flags)];
        message.attributes.extend(ours.then_some(AddressAttribute::Protocol(OURS)));
        message
    }

    fn new(index: u32, net: &str, flags: AddressFlags, ours: bool) -> RouteNetlinkMessage {
        RouteNetlinkMessage::NewAddress(on(index, net, flags, ours))
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_keeps_its_addresses_through_a_flap_and_loses_them_with_itself() {
        let mut links = Links::default();
        assert_eq!(links.handle(&link(3, "eth0", true)), Some(Changed::Link(3)));
        assert_eq!(links.handle(&link(3, "eth0", true)), None, "nothing new");
        let address = new(3, "10.0.0.2/24", AddressFlags::empty(), false);
        assert_eq!(links.handle(&address), Some(Changed::Address(3, at("10.0.0.2"))));
        assert_eq!(links.handle(&link(3, "eth0", false)), Some(Changed::Link(3)));
        assert!(!links.is_up("eth0") && links.places(at("10.0.0.2")).len() == 1);
        let RouteNetlinkMessage::NewLink(gone) = link(3, "eth0", false) else { panic!("a link") };
        links.handle(&RouteNetlinkMessage::DelLink(gone));
        assert_eq!(links, Links::default());
    }

    /// RFC 9568 §5.1.1.1: the primary address; and never a virtual one, whatever its place.
    #[test]
    fn the_source_is_the_first_address_that_stays() {
        let mut links = Links::default();
        links.handle(&link(3, "eth0", true));
        for (net, flags) in [
            ("10.0.0.100/24", AddressFlags::empty()),
            ("10.0.0.9/24", AddressFlags::Secondary),
            ("10.0.0.2/25", AddressFlags::empty()),
            ("2001:db8::2/64", AddressFlags::empty()),
            ("fe80::9/64", AddressFlags::Tentative),
            ("fe80::2/64", AddressFlags::empty()),
        ] {
            links.handle(&new(3, net, flags, false));
        }
        let moves = |address: IpAddr| address == at("10.0.0.100");
        assert_eq!(links.source(3, Family::V4, None, moves), Some(at("10.0.0.2")));
        assert_eq!(links.source(3, Family::V6, None, moves), Some(at("fe80::2")));
        assert_eq!(links.source(3, Family::V4, Some(at("10.0.0.9")), moves), Some(at("10.0.0.9")));
        assert_eq!(links.source(3, Family::V4, Some(at("10.0.0.77")), moves), None, "not there (yet)");
        assert_eq!(links.source(4, Family::V4, None, moves), None);
    }

    /// An address that somebody else put there is not taken for a group that is held.
    #[test]
    fn only_what_this_daemon_added_is_held() {
        let mut links = Links::default();
        links.handle(&link(3, "eth0", true));
        links.handle(&new(3, "10.0.0.100/24", AddressFlags::empty(), true));
        links.handle(&new(3, "10.0.0.101/24", AddressFlags::empty(), false));
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert!(links.holds(3, net("10.0.0.100/24")) && !links.holds(3, net("10.0.0.100/32")));
        assert!(!links.holds(3, net("10.0.0.101/24")) && !links.holds(4, net("10.0.0.100/24")));
        links.handle(&RouteNetlinkMessage::DelAddress(on(3, "10.0.0.100/24", AddressFlags::empty(), true)));
        assert!(!links.holds(3, net("10.0.0.100/24")));
    }
}
