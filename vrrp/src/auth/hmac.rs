//! The HMAC trailer of keepalived 2.4.2 (draft-cassen-vrrp-auth-hmac): signing, verification, protection against replay.
//!
//! HMAC-SHA256 cut to 128 bits over family, version, VRID, source, the message with a zero checksum, and the trailer's
//! first 12 bytes. The destination is outside, so one signature serves every unicast copy. Freshness is calendar time:
//! boxes whose clocks differ by more than the window refuse each other, and that is two active routers. A box without a
//! clock at boot uses [`Freshness::Monotonic`].
//!
//! ```text
//! +------+------+-------------+-------------+----------+---------+------------+
//! | 1    | key  | 0 (2 bytes) | seconds (4) | frac (2) | ctr (2) | HMAC (16)  |
//! +------+------+-------------+-------------+----------+---------+------------+
//! ```

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use hmac::{KeyInit, Mac};
use sha2::Sha256;

use super::{Seal, TRAILER_BYTES};
use crate::identity::{Version, Vrid};
use crate::packet::{Endpoints, Message};
use crate::{AdvertInterval, UnixTime};

/// The extension type: HMAC-SHA256, truncated to 16 bytes.
const EXTENSION_TYPE: u8 = 1;
/// What stands in front of the HMAC in a trailer.
const PREFIX_BYTES: usize = 12;
const HMAC_BYTES: usize = TRAILER_BYTES - PREFIX_BYTES;
/// Most keys of one virtual router: the old one and the new one of a rotation, and some that were forgotten.
pub const KEYS_MAX: usize = 8;
/// Senders whose sequences are remembered; one virtual router has more than two only while it is contended. The one that
/// was silent longest is forgotten, and only a packet with a right HMAC takes a place.
const SENDERS_MAX: usize = 4;

/// Names a key in the packet.
pub type KeyId = u8;

/// A shared secret of 32 to 64 bytes. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: KeyId,
    secret: heapless::Vec<u8, 64>,
}

/// Why a set of keys cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// keepalived's bounds: 256 bits for a margin, one block of SHA-256 at most.
    #[error("an hmac key has 32 to 64 bytes")]
    Length,
    /// Two keys of one id.
    #[error("hmac key {0} is there twice")]
    Twice(KeyId),
    /// The key to sign with is not among the keys.
    #[error("hmac key {0} is to be used but not defined")]
    Unknown(KeyId),
    /// More than [`KEYS_MAX`].
    #[error("at most {KEYS_MAX} hmac keys")]
    TooMany,
}

impl Key {
    /// A key of 32 to 64 bytes.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn new(id: KeyId, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < 32 {
            return Err(KeyError::Length);
        }
        Ok(Self { id, secret: heapless::Vec::from_slice(secret).map_err(|_| KeyError::Length)? })
    }

    /// The HMAC over everything but `message`'s checksum field (bytes 6 and 7 count as zero).
    fn mac(
        &self,
        endpoints: &Endpoints,
        version: Version,
        vrid: Vrid,
        message: &[u8],
        prefix: &[u8],
    ) -> hmac::Hmac<Sha256> {
        let mut mac = hmac::Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        let mut pseudo = [0; 20];
        pseudo[1] = version.number();
        pseudo[2] = vrid.get();
        match endpoints.source() {
            IpAddr::V4(source) => {
                pseudo[0] = 4;
                pseudo[4..8].copy_from_slice(&source.octets());
            }
            IpAddr::V6(source) => {
                pseudo[0] = 6;
                pseudo[4..].copy_from_slice(&source.octets());
            }
        }
        mac.update(&pseudo);
        mac.update(&message[..6]);
        mac.update(&[0, 0]);
        mac.update(&message[8..]);
        mac.update(prefix);
        mac.update(&[0; HMAC_BYTES]);
        mac
    }

    /// The trailer for `message`.
    pub(super) fn sign(
        &self,
        endpoints: &Endpoints,
        version: Version,
        vrid: Vrid,
        message: &[u8],
        sequence: Sequence,
    ) -> [u8; TRAILER_BYTES] {
        let mut trailer = [0; TRAILER_BYTES];
        trailer[0] = EXTENSION_TYPE;
        trailer[1] = self.id;
        trailer[4..PREFIX_BYTES].copy_from_slice(&sequence.0.to_be_bytes());
        let mac = self.mac(endpoints, version, vrid, message, &trailer[..PREFIX_BYTES]).finalize().into_bytes();
        trailer[PREFIX_BYTES..].copy_from_slice(&mac[..HMAC_BYTES]);
        trailer
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {{ id: {}, .. }}", self.id)
    }
}

/// The 64-bit sequence of a trailer: seconds since 1970 (32 bits), fraction of a second (16), counter (16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence(pub(crate) u64);

impl Sequence {
    /// That of a calendar time, counter 0.
    fn of(now: UnixTime) -> Self {
        // Seconds are taken modulo 2^32, fractions in 2^-16 s; comparisons follow RFC 1982.
        let seconds = now.secs() & 0xffff_ffff;
        let fraction = (u64::from(now.subsec_nanos()) << 16) / 1_000_000_000;
        Self((seconds << 32) | (fraction << 16))
    }

    /// Serial number arithmetic (RFC 1982): right also where the seconds wrap in 2106.
    fn is_after(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// Seconds from `now` to this sequence, positive when it is in the future.
    fn seconds_ahead_of(self, now: UnixTime) -> i64 {
        let seconds = (self.0 >> 32).wrapping_sub(now.secs()) & 0xffff_ffff;
        // Sign extension of 32 bits.
        ((seconds << 32).cast_signed()) >> 32
    }
}

/// How far a sequence may be from our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Within so many seconds, and growing. What the clocks of the boxes must keep.
    Window(u32),
    /// Growing only: a recorded packet is refused while its sender is remembered, and no clock is needed.
    Monotonic,
}

impl Freshness {
    /// keepalived's default: three intervals, at least 5 s.
    #[must_use]
    pub fn for_interval(interval: AdvertInterval) -> Self {
        let three = (interval.duration() * 3).as_secs();
        Self::Window(u32::try_from(three).unwrap_or(u32::MAX).max(5))
    }

    /// True when the sequence is too far from `now`.
    fn is_stale(self, sequence: Sequence, now: UnixTime) -> bool {
        match self {
            Self::Window(seconds) => sequence.seconds_ahead_of(now).unsigned_abs() > u64::from(seconds),
            Self::Monotonic => false,
        }
    }
}

/// The steps in which a pair changes to authenticated packets without an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// Sign nothing; verify a trailer that is there.
    ReceiveOnly,
    /// Sign; accept packets without a trailer.
    Permissive,
    /// Sign; refuse packets without a trailer.
    Enforce,
}

/// Keys and rules of one virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HmacConfig {
    keys: heapless::Vec<Key, KEYS_MAX>,
    active: usize,
    rollout: Rollout,
    freshness: Freshness,
}

impl HmacConfig {
    /// `active` names the key to sign with; every key verifies.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(keys: &[Key], active: KeyId, rollout: Rollout, freshness: Freshness) -> Result<Self, KeyError> {
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.id == key.id) {
                return Err(KeyError::Twice(key.id));
            }
        }
        Ok(Self {
            keys: heapless::Vec::from_slice(keys).map_err(|_| KeyError::TooMany)?,
            active: keys.iter().position(|key| key.id == active).ok_or(KeyError::Unknown(active))?,
            rollout,
            freshness,
        })
    }
}

/// Why a packet is not authentic. In the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HmacError {
    /// No trailer, and one is asked for.
    #[error("the hmac trailer is missing")]
    Missing,
    /// Extension type or reserved bytes.
    #[error("the hmac trailer is malformed")]
    Malformed,
    /// Outside the window: recorded long ago, or the clocks differ.
    #[error("the hmac trailer is not of our time")]
    Stale,
    /// No key of this id.
    #[error("the hmac key is unknown")]
    UnknownKey,
    /// Not signed with our key, or changed on the way.
    #[error("the hmac is wrong")]
    Mismatch,
    /// Not after the last sequence of this sender.
    #[error("the hmac trailer was seen before")]
    Replay,
}

/// Keys, rules, and what was sent and seen so far.
#[derive(Debug)]
pub struct Hmac {
    config: HmacConfig,
    sent: Option<Sequence>,
    /// Most recently heard first.
    senders: heapless::Vec<(IpAddr, Sequence), SENDERS_MAX>,
}

impl Hmac {
    /// Nothing sent, nothing seen.
    #[must_use]
    pub const fn new(config: HmacConfig) -> Self {
        Self { config, sent: None, senders: heapless::Vec::new() }
    }

    /// New keys or rules; what was seen stays seen.
    pub fn set_config(&mut self, config: HmacConfig) {
        self.config = config;
    }

    /// The seal of the next packet. Copies for several unicast peers share one seal.
    ///
    /// The sequence is that of `now`, or one more than the last. A clock that was set back beyond the window starts over
    /// from the clock: growing on from a time that nobody accepts would make a passing error last.
    pub fn seal(&mut self, now: UnixTime) -> Seal<'_> {
        if self.config.rollout == Rollout::ReceiveOnly {
            return Seal::Open;
        }
        let clock = Sequence::of(now);
        let sequence = match self.sent {
            Some(sent) if !clock.is_after(sent) && !self.config.freshness.is_stale(sent, now) => {
                Sequence(sent.0.wrapping_add(1))
            }
            _ => clock,
        };
        self.sent = Some(sequence);
        Seal::Hmac { key: &self.config.keys[self.config.active], sequence }
    }

    /// Verifies a received packet. Cheap checks first, so that a flood of recorded packets costs no HMAC each; marks move
    /// only for a packet whose HMAC is right.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(&mut self, message: &Message<'_>, endpoints: &Endpoints, now: UnixTime) -> Result<(), HmacError> {
        let Some((bytes, trailer)) = message.trailer() else {
            return match self.config.rollout {
                Rollout::ReceiveOnly | Rollout::Permissive => Ok(()),
                Rollout::Enforce => Err(HmacError::Missing),
            };
        };
        let (prefix, mac) = trailer.split_at(PREFIX_BYTES);
        let [EXTENSION_TYPE, key, 0, 0, sequence @ ..] = prefix else {
            return Err(HmacError::Malformed);
        };
        let sequence = sequence.try_into().map_err(|_| HmacError::Malformed)?;
        let sequence = Sequence(u64::from_be_bytes(sequence));
        if self.config.freshness.is_stale(sequence, now) {
            return Err(HmacError::Stale);
        }
        let key = self.config.keys.iter().find(|known| known.id == *key).ok_or(HmacError::UnknownKey)?;
        key.mac(endpoints, message.protocol().version(), message.vrid(), bytes, prefix)
            .verify_truncated_left(mac)
            .map_err(|_| HmacError::Mismatch)?;
        self.advance(endpoints.source(), sequence, now)
    }

    /// The mark of `sender` moves to `sequence`, or the packet is a replay.
    fn advance(&mut self, sender: IpAddr, sequence: Sequence, now: UnixTime) -> Result<(), HmacError> {
        if let Some(place) = self.senders.iter().position(|(known, _)| *known == sender) {
            let mark = self.senders[place].1;
            // A mark outside the window orders only packets that the window refuses. Letting it go frees a sender whose
            // clock was wrong and is right again.
            if !sequence.is_after(mark) && !self.config.freshness.is_stale(mark, now) {
                return Err(HmacError::Replay);
            }
            self.senders.remove(place);
        } else if self.senders.is_full() {
            self.senders.pop();
        }
        self.senders.insert(0, (sender, sequence)).expect("a place was made above");
        Ok(())
    }
}
