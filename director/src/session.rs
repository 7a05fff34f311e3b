//! One connection: who is on the other end, what they may do, and the dispatch of what they ask.
//!
//! Identity is the kernel's word (`SO_PEERCRED`), privilege is the configuration's at the moment of each request: a user who is removed while
//! connected may do nothing more. Nothing a caller says about itself is believed but where it sits, which only decides its terminal settings.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use yoke_config::model::{Config, Severity};
use yoke_control::{Frames, Peer};
use yoke_director::status::{LineKind, Refusal, RefusalKind, Reply, Request, Session, SessionRow, Show, VrrpCommand};

use crate::commit::{self, Change};
use crate::director::Director;
use crate::{accounts, flash, install, login, messages, reset, show, vrrpd};
use crate::{clear, clock};

/// Longest text kept of what a caller says of its terminal.
const TEXT_MAX: usize = 64;
/// Longest request in bytes of who may not change the configuration: a name and a password. Many long ones side by side would take the memory
/// that forwarding needs.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Who is on the other end of a connection.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Tells connections apart.
    pub(crate) id: u64,
    /// As the kernel saw it.
    pub(crate) peer: Peer,
    /// Whether the session is open.
    pub(crate) greeted: bool,
    pub(crate) line: LineKind,
    pub(crate) tty: String,
    pub(crate) from: String,
    /// `None` until somebody has logged in.
    pub(crate) user: Option<String>,
    pub(crate) level: Level,
    /// What it has seen of the log.
    cursor: u64,
}

/// The privilege of a session beside that of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The user's.
    Own,
    /// 15, after `enable`.
    Raised,
    /// 1, after `disable`.
    Lowered,
}

impl Caller {
    pub(crate) fn new(id: u64, peer: Peer) -> Self {
        Self {
            id,
            peer,
            greeted: false,
            line: LineKind::Vty,
            tty: String::new(),
            from: String::new(),
            user: None,
            level: Level::Own,
            cursor: messages::end(),
        }
    }

    /// 1 or 15; 0 before login, and for a user who is no more.
    pub(crate) fn privilege(&self, config: &Config) -> u8 {
        let user = self.user.as_ref().and_then(|name| config.users.iter().find(|(n, _)| n.as_str() == name));
        match (user, self.level) {
            (None, _) => 0,
            (Some((_, user)), Level::Own) => user.privilege.level(),
            (Some(_), Level::Raised) => 15,
            (Some(_), Level::Lowered) => 1,
        }
    }

    /// How messages name the caller: `ana`, or `ana (192.0.2.7)`.
    pub(crate) fn name(&self) -> &str {
        self.user.as_deref().unwrap_or("nobody")
    }

    /// Where the caller is, for log lines and the header of a saved file.
    pub(crate) fn place(&self) -> &str {
        match (self.from.as_str(), self.tty.as_str(), self.line) {
            ("", "", LineKind::Console) => "console",
            ("", "", LineKind::Vty) => "vty",
            ("", tty, _) => tty,
            (from, ..) => from,
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(director: Rc<Director>, mut stream: UnixStream, peer: Peer) {
    let id = director.open_session();
    let mut caller = Caller::new(id, peer);
    let mut frames = Frames::default();
    let mut chunk = vec![0; 16 << 10];
    'connection: while let Ok(n @ 1..) = stream.read(&mut chunk).await {
        let may_be_long = caller.privilege(&director.state().running.config) >= 15;
        if frames.push(&chunk[..n]).is_err() || (frames.waiting() > REQUEST_BYTES_MAX && !may_be_long) {
            break;
        }
        loop {
            let reply = match frames.pop::<Request>() {
                Ok(None) => break,
                Ok(Some(request)) => answer(&director, &mut caller, request).await,
                Err(e) => refused(RefusalKind::Syntax, format!("request: {e}")),
            };
            let Ok(line) = yoke_control::emit(&reply) else { break 'connection };
            if stream.write_all(&line).await.is_err() {
                break 'connection;
            }
        }
    }
    director.close_session(id);
}

/// A refusal with one problem.
pub(crate) fn refused(kind: RefusalKind, problem: impl Into<String>) -> Reply {
    Reply::Refused(Refusal { kind, problems: vec![problem.into()] })
}

async fn answer(director: &Rc<Director>, caller: &mut Caller, request: Request) -> Reply {
    if let Err(refusal) = permit(director, caller, &request) {
        return Reply::Refused(refusal);
    }
    match request {
        Request::Hello { line, tty, from } => hello(director, caller, line, &tty, &from),
        Request::Login { username, password } => login::login(director, caller, username, password).await,
        Request::FirstPassword { password } => login::first_password(director, caller, password).await,
        Request::Enable { password } => login::enable(director, caller, password).await,
        Request::Disable => {
            caller.level = Level::Lowered;
            opened(director, caller)
        }
        Request::Running => running(director, caller),
        Request::Configure { active } => {
            let sessions = &mut director.state_mut().sessions;
            sessions.configure(caller.id, active);
            Reply::Configuring { others: sessions.configuring_beside(caller.id, clock::now()) }
        }
        Request::Apply { base, lines, force } => {
            commit::run(director, caller.name(), Change::Lines { base, lines, force }).await
        }
        Request::Replace { text } => commit::run(director, caller.name(), Change::Replace { text }).await,
        Request::Drain { drain, address, port, virtual_server } => {
            commit::run(director, caller.name(), Change::Drain { drain, address, port, virtual_server }).await
        }
        Request::Reset(filter) => reset::run(director, caller.name(), &filter).await,
        Request::Save { force } => flash::save(director, caller, force).await,
        Request::Erase => flash::erase(director, caller).await,
        Request::Format => flash::format(director, caller).await,
        Request::FactoryReset => flash::factory_reset(director, caller).await,
        Request::Reload { power_off } => {
            log::warn!(
                "{} requested by {} ({})",
                if power_off { "power-off" } else { "reload" },
                caller.name(),
                caller.place()
            );
            flash::told(director, if power_off { "power-off" } else { "reload" }, caller).await;
            install::up_at_last(director).await;
            vrrpd::leave(director).await;
            match director.init.stop(power_off).await {
                Ok(()) => Reply::Done { warnings: Vec::new() },
                Err(e) => refused(RefusalKind::Failed, e.to_string()),
            }
        }
        Request::Install(what) => install::answer(director, caller, what).await,
        Request::Show(what) => show::answer(director, what).await,
        Request::Vrrp { command, group } => vrrp(director, caller, command, group).await,
        Request::ClearStatistics { virtual_server } => show::clear(director, virtual_server.as_deref()).await,
        Request::ClearCounters { interface } => clear::interface_counters(director, interface.as_deref()),
        Request::ClearNeighbours => clear::neighbours().await,
        Request::ClearLog => match director.init.clear_log().await {
            Ok(()) => Reply::Done { warnings: Vec::new() },
            Err(e) => refused(RefusalKind::Failed, e.to_string()),
        },
        Request::Messages => {
            let least = director.state().running.config.logging.console.unwrap_or(Severity::Errors);
            Reply::Messages { lines: messages::take(&mut caller.cursor, least) }
        }
    }
}

/// An operator's word to the redundancy protocol.
async fn vrrp(director: &Director, caller: &Caller, command: VrrpCommand, group: Option<String>) -> Reply {
    match vrrpd::tell(director, command, group.as_deref()).await {
        Ok(groups) => {
            log::warn!("{} of {} by {} ({})", vrrpd::word(command), groups.join(", "), caller.name(), caller.place());
            Reply::Done { warnings: Vec::new() }
        }
        Err(problems) => Reply::Refused(Refusal { kind: RefusalKind::Failed, problems }),
    }
}

/// What a request needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Anybody, as the first request.
    Nothing,
    /// uid 0, before login: one of init's consoles.
    Console,
    /// A user, of this privilege at least.
    Privilege(u8),
}

fn needs(request: &Request) -> Needs {
    match request {
        Request::Hello { .. } => Needs::Nothing,
        Request::Login { .. } | Request::FirstPassword { .. } => Needs::Console,
        Request::Enable { .. }
        | Request::Disable
        | Request::Running
        | Request::ClearStatistics { .. }
        | Request::ClearLog
        | Request::ClearCounters { .. }
        | Request::ClearNeighbours
        | Request::Messages
        // It is left even by who has just lost the privilege.
        | Request::Configure { active: false } => Needs::Privilege(1),
        Request::Configure { active: true }
        | Request::Apply { .. }
        | Request::Replace { .. }
        | Request::Save { .. }
        | Request::Erase
        | Request::Format
        | Request::FactoryReset
        | Request::Reload { .. }
        | Request::Install(_)
        | Request::Vrrp { .. }
        | Request::Reset(_)
        | Request::Drain { .. } => Needs::Privilege(15),
        Request::Show(show) => match show {
            Show::Startup
            | Show::Rejected
            | Show::Diff
            | Show::Unsaved
            | Show::History
            | Show::InstallTarget { .. }
            | Show::Ipvsadm { .. } => Needs::Privilege(15),
            Show::VirtualServers { .. }
            | Show::RealServers { .. }
            | Show::HealthChecks { .. }
            | Show::Connections(_)
            | Show::Interfaces { .. }
            | Show::Routes { .. }
            | Show::Neighbours
            | Show::Install
            | Show::InstallProgress
            | Show::Version
            | Show::Warnings
            | Show::Sessions
            | Show::Inventory
            | Show::Ntp
            | Show::Ssh
            | Show::Log { .. }
            | Show::Vrrp { .. }
            | Show::ConnectionSync
            | Show::Processes
            | Show::Memory
            | Show::Ipvs
            | Show::Flash => Needs::Privilege(1),
        },
    }
}

fn permit(director: &Director, caller: &Caller, request: &Request) -> Result<(), Refusal> {
    let deny = |why: &str| Err(Refusal { kind: RefusalKind::Denied, problems: vec![why.to_owned()] });
    let needs = needs(request);
    if needs != Needs::Nothing && !caller.greeted {
        return deny("session: not open, say hello first");
    }
    match needs {
        Needs::Nothing if caller.greeted => deny("session: already open"),
        Needs::Nothing => Ok(()),
        Needs::Console if caller.peer.uid == 0 && caller.user.is_none() => Ok(()),
        Needs::Console => deny("login: only on a console that nobody has logged in to"),
        Needs::Privilege(level) => match caller.privilege(&director.state().running.config) {
            0 if caller.user.is_none() => deny("login needed"),
            0 => deny("this user no longer exists"),
            own if own < level => deny(&format!("privilege {level} needed")),
            _ => Ok(()),
        },
    }
}

fn hello(director: &Director, caller: &mut Caller, line: LineKind, tty: &str, from: &str) -> Reply {
    let clean = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).take(TEXT_MAX).collect::<String>();
    (caller.line, caller.tty, caller.from) = (line, clean(tty), clean(from));
    if caller.peer.uid != 0 {
        let state = director.state();
        let name = state.uids.name(caller.peer.uid).map(str::to_owned);
        let known = name.filter(|name| state.running.config.users.keys().any(|n| n.as_str() == name));
        let Some(name) = known else {
            return refused(RefusalKind::Denied, "login: this user is not in the configuration");
        };
        drop(state);
        caller.user = Some(name);
    }
    caller.greeted = true;
    opened(director, caller)
}

/// The session as the caller should see it now; also what `show users` will say of it.
pub(crate) fn opened(director: &Director, caller: &Caller) -> Reply {
    let mut state = director.state_mut();
    let row = SessionRow {
        username: caller.user.clone().unwrap_or_default(),
        line: match caller.line {
            LineKind::Console => format!("console {}", caller.tty).trim_end().to_owned(),
            LineKind::Vty => format!("vty {}", caller.tty).trim_end().to_owned(),
        },
        from: caller.from.clone(),
        privilege: caller.privilege(&state.running.config),
        since_s: 0,
        configuring: false,
    };
    state.sessions.describe(caller.id, row, clock::now());

    let config = &state.running.config;
    let line = match caller.line {
        LineKind::Console => &config.console,
        LineKind::Vty => &config.vty,
    };
    let uid = caller.user.as_ref().and_then(|name| state.uids.uid(name));
    Reply::Session(Session {
        hostname: config.hostname().to_owned(),
        username: caller.user.clone().unwrap_or_default(),
        ids: (uid.unwrap_or(0), if uid.is_some() { accounts::GID } else { 0 }),
        privilege: caller.privilege(config),
        first_password: caller.user.is_none() && !accounts::credential_exists(config),
        banner_login: config.banner_login.clone().unwrap_or_default(),
        banner_motd: config.banner_motd.clone().unwrap_or_default(),
        exec_timeout_min: line.exec_timeout_min,
        length: line.length,
        width: line.width,
        speed: line.speed,
        firmware: format!("Yoke {}", show::firmware()),
        notice: state.notice.clone(),
    })
}

fn running(director: &Director, caller: &Caller) -> Reply {
    let state = director.state();
    let running = &state.running;
    let text =
        if caller.privilege(&running.config) >= 15 { running.text.clone() } else { running.tree.print_sanitized() };
    Reply::Running { revision: running.revision, text }
}
