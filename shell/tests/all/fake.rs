//! A director for tests: it speaks `yoke_director::status` on a socket, keeps a configuration in memory and checks it with
//! the real grammar and the real checks. It touches no kernel; its counters are fixed.

mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use yoke_config::model::{Config, Privilege};
use yoke_config::tree::{Edit, Tree, load, merge, parse_edits};
use yoke_control::{Connection, Server};
use yoke_director::status::{
    Adding, Data, Install, LineKind, Refusal, RefusalKind, Reply, Request, Session, SessionRow, Show,
};

/// What the tests and the connections share.
pub(crate) struct State {
    /// Every configuration there was; the last is running.
    trees: Vec<Tree>,
    /// The last of them, typed.
    config: Arc<Config>,
    /// Text of startup-config.
    pub(crate) startup: Option<String>,
    /// Clear text; the real director keeps hashes.
    pub(crate) passwords: BTreeMap<String, String>,
    /// Whom an SSH session belongs to.
    pub(crate) ssh_user: String,
    /// What `enable` needs.
    pub(crate) enable: Option<String>,
    /// Who else is in configuration mode.
    pub(crate) others: Vec<SessionRow>,
    /// Whether somebody who is connected here said so of their session.
    pub(crate) configuring: bool,
    /// Lines for terminals.
    pub(crate) messages: Vec<String>,
    /// Connections of the first real server, one less with each time they are looked at.
    pub(crate) connections: u32,
    /// How often `Running` was asked, to know that a paste does not read everything again and again.
    pub(crate) running_asked: u32,
    /// Grows with each restart; connections of an earlier life are closed when they speak.
    life: u32,
    /// Connections that are open.
    alive: u32,
    /// Set by `reload` and `factory-reset`.
    pub(crate) stopped: Option<String>,
    /// The `install add` that runs.
    pub(crate) adding: Adding,
}

/// A running fake.
pub(crate) struct Director {
    pub(crate) socket: PathBuf,
    pub(crate) state: Arc<Mutex<State>>,
    _dir: tempfile::TempDir,
}

impl Director {
    /// Starts one with this configuration, which is saved, and the password `hunter2hunter2` for each of its users.
    pub(crate) fn start(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A session that gave up root connects again after a restart.
        let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let socket = dir.path().join("director.sock");
        let (tree, rejected) = load(text);
        assert!(rejected.is_empty(), "{rejected:?}");
        let config = Config::try_from(&tree).unwrap();
        let passwords = config.users.keys().map(|name| (name.as_str().to_owned(), "hunter2hunter2".to_owned()));
        let state = State {
            startup: (!text.is_empty()).then(|| tree.print()),
            passwords: passwords.collect(),
            trees: vec![tree],
            config: Arc::new(config),
            ssh_user: "admin".to_owned(),
            enable: None,
            others: Vec::new(),
            configuring: false,
            messages: Vec::new(),
            connections: 3,
            running_asked: 0,
            life: 0,
            alive: 0,
            adding: Adding::default(),
            stopped: None,
        };
        let state = Arc::new(Mutex::new(state));
        serve(&socket, &state);
        Self { socket, state, _dir: dir }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Ends all connections and begins anew with the running configuration, as a director that was killed does.
    pub(crate) fn restart(&mut self) {
        let mut state = self.state.lock().unwrap();
        let tree = state.tree().clone();
        state.trees = vec![tree];
        state.life += 1;
        drop(state);
        let deadline = std::time::Instant::now() + crate::terminal::DEADLINE;
        while self.lock().alive > 0 {
            assert!(std::time::Instant::now() < deadline, "connections of the earlier life do not end");
            std::thread::yield_now();
        }
        serve(&self.socket, &self.state);
    }

    /// The running configuration as text.
    pub(crate) fn text(&self) -> String {
        self.lock().tree().print()
    }

    /// Applies lines as another administrator would.
    pub(crate) fn other_admin(&self, lines: &[&str]) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let reply = self.lock().apply(u64::MAX, &lines, true);
        assert!(matches!(reply, Reply::Applied { .. }), "{reply:?}");
    }
}

impl State {
    pub(crate) fn tree(&self) -> &Tree {
        self.trees.last().unwrap()
    }

    fn revision(&self) -> u64 {
        u64::try_from(self.trees.len()).unwrap()
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn push(&mut self, tree: Tree) {
        self.config = Arc::new(Config::try_from(&tree).unwrap());
        self.trees.push(tree);
    }

    fn apply(&mut self, base: u64, lines: &[String], force: bool) -> Reply {
        let edits = match parse_edits(lines) {
            Ok(edits) => edits,
            Err(bad) => return refused(RefusalKind::Syntax, vec![format!("line {}: {}", bad.number, bad.why)]),
        };
        let mine = if force { self.tree().clone() } else { self.at(base) };
        let merged = match merge(&mine, &edits, self.tree()) {
            Ok(tree) => tree,
            Err(lines) => {
                let problems = lines.iter().map(|line| format!("changed by ana since you started: {line}"));
                return refused(RefusalKind::NotApplied, problems.collect());
            }
        };
        let mut warnings: Vec<String> = self.tree().clone().edit_all(&edits).into_iter().map(absent).collect();
        let before = self.config();
        match Config::try_from(&merged) {
            Ok(config) => {
                warnings.extend(config.warnings.into_iter().filter(|warning| !before.warnings.contains(warning)))
            }
            Err(problems) => return refused(RefusalKind::NotApplied, problems.into_iter().map(|p| p.0).collect()),
        }
        self.push(merged);
        Reply::Applied { revision: self.revision(), warnings }
    }

    fn at(&self, revision: u64) -> Tree {
        let at = usize::try_from(revision).unwrap_or(usize::MAX).saturating_sub(1);
        self.trees.get(at).unwrap_or(self.tree()).clone()
    }

    fn session(&self, caller: &Caller) -> Session {
        let config = self.config();
        let line = if caller.line == LineKind::Console { config.console } else { config.vty };
        let root = nix::unistd::geteuid().is_root();
        Session {
            hostname: config.hostname().to_owned(),
            username: caller.user.clone(),
            ids: if root { (65534, 65534) } else { (1, 1) },
            privilege: caller.privilege,
            first_password: caller.user.is_empty() && self.passwords.is_empty(),
            banner_login: config.banner_login.clone().unwrap_or_default(),
            banner_motd: config.banner_motd.clone().unwrap_or_default(),
            exec_timeout_min: line.exec_timeout_min,
            length: line.length,
            width: line.width,
            speed: line.speed,
            firmware: "Yoke 9.9.9".to_owned(),
            notice: if self.startup.is_none() { "no configuration on flash".to_owned() } else { String::new() },
        }
    }
}

struct Caller {
    line: LineKind,
    user: String,
    privilege: u8,
}

impl Caller {
    fn becomes(&mut self, state: &State, user: &str) {
        user.clone_into(&mut self.user);
        let config = state.config();
        let found = config.users.iter().find(|(name, _)| name.as_str() == user);
        self.privilege = found.map_or(1, |(_, user)| user.privilege.level());
    }
}

/// Listens on `socket`; each connection has a thread, which ends with it.
fn serve(socket: &Path, state: &Arc<Mutex<State>>) {
    let server = Server::bind(socket, 0o666).unwrap();
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        while let Ok((connection, _)) = server.accept() {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                state.lock().unwrap().alive += 1;
                converse(connection, &state);
                state.lock().unwrap().alive -= 1;
            });
        }
    });
}

fn converse(mut connection: Connection, state: &Mutex<State>) {
    let mut caller = Caller { line: LineKind::Vty, user: String::new(), privilege: 0 };
    let life = state.lock().unwrap().life;
    // A peer that is gone is noticed by the other side only when the socket is closed, so look often.
    connection.set_timeout(Some(std::time::Duration::from_millis(10))).unwrap();
    loop {
        let request = match connection.recv::<Request>() {
            Ok(Some(request)) => request,
            Err(yoke_control::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
                if state.lock().unwrap().life == life { continue } else { break }
            }
            _ => break,
        };
        let reply = answer(&mut state.lock().unwrap(), &mut caller, request);
        if connection.send(&reply).is_err() {
            break;
        }
    }
}

/// As the real director says it.
fn absent(edit: &Edit) -> String {
    let words: Vec<String> = edit.path.iter().chain([&edit.key]).map(ToString::to_string).collect();
    format!("no such line: {}", words.join(": "))
}

fn refused(kind: RefusalKind, problems: Vec<String>) -> Reply {
    Reply::Refused(Refusal { kind, problems })
}

fn denied(problem: &str) -> Reply {
    refused(RefusalKind::Denied, vec![problem.to_owned()])
}

fn answer(state: &mut State, caller: &mut Caller, request: Request) -> Reply {
    let done = || Reply::Done { warnings: Vec::new() };
    match request {
        Request::Hello { line, .. } => {
            caller.line = line;
            if line == LineKind::Vty {
                let user = state.ssh_user.clone();
                caller.becomes(state, &user);
            }
            Reply::Session(state.session(caller))
        }
        Request::Login { username, password } => {
            if state.passwords.get(&username) != Some(&password) {
                return denied("login incorrect");
            }
            caller.becomes(state, &username);
            Reply::Session(state.session(caller))
        }
        Request::FirstPassword { password } => {
            let lines = ["username admin privilege 15", "username admin secret sha512 $6$saltsalt$hash"];
            state.apply(u64::MAX, &lines.map(str::to_owned), true);
            state.passwords.insert("admin".to_owned(), password);
            caller.becomes(state, "admin");
            Reply::Session(state.session(caller))
        }
        Request::Enable { password } => {
            match &state.enable {
                None => return denied("enable: no secret is set, use: enable secret"),
                Some(_) if password.is_empty() => {}
                Some(secret) if *secret == password => caller.privilege = 15,
                Some(_) => return denied("bad secret"),
            }
            Reply::Session(state.session(caller))
        }
        Request::Disable => {
            caller.privilege = Privilege::User.level();
            Reply::Session(state.session(caller))
        }
        Request::Running => {
            state.running_asked += 1;
            Reply::Running { revision: state.revision(), text: state.tree().print() }
        }
        Request::Configure { active } => {
            state.configuring = active;
            Reply::Configuring { others: state.others.clone() }
        }
        Request::Apply { base, lines, force } => state.apply(base, &lines, force),
        Request::Replace { text } => {
            state.push(load(&text).0);
            Reply::Applied { revision: state.revision(), warnings: Vec::new() }
        }
        Request::Save { .. } => {
            state.startup = Some(state.tree().print());
            done()
        }
        Request::Erase => {
            state.startup = None;
            done()
        }
        Request::Format => done(),
        Request::FactoryReset => {
            state.stopped = Some("factory-reset".to_owned());
            done()
        }
        Request::Reload { power_off } => {
            state.stopped = Some(if power_off { "poweroff" } else { "reload" }.to_owned());
            done()
        }
        Request::Install(Install::Add { source, .. }) => {
            state.adding = Adding { running: true, ..Adding::default() };
            if source.contains("bad") {
                state.adding.failed = true;
                state.adding.text = format!("install: {source}: is not signed");
            } else {
                state.adding.text = "Version 0.2.0 is in slot b. To start it: install activate".to_owned();
            }
            Reply::Installed { text: String::new() }
        }
        Request::Install(Install::Disk { name, identity }) => {
            assert_eq!(identity, format!("the disk that was {name}"));
            let text = format!("Version 0.2.0 and the saved configuration are on {name}, which starts by itself");
            state.adding = Adding { running: true, text, ..Adding::default() };
            Reply::Installed { text: String::new() }
        }
        Request::Install(what) => {
            state.stopped = Some(format!("{what:?}"));
            Reply::Installed { text: "Slot b with version 0.2.0 starts once. The box restarts.".to_owned() }
        }
        Request::Drain { drain, address, .. } => {
            let no = if drain { "" } else { "no " };
            let Some(lines) = rows::drain_lines(state.tree(), address, no) else {
                return refused(RefusalKind::Failed, vec![format!("real-server {address}: does not exist")]);
            };
            state.apply(u64::MAX, &lines, true)
        }
        Request::ClearStatistics { .. }
        | Request::ClearLog
        | Request::ClearCounters { .. }
        | Request::ClearNeighbours
        | Request::Vrrp { .. } => done(),
        Request::Reset(filter) => Reply::Reset {
            ended: if filter.virtual_server.is_some() { 3 } else { 5 },
            left: u64::from(filter.templates),
            never: u64::from(filter.client.is_some()),
        },
        Request::Messages => Reply::Messages { lines: std::mem::take(&mut state.messages) },
        Request::Show(Show::Startup) => {
            let text = state.startup.clone().unwrap_or_default();
            Reply::Data(Data::Lines(text.lines().map(str::to_owned).collect()))
        }
        Request::Show(Show::Diff) => {
            let startup = load(&state.startup.clone().unwrap_or_default()).0;
            Reply::Data(Data::Lines(startup.diff(state.tree())))
        }
        Request::Show(Show::Unsaved) => {
            let startup = load(&state.startup.clone().unwrap_or_default()).0;
            Reply::Data(Data::Unsaved(startup != *state.tree()))
        }
        Request::Show(what) => Reply::Data(rows::data(state, &what)),
    }
}
