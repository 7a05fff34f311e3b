//! The realtime thread: packets in, timers, packets out. It does not log, and waits for nothing but the next event: what may take time
//! is the worker's, what an operator reads is the main thread's.
//!
//! The library's contract is kept here: every packet that waits is handed in before a timer is looked at.

mod burst;
mod configure;
mod hold;
mod io;
mod report;
mod units;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::sync::{mpsc, oneshot};
use vrrp::router::Transition;
use vrrp::status::Status;
use vrrp::{Discard, Instant};
use yoke_config::value::Name;

use crate::engine::burst::Burst;
use crate::engine::io::Io;
use crate::engine::units::Units;
use crate::group::World;
use crate::links::{Changed, Links};
use crate::netlink::{Monitor, Netlink};
use crate::port::PACKET_BYTES;
use crate::wanted::Wanted;
use crate::worker::Jobs;
use crate::{clock, sys};

/// In the middle: above everything that is not about time, below the kernel's own threads at 99.
const PRIORITY: i32 = 50;
/// Packets taken from one port before timers have their turn all the same: a flood must not stop the advertisements.
const PACKETS_TURN: usize = 1024;

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
    Configure(Wanted, oneshot::Sender<Vec<String>>),
    Status(oneshot::Sender<Status>),
    HandOver(String, oneshot::Sender<Result<(), String>>),
    HandBack(String, oneshot::Sender<Result<(), String>>),
    Reset(String, oneshot::Sender<Result<(), String>>),
    World(World),
    /// Says that the thread is alive; it looks whether groups hold what they should. Once a second.
    Ping(oneshot::Sender<()>),
    /// Resign from everything, drop all addresses, end.
    Stop(oneshot::Sender<()>),
}

/// The main thread's end.
#[derive(Clone)]
pub(crate) struct Handle {
    requests: Sender<Request>,
    wake: Arc<EventFd>,
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

/// Marks of descriptors in the epoll set.
const TIMER: u64 = 0;
const WAKE: u64 = 1;
const MONITOR: u64 = 2;
const PORT: u64 = 3;

/// The engine.
pub(crate) struct Engine {
    epoll: Epoll,
    timer: TimerFd,
    /// What the timer is set to.
    armed: Option<Instant>,
    wake: Arc<EventFd>,
    requests: Receiver<Request>,
    monitor: Monitor,
    burst: Burst,
    links: Links,
    units: Units,
    io: Io,
    world: World,
    buffer: Box<[u8; PACKET_BYTES]>,
}

impl Engine {
    /// # Errors
    /// When a descriptor cannot be had, or the kernel does not tell its links.
    pub(crate) fn new(
        requests: (Sender<Request>, Receiver<Request>),
        jobs: Jobs,
        events: Events,
    ) -> std::io::Result<(Self, Handle)> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        // Before the dump, so that nothing falls between the two.
        let monitor = Monitor::open()?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        epoll.add(&monitor.socket, EpollEvent::new(EpollFlags::EPOLLIN, MONITOR))?;
        let handle = Handle { requests: requests.0, wake: wake.clone() };
        let mut engine = Self {
            epoll,
            timer,
            armed: None,
            wake,
            requests: requests.1,
            monitor,
            burst: Burst::default(),
            links: Links::default(),
            units: Units::default(),
            io: Io::new(jobs, events),
            world: World { director: true, servers: std::collections::BTreeMap::new() },
            buffer: Box::new([0; PACKET_BYTES]),
        };
        engine.observe()?;
        Ok((engine, handle))
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self, realtime: bool) {
        if realtime && let Err(error) = sys::realtime(PRIORITY) {
            self.io.problem(format!("realtime priority: {error}, failovers may come late under load"));
        }
        let mut ready = [EpollEvent::empty(); 16];
        loop {
            self.arm();
            let count = self.epoll.wait(&mut ready, EpollTimeout::NONE).unwrap_or(0);
            let is_ready = |mark: u64| ready[..count].iter().any(|event| event.data() == mark);
            if is_ready(TIMER) {
                // Read, or it stays ready for ever once no deadline is left to set it for: this thread would never sleep again, and on a
                // box with one processor never let the worker remove the addresses of the groups that have just given up.
                let _ = self.timer.wait();
                self.armed = None;
            }
            if is_ready(PORT)
                && let Some(until) = self.burst.pause(clock::now(), self.units.next_deadline())
            {
                clock::wait_until(until);
            }
            if is_ready(PORT) || is_ready(TIMER) {
                if self.receive() {
                    self.burst.taken(clock::now());
                }
                self.units.handle_timeouts(clock::now(), &mut self.io, &self.links);
            }
            if is_ready(MONITOR) {
                self.monitor();
            }
            if is_ready(WAKE) && !self.requests() {
                return;
            }
        }
    }

    /// Lets go of what an earlier life of this process left behind; does not run.
    pub(crate) fn release(&mut self, wanted: Wanted) {
        let now = clock::now();
        self.io.open(&self.units.ports_with(&wanted, &self.links), &self.links, &self.epoll);
        for problem in self.units.configure(wanted, now, &mut self.io, &self.links, &self.world) {
            self.io.problem(problem);
        }
        self.units.stop(now, &mut self.io, &self.links);
        self.io.flush();
    }

    /// Sets the timer, unless it goes off early enough anyway: a backup's deadline moves with each advertisement, and to wake once too
    /// often costs less than to set it every time.
    fn arm(&mut self) {
        let Some(next) = self.units.next_deadline() else { return };
        if self.armed.is_some_and(|armed| armed <= next) {
            return;
        }
        let at = Duration::from_nanos(next.as_nanos().max(1));
        if self.timer.set(Expiration::OneShot(at.into()), TimerSetTimeFlags::TFD_TIMER_ABSTIME).is_ok() {
            self.armed = Some(next);
        }
    }

    /// Takes in what waits in the sockets; whether anything did.
    fn receive(&mut self) -> bool {
        let mut any = false;
        for key in self.io.keys() {
            for _ in 0..PACKETS_TURN {
                let Some(port) = self.io.ports.get_mut(&key) else { break };
                let Some(packet) = port.receive(&mut self.buffer) else { break };
                self.units.handle_packet(key, &packet, &mut self.io, &self.links);
                any = true;
            }
        }
        any
    }

    /// Takes in what the kernel says of links and addresses.
    fn monitor(&mut self) {
        let Some(messages) = self.monitor.receive() else {
            // Messages were lost: look at everything anew.
            if let Err(error) = self.observe() {
                self.io.problem(format!("interfaces: {error}"));
            }
            return;
        };
        let mut link = false;
        for message in messages {
            match self.links.handle(&message) {
                Some(Changed::Link(_)) => link = true,
                Some(Changed::Address(_, address)) => {
                    self.units.handle_address(address, clock::now(), &mut self.io, &self.links, &self.world);
                }
                None => {}
            }
        }
        if link {
            self.refresh();
        }
    }

    fn observe(&mut self) -> std::io::Result<()> {
        self.links = Links::default();
        for message in Netlink::open()?.everything()? {
            self.links.handle(&message);
        }
        self.refresh();
        Ok(())
    }

    /// After interfaces have changed.
    fn refresh(&mut self) {
        self.units.refresh(clock::now(), &mut self.io, &self.links, &self.world);
        let wanted = self.units.ports();
        self.io.open(&wanted, &self.links, &self.epoll);
    }

    /// Does what the main thread asks; `false` at the end.
    fn requests(&mut self) -> bool {
        let _ = self.wake.read();
        while let Ok(request) = self.requests.try_recv() {
            let now = clock::now();
            // Whoever asked may have gone away: then nobody hears the answer.
            match request {
                Request::Configure(wanted, reply) => {
                    // The ports first, or the first advertisement would find none.
                    self.io.open(&self.units.ports_with(&wanted, &self.links), &self.links, &self.epoll);
                    let problems = self.units.configure(wanted, now, &mut self.io, &self.links, &self.world);
                    self.refresh();
                    self.io.flush();
                    let _ = reply.send(problems);
                }
                Request::Status(reply) => drop(reply.send(self.units.status(now, &self.io, &self.links))),
                Request::HandOver(name, reply) => {
                    drop(reply.send(self.units.hand_over(&name, now, &mut self.io, &self.links)));
                }
                Request::HandBack(name, reply) => {
                    drop(reply.send(self.units.hand_back(&name, now, &mut self.io, &self.links)));
                }
                Request::Reset(name, reply) => {
                    drop(reply.send(self.units.reset(&name, now, &mut self.io, &self.links, &self.world)));
                }
                Request::World(world) => {
                    self.world = world;
                    self.units.refresh(now, &mut self.io, &self.links, &self.world);
                }
                Request::Ping(reply) => {
                    self.units.check(now, &mut self.io, &self.links);
                    let _ = reply.send(());
                }
                Request::Stop(reply) => {
                    self.units.stop(now, &mut self.io, &self.links);
                    self.io.flush();
                    let _ = reply.send(());
                    return false;
                }
            }
        }
        true
    }
}
