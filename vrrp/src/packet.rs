//! VRRP messages: bytes to values and back. One message type exists, ADVERTISEMENT, in versions 2 and 3.
//!
//! What is derivable is no field: the count, the checksum and the authentication data are made on emission. Reading has
//! two steps because the receive checks of RFC 9568 §7.1 have an order: [`Message::parse`] needs nothing but the packet
//! (version, type, length, checksum); [`Message::advertisement`] does the checks that come after the VRID was found to be
//! ours. The IP header is the caller's ([`Carrier`]); authentication is in [`auth`](crate::auth).
//!
//! ```text
//! version 2 (RFC 3768 §5.1)                       version 3 (RFC 9568 §5.2)
//! +-------+-------+-------+-------+               +-------+-------+-------+-------+
//! | 2 | 1 | VRID  | Prio  | Count |               | 3 | 1 | VRID  | Prio  | Count |
//! +-------+-------+-------+-------+               +-------+-------+-------+-------+
//! | Auth  | Int s |   Checksum    |               | 0 |  Interval |   Checksum    |   12 bits of centiseconds
//! +-------+-------+---------------+               +-----------+---+---------------+
//! | Count x IPv4 address          |               | Count x address, 4 or 16 bytes|
//! +-------------------------------+               +-------------------------------+
//! | authentication data, 8 bytes  |
//! +-------------------------------+               either may be followed by an HMAC trailer of 28 bytes
//! ```

mod checksum;
mod endpoints;
#[cfg(test)]
mod tests;

pub use endpoints::{Carrier, Endpoints, GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL, TRAFFIC_CLASS};

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::auth::{Password, Seal, TRAILER_BYTES};
use crate::{AddressList, AdvertInterval, AdvertPriority, Family, Protocol, Version, Vrid};

/// ADVERTISEMENT, the only type (RFC 9568 §5.2.2).
const TYPE_ADVERTISEMENT: u8 = 1;
/// Next header of ICMPv6, whose checksum is made like ours.
pub(crate) const ICMPV6: u8 = 58;
/// The fixed part in front of the addresses.
const HEADER_BYTES: usize = 8;
/// Authentication data of version 2, there even when unused.
const AUTH_DATA_BYTES: usize = 8;
/// Length of a CARP packet (OpenBSD, Kemp), whose first byte is that of VRRP version 2, and its `authlen` where VRRP has
/// the count.
const CARP_BYTES: usize = 36;
const CARP_AUTHLEN: u8 = 7;
/// Largest message: 8 + 255 * 16 + 28.
pub const MESSAGE_BYTES_MAX: usize = HEADER_BYTES + 255 * 16 + TRAILER_BYTES;

/// Which bytes an IPv4 checksum covers. IPv6 has no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumForm {
    /// The message alone: version 2, and version 3 since RFC 9568 §5.2.8 (Cisco, Juniper, Arista).
    MessageOnly,
    /// A pseudo-header in front: IPv6, and the usual reading of RFC 5798 for IPv4 (keepalived, FRR).
    PseudoHeader,
}

/// Why bytes are no advertisement. Every variant has a counter ([`Discard`](crate::Discard)), so none carries data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// Shorter than header, addresses and authentication data together.
    #[error("the packet is cut off")]
    Truncated,
    /// Neither 2 nor 3, or 2 over IPv6.
    #[error("the version is not 2 or 3")]
    Version,
    /// Not ADVERTISEMENT.
    #[error("the type is not advertisement")]
    Type,
    /// Not VRRP at all but CARP, which shares protocol number, group and first byte.
    #[error("this is a carp packet")]
    Carp,
    /// Bytes behind the message that are neither padding nor a trailer.
    #[error("unknown bytes follow the message")]
    Trailing,
    /// Neither form of the checksum holds.
    #[error("the checksum is wrong")]
    Checksum,
    /// VRID 0.
    #[error("the virtual router id is 0")]
    Vrid,
    /// RFC 9568 §5.2.5.
    #[error("the address count is 0")]
    NoAddresses,
    /// RFC 9568 §7.1, erratum 8301.
    #[error("the advertisement interval is 0")]
    ZeroInterval,
    /// RFC 9568 §5.2.9.
    #[error("the first ipv6 address is not link-local")]
    NotLinkLocal,
}

/// A complete packet with a right checksum. It may still name a virtual router that is not ours.
#[derive(Debug, Clone, Copy)]
pub struct Message<'p> {
    /// The message without trailer and padding.
    bytes: &'p [u8],
    trailer: Option<&'p [u8; TRAILER_BYTES]>,
    protocol: Protocol,
    vrid: Vrid,
    checksum: ChecksumForm,
}

impl<'p> Message<'p> {
    /// Checks version, type, length and checksum of an IP payload, in this order (RFC 9568 §7.1).
    ///
    /// Reserved bits are ignored (§5.2.6). Zeros behind the message are Ethernet padding.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn parse(payload: &'p [u8], endpoints: &Endpoints) -> Result<Self, ParseError> {
        let header: &[u8; HEADER_BYTES] = payload.first_chunk().ok_or(ParseError::Truncated)?;
        let protocol = match (header[0] >> 4, endpoints.family()) {
            (2, Family::V4) => Protocol::V2,
            (3, family) => Protocol::V3(family),
            _ => return Err(ParseError::Version),
        };
        if header[0] & 0x0f != TYPE_ADVERTISEMENT {
            return Err(ParseError::Type);
        }
        if protocol == Protocol::V2 && payload.len() == CARP_BYTES && header[3] == CARP_AUTHLEN {
            return Err(ParseError::Carp);
        }
        let (bytes, behind) =
            payload.split_at_checked(message_bytes(protocol, header[3])).ok_or(ParseError::Truncated)?;
        let (trailer, padding) = match behind.split_first_chunk() {
            // No padding is 28 bytes long: a frame is padded to 46 bytes of payload, and IP and VRRP take 28 of them.
            Some((trailer, padding)) if trailer.iter().any(|byte| *byte != 0) => (Some(trailer), padding),
            _ => (None, behind),
        };
        if padding.iter().any(|byte| *byte != 0) {
            return Err(ParseError::Trailing);
        }
        let covered = &payload[..bytes.len() + trailer.map_or(0, |trailer| trailer.len())];
        let checksum = verify(protocol, bytes, covered, endpoints).ok_or(ParseError::Checksum)?;
        let vrid = Vrid::new(header[1]).ok_or(ParseError::Vrid)?;
        Ok(Self { bytes, trailer, protocol, vrid, checksum })
    }

    /// The checks that follow the lookup of the VRID: count, interval, first IPv6 address; and the value.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn advertisement(&self) -> Result<Advertisement, ParseError> {
        let count = usize::from(self.bytes[3]);
        if count == 0 {
            return Err(ParseError::NoAddresses);
        }
        let interval = match self.protocol {
            Protocol::V2 => AdvertInterval::seconds(self.bytes[5]),
            Protocol::V3(_) => AdvertInterval::centis(u16::from_be_bytes([self.bytes[4] & 0x0f, self.bytes[5]])),
        };
        let interval = interval.map_err(|_| ParseError::ZeroInterval)?;
        let list = &self.bytes[HEADER_BYTES..];
        let addresses = match self.protocol.family() {
            Family::V4 => AddressList::V4(list.as_chunks().0.iter().take(count).copied().map(Ipv4Addr::from).collect()),
            Family::V6 => AddressList::V6(list.as_chunks().0.iter().take(count).copied().map(Ipv6Addr::from).collect()),
        };
        if !starts_link_local(&addresses) {
            return Err(ParseError::NotLinkLocal);
        }
        Ok(Advertisement { vrid: self.vrid, priority: self.bytes[2].into(), interval, addresses })
    }

    /// Version and family.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whose advertisement it claims to be.
    #[must_use]
    pub const fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// The form of the checksum that held; for IPv4 in version 3 worth remembering, to answer in the same.
    #[must_use]
    pub const fn checksum(&self) -> ChecksumForm {
        self.checksum
    }

    /// Type and data of version 2's authentication; `None` in version 3, which has none.
    #[must_use]
    pub fn text_auth(&self) -> Option<(u8, &'p [u8; AUTH_DATA_BYTES])> {
        match self.protocol {
            Protocol::V2 => Some((self.bytes[4], self.bytes.last_chunk()?)),
            Protocol::V3(_) => None,
        }
    }

    /// The bytes that an HMAC covers, checksum included, and the trailer with the HMAC.
    #[must_use]
    pub const fn trailer(&self) -> Option<(&'p [u8], &'p [u8; TRAILER_BYTES])> {
        match self.trailer {
            Some(trailer) => Some((self.bytes, trailer)),
            None => None,
        }
    }
}

/// What an active router says. Whether it is a valid thing to say was checked when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    vrid: Vrid,
    priority: AdvertPriority,
    /// Its unit tells the version.
    interval: AdvertInterval,
    addresses: AddressList,
}

/// An advertisement that no version of VRRP can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdvertisementError {
    /// Version 2 is IPv4 only.
    #[error("version 2 carries no IPv6 addresses")]
    Version2Ipv6,
    /// RFC 9568 §5.2.5.
    #[error("an advertisement carries at least one address")]
    NoAddresses,
    /// RFC 9568 §5.2.9.
    #[error("the first IPv6 address of an advertisement is link-local")]
    NotLinkLocal,
}

impl Advertisement {
    /// The unit of `interval` decides the version, the family of `addresses` the family.
    ///
    /// # Errors
    /// See [`AdvertisementError`].
    pub fn new(
        vrid: Vrid,
        priority: AdvertPriority,
        interval: AdvertInterval,
        addresses: AddressList,
    ) -> Result<Self, AdvertisementError> {
        if interval.version() == Version::V2 && addresses.family() == Family::V6 {
            return Err(AdvertisementError::Version2Ipv6);
        }
        if addresses.is_empty() {
            return Err(AdvertisementError::NoAddresses);
        }
        if !starts_link_local(&addresses) {
            return Err(AdvertisementError::NotLinkLocal);
        }
        Ok(Self { vrid, priority, interval, addresses })
    }

    /// Version and family.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.interval.version() {
            Version::V2 => Protocol::V2,
            Version::V3 => Protocol::V3(self.addresses.family()),
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// Claimed priority, or resignation.
    #[must_use]
    pub const fn priority(&self) -> AdvertPriority {
        self.priority
    }

    /// How often the sender advertises.
    #[must_use]
    pub const fn interval(&self) -> AdvertInterval {
        self.interval
    }

    /// Addresses of the virtual router.
    #[must_use]
    pub const fn addresses(&self) -> &AddressList {
        &self.addresses
    }

    /// Writes the IP payload into `out`, replacing what is there; `out` allocates only while it is too small.
    ///
    /// `form` matters for version 3 over IPv4 only. The trailer of `seal` is outside of an IPv4 checksum and inside of an
    /// IPv6 one, as keepalived has it.
    ///
    /// # Panics
    /// When `endpoints` are of another family than the addresses: a router and its socket do not fit.
    pub fn emit(&self, endpoints: &Endpoints, form: ChecksumForm, seal: Seal<'_>, out: &mut Vec<u8>) {
        assert_eq!(endpoints.family(), self.addresses.family(), "the carrier has the family of the addresses (§5.2.9)");
        let protocol = self.protocol();
        let count = u8::try_from(self.addresses.len()).expect("an address list holds at most 255");
        let [interval_high, interval_low] = self.interval.field().to_be_bytes();
        out.clear();
        out.extend([(protocol.version().number() << 4) | TYPE_ADVERTISEMENT, self.vrid.get()]);
        out.extend([self.priority.number(), count]);
        out.extend(match protocol {
            Protocol::V2 => [seal.text_auth_type(), interval_low],
            // The reserved bits are the zeros above a 12-bit interval (§5.2.6).
            Protocol::V3(_) => [interval_high, interval_low],
        });
        out.extend([0, 0]);
        match &self.addresses {
            AddressList::V4(list) => list.iter().for_each(|address| out.extend(address.octets())),
            AddressList::V6(list) => list.iter().for_each(|address| out.extend(address.octets())),
        }
        if protocol == Protocol::V2 {
            out.extend(seal.password().map_or([0; AUTH_DATA_BYTES], Password::data));
        }
        let message = out.len();
        if let Some(trailer) = seal.trailer(endpoints, protocol.version(), self.vrid, out) {
            out.extend(trailer);
        }
        let sum = match (protocol, form) {
            (Protocol::V2, _) | (Protocol::V3(Family::V4), ChecksumForm::MessageOnly) => {
                checksum::of(&out[..message], 0)
            }
            (Protocol::V3(Family::V4), ChecksumForm::PseudoHeader) => {
                checksum::of(&out[..message], checksum::pseudo_header(endpoints, PROTOCOL, message))
            }
            (Protocol::V3(Family::V6), _) => checksum::of(out, checksum::pseudo_header(endpoints, PROTOCOL, out.len())),
        };
        out[6..HEADER_BYTES].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Length of a message with `count` addresses, without trailer.
fn message_bytes(protocol: Protocol, count: u8) -> usize {
    let count = usize::from(count);
    match protocol {
        Protocol::V2 => HEADER_BYTES + count * 4 + AUTH_DATA_BYTES,
        Protocol::V3(Family::V4) => HEADER_BYTES + count * 4,
        Protocol::V3(Family::V6) => HEADER_BYTES + count * 16,
    }
}

/// The form in which the checksum holds. `bytes` are the message, `covered` those and the trailer.
fn verify(protocol: Protocol, bytes: &[u8], covered: &[u8], endpoints: &Endpoints) -> Option<ChecksumForm> {
    let message_only = || checksum::holds(bytes, 0).then_some(ChecksumForm::MessageOnly);
    let pseudo_header = |bytes: &[u8]| {
        let start = checksum::pseudo_header(endpoints, PROTOCOL, bytes.len());
        checksum::holds(bytes, start).then_some(ChecksumForm::PseudoHeader)
    };
    match protocol {
        Protocol::V2 => message_only(),
        Protocol::V3(Family::V4) => pseudo_header(bytes).or_else(message_only),
        Protocol::V3(Family::V6) => pseudo_header(covered),
    }
}

/// The checksum of an IPv4 header whose checksum field is zero (RFC 791 §3.1).
pub(crate) fn ipv4_checksum(header: &[u8]) -> u16 {
    checksum::of(header, 0)
}

/// The checksum of an ICMPv6 message whose checksum field is zero (RFC 4443 §2.3).
pub(crate) fn icmpv6_checksum(source: &Ipv6Addr, destination: &Ipv6Addr, message: &[u8]) -> u16 {
    let endpoints = Endpoints::V6 { source: *source, destination: *destination };
    checksum::of(message, checksum::pseudo_header(&endpoints, ICMPV6, message.len()))
}

/// True for IPv4, and for IPv6 whose first address is of fe80::/10.
fn starts_link_local(addresses: &AddressList) -> bool {
    match addresses {
        AddressList::V4(_) => true,
        AddressList::V6(list) => list.first().is_some_and(Ipv6Addr::is_unicast_link_local),
    }
}
