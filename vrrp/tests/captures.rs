//! Captured packets both ways: what keepalived sent is understood, and what we would send instead is the same bytes.
#![expect(clippy::unwrap_used, reason = "a capture that is not what it should be fails the test")]

mod frames;

use std::net::IpAddr;
use std::time::Duration;

use vrrp::announce::{advertisement, gratuitous_arp, unsolicited_advertisement};
use vrrp::auth::{Password, Seal};
use vrrp::receive::screen;
use vrrp::{
    AddressList, AdvertInterval, AdvertPriority, Advertisement, Auth, ChecksumForm, Config, Discard, Family, Gate,
    Identity, Protocol, UnixTime, Vrid,
};

/// What a capture holds.
struct Capture {
    file: &'static str,
    protocol: Protocol,
    interval: AdvertInterval,
    priority: u8,
    addresses: &'static [&'static str],
    password: Option<&'static str>,
    checksum: ChecksumForm,
    peers: &'static [&'static str],
}

const SECOND_V2: Result<AdvertInterval, vrrp::interval::IntervalError> = AdvertInterval::seconds(1);

fn captures() -> Vec<Capture> {
    let v2 = Capture {
        file: "v2_noauth",
        protocol: Protocol::V2,
        interval: SECOND_V2.unwrap(),
        priority: 200,
        addresses: &["10.77.0.100"],
        password: None,
        checksum: ChecksumForm::MessageOnly,
        peers: &[],
    };
    let v3 = Capture {
        file: "v3_ip4_100cs",
        protocol: Protocol::V3(Family::V4),
        interval: AdvertInterval::centis(100).unwrap(),
        checksum: ChecksumForm::PseudoHeader,
        ..v2
    };
    let v6 =
        Capture { file: "v3_ip6", protocol: Protocol::V3(Family::V6), addresses: &["fe80::51", "fd77::100"], ..v3 };
    let centis = |centis| AdvertInterval::centis(centis).unwrap();
    vec![
        Capture { file: "v2_pass", password: Some("s3cret12"), ..v2 },
        Capture { file: "v2_pass_short", password: Some("1111"), addresses: &["10.77.0.100", "10.77.0.101"], ..v2 },
        Capture {
            file: "v3_ip4_1cs",
            interval: centis(1),
            addresses: &["10.77.0.100", "10.77.0.101", "10.77.0.102"],
            ..v3
        },
        Capture { file: "v3_ip4_4095cs", interval: centis(4095), priority: 255, ..v3 },
        Capture { file: "v3_ip4_unicast", peers: &["10.77.0.1"], ..v3 },
        Capture { file: "v3_ip4_vmac", ..v3 },
        Capture { file: "v3_ip6_vmac", ..v6 },
        v2,
        v3,
        v6,
    ]
}

impl Capture {
    fn addresses(&self) -> AddressList {
        let addresses: Vec<IpAddr> = self.addresses.iter().map(|address| address.parse().unwrap()).collect();
        AddressList::select(&addresses, self.protocol.family()).unwrap().advertised
    }

    fn identity(&self) -> Identity {
        Identity { protocol: self.protocol, vrid: Vrid::new(51).unwrap() }
    }

    fn gate(&self) -> Gate {
        let config = Config::new(self.addresses(), self.interval);
        let auth = self.password.map_or(Auth::None, |password| Auth::Text(Password::new(password)));
        let peers = self.peers.iter().map(|peer| peer.parse().unwrap()).collect();
        Gate::new(self.identity(), &config, auth, peers)
    }
}

fn wall() -> UnixTime {
    UnixTime::new(Duration::from_secs(1_700_000_000))
}

/// Every VRRP packet of every capture passes every check, to its values.
#[test]
fn keepalived_is_understood() {
    for capture in captures() {
        let mut gate = capture.gate();
        let packets: Vec<_> = frames::pcap(capture.file).iter().filter_map(|frame| frames::vrrp(frame)).collect();
        let mut heard = Vec::new();
        for packet in &packets {
            let message = screen(&packet.payload, &packet.carrier).unwrap();
            assert_eq!((message.protocol(), message.vrid()), (capture.protocol, capture.identity().vrid));
            let received = gate.admit(&message, &packet.carrier.endpoints, wall()).unwrap();
            assert!(!received.addresses_differ && !received.interval_differs, "{}", capture.file);
            assert_eq!(received.heard.checksum, capture.checksum, "{}", capture.file);
            assert_eq!(received.heard.interval, capture.interval, "{}", capture.file);
            heard.push(received.heard.priority.number());
        }
        assert_eq!(gate.counters().accepted(), packets.len() as u64);
        assert_eq!(heard.pop(), Some(0), "{}: the last packet resigns", capture.file);
        assert!(!heard.is_empty() && heard.iter().all(|number| *number == capture.priority), "{}", capture.file);
    }
}

/// The same values emitted are the same bytes.
#[test]
fn keepalived_is_matched_byte_for_byte() {
    for capture in captures() {
        let password = capture.password.map(Password::new);
        let seal = password.as_ref().map_or(Seal::Open, Seal::Text);
        let mut out = Vec::new();
        for packet in frames::pcap(capture.file).iter().filter_map(|frame| frames::vrrp(frame)) {
            let priority = AdvertPriority::from(packet.payload[2]);
            let vrid = capture.identity().vrid;
            let advert = Advertisement::new(vrid, priority, capture.interval, capture.addresses()).unwrap();
            advert.emit(&packet.carrier.endpoints, capture.checksum, seal, &mut out);
            assert_eq!(out, packet.payload, "{}", capture.file);
        }
    }
}

/// One thing changed in a good packet, and what must become of it. RFC 9568 §7.1.
#[test]
fn derived_packets_are_accepted_or_counted() {
    let captures = captures();
    let capture = captures.iter().find(|capture| capture.file == "v3_ip4_100cs").unwrap();
    let lines = include_str!("captures/derived.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seen = 0;
    for line in lines {
        let [name, expected, frame] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let packet = frames::vrrp(&frames::hex(frame)).unwrap();
        let mut gate = capture.gate();
        for payload in [&packet.payload, &packet.padded] {
            let outcome = screen(payload, &packet.carrier)
                .and_then(|message| gate.admit(&message, &packet.carrier.endpoints, wall()));
            let became = outcome.map_or_else(|discard| discard.to_string(), |_| "accepted".to_owned());
            assert_eq!(became, expected, "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
}

/// AH hides VRRP behind protocol 51: nothing of it reaches us, and that is documented.
#[test]
fn authentication_header_is_not_vrrp_to_us() {
    assert!(frames::pcap("v2_ah").iter().all(|frame| frames::vrrp(frame).is_none()));
}

/// RFC 2338 §5.3.6.2: another password, and none, are refused under different names.
#[test]
fn passwords_of_keepalived_are_checked() {
    let frames = frames::pcap("v2_pass");
    let packet = frames::vrrp(&frames[0]).unwrap();
    let captures = captures();
    let capture = captures.iter().find(|capture| capture.file == "v2_pass").unwrap();
    let refused = |password: Option<&'static str>| {
        let mut gate = Capture { password, ..*capture }.gate();
        let message = screen(&packet.payload, &packet.carrier).unwrap();
        gate.admit(&message, &packet.carrier.endpoints, wall()).unwrap_err()
    };
    assert_eq!(refused(Some("s3cret13")), Discard::AuthText);
    assert_eq!(refused(None), Discard::AuthType);
}

/// RFC 9568 §7.2, §7.3: whole frames with the virtual MAC, but for what a sender counts and labels as it likes.
#[test]
fn advertisements_bear_the_virtual_mac() {
    for (file, family, free) in
        [("v3_ip4_vmac", Family::V4, &[18, 19, 24, 25][..]), ("v3_ip6_vmac", Family::V6, &[15, 16, 17])]
    {
        let mac = Vrid::new(51).unwrap().mac(family);
        for sent in frames::pcap(file) {
            let Some(packet) = frames::vrrp(&sent) else { continue };
            let mut made = Vec::new();
            advertisement(&packet.carrier.endpoints, mac, &packet.payload, &mut made);
            // The sum over the header, its checksum included, is all ones.
            let words = made[14..34].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
            assert!(family == Family::V6 || words.sum::<u32>() % 0xffff == 0, "{file}");
            let mut sent = sent;
            for at in free {
                (sent[*at], made[*at]) = (0, 0);
            }
            sent[15] &= 0xf0;
            made[15] &= 0xf0;
            assert_eq!(made, sent, "{file}");
        }
    }
}

/// RFC 9568 §6.4.1 with errata 7947, 7949: the gratuitous ARP of keepalived, with either hardware address.
#[test]
fn gratuitous_arp_matches() {
    let virtual_mac = Vrid::new(51).unwrap().mac(Family::V4);
    for (file, mac) in [("v2_noauth", [2, 0x77, 0, 0, 0, 1]), ("v3_ip4_vmac", virtual_mac)] {
        let arp: Vec<_> = frames::pcap(file).into_iter().filter(|frame| frame[12..14] == [0x08, 0x06]).collect();
        assert_eq!(arp.len(), 5, "{file}");
        for frame in arp {
            assert_eq!(frame, gratuitous_arp([10, 77, 0, 100].into(), mac), "{file}");
        }
    }
}

/// The unsolicited Neighbor Advertisements of keepalived. It was not forwarding, so R was clear; we set it.
#[test]
fn unsolicited_neighbor_advertisement_matches() {
    let virtual_mac = Vrid::new(51).unwrap().mac(Family::V6);
    for (file, mac) in [("v3_ip6", [2, 0x77, 0, 0, 0, 1]), ("v3_ip6_vmac", virtual_mac)] {
        let is_advertisement = |frame: &Vec<u8>| frame[12..14] == [0x86, 0xdd] && frame[20] == 58;
        let sent: Vec<_> = frames::pcap(file).into_iter().filter(is_advertisement).collect();
        assert_eq!(sent.len(), 10, "{file}");
        for (frame, address) in sent.iter().zip(["fe80::51", "fd77::100"].iter().cycle()) {
            assert_eq!(*frame, unsolicited_advertisement(address.parse().unwrap(), mac, false), "{file}");
        }
        let router = unsolicited_advertisement("fd77::100".parse().unwrap(), mac, true);
        assert_eq!(router[58] & 0xe0, 0xa0, "R set, S clear, O set");
    }
}
