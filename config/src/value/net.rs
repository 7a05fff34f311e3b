//! Prefixes, masks, ports and hardware addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::ParseError;

/// An address with a prefix length. Whether host bits may be set depends on the use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpNet {
    /// The address.
    pub addr: IpAddr,
    /// 0-32 or 0-128.
    pub prefix_len: u8,
}

impl IpNet {
    /// `None` when the length does not fit the family.
    #[must_use]
    pub fn new(addr: IpAddr, prefix_len: u8) -> Option<Self> {
        (prefix_len <= bits(addr)).then_some(Self { addr, prefix_len })
    }

    /// The address alone: /32 or /128.
    #[must_use]
    pub fn host(addr: IpAddr) -> Self {
        Self { addr, prefix_len: bits(addr) }
    }

    /// Whether it holds one address only.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.prefix_len == bits(self.addr)
    }

    /// The same prefix with host bits zero.
    #[must_use]
    pub fn network(&self) -> Self {
        let addr = match self.addr {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask4(self.prefix_len))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask6(self.prefix_len))),
        };
        Self { addr, ..*self }
    }

    /// Whether `addr` is in the prefix; never across families.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4()
            && Self { addr, prefix_len: self.prefix_len }.network().addr == self.network().addr
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let shorter = if self.prefix_len <= other.prefix_len { self } else { other };
        let longer = if self.prefix_len <= other.prefix_len { other } else { self };
        shorter.contains(longer.addr)
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.addr, self.prefix_len))
    }
}

impl FromStr for IpNet {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wanted = || ParseError("an address, a slash and a prefix length".to_owned());
        let (addr, len) = text.split_once('/').ok_or_else(wanted)?;
        let addr = addr.parse().map_err(|_| wanted())?;
        if len.is_empty() || len.len() > 3 || !len.bytes().all(|c| c.is_ascii_digit()) {
            return Err(wanted());
        }
        Self::new(addr, len.parse().map_err(|_| wanted())?).ok_or_else(wanted)
    }
}

/// Bits of an address of this family.
fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

fn mask4(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

fn mask6(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

/// What makes two clients one: an IPv4 netmask or a number of bits. Each is printed as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mask {
    /// 1-128; at most 32 when `dotted`.
    pub prefix_len: u8,
    /// Written as `255.255.255.0`.
    pub dotted: bool,
}

impl Mask {
    /// Reads a dotted netmask; `None` when its one bits are not contiguous.
    #[must_use]
    pub fn dotted(text: &str) -> Option<Self> {
        let bits = text.parse::<Ipv4Addr>().ok()?.to_bits();
        let prefix_len = u8::try_from(bits.leading_ones()).ok()?;
        (mask4(prefix_len) == bits).then_some(Self { prefix_len, dotted: true })
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dotted {
            write!(f, "{}", Ipv4Addr::from_bits(mask4(self.prefix_len)))
        } else {
            write!(f, "{}", self.prefix_len)
        }
    }
}

/// Six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MacAddr(
    /// In transmission order.
    pub [u8; 6],
);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

/// Accepts `02:00:00:00:00:01`, with hyphens, and the IOS form `0200.0000.0001`.
impl FromStr for MacAddr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wanted = || ParseError("a unicast hardware address such as 02:00:00:00:00:01".to_owned());
        let (separator, group) = match text.len() {
            17 if text.contains(':') => (':', 2),
            17 => ('-', 2),
            14 => ('.', 4),
            _ => return Err(wanted()),
        };
        let groups: Vec<&str> = text.split(separator).collect();
        if groups.len() * group != 12 || groups.iter().any(|g| g.len() != group) {
            return Err(wanted());
        }
        let digits: Vec<u8> = groups
            .concat()
            .chars()
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or_else(wanted))
            .collect::<Result<_, _>>()?;
        let mut bytes = [0; 6];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        // A group or zero address can never answer as a neighbour.
        if bytes[0] & 1 == 1 || bytes == [0; 6] { Err(wanted()) } else { Ok(Self(bytes)) }
    }
}

/// `any` or an inclusive range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// 0 with `last` 65535 is any.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}

impl Ports {
    /// Every port.
    pub const ANY: Self = Self { first: 0, last: u16::MAX };

    /// Whether the two share a port.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ANY => f.pad("any"),
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}
