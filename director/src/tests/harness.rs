//! Starts a director and talks to it as a shell does.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use yoke_control::{Client, Peer};
use yoke_director::status::{Data, LineKind, Refusal, RefusalKind, Reply, Request, Session, Show};

use crate::director::Director;
use crate::files::Paths;
use crate::start;
use crate::testing::{FakeInit, FakeKernel, paths};

/// Longest wait for an answer. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A box: what survives a director's end.
pub(crate) struct Box_ {
    pub(crate) paths: Paths,
    pub(crate) kernel: FakeKernel,
    pub(crate) init: FakeInit,
    /// How often it looks for foreign changes; long enough to stay out of the way.
    pub(crate) resync: Duration,
    /// Whether it probes real servers; those of most tests do not exist.
    pub(crate) probes: bool,
    /// How long it waits for the flash, and for `install`.
    pub(crate) flash_limit: Duration,
    /// From a start to its having come up; long enough to stay out of the way.
    pub(crate) up_after: Duration,
    /// The uid of whoever connects next.
    uid: Arc<AtomicU32>,
    running: Option<Running>,
    _dir: TempDir,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Box_ {
    /// A box that has never been configured, with its director running.
    pub(crate) fn fresh() -> Self {
        let mut box_ = Self::off();
        box_.start();
        box_
    }

    /// A box without a running director.
    pub(crate) fn off() -> Self {
        let (dir, paths) = paths();
        let init = FakeInit::listen(&paths.init_socket());
        Self {
            paths,
            kernel: FakeKernel::default(),
            init,
            resync: Duration::from_secs(3600),
            probes: false,
            flash_limit: LIMIT,
            up_after: Duration::from_secs(3600),
            uid: Arc::default(),
            running: None,
            _dir: dir,
        }
    }

    /// Starts the director and waits until it answers.
    pub(crate) fn start(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (paths, kernel, uid, resync) = (self.paths.clone(), self.kernel.clone(), self.uid.clone(), self.resync);
        let (probes, flash_limit, up_after) = (self.probes, self.flash_limit, self.up_after);
        let thread = thread::spawn(move || {
            let mut director = Director::new(paths, Box::new(kernel), resync, probes);
            (director.flash_limit, director.install_limit) = (flash_limit, flash_limit);
            director.up_after = up_after;
            let director = Rc::new(director);
            let runtime = crate::runtime().unwrap();
            let identify =
                move |_: &tokio::net::UnixStream| Ok(Peer { pid: 1, uid: uid.load(Ordering::SeqCst), gid: 0 });
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    result = start::run(director, identify) => result.unwrap(),
                    _ = stopped => {}
                }
            });
            // A test that fails while a flash hangs must not wait for it.
            runtime.shutdown_background();
        });
        self.running = Some(Running { stop, thread });
        drop(self.connect(0));
    }

    /// Ends the director without letting it do anything more, as `kill -9` would.
    pub(crate) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(());
            running.thread.join().unwrap();
        }
    }

    fn connect(&self, uid: u32) -> Client {
        self.uid.store(uid, Ordering::SeqCst);
        let path: PathBuf = self.paths.socket();
        let deadline = crate::clock::now() + LIMIT;
        loop {
            if let Ok(mut client) = Client::connect(&path) {
                client.set_timeout(Some(LIMIT)).unwrap();
                // An answer proves that the identity has been taken.
                if client.call::<_, Reply>(&Request::Disable).is_ok() {
                    return client;
                }
            }
            assert!(crate::clock::now() < deadline, "the director does not answer");
            thread::yield_now();
        }
    }

    /// A session of a caller with that uid, opened.
    pub(crate) fn hello(&self, uid: u32, line: LineKind) -> Caller {
        let mut client = self.connect(uid);
        let greeting = client.call(&Request::Hello { line, tty: "ttyS0".into(), from: String::new() }).unwrap();
        Caller { client, greeting }
    }

    /// A console nobody has logged in to.
    pub(crate) fn console(&self) -> Caller {
        self.hello(0, LineKind::Console)
    }

    /// An administrator: sets the first password, or logs in with it.
    pub(crate) fn admin(&self) -> Caller {
        let mut console = self.console();
        let first = Request::FirstPassword { password: "secret".into() };
        if !matches!(console.call(&first), Reply::Session(_)) {
            console.login("admin", "secret");
        }
        console
    }
}

impl Drop for Box_ {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One connection.
pub(crate) struct Caller {
    client: Client,
    /// The answer to its hello.
    pub(crate) greeting: Reply,
}

impl Caller {
    pub(crate) fn call(&mut self, request: &impl Serialize) -> Reply {
        self.client.call(request).unwrap()
    }

    /// A call that may end the connection.
    pub(crate) fn try_call(&mut self, request: &impl Serialize) -> Result<Reply, yoke_control::Error> {
        self.client.call(request)
    }

    pub(crate) fn login(&mut self, username: &str, password: &str) -> Session {
        match self.call(&Request::Login { username: username.into(), password: password.into() }) {
            Reply::Session(session) => session,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn running(&mut self) -> (u64, String) {
        match self.call(&Request::Running) {
            Reply::Running { revision, text } => (revision, text),
            other => panic!("{other:?}"),
        }
    }

    /// Applies lines typed against what is running now.
    pub(crate) fn apply(&mut self, text: &str) -> Reply {
        let (base, _) = self.running();
        self.apply_to(base, text)
    }

    pub(crate) fn apply_to(&mut self, base: u64, text: &str) -> Reply {
        self.call(&Request::Apply { base, lines: text.lines().map(str::to_owned).collect(), force: false })
    }

    /// Applies what must be accepted; returns the warnings.
    pub(crate) fn must_apply(&mut self, text: &str) -> Vec<String> {
        match self.apply(text) {
            Reply::Applied { warnings, .. } => warnings,
            other => panic!("{other:?}\n{text}"),
        }
    }

    pub(crate) fn show(&mut self, show: Show) -> Data {
        match self.call(&Request::Show(show)) {
            Reply::Data(data) => data,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn warnings(&mut self) -> Vec<String> {
        match self.show(Show::Warnings) {
            Data::Warnings(warnings) => warnings,
            other => panic!("{other:?}"),
        }
    }
}

/// The problems of a refusal of that kind.
pub(crate) fn problems(kind: RefusalKind, reply: Reply) -> Vec<String> {
    match reply {
        Reply::Refused(Refusal { kind: found, problems }) if found == kind => problems,
        other => panic!("not refused as {kind:?}: {other:?}"),
    }
}

/// Waits until `done`, and says what did not happen otherwise.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = crate::clock::now() + LIMIT;
    while !done() {
        assert!(crate::clock::now() < deadline, "{what}");
        thread::yield_now();
    }
}
