//! What the kernel keeps once per network namespace: timeouts, connection sync daemons, and facts about itself.

use std::fmt;
use std::net::IpAddr;

use crate::InterfaceName;

/// How long a connection without packets is kept, in seconds. When set, 0 leaves a value as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Timeouts {
    /// An established TCP connection (900 after boot).
    pub tcp: u32,
    /// A TCP connection after a FIN (120).
    pub tcp_fin: u32,
    /// A UDP flow (300).
    pub udp: u32,
}

/// Facts about the running IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Info {
    /// Major, minor, patch; `1.2.1` since 2008.
    pub version: (u8, u8, u8),
    /// Buckets of the connection table. Since Linux 7.1 the table grows, and is 0 before the first service.
    pub table_size: u32,
}

/// Which end of connection sync a daemon is. Both can run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// Sends.
    Master,
    /// Receives.
    Backup,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// A connection sync daemon. Sync is UDP multicast without any authentication: keep it on a wire of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Daemon {
    /// Which end.
    pub role: SyncRole,
    /// Where its multicast goes or comes from.
    pub interface: InterfaceName,
    /// Tells pairs on one wire apart. A backup takes every id when its own is 0.
    pub sync_id: u8,
    /// The largest payload, in bytes; `None` takes the interface's MTU less headers.
    pub max_length: Option<u16>,
    /// The multicast group; `None` is 224.0.0.81. An IPv6 group makes the daemon speak IPv6.
    pub group: Option<IpAddr>,
    /// The UDP port; `None` is 8848.
    pub port: Option<u16>,
    /// Multicast time to live; `None` is 1.
    pub ttl: Option<u8>,
}
