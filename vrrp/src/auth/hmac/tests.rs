//! The trailer against keepalived's own vectors H1 and H2 (its test/auth_hmac_test.c), one flipped bit at a time.

use std::time::Duration;

use super::*;
use crate::packet::{ChecksumForm, ParseError};
use crate::{AddressList, Advertisement, Family, Priority};

/// Sequence of both vectors. Its time is in the past, hence the monotonic mode.
const SEQUENCE: Sequence = Sequence(0x6800_0000_8000_0000);
const H1: &str = "3133c80100644402c0000264010100006800000080000000 1b84bc4e8e43892dc6d98448f8ee2265";
const H2: &str =
    "3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000 c8c56146ebfd66ee10ec4d8186461b78";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn key(id: KeyId) -> Key {
    let secret: Vec<u8> = (0..32).collect();
    Key::new(id, &secret).unwrap()
}

fn hmac(rollout: Rollout, freshness: Freshness) -> Hmac {
    Hmac::new(HmacConfig::new(&[key(1)], 1, rollout, freshness).unwrap())
}

fn v4() -> Endpoints {
    Endpoints::multicast("198.51.100.10".parse().unwrap())
}

fn v6() -> Endpoints {
    Endpoints::unicast("fe80::10".parse().unwrap(), "fe80::20".parse().unwrap()).unwrap()
}

fn advertisement(address: &str) -> Advertisement {
    let address: IpAddr = address.parse().unwrap();
    let list = AddressList::select(&[address], Family::from(address)).unwrap().advertised;
    let claim = crate::AdvertPriority::Claim(Priority::new(200).unwrap());
    Advertisement::new(Vrid::new(51).unwrap(), claim, AdvertInterval::centis(100).unwrap(), list).unwrap()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::new(Duration::from_secs(seconds))
}

/// Verifies as a receiver that sees its first packet.
fn first_sight(packet: &[u8], endpoints: &Endpoints) -> Result<Result<(), HmacError>, ParseError> {
    let message = Message::parse(packet, endpoints)?;
    Ok(hmac(Rollout::Enforce, Freshness::Monotonic).verify(&message, endpoints, at(0)))
}

#[test]
fn vectors_h1_and_h2_are_emitted_byte_for_byte() {
    let mut out = Vec::new();
    let key = key(1);
    let seal = Seal::Hmac { key: &key, sequence: SEQUENCE };
    advertisement("192.0.2.100").emit(&v4(), ChecksumForm::MessageOnly, seal, &mut out);
    assert_eq!(out, hex(H1));
    advertisement("fe80::100").emit(&v6(), ChecksumForm::PseudoHeader, seal, &mut out);
    assert_eq!(out, hex(H2));
}

#[test]
fn vectors_h1_and_h2_verify() {
    assert_eq!(first_sight(&hex(H1), &v4()), Ok(Ok(())));
    assert_eq!(first_sight(&hex(H2), &v6()), Ok(Ok(())));
}

/// What each flipped bit of H1 must be taken for. Its IPv4 checksum spares the trailer, so that
/// the HMAC has to notice; in H2 the IPv6 checksum notices first.
#[test]
fn one_flipped_bit_is_always_noticed() {
    let expected = |byte: usize| match byte {
        12 | 14 | 15 => HmacError::Malformed,
        13 => HmacError::UnknownKey,
        _ => HmacError::Mismatch,
    };
    let packet = hex(H1);
    for byte in 12..packet.len() {
        for bit in 0..8 {
            let mut packet = packet.clone();
            packet[byte] ^= 1 << bit;
            assert_eq!(first_sight(&packet, &v4()), Ok(Err(expected(byte))), "byte {byte} bit {bit}");
        }
    }
    let packet = hex(H2);
    for byte in 4..packet.len() {
        let mut packet = packet.clone();
        packet[byte] ^= 1;
        assert_eq!(first_sight(&packet, &v6()), Err(ParseError::Checksum), "byte {byte}");
    }
}

/// A change whose checksum was corrected by an attacker is the HMAC's to find.
#[test]
fn a_changed_message_with_a_right_checksum_is_a_mismatch() {
    let mut packet = hex(H1);
    // Priority 200 to 201, and the low byte of the checksum down by the same word: 0x4402 - 0x0100.
    packet[2] = 201;
    packet[6] = 0x43;
    assert_eq!(first_sight(&packet, &v4()), Ok(Err(HmacError::Mismatch)));
    let other_source = Endpoints::multicast("198.51.100.11".parse().unwrap());
    assert_eq!(first_sight(&hex(H1), &other_source), Ok(Err(HmacError::Mismatch)));
}

#[test]
fn checksum_field_is_outside_of_the_hmac() {
    let mut out = Vec::new();
    let key = key(1);
    let seal = Seal::Hmac { key: &key, sequence: SEQUENCE };
    advertisement("192.0.2.100").emit(&v4(), ChecksumForm::PseudoHeader, seal, &mut out);
    assert_ne!(out, hex(H1), "the other checksum form");
    assert_eq!(first_sight(&out, &v4()), Ok(Ok(())));
}

#[test]
fn the_same_packet_again_is_a_replay_and_another_sender_is_not() {
    let mut receiver = hmac(Rollout::Enforce, Freshness::Monotonic);
    let mut packet = Vec::new();
    let key = key(1);
    let mut send = |sender: u8, sequence: u64| {
        let endpoints = Endpoints::multicast(IpAddr::from([198, 51, 100, sender]));
        let seal = Seal::Hmac { key: &key, sequence: Sequence(sequence) };
        advertisement("192.0.2.100").emit(&endpoints, ChecksumForm::PseudoHeader, seal, &mut packet);
        let message = Message::parse(&packet, &endpoints).unwrap();
        receiver.verify(&message, &endpoints, at(0))
    };
    assert_eq!(send(1, 10), Ok(()));
    assert_eq!(send(1, 10), Err(HmacError::Replay));
    assert_eq!(send(1, 9), Err(HmacError::Replay));
    assert_eq!(send(1, 11), Ok(()));
    for other in 2..=4 {
        assert_eq!(send(other, 5), Ok(()));
    }
    assert_eq!(send(1, 11), Err(HmacError::Replay), "four senders are remembered");
    assert_eq!(send(1, 12), Ok(()));
    assert_eq!(send(5, 1), Ok(()), "a fifth takes the place of the one silent longest, which is 2");
    assert_eq!(send(1, 12), Err(HmacError::Replay));
    assert_eq!(send(2, 5), Ok(()));
}

#[test]
fn the_window_ends_on_the_second() {
    let key = key(1);
    let now = 1_700_000_000;
    let check = |sent: u64| {
        let mut packet = Vec::new();
        let seal = Seal::Hmac { key: &key, sequence: Sequence(sent << 32) };
        advertisement("192.0.2.100").emit(&v4(), ChecksumForm::PseudoHeader, seal, &mut packet);
        let message = Message::parse(&packet, &v4()).unwrap();
        hmac(Rollout::Enforce, Freshness::Window(5)).verify(&message, &v4(), at(now))
    };
    assert_eq!(check(now - 5), Ok(()));
    assert_eq!(check(now - 6), Err(HmacError::Stale));
    assert_eq!(check(now + 5), Ok(()));
    assert_eq!(check(now + 6), Err(HmacError::Stale));
}

#[test]
fn sequences_grow_within_one_clock_tick_and_across_a_small_step_back() {
    let mut sender = hmac(Rollout::Enforce, Freshness::Window(5));
    let mut next = |seconds| match sender.seal(at(seconds)) {
        Seal::Hmac { sequence, .. } => sequence,
        Seal::Open | Seal::Text(_) => panic!("enforce signs"),
    };
    let first = next(1000);
    let second = next(1000);
    assert_eq!(second.0, first.0 + 1);
    assert_eq!(next(998).0, first.0 + 2, "a step back within the window");
    assert_eq!(next(990), Sequence(990 << 32), "beyond it, the clock is followed");
}

/// The receiver's half of a corrected clock: a mark far in the future must not lock its sender out.
#[test]
fn a_mark_beyond_the_window_is_let_go() {
    let mut receiver = hmac(Rollout::Enforce, Freshness::Window(5));
    let sender = IpAddr::from([198, 51, 100, 10]);
    let sequence = |seconds: u64| Sequence(seconds << 32);
    assert_eq!(receiver.advance(sender, sequence(10_000), at(10_000)), Ok(()));
    assert_eq!(receiver.advance(sender, sequence(9_999), at(10_000)), Err(HmacError::Replay));
    // Both clocks are set back by an hour.
    assert_eq!(receiver.advance(sender, sequence(10_000 - 3600), at(10_000 - 3600)), Ok(()));
}

#[test]
fn rollout_decides_about_packets_without_a_trailer() {
    let mut packet = Vec::new();
    advertisement("192.0.2.100").emit(&v4(), ChecksumForm::PseudoHeader, Seal::Open, &mut packet);
    let message = Message::parse(&packet, &v4()).unwrap();
    let verify = |rollout| hmac(rollout, Freshness::Monotonic).verify(&message, &v4(), at(0));
    assert_eq!(verify(Rollout::ReceiveOnly), Ok(()));
    assert_eq!(verify(Rollout::Permissive), Ok(()));
    assert_eq!(verify(Rollout::Enforce), Err(HmacError::Missing));
    assert!(matches!(hmac(Rollout::ReceiveOnly, Freshness::Monotonic).seal(at(1)), Seal::Open));
    assert!(matches!(hmac(Rollout::Permissive, Freshness::Monotonic).seal(at(1)), Seal::Hmac { .. }));
}

#[test]
fn serial_numbers_wrap_and_keys_are_checked() {
    assert!(Sequence(1).is_after(Sequence(u64::MAX)));
    assert!(!Sequence(u64::MAX).is_after(Sequence(1)));
    assert_eq!(Sequence(0).seconds_ahead_of(at(u64::from(u32::MAX))), 1, "2106");
    assert_eq!(Key::new(1, &[0; 31]), Err(KeyError::Length));
    assert_eq!(Key::new(1, &[0; 65]), Err(KeyError::Length));
    let config = |keys: &[Key], active| HmacConfig::new(keys, active, Rollout::Enforce, Freshness::Monotonic);
    assert_eq!(config(&[key(1), key(1)], 1), Err(KeyError::Twice(1)));
    assert_eq!(config(&[key(1)], 2), Err(KeyError::Unknown(2)));
    assert_eq!(format!("{:?}", key(7)), "Key { id: 7, .. }");
    assert_eq!(Freshness::for_interval(AdvertInterval::centis(10).unwrap()), Freshness::Window(5));
    assert_eq!(Freshness::for_interval(AdvertInterval::seconds(10).unwrap()), Freshness::Window(30));
}
