//! Counters of received packets: one for every reason to discard, so that `show vrrp` can say why nothing is heard.

use std::fmt;

use super::Received;
use crate::auth::HmacError;
use crate::packet::ParseError;

macro_rules! discards {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// Why a packet was discarded, in the order of the checks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Discard {
            $($(#[$doc])* $name,)*
        }

        impl Discard {
            /// All of them, in the order of the checks.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];
        }

        impl fmt::Display for Discard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

discards! {
    /// TTL or hop limit is not 255: the sender is not on this link (RFC 9568 §5.1.1.3).
    HopLimit => "hop limit is not 255",
    /// Neither 2 nor 3, or not the version configured.
    Version => "wrong version",
    /// Not ADVERTISEMENT (§5.2.2).
    Type => "unknown type",
    /// Not VRRP: CARP uses the same protocol number and group.
    Carp => "carp, not vrrp",
    /// Header, addresses or authentication data are incomplete.
    Truncated => "cut off",
    /// Bytes behind the message that are neither padding nor a trailer.
    Trailing => "unknown bytes at the end",
    /// In no form right (§5.2.8).
    Checksum => "wrong checksum",
    /// No virtual router of this VRID on this interface; somebody else's, or a typing mistake on one box.
    Vrid => "vrid not configured here",
    /// Our own packet came back.
    Looped => "our own packet",
    /// Unicast to us while we speak multicast.
    Destination => "not sent to the group",
    /// Unicast is configured, and the sender is not one of the peers.
    Sender => "sender is not a peer",
    /// Authentication type of version 2 differs.
    AuthType => "wrong authentication type",
    /// Password of version 2 differs.
    AuthText => "wrong password",
    /// HMAC trailer is missing.
    HmacMissing => "hmac trailer missing",
    /// HMAC trailer is malformed.
    HmacMalformed => "hmac trailer malformed",
    /// HMAC trailer is outside of the time window.
    HmacStale => "hmac trailer stale",
    /// HMAC key id is unknown.
    HmacUnknownKey => "hmac key unknown",
    /// HMAC is wrong.
    HmacMismatch => "hmac wrong",
    /// HMAC trailer was seen before.
    HmacReplay => "hmac trailer replayed",
    /// Count of addresses is 0 (§5.2.5).
    NoAddresses => "no addresses",
    /// Interval is 0 (erratum 8301).
    ZeroInterval => "interval is 0",
    /// First IPv6 address is not link-local (§5.2.9).
    NotLinkLocal => "first address not link-local",
    /// Interval is not ours; version 2 only (RFC 3768 §7.1).
    Interval => "interval differs",
}

impl From<ParseError> for Discard {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Truncated => Self::Truncated,
            ParseError::Version => Self::Version,
            ParseError::Type => Self::Type,
            ParseError::Carp => Self::Carp,
            ParseError::Trailing => Self::Trailing,
            ParseError::Checksum => Self::Checksum,
            // VRID 0 can be configured nowhere.
            ParseError::Vrid => Self::Vrid,
            ParseError::NoAddresses => Self::NoAddresses,
            ParseError::ZeroInterval => Self::ZeroInterval,
            ParseError::NotLinkLocal => Self::NotLinkLocal,
        }
    }
}

impl From<HmacError> for Discard {
    fn from(error: HmacError) -> Self {
        match error {
            HmacError::Missing => Self::HmacMissing,
            HmacError::Malformed => Self::HmacMalformed,
            HmacError::Stale => Self::HmacStale,
            HmacError::UnknownKey => Self::HmacUnknownKey,
            HmacError::Mismatch => Self::HmacMismatch,
            HmacError::Replay => Self::HmacReplay,
        }
    }
}

/// What was received, by outcome. One per virtual router, and one per interface for packets that reached no router.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    accepted: u64,
    addresses_differ: u64,
    interval_differs: u64,
    discards: [u64; Discard::ALL.len()],
}

impl Counters {
    /// Counts a discarded packet.
    pub const fn count(&mut self, discard: Discard) {
        self.discards[discard as usize] += 1;
    }

    pub(super) fn accept(&mut self, received: &Received) {
        self.accepted += 1;
        self.addresses_differ += u64::from(received.addresses_differ);
        self.interval_differs += u64::from(received.interval_differs);
    }

    /// Advertisements that passed every check.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Of those, how many carried other addresses than configured here.
    #[must_use]
    pub const fn addresses_differ(&self) -> u64 {
        self.addresses_differ
    }

    /// Of those, how many carried another interval than configured here (version 3).
    #[must_use]
    pub const fn interval_differs(&self) -> u64 {
        self.interval_differs
    }

    /// Packets discarded for one reason.
    #[must_use]
    pub const fn discarded(&self, discard: Discard) -> u64 {
        self.discards[discard as usize]
    }

    /// Every reason that occurred, in the order of the checks.
    pub fn discards(&self) -> impl Iterator<Item = (Discard, u64)> + '_ {
        Discard::ALL.into_iter().map(|discard| (discard, self.discarded(discard))).filter(|(_, count)| *count > 0)
    }
}
