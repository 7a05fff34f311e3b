//! The loop: accepts connections, looks after the kernel's table, tells init that the daemon is alive.
//!
//! Each connection is a task of its own on the one thread; a change waits its turn, a `show` never does.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use yoke_control::{Peer, Server};

use crate::director::Director;
use crate::{drift, session};

/// How often the kernel's table is compared with what it should be. A comparison of 10,000 destinations takes some ten milliseconds.
pub(crate) const RESYNC: Duration = Duration::from_secs(10);
/// Connections at once: more than terminals and scripts need, less than file descriptors there are.
const CONNECTIONS_MAX: usize = 256;

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
    let mut watchdog = sd_notify::watchdog_enabled().map(|limit| ticks(limit / 3));
    let connections = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(peer) = identify(&stream) else { continue };
                    let Ok(permit) = connections.clone().try_acquire_owned() else {
                        log::warn!("too many connections, one of uid {} is refused", peer.uid);
                        continue;
                    };
                    let director = director.clone();
                    tokio::task::spawn_local(async move {
                        session::serve(director, stream, peer).await;
                        drop(permit);
                    });
                }
                // Out of descriptors: the next session that ends frees one.
                Err(e) => {
                    log::error!("control socket: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            _ = resync.tick() => drift::resync(&director),
            () = tick(watchdog.as_mut()) => notify(&[NotifyState::Watchdog]),
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
