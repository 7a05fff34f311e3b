//! What a show tells of the machine under the box: its parts, and what keeps its clock right. Types only.

use serde::{Deserialize, Serialize};

/// `show inventory`: what the firmware of the machine and the kernel say; what they do not say is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of SMBIOS and /sys")]
pub struct Inventory {
    pub vendor: String,
    pub product: String,
    pub serial: String,
    pub board: String,
    pub board_serial: String,
    pub firmware: String,
    pub cpu: String,
    pub cores: u32,
    pub memory_kib: u64,
    pub disks: Vec<Disk>,
    pub cards: Vec<Card>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in Inventory; address: of the PCI device")]
pub struct Disk {
    pub name: String,
    pub model: String,
    pub serial: String,
    pub bytes: u64,
    pub address: String,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Such as `eth0`.
    pub name: String,
    /// The kernel's driver.
    pub driver: String,
    /// Of the PCI device.
    pub address: String,
    /// As it is now.
    pub mac: String,
    /// Of the link, 0 when there is none or it has none.
    pub speed_mbit: u32,
    /// Receive queues.
    pub rx_queues: u32,
    /// Transmit queues.
    pub tx_queues: u32,
    /// Processors that take its interrupts.
    pub interrupt_cpus: Vec<u32>,
    /// Processors that its first receive queue hands packets to; none: the one that took the interrupt keeps them.
    pub rps_cpus: Vec<u32>,
}

/// `show ip ssh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    /// Its TCP port.
    pub port: u16,
    /// Where it answers; nowhere when it is closed.
    pub addresses: Vec<String>,
    /// `ip ssh access-class`; empty: everybody.
    pub clients: Vec<String>,
    /// Wrong passwords or keys in one connection.
    pub guesses: u32,
    /// Connections that one source (an address, of IPv6 a network of 64 bits) may begin in a minute, in the long run.
    pub a_minute: u32,
    /// And at once.
    pub burst: u32,
    /// Connections of one source without a login, on one address.
    pub unknown_of_source: u32,
    /// Connections of all sources without a login, on one address.
    pub unknown: u32,
    /// Attempts to begin a connection that were refused for that since SSH was opened; `None` while nothing is limited.
    pub refused: Option<u64>,
}

/// `show ntp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ntp {
    /// Whether the clock follows a server.
    pub synchronised: bool,
    /// Address of that server; empty when there is none.
    pub reference: String,
    /// Distance from a reference clock in servers; 0 when there is none.
    pub stratum: u8,
    /// How far the clock is off in nanoseconds, positive when it is fast.
    pub offset_ns: i64,
    /// How much too fast it would run, in parts per billion.
    pub frequency_ppb: i64,
    /// The most it may be off from the reference clock, in nanoseconds.
    pub distance_ns: i64,
    /// Every server.
    pub servers: Vec<NtpServerRow>,
}

/// One `ntp server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NtpServerRow {
    /// Its address.
    pub address: String,
    /// `selected`, `combined`, `not combined`, `wrong time`, `too variable`, `no answer`.
    pub state: String,
    /// Its distance from a reference clock.
    pub stratum: u8,
    /// Seconds between two questions.
    pub poll_s: u64,
    /// Answers to the last eight questions.
    pub answered: u32,
    /// Seconds since the last answer; 4294967295 when there was none.
    pub last_s: u64,
    /// How far the clock was off by it, in nanoseconds.
    pub offset_ns: i64,
    /// How wrong that may be.
    pub error_ns: i64,
}
