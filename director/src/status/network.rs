//! What a show tells of interfaces, routes and neighbours. Types only.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceRow {
    /// Its name.
    pub name: String,
    /// `up`, `down` (no carrier), `shutdown`, `missing` (configured, no such device).
    pub state: String,
    /// Link-layer address, empty without.
    pub mac: String,
    /// Bytes.
    pub mtu: u32,
    /// Megabits per second, 0 unknown.
    pub speed_mbps: u32,
    /// With prefix length.
    pub addresses: Vec<String>,
    /// Driver, such as `virtio_net`; `vlan`, `bond` for ours.
    pub driver: String,
    /// `description`.
    pub description: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors and drops.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors and drops.
    pub tx_errors: u64,
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRow {
    /// Destination.
    pub prefix: String,
    /// Next hop, empty when connected.
    pub gateway: String,
    /// Leaves by.
    pub interface: String,
    /// Kernel metric.
    pub metric: u32,
    /// `connected`, `static`, `kernel`, `other`.
    pub origin: String,
}

/// A neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourRow {
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address, empty while unresolved.
    pub mac: String,
    /// Where.
    pub interface: String,
    /// `reachable`, `stale`, `permanent`, `incomplete`, `failed`, ...
    pub state: String,
}
