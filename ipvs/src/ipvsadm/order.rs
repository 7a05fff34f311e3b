//! The order of a listing: ipvsadm's, with its quirks.
//!
//! It subtracts 32-bit numbers and looks at the sign, so that 255.0.0.0 comes before 10.0.0.0, which no total order does. Rust's sorts may
//! panic on such; the C library's merge sort does not, and its result is part of the output. So here is that merge sort.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::{DestinationKey, Family, ServiceKey};

/// Sorts as the C library does: halves, the first the smaller, and of equals the left one first.
pub(super) fn merge_sort<T: Copy>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if items.len() < 2 {
        return items.to_vec();
    }
    let (left, right) = items.split_at(items.len() / 2);
    let (left, right) = (merge_sort(left, compare), merge_sort(right, compare));
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut sorted = Vec::with_capacity(items.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if compare(a, b) == Ordering::Greater { right.next() } else { left.next() };
        sorted.extend(next);
    }
    sorted.extend(left.chain(right));
    sorted
}

/// The sign of a difference that wraps round.
fn difference(a: u32, b: u32) -> Ordering {
    a.wrapping_sub(b).cast_signed().cmp(&0)
}

/// Marks, then family, protocol, address, port.
pub(super) fn services(a: &ServiceKey, b: &ServiceKey) -> Ordering {
    let parts = |key: &ServiceKey| match *key {
        ServiceKey::Mark { mark, .. } => (mark.get(), 0, IpAddr::from([0; 4]), 0),
        ServiceKey::Address { protocol, address, port } => (0, protocol.number(), address, port),
    };
    let family = |key: &ServiceKey| match key.family() {
        Family::V4 => 0,
        Family::V6 => 1,
    };
    let ((a_mark, a_protocol, a_address, a_port), (b_mark, b_protocol, b_address, b_port)) = (parts(a), parts(b));
    difference(a_mark, b_mark)
        .then(family(a).cmp(&family(b)))
        .then(a_protocol.cmp(&b_protocol))
        .then_with(|| addresses(a_address, b_address))
        .then(a_port.cmp(&b_port))
}

/// Address, port. Families may be mixed; the left one's says how much of the address is looked at.
pub(super) fn destinations(a: &DestinationKey, b: &DestinationKey) -> Ordering {
    addresses(a.address, b.address).then(a.port.cmp(&b.port))
}

fn addresses(a: IpAddr, b: IpAddr) -> Ordering {
    let words = |address: IpAddr| -> [u32; 4] {
        match address {
            IpAddr::V4(v4) => [v4.to_bits(), 0, 0, 0],
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                [96, 64, 32, 0].map(|shift| u32::try_from(bits >> shift & u128::from(u32::MAX)).unwrap_or(0))
            }
        }
    };
    let looked_at = if a.is_ipv6() { 4 } else { 1 };
    let pairs = words(a).into_iter().zip(words(b)).take(looked_at);
    pairs.map(|(a, b)| difference(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_numbers_stably() {
        for length in 0..20usize {
            let items: Vec<(usize, usize)> = (0..length).map(|n| ((n * 7) % 5, n)).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            assert_eq!(merge_sort(&items, &|a, b| a.0.cmp(&b.0)), expected);
        }
    }

    #[test]
    fn orders_servers_as_ipvsadm_was_seen_to() {
        // From a listing of ipvsadm 1.31; the kernel's order was the reverse of the order of addition.
        let added = [
            "10.0.0.250:82",
            "[2001:db8::1]:81",
            "[a00::1]:81",
            "[7fff::1]:81",
            "[8000::1]:81",
            "9.0.0.1:1",
            "10.0.0.1:1",
            "11.0.0.1:1",
            "128.0.0.1:1",
            "127.0.0.1:1",
            "255.1.1.1:1",
            "1.1.1.1:1",
        ];
        let listed = [
            "255.1.1.1:1",
            "1.1.1.1:1",
            "9.0.0.1:1",
            "[a00::1]:81",
            "10.0.0.1:1",
            "10.0.0.250:82",
            "11.0.0.1:1",
            "[2001:db8::1]:81",
            "127.0.0.1:1",
            "[7fff::1]:81",
            "[8000::1]:81",
            "128.0.0.1:1",
        ];
        let keys = |list: &[&str]| -> Vec<DestinationKey> {
            list.iter().map(|at| DestinationKey::new(at.parse().unwrap())).collect()
        };
        let mut kernel = keys(&added);
        kernel.reverse();
        assert_eq!(merge_sort(&kernel, &destinations), keys(&listed));
    }
}
