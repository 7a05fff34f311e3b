//! Reads pcap files and takes Ethernet frames apart, as far as the captures need it. Test code: a file that is not what
//! it should be panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use vrrp::{Carrier, Endpoints};

/// The VRRP packet of a frame.
pub(crate) struct Packet {
    /// What the IP header says.
    pub(crate) carrier: Carrier,
    /// What is behind it, cut to the IP length.
    pub(crate) payload: Vec<u8>,
    /// What is behind it with the padding of the frame.
    pub(crate) padded: Vec<u8>,
}

/// The frames of `tests/captures/{name}.pcap`.
pub(crate) fn pcap(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name).with_extension("pcap");
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "little endian, microseconds");
    let mut rest = &file[24..];
    let mut frames = Vec::new();
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(header[8..12].try_into().unwrap());
        let (frame, behind) = behind.split_at(usize::try_from(length).unwrap());
        frames.push(frame.to_vec());
        rest = behind;
    }
    assert!(rest.is_empty() && !frames.is_empty());
    frames
}

/// The VRRP packet in an Ethernet frame; `None` when it carries something else.
pub(crate) fn vrrp(frame: &[u8]) -> Option<Packet> {
    let (ethernet, ip) = frame.split_at(14);
    match ethernet[12..] {
        [0x08, 0x00] if ip[9] == vrrp::packet::PROTOCOL => {
            let header = usize::from(ip[0] & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
            let address = |at: usize| IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap()));
            Some(Packet {
                carrier: Carrier { endpoints: Endpoints::unicast(address(12), address(16))?, hop_limit: ip[8] },
                payload: ip[header..total].to_vec(),
                padded: ip[header..].to_vec(),
            })
        }
        [0x86, 0xdd] if ip[6] == vrrp::packet::PROTOCOL => {
            let length = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
            let address = |at: usize| IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap()));
            Some(Packet {
                carrier: Carrier { endpoints: Endpoints::unicast(address(8), address(24))?, hop_limit: ip[7] },
                payload: ip[40..40 + length].to_vec(),
                padded: ip[40..].to_vec(),
            })
        }
        _ => None,
    }
}

/// Bytes of a string of hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
