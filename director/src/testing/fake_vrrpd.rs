//! A vrrpd that answers on a real socket, remembers what it was asked, and has the groups it is given.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use vrrp::status::{Group, Reply, Request, Status, Totals};
use yoke_control::{Connection, Server};

/// A handle; clones are the same vrrpd. It listens until the process ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeVrrpd(Arc<(Mutex<Inside>, Condvar)>);

#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// What it was asked, in order.
    pub(crate) asked: Vec<Request>,
    pub(crate) status: Status,
    /// Of the next reloads.
    pub(crate) problems: Vec<String>,
    /// Counts changes of `status`.
    changes: u64,
}

impl FakeVrrpd {
    /// Listens at `path`.
    pub(crate) fn listen(path: &Path) -> Self {
        let vrrpd = Self::default();
        let server = Server::bind(path, 0o600).unwrap();
        let inside = vrrpd.clone();
        thread::spawn(move || {
            for stream in server.into_std().incoming().map_while(Result::ok) {
                let inside = inside.clone();
                thread::spawn(move || inside.serve(&stream));
            }
        });
        vrrpd
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.0.lock().unwrap()
    }

    /// Has these groups from now on, and tells who follows it.
    pub(crate) fn set(&self, groups: &[(&str, &str)]) {
        let mut inside = self.inside();
        inside.status.groups = groups.iter().map(|(name, state)| group(name, state)).collect();
        inside.changes += 1;
        self.0.1.notify_all();
    }

    fn serve(&self, stream: &UnixStream) {
        let half = || Connection::new(stream.try_clone().unwrap());
        let mut connection = half();
        while let Ok(Some(request)) = connection.recv::<Request>() {
            let follows = request == Request::Follow;
            let Some(reply) = self.answer(request) else { continue };
            if connection.send(&reply).is_err() {
                return;
            }
            if follows {
                let (vrrpd, mut follower) = (self.clone(), half());
                thread::spawn(move || vrrpd.tell(&mut follower));
            }
        }
    }

    /// What changes, for as long as the follower is there.
    fn tell(&self, connection: &mut Connection) {
        let mut seen = self.inside().changes;
        loop {
            let inside = self.0.1.wait_while(self.inside(), |inside| inside.changes == seen).unwrap();
            seen = inside.changes;
            let status = inside.status.clone();
            drop(inside);
            if connection.send(&Reply::Status(status)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request) -> Option<Reply> {
        let mut inside = self.inside();
        inside.asked.push(request.clone());
        Some(match request {
            Request::Status | Request::Follow => Reply::Status(inside.status.clone()),
            Request::Reload => Reply::Reloaded { problems: inside.problems.clone() },
            Request::HandBack { group } => Reply::Failed { why: format!("vrrp group {group}: no") },
            Request::HandOver { .. } | Request::Reset { .. } => Reply::Done,
            Request::Heartbeat { .. } => return None,
        })
    }
}

/// A group of the sync group `pair`, unless its name begins with `alone`.
fn group(name: &str, state: &str) -> Group {
    Group {
        name: name.to_owned(),
        sync_group: (!name.starts_with("alone")).then(|| "pair".to_owned()),
        vrid: 51,
        interface: "eth0".to_owned(),
        version: 3,
        family: "ipv4".to_owned(),
        state: state.to_owned(),
        since_ms: 72_000,
        why: String::new(),
        before: String::new(),
        faults: Vec::new(),
        down: Vec::new(),
        priority: 253,
        priority_configured: 253,
        interval_ms: 100,
        source: None,
        virtual_mac: None,
        peers: Vec::new(),
        addresses: Vec::new(),
        held: 0,
        peer: None,
        conflict: None,
        totals: Totals::default(),
        counters: std::collections::BTreeMap::new(),
    }
}
