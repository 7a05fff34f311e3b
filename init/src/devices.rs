//! What is plugged in: the modalias strings of `/sys/bus`.
//!
//! Read again after each load, since a driver brings further devices (a virtio bus, a SCSI disk).

use std::fs;
use std::path::PathBuf;

/// One device that says who it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Resolved path in `/sys/devices`; sorts by bus address, which gives interfaces their numbers.
    pub path: PathBuf,
    /// What `modules.alias` patterns are matched against.
    pub modalias: String,
}

/// Lists devices of every bus, in the order of their bus addresses.
#[must_use]
pub fn list() -> Vec<Device> {
    let buses = fs::read_dir("/sys/bus").into_iter().flatten().flatten();
    let mut found: Vec<Device> = buses
        .flat_map(|bus| fs::read_dir(bus.path().join("devices")).into_iter().flatten().flatten())
        .filter_map(|entry| {
            let modalias = fs::read_to_string(entry.path().join("modalias")).ok()?.trim_end().to_owned();
            let path = fs::canonicalize(entry.path()).ok()?;
            (!modalias.is_empty()).then_some(Device { path, modalias })
        })
        .collect();
    found.sort();
    found
}
