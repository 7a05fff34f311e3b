//! The main thread: the control socket, signals, the log, and the word to init. Nothing here is in a hurry.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{SigSet, Signal};
use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use vrrp::Instant;
use vrrp::status::{HEARTBEAT_LIMIT_S, Reply, Request};
use yoke_control::{Frames, Server};

use crate::Options;
use crate::engine::{self, Event, Handle};
use crate::group::World;
use crate::{clock, read_config};

/// How often director's silence is looked at, and init's watchdog fed.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait for the engine, which answers within a millisecond unless it hangs; and for the kernel after a change, which may be held up by
/// others. Less than the 5 s for which director waits.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// Silence of director after which it counts as dead or deaf.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(HEARTBEAT_LIMIT_S);

/// What connections share.
struct Shared {
    config: std::path::PathBuf,
    socket: std::path::PathBuf,
    engine: Handle,
    /// Counts changes of state.
    changes: watch::Sender<u64>,
    heartbeats: mpsc::UnboundedSender<BTreeMap<String, bool>>,
}

/// Runs until a signal ends it.
pub(crate) async fn run(
    options: &Options,
    engine: &Handle,
    mut events: mpsc::UnboundedReceiver<Event>,
    mut signals: mpsc::UnboundedReceiver<Signal>,
) -> anyhow::Result<()> {
    let server = Server::bind(&options.socket, 0o600).with_context(|| options.socket.display().to_string())?;
    server.set_nonblocking()?;
    let listener = UnixListener::from_std(server.into_std())?;
    let (heartbeats, mut beats) = mpsc::unbounded_channel();
    let shared = std::sync::Arc::new(Shared {
        config: options.config.clone(),
        socket: options.socket.clone(),
        engine: engine.clone(),
        changes: watch::channel(0).0,
        heartbeats,
    });
    // Beside what follows: the log, and init's watchdog, do not wait for the kernel.
    let begins = shared.clone();
    tokio::spawn(async move {
        begins.reload_and_tell().await;
        notify(&[NotifyState::Ready]);
    });
    let mut director = Director { heard: clock::now(), alive: true, servers: BTreeMap::new() };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(serve(shared.clone(), stream))),
                Err(error) => {
                    log::error!("control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(event) = events.recv() => {
                tell(&event);
                if matches!(event, Event::Transition(..)) {
                    shared.changes.send_modify(|changes| *changes += 1);
                }
            }
            Some(servers) = beats.recv() => shared.world(director.hear(servers)),
            _ = tick.tick() => {
                shared.world(director.look(clock::now()));
                // Fed only while the engine answers.
                if shared.ask(engine::Request::Ping).await.is_some() {
                    notify(&[NotifyState::Watchdog]);
                }
            }
            Some(signal) = signals.recv() => {
                if signal != Signal::SIGHUP {
                    let _ = shared.ask(engine::Request::Stop).await;
                    while let Ok(event) = events.try_recv() {
                        tell(&event);
                    }
                    return Ok(());
                }
                let shared = shared.clone();
                tokio::spawn(async move { shared.reload_and_tell().await });
            }
        }
    }
}

/// Waits for signals on a thread of its own: the runtime has no safe way to be told of them otherwise.
pub(crate) fn signals(signals: SigSet) -> std::io::Result<mpsc::UnboundedReceiver<Signal>> {
    let (tell, told) = mpsc::unbounded_channel();
    let wait = move || {
        while let Ok(signal) = signals.wait()
            && tell.send(signal).is_ok()
        {}
    };
    std::thread::Builder::new().name("signals".to_owned()).stack_size(crate::STACK_BYTES).spawn(wait)?;
    Ok(told)
}

/// What is known of director.
struct Director {
    heard: Instant,
    alive: bool,
    servers: BTreeMap<String, bool>,
}

impl Director {
    /// A heartbeat. What the engine has to know, if it is new.
    fn hear(&mut self, servers: BTreeMap<String, bool>) -> Option<World> {
        self.heard = clock::now();
        let new = !self.alive || servers != self.servers;
        if !self.alive {
            log::info!("director is heard again");
        }
        (self.alive, self.servers) = (true, servers);
        new.then(|| self.world())
    }

    /// Time passed.
    fn look(&mut self, now: Instant) -> Option<World> {
        if !self.alive || now.since(self.heard) < HEARTBEAT_LIMIT {
            return None;
        }
        log::warn!("director has not been heard for {HEARTBEAT_LIMIT_S} s");
        self.alive = false;
        Some(self.world())
    }

    fn world(&self) -> World {
        World { director: self.alive, servers: self.servers.clone() }
    }
}

/// Writes an event to the log.
pub(crate) fn tell(event: &Event) {
    match event {
        Event::Transition(group, transition, tracked) => {
            let tracked = if tracked.is_empty() { String::new() } else { format!(" ({})", tracked.join(", ")) };
            log::info!("vrrp group {group}: {} to {}: {}{tracked}", transition.from, transition.to, transition.why);
        }
        Event::Discarded { interface, source, why } => {
            log::warn!("interface {interface}: advertisement of {source} discarded: {why}");
        }
        Event::Problem(text) => log::warn!("{text}"),
    }
}

impl Shared {
    /// Asks the engine and waits for its answer; `None` when it does not come.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> engine::Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.engine.send(request(reply));
        tokio::time::timeout(ANSWER_LIMIT, answer).await.ok()?.ok()
    }

    fn world(&self, world: Option<World>) {
        if let Some(world) = world {
            self.engine.send(engine::Request::World(world));
        }
    }

    async fn reload(&self) -> anyhow::Result<Vec<String>> {
        let wanted = read_config(&self.config)?;
        match self.ask(|reply| engine::Request::Configure(wanted, reply)).await {
            Some(problems) => Ok(problems),
            // It lives, and will do it: no reason for director to take it for dead.
            None if self.ask(engine::Request::Ping).await.is_some() => {
                let limit = ANSWER_LIMIT.as_secs();
                Ok(vec![format!("vrrp: the kernel did not make every change within {limit} s, the rest follows")])
            }
            None => bail!("vrrpd does not answer"),
        }
    }

    /// The same, for whoever has no connection to be answered on.
    async fn reload_and_tell(&self) {
        match self.reload().await {
            Ok(problems) => problems.iter().for_each(|problem| log::warn!("{problem}")),
            // Nothing is taken over by a configuration that nobody understands; a better one comes by a reload.
            Err(error) => log::error!("{error:#}"),
        }
    }

    /// Answers one request; `None` for the one without an answer.
    async fn answer(&self, request: Request) -> Option<Reply> {
        let command = |done: Option<Result<(), String>>| match done {
            Some(Ok(())) => Reply::Done,
            Some(Err(why)) => Reply::Failed { why },
            None => hung(),
        };
        Some(match request {
            Request::Status | Request::Follow => match self.ask(engine::Request::Status).await {
                Some(status) => Reply::Status(status),
                None => hung(),
            },
            Request::Reload => match self.reload().await {
                Ok(problems) => Reply::Reloaded { problems },
                Err(error) => Reply::Failed { why: format!("{error:#}") },
            },
            Request::HandOver { group } => command(self.ask(|reply| engine::Request::HandOver(group, reply)).await),
            Request::HandBack { group } => command(self.ask(|reply| engine::Request::HandBack(group, reply)).await),
            Request::Reset { group } => command(self.ask(|reply| engine::Request::Reset(group, reply)).await),
            Request::Heartbeat { servers } => {
                let _ = self.heartbeats.send(servers);
                return None;
            }
        })
    }
}

fn hung() -> Reply {
    Reply::Failed { why: "vrrpd does not answer".to_owned() }
}

/// One connection, to its end.
async fn serve(shared: std::sync::Arc<Shared>, mut stream: UnixStream) {
    let mut frames = Frames::default();
    let mut chunk = [0; 4096];
    let mut changes = shared.changes.subscribe();
    let mut follows = false;
    loop {
        let request = match frames.pop::<Request>() {
            Ok(Some(request)) => request,
            Ok(None) => {
                tokio::select! {
                    read = stream.read(&mut chunk) => match read {
                        Ok(length) if length > 0 && frames.push(&chunk[..length]).is_ok() => continue,
                        _ => return,
                    },
                    changed = changes.changed(), if follows => match changed {
                        Ok(()) => Request::Status,
                        Err(_) => return,
                    },
                }
            }
            Err(error) => {
                let reply = Reply::Failed { why: format!("{}: {error}", shared.socket.display()) };
                if send(&mut stream, &reply).await.is_none() {
                    return;
                }
                continue;
            }
        };
        follows |= request == Request::Follow;
        if let Some(reply) = shared.answer(request).await
            && send(&mut stream, &reply).await.is_none()
        {
            return;
        }
    }
}

async fn send(stream: &mut UnixStream, reply: &Reply) -> Option<()> {
    let bytes = yoke_control::emit(reply).ok()?;
    stream.write_all(&bytes).await.ok()
}

/// Tells init; without an init nobody listens, and that is fine.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("notify init: {error}");
    }
}
