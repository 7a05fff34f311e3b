//! What the main thread asks of the engine, and what it is told.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use nix::sys::eventfd::EventFd;
use tokio::sync::{mpsc, oneshot};
use vrrp::Discard;
use vrrp::router::Transition;
use vrrp::status::Status;
use yoke_config::value::Name;

use crate::group::World;
use crate::wanted::Wanted;

/// What the engine tells the main thread.
#[derive(Debug)]
pub(crate) enum Event {
    /// A group changed its state; and what it tracks and is down, when that is a reason.
    Transition(Name, Transition, Vec<String>),
    /// A packet for no group, or not believed; at a limited rate.
    Discarded { interface: String, source: IpAddr, why: Discard },
    /// Something does not work: a sentence.
    Problem(String),
}

/// Where events go. Sending never waits.
pub(crate) type Events = mpsc::UnboundedSender<Event>;

/// What the main thread asks.
pub(crate) enum Request {
    /// Answered when the kernel has made every change.
    Configure(Wanted, oneshot::Sender<Vec<String>>),
    Status(oneshot::Sender<Status>),
    HandOver(String, oneshot::Sender<Result<(), String>>),
    HandBack(String, oneshot::Sender<Result<(), String>>),
    Reset(String, oneshot::Sender<Result<(), String>>),
    World(World),
    /// Says that the thread is alive; it looks whether groups hold what they should. Once a second.
    Ping(oneshot::Sender<()>),
    /// Resign from everything, drop all addresses, end. Answered when they are gone.
    Stop(oneshot::Sender<()>),
}

/// The main thread's end.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(super) requests: Sender<Request>,
    pub(super) wake: Arc<EventFd>,
}

impl Handle {
    /// Asks. When the engine is gone, so is whoever would answer.
    pub(crate) fn send(&self, request: Request) {
        if self.requests.send(request).is_ok() {
            // It fails when 2^64 wake-ups are pending.
            let _ = self.wake.write(1);
        }
    }
}
