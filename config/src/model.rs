//! The typed configuration: plain data, keyed by identity, defaults filled in, cross-references checked.
//!
//! It is made from a [`crate::tree::Tree`] by `TryFrom` (`crate::convert`) and never printed back: text comes from the tree.
//! Nothing here talks to a kernel; the rooms that do read these types.

mod connection_sync;
mod ipvs;
mod monitor;
mod moving;
mod nat;
mod path;
mod virtual_server;
mod vrrp;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::value::{IfName, IpNet, MacAddr, Name, Ports, SecretHash};

pub use connection_sync::ConnectionSync;
pub use ipvs::{Defence, IpvsSettings};
pub use monitor::{Check, HealthCheck, HttpCheck, Monitor, SorryServer, Statuses, Tls, Trust};
pub use nat::{NatPool, SourceNat};
pub use path::ETHERNET_MTU;
pub use virtual_server::{Checksum, Mode, Persistence, RealServer, Scheduler, Tunnel, Virtual, VirtualServer};
pub use vrrp::{VrrpAddress, VrrpAuth, VrrpChecksum, VrrpGroup, VrrpRollout, VrrpSyncGroup};

/// Everything an operator has said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `hostname`; absent means [`Config::DEFAULT_HOSTNAME`].
    pub hostname: Option<Name>,
    /// `banner login` and `banner motd`, with `\n` already turned into line ends.
    pub banner_login: Option<String>,
    /// See `banner_login`.
    pub banner_motd: Option<String>,
    /// `clock timezone`, a name of the zone database; absent means UTC.
    pub timezone: Option<String>,
    /// `enable secret`.
    pub enable_secret: Option<SecretHash>,
    /// `username ...`.
    pub users: BTreeMap<Name, User>,
    /// `line console`.
    pub console: Line,
    /// `line vty`: every SSH session.
    pub vty: Line,
    /// `ip domain-name`.
    pub domain_name: Option<Name>,
    /// `ip name-server`, in the order of addresses.
    pub name_servers: Vec<IpAddr>,
    /// `ip route` and `ipv6 route`.
    pub routes: Vec<Route>,
    /// `arp ADDR MAC`: permanent neighbours.
    pub neighbours: BTreeMap<IpAddr, MacAddr>,
    /// `ip nat inside source PREFIX {interface|pool NAME}`: hosts whose own connections leave with another source address. What a virtual server
    /// balances is not among them.
    pub nat_inside: BTreeMap<IpNet, SourceNat>,
    /// `ip nat pool NAME FIRST [LAST]`.
    pub nat_pools: BTreeMap<Name, NatPool>,
    /// `ip nat pool ... redundancy GROUP`, by the pool's name: it is there only while the group is active.
    pub pool_groups: BTreeMap<Name, Name>,
    /// `ip ssh ...`.
    pub ssh: Ssh,
    /// `ntp server HOST [prefer]`.
    pub ntp_servers: BTreeMap<String, bool>,
    /// `install trust ca`: the authority, DER, that has signed the certificates of web servers with updates; absent: a public one.
    pub install_authority: Option<Vec<u8>>,
    /// `logging ...`.
    pub logging: Logging,
    /// `archive maximum`: revisions kept on flash, 1-50; absent: [`Config::DEFAULT_ARCHIVE`].
    pub archive_maximum: Option<u8>,
    /// `ipvs ...`.
    pub ipvs: IpvsSettings,
    /// `firewall-mark`.
    pub firewall_marks: Vec<FirewallMark>,
    /// `interface NAME`.
    pub interfaces: BTreeMap<IfName, Interface>,
    /// `health-monitor NAME`.
    pub monitors: BTreeMap<Name, Monitor>,
    /// `virtual-server NAME`.
    pub virtual_servers: BTreeMap<Name, VirtualServer>,
    /// `vrrp group NAME`.
    pub vrrp_groups: BTreeMap<Name, VrrpGroup>,
    /// `vrrp sync-group NAME`.
    pub vrrp_sync_groups: BTreeMap<Name, VrrpSyncGroup>,
    /// `connection-sync`.
    pub connection_sync: ConnectionSync,
    /// Lines that were accepted though their function, or the object they name, does not exist (yet): one sentence each,
    /// beginning with the object. `show warnings` prints them.
    pub warnings: Vec<String>,
}

impl Config {
    /// What a box is called until somebody names it.
    pub const DEFAULT_HOSTNAME: &str = "yoke";
    /// Packet marks that health checks in path travel with: `0x59000000` to `0x59ffffff`.
    pub const PROBE_MARKS: RangeInclusive<u32> = 0x5900_0000..=0x59ff_ffff;
    /// Revisions kept on flash.
    pub const DEFAULT_ARCHIVE: u8 = 10;

    /// What the box is called.
    #[must_use]
    pub fn hostname(&self) -> &str {
        self.hostname.as_ref().map_or(Self::DEFAULT_HOSTNAME, Name::as_str)
    }

    /// A health monitor: the operator's, or the built-in one, which is there until the operator makes one of its name.
    #[must_use]
    pub fn monitor(&self, name: &Name) -> Option<&Monitor> {
        let built_in = || (name.as_str() == Monitor::BUILT_IN).then_some(Monitor::DEFAULT);
        self.monitors.get(name).or_else(built_in)
    }

    /// The first virtual server with real servers of both families: the kernel runs no sync daemon beside such a one (`ip_vs_sync.c`).
    #[must_use]
    pub fn mixes_families(&self) -> Option<&Name> {
        self.virtual_servers.iter().find(|(_, server)| server.mixes_families()).map(|(name, _)| name)
    }
}

/// A person or script that may log in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// 1 (look) or 15 (everything).
    pub privilege: Privilege,
    /// `secret`; absent: no password login.
    pub secret: Option<SecretHash>,
    /// `ssh-key TYPE BASE64 [COMMENT]`, as lines for authorized_keys, in configuration order.
    pub ssh_keys: Vec<String>,
}

/// IOS privilege levels; only these two exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Privilege {
    /// Level 1: may look and ping.
    #[default]
    User,
    /// Level 15: may do everything.
    Admin,
}

impl Privilege {
    /// The IOS number, 1 or 15.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Admin => 15,
        }
    }
}

/// `line console` or `line vty`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Minutes without a key until the session ends; 0 never. Default 10.
    pub exec_timeout_min: u16,
    /// Serial speed in bits per second. Default 115,200; of no effect on vty.
    pub speed: u32,
    /// Rows of the terminal, 0 for no paging; absent: what the terminal says, else 24.
    pub length: Option<u16>,
    /// Columns of the terminal; absent: what the terminal says, else 80.
    pub width: Option<u16>,
}

impl Default for Line {
    fn default() -> Self {
        Self { exec_timeout_min: 10, speed: 115_200, length: None, width: None }
    }
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Destination, host bits zero.
    pub prefix: IpNet,
    /// Next hop, same family.
    pub gateway: IpAddr,
    /// IOS administrative distance, 1-255 (1); becomes the kernel's metric.
    pub distance: u8,
}

/// `ip ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// `ip ssh shutdown`.
    pub shutdown: bool,
    /// TCP port, 22.
    pub port: u16,
    /// `ip ssh access-class PREFIX`; empty: everybody who reaches an interface address.
    pub access_class: Vec<IpNet>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self { shutdown: false, port: 22, access_class: Vec::new() }
    }
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    /// `logging host ADDR [udp|tcp [PORT]]`.
    pub hosts: BTreeMap<IpAddr, (Transport, u16)>,
    /// `logging facility`, as RFC 5424 §6.2.1 numbers it; absent: local7 (23).
    pub facility: Option<u8>,
    /// `logging trap`; absent: informational.
    pub trap: Option<Severity>,
    /// `logging console`; absent: errors.
    pub console: Option<Severity>,
}

/// RFC 5424 §6.2.1, numbered as there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Severity {
    Emergencies,
    Alerts,
    Critical,
    Errors,
    Warnings,
    Notifications,
    Informational,
    Debugging,
}

/// `firewall-mark MARK PREFIX PROTOCOL PORTS`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirewallMark {
    /// 1-4294967295.
    pub mark: u32,
    /// Destinations that get it.
    pub prefix: IpNet,
    /// tcp, udp or sctp.
    pub protocol: Transport,
    /// Destination ports.
    pub ports: Ports,
}

/// Transport protocols IPVS balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "protocol names")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl Transport {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// IANA protocol number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// `interface NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// `description`.
    pub description: Option<String>,
    /// `ip address` and `ipv6 address`, host bits kept.
    pub addresses: Vec<IpNet>,
    /// Bytes of an IP packet, 68-9216; absent: the driver's.
    pub mtu: Option<u16>,
    /// `member`: the interfaces of a bond. Empty for others.
    pub members: Vec<IfName>,
    /// `bond-mode`; absent: active-backup.
    pub bond_mode: Option<BondMode>,
    /// `shutdown`.
    pub shutdown: bool,
}

/// How a bond chooses the member that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BondMode {
    /// LACP, kernel mode 4.
    Lacp,
    /// Kernel mode 1.
    ActiveBackup,
    /// Kernel mode 2.
    BalanceXor,
}
