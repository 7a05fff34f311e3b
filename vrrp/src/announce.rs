//! The frames that tell neighbours where an address now lives: gratuitous ARP and unsolicited Neighbor Advertisement, as
//! bytes. When to send them is the router's ([`Effect::Announce`](crate::Effect::Announce)); sending is the daemon's.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::packet::{HOP_LIMIT, ICMPV6, icmpv6_checksum};

/// A hardware address: the interface's own, or the virtual router's ([`Vrid::mac`](crate::Vrid::mac)).
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// All nodes, ff02::1, and its hardware address (RFC 2464 §7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
/// Type 136, code 0 (RFC 4861 §4.4).
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// R, S and O are the upper three bits.
const FLAG_ROUTER: u8 = 0x80;
const FLAG_OVERRIDE: u8 = 0x20;
/// Target link-layer address, one unit of 8 bytes (RFC 4861 §4.6.1).
const OPTION_TARGET_LINK_LAYER: [u8; 2] = [2, 1];
/// Flags, reserved, target, option.
const ADVERTISEMENT_BYTES: u8 = 32;

/// Gratuitous ARP: a broadcast request in which sender and target are `address` (RFC 9568 §6.4.1, errata 7947 and 7949).
///
/// The target hardware address is all ones, as keepalived sends it: nobody reads it in a request, and some switches
/// drop the zeros.
#[must_use]
pub fn gratuitous_arp(address: Ipv4Addr, mac: Mac) -> [u8; 42] {
    let mut frame = [0; 42];
    let mut writer = Writer(&mut frame);
    writer.put(&BROADCAST);
    writer.put(&mac);
    writer.put(&ETHERTYPE_ARP);
    // Ethernet, IPv4, address lengths, request.
    writer.put(&[0, 1, 8, 0, 6, 4, 0, 1]);
    writer.put(&mac);
    writer.put(&address.octets());
    writer.put(&BROADCAST);
    writer.put(&address.octets());
    frame
}

/// Unsolicited Neighbor Advertisement to all nodes: R as given, S clear, O set, with the target's hardware address
/// (RFC 9568 §6.4.1: "Router Flag R set, Solicited Flag S clear, Override Flag O set").
#[must_use]
pub fn unsolicited_advertisement(address: Ipv6Addr, mac: Mac, router: bool) -> [u8; 86] {
    let mut frame = [0; 86];
    let mut writer = Writer(&mut frame);
    writer.put(&ALL_NODES_MAC);
    writer.put(&mac);
    writer.put(&ETHERTYPE_IPV6);
    writer.put(&[0x60, 0, 0, 0, 0, ADVERTISEMENT_BYTES, ICMPV6, HOP_LIMIT]);
    writer.put(&address.octets());
    writer.put(&ALL_NODES.octets());
    writer.put(&[NEIGHBOR_ADVERTISEMENT, 0, 0, 0]);
    writer.put(&[FLAG_OVERRIDE | if router { FLAG_ROUTER } else { 0 }, 0, 0, 0]);
    writer.put(&address.octets());
    writer.put(&OPTION_TARGET_LINK_LAYER);
    writer.put(&mac);
    let sum = icmpv6_checksum(&address, &ALL_NODES, &frame[54..]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Fills a frame from its start.
struct Writer<'f>(&'f mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (here, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        here.copy_from_slice(bytes);
        self.0 = rest;
    }
}
