//! The third realtime thread: what asks the kernel for its lock on network changes (RTNL) and is not a job of the worker. Sockets are opened
//! and closed here, since joining and leaving a multicast group takes that lock, and dumps are made here. Whoever holds it, a driver that
//! resets its card or somebody who removes a hundred interfaces, may do so for seconds; the engine asks, goes on, and is told.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use netlink_packet_route::RouteNetlinkMessage;
use nix::sys::eventfd::{EfdFlags, EventFd};
use vrrp::Family;

use crate::netlink::Netlink;
use crate::port::Port;
use crate::sys;

/// As the worker: below the engine.
const PRIORITY: i32 = 40;

/// An interface and a family: what one socket is for.
pub(crate) type Key = (u32, Family);

/// What the engine asks for.
pub(crate) enum Ask {
    /// A socket on the interface of this name.
    Open(Key, String),
    /// This socket is needed no more.
    Close(Box<Port>),
    /// All links and addresses.
    Dump,
}

/// What it is told.
pub(crate) enum Got {
    Opened(Key, io::Result<Box<Port>>),
    Dumped(io::Result<Vec<RouteNetlinkMessage>>),
}

/// The engine's end.
pub(crate) struct Asks {
    sender: Sender<Ask>,
    receiver: Receiver<Got>,
    /// Readable when something was got.
    pub(crate) ready: Arc<EventFd>,
}

/// The thread's end.
pub(crate) struct Opener {
    receiver: Receiver<Ask>,
    sender: Sender<Got>,
    ready: Arc<EventFd>,
}

/// Both ends.
///
/// # Errors
/// When there is no descriptor left.
pub(crate) fn asks() -> io::Result<(Asks, Opener)> {
    let ready = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
    let ((sender, asked), (got, receiver)) = (channel(), channel());
    Ok((Asks { sender, receiver, ready: ready.clone() }, Opener { receiver: asked, sender: got, ready }))
}

impl Asks {
    pub(crate) fn put(&self, ask: Ask) {
        // The thread ends after the engine.
        let _ = self.sender.send(ask);
    }

    /// The next answer, if there is one.
    pub(crate) fn try_next(&self) -> Option<Got> {
        self.receiver.try_recv().ok()
    }

    /// The next answer. Waits for it: not for the engine at work.
    pub(crate) fn next(&self) -> Option<Got> {
        self.receiver.recv().ok()
    }
}

impl Opener {
    /// Works until nobody asks any more.
    pub(crate) fn run(self, realtime: bool) {
        // Without it a new group begins late on a busy box; that the others cannot have it is told by them.
        let _ = realtime.then(|| sys::realtime(PRIORITY));
        while let Ok(ask) = self.receiver.recv() {
            let got = match ask {
                Ask::Open(key, name) => Got::Opened(key, Port::open(&name, key.0, key.1).map(Box::new)),
                Ask::Dump => Got::Dumped(Netlink::open().and_then(|mut netlink| netlink.everything())),
                Ask::Close(port) => {
                    drop(port);
                    continue;
                }
            };
            if self.sender.send(got).is_ok() {
                // It fails when 2^64 wake-ups are pending.
                let _ = self.ready.write(1);
            }
        }
    }
}
