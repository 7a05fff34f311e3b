//! What a show tells of the box itself: version, revisions, sessions, log, processes, memory, flash. Types only.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `show version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Of this firmware.
    pub firmware: String,
    /// `uname -r`.
    pub kernel: String,
    /// Of IPVS in the kernel, such as 1.2.1; empty when it is not loaded.
    pub ipvs: String,
    /// `a` or `b`.
    pub slot: String,
    /// Seconds since boot.
    pub uptime_s: u64,
    /// Why it booted: `power on or reset`, `reload by admin (ssh 192.0.2.7)`, `kernel failure: ...`.
    pub restart: String,
    /// Of the box: `hostname`, or `yoke`.
    pub hostname: String,
    /// Model name of the processor.
    pub cpu: String,
    /// Cores online.
    pub cores: u32,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Revision of the running configuration.
    pub revision: u64,
    /// Whether it is saved.
    pub saved: bool,
}

/// One saved configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the header of the file, config/src/store.rs")]
pub struct HistoryRow {
    pub number: u32,
    pub saved: String,
    pub by: String,
    pub from: String,
    pub firmware: String,
    pub revision: u64,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in Hello and Session")]
pub struct SessionRow {
    pub username: String,
    pub line: String,
    pub from: String,
    pub privilege: u8,
    pub since_s: u64,
    /// In configuration mode.
    pub configuring: bool,
}

/// `show logging`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Oldest first.
    pub lines: Vec<LogRow>,
    /// Where else they go.
    pub hosts: Vec<LogHostRow>,
}

/// One `logging host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHostRow {
    /// Its address.
    pub address: IpAddr,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Its port.
    pub port: u16,
    /// How it goes, in words: lines sent, lines lost because they fell out of the ring first, what keeps it from sending.
    pub status: String,
}

/// One line of the log ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Milliseconds since boot.
    pub uptime_ms: u64,
    /// Milliseconds since 1970, by the clock as it stands when it is asked.
    pub unix_ms: u64,
    /// 0 (emergency) to 7 (debug), RFC 5424 §6.2.1.
    pub severity: u8,
    /// Who wrote it.
    pub source: String,
    /// The line.
    pub text: String,
}

/// One supervised process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in yoke_init::request::ServiceStatus")]
pub struct ProcessRow {
    pub name: String,
    pub pid: i32,
    pub state: String,
    pub why: String,
    pub restarts: u32,
    pub since_s: u64,
    pub memory_kib: u64,
}

/// `/proc/meminfo`, KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "names of /proc/meminfo")]
pub struct Memory {
    pub total_kib: u64,
    pub available_kib: u64,
    pub used_kib: u64,
}

/// The config partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as named")]
pub struct Flash {
    pub mounted: bool,
    pub total_bytes: u64,
    pub free_bytes: u64,
    pub files: Vec<FlashFile>,
}

/// One file on flash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as named")]
pub struct FlashFile {
    pub name: String,
    pub bytes: u64,
}
