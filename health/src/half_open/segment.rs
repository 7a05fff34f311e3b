//! Segments of half a handshake as bytes: a SYN, what answers it, and the ICMP errors that it can meet. Pure.
//!
//! RFC 9293 (TCP), RFC 792 and RFC 4443 (ICMP). Not here: whose answer it is, and whether it is one at all ([`super::flights`]).

use std::net::{IpAddr, SocketAddr};

/// Bytes of a SYN: a header with one option, the maximum segment size. Some firewalls take one without for an attack.
pub(super) const SYN_BYTES: usize = 24;

/// Flags of a header (RFC 9293 §3.1).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Of a SYN: nothing will ever be received, so it is what any host offers at least. 65,535 without scaling.
const WINDOW: [u8; 2] = [0xff, 0xff];
/// Of IPv4 and IPv6 on Ethernet: 1,500 bytes less both headers.
const MSS: [u16; 2] = [1_460, 1_440];

/// One SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syn {
    /// Ours, from which it goes: it is in the checksum.
    pub(super) source: IpAddr,
    /// Ours.
    pub(super) port: u16,
    pub(super) server: SocketAddr,
    /// Its sequence number.
    pub(super) isn: u32,
}

impl Syn {
    /// Its segment, checksum included.
    pub(super) fn emit(&self) -> [u8; SYN_BYTES] {
        let mut segment = [0; SYN_BYTES];
        segment[0..2].copy_from_slice(&self.port.to_be_bytes());
        segment[2..4].copy_from_slice(&self.server.port().to_be_bytes());
        segment[4..8].copy_from_slice(&self.isn.to_be_bytes());
        // The length of the header in words, in the upper half.
        segment[12] = 6 << 4;
        segment[13] = SYN;
        segment[14..16].copy_from_slice(&WINDOW);
        segment[20..22].copy_from_slice(&[2, 4]);
        segment[22..24].copy_from_slice(&MSS[usize::from(self.server.is_ipv6())].to_be_bytes());
        let sum = checksum(self.source, self.server.ip(), &segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }
}

/// The 16-bit words of a checksum (RFC 1071), added.
fn words(bytes: &[u8]) -> u32 {
    let pair = |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    bytes.chunks(2).map(pair).sum()
}

fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Of the header that a segment of so many bytes has in its checksum besides (RFC 9293 §3.1, RFC 8200 §8.1).
fn pseudo_header(from: IpAddr, to: IpAddr, bytes: usize) -> u32 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => words(&address.octets()),
        IpAddr::V6(address) => words(&address.octets()),
    };
    const TCP: u32 = 6;
    address(from) + address(to) + TCP + u32::try_from(bytes).unwrap_or(0)
}

/// The checksum of a segment; 0 over one that bears its own.
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    !folded(pseudo_header(from, to, segment.len()) + words(segment))
}

/// Whether a segment has arrived as it was sent, which the kernel leaves to who reads a raw socket. One that has been on no wire, from a machine beside
/// this one on the same host, bears no more than the sum of its pseudo-header: the rest is left to a card that it never meets.
pub(super) fn is_whole(from: IpAddr, to: IpAddr, segment: &[u8]) -> bool {
    let left = folded(pseudo_header(from, to, segment.len()));
    checksum(from, to, segment) == 0 || segment.get(16..18) == Some(&left.to_be_bytes()[..])
}

/// The same of an ICMP message (RFC 792), which the kernel does verify of IPv6.
pub(super) fn is_whole_icmp(message: &[u8]) -> bool {
    folded(words(message)) == u16::MAX
}

/// What has come back, as far as it can be told without knowing what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// Who says so. Of an error that a router sends it is the server that the SYN was for.
    pub(super) server: SocketAddr,
    /// Our port.
    pub(super) port: u16,
    /// The sequence number of the SYN that it answers.
    pub(super) isn: u32,
    pub(super) says: Says,
}

/// See [`Answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// SYN and ACK: it listens.
    Open,
    /// RST and ACK: it does not.
    Refused,
    /// An ICMP error, as the number that connect(2) would fail with.
    Unreachable(i32),
}

/// A segment that came from `from`. Nothing without an acknowledgement answers a SYN: RFC 9293 §3.10.7.3 ignores such a RST, and a SYN without one
/// is the beginning of another connection.
pub(super) fn parse_answer(from: IpAddr, segment: &[u8]) -> Option<Answer> {
    let header: &[u8; 20] = segment.first_chunk()?;
    let says = match header[13] & (SYN | RST | ACK) {
        flags if flags == SYN | ACK => Says::Open,
        flags if flags == RST | ACK => Says::Refused,
        _ => return None,
    };
    let acknowledged = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    Some(Answer {
        server: SocketAddr::new(from, u16::from_be_bytes([header[0], header[1]])),
        port: u16::from_be_bytes([header[2], header[3]]),
        isn: acknowledged.wrapping_sub(1),
        says,
    })
}

/// Source and destination and the payload of an IPv4 packet, as a raw socket gives it.
pub(super) fn parse_ipv4(packet: &[u8]) -> Option<([IpAddr; 2], &[u8])> {
    let (header, addresses) = packet.split_first_chunk::<12>()?;
    let (source, rest) = addresses.split_first_chunk::<4>()?;
    let destination = rest.first_chunk::<4>()?;
    let payload = packet.get(usize::from(header[0] & 0x0f) * 4..)?;
    Some(([IpAddr::from(*source), IpAddr::from(*destination)], payload))
}

/// An ICMP message (RFC 792): the quoted packet is ours, and has at least 8 bytes of the segment.
pub(super) fn parse_error_v4(message: &[u8]) -> Option<Answer> {
    let (head, packet) = message.split_first_chunk::<8>()?;
    let error = error_v4(head[0], head[1])?;
    let ([_, to], segment) = parse_ipv4(packet)?;
    (packet[9] == 6).then(|| quoted(to, segment, error)).flatten()
}

/// An ICMPv6 message (RFC 4443 §3). A quoted packet of ours has no extension headers.
pub(super) fn parse_error_v6(message: &[u8]) -> Option<Answer> {
    let (head, packet) = message.split_first_chunk::<8>()?;
    let error = error_v6(head[0], head[1])?;
    let to = packet.get(24..40)?.first_chunk::<16>()?;
    (packet[6] == 6).then(|| quoted(IpAddr::from(*to), &packet[40..], error)).flatten()
}

fn quoted(to: IpAddr, segment: &[u8], error: i32) -> Option<Answer> {
    let s: &[u8; 8] = segment.first_chunk()?;
    Some(Answer {
        server: SocketAddr::new(to, u16::from_be_bytes([s[2], s[3]])),
        port: u16::from_be_bytes([s[0], s[1]]),
        isn: u32::from_be_bytes([s[4], s[5], s[6], s[7]]),
        says: Says::Unreachable(error),
    })
}

/// Error numbers, as Linux numbers them on every architecture (asm-generic/errno.h).
const EACCES: i32 = 13;
const EPROTO: i32 = 71;
const ENOPROTOOPT: i32 = 92;
const EOPNOTSUPP: i32 = 95;
const ENETUNREACH: i32 = 101;
const ECONNREFUSED: i32 = 111;
const EHOSTDOWN: i32 = 112;
const EHOSTUNREACH: i32 = 113;
const ENONET: i32 = 64;

/// What the kernel makes of it for a connection that begins (net/ipv4/icmp.c: `icmp_err_convert`). "Fragmentation needed" is no end of one.
fn error_v4(type_: u8, code: u8) -> Option<i32> {
    match (type_, code) {
        (3, 0 | 6 | 9 | 11) => Some(ENETUNREACH),
        (3, 1 | 10 | 12..=15) => Some(EHOSTUNREACH),
        (3, 2) => Some(ENOPROTOOPT),
        (3, 3) => Some(ECONNREFUSED),
        (3, 5) => Some(EOPNOTSUPP),
        (3, 7) => Some(EHOSTDOWN),
        (3, 8) => Some(ENONET),
        (11, _) => Some(EHOSTUNREACH),
        (12, _) => Some(EPROTO),
        _ => None,
    }
}

/// The same of ICMPv6 (net/ipv6/icmp.c: `icmpv6_err_convert`). "Packet too big" is no end either.
fn error_v6(type_: u8, code: u8) -> Option<i32> {
    match (type_, code) {
        (1, 0) => Some(ENETUNREACH),
        (1, 1 | 5 | 6) => Some(EACCES),
        (1, 2 | 3) | (3, _) => Some(EHOSTUNREACH),
        (1, 4) => Some(ECONNREFUSED),
        (4, _) => Some(EPROTO),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
