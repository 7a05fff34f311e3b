//! What the engine acts with: sockets, the way to the worker, the way to the main thread.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use vrrp::{Discard, Family, Instant};

use super::{Event, Events, PORT};
use crate::group::Ports;
use crate::links::Links;
use crate::port::Port;
use crate::worker::{Job, Jobs};

/// Least time between two lines about discarded packets of one port.
const TELL: Duration = Duration::from_secs(60);
/// Longest wait for the worker.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Everything that goes out.
pub(crate) struct Io {
    pub(crate) ports: Ports,
    pub(crate) jobs: Jobs,
    pub(crate) events: Events,
    /// Room to build a packet in.
    pub(crate) packet: Vec<u8>,
}

impl Io {
    pub(crate) fn new(jobs: Jobs, events: Events) -> Self {
        Self { ports: Ports::new(), jobs, events, packet: Vec::with_capacity(2048) }
    }

    /// Which ports are open.
    pub(crate) fn keys(&self) -> Vec<(u32, Family)> {
        self.ports.keys().copied().collect()
    }

    /// Opens the ports that are wanted and missing, closes the others.
    pub(crate) fn open(&mut self, wanted: &BTreeSet<(u32, Family)>, links: &Links, epoll: &Epoll) {
        // A closed descriptor leaves the set by itself.
        self.ports.retain(|key, _| wanted.contains(key));
        for &(ifindex, family) in wanted {
            let Some(link) = links.get(ifindex).filter(|_| !self.ports.contains_key(&(ifindex, family))) else {
                continue;
            };
            let opened = Port::open(&link.name, ifindex, family).and_then(|port| {
                epoll.add(&port, EpollEvent::new(EpollFlags::EPOLLIN, PORT))?;
                Ok(port)
            });
            match opened {
                Ok(port) => drop(self.ports.insert((ifindex, family), port)),
                // Tried again with the next change of an interface.
                Err(error) => self.problem(format!("interface {}: no socket for advertisements: {error}", link.name)),
            }
        }
    }

    pub(crate) fn job(&self, job: Job) {
        self.jobs.put(job);
    }

    /// Waits until the worker has done everything. Only where nothing is advertised meanwhile, or nothing moves.
    pub(crate) fn flush(&self) {
        let (done, wait) = channel();
        self.job(Job::Flush(done));
        let _ = wait.recv_timeout(FLUSH_LIMIT);
    }

    pub(crate) fn problem(&self, text: String) {
        let _ = self.events.send(Event::Problem(text));
    }

    /// Counts a packet that reached no group.
    pub(crate) fn discard(&mut self, key: (u32, Family), source: IpAddr, why: Discard, at: Instant, links: &Links) {
        if let Some(port) = self.ports.get_mut(&key) {
            port.counters.count(why);
        }
        self.tell(key, source, why, at, links);
    }

    /// Has a discarded packet logged, unless one was a short while ago.
    pub(crate) fn tell(&mut self, key: (u32, Family), source: IpAddr, why: Discard, at: Instant, links: &Links) {
        let Some(port) = self.ports.get_mut(&key) else { return };
        if port.told.is_none_or(|told| at.since(told) >= TELL) {
            port.told = Some(at);
            let interface = links.get(key.0).map(|link| link.name.clone()).unwrap_or_default();
            let _ = self.events.send(Event::Discarded { interface, source, why });
        }
    }
}
