//! Every reason to discard occurs, under its own counter and in the order of the checks. Captured packets, good and
//! derived, are in `tests/captures.rs`.

use std::time::Duration;

use super::*;
use crate::auth::{Freshness, Hmac, HmacConfig, Key, Password, Rollout};
use crate::{Family, Protocol, Vrid};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn wall() -> UnixTime {
    UnixTime::new(Duration::from_secs(1_700_000_000))
}

fn config(version: Version) -> Config {
    let addresses = AddressList::select(&[IpAddr::from([10, 0, 0, 100])], Family::V4).unwrap().advertised;
    Config::new(addresses, AdvertInterval::from_millis(version, 1000).unwrap())
}

fn gate(version: Version, auth: Auth) -> Gate {
    let protocol = match version {
        Version::V2 => Protocol::V2,
        Version::V3 => Protocol::V3(Family::V4),
    };
    Gate::new(Identity { protocol, vrid: Vrid::new(51).unwrap() }, &config(version), auth, Vec::new())
}

fn hmac(key: u8, id: u8) -> Auth {
    let key = Key::new(id, &[key; 32]).unwrap();
    let config = HmacConfig::new(&[key], id, Rollout::Enforce, Freshness::Window(5)).unwrap();
    Auth::Hmac(Box::new(Hmac::new(config)))
}

/// A packet as another box with the same configuration sends it.
fn sent(version: Version, auth: Auth, wall: UnixTime) -> Vec<u8> {
    let mut packet = Vec::new();
    let advert = advertisement(version);
    let mut bytes = Vec::new();
    gate(version, auth).emit(
        &advert,
        [Endpoints::multicast(PEER)],
        ChecksumForm::MessageOnly,
        wall,
        &mut packet,
        |_, packet| bytes = packet.to_vec(),
    );
    bytes
}

fn advertisement(version: Version) -> Advertisement {
    let config = config(version);
    Advertisement::new(Vrid::new(51).unwrap(), 200.into(), config.interval, config.addresses).unwrap()
}

/// The whole way in.
fn receive(gate: &mut Gate, packet: &[u8], endpoints: Endpoints, hop_limit: u8) -> Result<Received, Discard> {
    let message = screen(packet, &Carrier { endpoints, hop_limit })?;
    gate.admit(&message, &endpoints, wall())
}

/// Changes the bytes and makes the (message-only) checksum right again.
fn with(mut packet: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut packet);
    packet[6..8].fill(0);
    let total: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = !u16::try_from((total & 0xffff) + (total >> 16)).unwrap();
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// RFC 9568 §7.1, RFC 3768 §7.1: one packet for every reason.
#[test]
fn every_reason_to_discard_has_a_packet_and_a_counter() {
    let v3 = || sent(Version::V3, Auth::None, wall());
    let v2 = || sent(Version::V2, Auth::None, wall());
    let text = || Auth::Text(Password::new("1111"));
    let group = Endpoints::multicast(PEER);
    let signed = |key, id, seconds| sent(Version::V3, hmac(key, id), UnixTime::new(Duration::from_secs(seconds)));
    let now = wall().secs();
    // The trailer is outside of an IPv4 checksum.
    let malformed = {
        let mut packet = signed(1, 1, now);
        packet[14] = 1;
        packet
    };
    let mut bad_checksum = v3();
    bad_checksum[2] ^= 1;
    let unicast = Endpoints::unicast(PEER, OWN).unwrap();
    let stranger = Endpoints::multicast(IpAddr::from([10, 0, 0, 9]));
    let looped = Endpoints::multicast(OWN);
    let peered = || {
        let mut gate = gate(Version::V3, Auth::None);
        gate.set_peers(vec![PEER]);
        gate
    };
    let owned = || {
        let mut gate = gate(Version::V3, Auth::None);
        gate.set_source(Some(OWN));
        gate
    };
    let open = |version| gate(version, Auth::None);
    let first_ipv6 = {
        // fd00::1 in place of a link-local address.
        let endpoints = Endpoints::multicast("fe80::1".parse().unwrap());
        let list = AddressList::select(&["fe80::51".parse().unwrap()], Family::V6).unwrap().advertised;
        let interval = AdvertInterval::centis(100).unwrap();
        let config = Config::new(list.clone(), interval);
        let identity = Identity { protocol: Protocol::V3(Family::V6), vrid: Vrid::new(51).unwrap() };
        let mut packet = Vec::new();
        Advertisement::new(identity.vrid, 200.into(), interval, list).unwrap().emit(
            &endpoints,
            ChecksumForm::PseudoHeader,
            Seal::Open,
            &mut packet,
        );
        // One word less in the address is one more in the checksum: 0xfe80 - 0xfd80.
        packet[8] = 0xfd;
        packet[6] = packet[6].wrapping_add(1);
        (Gate::new(identity, &config, Auth::None, Vec::new()), packet, endpoints)
    };

    let cases = vec![
        (Discard::HopLimit, open(Version::V3), v3(), group),
        (Discard::Version, open(Version::V3), with(v3(), |packet| packet[0] = 0x41), group),
        (Discard::Version, open(Version::V3), v2(), group),
        (Discard::Version, open(Version::V2), v3(), group),
        (Discard::Type, open(Version::V3), with(v3(), |packet| packet[0] = 0x32), group),
        (Discard::Carp, open(Version::V2), [&[0x21, 51, 0, 7][..], &[0; 32]].concat(), group),
        (Discard::Truncated, open(Version::V3), v3()[..11].to_vec(), group),
        (Discard::Trailing, open(Version::V3), [v3(), vec![1]].concat(), group),
        (Discard::Checksum, open(Version::V3), bad_checksum, group),
        (Discard::Vrid, open(Version::V3), with(v3(), |packet| packet[1] = 52), group),
        (Discard::Vrid, open(Version::V3), with(v3(), |packet| packet[1] = 0), group),
        (Discard::Looped, owned(), v3(), looped),
        (Discard::Destination, open(Version::V3), v3(), unicast),
        (Discard::Sender, peered(), v3(), stranger),
        (Discard::AuthType, gate(Version::V2, text()), v2(), group),
        (Discard::AuthType, open(Version::V2), sent(Version::V2, text(), wall()), group),
        (
            Discard::AuthText,
            gate(Version::V2, Auth::Text(Password::new("2222"))),
            sent(Version::V2, text(), wall()),
            group,
        ),
        (Discard::HmacMissing, gate(Version::V3, hmac(1, 1)), v3(), group),
        (Discard::HmacMalformed, gate(Version::V3, hmac(1, 1)), malformed, group),
        (Discard::HmacStale, gate(Version::V3, hmac(1, 1)), signed(1, 1, now - 6), group),
        (Discard::HmacUnknownKey, gate(Version::V3, hmac(1, 1)), signed(1, 2, now), group),
        (Discard::HmacMismatch, gate(Version::V3, hmac(1, 1)), signed(2, 1, now), group),
        (
            Discard::NoAddresses,
            open(Version::V3),
            with(v3(), |packet| {
                packet[3] = 0;
                packet.truncate(8);
            }),
            group,
        ),
        (Discard::ZeroInterval, open(Version::V3), with(v3(), |packet| packet[5] = 0), group),
        (Discard::NotLinkLocal, first_ipv6.0, first_ipv6.1, first_ipv6.2),
        (Discard::Interval, open(Version::V2), with(v2(), |packet| packet[5] = 2), group),
    ];
    let mut seen = vec![Discard::HmacReplay];
    for (expected, mut gate, packet, endpoints) in cases {
        let hop_limit = if expected == Discard::HopLimit { 254 } else { 255 };
        assert_eq!(receive(&mut gate, &packet, endpoints, hop_limit), Err(expected));
        seen.push(expected);
    }
    let (mut replayed, packet) = (gate(Version::V3, hmac(1, 1)), signed(1, 1, now));
    assert!(receive(&mut replayed, &packet, group, 255).is_ok());
    assert_eq!(receive(&mut replayed, &packet, group, 255), Err(Discard::HmacReplay));
    assert_eq!((replayed.counters().accepted(), replayed.counters().discarded(Discard::HmacReplay)), (1, 1));
    assert!(replayed.counters().discards().eq([(Discard::HmacReplay, 1)]));
    replayed.clear_counters();
    assert_eq!(*replayed.counters(), Counters::default());

    let unseen: Vec<_> = Discard::ALL.into_iter().filter(|discard| !seen.contains(discard)).collect();
    assert_eq!(unseen, [], "a reason without a packet");
}

/// RFC 9568 §7.1: hop limit, version, type, completeness, checksum, VRID, in this order; a packet that is wrong in every
/// way is discarded for the first.
#[test]
fn the_checks_have_the_order_of_the_rfc() {
    let group = Endpoints::multicast(PEER);
    let mut gate = gate(Version::V3, Auth::None);
    let mut packet = sent(Version::V3, Auth::None, wall());
    packet[0] = 0x42;
    packet[1] = 9;
    packet[3] = 200;
    packet[4] = 0;
    packet[5] = 0;
    let mut outcome = |packet: &[u8], hop_limit| receive(&mut gate, packet, group, hop_limit).unwrap_err();
    assert_eq!(outcome(&packet, 1), Discard::HopLimit);
    assert_eq!(outcome(&packet, 255), Discard::Version);
    packet[0] = 0x32;
    assert_eq!(outcome(&packet, 255), Discard::Type);
    packet[0] = 0x31;
    assert_eq!(outcome(&packet, 255), Discard::Truncated);
    packet[3] = 0;
    packet.truncate(8);
    assert_eq!(outcome(&packet, 255), Discard::Checksum);
    packet = with(packet, |_| {});
    assert_eq!(outcome(&packet, 255), Discard::Vrid);
    packet = with(packet, |packet| packet[1] = 51);
    assert_eq!(outcome(&packet, 255), Discard::NoAddresses);
    packet = with(packet, |packet| {
        packet[3] = 1;
        packet.extend([10, 0, 0, 100]);
    });
    assert_eq!(outcome(&packet, 255), Discard::ZeroInterval);
}

/// RFC 9568 §7.1: a differing list or interval is told and not dropped. keepalived 2.2.7 drops, and becomes a second
/// active router beside a healthy one.
#[test]
fn differences_are_told_and_not_dropped() {
    let mut gate = gate(Version::V3, Auth::None);
    let group = Endpoints::multicast(PEER);
    let same = sent(Version::V3, Auth::None, wall());
    let received = receive(&mut gate, &same, group, 255).unwrap();
    assert!(!received.addresses_differ && !received.interval_differs);

    let slower = with(same.clone(), |packet| packet[5] = 101);
    let received = receive(&mut gate, &slower, group, 255).unwrap();
    assert!(received.interval_differs && received.heard.interval == AdvertInterval::centis(101).unwrap());

    let more = with(same, |packet| {
        packet[3] = 2;
        packet.extend([10, 0, 0, 101]);
    });
    let received = receive(&mut gate, &more, group, 255).unwrap();
    assert!(received.addresses_differ);
    let counters = gate.counters();
    assert_eq!((counters.accepted(), counters.interval_differs(), counters.addresses_differ()), (3, 1, 1));
    let mut changed = config(Version::V3);
    changed.interval = AdvertInterval::centis(101).unwrap();
    gate.set_config(&changed);
    assert!(!receive(&mut gate, &slower, group, 255).unwrap().interval_differs);
}

/// Either form is accepted over IPv4, and which one it was is remembered.
#[test]
fn both_checksum_forms_are_accepted() {
    let mut gate = gate(Version::V3, Auth::None);
    let group = Endpoints::multicast(PEER);
    for form in [ChecksumForm::MessageOnly, ChecksumForm::PseudoHeader] {
        let mut packet = Vec::new();
        advertisement(Version::V3).emit(&group, form, Seal::Open, &mut packet);
        assert_eq!(receive(&mut gate, &packet, group, 255).unwrap().heard.checksum, form);
    }
}

/// Copies to unicast peers differ in the checksum, whose pseudo-header has the destination, and share the signature.
#[test]
fn unicast_copies_share_one_signature() {
    let mut sender = gate(Version::V3, hmac(1, 1));
    let peers = [[10, 0, 0, 2], [10, 0, 0, 3]].map(|peer| Endpoints::unicast(PEER, IpAddr::from(peer)).unwrap());
    let mut sent = Vec::new();
    let advert = advertisement(Version::V3);
    let mut room = Vec::new();
    sender.emit(&advert, peers, ChecksumForm::PseudoHeader, wall(), &mut room, |endpoints, packet| {
        sent.push((*endpoints, packet.to_vec()));
    });
    let [(first, one), (second, two)] = &sent[..] else { panic!("two packets") };
    assert_ne!(one[6..8], two[6..8]);
    assert_eq!((&one[..6], &one[8..]), (&two[..6], &two[8..]));
    for (endpoints, packet) in [(first, one), (second, two)] {
        let mut receiver = gate(Version::V3, hmac(1, 1));
        receiver.set_peers(vec![PEER]);
        assert!(receive(&mut receiver, packet, *endpoints, 255).is_ok());
    }
}

/// While a pair is changed over, one box signs before the other has the key.
#[test]
fn an_unexpected_trailer_is_ignored() {
    let packet = sent(Version::V3, hmac(1, 1), wall());
    assert!(receive(&mut gate(Version::V3, Auth::None), &packet, Endpoints::multicast(PEER), 255).is_ok());
}
