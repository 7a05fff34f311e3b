//! Typed words.
use std::net::IpAddr;
/// `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub(crate) String);
/// `ethN`, `ethN.VID`, `bondN`, `bondN.VID`, `lo`, ordered naturally.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IfName(pub(crate) String);
/// An address with a prefix length. Whether host bits may be set depends on the use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpNet {
    /// The address.
    pub addr: IpAddr,
    /// 0-32 or 0-128.
    pub prefix_len: u8,
}
/// Six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MacAddr(
    /// In transmission order.
    pub [u8; 6],
);
/// `any` or an inclusive range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// 0 with `last` 65535 is any.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}
/// crypt(3) text, `$6$...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(pub(crate) String);
/// A typed word of a line, ordered naturally (10.0.0.2 before 10.0.0.11, eth2 before eth10).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// etc
    Text(String),
}
