//! The requests the director answers on `/run/yoke/director.sock`, and the data its replies carry.
//!
//! Types only. A row is what `show X | json` prints: a field is never renamed, times are seconds, numbers are numbers.
//! The tables of the same data are drawn in the shell.

mod balancing;
mod connections;
mod firmware;
mod machine;
mod network;
mod session;
mod system;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use yoke_install::report::{Slots, Target};

pub use balancing::{Counters, HealthChange, HealthCheckRow, RealServerRow, VirtualServerRow};
pub use connections::{ConnectionFilter, ConnectionRow, ConnectionSyncRow, Connections, DaemonRow, DefenceRow, Ipvs};
pub use firmware::{Adding, Install};
pub use machine::{Card, Disk, Inventory, Ntp, NtpServerRow, Ssh};
pub use network::{InterfaceRow, NeighbourRow, RouteRow};
pub use session::{LineKind, Session};
pub use system::{Flash, FlashFile, HistoryRow, Log, LogHostRow, LogRow, Memory, ProcessRow, SessionRow, Version};

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
    /// `format flash:`: makes its file system anew where it does not mount.
    Format,
    /// `factory-reset`: removes configuration, archive, keys, then reboots.
    FactoryReset,
    /// `reload`: hands over, stops in order and reboots; `power_off` instead of rebooting.
    Reload {
        /// Switch the machine off.
        power_off: bool,
    },
    /// `install ...`.
    Install(Install),
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
    /// Whether there is something that whoever leaves, or restarts the box, should be asked to save. Answers within seconds, whatever the flash does.
    Unsaved,
    /// `show configuration history`.
    History,
    /// `show users`, `who`.
    Sessions,
    /// `show inventory`.
    Inventory,
    /// `show ntp`.
    Ntp,
    /// `show ip ssh`.
    Ssh,
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
    /// `show install summary`.
    Install,
    /// How far `install add` or `install disk` is.
    InstallProgress,
    /// What a disk is that `install disk` would overwrite; refused for one that it must not.
    InstallTarget {
        /// The kernel's name.
        name: String,
    },
    /// `show ipvs`: settings of the kernel's balancer.
    Ipvs,
    /// What `ipvsadm` prints of the kernel's table, for privilege 15. Commands of it that write are refused.
    Ipvsadm {
        /// Words after `ipvsadm`.
        arguments: Vec<String>,
    },
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
    /// Answer to [`Request::Install`].
    Installed {
        /// A sentence; empty when `install add` or `install disk` has begun.
        text: String,
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

/// Kinds of refusal and their exit status.
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
    Unsaved(bool),
    History(Vec<HistoryRow>),
    Sessions(Vec<SessionRow>),
    Log(Log),
    Ntp(Option<Ntp>),
    Ssh(Ssh),
    Inventory(Inventory),
    ConnectionSync(Option<ConnectionSyncRow>),
    Vrrp(vrrp::status::Status),
    Processes(Vec<ProcessRow>),
    Memory(Memory),
    Flash(Flash),
    Install(Slots),
    InstallProgress(Adding),
    InstallTarget(Target),
    Ipvs(Box<Ipvs>),
}
