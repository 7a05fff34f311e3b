//! Counters, and what a dump returns: identity, options and counters together.

use crate::{Destination, DestinationKey, Service, ServiceKey};

/// Counters since the object was made or zeroed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; stays 0 where replies do not pass here (direct routing, tunnels).
    pub packets_out: u64,
    /// Bytes from clients, IP headers included.
    pub bytes_in: u64,
    /// Bytes to clients, likewise.
    pub bytes_out: u64,
    /// The same per second.
    pub rates: Rates,
}

/// Averages per second, renewed by the kernel every two seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rates {
    /// Connections per second.
    pub connections: u64,
    /// Packets from clients per second.
    pub packets_in: u64,
    /// Packets to clients per second.
    pub packets_out: u64,
    /// Bytes from clients per second.
    pub bytes_in: u64,
    /// Bytes to clients per second.
    pub bytes_out: u64,
}

/// A service as the kernel returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObservedService {
    /// Its identity.
    pub key: ServiceKey,
    /// Its options.
    pub service: Service,
    /// Its counters.
    pub stats: Stats,
}

/// A destination as the kernel returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObservedDestination {
    /// Its identity within its service.
    pub key: DestinationKey,
    /// Its options.
    pub destination: Destination,
    /// Connections that carry data now.
    pub active: u32,
    /// Connections that are opening or closing, and all of UDP's.
    pub inactive: u32,
    /// Persistence templates that point here.
    pub persistent: u32,
    /// Its counters.
    pub stats: Stats,
}
