//! Netlink messages around the attributes: splitting what the kernel sends, and finding the family's number.

use netlink_packet_core::{NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer};
use netlink_packet_generic::constants::{
    CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, CTRL_CMD_NEWFAMILY, GENL_HDRLEN, GENL_ID_CTRL,
};

use super::attribute::{Writer, attributes};
use super::request::Envelope;
use super::{ParseError, uapi};

/// `NLMSG_NOOP`, `_ERROR`, `_DONE`, `_OVERRUN`: the kinds below every family's number.
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;

/// One message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The number of the request it answers.
    pub sequence: u32,
    /// The dump this belongs to ran over a table that changed meanwhile (`NLM_F_DUMP_INTR`).
    pub interrupted: bool,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// The answer to a request: 0, or the errno (positive) it failed with.
    Acknowledgement {
        /// The errno, 0 for success.
        errno: i32,
    },
    /// The end of a dump: 0, or the errno (positive) that ended it.
    Done {
        /// The errno, 0 for success.
        errno: i32,
    },
    /// Messages were lost (`NLMSG_OVERRUN`; no kernel sends it today).
    Overrun,
    /// Nothing.
    Noop,
    /// A message of a family.
    Family {
        /// The family's number.
        id: u16,
        /// The command.
        command: u8,
        /// The attributes, unread.
        attributes: &'a [u8],
    },
}

/// Splits a datagram into its messages. Ends after the first framing error.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, ParseError>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let parsed = split(rest);
        rest = match &parsed {
            Ok((_, next)) => next,
            Err(_) => &[],
        };
        Some(parsed.map(|(message, _)| message))
    })
}

fn split(bytes: &[u8]) -> Result<(Message<'_>, &[u8]), ParseError> {
    let cut = ParseError::Cut { what: "netlink header" };
    let packet = NetlinkBuffer::new_checked(bytes).map_err(|_| cut)?;
    let length = usize::try_from(packet.length()).map_err(|_| cut)?;
    // The last message of a datagram may lack its padding.
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    let payload = packet.payload();
    let body = match packet.message_type() {
        NLMSG_NOOP => Body::Noop,
        NLMSG_ERROR => Body::Acknowledgement { errno: errno(payload)? },
        // The kernel may leave out the number.
        NLMSG_DONE if payload.is_empty() => Body::Done { errno: 0 },
        NLMSG_DONE => Body::Done { errno: errno(payload)? },
        NLMSG_OVERRUN => Body::Overrun,
        id => {
            let cut = ParseError::Cut { what: "generic netlink header" };
            let (header, attributes) = payload.split_at_checked(GENL_HDRLEN).ok_or(cut)?;
            Body::Family { id, command: header[0], attributes }
        }
    };
    let interrupted = packet.flags() & NLM_F_DUMP_INTR != 0;
    Ok((Message { sequence: packet.sequence_number(), interrupted, body }, next))
}

/// `struct nlmsgerr` and the payload of `NLMSG_DONE` begin with the errno, negative or 0.
fn errno(payload: &[u8]) -> Result<i32, ParseError> {
    let what = "netlink error";
    let raw = payload.first_chunk::<4>().ok_or(ParseError::Cut { what })?;
    let code = i32::from_ne_bytes(*raw);
    let value = u64::from(code.unsigned_abs());
    match code.checked_neg() {
        Some(errno) if errno >= 0 => Ok(errno),
        _ => Err(ParseError::Value { what, kind: NLMSG_ERROR, value }),
    }
}

/// The nest of that number among a message's attributes.
pub(super) fn nest(message: &[u8], kind: u16) -> Result<&[u8], ParseError> {
    let what = "message";
    for attribute in attributes(what, message) {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(attribute.nest());
        }
    }
    Err(ParseError::Missing { what, kind })
}

/// Family and command of the answer to [`resolve_family`].
pub(crate) const FAMILY_REPLY: (u16, u8) = (GENL_ID_CTRL, CTRL_CMD_NEWFAMILY);

/// Writes the question for the family's number. Where the module is not loaded yet, asking loads it.
pub(crate) fn resolve_family(sequence: u32, out: &mut Vec<u8>) {
    let envelope = Envelope { family: GENL_ID_CTRL, flags: NLM_F_REQUEST, sequence };
    envelope.wrap(CTRL_CMD_GETFAMILY, out, |out| {
        Writer::new(out).name(CTRL_ATTR_FAMILY_NAME, uapi::IPVS_GENL_NAME);
    });
}

/// Reads the answer.
pub(crate) fn family_id(message: &[u8]) -> Result<u16, ParseError> {
    let what = "family";
    for attribute in attributes(what, message) {
        let attribute = attribute?;
        if attribute.kind == CTRL_ATTR_FAMILY_ID {
            return attribute.u16_host();
        }
    }
    Err(ParseError::Missing { what, kind: CTRL_ATTR_FAMILY_ID })
}
