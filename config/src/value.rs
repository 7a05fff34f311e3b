//! Typed words: what a name, a prefix or a range of ports is, how it is written and how it is ordered.
//!
//! `parse` turns a typed word into a [`Value`] of the type the trie asks for. Nothing here knows a command.

mod name;
mod net;
pub(crate) mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

pub use name::{IfName, Name, SecretHash};
pub use net::{IpNet, MacAddr, Mask, Ports};

/// Why text is not a value; `Display` says what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub(crate) String);

/// A typed word of a line. Values of one variant are ordered naturally (10.0.0.2 before 10.0.0.11, eth2 before eth10).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A keyword of the trie.
    Kw(&'static str),
    /// A number.
    Int(u32),
    /// A port; 0 is `any`.
    Port(u16),
    /// A range of ports.
    Ports(Ports),
    /// An address.
    Addr(IpAddr),
    /// An address with a prefix length.
    Net(IpNet),
    /// A netmask or a bare prefix length.
    Mask(Mask),
    /// A hardware address.
    Mac(MacAddr),
    /// The name of an object.
    Name(Name),
    /// The name of an interface.
    If(IfName),
    /// One word without spaces.
    Word(Word),
    /// Free text.
    Text(String),
    /// A hashed secret.
    Hash(SecretHash),
}

/// One word without spaces, ordered naturally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub(crate) String);

impl Word {
    /// The word without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        name::natural(&self.0, &other.0)
    }
}

impl Value {
    /// The text of a word, name, keyword or free text without quotes; `None` for the other types.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Kw(word) => Some(word),
            Self::Name(name) => Some(name.as_str()),
            Self::If(name) => Some(name.as_str()),
            Self::Word(word) => Some(word.as_str()),
            Self::Text(text) => Some(text),
            Self::Hash(hash) => Some(hash.as_str()),
            _ => None,
        }
    }

    /// Whether this is the keyword `word`.
    #[must_use]
    pub fn is_kw(&self, word: &str) -> bool {
        matches!(self, Self::Kw(k) if *k == word)
    }
}

/// Writes the canonical form: as it is printed in a configuration and accepted back.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kw(word) => f.write_str(word),
            Self::Int(number) => write!(f, "{number}"),
            Self::Port(0) => f.write_str("any"),
            Self::Port(port) => write!(f, "{port}"),
            Self::Ports(ports) => write!(f, "{ports}"),
            Self::Addr(address) => write!(f, "{address}"),
            Self::Net(net) => write!(f, "{net}"),
            Self::Mask(mask) => write!(f, "{mask}"),
            Self::Mac(mac) => write!(f, "{mac}"),
            Self::Name(name) => write!(f, "{name}"),
            Self::If(name) => write!(f, "{name}"),
            Self::Word(word) => f.write_str(&crate::lex::quote(&word.0)),
            Self::Text(text) => f.write_str(&crate::lex::quote(text)),
            Self::Hash(hash) => f.write_str(hash.as_str()),
        }
    }
}
