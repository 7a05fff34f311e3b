//! What a router asks its owner to do, as data, and why it changed its state.

use std::fmt;
use std::net::IpAddr;

use super::Faults;
use crate::{AdvertPriority, Instant, Priority};

/// Something to do, in the order of [`poll_effect`](crate::Router::poll_effect). None of them can be refused: a failure is
/// the owner's to report, and a fault of the link comes back as an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Send an advertisement now: [`Router::advertisement`](crate::Router::advertisement) with this priority.
    Advertise(AdvertPriority),
    /// Hold exactly the group's addresses. Idempotent: what is there stays, what is missing is added.
    TakeAddresses,
    /// Hold none of the group's addresses. Idempotent.
    DropAddresses,
    /// Send a gratuitous ARP or an unsolicited Neighbor Advertisement for every address of the group, paced.
    Announce,
    /// Tell who listens (log, connection sync, director). Always the last effect of the change.
    Transition(Transition),
}

/// The states of RFC 9568 §6.4, without their deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Takes no part: not started, stopped, or a fault.
    Initialize,
    /// Listens.
    Backup,
    /// Holds the addresses.
    Active,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
        })
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub from: Role,
    /// After.
    pub to: Role,
    /// The reason.
    pub why: Why,
    /// When.
    pub at: Instant,
}

/// Why a router changed its state. Displays as the words of `show vrrp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was started, or its faults are gone.
    Started,
    /// It owns the addresses.
    Owner,
    /// It was restarted while it held the addresses.
    Resumed,
    /// Nothing was heard for `Active_Down_Interval`.
    Silence,
    /// The active router resigned and its skew passed.
    Resigned(IpAddr),
    /// The active router has a lower priority, and preemption is on.
    Preempted(IpAddr),
    /// A router of higher priority is active.
    Higher(IpAddr, Priority),
    /// A router of equal priority and higher address is active.
    Tie(IpAddr),
    /// We were asleep for longer than the others wait, and somebody else is active now.
    Overslept(IpAddr),
    /// Something it needs is missing.
    Fault(Faults),
    /// By command: the other box shall take over.
    HandOver,
    /// By command: this box shall take over again.
    HandBack,
    /// Another member of its sync group changed.
    SyncGroup,
    /// It was stopped.
    Stopped,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Owner => f.write_str("owns the addresses"),
            Self::Resumed => f.write_str("restarted while active"),
            Self::Silence => f.write_str("no active router heard"),
            Self::Resigned(peer) => write!(f, "{peer} resigned"),
            Self::Preempted(peer) => write!(f, "preempted {peer}"),
            Self::Higher(peer, priority) => write!(f, "{peer} has priority {priority}"),
            Self::Tie(peer) => write!(f, "{peer} has equal priority and a higher address"),
            Self::Overslept(peer) => write!(f, "held up for too long, {peer} is active"),
            Self::Fault(faults) => write!(f, "{faults}"),
            Self::HandOver => f.write_str("handed over"),
            Self::HandBack => f.write_str("handed back"),
            Self::SyncGroup => f.write_str("follows its sync-group"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
