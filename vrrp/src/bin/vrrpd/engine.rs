//! The realtime thread: packets in, timers, packets out. It does not log, and waits for nothing but the next event: what moves is the
//! worker's, what else needs the kernel's lock on network changes is the opener's, what an operator reads is the main thread's. Whoever has to
//! hear that something was done hears it from the thread that did it.
//!
//! The library's contract is kept here: every packet that waits is handed in before a timer is looked at.

mod burst;
mod configure;
mod hold;
mod io;
mod report;
mod request;
mod resync;
mod units;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::sync::oneshot;
use vrrp::{Discard, Instant};

use crate::engine::burst::Burst;
pub(crate) use crate::engine::request::{Event, Events, Handle, Request};

use crate::engine::io::Io;
use crate::engine::resync::Resync;
use crate::engine::units::Units;
use crate::group::World;
use crate::links::{Changed, Links};
use crate::netlink::{Monitor, Netlink};
use crate::opener::{Ask, Asks, Got, Key};
use crate::port::PACKET_BYTES;
use crate::wanted::Wanted;
use crate::worker::{Job, Jobs};
use crate::{clock, sys};

/// In the middle: above everything that is not about time, below the kernel's own threads at 99.
const PRIORITY: i32 = 50;
/// Packets taken from one port before timers have their turn all the same: a flood must not stop the advertisements.
const PACKETS_TURN: usize = 1024;

/// Marks of descriptors in the epoll set.
const TIMER: u64 = 0;
const WAKE: u64 = 1;
const MONITOR: u64 = 2;
const PORT: u64 = 3;
const GOT: u64 = 4;

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
    resync: Resync,
    units: Units,
    /// Configurations that wait for their sockets, and who waits for them.
    waiting: VecDeque<(Wanted, oneshot::Sender<Vec<String>>)>,
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
        asks: Asks,
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
        epoll.add(&*asks.ready, EpollEvent::new(EpollFlags::EPOLLIN, GOT))?;
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
            resync: Resync::default(),
            units: Units::default(),
            waiting: VecDeque::new(),
            io: Io::new(jobs, asks, events),
            world: World { director: true, servers: std::collections::BTreeMap::new() },
            buffer: Box::new([0; PACKET_BYTES]),
        };
        // Nothing runs yet that could be late.
        for message in Netlink::open()?.everything()? {
            engine.links.handle(&message);
        }
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
            if is_ready(GOT) {
                let _ = self.io.asks.ready.read();
                while let Some(got) = self.io.asks.try_next() {
                    self.got(got);
                }
                self.refresh();
                self.configure();
            }
            if is_ready(WAKE) && !self.requests() {
                return;
            }
        }
    }

    /// Lets go of what an earlier life of this process left behind; does not run. Waits for its sockets.
    pub(crate) fn release(&mut self, wanted: Wanted) {
        let ports = self.units.ports_with(&wanted, &self.links);
        self.io.open(&ports, &self.links, &self.epoll);
        while self.io.is_opening(&ports) {
            let Some(got) = self.io.asks.next() else { break };
            self.got(got);
        }
        let now = clock::now();
        for problem in self.units.configure(wanted, now, &mut self.io, &self.links, &self.world) {
            self.io.problem(problem);
        }
        self.units.stop(now, &mut self.io, &self.links);
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
                match port.receive(&mut self.buffer) {
                    Some(Ok(packet)) => self.units.handle_packet(key, &packet, &mut self.io, &self.links),
                    Some(Err(source)) => self.io.discard(key, source, Discard::Truncated, clock::now(), &self.links),
                    None => break,
                }
                any = true;
            }
        }
        any
    }

    /// Takes in what the kernel says of links and addresses.
    fn monitor(&mut self) {
        let Some(messages) = self.monitor.receive() else {
            // Messages were lost: look at everything anew.
            if self.resync.lost() {
                self.io.asks.put(Ask::Dump);
            }
            return;
        };
        let mut stale = false;
        for message in messages {
            self.resync.note(&message);
            stale |= match self.links.handle(&message) {
                Some(Changed::Link(_)) => true,
                Some(Changed::Address(_, address)) => {
                    self.units.handle_address(address, clock::now(), &mut self.io, &self.links)
                }
                None => false,
            };
        }
        if stale {
            self.refresh();
            self.configure();
        }
    }

    /// Takes in what the opener has done.
    fn got(&mut self, got: Got) {
        match got {
            Got::Opened(key, port) => self.io.opened(key, port, &self.links, &self.epoll),
            Got::Dumped(Ok(dump)) => match self.resync.dumped(&dump) {
                Some(links) => self.links = links,
                None => self.io.asks.put(Ask::Dump),
            },
            Got::Dumped(Err(error)) => {
                self.resync.failed();
                self.io.problem(format!("interfaces: {error}"));
            }
        }
    }

    /// After interfaces or sockets have changed.
    fn refresh(&mut self) {
        self.units.refresh(clock::now(), &mut self.io, &self.links, &self.world);
        let wanted = self.ports();
        self.io.open(&wanted, &self.links, &self.epoll);
    }

    /// Sockets that are needed, now and by the next configuration.
    fn ports(&self) -> BTreeSet<Key> {
        match self.waiting.front() {
            Some((wanted, _)) => self.units.ports_with(wanted, &self.links),
            None => self.units.ports(),
        }
    }

    /// Takes in the configurations whose sockets are there, or cannot be had: a group that begins or goes on without one would be deaf.
    fn configure(&mut self) {
        loop {
            let ports = self.ports();
            self.io.open(&ports, &self.links, &self.epoll);
            if self.io.is_opening(&ports) {
                return;
            }
            let Some((wanted, reply)) = self.waiting.pop_front() else { return };
            let problems = self.units.configure(wanted, clock::now(), &mut self.io, &self.links, &self.world);
            self.refresh();
            // Whoever asked may have gone away: then nobody hears the answer.
            self.io.job(Job::Then(Box::new(move || drop(reply.send(problems)))));
        }
    }

    /// Does what the main thread asks; `false` at the end.
    fn requests(&mut self) -> bool {
        let _ = self.wake.read();
        while let Ok(request) = self.requests.try_recv() {
            let now = clock::now();
            // Whoever asked may have gone away: then nobody hears the answer.
            match request {
                Request::Configure(wanted, reply) => {
                    self.waiting.push_back((wanted, reply));
                    self.configure();
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
                    self.io.retry(&self.links);
                    if self.resync.retry() {
                        self.io.asks.put(Ask::Dump);
                    }
                    let _ = reply.send(());
                }
                Request::Stop(reply) => {
                    self.units.stop(now, &mut self.io, &self.links);
                    self.io.job(Job::Then(Box::new(move || {
                        let _ = reply.send(());
                    })));
                    return false;
                }
            }
        }
        true
    }
}
