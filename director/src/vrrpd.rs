//! What the director asks of vrrpd, and how it follows it. vrrpd reads the configuration itself and goes on without us; what it is
//! told is that the file has changed, what the virtual servers are worth, and an operator's word.
//!
//! A word on the socket, not a watch on the file: the answer says that the change is in force and its addresses are free, and what could not be
//! had. It is repeated with each connection, so that neither a director nor a vrrpd that was started meanwhile can have missed a change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use vrrp::status::{Group, Reply, Request, Status};
use yoke_director::status::VrrpCommand;

use crate::caller::{Callee, Connection, Error, Why};
use crate::clock;
use crate::director::Director;
use crate::notes::Source;
use crate::reconcile;
use crate::roles::Roles;
use crate::sync;

/// vrrpd answers within milliseconds; after a change when the kernel has made it, or after 4 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Between two tries to reach it. It is started again at once when it dies.
const RETRY: Duration = Duration::from_millis(250);
/// Between two signs of life; vrrpd waits for [`vrrp::status::HEARTBEAT_LIMIT_S`].
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Longest wait for the peer before the box goes down.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks whether it has taken over, which takes it milliseconds.
const LOOK: Duration = Duration::from_millis(20);
/// How long the kernel may keep what it has to tell of connections: it sends what is 2 s old (IPVS_SYNC_FLUSH_TIME), and looks once a second
/// (IPVS_SYNC_CHECK_PERIOD, net/netfilter/ipvs/ip_vs_sync.c).
const NEWS: Duration = Duration::from_millis(3200);
/// Longest wait for vrrpd at a start.
const LEARN_LIMIT: Duration = Duration::from_secs(2);

/// vrrpd, as the director sees it.
#[derive(Debug, Clone)]
pub(crate) struct Vrrpd(Callee);

impl Vrrpd {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self(Callee::new("vrrpd", socket))
    }

    /// Everything it knows.
    pub(crate) async fn status(&self) -> Result<Status, Error> {
        match self.call(&Request::Status).await? {
            Reply::Status(status) => Ok(status),
            _ => Err(self.0.error(Why::Unexpected)),
        }
    }

    /// An operator's word: hand over, hand back, reset.
    pub(crate) async fn command(&self, request: &Request) -> Result<(), Error> {
        match self.call(request).await? {
            Reply::Done => Ok(()),
            _ => Err(self.0.error(Why::Unexpected)),
        }
    }

    /// Has the configuration read again; what could not be had.
    async fn reload(&self) -> Result<Vec<String>, Error> {
        match self.call(&Request::Reload).await? {
            Reply::Reloaded { problems } => Ok(problems),
            _ => Err(self.0.error(Why::Unexpected)),
        }
    }

    async fn call(&self, request: &Request) -> Result<Reply, Error> {
        match self.0.call(request, ANSWER_LIMIT, None).await? {
            Reply::Failed { why } => Err(self.0.error(Why::Refused(why))),
            reply => Ok(reply),
        }
    }
}

/// Tells an operator's word to a group, or to every one it makes sense for; which those were.
///
/// # Errors
/// A sentence for each group that refused, and nothing was done when there is only that.
pub(crate) async fn tell(
    director: &Director,
    command: VrrpCommand,
    group: Option<&str>,
) -> Result<Vec<String>, Vec<String>> {
    let groups = match group {
        Some(group) => vec![group.to_owned()],
        None => {
            let status = director.vrrpd.status().await.map_err(|e| vec![e.to_string()])?;
            units(status, command)
        }
    };
    if groups.is_empty() {
        return Err(vec![format!("vrrp: there is no group to {}", word(command))]);
    }
    let mut problems = Vec::new();
    for group in groups.iter().cloned() {
        let request = match command {
            VrrpCommand::HandOver => Request::HandOver { group },
            VrrpCommand::HandBack => Request::HandBack { group },
            VrrpCommand::Reset => Request::Reset { group },
        };
        if let Err(e) = director.vrrpd.command(&request).await {
            problems.push(e.to_string());
        }
    }
    if problems.is_empty() { Ok(groups) } else { Err(problems) }
}

/// Leaves the addresses to the peer, and waits until it has them, at most [`LEAVE_LIMIT`]; and until it was told of the connections
/// of the last moment, which it would reset otherwise. Without a peer nothing is lost by going on.
pub(crate) async fn leave(director: &Director) {
    let sends = sync::is_sending(director);
    if !is_wanted(director) || tell(director, VrrpCommand::HandOver, None).await.is_err() {
        return;
    }
    let gone = async {
        loop {
            match director.vrrpd.status().await {
                Ok(status) if status.groups.iter().all(is_left) => return,
                Ok(_) => sleep(LOOK).await,
                Err(_) => return,
            }
        }
    };
    match tokio::time::timeout(LEAVE_LIMIT, gone).await {
        // The kernel's sender goes on for longer than that (`settling`).
        Ok(()) if sends => sleep(NEWS).await,
        Ok(()) => {}
        Err(_) => log::warn!("vrrp: no peer has taken over within {} s", LEAVE_LIMIT.as_secs()),
    }
}

/// Whether the peer has it: its advertisements came after we left. One that is active again has none, one with a fault had nothing to leave.
fn is_left(group: &Group) -> bool {
    let heard = group.peer.as_ref().is_some_and(|peer| peer.priority > 0 && peer.heard_ms <= group.since_ms);
    group.state != "backup" || heard
}

/// As it is typed.
pub(crate) fn word(command: VrrpCommand) -> &'static str {
    match command {
        VrrpCommand::HandOver => "hand-over",
        VrrpCommand::HandBack => "hand-back",
        VrrpCommand::Reset => "reset",
    }
}

/// One group of each that moves alone or together with others, of those that are in the right state.
fn units(status: Status, command: VrrpCommand) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let fits = |state: &str| match command {
        VrrpCommand::HandOver => state == "active",
        VrrpCommand::HandBack => state == "backup",
        VrrpCommand::Reset => true,
    };
    let groups = status.groups.into_iter().filter(|group| fits(&group.state));
    groups.filter(|group| group.sync_group.clone().is_none_or(|s| seen.insert(s))).map(|group| group.name).collect()
}

/// Whether the configuration has something for vrrpd to do.
fn is_wanted(director: &Director) -> bool {
    !director.state().running.config.vrrp_groups.is_empty()
}

/// Tells vrrpd that the configuration has changed, and waits until it has followed. One that does not run reads it when it starts.
pub(crate) async fn reload(director: &Director) {
    if director.state().vrrp.is_none() {
        return director.state_mut().notes.set(Source::Vrrp, Vec::new());
    }
    let problems = match director.vrrpd.reload().await {
        Ok(problems) => problems,
        Err(e) => vec![e.to_string()],
    };
    director.state_mut().notes.set(Source::Vrrp, problems);
}

/// Follows vrrpd for ever, whenever there is one.
pub(crate) async fn follow(director: Rc<Director>) {
    loop {
        while is_wanted(&director) {
            if let Ok(connection) = director.vrrpd.0.connect().await {
                if let Err(why) = session(&director, connection).await {
                    log::warn!("{}", director.vrrpd.0.error(why));
                }
                director.state_mut().vrrp = None;
            }
            sleep(RETRY).await;
        }
        director.configured.notified().await;
    }
}

/// Asks vrrpd which groups are active before anything is programmed: a director that was killed changes nothing that was right. One that does
/// not answer is waited for a little, since it is started again at once; then what the last director acted on holds until it does.
pub(crate) async fn learn(director: &Director) {
    if !is_wanted(director) {
        return;
    }
    let answer = async {
        loop {
            if let Ok(status) = director.vrrpd.status().await {
                return status;
            }
            sleep(RETRY).await;
        }
    };
    match tokio::time::timeout(LEARN_LIMIT, answer).await {
        Ok(status) => director.state_mut().roles = Roles::from(&status),
        Err(_) => log::warn!("vrrpd: does not answer, its groups count as they last did until it does"),
    }
}

/// What vrrpd is told of the virtual servers: which of them are here and have their quorum, as they are balanced.
fn heartbeat(director: &Director) -> Request {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let (running, now) = (state.running.clone(), clock::monotonic());
    let mut servers = BTreeMap::new();
    for (name, server) in &running.config.virtual_servers {
        let is_refused = reconcile::key(server.virtual_).is_some_and(|key| state.refused.contains_key(&key));
        let has = !server.shutdown && !is_refused && state.health.has_quorum(&running.config, name, now);
        servers.insert(name.to_string(), has);
    }
    Request::Heartbeat { servers }
}

/// One connection to its end.
async fn session(director: &Director, mut connection: Connection) -> Result<(), Why> {
    connection.send(&Request::Reload).await?;
    connection.send(&Request::Follow).await?;
    let mut beats = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            reply = connection.receive() => match reply? {
                Reply::Reloaded { problems } => director.state_mut().notes.set(Source::Vrrp, problems),
                Reply::Status(status) => {
                    director.state_mut().vrrp = Some(status);
                    director.elected.notify_one();
                }
                Reply::Failed { why } => return Err(Why::Refused(why)),
                Reply::Done => return Err(Why::Unexpected),
            },
            _ = beats.tick() => connection.send(&heartbeat(director)).await?,
            () = director.configured.notified() => connection.send(&heartbeat(director)).await?,
        }
    }
}
