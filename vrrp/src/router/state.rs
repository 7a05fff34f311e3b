//! What a router is and remembers: its state with the deadlines in it, the last peer, its statistics.

use std::net::IpAddr;
use std::time::Duration;

use super::{Schedule, Why};
use crate::{AdvertInterval, Heard, Instant};

/// State and deadlines (RFC 9568 §6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Takes no part.
    Initialize,
    /// Listens to the active router.
    Backup {
        /// `Active_Down_Timer`.
        wait: Wait,
        /// `Active_Adver_Interval`: the interval of the active router, ours until one is heard.
        interval: AdvertInterval,
        /// From when on a lower active router is replaced; set when the first one is heard, unset by a higher one.
        preempt_at: Option<Instant>,
        /// What the end of the timer will mean.
        because: Why,
    },
    /// Holds the addresses.
    Active {
        /// `Adver_Timer`, or the end of the doubt.
        advertise_at: Instant,
        /// Whether it may speak.
        standing: Standing,
        /// Gratuitous ARP and unsolicited Neighbor Advertisements.
        announcements: Schedule,
    },
}

/// The `Active_Down_Timer` of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Takes over at this instant.
    Until(Instant),
    /// The timer ran out, but we looked much too late: one more interval to listen
    /// (see [`Router::handle_timeout`](crate::Router::handle_timeout)).
    Again(Instant),
    /// The timer ran out, and the sync group is not ready.
    Ready,
}

/// Whether an active router is sure that it still is the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Advertises.
    Firm,
    /// Was just restarted and holds the addresses: listens for one interval, then goes on.
    Restarted,
    /// Was silent for longer than any backup waits: listens for one interval before it speaks.
    Overslept,
}

/// The last advertisement of another router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// What it said.
    pub heard: Heard,
    /// When it was received.
    pub at: Instant,
}

/// A run of advertisements that were heard while active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The last of them.
    pub peer: Peer,
    /// When the first was heard; a run ends when none is heard for `Active_Down_Interval`.
    pub since: Instant,
}

/// What a router did and saw since its start. Packets that never reached it are in [`Counters`](crate::Counters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Advertisements sent, resignations included.
    pub sent: u64,
    /// Advertisements with priority 0 sent.
    pub resigned: u64,
    /// Advertisements received, resignations included.
    pub heard: u64,
    /// Advertisements with priority 0 received.
    pub heard_resigned: u64,
    /// Times it became active.
    pub became_active: u64,
    /// Advertisements of others heard while active.
    pub conflicts: u64,
    /// Longest time by which a deadline was looked at too late.
    pub late_max: Duration,
}

/// How equal priorities are told apart while active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ties {
    /// The higher address wins (RFC 9568 §6.4.3).
    ByAddress,
    /// We stay; another member of the sync group decides.
    Stay,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing to hand over.
    #[error("this box is not active")]
    NotActive,
    /// There is nothing to take, or a fault forbids it.
    #[error("this box is not backup")]
    NotBackup,
    /// It would lose the next election.
    #[error("the active router {0} has the higher priority or address, use: hand over on that box")]
    ActiveIsHigher(IpAddr),
}
