//! A service: what a client connects to, and how its connections are spread.
//!
//! Identity ([`ServiceKey`]) and options ([`Service`]) are apart: the kernel can edit every option in place, and nothing of the identity.
//! Counters are neither; they are in [`ObservedService`](crate::ObservedService).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::BitOr;

use crate::{EngineName, SchedulerName};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl From<IpAddr> for Family {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// SCTP, 132.
    Sctp,
    /// Any other IP protocol number; the kernel takes 50 (ESP) and 51 (AH) and schedules neither.
    Other(u16),
}

impl Protocol {
    /// The IP protocol number.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }
}

impl From<u16> for Protocol {
    fn from(number: u16) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.pad("tcp"),
            Self::Udp => f.pad("udp"),
            Self::Sctp => f.pad("sctp"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

/// What identifies a service. Displays as `192.0.2.1:80/tcp` or `mark 7 ipv6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// A virtual address.
    Address {
        /// The protocol.
        protocol: Protocol,
        /// The virtual address; packets to it must reach the local input hook.
        address: IpAddr,
        /// The port; 0 is every port no other service has, and schedules only with persistence.
        port: u16,
    },
    /// Every packet that carries a firewall mark. Found before an address is looked at.
    Mark {
        /// The mark.
        mark: NonZeroU32,
        /// The packets' family: one mark can be two services.
        family: Family,
    },
}

impl ServiceKey {
    /// A TCP service.
    #[must_use]
    pub fn tcp(at: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::Tcp, address: at.ip(), port: at.port() }
    }

    /// A UDP service.
    #[must_use]
    pub fn udp(at: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::Udp, address: at.ip(), port: at.port() }
    }

    /// An SCTP service.
    #[must_use]
    pub fn sctp(at: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::Sctp, address: at.ip(), port: at.port() }
    }

    /// The family of the packets it takes.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => (*address).into(),
            Self::Mark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address { protocol, address, port } => write!(f, "{}/{protocol}", SocketAddr::new(address, port)),
            Self::Mark { mark, family: Family::V4 } => write!(f, "mark {mark}"),
            Self::Mark { mark, family: Family::V6 } => write!(f, "mark {mark} ipv6"),
        }
    }
}

/// Three bits whose meaning is the scheduler's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SchedulerFlags(u8);

impl SchedulerFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Flag 1. For `sh` and `mh`: when the server is unavailable, take another instead of refusing (`sh-fallback`, `mh-fallback`).
    pub const FALLBACK: Self = Self(1);
    /// Flag 2. For `sh` and `mh`: hash the source port too (`sh-port`, `mh-port`).
    pub const PORT: Self = Self(2);
    /// Flag 3; no scheduler in the kernel uses it.
    pub const THREE: Self = Self(4);

    /// From the lowest three bits; the rest is dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 7)
    }

    /// The three bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for SchedulerFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which clients persistence takes for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Netmask {
    /// IPv4: a mask. The kernel takes any, also one with holes.
    V4(Ipv4Addr),
    /// IPv6: a prefix length, 1 to 128; the kernel refuses others as invalid.
    V6(u8),
}

impl Netmask {
    /// Each address for itself.
    #[must_use]
    pub fn host(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(128),
        }
    }

    /// The family it is of.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }
}

/// Connections of one client go to one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persistence {
    /// For how long after its last connection ended, in seconds; ipvsadm's default is 360. The kernel keeps it in ticks in 32 bits without
    /// looking: at 250 ticks a second more than 17,179,869 seconds (198 days) wraps round and reads back as something else.
    pub timeout: u32,
    /// Which clients count as one. Must be of the service's family.
    pub netmask: Netmask,
}

/// How a service spreads its connections. All of it can be edited while connections run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// The scheduler.
    pub scheduler: SchedulerName,
    /// Its flags.
    pub scheduler_flags: SchedulerFlags,
    /// Persistence, if any. A service on port 0 schedules nothing without.
    pub persistence: Option<Persistence>,
    /// What recognises a client instead of its address: `sip`.
    pub engine: Option<EngineName>,
    /// Each packet is scheduled anew and leaves no connection behind. UDP only.
    pub one_packet: bool,
}

impl Service {
    /// A service with that scheduler and nothing else.
    #[must_use]
    pub fn new(scheduler: SchedulerName) -> Self {
        Self { scheduler, scheduler_flags: SchedulerFlags::NONE, persistence: None, engine: None, one_packet: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_an_operator_writes_it() {
        let at = |text: &str| text.parse().unwrap();
        assert_eq!(ServiceKey::tcp(at("192.0.2.1:80")).to_string(), "192.0.2.1:80/tcp");
        assert_eq!(ServiceKey::sctp(at("[2001:db8::1]:0")).to_string(), "[2001:db8::1]:0/sctp");
        let mark = NonZeroU32::new(7).unwrap();
        assert_eq!(ServiceKey::Mark { mark, family: Family::V4 }.to_string(), "mark 7");
        assert_eq!(ServiceKey::Mark { mark, family: Family::V6 }.to_string(), "mark 7 ipv6");
    }

    #[test]
    fn protocol_numbers_go_both_ways() {
        for number in 0..=300 {
            assert_eq!(Protocol::from(number).number(), number);
        }
    }
}
