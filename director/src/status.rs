//! The requests the director answers on `/run/yoke/director.sock`, and the data its replies carry.
//!
//! Types only. A row is what `show X | json` prints: a field is never renamed, times are seconds, numbers are numbers.
//! The tables of the same data are drawn in the shell.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where the director listens, mode 0666; the caller is known by `SO_PEERCRED`.
pub const SOCKET: &str = "/run/yoke/director.sock";

/// One request. The first on a connection is [`Request::Hello`]; a connection is a session and ends with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Request {
    /// Opens the session. A caller with a configured uid is that user; uid 0 on a console has yet to log in.
    Hello {
        /// Which `line` settings apply.
        line: LineKind,
        /// Terminal, such as `ttyS0`; empty without one.
        tty: String,
        /// Where from, such as `192.0.2.7`; empty on the console.
        from: String,
    },
    /// uid 0 only: verifies a console login and turns the session into that user's. Rate-limited.
    Login {
        /// As typed.
        username: String,
        /// As typed; never logged.
        password: String,
    },
    /// uid 0 only, while no credential exists: creates `admin` with privilege 15 and this password, and logs it in.
    FirstPassword {
        /// As typed twice.
        password: String,
    },
    /// Raises this session to privilege 15 with the enable secret. Rate-limited.
    Enable {
        /// As typed; empty to ask whether one is needed: the session comes back raised if none is, as it was if one is,
        /// and nobody can be raised who has neither privilege 15 nor a secret to say.
        password: String,
    },
    /// Back to the user's own privilege, at most 1.
    Disable,
    /// The running configuration with its revision. Secrets are masked below privilege 15.
    Running,
    /// The session enters configuration mode, or has left it. Says who else is there.
    Configure {
        /// Left when false.
        active: bool,
    },
    /// Applies a batch of lines (a block, a session, a file) as one: all or nothing.
    Apply {
        /// The revision the lines were typed against: another's change to the same line since is a conflict.
        base: u64,
        /// Lines from the root of the configuration, as typed or canonical.
        lines: Vec<String>,
        /// Apply in spite of conflicts.
        force: bool,
    },
    /// Replaces the whole running configuration by `text`, as one change.
    Replace {
        /// Configuration text.
        text: String,
    },
    /// `write memory`.
    Save {
        /// Though rejected lines would be lost.
        force: bool,
    },
    /// `write erase`: removes startup-config, its backup and every revision, so that the next boot is a first one.
    Erase,
    /// `factory-reset`: removes configuration, archive, keys, then reboots.
    FactoryReset,
    /// `reload`: hands over, stops in order and reboots; `power_off` instead of rebooting.
    Reload {
        /// Switch the machine off.
        power_off: bool,
    },
    /// Data for a `show`.
    Show(Show),
    /// Zeroes the kernel's counters.
    ClearStatistics {
        /// Only of this one.
        virtual_server: Option<String>,
    },
    /// Shows no line any more that is in the log now.
    ClearLog,
    /// `clear counters`: from now on those of interfaces count from zero.
    ClearCounters {
        /// Only of this one.
        interface: Option<String>,
    },
    /// `clear arp`: forgets neighbours of both families that were found out.
    ClearNeighbours,
    /// `reset connections`: ends what is open; with `templates`, `reset persistence`: forgets whom clients are bound to.
    Reset(ConnectionFilter),
    /// Adds or removes `drain`. The reply comes at once; the shell watches [`Show::RealServers`] to wait.
    Drain {
        /// `undrain` when false.
        drain: bool,
        /// Which real servers.
        address: IpAddr,
        /// Only this port.
        port: Option<u16>,
        /// Only in this virtual server.
        virtual_server: Option<String>,
    },
    /// `hand-over vrrp`, `hand-back vrrp`, `reset vrrp group`.
    Vrrp {
        /// What to do.
        command: VrrpCommand,
        /// Only this group, with its sync group; else every one.
        group: Option<String>,
    },
    /// Messages for terminals (log lines at `logging console` level or above) since the last time this was asked.
    Messages,
}

/// What an operator tells the redundancy protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VrrpCommand {
    /// Resign, and stay backup until handed back or nobody else is active.
    HandOver,
    /// Take over from a lower router, preemption or not.
    HandBack,
    /// Start the state machine afresh, counters at zero.
    Reset,
}

/// Where an operator sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Serial or VGA.
    Console,
    /// SSH.
    Vty,
}

/// What a `show` wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Show {
    /// `show virtual-server [NAME]`, `show rate`, `show statistics`: rows carry all of it.
    VirtualServers {
        /// Only this one.
        name: Option<String>,
    },
    /// `show real-server`, `show thresholds`.
    RealServers {
        /// Only of this one.
        virtual_server: Option<String>,
    },
    /// `show health-check [NAME]`.
    HealthChecks {
        /// Only of this monitor.
        monitor: Option<String>,
    },
    /// `show connections`.
    Connections(ConnectionFilter),
    /// `show interfaces [NAME]`.
    Interfaces {
        /// Only this one.
        name: Option<String>,
    },
    /// `show ip route`, `show ipv6 route`.
    Routes {
        /// The family.
        ipv6: bool,
    },
    /// `show arp`: neighbours of both families.
    Neighbours,
    /// `show version`.
    Version,
    /// `show warnings`.
    Warnings,
    /// `show startup-config`.
    Startup,
    /// Lines rejected when the startup configuration was loaded.
    Rejected,
    /// `show configuration diff`: commands that turn the startup configuration into the running one.
    Diff,
    /// `show configuration history`.
    History,
    /// `show users`, `who`.
    Sessions,
    /// `show logging`.
    Log {
        /// The last so many; 0 is all.
        tail: u32,
    },
    /// `show connection-sync`.
    ConnectionSync,
    /// `show vrrp`.
    Vrrp {
        /// Only this group.
        group: Option<String>,
    },
    /// `show processes`.
    Processes,
    /// `show memory`.
    Memory,
    /// `show flash:`.
    Flash,
    /// `show ipvs`: settings of the kernel's balancer.
    Ipvs,
    /// What `ipvsadm` prints of the kernel's table, for privilege 15. Commands of it that write are refused.
    Ipvsadm {
        /// Words after `ipvsadm`.
        arguments: Vec<String>,
    },
}

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

/// One reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// Done, with sentences that deserve a `% Warning:`.
    Done {
        /// Sentences.
        warnings: Vec<String>,
    },
    /// Answer to [`Request::Hello`], [`Request::Login`], [`Request::FirstPassword`], [`Request::Enable`], [`Request::Disable`].
    Session(Session),
    /// The running configuration.
    Running {
        /// Grows with each change.
        revision: u64,
        /// Canonical text.
        text: String,
    },
    /// Answer to [`Request::Configure`].
    Configuring {
        /// The other sessions in configuration mode, oldest first.
        others: Vec<SessionRow>,
    },
    /// A change took effect.
    Applied {
        /// The new revision.
        revision: u64,
        /// Sentences, new with this change.
        warnings: Vec<String>,
    },
    /// Answer to [`Request::Reset`].
    Reset {
        /// Connections that were ended.
        ended: u64,
        /// Those that are still there; the same again may end them.
        left: u64,
        /// Those that no reset ends: client and real server are of two address families.
        never: u64,
    },
    /// Nothing was done.
    Refused(Refusal),
    /// Data of a `show`.
    Data(Data),
    /// Messages for the terminal.
    Messages {
        /// Complete lines.
        lines: Vec<String>,
    },
}

/// Why nothing was done; the shell's exit status comes from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind.
    pub kind: RefusalKind,
    /// `<object>: <what is wrong>, <what to do>`, one each.
    pub problems: Vec<String>,
}

/// Kinds of refusal and their exit status (cli.md 3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// 1: something failed while it was done.
    Failed,
    /// 2: a line means nothing.
    Syntax,
    /// 3: not privileged, wrong password, locked.
    Denied,
    /// 4: a configuration change was not applied, or rolled back.
    NotApplied,
}

/// Who a session is and what its prompt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// For the prompt.
    pub hostname: String,
    /// Empty before login.
    pub username: String,
    /// uid and gid the shell continues with after a console login.
    pub ids: (u32, u32),
    /// 1 or 15; 0 before login.
    pub privilege: u8,
    /// No credential exists: ask for admin's new password.
    pub first_password: bool,
    /// `banner login`.
    pub banner_login: String,
    /// `banner motd`.
    pub banner_motd: String,
    /// `exec-timeout` in minutes, 0 never.
    pub exec_timeout_min: u16,
    /// `length`, if configured.
    pub length: Option<u16>,
    /// `width`, if configured.
    pub width: Option<u16>,
    /// `speed` of the console in bits per second.
    pub speed: u32,
    /// First line of a console: `Yoke 0.1.0 ...`.
    pub firmware: String,
    /// How the configuration came to be when that is unusual: `no configuration on flash`, `startup-config damaged, ...`.
    pub notice: String,
}

/// Data of a `show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is named for its Show")]
pub enum Data {
    VirtualServers(Vec<VirtualServerRow>),
    RealServers(Vec<RealServerRow>),
    HealthChecks(Vec<HealthCheckRow>),
    Connections(Connections),
    Interfaces(Vec<InterfaceRow>),
    Routes(Vec<RouteRow>),
    Neighbours(Vec<NeighbourRow>),
    Version(Version),
    Warnings(Vec<String>),
    Lines(Vec<String>),
    History(Vec<HistoryRow>),
    Sessions(Vec<SessionRow>),
    Log(Log),
    ConnectionSync(Option<ConnectionSyncRow>),
    Vrrp(vrrp::status::Status),
    Processes(Vec<ProcessRow>),
    Memory(Memory),
    Flash(Flash),
    Ipvs(Box<Ipvs>),
}

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
    /// Who is heard; empty: anybody on the interface.
    pub peers: Vec<IpAddr>,
    /// Whether this box sends.
    pub sends: bool,
    /// Whether this box hears.
    pub receives: bool,
    /// Virtual servers whose connections of mode fullnat do not outlive a failover: their source addresses are connection tracking's.
    pub not_carried: Vec<String>,
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
    /// `ipvs table-bits` as configured, which takes effect with a reload.
    pub table_bits_at_reload: Option<u32>,
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
    /// Why the box came up: kept short, such as `power-on or reset`.
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
#[expect(missing_docs, reason = "the header of the file, cli.md 2.5")]
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
