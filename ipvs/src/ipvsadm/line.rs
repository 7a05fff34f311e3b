//! A command line, typed and judged: what it asks the kernel, or what it prints.

use crate::wire::Request;
use crate::{
    Daemon, Destination, DestinationKey, Family, Forward, Netmask, Persistence, Protocol, SchedulerFlags, Service,
    ServiceKey, SyncRole, Thresholds, Timeouts, Tunnel, TunnelFlags,
};

use super::draft::{Draft, Given};
use super::refuse::Failure;
use super::rules;
use super::text::Names;
use super::words::{Flag, Means, Token, Typed, Verb, Words};

/// Seconds in 31 days: the most ipvsadm takes for a timeout.
pub(super) const TIMEOUT_MAX: i64 = 86400 * 31;

/// What a line asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// Of the kernel.
    Ask(Request),
    /// A daemon on an interface whose name cannot be one.
    NoInterface,
    /// A list.
    List(List),
    /// The table as command lines.
    Save {
        /// No names.
        numeric: bool,
        /// With all that ipvsadm forgets.
        full: bool,
    },
    /// Lines from standard input.
    Restore {
        /// The lines are the whole table.
        replace: bool,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// What a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// What.
    pub what: What,
    /// No names.
    pub numeric: bool,
    /// Large numbers in full.
    pub exact: bool,
    /// In the order of the kernel.
    pub unsorted: bool,
    /// As JSON, with everything there is to know.
    pub json: bool,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The table, or one service of it, with those columns.
    Services(Option<ServiceKey>, Columns),
    /// The connections.
    Connections {
        /// With what a persistence engine knows of them.
        engine: bool,
    },
    /// The idle timeouts.
    Timeouts,
    /// The sync daemons.
    Daemons,
}

impl Default for What {
    fn default() -> Self {
        Self::Services(None, Columns::Usual)
    }
}

/// Which columns a table has. The first that is asked for wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Columns {
    /// Forwarding, weight, connections.
    #[default]
    Usual,
    /// `--stats`.
    Stats,
    /// `--rate`.
    Rate,
    /// `--thresholds`.
    Thresholds,
    /// `--persistent-conn`.
    PersistentConn,
    /// `--tun-info`.
    TunnelInfo,
}

/// Reads a line.
///
/// # Errors
/// As ipvsadm, in what it says and in the order it looks.
pub fn read(arguments: &[&str], names: &Names) -> Result<Line, Failure> {
    if arguments.is_empty() {
        return Ok(Line::List(List::default()));
    }
    let mut words = Words::new(arguments);
    let mut alone = Vec::new();
    let mut first = None;
    let mut draft = Draft::new(names);
    while let Some(token) = words.next()? {
        match token {
            Token::Alone(word) => alone.push(word),
            Token::Word(Typed { means: Means::With(flag), value, .. }) => draft.take(flag, value)?,
            Token::Word(Typed { means: Means::Do(verb), value, name }) => match first {
                Some(_) => return Err(Failure::Wrong(format!("invalid option `{name}'"))),
                None => {
                    match verb {
                        Verb::Help => return Ok(Line::Help),
                        Verb::Version => return Ok(Line::Version),
                        _ => {}
                    }
                    first = Some((verb, role(verb, value)?));
                }
            },
        }
    }
    let Some((verb, role)) = first else { return Err(Failure::Usage) };
    let mut timeouts = Timeouts::default();
    if verb == Verb::Set {
        timeouts = set(&alone)?;
        alone.drain(..3);
    }
    if let Some(extra) = alone.first() {
        return Err(Failure::Wrong(format!("unexpected argument {extra}")));
    }
    let scheduler_flags = draft.scheduler_flags()?;
    rules::judge(verb, &draft.given)?;
    let service = |draft| service(draft, scheduler_flags);
    let ask = |request| Ok(Line::Ask(request));
    match verb {
        Verb::AddService => service(&draft).and_then(|(key, service)| ask(Request::NewService(key, service))),
        Verb::EditService => service(&draft).and_then(|(key, service)| ask(Request::SetService(key, service))),
        Verb::DeleteService => ask(Request::DelService(draft.key()?)),
        Verb::AddServer => server(&draft).and_then(|(of, key, d)| ask(Request::NewDestination(of, key, d))),
        Verb::EditServer => server(&draft).and_then(|(of, key, d)| ask(Request::SetDestination(of, key, d))),
        Verb::DeleteServer => ask(Request::DelDestination(draft.key()?, draft.server()?)),
        Verb::Flush => ask(Request::Flush),
        Verb::Zero => ask(Request::Zero(draft.service.map(|_| draft.key()).transpose()?)),
        Verb::Set => ask(Request::SetTimeouts(timeouts)),
        Verb::StartDaemon => daemon(&draft, role),
        Verb::StopDaemon => ask(Request::DelDaemon(role)),
        Verb::Save => Ok(Line::Save { numeric: draft.has(Flag::Numeric), full: draft.has(Flag::Full) }),
        Verb::Restore => Ok(Line::Restore { replace: draft.has(Flag::Replace), dry_run: draft.has(Flag::DryRun) }),
        Verb::List => list(&draft).map(Line::List),
        Verb::Help => Ok(Line::Help),
        Verb::Version => Ok(Line::Version),
    }
}

fn set(values: &[&str]) -> Result<Timeouts, Failure> {
    let [tcp, tcp_fin, udp, ..] = values else {
        return Err(Failure::Wrong("--set option requires 3 timeout values".into()));
    };
    Ok(Timeouts { tcp: timeout(tcp, 0)?, tcp_fin: timeout(tcp_fin, 0)?, udp: timeout(udp, 0)? })
}

/// A timeout of at least `min` seconds.
pub(super) fn timeout(text: &str, min: i64) -> Result<u32, Failure> {
    let value = super::text::number(text, min, TIMEOUT_MAX).and_then(|value| u32::try_from(value).ok());
    value.ok_or_else(|| Failure::Wrong(format!("invalid timeout value `{text}' specified")))
}

fn role(verb: Verb, text: &str) -> Result<SyncRole, Failure> {
    let name = match verb {
        Verb::StartDaemon => "start-daemon parameter",
        // Not our spelling.
        Verb::StopDaemon => "start_daemon",
        _ => return Ok(SyncRole::Master),
    };
    match text {
        "master" => Ok(SyncRole::Master),
        "backup" => Ok(SyncRole::Backup),
        _ => Err(Failure::Wrong(format!("illegal {name} specified"))),
    }
}

fn service(draft: &Draft<'_>, scheduler_flags: SchedulerFlags) -> Result<(ServiceKey, Service), Failure> {
    let wrong = |text: &str| Err(Failure::Wrong(text.into()));
    let key = draft.key()?;
    if let ServiceKey::Address { protocol, port, .. } = key {
        if port == 0 && draft.persistent.is_none() {
            return wrong("Zero port specified for non-persistent service");
        }
        if draft.has(Flag::OnePacket) && protocol != Protocol::Udp {
            return wrong("One-Packet Scheduling is only for UDP virtual services");
        }
    }
    let no_module = || Failure::Refused("Scheduler or persistence engine not found".into());
    let engine = if draft.engine.is_empty() { None } else { Some(draft.engine.parse().map_err(|_| no_module())?) };
    let netmask = draft.netmask.unwrap_or(Netmask::host(key.family()));
    let service = Service {
        scheduler: draft.scheduler().parse().map_err(|_| no_module())?,
        scheduler_flags,
        persistence: draft.persistent.map(|timeout| Persistence { timeout, netmask }),
        engine,
        one_packet: draft.has(Flag::OnePacket),
    };
    Ok((key, service))
}

fn server(draft: &Draft<'_>) -> Result<(ServiceKey, DestinationKey, Destination), Failure> {
    let of = draft.key()?;
    let mut key = draft.server()?;
    let tunnelled = draft.has(Flag::Ipip);
    if !tunnelled && Family::from(key.address) != of.family() {
        let text = "Different address family is allowed only for tunneling servers";
        return Err(Failure::Wrong(text.into()));
    }
    let tunnel_options = ["tun-type", "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"];
    if !tunnelled && tunnel_options.iter().any(|name| draft.given.contains(name)) {
        return Err(Failure::Wrong("Tunnel options conflict with forward method".into()));
    }
    if tunnelled {
        rules::judge_tunnel(draft.tunnel, &draft.given)?;
    }
    let forward = if tunnelled {
        Forward::Tunnel(tunnel(draft))
    } else if draft.has(Flag::Masquerading) {
        Forward::Masquerade
    } else {
        Forward::DirectRoute
    };
    // Only masquerading rewrites ports. A mark has none to take.
    if let (ServiceKey::Address { port, .. }, false) = (of, forward == Forward::Masquerade) {
        key.port = port;
    }
    let thresholds = Thresholds { upper: draft.upper, lower: draft.lower };
    Ok((of, key, Destination { forward, weight: draft.weight, thresholds }))
}

fn tunnel(draft: &Draft<'_>) -> Tunnel {
    let flags = if draft.has(Flag::TunnelChecksum) {
        TunnelFlags::CHECKSUM
    } else if draft.has(Flag::TunnelRemoteChecksum) {
        TunnelFlags::REMOTE_CHECKSUM
    } else {
        TunnelFlags::NONE
    };
    match draft.tunnel {
        "gue" => Tunnel::Gue { port: draft.tunnel_port, flags },
        "gre" => Tunnel::Gre { flags },
        _ => Tunnel::Ipip,
    }
}

/// The interface of a daemon when none is given.
const INTERFACE_DEFAULT: &str = "eth0";

fn daemon(draft: &Draft<'_>, role: SyncRole) -> Result<Line, Failure> {
    let interface = draft.interface.as_deref().unwrap_or(INTERFACE_DEFAULT);
    let Ok(interface) = interface.parse() else { return Ok(Line::NoInterface) };
    let Draft { sync_id, max_length, group, port, ttl, .. } = *draft;
    Ok(Line::Ask(Request::NewDaemon(Daemon { role, interface, sync_id, max_length, group, port, ttl })))
}

fn list(draft: &Draft<'_>) -> Result<List, Failure> {
    let given: &Given = &draft.given;
    let columns = [
        ("stats", Columns::Stats),
        ("rate", Columns::Rate),
        ("thresholds", Columns::Thresholds),
        ("persistent-conn", Columns::PersistentConn),
        ("tun-info", Columns::TunnelInfo),
    ];
    let columns = columns.into_iter().find(|(name, _)| given.contains(name)).map_or(Columns::Usual, |(_, c)| c);
    let what = if draft.has(Flag::Connection) {
        What::Connections { engine: draft.has(Flag::PersistentConn) }
    } else if draft.has(Flag::Timeout) {
        What::Timeouts
    } else if draft.has(Flag::Daemon) {
        What::Daemons
    } else {
        What::Services(draft.service.map(|_| draft.key()).transpose()?, columns)
    };
    Ok(List {
        what,
        numeric: draft.has(Flag::Numeric),
        exact: draft.has(Flag::Exact),
        unsorted: draft.has(Flag::NoSort),
        json: draft.has(Flag::Json),
    })
}
