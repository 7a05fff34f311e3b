//! What names a virtual router, and the priority it claims. Values with one constructor each; nothing else.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;

/// Address family of a virtual router. The same VRID in both families names two independent routers (RFC 9568 §1).
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

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 3768, IPv4 only, whole seconds.
    V2,
    /// RFC 9568 (and RFC 5798 before it).
    V3,
}

impl Version {
    /// The number in the packet.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// Version and family together: version 2 exists for IPv4 only, and this type cannot say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3(Family),
}

impl Protocol {
    /// Its version.
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::V2 => Version::V2,
            Self::V3(_) => Version::V3,
        }
    }

    /// Its address family.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::V2 => Family::V4,
            Self::V3(family) => family,
        }
    }
}

/// Virtual router identifier, 1..=255, unique per interface and address family (RFC 9568 §5.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// `None` for 0, which names no router.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, 1..=255.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The virtual router's hardware address: 00-00-5E-00-01-{VRID} or, for IPv6, 00-00-5E-00-02-{VRID} (RFC 9568 §7.3).
    #[must_use]
    pub const fn mac(self, family: Family) -> [u8; 6] {
        let block = match family {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        [0x00, 0x00, 0x5e, 0x00, block, self.get()]
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What stays the same for the life of a [`Router`](crate::Router). Another version or VRID is another router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Version and family.
    pub protocol: Protocol,
    /// Number on the interface.
    pub vrid: Vrid,
}

/// Priority of a router that takes part, 1..=255. Higher wins (RFC 9568 §5.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// 255: the router that owns the addresses as its interface's own. It always preempts and never falls by tracking.
    pub const OWNER: Self = Self(NonZeroU8::MAX);
    /// 254, the highest of a router that is not the owner.
    pub const HIGHEST_BACKUP: Self = Self(NonZeroU8::new(254).expect("254 is not 0"));
    /// 1, the lowest.
    pub const LOWEST: Self = Self(NonZeroU8::MIN);

    /// `None` for 0, which is no priority: it resigns ([`AdvertPriority::Resign`]).
    #[must_use]
    pub const fn new(priority: u8) -> Option<Self> {
        match NonZeroU8::new(priority) {
            Some(priority) => Some(Self(priority)),
            None => None,
        }
    }

    /// The number, 1..=255.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// True for 255.
    #[must_use]
    pub fn is_owner(self) -> bool {
        self == Self::OWNER
    }

    /// This priority less `penalty`, clamped to 1..=254. The owner stays what it is: §5.2.4 leaves it no other number.
    #[must_use]
    pub fn lowered_by(self, penalty: u16) -> Self {
        if self.is_owner() {
            return self;
        }
        let left = u16::from(self.get()).saturating_sub(penalty);
        u8::try_from(left).ok().and_then(Self::new).unwrap_or(Self::LOWEST)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The priority field of an advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdvertPriority {
    /// 0: the active router stops taking part (RFC 9568 §5.2.4).
    Resign,
    /// 1..=255: the sender is active with this priority.
    Claim(Priority),
}

impl AdvertPriority {
    /// The number in the packet.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Resign => 0,
            Self::Claim(priority) => priority.get(),
        }
    }
}

impl From<u8> for AdvertPriority {
    fn from(number: u8) -> Self {
        Priority::new(number).map_or(Self::Resign, Self::Claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9568 §7.3, §5.2.3.
    #[test]
    fn virtual_mac_ends_in_the_vrid() {
        let vrid = Vrid::new(51).unwrap();
        assert_eq!(vrid.mac(Family::V4), [0x00, 0x00, 0x5e, 0x00, 0x01, 0x33]);
        assert_eq!(vrid.mac(Family::V6), [0x00, 0x00, 0x5e, 0x00, 0x02, 0x33]);
        assert_eq!(Vrid::new(0), None);
    }

    /// RFC 9568 §5.2.4: a backup uses 1-254, and the owner MUST use 255.
    #[test]
    fn penalties_clamp_to_1_and_spare_the_owner() {
        let priority = |number| Priority::new(number).unwrap();
        assert_eq!(priority(253).lowered_by(0), priority(253));
        assert_eq!(priority(253).lowered_by(3), priority(250));
        assert_eq!(priority(10).lowered_by(10), Priority::LOWEST);
        assert_eq!(priority(10).lowered_by(u16::MAX), Priority::LOWEST);
        assert_eq!(Priority::OWNER.lowered_by(200), Priority::OWNER);
    }
}
