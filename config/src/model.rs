//! The typed configuration: plain data, keyed by identity, defaults filled in, cross-references checked.
//!
//! It is made from a [`crate::tree::Tree`] by `TryFrom` (`crate::convert`) and never printed back: text comes from the tree.
//! Nothing here talks to a kernel; the rooms that do read these types.

mod connection_sync;
mod monitor;
mod moving;
mod path;
mod vrrp;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::value::{IfName, IpNet, MacAddr, Name, Ports, SecretHash};

pub use connection_sync::ConnectionSync;
pub use monitor::{Check, HealthCheck, HttpCheck, Monitor, SorryServer, Statuses, Tls, Trust};
pub use path::ETHERNET_MTU;
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

/// `ipvs ...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpvsSettings {
    /// Seconds an established TCP connection may be idle, 900.
    pub timeout_tcp: u32,
    /// Seconds after FIN, 120.
    pub timeout_tcpfin: u32,
    /// Seconds a UDP flow may be idle, 300.
    pub timeout_udp: u32,
    /// log2 of the connection table's buckets, 8-27; absent: the image's. Needs a reload.
    pub table_bits: Option<u8>,
    /// `ipvs conn-reuse-mode`: what a connection that reuses a client's port gets, 0-2 as the kernel numbers it. Default 1.
    pub conn_reuse_mode: u8,
    /// `ipvs expire-nodest-conn`.
    pub expire_nodest_conn: bool,
    /// `ipvs expire-quiescent-template`.
    pub expire_quiescent_template: bool,
    /// `ipvs sloppy-tcp`.
    pub sloppy_tcp: bool,
    /// `ipvs sloppy-sctp`.
    pub sloppy_sctp: bool,
    /// `ipvs schedule-icmp`.
    pub schedule_icmp: bool,
    /// `ipvs drop-entry [always]`.
    pub drop_entry: Option<Defence>,
    /// `ipvs drop-packet [always [RATE]]`: one packet of so many, 2-1000.
    pub drop_packet: Option<(Defence, u16)>,
    /// `ipvs secure-tcp [always]`: the table `tcp_states_dos` of ip_vs_proto_tcp.c. Timeouts stay what they are.
    pub secure_tcp: Option<Defence>,
    /// `ipvs memory-threshold`: megabytes that have to be free; absent: a twentieth of the memory.
    pub memory_threshold_mb: Option<u32>,
}

impl IpvsSettings {
    /// The kernel's own rate of `drop-packet always`.
    pub const DROP_RATE: u16 = 10;

    /// One packet of how many `drop-packet always` drops.
    #[must_use]
    pub fn drop_rate(&self) -> u16 {
        self.drop_packet.map_or(Self::DROP_RATE, |(_, rate)| rate)
    }
}

/// When the kernel defends itself against floods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defence {
    /// While memory is short.
    Auto,
    /// Whatever memory there is.
    Always,
}

impl Default for IpvsSettings {
    fn default() -> Self {
        Self {
            timeout_tcp: 900,
            timeout_tcpfin: 120,
            timeout_udp: 300,
            table_bits: None,
            conn_reuse_mode: 1,
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            sloppy_tcp: false,
            sloppy_sctp: false,
            schedule_icmp: false,
            drop_entry: None,
            drop_packet: None,
            secure_tcp: None,
            memory_threshold_mb: None,
        }
    }
}

/// `ip nat pool NAME FIRST [LAST]`: source addresses of mode fullnat and of hosts inside. As long as it is configured, this box answers for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NatPool {
    /// The first address.
    pub first: IpAddr,
    /// The last, of the same family and not before the first.
    pub last: IpAddr,
}

impl NatPool {
    /// Addresses a pool may have. Each of them has 64,000 connections to one port of one real server, so that these have more than fit in any
    /// memory; and each is an address of an interface, where the kernel looks through all of them to add one.
    pub const MAX: u128 = 4096;

    /// Whether it holds this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// How many addresses it holds; 0 when it is not well formed.
    #[must_use]
    pub fn count(&self) -> u128 {
        let (first, last) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (u128::from(first.to_bits()), u128::from(last.to_bits())),
            (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits()),
            _ => return 0,
        };
        last.checked_sub(first).map_or(0, |more| more.saturating_add(1))
    }

    /// Every address, in order, at most [`NatPool::MAX`].
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (0..self.count().min(Self::MAX)).map(move |offset| match self.first {
            IpAddr::V4(first) => {
                let offset = u32::try_from(offset).expect("a pool is smaller than 2^32");
                Ipv4Addr::from_bits(first.to_bits().wrapping_add(offset)).into()
            }
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().wrapping_add(offset)).into(),
        })
    }
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

/// `virtual-server NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    /// What clients talk to.
    pub virtual_: Virtual,
    /// `scheduler`, wlc.
    pub scheduler: Scheduler,
    /// `mode`, nat: what a real server that says nothing gets.
    pub mode: Mode,
    /// `tunnel`, ipip: for real servers of mode tun.
    pub tunnel: Tunnel,
    /// `source-nat`, for real servers of mode fullnat.
    pub source_nat: SourceNat,
    /// `persistence`.
    pub persistence: Option<Persistence>,
    /// `one-packet`.
    pub one_packet: bool,
    /// `description`.
    pub description: Option<String>,
    /// `shutdown`: absent from the kernel.
    pub shutdown: bool,
    /// `health-check`; absent: the built-in monitor, where it knows what to connect to.
    pub health_check: Option<HealthCheck>,
    /// `redundancy GROUP`: it is here only while this vrrp group is active.
    pub redundancy: Option<Name>,
    /// `quorum N`, 1: sum of the weights of healthy real servers below which clients go to the sorry server.
    pub quorum: u16,
    /// `quorum N hysteresis N`, 0: quorum is lost below their difference and back at their sum.
    pub hysteresis: u16,
    /// `sorry-server ADDR PORT [mode M]`.
    pub sorry_server: Option<SorryServer>,
    /// `inhibit-on-failure`: weight 0 instead of absence.
    pub inhibit_on_failure: bool,
    /// `slow-start`: seconds in which a server that is back grows to its weight; 0: at once.
    pub slow_start_s: u16,
    /// `fail-open`.
    pub fail_open: bool,
    /// `real-server ADDR PORT`; port 0 is `any`.
    pub real_servers: BTreeMap<(IpAddr, u16), RealServer>,
}

impl VirtualServer {
    /// Whether its real servers, those to come, or its sorry server are reached in this mode.
    #[must_use]
    pub fn uses(&self, mode: Mode) -> bool {
        let sorry = self.sorry_server.is_some_and(|sorry| sorry.mode == mode);
        self.mode == mode || sorry || self.real_servers.values().any(|real| real.mode == mode)
    }

    /// Whether packets of one family go to a server of the other, which mode tun can do.
    #[must_use]
    pub fn mixes_families(&self) -> bool {
        let real = self.real_servers.iter().filter(|(_, real)| !real.shutdown).map(|(&(address, _), _)| address);
        let sorry = self.sorry_server.map(|sorry| sorry.address);
        !self.shutdown && real.chain(sorry).any(|address| address.is_ipv6() != self.virtual_.is_ipv6())
    }

    /// How that real server is judged: its own `health-check`, or this virtual server's, or a connection to the port that clients come to by
    /// tcp; `None` where nobody was told how.
    #[must_use]
    pub fn health_check_of<'a>(&'a self, (_, port): (IpAddr, u16), real: &'a RealServer) -> Option<&'a HealthCheck> {
        let connects = port != 0 && matches!(self.virtual_, Virtual::Address(_, Transport::Tcp, _));
        real.health_check.as_ref().or(self.health_check.as_ref()).or(connects.then(HealthCheck::built_in))
    }
}

/// What makes a packet belong to a virtual server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Virtual {
    /// `virtual ADDR PROTOCOL PORT`; port 0 is `any`.
    Address(IpAddr, Transport, u16),
    /// `virtual fwmark MARK [ipv6]`.
    Fwmark {
        /// 1-4294967295.
        mark: u32,
        /// Whether it balances IPv6 packets.
        ipv6: bool,
    },
}

impl Virtual {
    /// The virtual address, if there is one.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address, ..) => Some(address),
            Self::Fwmark { .. } => None,
        }
    }

    /// Whether packets are IPv6.
    #[must_use]
    pub fn is_ipv6(self) -> bool {
        match self {
            Self::Address(address, ..) => address.is_ipv6(),
            Self::Fwmark { ipv6, .. } => ipv6,
        }
    }
}

/// `scheduler NAME [port|fallback|port-fallback]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// Kernel name, as in `modprobe ip_vs_NAME`.
    pub name: &'static str,
    /// Whether sh or mh hashes the port too.
    pub port: bool,
    /// Whether sh or mh goes on to another server when the chosen one is not available.
    pub fallback: bool,
}

/// How packets reach a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the configuration's words")]
pub enum Mode {
    Nat,
    Dr,
    Tun,
    Fullnat,
}

impl Mode {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dr => "dr",
            Self::Tun => "tun",
            Self::Fullnat => "fullnat",
        }
    }
}

/// `tunnel ...`: the encapsulation of mode tun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tunnel {
    /// Plain IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation to this port.
    Gue(u16, Checksum),
    /// GRE; [`Checksum::Remote`] does not occur.
    Gre(Checksum),
}

/// Checksum of the outer header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Checksum {
    /// `nocsum`.
    #[default]
    None,
    /// `csum`.
    Full,
    /// `remcsum`: remote checksum offload.
    Remote,
}

/// `source-nat ...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SourceNat {
    /// The address of the interface the packet leaves by.
    #[default]
    Interface,
    /// An `ip nat pool`.
    Pool(Name),
}

/// `persistence ...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds, 1-31536000.
    pub timeout: u32,
    /// Prefix length that makes two clients one: 1-32 or 1-128, default all bits.
    pub prefix_len: u8,
    /// `engine sip`.
    pub sip: bool,
}

/// `real-server ADDR PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    /// 0-65535, 1.
    pub weight: u16,
    /// Its own `mode`, or the virtual server's.
    pub mode: Mode,
    /// `threshold UPPER [LOWER]`: no new connections above UPPER until below LOWER (three quarters of UPPER). 0 is none.
    pub threshold: (u16, Option<u16>),
    /// `drain`: weight 0 whatever `weight` says.
    pub drain: bool,
    /// Its own `health-check`, or nothing: the virtual server's.
    pub health_check: Option<HealthCheck>,
    /// `shutdown`: absent from the kernel.
    pub shutdown: bool,
    /// `description`.
    pub description: Option<String>,
}
