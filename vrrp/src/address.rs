//! The addresses of an advertisement: one family, at most 255, in order. Which of a group's addresses are advertised is
//! decided here; adding them to an interface is not this crate's work.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Family;

/// Most addresses in one advertisement: the count is 8 bits (RFC 9568 §5.2.5).
pub const COUNT_MAX: usize = 255;

/// Payload that reaches every IPv6 link unfragmented: the minimum MTU of 1280 less the larger (IPv6) header of 40.
/// A constant, and not the MTU of the interface, so that both boxes of a pair advertise the same list.
const PAYLOAD_BYTES: usize = 1280 - 40;

/// Largest of what stands around the addresses: 8 header, 8 authentication data of version 2, 28 HMAC trailer.
const AROUND_BYTES: usize = 8 + 8 + 28;

/// Addresses of one family, 0..=255 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one value per router; boxing would allocate where packets are parsed")]
pub enum AddressList {
    /// IPv4.
    V4(heapless::Vec<Ipv4Addr, COUNT_MAX>),
    /// IPv6, the virtual router's link-local address first (RFC 9568 §5.2.9).
    V6(heapless::Vec<Ipv6Addr, COUNT_MAX>),
}

/// What [`AddressList::select`] chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What the advertisement carries.
    pub advertised: AddressList,
    /// How many addresses of the group it does not carry. They move with the group all the same.
    pub left: usize,
}

/// Why a group's addresses make no advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// RFC 9568 §5.2.5 asks for at least one.
    #[error("there is no address of this family to advertise")]
    NoAddress,
    /// RFC 9568 §5.2.9: the first IPv6 address is the link-local address of the virtual router.
    #[error("an IPv6 group needs a link-local address of its own, for example: address fe80::51/64")]
    NoLinkLocal,
}

impl AddressList {
    /// Most addresses we put into one advertisement: 255 IPv4 addresses, 74 IPv6 addresses.
    #[must_use]
    pub const fn advertised_max(family: Family) -> usize {
        let fit = match family {
            Family::V4 => (PAYLOAD_BYTES - AROUND_BYTES) / 4,
            Family::V6 => (PAYLOAD_BYTES - AROUND_BYTES) / 16,
        };
        if fit < COUNT_MAX { fit } else { COUNT_MAX }
    }

    /// The addresses of `family` that are advertised: in the given order, the first link-local address of IPv6 in front,
    /// as many as one packet holds. The others are left: they are taken and dropped with the group but not advertised,
    /// as keepalived's `virtual_ipaddress_excluded`. Addresses of the other family count as left.
    ///
    /// # Errors
    /// [`SelectError`].
    pub fn select(group: &[IpAddr], family: Family) -> Result<Selection, SelectError> {
        let room = Self::advertised_max(family);
        let advertised = match family {
            Family::V4 => {
                let all = group.iter().filter_map(|address| match address {
                    IpAddr::V4(address) => Some(*address),
                    IpAddr::V6(_) => None,
                });
                Self::V4(all.take(room).collect())
            }
            Family::V6 => {
                let all = || {
                    group.iter().filter_map(|address| match address {
                        IpAddr::V4(_) => None,
                        IpAddr::V6(address) => Some(*address),
                    })
                };
                if all().next().is_none() {
                    return Err(SelectError::NoAddress);
                }
                let first = all().find(Ipv6Addr::is_unicast_link_local).ok_or(SelectError::NoLinkLocal)?;
                let others = all().filter(|address| *address != first);
                Self::V6(std::iter::once(first).chain(others).take(room).collect())
            }
        };
        if advertised.is_empty() {
            return Err(SelectError::NoAddress);
        }
        let left = group.len() - advertised.len();
        Ok(Selection { advertised, left })
    }

    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }

    /// How many, 0..=255.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::V4(list) => list.len(),
            Self::V6(list) => list.len(),
        }
    }

    /// True without an address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let (v4, v6): (&[Ipv4Addr], &[Ipv6Addr]) = match self {
            Self::V4(list) => (list, &[]),
            Self::V6(list) => (&[], list),
        };
        v4.iter().copied().map(IpAddr::V4).chain(v6.iter().copied().map(IpAddr::V6))
    }

    /// True when both hold the same addresses, in whatever order: order is for humans (RFC 9568 §5.2.9).
    #[must_use]
    pub fn same_set(&self, other: &Self) -> bool {
        // The usual case first: 255 addresses compared with 255 would cost at 10 ms intervals.
        self == other
            || self.len() == other.len()
                && self.iter().all(|address| other.iter().any(|theirs| theirs == address))
                && other.iter().all(|address| self.iter().any(|ours| ours == address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        IpAddr::from([10, 0, high, low])
    }

    fn v6(number: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number])
    }

    /// Issue: more addresses than one advertisement holds.
    #[test]
    fn more_addresses_than_fit_are_left_but_counted() {
        let group: Vec<IpAddr> = (0..300).map(v4).collect();
        let chosen = AddressList::select(&group, Family::V4).unwrap();
        assert_eq!((chosen.advertised.len(), chosen.left), (255, 45));
        assert!(chosen.advertised.iter().eq(group[..255].iter().copied()));

        let link_local: IpAddr = "fe80::51".parse().unwrap();
        let group: Vec<IpAddr> = (0..200).map(v6).chain([link_local]).collect();
        let chosen = AddressList::select(&group, Family::V6).unwrap();
        assert_eq!((chosen.advertised.len(), chosen.left), (74, 127));
        assert_eq!(8 + 74 * 16 + 28, 1220, "one packet of IPv6's minimum MTU");
    }

    /// RFC 9568 §5.2.9: "the first address MUST be the IPv6 link-local address associated with the Virtual Router".
    #[test]
    fn the_link_local_address_comes_first() {
        let link_local: IpAddr = "fe80::51".parse().unwrap();
        let chosen = AddressList::select(&[v6(1), link_local, v6(2), v4(9)], Family::V6).unwrap();
        assert!(chosen.advertised.iter().eq([link_local, v6(1), v6(2)]));
        assert_eq!(chosen.left, 1, "the IPv4 address moves with the group");
        assert_eq!(AddressList::select(&[v6(1)], Family::V6), Err(SelectError::NoLinkLocal));
    }

    #[test]
    fn nothing_to_advertise_is_refused() {
        assert_eq!(AddressList::select(&[], Family::V4), Err(SelectError::NoAddress));
        assert_eq!(AddressList::select(&[v4(1)], Family::V6), Err(SelectError::NoAddress));
        assert_eq!(AddressList::select(&[v6(1)], Family::V4), Err(SelectError::NoAddress));
    }

    #[test]
    fn order_does_not_make_lists_differ() {
        let list = |group: &[IpAddr]| AddressList::select(group, Family::V4).unwrap().advertised;
        assert!(list(&[v4(1), v4(2)]).same_set(&list(&[v4(2), v4(1)])));
        assert!(!list(&[v4(1), v4(2)]).same_set(&list(&[v4(1), v4(3)])));
        assert!(!list(&[v4(1), v4(1)]).same_set(&list(&[v4(1), v4(2)])));
    }
}
