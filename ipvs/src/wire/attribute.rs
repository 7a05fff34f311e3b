//! Netlink attributes: a reader that borrows, a writer that appends.
//!
//! Framing comes from `netlink-packet-core`; the typed reads are here because their errors name the attribute.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLA_F_NESTED, NLA_HEADER_SIZE, NlasIterator};

use super::ParseError;
use crate::{Family, Name};

/// One attribute of a nest, its value still bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    /// The nest it is in, for errors.
    what: &'static str,
    pub(super) kind: u16,
    value: &'a [u8],
}

/// The attributes in `bytes`, in order. Ends after the first framing error.
pub(super) fn attributes<'a>(
    what: &'static str,
    bytes: &'a [u8],
) -> impl Iterator<Item = Result<Attribute<'a>, ParseError>> {
    NlasIterator::new(bytes).map(move |attribute| {
        let attribute = attribute.map_err(|_| ParseError::Cut { what })?;
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        // The iterator has compared the length with what is there.
        let value = attribute.into_inner().get(NLA_HEADER_SIZE..length).ok_or(ParseError::Cut { what })?;
        Ok(Attribute { what, kind, value })
    })
}

impl<'a> Attribute<'a> {
    fn array<const N: usize>(&self) -> Result<[u8; N], ParseError> {
        self.value.try_into().map_err(|_| ParseError::Length {
            what: self.what,
            kind: self.kind,
            expected: N,
            found: self.value.len(),
        })
    }

    pub(super) fn u8(&self) -> Result<u8, ParseError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16_host(&self) -> Result<u16, ParseError> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(super) fn u16_be(&self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32_host(&self) -> Result<u32, ParseError> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(super) fn u64_host(&self) -> Result<u64, ParseError> {
        self.array().map(u64::from_ne_bytes)
    }

    /// `struct ip_vs_flags`: the flags; the mask says nothing in a dump.
    pub(super) fn flags(&self) -> Result<u32, ParseError> {
        let [a, b, c, d, ..] = self.array::<8>()?;
        Ok(u32::from_ne_bytes([a, b, c, d]))
    }

    /// `__be32`: an IPv4 address or mask.
    pub(super) fn ipv4(&self) -> Result<Ipv4Addr, ParseError> {
        self.array::<4>().map(Ipv4Addr::from)
    }

    /// `struct in6_addr`.
    pub(super) fn ipv6(&self) -> Result<Ipv6Addr, ParseError> {
        self.array::<16>().map(Ipv6Addr::from)
    }

    /// `union nf_inet_addr`, whose meaning is in another attribute.
    pub(super) fn address(&self) -> Result<RawAddress, ParseError> {
        self.array().map(RawAddress)
    }

    /// A string with or without its NUL; `None` when it is empty.
    pub(super) fn name<const MAX: usize>(&self) -> Result<Option<Name<MAX>>, ParseError> {
        let text = self.value.strip_suffix(&[0]).unwrap_or(self.value);
        if text.is_empty() {
            return Ok(None);
        }
        let (what, kind) = (self.what, self.kind);
        Name::from_bytes(text).map(Some).map_err(|error| ParseError::Name { what, kind, error })
    }

    /// The value as it is: a nest.
    pub(super) fn nest(&self) -> &'a [u8] {
        self.value
    }

    pub(super) fn bad_value(&self, value: u64) -> ParseError {
        ParseError::Value { what: self.what, kind: self.kind, value }
    }

    /// The family behind a `u16` in host order.
    pub(super) fn family(&self) -> Result<Family, ParseError> {
        use super::uapi::{AF_INET, AF_INET6};
        match self.u16_host()? {
            AF_INET => Ok(Family::V4),
            AF_INET6 => Ok(Family::V6),
            other => Err(self.bad_value(other.into())),
        }
    }
}

/// `union nf_inet_addr`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawAddress([u8; 16]);

impl RawAddress {
    pub(super) fn of(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => {
                let [a, b, c, d, ..] = self.0;
                Ipv4Addr::new(a, b, c, d).into()
            }
            Family::V6 => Ipv6Addr::from(self.0).into(),
        }
    }
}

/// The kernel's number of a family.
pub(super) fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => super::uapi::AF_INET,
        Family::V6 => super::uapi::AF_INET6,
    }
}

/// Appends attributes to a message.
pub(super) struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + NLA_HEADER_SIZE)
            .expect("the longest value is a name or a nest of fixed fields");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(super) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    pub(super) fn u16_host(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    pub(super) fn u16_be(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(super) fn u32_host(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// `struct ip_vs_flags` with a full mask: set these, clear all others.
    pub(super) fn flags(&mut self, kind: u16, flags: u32) {
        let mut value = [0xff; 8];
        value[..4].copy_from_slice(&flags.to_ne_bytes());
        self.bytes(kind, &value);
    }

    /// `union nf_inet_addr`: all 16 bytes, the kernel looks no shorter.
    pub(super) fn address(&mut self, kind: u16, address: IpAddr) {
        let mut value = [0; 16];
        match address {
            IpAddr::V4(v4) => value[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => value = v6.octets(),
        }
        self.bytes(kind, &value);
    }

    /// A NUL-terminated string.
    pub(super) fn name(&mut self, kind: u16, name: &str) {
        let mut value = [0; 32];
        value[..name.len()].copy_from_slice(name.as_bytes());
        self.bytes(kind, &value[..=name.len()]);
    }

    /// A nest of what `write` appends.
    pub(super) fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Writer<'_>)) {
        let start = self.0.len();
        self.bytes(kind | NLA_F_NESTED, &[]);
        write(&mut Writer(self.0));
        let length = u16::try_from(self.0.len() - start).expect("nests hold a few fixed fields");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}
