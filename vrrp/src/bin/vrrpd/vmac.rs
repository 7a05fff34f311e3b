//! The virtual MAC (RFC 9568 §7.3): a macvlan beside the group's interface that has the addresses, answers for them and takes in what is
//! sent to them, and is up only while the group is active. Names, numbers and netlink messages; the worker does it.
//!
//! - *Bridge* mode. In private mode, which keepalived uses, the kernel gives a multicast frame whose source is the macvlan's own address
//!   to the macvlan alone: two active boxes would not hear each other on the interface, and a partition would not heal.
//! - Nothing is sent through it but answers. Advertisements and announcements leave the interface itself with the virtual MAC as their
//!   source, so that the first comes before the kernel was asked for anything; what is forwarded leaves with the interface's own, since the
//!   routes that come with the addresses have a worse metric than the interface's.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use vrrp::announce::Mac;
use vrrp::{Family, Vrid};

use crate::netlink::Request;

/// Settings below `net/FAMILY/conf/NAME` with which it answers rightly, whatever its interface has; each with its reason in words.
pub(crate) const SETTINGS: [(&str, &str, &str); 9] = [
    // It answers for what is on it, and not for the addresses of its interface.
    ("ipv4", "arp_ignore", "1"),
    ("ipv4", "arp_filter", "0"),
    ("ipv4", "arp_announce", "2"),
    // The way back leaves through the interface.
    ("ipv4", "rp_filter", "0"),
    ("ipv4", "send_redirects", "0"),
    // RFC 9568 §7.4: no interface identifier of the virtual MAC; 1 is none.
    ("ipv6", "addr_gen_mode", "1"),
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "autoconf", "0"),
    ("ipv6", "accept_dad", "0"),
];

/// One macvlan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vmac {
    /// `vrrp4-VRID-INDEX`, by the index of its interface: at most 15 characters.
    pub(crate) name: String,
    pub(crate) mac: Mac,
    pub(crate) parent: u32,
}

impl Vmac {
    pub(crate) fn new(family: Family, vrid: Vrid, parent: u32) -> Self {
        let number = match family {
            Family::V4 => 4,
            Family::V6 => 6,
        };
        Self { name: format!("vrrp{number}-{vrid}-{parent}"), mac: vrid.mac(family), parent }
    }

    /// Makes it, not up yet.
    pub(crate) fn make(&self) -> Request {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(self.name.clone()),
            LinkAttribute::Link(self.parent),
            LinkAttribute::Address(self.mac.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::MacVlan),
                LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Bridge)])),
            ]),
        ];
        (RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }
}

/// Whether this is one of ours, of whatever group.
pub(crate) fn is_one(name: &str, mac: Option<Mac>) -> bool {
    let named = ["vrrp4-", "vrrp6-"].iter().any(|start| name.starts_with(start));
    named && mac.is_some_and(|mac| matches!(mac, [0, 0, 0x5e, 0, 1 | 2, _]))
}

/// Removes one, with all that is on it.
pub(crate) fn unmake(name: &str) -> Request {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    (RouteNetlinkMessage::DelLink(message), 0)
}

/// Takes one up or down.
pub(crate) fn switch(index: u32, up: bool) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    message.header.change_mask = LinkFlags::Up;
    (RouteNetlinkMessage::SetLink(message), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_are_known_again() {
        let longest = Vmac::new(Family::V6, Vrid::new(255).unwrap(), 99_999);
        assert_eq!((longest.name.as_str(), longest.name.len()), ("vrrp6-255-99999", 15));
        assert!(is_one(&longest.name, Some(longest.mac)));
        assert!(!is_one(&longest.name, Some([2, 0, 0x5e, 0, 1, 51])), "somebody else's");
        assert!(!is_one("vrrp.51", Some([0, 0, 0x5e, 0, 1, 51])), "keepalived's");
        assert!(!is_one("vrrp4-51-2", None));
    }
}
