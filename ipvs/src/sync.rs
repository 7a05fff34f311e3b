//! Datagrams of connection sync, version 1: how one director tells another of its connections (ip_vs_sync.c, `ip_vs_sync_mesg`).
//!
//! The kernel has no message that ends a connection. It has this one: a backup daemon takes the state and the timeout a datagram says, so one
//! that says "closed, for one second more" ends it. Only what that needs is here: no sequence numbers. Sending is the caller's.

use std::net::{IpAddr, SocketAddr};

use crate::Protocol;
use crate::connections::Connection;

/// Connections in one datagram: the header counts them in 8 bits.
pub const CONNECTIONS_MAX: usize = 255;
/// Bytes of a datagram that every daemon takes whole, unless it was started with less; [`crate::Daemon::max_length`] has its own number. It cuts
/// longer ones off, and then ignores them.
pub const DATAGRAM_MAX: u16 = 1472;

/// Bytes of the header.
const HEADER: usize = 8;
/// Bytes of a connection of either family, addresses included.
const SIZES: (u16, u16) = (36, 72);
/// `IP_VS_CONN_F_INACTIVE`: not among the active ones of its destination.
const INACTIVE: u32 = 0x0100;
/// `IP_VS_CONN_F_TEMPLATE`: of persistence.
const TEMPLATE: u32 = 0x1000;
/// `STYPE_F_INET6`.
const IPV6: u8 = 1;
/// `IPVS_OPT_PE_DATA` and `IPVS_OPT_PE_NAME`: what follows a connection, each with a byte for its length.
const ENGINE: (u8, u8) = (2, 3);

/// One connection as it is to be ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    protocol: u8,
    client: SocketAddr,
    service: SocketAddr,
    destination: SocketAddr,
    /// Persistence engine, and what it recognises the client by.
    engine: Option<(Box<str>, Box<[u8]>)>,
}

impl Ending {
    /// `None` for what version 1 has no words for: addresses of two families.
    #[must_use]
    pub fn of(connection: &Connection<'_>) -> Option<Self> {
        let Connection { protocol, client, service, destination, engine, .. } = *connection;
        let one_family = client.is_ipv4() == service.is_ipv4() && service.is_ipv4() == destination.is_ipv4();
        let protocol = u8::try_from(protocol.number()).ok()?;
        let engine = match engine {
            // Each has a byte for its length; the kernel keeps no longer ones.
            Some((name, data)) if name.len().max(data.len()) > usize::from(u8::MAX) => return None,
            Some((name, data)) => Some((name.into(), data.into())),
            None => None,
        };
        one_family.then_some(Self { protocol, client, service, destination, engine })
    }

    /// Number of the protocol.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The client; port 0 in a template.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// The virtual address.
    #[must_use]
    pub fn service(&self) -> SocketAddr {
        self.service
    }

    /// The server.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// Whether it binds a client to a server rather than being a connection.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.client.port() == 0
    }

    /// The state that says it is over; UDP has but one.
    fn state(&self) -> u16 {
        match (self.is_template(), Protocol::from(u16::from(self.protocol))) {
            (true, _) => 0,
            // IP_VS_TCP_S_CLOSE, IP_VS_SCTP_S_CLOSED.
            (false, Protocol::Tcp) => 6,
            (false, Protocol::Sctp) => 13,
            (false, Protocol::Udp | Protocol::Other(_)) => 0,
        }
    }
}

/// Appends one datagram of at most `room` bytes, and [`CONNECTIONS_MAX`] connections, that ends the first of `endings` in a second. Returns how
/// many it ends: 0 when `room` is too small for one.
pub fn emit(sync_id: u8, endings: &[Ending], room: usize, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    // Reserved, id, size (below), number (below), version, spare.
    out.extend([0, sync_id, 0, 0, 0, 1, 0, 0]);
    let mut number: u8 = 0;
    for ending in endings.iter().take(CONNECTIONS_MAX) {
        let before = out.len();
        connection(ending, out);
        if out.len() - start > room.min(usize::from(u16::MAX)) {
            out.truncate(before);
            break;
        }
        number += 1;
    }
    let size = u16::try_from(out.len() - start).expect("looked at above");
    out[start + 2..start + 4].copy_from_slice(&size.to_be_bytes());
    out[start + 4] = number;
    debug_assert!(out.len() - start >= HEADER);
    usize::from(number)
}

fn connection(ending: &Ending, out: &mut Vec<u8>) {
    let ipv4 = ending.client.is_ipv4();
    let flags = INACTIVE | if ending.is_template() { TEMPLATE } else { 0 };
    let options = ending.engine.as_ref().map_or(0, |(name, data)| 2 + data.len() + 2 + name.len());
    let size = usize::from(if ipv4 { SIZES.0 } else { SIZES.1 }) + options;
    out.extend([if ipv4 { 0 } else { IPV6 }, ending.protocol]);
    // The version of the entry is in the upper four bits, and is 0.
    out.extend(u16::try_from(size).expect("two lengths of a byte each").to_be_bytes());
    out.extend(flags.to_be_bytes());
    let ends = [ending.client, ending.service, ending.destination];
    out.extend(ending.state().to_be_bytes());
    out.extend(ends.map(|end| end.port()).into_iter().flat_map(u16::to_be_bytes));
    // Firewall mark: an existing connection is found without.
    out.extend(0u32.to_be_bytes());
    out.extend(1u32.to_be_bytes());
    for end in ends {
        match end.ip() {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
    }
    if let Some((name, data)) = &ending.engine {
        for (option, bytes) in [(ENGINE.0, &**data), (ENGINE.1, name.as_bytes())] {
            out.extend([option, u8::try_from(bytes.len()).expect("Ending::of takes no longer ones")]);
            out.extend(bytes);
        }
    }
    // Each begins at a multiple of four.
    out.extend(&[0; 3][..size.next_multiple_of(4) - size]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::parse_line;

    fn ending(line: &str) -> Option<Ending> {
        Ending::of(&parse_line(line).unwrap().unwrap())
    }

    #[test]
    fn a_datagram_is_laid_out_as_the_kernel_reads_it() {
        let one = ending("TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899").unwrap();
        let template = ending("TCP C6336400 0000 C000020A 0050 0A000001 1F90 NONE            299").unwrap();
        let mut out = Vec::new();
        assert_eq!(emit(7, &[one, template], 1472, &mut out), 2);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            [
                "0007005002010000",
                "0006002400000100",
                "0006c00100501f90",
                "0000000000000001",
                "c6336401c000020a0a000001",
                "0006002400001100",
                "0000000000501f90",
                "0000000000000001",
                "c6336400c000020a0a000001",
            ]
            .concat()
        );
    }

    #[test]
    fn a_full_datagram_of_ipv6_has_a_size_that_fits() {
        let line = "UDP 20010db8000100000000000000000099 0035";
        assert!(parse_line(line).is_err(), "groups have colons");
        let line = "UDP 2001:0db8:0001:0000:0000:0000:0000:0099 C001 2001:0db8:0001:0000:0000:0000:0000:0010 0035 \
                    2001:0db8:0020:0000:0000:0000:0000:0011 14B4 UDP             299";
        let many = vec![ending(line).unwrap(); CONNECTIONS_MAX + 1];
        let mut out = Vec::new();
        assert_eq!(emit(0, &many, usize::MAX, &mut out), CONNECTIONS_MAX);
        assert_eq!(out.len(), HEADER + 255 * 72);
        assert_eq!((out[2..4].to_vec(), out[4]), (18_368u16.to_be_bytes().to_vec(), 255));
        assert_eq!(out[8..12], [1, 17, 0, 72]);
    }

    /// The daemon cuts off what is longer than its buffer, and ignores the whole.
    #[test]
    fn a_datagram_keeps_to_its_room() {
        let line = "TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899";
        let many = vec![ending(line).unwrap(); 100];
        let mut out = vec![9];
        assert_eq!(emit(0, &many, usize::from(DATAGRAM_MAX), &mut out), 40);
        assert_eq!((out.len(), &out[3..6]), (1 + 8 + 40 * 36, [0x05, 0xa8, 40].as_slice()));
        assert_eq!(emit(0, &many, 8, &mut Vec::new()), 0);
    }

    #[test]
    fn a_persistence_engine_is_named_with_what_it_knows_of_the_client() {
        let sip = b"UDP C0A80001 0000 0A000064 13C4 0A010101 13C4 NONE             299 sip caf\xe9@b";
        let one = Ending::of(&parse_line(sip).unwrap().unwrap()).unwrap();
        let mut out = Vec::new();
        assert_eq!(emit(0, &[one.clone(), one], 1472, &mut out), 2);
        // 36, 2 + 6, 2 + 3, and 3 to a multiple of four, which the size of the whole counts and its own does not.
        assert_eq!((out.len(), out[10..12].to_vec()), (HEADER + 2 * 52, vec![0, 49]));
        assert_eq!(&out[44..60], b"\x02\x06caf\xe9@b\x03\x03sip\0\0\0");
        let long = [sip.as_slice(), &[b'x'; 256]].concat();
        assert_eq!(Ending::of(&parse_line(&long).unwrap().unwrap()), None);
    }

    #[test]
    fn what_needs_more_words_is_left_alone() {
        let mixed = "TCP C6336401 C001 C000020A 0050 2001:0db8:0020:0000:0000:0000:0000:0011 0050 ESTABLISHED 9";
        assert_eq!(ending(mixed), None);
    }
}
