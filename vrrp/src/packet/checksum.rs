//! The Internet checksum (RFC 1071) over a VRRP message, with and without the pseudo-header. Which form a packet needs is
//! decided in [`packet`](super).

use super::Endpoints;

/// Sum of the 16-bit words of `bytes`, an odd last byte padded with zero, on top of `start`. Not yet folded.
fn sum(bytes: &[u8], start: u32) -> u32 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let words = pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair)));
    // 4100 bytes are 2050 words of 16 bits: 32 bits cannot overflow.
    words.chain(odd.iter().map(|byte| u32::from(*byte) << 8)).fold(start, |total, word| total + word)
}

/// The carries brought back: one's complement addition.
fn fold(total: u32) -> u16 {
    let once = (total & 0xffff) + (total >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    u16::try_from(twice).expect("two folds leave 16 bits")
}

/// Sum of the pseudo-header: for IPv6 RFC 8200 §8.1, for IPv4 the one of TCP and UDP (source, destination, 0, protocol,
/// length).
pub(super) fn pseudo_header(endpoints: &Endpoints, protocol: u8, length: usize) -> u32 {
    let length = u32::try_from(length).expect("a message has at most 4116 bytes");
    let addresses = match endpoints {
        Endpoints::V4 { source, destination } => sum(&destination.octets(), sum(&source.octets(), 0)),
        Endpoints::V6 { source, destination } => sum(&destination.octets(), sum(&source.octets(), 0)),
    };
    addresses + (length & 0xffff) + (length >> 16) + u32::from(protocol)
}

/// True when `bytes`, with the checksum in place, sum up to all ones on top of `start`.
pub(super) fn holds(bytes: &[u8], start: u32) -> bool {
    fold(sum(bytes, start)) == 0xffff
}

/// The checksum of `bytes`, whose checksum field is zero, on top of `start`.
pub(super) fn of(bytes: &[u8], start: u32) -> u16 {
    !fold(sum(bytes, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes, 0)), 0xddf2);
        assert_eq!(of(&bytes, 0), 0x220d);
        assert_eq!(fold(sum(&[0x12, 0x34, 0x56], 0)), 0x1234 + 0x5600);
    }
}
