//! Whether anybody has used nft since: the kernel counts the transactions of a network namespace and says who made the last one.
//!
//! One message of 20 bytes and its answer, so that a look every few seconds costs nothing; only when the number has changed is the table listed.

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// `NFNL_SUBSYS_NFTABLES` (linux/netfilter/nfnetlink.h), the high byte of a message's type.
const SUBSYSTEM: u16 = 10 << 8;
/// `NFT_MSG_NEWGEN` and `NFT_MSG_GETGEN` (linux/netfilter/nf_tables.h).
const NEW_GENERATION: u16 = SUBSYSTEM | 15;
const GET_GENERATION: u16 = SUBSYSTEM | 16;
/// `NFTA_GEN_ID`, big endian u32.
const ATTRIBUTE_ID: u16 = 1;
/// `NFTA_GEN_PROC_NAME`, text that ends with a zero.
const ATTRIBUTE_PROGRAM: u16 = 3;
/// `NLM_F_REQUEST` (linux/netlink.h).
const REQUEST: u16 = 1;
/// Of a netlink message, of the netfilter header after it, of an attribute's header.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;

/// The state of all tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Generation {
    /// Changes with every transaction.
    pub(crate) id: u32,
    /// The program that made the last one, by the name it gives itself.
    pub(crate) program: String,
}

/// Asks the kernel.
///
/// # Errors
/// Those of the socket; `InvalidData` for an answer that is none.
pub(crate) fn generation() -> io::Result<Generation> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // The kernel answers before the send returns.
    socket.set_non_blocking(true)?;
    socket.send(&question(), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer"))
}

fn question() -> [u8; HEADER + FAMILY_HEADER] {
    let mut message = [0; HEADER + FAMILY_HEADER];
    message[0..4].copy_from_slice(&20u32.to_ne_bytes());
    message[4..6].copy_from_slice(&GET_GENERATION.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    message
}

fn parse(message: &[u8]) -> Option<Generation> {
    let length = usize::try_from(u32::from_ne_bytes(message.get(0..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    if kind != NEW_GENERATION {
        return None;
    }
    let mut rest = message.get(HEADER + FAMILY_HEADER..length)?;
    let (mut id, mut program) = (None, String::new());
    while let Some(header) = rest.get(..ATTRIBUTE_HEADER) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        // The two highest bits are flags.
        match u16::from_ne_bytes([header[2], header[3]]) & 0x3fff {
            ATTRIBUTE_ID => id = Some(u32::from_be_bytes(value.try_into().ok()?)),
            ATTRIBUTE_PROGRAM => program = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Generation { id: id?, program })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.12 answers on a little-endian machine: id 7, process 291, `nft`.
    const ANSWER: &[u8] = b"\x2c\0\0\0\x0f\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\x08\0\x01\0\0\0\0\x07\x08\0\x02\0\0\0\x01\x23\x08\0\x03\0nft\0";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_answer_is_read() {
        assert_eq!(parse(ANSWER), Some(Generation { id: 7, program: "nft".into() }));
    }

    #[test]
    fn cut_and_foreign_answers_are_none() {
        for length in 0..ANSWER.len() {
            assert_eq!(parse(&ANSWER[..length]), None, "{length} bytes");
        }
        for place in 0..ANSWER.len() {
            let mut bytes = ANSWER.to_vec();
            bytes[place] = bytes[place].wrapping_add(1);
            // Whatever it says, it does not panic.
            let _ = parse(&bytes);
        }
        // NLMSG_ERROR.
        assert_eq!(
            parse(b"\x24\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x14\0\0\0\x10\x0a\x01\0\0\0\0\0\0\0\0\0"),
            None
        );
    }
}
