//! What the engine acts with: sockets, the way to the worker, the way to the main thread. Nothing here waits: sockets are opened and
//! closed by another thread ([`crate::opener`]).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use vrrp::{Discard, Instant};

use super::{Event, Events, PORT};
use crate::group::Ports;
use crate::links::Links;
use crate::opener::{Ask, Asks, Key};
use crate::port::Port;
use crate::worker::{Job, Jobs};

/// Least time between two lines about discarded packets of one port.
const TELL: Duration = Duration::from_secs(60);

/// Everything that goes out.
pub(crate) struct Io {
    pub(crate) ports: Ports,
    /// Asked for and not there yet.
    opening: BTreeSet<Key>,
    /// Could not be opened, and will be tried again.
    failed: BTreeSet<Key>,
    pub(crate) asks: Asks,
    pub(crate) jobs: Jobs,
    pub(crate) events: Events,
    /// Room to build a packet in.
    pub(crate) packet: Vec<u8>,
}

impl Io {
    pub(crate) fn new(jobs: Jobs, asks: Asks, events: Events) -> Self {
        let (opening, failed) = (BTreeSet::new(), BTreeSet::new());
        Self { ports: Ports::new(), opening, failed, asks, jobs, events, packet: Vec::with_capacity(2048) }
    }

    /// Which ports are open.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.ports.keys().copied().collect()
    }

    /// Asks for the ports that are wanted and missing, and has the others closed.
    pub(crate) fn open(&mut self, wanted: &BTreeSet<Key>, links: &Links, epoll: &Epoll) {
        for key in self.keys().into_iter().filter(|key| !wanted.contains(key)) {
            if let Some(port) = self.ports.remove(&key) {
                self.close(port, epoll);
            }
        }
        self.failed.retain(|key| wanted.contains(key));
        for key in wanted {
            if !self.ports.contains_key(key) && !self.failed.contains(key) {
                self.ask(*key, links);
            }
        }
    }

    /// Asks once more for those that failed.
    pub(crate) fn retry(&mut self, links: &Links) {
        self.failed.clone().into_iter().for_each(|key| self.ask(key, links));
    }

    fn ask(&mut self, key: Key, links: &Links) {
        if let Some(link) = links.get(key.0)
            && self.opening.insert(key)
        {
            self.asks.put(Ask::Open(key, link.name.clone()));
        }
    }

    fn close(&self, port: Port, epoll: &Epoll) {
        // Or it would be told of until it is closed; it fails for one that was never told of.
        let _ = epoll.delete(&port);
        self.asks.put(Ask::Close(Box::new(port)));
    }

    /// Whether one of these was asked for and is not there yet.
    pub(crate) fn is_opening(&self, wanted: &BTreeSet<Key>) -> bool {
        wanted.iter().any(|key| self.opening.contains(key))
    }

    /// A port that was asked for, or why there is none. Whether it still is `wanted`, is for the next [`open`](Self::open).
    pub(crate) fn opened(&mut self, key: Key, port: std::io::Result<Box<Port>>, links: &Links, epoll: &Epoll) {
        self.opening.remove(&key);
        let added = port.and_then(|port| {
            epoll.add(&*port, EpollEvent::new(EpollFlags::EPOLLIN, PORT))?;
            Ok(port)
        });
        match added {
            Ok(port) => {
                self.failed.remove(&key);
                if let Some(old) = self.ports.insert(key, *port) {
                    self.close(old, epoll);
                }
            }
            Err(error) => {
                // An interface that has gone meanwhile needs none.
                if let Some(link) = links.get(key.0)
                    && self.failed.insert(key)
                {
                    self.problem(format!("interface {}: no socket for advertisements: {error}", link.name));
                }
            }
        }
    }

    pub(crate) fn job(&self, job: Job) {
        self.jobs.put(job);
    }

    pub(crate) fn problem(&self, text: String) {
        let _ = self.events.send(Event::Problem(text));
    }

    /// Counts a packet that reached no group.
    pub(crate) fn discard(&mut self, key: Key, source: IpAddr, why: Discard, at: Instant, links: &Links) {
        if let Some(port) = self.ports.get_mut(&key) {
            port.counters.count(why);
        }
        self.tell(key, source, why, at, links);
    }

    /// Has a discarded packet logged, unless one was a short while ago.
    pub(crate) fn tell(&mut self, key: Key, source: IpAddr, why: Discard, at: Instant, links: &Links) {
        let Some(port) = self.ports.get_mut(&key) else { return };
        if port.told.is_none_or(|told| at.since(told) >= TELL) {
            port.told = Some(at);
            let interface = links.get(key.0).map(|link| link.name.clone()).unwrap_or_default();
            let _ = self.events.send(Event::Discarded { interface, source, why });
        }
    }
}
