//! What a show tells of virtual servers, real servers and their health. Types only.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Counters of a virtual or real server since they were cleared, and rates per second from the kernel's estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "IPVS_STATS_ATTR names")]
pub struct Counters {
    pub connections: u64,
    pub in_packets: u64,
    pub out_packets: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub cps: u64,
    pub in_pps: u64,
    pub out_pps: u64,
    pub in_bps: u64,
    pub out_bps: u64,
}

/// A virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServerRow {
    /// Its name.
    pub name: String,
    /// As configured: `203.0.113.10 tcp 80` or `fwmark 7`.
    #[serde(rename = "virtual")]
    pub virtual_: String,
    /// Scheduler with flags.
    pub scheduler: String,
    /// nat, dr, tun or fullnat.
    pub mode: String,
    /// `up`, `down` (no real server takes connections), `sorry` (quorum is lost, the sorry server takes them), `open` (all have failed, `fail-open`),
    /// `shutdown`, `absent` (should be in the kernel and is not), `backup` (its vrrp group is not active on this box).
    pub state: String,
    /// Real servers that take new connections.
    pub up: u32,
    /// Real servers configured.
    pub all: u32,
    /// Persistence in seconds, 0 without.
    pub persistence_timeout: u32,
    /// Connections in active state.
    pub active_connections: u64,
    /// Connections in inactive state.
    pub inactive_connections: u64,
    /// `description`.
    pub description: String,
    /// Counters.
    pub counters: Counters,
}

/// A real server of a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServerRow {
    /// Whose.
    pub virtual_server: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port, 0 is any.
    pub port: u16,
    /// nat, dr, tun or fullnat.
    pub mode: String,
    /// In the kernel now.
    pub weight: u32,
    /// As configured.
    pub configured_weight: u32,
    /// `up`, `drain`, `down` (its health check fails), `checking` (it has yet to succeed), `waiting` (up, but quorum is lost), `shutdown`, `absent`.
    pub state: String,
    /// Why it is not up, in words; empty when it is.
    pub reason: String,
    /// Upper connection threshold, 0 none.
    pub upper_threshold: u32,
    /// Lower connection threshold, 0 none.
    pub lower_threshold: u32,
    /// Connections in active state.
    pub active_connections: u32,
    /// Connections in inactive state.
    pub inactive_connections: u32,
    /// Persistence templates.
    pub persistent_connections: u32,
    /// `description`.
    pub description: String,
    /// Counters.
    pub counters: Counters,
}

/// What is known of a server by one monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheckRow {
    /// Of the real server.
    pub address: IpAddr,
    /// That is tried; 0 when the monitor knows no ports.
    pub port: u16,
    /// The virtual address that is asked, the way of clients; absent where there is none but the server's own address.
    pub via: Option<IpAddr>,
    /// By which mode, `dr` or `tun`; empty without `via`.
    pub via_mode: String,
    /// Why the last attempt asked the server's own address all the same; empty when it did not, or has to.
    pub aside: String,
    /// Name of the monitor.
    pub monitor: String,
    /// tcp, http, https, udp, dns, smtp, icmp or external.
    #[serde(rename = "type")]
    pub type_: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Seconds in that state.
    pub since_s: u64,
    /// Why it is down, or why the last attempt failed; empty after a good one.
    pub reason: String,
    /// Seconds since the last attempt ended; absent before the first.
    pub last_s: Option<u64>,
    /// Microseconds the last good attempt took; absent when the last one failed.
    pub latency_us: Option<u64>,
    /// Good attempts.
    pub good: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Whose real server it is.
    pub virtual_servers: Vec<String>,
    /// The last changes, the oldest first.
    pub history: Vec<HealthChange>,
}

/// A change of a health check's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthChange {
    /// Seconds ago.
    pub ago_s: u64,
    /// What it became.
    pub state: String,
    /// Why, when it went down.
    pub reason: String,
}
