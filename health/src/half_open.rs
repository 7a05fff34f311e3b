//! Checks by tcp as half a handshake: a SYN, its answer, and no connection.
//!
//! connect(2) succeeds when SYN and ACK have come, and so does this: the verdict is the same, and so are the words when there is none. What is left
//! out is the connection, which costs both sides most of the work. SYNs that fall due together are sent by one system call, answers are read by
//! one; there is no socket, no task and no timer of each. The kernel answers SYN and ACK by RST, as nobody has that connection, and the server
//! forgets it. So a server's program never hears of the check, and a check never takes a place in its queue.
//!
//! [`segment`] and [`flights`] are the pure core, [`filter`] what the kernel keeps away, [`wire`] the sockets. Needs CAP_NET_RAW. Not here: checks
//! that say something, and those that go the way of clients.

mod filter;
mod flights;
mod segment;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;

use self::flights::{End, Flights};
use self::segment::Syn;
use self::wire::Wire;
use crate::probe::{silence, words};
use crate::{Outcome, Time};

/// Servers of which the way is remembered: as many as there are checks at most, and some that are gone.
const PEERS_MAX: usize = 32_768;

/// Where more are under way, answers are looked at by the clock and not as each comes: a wake-up costs as much as several of them. Where there are
/// not, latencies are exact.
const FEW: usize = 8;
/// From a SYN until its answer is looked for; then twice as long each time, up to the second. So much a latency may be said too long.
const LOOK: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(20)];
/// SYNs after which answers are looked for at once: many more could answer faster than there is room for what waits to be read.
pub(crate) const BURST: usize = 256;

/// How a server is asked.
#[derive(Debug, Clone, Copy)]
struct Peer {
    /// The address of ours from which.
    source: IpAddr,
    /// The port of ours, counted from the first.
    turn: u16,
}

/// All checks of this kind.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    flights: Flights,
    wire: Wire,
    peers: BTreeMap<SocketAddr, Peer>,
    outbox: Vec<Syn>,
    ended: Vec<(u64, End)>,
    /// When answers are looked at, and how long after that they are again.
    look: Option<Time>,
    patience: Duration,
}

impl HalfOpen {
    /// Within a runtime.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub(crate) fn open() -> io::Result<Self> {
        let wire = Wire::open(&BTreeSet::new())?;
        let (flights, peers) = (Flights::new(wire.asked().clone()), BTreeMap::new());
        Ok(Self { flights, wire, peers, outbox: Vec::new(), ended: Vec::new(), look: None, patience: LOOK[0] })
    }

    /// Leaves our ports if somebody is to have one of them, and goes on from others. Within a runtime.
    ///
    /// # Errors
    /// When no others are free; then these are kept.
    pub(crate) fn leave(&mut self, ports: &BTreeSet<u16>, now: Time) -> io::Result<()> {
        if ports.range(self.wire.asked().ports.clone()).next().is_none() {
            return Ok(());
        }
        self.wire = Wire::open(ports)?;
        self.peers.clear();
        self.outbox = self.flights.move_to(self.wire.asked().clone(), now);
        for source in self.flights.sources() {
            self.wire.open_source(source);
        }
        Ok(())
    }

    /// Nobody waits any more for the outcomes of these attempts.
    pub(crate) fn cancel(&mut self, numbers: &BTreeSet<u64>) {
        self.flights.cancel(numbers);
    }

    /// Begins attempt `number`, of which [`Self::poll_outcomes`] will tell. Whether it could: too many may be under way
    /// to this server's port, or it may be asked from an address that only a connection can have.
    pub(crate) fn begin(&mut self, number: u64, server: SocketAddr, timeout_s: u16, now: Time) -> bool {
        let Peer { source, turn } = match self.peers.get_mut(&server) {
            Some(peer) => {
                peer.turn = peer.turn.wrapping_add(1);
                *peer
            }
            None => match self.wire.source(server) {
                Ok(None) => return false,
                Ok(Some(source)) => {
                    if self.peers.len() >= PEERS_MAX {
                        self.peers.clear();
                    }
                    // Not all from the same, and after a restart not from the one of before it.
                    let peer = Peer { source, turn: self.flights.turn() };
                    self.peers.insert(server, peer);
                    peer
                }
                Err(error) => {
                    let error = error.raw_os_error().unwrap_or(Errno::EIO as i32);
                    self.ended.push((number, End::Failed(error)));
                    return true;
                }
            },
        };
        let syn = self.flights.begin(number, (source, server), turn, timeout_s, now);
        self.outbox.extend(syn);
        syn.is_some()
    }

    /// The ways to servers may be others by now. What has gone from an address that is no more is sent again from the one that is: nobody would get an
    /// answer, and IPv6 would go on sending from it.
    fn handle_news(&mut self) {
        self.peers.clear();
        let sources = self.flights.sources();
        let gone: BTreeSet<IpAddr> = sources.iter().copied().filter(|source| !Wire::is_ours(*source)).collect();
        for syn in self.flights.from(&gone) {
            match self.wire.source(syn.server) {
                Ok(Some(source)) => self.outbox.extend(self.flights.handle_source(&syn, source)),
                // It has its time.
                Ok(None) => {}
                Err(error) => {
                    let error = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32));
                    self.ended.extend(self.flights.handle_unreachable(&syn, error));
                }
            }
        }
        let awaited = self.flights.sources();
        self.wire.forget(|source| awaited.contains(&source) && !gone.contains(&source));
    }

    /// Sends what has begun.
    pub(crate) fn flush(&mut self, now: Time) {
        if self.outbox.is_empty() {
            return;
        }
        let many = self.flights.len() > FEW;
        self.wire.watch(!many);
        // Not put off by who begins meanwhile.
        let first = now + if self.outbox.len() < BURST { LOOK[0] } else { Duration::ZERO };
        self.look = many.then(|| self.look.map_or(first, |at| at.min(first)));
        self.patience = LOOK[0];
        let mut stale = Vec::new();
        let mut outbox = std::mem::take(&mut self.outbox);
        self.wire.send(&outbox, |syn, error| match error {
            // Its source may be no address of ours any more: the kernel says so in each of these words.
            Errno::EINVAL | Errno::EADDRNOTAVAIL | Errno::ENETUNREACH | Errno::EHOSTUNREACH => stale.push((syn, error)),
            error => self.ended.extend(self.flights.handle_unsent(&syn, error, now)),
        });
        outbox.clear();
        let mut moved = false;
        for (syn, error) in stale {
            match self.wire.source(syn.server).ok().flatten() {
                Some(source) if source != syn.source => {
                    moved = true;
                    outbox.extend(self.flights.handle_source(&syn, source));
                }
                _ => self.ended.extend(self.flights.handle_unsent(&syn, error, now)),
            }
        }
        if moved {
            self.peers.clear();
        }
        self.wire.send(&outbox, |syn, error| self.ended.extend(self.flights.handle_unsent(&syn, error, now)));
        outbox.clear();
        self.outbox = outbox;
    }

    /// When the first attempt is to be repeated or runs out of time, or answers are to be looked at; now, when there is something to be told of or
    /// more to be read.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let now = (!self.ended.is_empty() || self.wire.has_more()).then_some(Time::ZERO);
        now.into_iter().chain(self.look).chain(self.flights.poll_timeout()).min()
    }

    /// Waits until something has come that is not looked at by the clock.
    pub(crate) async fn ready(&mut self) {
        self.wire.ready().await;
    }

    /// What has ended by now.
    pub(crate) fn poll_outcomes(&mut self, now: Time) -> Vec<(u64, Outcome)> {
        if self.wire.poll_news() {
            self.handle_news();
        }
        // An answer that is there counts, however late it is looked at.
        let is_late = self.flights.poll_timeout().is_some_and(|at| at <= now);
        let is_due = self.look.is_some_and(|at| at <= now);
        self.wire
            .read(is_late || is_due, is_late, |answer| self.ended.extend(self.flights.handle_answer(&answer, now)));
        while let Some(due) = self.flights.poll_due(now) {
            match due {
                Ok(syn) => self.outbox.push(syn),
                Err(ended) => self.ended.push(ended),
            }
        }
        if is_due {
            self.patience = LOOK[1].min(self.patience * 2);
            self.look = (self.flights.len() > 0).then(|| now + self.patience);
        }
        self.ended.drain(..).map(|(number, end)| (number, outcome(end))).collect()
    }
}

/// Whether this says that the box is busy, and nothing of where a SYN was to go.
fn is_congestion(error: Errno) -> bool {
    matches!(error, Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM)
}

/// In the words of a connection.
fn outcome(end: End) -> Outcome {
    match end {
        End::Open(took) => Ok(took),
        End::Refused => Err("connect: refused".to_owned()),
        End::Failed(error) => Err(format!("connect: {}", words(&io::Error::from_raw_os_error(error)))),
        End::Silent { timeout_s } => Err(silence("answer to connect", timeout_s)),
    }
}

#[cfg(test)]
mod tests;
