//! An init that answers on a real socket, remembers what it was asked, and has the problems it is given.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use yoke_control::{Connection, Server};
use yoke_init::request::{LogLine, Reply, Request, ServiceStatus};

/// A handle; clones are the same init. It listens until the process ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeInit(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// What it was asked, in order.
    pub(crate) asked: Vec<Request>,
    /// Of the next `init setup`s.
    pub(crate) problems: Vec<String>,
    /// A file to look at when it is asked for `init setup`, and what it held each time.
    pub(crate) watched: Option<PathBuf>,
    pub(crate) seen: Vec<String>,
    /// Of the boot.
    pub(crate) warnings: Vec<String>,
}

impl FakeInit {
    /// Listens at `path`.
    pub(crate) fn listen(path: &Path) -> Self {
        let init = Self::default();
        let server = Server::bind(path, 0o600).unwrap();
        let inside = init.clone();
        thread::spawn(move || {
            while let Ok((connection, _)) = server.accept() {
                let inside = inside.clone();
                thread::spawn(move || inside.serve(connection));
            }
        });
        init
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// How often it was asked this.
    pub(crate) fn count(&self, request: &Request) -> usize {
        self.inside().asked.iter().filter(|asked| *asked == request).count()
    }

    fn serve(&self, mut connection: Connection) {
        while let Ok(Some(request)) = connection.recv::<Request>() {
            let reply = self.answer(request);
            if connection.send(&reply).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request) -> Reply {
        let mut inside = self.inside();
        inside.asked.push(request.clone());
        if let (Request::Setup, Some(path)) = (&request, inside.watched.clone()) {
            inside.seen.push(std::fs::read_to_string(path).unwrap_or_default());
        }
        match request {
            Request::Setup | Request::Format => Reply::Setup { problems: inside.problems.clone() },
            Request::Services
            | Request::Restart { .. }
            | Request::ClearLog
            | Request::Healthy
            | Request::Unhealthy { .. }
            | Request::TrialOver
            | Request::Reboot
            | Request::PowerOff => Reply::Done,
            Request::Status => Reply::Status { services: vec![director()], warnings: inside.warnings.clone() },
            Request::Follow { .. } => Reply::Failed { why: "nobody follows here".into() },
            Request::Log { .. } => Reply::Log {
                lines: vec![LogLine { uptime_ms: 1, severity: 6, source: "init".into(), text: "up".into() }],
            },
        }
    }
}

fn director() -> ServiceStatus {
    ServiceStatus {
        name: "director".into(),
        pid: i32::try_from(std::process::id()).unwrap(),
        state: "running".into(),
        why: String::new(),
        restarts: 0,
        since_s: 1,
        status: String::new(),
    }
}
