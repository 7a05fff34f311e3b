//! Authentication: the simple text of version 2, and keepalived's HMAC trailer for either version. AH is not offered.
//!
//! A wrong secret makes two active routers, not a safe network: whoever uses this counts and reports every failure.
//! This file holds the configuration and the bytes of a trailer; keys, clocks and replay marks are in [`hmac`].

pub mod hmac;

use std::fmt;

use crate::identity::{Version, Vrid};
use crate::packet::Endpoints;

pub use hmac::{Freshness, Hmac, HmacConfig, HmacError, Key, KeyId, Rollout, Sequence};

/// Length of the HMAC trailer: type, key id, reserved 2, seconds 4, fraction 2, counter 2, HMAC 16.
pub const TRAILER_BYTES: usize = 28;
/// Authentication type of version 2 without authentication (RFC 3768 §5.3.6).
pub(crate) const AUTH_TYPE_NONE: u8 = 0;
/// Authentication type 1, simple text password (RFC 2338 §5.3.6.2; reserved since RFC 3768).
pub(crate) const AUTH_TYPE_TEXT: u8 = 1;

/// How the packets of one virtual router are authenticated.
#[derive(Debug, Default)]
pub enum Auth {
    /// Not at all (RFC 9568 §9).
    #[default]
    None,
    /// Simple text, version 2 only.
    Text(Password),
    /// HMAC trailer.
    Hmac(Box<Hmac>),
}

/// The simple text password of version 2: at most 8 bytes count, and they go over the wire in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Password([u8; 8]);

impl Password {
    /// The first 8 bytes of `text`, padded with zeros, which is what keepalived does with its `auth_pass`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut data = [0; 8];
        for (to, from) in data.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Self(data)
    }

    /// The authentication data field.
    #[must_use]
    pub const fn data(&self) -> [u8; 8] {
        self.0
    }

    /// Compares without stopping at the first difference. The password is in every packet in clear, so this protects
    /// nothing but the habit.
    #[must_use]
    pub fn matches(&self, data: &[u8; 8]) -> bool {
        self.0.iter().zip(data).fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs)) == 0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What an emitted packet is authenticated with.
#[derive(Debug, Clone, Copy)]
pub enum Seal<'a> {
    /// Nothing.
    Open,
    /// Simple text. Version 3 has no room for it and sends nothing.
    Text(&'a Password),
    /// A trailer with this sequence, signed by this key.
    Hmac {
        /// The key.
        key: &'a Key,
        /// Greater than that of every packet sent before.
        sequence: Sequence,
    },
}

impl<'a> Seal<'a> {
    /// The authentication type field of version 2. With a trailer it says none: the two never coexist.
    pub(crate) const fn text_auth_type(self) -> u8 {
        match self {
            Self::Open | Self::Hmac { .. } => AUTH_TYPE_NONE,
            Self::Text(_) => AUTH_TYPE_TEXT,
        }
    }

    /// The authentication data of version 2.
    pub(crate) const fn password(self) -> Option<&'a Password> {
        match self {
            Self::Open | Self::Hmac { .. } => None,
            Self::Text(password) => Some(password),
        }
    }

    /// The trailer for `message`, whose checksum field is still zero.
    pub(crate) fn trailer(
        self,
        endpoints: &Endpoints,
        version: Version,
        vrid: Vrid,
        message: &[u8],
    ) -> Option<[u8; TRAILER_BYTES]> {
        match self {
            Self::Open | Self::Text(_) => None,
            Self::Hmac { key, sequence } => Some(key.sign(endpoints, version, vrid, message, sequence)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2338 §5.3.6.2: padded with zeros; and keepalived truncates what is longer.
    #[test]
    fn passwords_are_padded_and_cut_to_8_bytes() {
        assert_eq!(Password::new("1111").data(), *b"1111\0\0\0\0");
        assert_eq!(Password::new("s3cret12-and-more").data(), *b"s3cret12");
        assert!(Password::new("1111").matches(b"1111\0\0\0\0"));
        assert!(!Password::new("1111").matches(b"1111\0\0\0 "));
        assert_eq!(format!("{:?}", Password::new("1111")), "Password(..)");
    }
}
