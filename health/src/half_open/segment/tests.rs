//! Bytes that were on a wire, and laws of all others.

use proptest::prelude::*;

use super::*;

fn server(ipv6: bool, address: u32, port: u16) -> SocketAddr {
    let ip = if ipv6 {
        IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(address)).to_be_bytes())
    } else {
        IpAddr::from(address.to_be_bytes())
    };
    SocketAddr::new(ip, port)
}

prop_compose! {
    fn syns()(ipv6: bool, from: u32, to: u32, ports: (u16, u16), isn: u32) -> Syn {
        Syn { source: server(ipv6, from, 0).ip(), port: ports.0, server: server(ipv6, to, ports.1), isn }
    }
}

/// What a host answers: the same header the other way round (RFC 9293 §3.10.7.1, §3.10.7.2).
fn reply(syn: &Syn, flags: u8) -> Vec<u8> {
    let sent = syn.emit();
    let mut reply = [&sent[2..4], &sent[0..2], &[1, 2, 3, 4]].concat();
    reply.extend(syn.isn.wrapping_add(1).to_be_bytes());
    reply.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    reply
}

/// An IPv4 packet as it is quoted, with options of so many words.
pub(in crate::half_open) fn ipv4(from: IpAddr, to: IpAddr, protocol: u8, words: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { unreachable!("it is") };
    let mut packet = vec![0x45 + words, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(vec![1; usize::from(words) * 4]);
    packet.extend(payload);
    packet
}

pub(in crate::half_open) fn ipv6(from: IpAddr, to: IpAddr, next: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) else { unreachable!("it is") };
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// What a router says of a SYN: RFC 792 quotes 8 bytes of the segment, most quote more.
pub(in crate::half_open) fn complaint(syn: &Syn, type_: u8, code: u8) -> Vec<u8> {
    let packet = if syn.server.is_ipv6() {
        ipv6(syn.source, syn.server.ip(), 6, &syn.emit())
    } else {
        ipv4(syn.source, syn.server.ip(), 6, 0, &syn.emit()[..8])
    };
    [&[type_, code, 0, 0, 0, 0, 0, 0], &packet[..]].concat()
}

#[test]
fn a_syn_is_what_linux_would_send_without_the_other_options() {
    let syn =
        Syn { source: [10, 0, 20, 2].into(), port: 40_000, server: ([10, 0, 20, 11], 8080).into(), isn: 0x0102_0304 };
    let expected =
        [0x9c, 0x40, 0x1f, 0x90, 1, 2, 3, 4, 0, 0, 0, 0, 0x60, 0x02, 0xff, 0xff, 0x9c, 0x43, 0, 0, 2, 4, 0x05, 0xb4];
    assert_eq!(syn.emit(), expected);
}

#[test]
fn errors_are_those_of_connect() {
    let syn = Syn { source: [10, 0, 0, 1].into(), port: 40_000, server: ([10, 0, 0, 2], 80).into(), isn: 7 };
    let says = |type_, code| parse_error_v4(&complaint(&syn, type_, code)).map(|answer| answer.says);
    assert_eq!(says(3, 1), Some(Says::Unreachable(EHOSTUNREACH)));
    assert_eq!(says(3, 3), Some(Says::Unreachable(ECONNREFUSED)));
    assert_eq!(says(3, 13), Some(Says::Unreachable(EHOSTUNREACH)), "prohibited by a filter");
    assert_eq!((says(3, 4), says(5, 1), says(8, 0)), (None, None, None), "smaller packets, another way, an echo");
    let syn = Syn { source: "fd00::1".parse().expect("one"), server: "[fd00::2]:80".parse().expect("one"), ..syn };
    let says = |type_, code| parse_error_v6(&complaint(&syn, type_, code)).map(|answer| answer.says);
    assert_eq!(says(1, 0), Some(Says::Unreachable(ENETUNREACH)));
    assert_eq!(says(1, 1), Some(Says::Unreachable(EACCES)));
    assert_eq!((says(2, 0), says(129, 0)), (None, None));
}

proptest! {
    #[test]
    fn a_syn_bears_its_checksum(syn in syns()) {
        prop_assert_eq!(checksum(syn.source, syn.server.ip(), &syn.emit()), 0);
    }

    #[test]
    fn what_was_changed_on_the_way_is_not_whole(syn in syns(), at in 0..SYN_BYTES, bit in 0u8..8) {
        let (from, to, mut segment) = (syn.source, syn.server.ip(), syn.emit());
        prop_assert!(is_whole(from, to, &segment));
        let left = folded(pseudo_header(from, to, segment.len()));
        segment[at] ^= 1 << bit;
        prop_assume!(segment[16..18] != left.to_be_bytes());
        prop_assert!(!is_whole(from, to, &segment));
        // As a neighbour on the same host sends it.
        segment[16..18].copy_from_slice(&left.to_be_bytes());
        prop_assert!(is_whole(from, to, &segment));

        let mut message = complaint(&syn, 3, 1);
        let sum = !folded(words(&message));
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        prop_assert!(is_whole_icmp(&message));
        let at = at % message.len();
        message[at] ^= 1 << bit;
        prop_assert!(!is_whole_icmp(&message));
    }

    #[test]
    fn an_answer_names_its_syn(syn in syns(), flags: u8) {
        let expected = match flags & 0x16 {
            0x12 => Some(Says::Open),
            0x14 => Some(Says::Refused),
            _ => None,
        };
        let answer = parse_answer(syn.server.ip(), &reply(&syn, flags));
        let of = |says| Answer { server: syn.server, port: syn.port, isn: syn.isn, says };
        prop_assert_eq!(answer, expected.map(of));
    }

    #[test]
    fn an_error_names_its_syn(syn in syns(), code in 0u8..4, words in 0u8..=10) {
        let message = complaint(&syn, if syn.server.is_ipv6() { 1 } else { 3 }, code);
        let parse = if syn.server.is_ipv6() { parse_error_v6 } else { parse_error_v4 };
        let answer = parse(&message).expect("an error");
        prop_assert_eq!((answer.server, answer.port, answer.isn), (syn.server, syn.port, syn.isn));
        for short in 0..message.len().min(8 + 20 + 8) {
            prop_assert_eq!(parse(&message[..short]), None);
        }
        if !syn.server.is_ipv6() {
            let quoted = ipv4(syn.source, syn.server.ip(), 6, words, &syn.emit());
            let again = parse_error_v4(&[&message[..8], &quoted[..]].concat());
            prop_assert_eq!(again, Some(answer), "with options");
            let udp = ipv4(syn.source, syn.server.ip(), 17, 0, &syn.emit());
            prop_assert_eq!(parse_error_v4(&[&message[..8], &udp[..]].concat()), None);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
        let _ = (parse_error_v4(&bytes), parse_error_v6(&bytes), parse_answer([10, 0, 0, 1].into(), &bytes));
        if let Some(([from, to], segment)) = parse_ipv4(&bytes) {
            let _ = (parse_answer(from, segment), parse_error_v4(segment), is_whole(from, to, segment));
        }
    }
}
