//! The loop: accepts connections, looks after the kernel's table, tells init that the daemon is alive.
//!
//! Each connection is a task of its own on the one thread; a change waits its turn, a `show` never does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use yoke_control::{Peer, Server};

use crate::director::Director;
use crate::{drift, rivals, session};

/// How often the kernel's table is compared with what it should be. A comparison of 10,000 destinations takes some ten milliseconds.
pub(crate) const RESYNC: Duration = Duration::from_secs(10);
/// Connections at once: more than terminals and scripts need, less than file descriptors there are.
const CONNECTIONS_MAX: usize = 256;
/// Connections at once of one user who is not root. What a user opens must not keep others, and above all not a console, from getting in.
const CONNECTIONS_OF_USER_MAX: usize = 32;
/// Connections that only root may have: the consoles.
const CONNECTIONS_OF_ROOT: usize = 16;

/// Binds the control socket. Callers queue from now on.
///
/// # Errors
/// When `/run/yoke` cannot be written.
pub(crate) fn bind(director: &Director) -> anyhow::Result<UnixListener> {
    let path = director.paths.socket();
    // Everybody may connect: who they are is the kernel's word, and what they may do is the configuration's.
    let server = Server::bind(&path, 0o666).with_context(|| path.display().to_string())?;
    server.set_nonblocking()?;
    Ok(UnixListener::from_std(server.into_std())?)
}

/// Serves for ever. Must run in a `LocalSet`. `identify` says who has connected; outside of tests that is the kernel's word.
pub(crate) async fn run(
    director: Rc<Director>,
    listener: UnixListener,
    identify: impl Fn(&UnixStream) -> io::Result<Peer>,
) {
    let mut resync = ticks(director.resync);
    let mut rival = ticks(rivals::EVERY);
    let mut watchdog = sd_notify::watchdog_enabled().map(|limit| ticks(limit / 3));
    let callers = Rc::<RefCell<Callers>>::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(peer) = identify(&stream) else { continue };
                    if let Err(first) = callers.borrow_mut().enter(peer.uid) {
                        if first {
                            log::warn!("too many connections, those of uid {} are refused", peer.uid);
                        }
                        continue;
                    }
                    let (director, callers) = (director.clone(), callers.clone());
                    tokio::task::spawn_local(async move {
                        session::serve(director, stream, peer).await;
                        callers.borrow_mut().leave(peer.uid);
                    });
                }
                // Out of descriptors: the next session that ends frees one.
                Err(e) => {
                    log::error!("control socket: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            _ = resync.tick() => drop(tokio::task::spawn_local(drift::resync(director.clone()))),
            _ = rival.tick() => drop(tokio::task::spawn_local(rivals::look(director.clone()))),
            () = tick(watchdog.as_mut()) => notify(&[NotifyState::Watchdog]),
        }
    }
}

/// Who is connected how often.
#[derive(Debug, Default)]
struct Callers {
    of: BTreeMap<u32, usize>,
    /// Refused since somebody left: said once, or a loop of refused callers would fill the log.
    refused: bool,
}

impl Callers {
    /// Counts a connection in, unless there are too many; the error says whether it is the first to be refused for a while.
    fn enter(&mut self, uid: u32) -> Result<(), bool> {
        let all: usize = self.of.values().sum();
        let own = self.of.entry(uid).or_default();
        let room = if uid == 0 {
            all < CONNECTIONS_MAX
        } else {
            all < CONNECTIONS_MAX - CONNECTIONS_OF_ROOT && *own < CONNECTIONS_OF_USER_MAX
        };
        if room {
            *own += 1;
            Ok(())
        } else {
            Err(!std::mem::replace(&mut self.refused, true))
        }
    }

    fn leave(&mut self, uid: u32) {
        self.refused = false;
        if let Some(own) = self.of.get_mut(&uid) {
            *own = own.saturating_sub(1);
        }
    }
}

/// Ticks at `period`, the first after one period; a late tick is not made up for.
fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

async fn tick(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

/// Tells init; without an init nobody listens, and that is fine.
pub(crate) fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::warn!("notify init: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_users_keeps_a_console_out() {
        let mut callers = Callers::default();
        for uid in 1001..1020 {
            let entered = (0..100).filter(|_| callers.enter(uid).is_ok()).count();
            assert!(entered <= CONNECTIONS_OF_USER_MAX);
        }
        assert_eq!(callers.enter(1001), Err(false), "said once");
        for _ in 0..CONNECTIONS_OF_ROOT {
            assert_eq!(callers.enter(0), Ok(()));
        }
        assert!(callers.enter(0).is_err());
        callers.leave(1001);
        assert_eq!(callers.enter(1030), Err(true), "what is free again is root's");
    }
}
