//! The frames that tell neighbours where an address now lives: gratuitous ARP and unsolicited Neighbor Advertisement, and
//! the VRRP advertisement that bears a virtual MAC, as bytes. When to send them is the router's ([`Effect::Announce`](crate::Effect::Announce)); sending is the daemon's.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Endpoints;
use crate::packet::{HOP_LIMIT, ICMPV6, PROTOCOL, TRAFFIC_CLASS, icmpv6_checksum, ipv4_checksum};

/// A hardware address: the interface's own, or the virtual router's ([`Vrid::mac`](crate::Vrid::mac)).
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
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

/// Hardware addresses of 224.0.0.18 and ff02::12 (RFC 1112 §6.4, RFC 2464 §7).
const GROUP_MAC_V4: Mac = [0x01, 0x00, 0x5e, 0, 0, 18];
const GROUP_MAC_V6: Mac = [0x33, 0x33, 0, 0, 0, 0x12];

/// A VRRP message to the group of its family as a whole Ethernet frame from `mac` (RFC 9568 §7.2: "the virtual router MAC
/// address as the source MAC address"). Overwrites `frame`. A message longer than an IP packet is cut to nothing: `frame`
/// is empty then.
pub fn advertisement(endpoints: &Endpoints, mac: Mac, message: &[u8], frame: &mut Vec<u8>) {
    frame.clear();
    match *endpoints {
        Endpoints::V4 { source, destination } => {
            let Ok(total) = u16::try_from(message.len() + 20) else { return };
            let length = total.to_be_bytes();
            // Five words of header, no identification, no fragments, checksum to come.
            let mut header = [0; 20];
            let mut writer = Writer(&mut header);
            writer.put(&[0x45, TRAFFIC_CLASS, length[0], length[1], 0, 0, 0, 0, HOP_LIMIT, PROTOCOL, 0, 0]);
            writer.put(&source.octets());
            writer.put(&destination.octets());
            let sum = ipv4_checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            for part in [&GROUP_MAC_V4[..], &mac, &ETHERTYPE_IPV4, &header, message] {
                frame.extend_from_slice(part);
            }
        }
        Endpoints::V6 { source, destination } => {
            let Ok(length) = u16::try_from(message.len()) else { return };
            let length = length.to_be_bytes();
            let class = [0x60 | TRAFFIC_CLASS >> 4, TRAFFIC_CLASS << 4, 0, 0];
            for part in [
                &GROUP_MAC_V6[..],
                &mac,
                &ETHERTYPE_IPV6,
                &class,
                &length,
                &[PROTOCOL, HOP_LIMIT],
                &source.octets(),
                &destination.octets(),
                message,
            ] {
                frame.extend_from_slice(part);
            }
        }
    }
}

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
