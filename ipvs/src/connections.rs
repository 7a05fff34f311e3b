//! Lines of `/proc/net/ip_vs_conn` and `/proc/net/ip_vs_conn_sync`: the connection table has no netlink.
//!
//! Pure: [`parse_line`] takes a line and borrows from it, so that a table of a million connections is filtered without an allocation. Who opens
//! the file reads it once and in large pieces, and never in a loop: the kernel walks its whole table for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Protocol;

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// TCP, UDP, SCTP; other numbers as the kernel names them.
    pub protocol: Protocol,
    /// The client. Port 0 in a persistence template.
    pub client: SocketAddr,
    /// The virtual address; of a template by mark, the mark as an IPv4 address.
    pub service: SocketAddr,
    /// The server.
    pub destination: SocketAddr,
    /// The kernel's word for its state: `ESTABLISHED`, `FIN_WAIT`, `UDP`, ...
    pub state: &'a str,
    /// Seconds until it is forgotten without a further packet.
    pub expires: u32,
    /// Whether this host saw it begin or was told by sync; only in `ip_vs_conn_sync`.
    pub origin: Option<Origin>,
    /// Persistence engine and what it recognises the client by, as the client sent it: not always UTF-8. Only in `ip_vs_conn`.
    pub engine: Option<(&'a str, &'a [u8])>,
}

/// Where a connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Here.
    Local,
    /// At the other director of a pair.
    Sync,
}

/// A line that is neither a connection nor the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a connection: the {0} cannot be read")]
pub struct LineError(&'static str);

/// Reads a line, with or without its line feed. The header is `Ok(None)`.
///
/// Bytes rather than text: what a client has sent is in it.
///
/// # Errors
/// When it is neither.
pub fn parse_line<L: AsRef<[u8]> + ?Sized>(line: &L) -> Result<Option<Connection<'_>>, LineError> {
    let line = line.as_ref();
    let mut words = Words(line.strip_suffix(b"\n").unwrap_or(line));
    let protocol = match words.next("protocol")? {
        "Pro" => return Ok(None),
        word => protocol(word).ok_or(LineError("protocol"))?,
    };
    let client = endpoint(&mut words, "client")?;
    let service = endpoint(&mut words, "service")?;
    let destination = endpoint(&mut words, "destination")?;
    let state = words.next("state")?;
    let mut expires = words.next("time to live")?;
    let origin = match expires {
        "LOCAL" => Some(Origin::Local),
        "SYNC" => Some(Origin::Sync),
        _ => None,
    };
    if origin.is_some() {
        expires = words.next("time to live")?;
    }
    let expires = expires.parse().map_err(|_| LineError("time to live"))?;
    // The engine's data is the rest of the line: a Call-ID may hold anything.
    let engine = words.next("").ok().map(|name| (name, words.0.strip_prefix(b" ").unwrap_or(words.0)));
    Ok(Some(Connection { protocol, client, service, destination, state, expires, origin, engine }))
}

/// Which connections to take. What is `None` takes all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this protocol.
    pub protocol: Option<Protocol>,
    /// To this virtual address, and to this port of it unless 0.
    pub service: Option<SocketAddr>,
    /// From this prefix: address and length.
    pub client: Option<(IpAddr, u8)>,
    /// To this server, and to this port of it unless 0.
    pub destination: Option<SocketAddr>,
    /// In this state, in any case of letters; a hyphen is an underscore too.
    pub state: Option<String>,
}

impl Filter {
    /// Whether it takes a connection.
    #[must_use]
    pub fn takes(&self, connection: &Connection<'_>) -> bool {
        let endpoint = |wanted: Option<SocketAddr>, found: SocketAddr| {
            wanted.is_none_or(|w| w.ip() == found.ip() && (w.port() == 0 || w.port() == found.port()))
        };
        self.protocol.is_none_or(|protocol| protocol == connection.protocol)
            && endpoint(self.service, connection.service)
            && endpoint(self.destination, connection.destination)
            && self.client.is_none_or(|(prefix, length)| holds(prefix, length, connection.client.ip()))
            && self.state.as_ref().is_none_or(|state| same_state(state, connection.state))
    }
}

/// Whether two names are of one state: `time-wait` is `TIME_WAIT`, and `C-SENT` has a hyphen in the kernel.
fn same_state(a: &str, b: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
    a.bytes().map(plain).eq(b.bytes().map(plain))
}

/// Whether a prefix holds an address. A length beyond the address is the whole of it.
fn holds(prefix: IpAddr, length: u8, address: IpAddr) -> bool {
    let length = u32::from(length);
    match (prefix, address) {
        (IpAddr::V4(prefix), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(length)).unwrap_or(0);
            (prefix.to_bits() ^ address.to_bits()) & mask == 0
        }
        (IpAddr::V6(prefix), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(length)).unwrap_or(0);
            (prefix.to_bits() ^ address.to_bits()) & mask == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Words of a line, separated by any number of spaces.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn next(&mut self, what: &'static str) -> Result<&'a str, LineError> {
        let rest = self.0.trim_ascii_start();
        let (word, rest) = rest.split_at(rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len()));
        self.0 = rest;
        match std::str::from_utf8(word) {
            Ok("") | Err(_) => Err(LineError(what)),
            Ok(word) => Ok(word),
        }
    }
}

fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        // Persistence templates by mark count as protocol IP, 0.
        "IP" => Protocol::Other(0),
        other => Protocol::from(other.strip_prefix("IP_")?.parse::<u16>().ok()?),
    })
}

fn endpoint(words: &mut Words<'_>, what: &'static str) -> Result<SocketAddr, LineError> {
    let address = address(words.next(what)?).ok_or(LineError(what))?;
    let port = u16::from_str_radix(words.next(what)?, 16).map_err(|_| LineError(what))?;
    Ok(SocketAddr::new(address, port))
}

/// IPv4 in eight hexadecimal digits, IPv6 in eight groups of four.
fn address(word: &str) -> Option<IpAddr> {
    if word.contains(':') {
        return word.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let plain = word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(word, 16).ok())?.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests;
