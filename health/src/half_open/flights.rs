//! SYNs under way: what each is for, when it is repeated, when it is too late, and whose answer an answer is. Pure.
//!
//! An answer counts only when it acknowledges the very sequence number that was sent to that server from that port. The number is a secret of 32
//! bits, so that nobody who does not see the SYN can make a dead server look alive or a live one dead (RFC 9293 §3.10.7.3, RFC 5961, RFC 6528). Its
//! first bits are those of all SYNs, which lets the kernel keep a flood away ([`super::filter`]); the others are drawn for each probe.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use nix::errno::Errno;

use super::filter::{Asked, COMMON};
use super::is_congestion;
use super::segment::{Answer, Says, Syn};
use crate::Time;

/// Until a SYN is repeated, and then twice as long each time (RFC 6298 §2, §5.5), as the kernel does.
const REPEAT: Duration = Duration::from_secs(1);
/// Until one is sent for which this box had no room.
const CONGESTED: Duration = Duration::from_millis(10);

/// How a probe has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was answered, after this time.
    Open(Duration),
    Refused,
    /// As connect(2) would fail.
    Failed(i32),
    /// Nothing has come within the timeout.
    Silent {
        timeout_s: u16,
    },
}

#[derive(Debug)]
struct Flight {
    number: u64,
    syn: Syn,
    began: Time,
    deadline: Time,
    timeout_s: u16,
    /// When it is repeated or given up.
    at: Time,
    wait: Duration,
}

/// All that are under way.
#[derive(Debug)]
pub(super) struct Flights {
    /// Our ports. A server is asked from each in turn, so that nobody on the way, who remembers the last connection, takes this one for it.
    ports: Range<u16>,
    /// How sequence numbers begin.
    common: u32,
    secret: RandomState,
    drawn: u64,
    /// By the sequence number of its SYN.
    flights: BTreeMap<u32, Flight>,
    /// Both ends of those under way: no second one between the same.
    busy: BTreeSet<(SocketAddr, u16)>,
    timers: BTreeSet<(Time, u32)>,
}

impl Flights {
    pub(super) fn new(Asked { ports, common }: Asked) -> Self {
        Self {
            ports,
            common,
            secret: RandomState::new(),
            drawn: 0,
            flights: BTreeMap::new(),
            busy: BTreeSet::new(),
            timers: BTreeSet::new(),
        }
    }

    /// Begins probe `number`, from the `turn`-th port if that is free; `None` when every port has one to that server already.
    pub(super) fn begin(
        &mut self,
        number: u64,
        (source, server): (IpAddr, SocketAddr),
        turn: u16,
        timeout_s: u16,
        now: Time,
    ) -> Option<Syn> {
        let count = self.ports.end - self.ports.start;
        let mut ports = (0..count).map(|step| self.ports.start + (turn % count + step) % count);
        let port = ports.find(|port| self.busy.insert((server, *port)))?;
        let isn = self.draw();
        let syn = Syn { source, port, server, isn };
        let deadline = now + Duration::from_secs(u64::from(timeout_s));
        let at = deadline.min(now + REPEAT);
        self.timers.insert((at, isn));
        self.flights.insert(isn, Flight { number, syn, began: now, deadline, timeout_s, at, wait: REPEAT });
        Some(syn)
    }

    /// A port to begin with, counted from the first.
    pub(super) fn turn(&mut self) -> u16 {
        self.drawn += 1;
        let [a, b, ..] = self.secret.hash_one(self.drawn).to_be_bytes();
        u16::from_be_bytes([a, b])
    }

    /// A number that no flight has and nobody can guess. What acknowledges it begins with the same bits.
    fn draw(&mut self) -> u32 {
        loop {
            self.drawn += 1;
            let [a, b, c, d, ..] = self.secret.hash_one(self.drawn).to_be_bytes();
            let isn = self.common | u32::from_be_bytes([a, b, c, d]) & !COMMON;
            if isn & !COMMON != !COMMON && !self.flights.contains_key(&isn) {
                return isn;
            }
        }
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    /// The addresses of ours from which they have gone.
    pub(super) fn sources(&self) -> BTreeSet<IpAddr> {
        self.flights.values().map(|flight| flight.syn.source).collect()
    }

    /// The SYNs that have gone from one of these addresses.
    pub(super) fn from(&self, sources: &BTreeSet<IpAddr>) -> Vec<Syn> {
        self.flights.values().map(|flight| flight.syn).filter(|syn| sources.contains(&syn.source)).collect()
    }

    /// Nobody waits any more for the outcomes of these probes.
    pub(super) fn cancel(&mut self, numbers: &BTreeSet<u64>) {
        let of = self.flights.iter().filter(|(_, flight)| numbers.contains(&flight.number));
        for isn in of.map(|(isn, _)| *isn).collect::<Vec<_>>() {
            self.take(isn);
        }
    }

    /// Goes on with the same probes from other ports, each as if it began now. The SYNs to be sent.
    pub(super) fn move_to(&mut self, asked: Asked, now: Time) -> Vec<Syn> {
        let before = std::mem::replace(self, Self::new(asked)).flights.into_values();
        let again = |flight: Flight| {
            let Syn { source, server, .. } = flight.syn;
            let turn = self.turn();
            self.begin(flight.number, (source, server), turn, flight.timeout_s, now)
        };
        before.filter_map(again).collect()
    }

    /// When something is to be repeated or given up.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// One that has run out of time, or a SYN to be sent again.
    pub(super) fn poll_due(&mut self, now: Time) -> Option<Result<Syn, (u64, End)>> {
        let &(at, isn) = self.timers.first().filter(|(at, _)| *at <= now)?;
        let flight = self.flights.get_mut(&isn)?;
        if flight.deadline <= now {
            let timeout_s = flight.timeout_s;
            return self.take(isn).map(|flight| Err((flight.number, End::Silent { timeout_s })));
        }
        flight.wait *= 2;
        flight.at = flight.deadline.min(now + flight.wait);
        let (next, syn) = (flight.at, flight.syn);
        self.timers.remove(&(at, isn));
        self.timers.insert((next, isn));
        Some(Ok(syn))
    }

    /// Something has come back.
    pub(super) fn handle_answer(&mut self, answer: &Answer, now: Time) -> Option<(u64, End)> {
        let Syn { server, port, .. } = self.flights.get(&answer.isn)?.syn;
        if (server, port) != (answer.server, answer.port) {
            return None;
        }
        let flight = self.take(answer.isn)?;
        let end = match answer.says {
            Says::Open => End::Open(now.saturating_sub(flight.began)),
            Says::Refused => End::Refused,
            Says::Unreachable(error) => End::Failed(error),
        };
        Some((flight.number, end))
    }

    /// It did not leave this box, for this reason.
    pub(super) fn handle_unsent(&mut self, syn: &Syn, error: Errno, now: Time) -> Option<(u64, End)> {
        match error {
            error if is_congestion(error) => self.handle_congestion(syn, now),
            // Netfilter has dropped it, as it does while its table of connections is full. To a connection that is a loss like any other.
            Errno::EPERM => {}
            error => return self.handle_error(syn, error as i32),
        }
        None
    }

    /// It could not be sent. Of one that is sent again that is a loss: it has its time.
    fn handle_error(&mut self, syn: &Syn, error: i32) -> Option<(u64, End)> {
        if self.flights.get(&syn.isn)?.wait > REPEAT {
            return None;
        }
        self.take(syn.isn).map(|flight| (flight.number, End::Failed(error)))
    }

    /// It was not sent, because this box had no room for it: it is, soon.
    fn handle_congestion(&mut self, syn: &Syn, now: Time) {
        let Some(flight) = self.flights.get_mut(&syn.isn) else { return };
        self.timers.remove(&(flight.at, syn.isn));
        flight.at = flight.deadline.min(now + CONGESTED);
        // As if it had just begun.
        flight.wait = REPEAT / 2;
        self.timers.insert((flight.at, syn.isn));
    }

    /// It is to go from another address of ours.
    pub(super) fn handle_source(&mut self, syn: &Syn, source: IpAddr) -> Option<Syn> {
        let flight = self.flights.get_mut(&syn.isn)?;
        flight.syn.source = source;
        Some(flight.syn)
    }

    /// There is no address of ours any more from which it can be asked.
    pub(super) fn handle_unreachable(&mut self, syn: &Syn, error: Errno) -> Option<(u64, End)> {
        self.take(syn.isn).map(|flight| (flight.number, End::Failed(error as i32)))
    }

    fn take(&mut self, isn: u32) -> Option<Flight> {
        let flight = self.flights.remove(&isn)?;
        self.timers.remove(&(flight.at, isn));
        self.busy.remove(&(flight.syn.server, flight.syn.port));
        Some(flight)
    }
}

#[cfg(test)]
mod tests;
