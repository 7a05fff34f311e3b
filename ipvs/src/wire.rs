//! Values to netlink bytes and back. No I/O, and no panic whatever the bytes are.
//!
//! [`Request`] is every command of the family; [`messages`] splits what the kernel answers, and the observed types and
//! [`Daemon`](crate::Daemon), [`Info`](crate::Info) and [`Timeouts`](crate::Timeouts) parse from the attributes in it. Requests parse too, so
//! that a test can be the kernel.
//!
//! # Why values, and not an enum of attributes per nest
//! The `netlink-packet-*` crates would have each nest be a `Vec` of an attribute enum. This crate takes their framing (headers, the
//! attribute iterator, the constants) and goes from bytes to [`Service`](crate::Service) and [`Destination`](crate::Destination) directly:
//! - A table of 10,000 destinations is 300,000 attributes. Two thirds are counters that a comparison never looks at. Reading in place, without
//!   an allocation, is what makes a comparison cheap enough to repeat for ever.
//! - Their `DecodeError` is a text. [`ParseError`] can be matched, and says which attribute.
//! - Their controller codec refuses a reply with one attribute it does not know; a newer kernel may add one.
//!
//! # Rules of the wire
//! - Numbers are in host order but for ports and IPv4 addresses (network order), and the sync daemon's port (host order, the one exception).
//!   The order is written at the field, in the name of the function that reads or writes it, and nowhere else.
//! - An address is 16 bytes, an IPv4 address its first four.
//! - The kernel does not set `NLA_F_NESTED` on what it sends; types are compared without it. It is set on what goes to the kernel.
//! - An attribute that is not known is skipped. One that is known and has a wrong length or value is an error.
//! - Attributes are written in ipvsadm's order, so that captures of it compare byte by byte.

mod attribute;
mod daemon;
mod destination;
mod message;
mod request;
mod service;
mod stats;
mod uapi;

pub(crate) use destination::observed_destination;
pub use message::{Body, Message, messages};
pub(crate) use message::{FAMILY_REPLY, family_id, resolve_family};
pub use request::{Envelope, Request};
pub(crate) use service::observed_service;

/// Bytes that are not what the kernel sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A header or a length field promises more bytes than there are, or fewer than a header has.
    #[error("{what}: cut or a wrong length")]
    Cut {
        /// What was being read.
        what: &'static str,
    },
    /// An attribute's value has not the length of its type.
    #[error("{what} attribute {kind}: {found} bytes instead of {expected}")]
    Length {
        /// The nest the attribute is in.
        what: &'static str,
        /// The attribute's number there.
        kind: u16,
        /// The length of its type.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// An attribute's value cannot be.
    #[error("{what} attribute {kind}: {value} cannot be")]
    Value {
        /// The nest the attribute is in.
        what: &'static str,
        /// The attribute's number there.
        kind: u16,
        /// The value.
        value: u64,
    },
    /// An attribute's value is no name.
    #[error("{what} attribute {kind}: {error}")]
    Name {
        /// The nest the attribute is in.
        what: &'static str,
        /// The attribute's number there.
        kind: u16,
        /// Why not.
        error: crate::NameError,
    },
    /// An attribute without which the rest means nothing is not there.
    #[error("{what} without attribute {kind}")]
    Missing {
        /// The nest.
        what: &'static str,
        /// The attribute's number there.
        kind: u16,
    },
    /// A command number that is not one of the family's.
    #[error("{command} is no command")]
    Command {
        /// The number.
        command: u8,
    },
}
