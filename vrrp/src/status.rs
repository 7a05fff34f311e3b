//! What vrrpd says and takes on its socket, as `control` carries it: one JSON request a line, one JSON reply a line. Types only.
//!
//! `show vrrp` prints these, and director follows them. Times are ages in milliseconds, so that a reader needs no clock of ours.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where vrrpd listens, mode 0600.
pub const SOCKET: &str = "/run/yoke/vrrpd.sock";

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Request {
    /// Everything known.
    Status,
    /// As [`Request::Status`], and again after every change of a group's state, until the caller goes away.
    Follow,
    /// Read `/run/yoke/running-config` again; what did not change is not touched. The reply comes when it is in force and
    /// addresses that groups gave up are gone.
    Reload,
    /// Resign, and stay backup until handed back or nobody else is active.
    HandOver {
        /// Name of the group; its sync group goes with it.
        group: String,
    },
    /// Take over from a lower active router, preemption or not.
    HandBack {
        /// Name of the group; its sync group goes with it.
        group: String,
    },
    /// Start the group's state machine afresh, with counters at zero. An active one resigns.
    Reset {
        /// Name of the group; its sync group goes with it.
        group: String,
    },
    /// Director is alive and hears: what it knows of the virtual servers. Without one for [`HEARTBEAT_LIMIT_S`] what tracks the
    /// director counts as down. No reply.
    Heartbeat {
        /// By name: whether it has its quorum.
        servers: BTreeMap<String, bool>,
    },
}

/// Silence of director after which it counts as dead or deaf, in seconds. Init restarts a dead one within two, and a change of
/// 10,000 lines keeps it busy for less.
pub const HEARTBEAT_LIMIT_S: u64 = 10;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// Done.
    Done,
    /// Refused or failed: a sentence that names the object.
    Failed {
        /// Why.
        why: String,
    },
    /// Answer to [`Request::Reload`].
    Reloaded {
        /// What could not be had: one sentence each.
        problems: Vec<String>,
    },
    /// Answer to [`Request::Status`] and [`Request::Follow`].
    Status(Status),
}

/// All groups and interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// In the order of their names.
    pub groups: Vec<Group>,
    /// Interfaces where groups are advertised, by name.
    pub interfaces: Vec<Interface>,
    /// What an operator should know: one sentence each.
    pub warnings: Vec<String>,
}

/// One `vrrp group`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its `vrrp sync-group`.
    pub sync_group: Option<String>,
    /// Virtual router id.
    pub vrid: u8,
    /// Where it is advertised.
    pub interface: String,
    /// 2 or 3.
    pub version: u8,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// `initialize`, `backup` or `active` (RFC 9568 §6.4).
    pub state: String,
    /// How long it has been in this state.
    pub since_ms: u64,
    /// Why it came to this state.
    pub why: String,
    /// The state before.
    pub before: String,
    /// What keeps it from taking part.
    pub faults: Vec<String>,
    /// Tracked objects that are down.
    pub down: Vec<String>,
    /// Priority in force, after tracking.
    pub priority: u8,
    /// Priority of the configuration.
    pub priority_configured: u8,
    /// Time between our advertisements.
    pub interval_ms: u64,
    /// Sender of our advertisements.
    pub source: Option<IpAddr>,
    /// Virtual hardware address; absent: the interface's own.
    pub virtual_mac: Option<String>,
    /// Unicast peers; none: multicast.
    pub peers: Vec<IpAddr>,
    /// The addresses, as configured.
    pub addresses: Vec<String>,
    /// How many of them this box has.
    pub held: usize,
    /// The router that was heard last.
    pub peer: Option<Peer>,
    /// Another router that claims the addresses while we hold them.
    pub conflict: Option<Peer>,
    /// What it sent and heard.
    pub totals: Totals,
    /// Received packets that were accepted and strange, or discarded, by reason; reasons that did not occur are left out.
    pub counters: BTreeMap<String, u64>,
}

/// Another router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Primary address of its interface.
    pub address: IpAddr,
    /// Priority it advertised; 0: it resigned.
    pub priority: u8,
    /// Its interval.
    pub interval_ms: u64,
    /// When it was heard last.
    pub heard_ms: u64,
}

/// Totals of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Advertisements sent, resignations included.
    pub sent: u64,
    /// Resignations sent.
    pub resigned: u64,
    /// Advertisements that could not be sent.
    pub send_errors: u64,
    /// Advertisements heard and believed.
    pub heard: u64,
    /// Resignations heard.
    pub heard_resigned: u64,
    /// Times it became active.
    pub became_active: u64,
    /// Advertisements of others heard while active.
    pub conflicts: u64,
    /// Longest time by which a deadline was looked at too late, in microseconds.
    pub late_max_us: u64,
}

/// One interface in one family: packets that reached no group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Whether it has a link.
    pub up: bool,
    /// Packets discarded, by reason; reasons that did not occur are left out.
    pub discarded: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_page_says() {
        let json = |request: &Request| serde_json::to_string(request).unwrap();
        assert_eq!(json(&Request::Status), r#"{"op":"status"}"#);
        assert_eq!(json(&Request::HandOver { group: "a".into() }), r#"{"op":"hand_over","group":"a"}"#);
        let status = Reply::Status(Status::default());
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(text, r#"{"reply":"status","groups":[],"interfaces":[],"warnings":[]}"#);
        assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), status);
    }
}
