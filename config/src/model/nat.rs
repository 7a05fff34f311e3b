//! Source addresses: `ip nat pool`, and which of them a virtual server of mode fullnat takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::value::Name;

/// `ip nat pool NAME FIRST [LAST]`: source addresses of mode fullnat and of hosts inside. As long as it is configured, this box answers for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NatPool {
    /// The first address.
    pub first: IpAddr,
    /// The last, of the same family and not before the first.
    pub last: IpAddr,
}

impl NatPool {
    /// Addresses a pool may have. Each of them has 64,000 connections to one port of one real server, so that these have more than fit in any
    /// memory; and each is an address of an interface, where the kernel looks through all of them to add one.
    pub const MAX: u128 = 4096;

    /// Whether it holds this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// How many addresses it holds; 0 when it is not well formed.
    #[must_use]
    pub fn count(&self) -> u128 {
        let (first, last) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (u128::from(first.to_bits()), u128::from(last.to_bits())),
            (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits()),
            _ => return 0,
        };
        last.checked_sub(first).map_or(0, |more| more.saturating_add(1))
    }

    /// Every address, in order, at most [`NatPool::MAX`].
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (0..self.count().min(Self::MAX)).map(move |offset| match self.first {
            IpAddr::V4(first) => {
                let offset = u32::try_from(offset).expect("a pool is smaller than 2^32");
                Ipv4Addr::from_bits(first.to_bits().wrapping_add(offset)).into()
            }
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().wrapping_add(offset)).into(),
        })
    }
}

/// `source-nat ...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SourceNat {
    /// The address of the interface the packet leaves by.
    #[default]
    Interface,
    /// An `ip nat pool`.
    Pool(Name),
}
