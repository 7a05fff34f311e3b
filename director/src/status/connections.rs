//! What is asked and told of connections, of their sync, and of the kernel's balancer. Types only.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What `show connections` selects; everything empty is all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConnectionFilter {
    /// Name of a virtual server.
    pub virtual_server: Option<String>,
    /// Clients inside this address/length.
    pub client: Option<String>,
    /// Address of the real server.
    pub real_server: Option<IpAddr>,
    /// Only this port of the real server.
    pub real_port: Option<u16>,
    /// Without those that have ended and are only remembered, and without persistence templates.
    pub open: bool,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Option<String>,
    /// The kernel's name of a state, in any case, with hyphens or underscores.
    pub state: Option<String>,
    /// Persistence templates only.
    pub templates: bool,
    /// Only the number.
    pub count: bool,
    /// At most so many rows; 0, and more than 10,000, is 10,000.
    pub limit: u32,
}

/// Connection sync as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionSyncRow {
    /// Where connections are sent and heard.
    pub interface: String,
    /// The vrrp group that decides who sends.
    pub group: String,
    /// Keeps pairs on one wire apart.
    pub syncid: u8,
    /// The multicast group.
    pub multicast: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// Who is heard; empty: nobody.
    pub peers: Vec<IpAddr>,
    /// Whether this box sends.
    pub sends: bool,
    /// Whether this box hears.
    pub receives: bool,
    /// Virtual servers whose connections of mode fullnat do not outlive a failover: their source addresses are connection tracking's.
    pub not_carried: Vec<String>,
}

/// The connection table, filtered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// How many match.
    pub count: u64,
    /// Rows, empty when only counted.
    pub rows: Vec<ConnectionRow>,
}

/// One IPVS connection or persistence template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "columns of /proc/net/ip_vs_conn")]
pub struct ConnectionRow {
    pub protocol: String,
    pub client: String,
    #[serde(rename = "virtual")]
    pub virtual_: String,
    pub real_server: String,
    pub state: String,
    pub expires_s: u64,
}

/// `show ipvs`: what the kernel's balancer is set to now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ipvs {
    /// Such as 1.2.1.
    pub version: String,
    /// Virtual servers in the kernel.
    pub services: u32,
    /// Real servers in the kernel.
    pub destinations: u32,
    /// Connections, those that have ended a moment ago included.
    pub connections: u64,
    /// Persistence templates.
    pub templates: u64,
    /// Memory those take, about: a fixed size for each.
    pub connections_bytes: u64,
    /// Buckets of the connection table now. From Linux 7.1 it grows, and is 0 before the first service.
    pub table_buckets: u32,
    /// log2 of its buckets, or of the most it may have, as set when the module was loaded; 0 unknown.
    pub table_bits: u32,
    /// What it will be after a reload: `ipvs table-bits`, or what fits the memory.
    pub table_bits_at_reload: u32,
    /// Seconds an established TCP connection may be idle.
    pub timeout_tcp_s: u32,
    /// Seconds after FIN.
    pub timeout_tcpfin_s: u32,
    /// Seconds a UDP flow may be idle.
    pub timeout_udp_s: u32,
    /// Whether connections are tracked, which mode fullnat needs.
    pub conntrack: bool,
    /// Connection sync.
    pub sync: Vec<DaemonRow>,
    /// The three defences against floods.
    pub defences: Vec<DefenceRow>,
    /// Free memory below which the defences that are `auto` begin, in KiB.
    pub memory_threshold_kib: u64,
    /// Free memory as they count it, in KiB: without what caches files.
    pub memory_free_kib: u64,
    /// Every `net.ipv4.vs.*` by its last word.
    pub sysctls: BTreeMap<String, String>,
}

/// A daemon of connection sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonRow {
    /// `master` sends, `backup` receives.
    pub role: String,
    /// Where.
    pub interface: String,
    /// Tells pairs apart.
    pub syncid: u8,
    /// Multicast group; empty is the kernel's own.
    pub group: String,
    /// UDP port; 0 is the kernel's own.
    pub port: u16,
}

/// A defence against floods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefenceRow {
    /// `drop-entry`, `drop-packet` or `secure-tcp`.
    pub name: String,
    /// `off`, `auto` or `always`.
    pub mode: String,
    /// Whether it is at work now.
    pub active: bool,
}
