//! Laws of the codec, and one case for every [`ParseError`]. Captured packets are in `tests/captures.rs`.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::Priority;

fn endpoints_v4() -> Endpoints {
    Endpoints::multicast(IpAddr::from([10, 77, 0, 1]))
}

fn endpoints_v6() -> Endpoints {
    Endpoints::multicast("fe80::77:ff:fe00:1".parse().unwrap())
}

fn endpoints_of(family: Family) -> Endpoints {
    match family {
        Family::V4 => endpoints_v4(),
        Family::V6 => endpoints_v6(),
    }
}

fn interval(version: Version) -> impl Strategy<Value = AdvertInterval> {
    match version {
        Version::V2 => (1..=255_u8).prop_map(|seconds| AdvertInterval::seconds(seconds).unwrap()).boxed(),
        Version::V3 => (1..=4095_u16).prop_map(|centis| AdvertInterval::centis(centis).unwrap()).boxed(),
    }
}

fn advertisement() -> impl Strategy<Value = Advertisement> {
    let protocol = prop_oneof![Just(Protocol::V2), Just(Protocol::V3(Family::V4)), Just(Protocol::V3(Family::V6))];
    protocol.prop_flat_map(|protocol| {
        let addresses = match protocol.family() {
            Family::V4 => proptest::collection::vec(any::<[u8; 4]>(), 1..=255)
                .prop_map(|list| AddressList::V4(list.into_iter().map(Ipv4Addr::from).collect()))
                .boxed(),
            Family::V6 => proptest::collection::vec(any::<[u8; 16]>(), 0..=254)
                .prop_map(|list| {
                    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x51);
                    let others = list.into_iter().map(Ipv6Addr::from);
                    AddressList::V6(std::iter::once(link_local).chain(others).collect())
                })
                .boxed(),
        };
        (1..=255_u8, any::<u8>(), interval(protocol.version()), addresses).prop_map(|(vrid, priority, every, list)| {
            Advertisement::new(Vrid::new(vrid).unwrap(), priority.into(), every, list).unwrap()
        })
    })
}

fn form() -> impl Strategy<Value = ChecksumForm> {
    prop_oneof![Just(ChecksumForm::MessageOnly), Just(ChecksumForm::PseudoHeader)]
}

/// The full way of a packet of `family`.
fn parse(payload: &[u8], family: Family) -> Result<Advertisement, ParseError> {
    Message::parse(payload, &endpoints_of(family))?.advertisement()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn parse_undoes_emit(advert in advertisement(), form in form(), padding in 0..20_usize) {
        let endpoints = endpoints_of(advert.addresses().family());
        let mut packet = vec![0xa5; 7];
        advert.emit(&endpoints, form, Seal::Open, &mut packet);
        packet.extend(std::iter::repeat_n(0, padding));
        let message = Message::parse(&packet, &endpoints).unwrap();
        prop_assert_eq!(message.advertisement().unwrap(), advert.clone());
        match advert.protocol() {
            Protocol::V2 => prop_assert_eq!(message.checksum(), ChecksumForm::MessageOnly),
            Protocol::V3(Family::V4) => prop_assert_eq!(message.checksum(), form),
            Protocol::V3(Family::V6) => prop_assert_eq!(message.checksum(), ChecksumForm::PseudoHeader),
        }
    }

    #[test]
    fn a_flipped_bit_never_makes_another_advertisement(
        advert in advertisement(), form in form(), byte in any::<prop::sample::Index>(), bit in 0..8_u32
    ) {
        let endpoints = endpoints_of(advert.addresses().family());
        let mut packet = Vec::new();
        advert.emit(&endpoints, form, Seal::Open, &mut packet);
        let byte = byte.index(packet.len());
        packet[byte] ^= 1 << bit;
        // A length that still fits can only be one where zeros were cut off, and the checksum covers those.
        prop_assert!(Message::parse(&packet, &endpoints).is_err());
    }

    #[test]
    fn no_bytes_panic(payload in proptest::collection::vec(any::<u8>(), 0..80)) {
        for family in [Family::V4, Family::V6] {
            let _ = parse(&payload, family);
        }
    }

    /// The same with a header and a checksum that lead past the first checks.
    #[test]
    fn no_bytes_behind_a_right_checksum_panic(
        version in 2..=3_u8, mut payload in proptest::collection::vec(any::<u8>(), 8..80), count in 0..4_u8
    ) {
        payload[0] = version << 4 | 1;
        payload[3] = count;
        for family in [Family::V4, Family::V6] {
            let protocol = if version == 2 { Protocol::V2 } else { Protocol::V3(family) };
            let length = message_bytes(protocol, count).min(payload.len());
            let start = if family == Family::V6 { checksum::pseudo_header(&endpoints_v6(), PROTOCOL, length) } else { 0 };
            payload[6..8].fill(0);
            let sum = checksum::of(&payload[..length], start);
            payload[6..8].copy_from_slice(&sum.to_be_bytes());
            let _ = parse(&payload[..length], family);
        }
    }
}

fn one_address(interval: AdvertInterval) -> Advertisement {
    let list = AddressList::select(&[IpAddr::from([10, 77, 0, 100])], Family::V4).unwrap().advertised;
    let claim = AdvertPriority::Claim(Priority::new(200).unwrap());
    Advertisement::new(Vrid::new(51).unwrap(), claim, interval, list).unwrap()
}

/// A packet of `version` after `change`, with the checksum made right again.
fn changed(version: Version, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = Vec::new();
    let interval = AdvertInterval::from_millis(version, 1000).unwrap();
    one_address(interval).emit(&endpoints_v4(), ChecksumForm::MessageOnly, Seal::Open, &mut packet);
    change(&mut packet);
    packet[6..8].fill(0);
    let sum = checksum::of(&packet, 0);
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// RFC 9568 §5.2.2, §7.1: version, type, completeness, each refused under its own name.
#[test]
fn header_errors_have_names() {
    let refused = |packet: &[u8]| parse(packet, Family::V4).unwrap_err();
    for version in [Version::V2, Version::V3] {
        let packet = changed(version, |_| {});
        assert!(parse(&packet, Family::V4).is_ok());
        for length in 0..packet.len() {
            assert_eq!(refused(&packet[..length]), ParseError::Truncated, "{length} bytes");
        }
        assert_eq!(refused(&changed(version, |packet| packet[0] ^= 0x03)), ParseError::Type);
        assert_eq!(refused(&changed(version, |packet| packet[3] = 20)), ParseError::Truncated);
        assert_eq!(refused(&changed(version, |packet| packet[1] = 0)), ParseError::Vrid);
    }
    assert_eq!(refused(&changed(Version::V3, |packet| packet[0] = 0x41)), ParseError::Version);
    assert_eq!(refused(&changed(Version::V3, |packet| packet[0] = 0x11)), ParseError::Version);
    let v2 = changed(Version::V2, |_| {});
    assert_eq!(parse(&v2, Family::V6), Err(ParseError::Version), "version 2 knows no IPv6");
}

/// RFC 9568 §5.2.5 and errata 8299, 8301.
#[test]
fn count_and_interval_of_zero_are_refused() {
    let no_address = changed(Version::V3, |packet| {
        packet[3] = 0;
        packet.truncate(8);
    });
    assert_eq!(parse(&no_address, Family::V4), Err(ParseError::NoAddresses));
    for version in [Version::V2, Version::V3] {
        let packet = changed(version, |packet| packet[5] = 0);
        assert_eq!(parse(&packet, Family::V4), Err(ParseError::ZeroInterval));
    }
}

/// RFC 9568 §5.2.6: "ignored on reception".
#[test]
fn reserved_bits_are_ignored() {
    let packet = changed(Version::V3, |packet| packet[4] |= 0xf0);
    assert_eq!(parse(&packet, Family::V4).unwrap().interval(), AdvertInterval::centis(100).unwrap());
}

/// RFC 9568 §5.2.9, erratum 8300.
#[test]
fn first_ipv6_address_is_link_local() {
    let global = AddressList::V6([Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1)].into_iter().collect());
    let claim = AdvertPriority::Resign;
    let every = AdvertInterval::centis(1).unwrap();
    let vrid = Vrid::new(1).unwrap();
    assert_eq!(Advertisement::new(vrid, claim, every, global), Err(AdvertisementError::NotLinkLocal));

    let mut packet = vec![0x31, 51, 200, 1, 0, 100, 0, 0];
    packet.extend(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1).octets());
    let sum = checksum::of(&packet, checksum::pseudo_header(&endpoints_v6(), PROTOCOL, packet.len()));
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(parse(&packet, Family::V6), Err(ParseError::NotLinkLocal));
}

#[test]
fn impossible_advertisements_cannot_be_made() {
    let v6 = AddressList::V6([Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)].into_iter().collect());
    let every = AdvertInterval::seconds(1).unwrap();
    let vrid = Vrid::new(1).unwrap();
    let new = |interval, list| Advertisement::new(vrid, AdvertPriority::Resign, interval, list);
    assert_eq!(new(every, v6), Err(AdvertisementError::Version2Ipv6));
    assert_eq!(new(every, AddressList::V4(heapless::Vec::new())), Err(AdvertisementError::NoAddresses));
}

/// Padding is zeros; a tail that is neither padding nor 28 bytes of trailer is no VRRP.
#[test]
fn bytes_behind_the_message_must_be_explained() {
    let mut packet = changed(Version::V3, |_| {});
    packet.extend([0; 14]);
    assert!(parse(&packet, Family::V4).is_ok(), "a frame padded to 60 bytes");
    packet.push(1);
    assert_eq!(parse(&packet, Family::V4), Err(ParseError::Trailing));
}

/// A CARP advertisement: same protocol number, group and first byte, 36 bytes, `authlen` 7 where VRRP counts.
#[test]
fn carp_is_recognised() {
    let mut packet = vec![0; 36];
    packet[..8].copy_from_slice(&[0x21, 1, 0, 7, 0, 1, 0, 0]);
    let sum = checksum::of(&packet, 0);
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(parse(&packet, Family::V4), Err(ParseError::Carp));
    let five_addresses = changed(Version::V2, |packet| {
        packet[3] = 5;
        packet.resize(36, 0);
    });
    assert!(parse(&five_addresses, Family::V4).is_ok(), "36 bytes of version 2 have five addresses");
}

/// RFC 9568 §5.2.5: 255 is the most the count can say, and both families reach it.
#[test]
fn the_largest_message_has_255_addresses() {
    let v6 = AddressList::V6(std::iter::repeat_n(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 255).collect());
    let every = AdvertInterval::centis(1).unwrap();
    let advert = Advertisement::new(Vrid::new(1).unwrap(), AdvertPriority::Resign, every, v6).unwrap();
    let mut packet = Vec::with_capacity(MESSAGE_BYTES_MAX);
    advert.emit(&endpoints_v6(), ChecksumForm::PseudoHeader, Seal::Open, &mut packet);
    assert_eq!(packet.len(), MESSAGE_BYTES_MAX - TRAILER_BYTES);
    assert_eq!(parse(&packet, Family::V6), Ok(advert));
}
