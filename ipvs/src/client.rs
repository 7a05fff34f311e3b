//! Exchanges with the kernel: a request and its answer, a dump, many requests in one send.
//!
//! # Cost
//! | call | messages | system calls |
//! |---|---|---|
//! | a request | 1 | 1 send, 1 receive |
//! | [`Client::execute`], [`Client::apply`] of n | n | per 256: 1 send, 1 receive; 1 more receive for each refusal |
//! | [`Client::observe`] of s services | s + 1 dumps | 3 per service with up to some 40 destinations, 1 more per further 40; 3 for the list |
//!
//! Only the last message of a send asks to be acknowledged. The kernel works messages off in order, before the send returns, and answers each
//! that fails whether it asked or not; so an acknowledged last message means that every other without an answer succeeded.
//!
//! # When an answer is lost
//! A full queue (`ENOBUFS`), an overrun or an answer that does not come is followed by a new socket, on which the question is asked again, three
//! times in all. Asked again, "exists already" to an addition and "no such" to a removal mean that the first time had worked. Bytes that are cut
//! or do not belong to the question are an [`Error::Reply`] at once, and nothing more is read from that socket.

mod bulk;
mod exchange;

use std::collections::BTreeMap;
use std::io;

use crate::socket::{Socket, Transport};
use crate::table::ApplyError;
use crate::wire::{self, Request};
use crate::{
    Change, Daemon, Entry, Error, Info, ObservedDestination, ObservedService, Refusal, ReplyError, ServiceKey,
    SyncRole, Table, Timeouts,
};

/// Room for one datagram. A dump fills one up to this (the kernel stops at 32 KiB and prepares a buffer of this size each time, so that
/// larger is slower for the common small service); nothing else comes near it.
const RECEIVE_ROOM: usize = 16 << 10;

/// A connection to the kernel's IPVS, in the network namespace it was opened in.
#[derive(Debug)]
pub struct Client<T = Socket> {
    transport: T,
    /// The family's number, valid as long as the module stays loaded.
    family: u16,
    /// Of the last message sent.
    sequence: u32,
    /// Messages to send; kept for its capacity.
    out: Vec<u8>,
    /// The last datagram received.
    room: Box<[u8]>,
    /// An exchange ended in the middle: something may still be queued.
    stale: bool,
}

impl Client<Socket> {
    /// Opens a socket and finds IPVS, which makes the kernel load it.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::NoIpvs`] where the kernel has none and can load none.
    pub fn open() -> Result<Self, Error> {
        Self::with_transport(Socket::open().map_err(Error::Open)?)
    }
}

impl<T: Transport> Client<T> {
    /// Finds IPVS over a transport of the caller's.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn with_transport(transport: T) -> Result<Self, Error> {
        let room = vec![0; RECEIVE_ROOM].into_boxed_slice();
        let mut client = Self { transport, family: 0, sequence: 0, out: Vec::new(), room, stale: false };
        client.family = client.resolve()?;
        Ok(client)
    }

    /// Version and connection table size.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn info(&mut self) -> Result<Info, Error> {
        self.one(&Request::GetInfo, Info::parse)
    }

    /// The timeouts of connections.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.one(&Request::GetTimeouts, Timeouts::parse)
    }

    /// Sets the timeouts that are not 0.
    ///
    /// # Errors
    /// [`Refusal::InvalidTimeout`] for more than 2^31 - 1 ticks.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error> {
        self.request(&Request::SetTimeouts(timeouts))
    }

    /// Zeroes the counters of a service and its destinations, or of everything.
    ///
    /// # Errors
    /// [`Refusal::NoService`].
    pub fn zero(&mut self, service: Option<ServiceKey>) -> Result<(), Error> {
        self.request(&Request::Zero(service))
    }

    /// Removes every service and destination. Connections lose their way; nothing that reconciles wants this.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.request(&Request::Flush)
    }

    /// The sync daemons that run, none to two.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        self.ask(&Request::DumpDaemons, Daemon::parse)
    }

    /// Starts a sync daemon.
    ///
    /// # Errors
    /// [`Refusal::DaemonRunning`], [`Refusal::NoInterface`], [`Refusal::InvalidDaemon`].
    pub fn start_daemon(&mut self, daemon: Daemon) -> Result<(), Error> {
        self.request(&Request::NewDaemon(daemon))
    }

    /// Stops a sync daemon, and waits for its threads to end.
    ///
    /// # Errors
    /// [`Refusal::NoDaemon`].
    pub fn stop_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        self.request(&Request::DelDaemon(role))
    }

    /// Every service with its counters, in the kernel's order (that of its hash table).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn services(&mut self) -> Result<Vec<ObservedService>, Error> {
        self.ask(&Request::DumpServices, ObservedService::parse)
    }

    /// One service with its counters.
    ///
    /// # Errors
    /// [`Refusal::NoService`].
    pub fn service(&mut self, key: ServiceKey) -> Result<ObservedService, Error> {
        self.one(&Request::GetService(key), ObservedService::parse)
    }

    /// The destinations of a service with their counters, newest first. The kernel says "none" of a service that is not there, so when there
    /// are none it is asked for the service too.
    ///
    /// # Errors
    /// [`Refusal::NoService`].
    pub fn destinations(&mut self, of: ServiceKey) -> Result<Vec<ObservedDestination>, Error> {
        self.listed(of, |message| ObservedDestination::parse(message, of.family()))
    }

    /// Everything with counters, in the kernel's order. A service that vanishes meanwhile is left out.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn statistics(&mut self) -> Result<Vec<(ObservedService, Vec<ObservedDestination>)>, Error> {
        let services = self.services()?;
        let mut all = Vec::with_capacity(services.len());
        for service in services {
            if let Some(destinations) = unless_gone(self.destinations(service.key))? {
                all.push((service, destinations));
            }
        }
        Ok(all)
    }

    /// The table as it is, counters unread. A service that vanishes meanwhile is left out.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn observe(&mut self) -> Result<Table, Error> {
        let services = self.ask(&Request::DumpServices, wire::observed_service)?;
        let mut table = BTreeMap::new();
        for (key, service) in services {
            let listed = self.listed(key, |message| wire::observed_destination(message, key.family()));
            if let Some(destinations) = unless_gone(listed)? {
                table.insert(key, Entry { service, destinations: destinations.into_iter().collect() });
            }
        }
        Ok(Table { services: table })
    }

    /// Writes changes in order, many in one send. Stops after the send in which one was refused.
    ///
    /// # Errors
    /// [`ApplyError`] says which failed and which are done; [`ApplyError::undo`] makes the way back. Then observe again.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        let requests: Vec<Request> = changes.iter().map(Change::request).collect();
        self.execute(&requests)
    }

    fn listed<V>(
        &mut self,
        of: ServiceKey,
        parse: impl Fn(&[u8]) -> Result<V, wire::ParseError>,
    ) -> Result<Vec<V>, Error> {
        let listed = self.ask(&Request::DumpDestinations(of), parse)?;
        if listed.is_empty() {
            self.service(of)?;
        }
        Ok(listed)
    }

    /// Asks for what is one message.
    fn one<V>(&mut self, request: &Request, parse: impl Fn(&[u8]) -> Result<V, wire::ParseError>) -> Result<V, Error> {
        let empty = || Error::Reply { request: Box::new(*request), source: ReplyError::Empty };
        self.ask(request, parse)?.into_iter().next().ok_or_else(empty)
    }

    fn resolve(&mut self) -> Result<u16, Error> {
        match self.resolve_family() {
            Ok(id) => Ok(id),
            Err(exchange::Failure::Refused(_)) => Err(Error::NoIpvs),
            Err(exchange::Failure::Socket(error)) => Err(Error::Open(error)),
            Err(exchange::Failure::Reply(error)) => Err(Error::Open(io::Error::new(io::ErrorKind::InvalidData, error))),
        }
    }
}

/// A service that is gone is no error to who lists all of them.
fn unless_gone<V>(listed: Result<V, Error>) -> Result<Option<V>, Error> {
    match listed {
        Ok(listed) => Ok(Some(listed)),
        Err(error) if error.refusal() == Some(Refusal::NoService) => Ok(None),
        Err(error) => Err(error),
    }
}
