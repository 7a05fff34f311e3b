//! What the IP header around a VRRP message says. Building and reading that header is the daemon's, or the kernel's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Family;

/// IP protocol number and IPv6 next header (RFC 9568 §5.1.1.4).
pub const PROTOCOL: u8 = 112;
/// TTL or hop limit of every packet: whoever is off the link cannot send one (RFC 9568 §5.1.1.3, §5.1.2.3).
pub const HOP_LIMIT: u8 = 255;
/// IPv4 group (RFC 9568 §5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// IPv6 group (RFC 9568 §5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// TOS and traffic class CS6, network control: the RFC asks for priority (§2.5) and names no number; keepalived and FRR
/// send this one.
pub const TRAFFIC_CLASS: u8 = 0xc0;

/// Source and destination of a packet: one family, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoints {
    /// IPv4.
    V4 {
        /// Primary address of the sending interface (RFC 9568 §5.1.1.1).
        source: Ipv4Addr,
        /// [`GROUP_V4`] or a unicast peer.
        destination: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Link-local address of the sending interface (RFC 9568 §5.1.2.1).
        source: Ipv6Addr,
        /// [`GROUP_V6`] or a unicast peer.
        destination: Ipv6Addr,
    },
}

impl Endpoints {
    /// From `source` to the group of its family.
    #[must_use]
    pub const fn multicast(source: IpAddr) -> Self {
        match source {
            IpAddr::V4(source) => Self::V4 { source, destination: GROUP_V4 },
            IpAddr::V6(source) => Self::V6 { source, destination: GROUP_V6 },
        }
    }

    /// From `source` to a unicast peer; `None` when the families differ.
    #[must_use]
    pub const fn unicast(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4 { source, destination }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6 { source, destination }),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// Their family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::V4 { .. } => Family::V4,
            Self::V6 { .. } => Family::V6,
        }
    }

    /// Who sent it.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match self {
            Self::V4 { source, .. } => IpAddr::V4(*source),
            Self::V6 { source, .. } => IpAddr::V6(*source),
        }
    }

    /// To whom.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        match self {
            Self::V4 { destination, .. } => IpAddr::V4(*destination),
            Self::V6 { destination, .. } => IpAddr::V6(*destination),
        }
    }

    /// True when it went to the group of its family.
    #[must_use]
    pub fn is_multicast(&self) -> bool {
        match self {
            Self::V4 { destination, .. } => *destination == GROUP_V4,
            Self::V6 { destination, .. } => *destination == GROUP_V6,
        }
    }
}

/// The parts of a received IP header that the receive checks need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrier {
    /// Source and destination.
    pub endpoints: Endpoints,
    /// TTL (in the header that a raw IPv4 socket delivers) or hop limit (IPV6_RECVHOPLIMIT).
    pub hop_limit: u8,
}
