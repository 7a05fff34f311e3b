//! A kernel made of a [`Table`]: it reads datagrams, does what they ask, queues answers as Linux does, and has faults when told to.
//!
//! What it holds and refuses is in [`state`]; here are datagrams and faults.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use ipvs::Table;
use ipvs::socket::Transport;
use ipvs::wire::{Envelope, Request};

mod state;
use state::State;

const FAMILY: u16 = 0x23;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP_INTR: u16 = 16;
/// `struct nlmsghdr`, and `struct genlmsghdr`.
const HEADER: usize = 16;

/// What goes wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is dropped, and the queue was full: the next receive says `ENOBUFS`.
    Overrun,
    /// It is dropped, and nobody says so.
    Lost,
    /// The receive is interrupted by a signal first.
    Signal,
    /// Its last bytes are missing.
    Cut,
    /// It is longer than any buffer.
    Huge,
    /// It carries another request's number.
    WrongSequence,
    /// It is of another family.
    WrongFamily,
    /// It says the table changed during the dump.
    Interrupted,
}

/// The kernel, and the socket to it.
#[derive(Default)]
pub(crate) struct Fake {
    /// What it holds.
    pub(crate) table: Table,
    /// Datagrams sent to it.
    pub(crate) sends: usize,
    /// Messages in them.
    pub(crate) messages: usize,
    /// Answers asked for.
    pub(crate) receives: usize,
    /// How often the socket was replaced.
    pub(crate) reopened: usize,
    /// Faults by the number of the answer they befall, counted from 0 after the family is resolved.
    pub(crate) faults: BTreeMap<usize, Fault>,
    /// Services that vanish after they were listed.
    pub(crate) vanish_after_list: bool,
    /// The module is not there.
    pub(crate) absent: bool,
    state: State,
    answers: usize,
    queue: VecDeque<Queued>,
}

enum Queued {
    Datagram(Vec<u8>),
    Error(i32),
    /// Longer than it is.
    Huge(Vec<u8>),
}

impl Fake {
    /// With that table.
    pub(crate) fn with(table: Table) -> Self {
        Self { table, ..Self::default() }
    }

    /// With those faults.
    pub(crate) fn faulty(table: Table, faults: &[(usize, Fault)]) -> Self {
        Self { table, faults: faults.iter().copied().collect(), ..Self::default() }
    }

    fn handle(&mut self, message: &[u8]) {
        self.messages += 1;
        if message[4..6] == 16u16.to_ne_bytes() {
            return self.resolve(message);
        }
        let (envelope, request) = Request::parse(message).expect("the client writes what it can read");
        assert_eq!(envelope.family, FAMILY);
        if request.is_dump() {
            return self.dump(envelope, &request);
        }
        if let Request::GetService(key) = request {
            let Some(entry) = self.table.services.get(&key) else { return self.acknowledge(envelope, libc::ESRCH) };
            let service = entry.service;
            return self.answer(data(envelope, &Request::NewService(key, service)));
        }
        let single = match request {
            Request::GetTimeouts => Some(data(envelope, &Request::SetTimeouts(self.state.timeouts))),
            Request::GetInfo => Some(info(envelope)),
            _ => None,
        };
        if let Some(answer) = single {
            return self.answer(answer);
        }
        let errno = self.state.change(&mut self.table, &request).err().unwrap_or(0);
        if errno != 0 || envelope.flags & NLM_F_ACK != 0 {
            self.acknowledge(envelope, errno);
        }
    }

    fn resolve(&mut self, message: &[u8]) {
        let sequence = u32::from_ne_bytes(message[8..12].try_into().unwrap());
        let envelope = Envelope { family: 16, flags: 0, sequence };
        if self.absent {
            return self.queue.push_back(Queued::Datagram(acknowledgement(envelope, libc::ENOENT)));
        }
        // An attribute no client knows, then the family's number.
        let attributes = [8, 0, 99, 0, 1, 2, 3, 4, 6, 0, 1, 0, 0x23, 0, 0, 0];
        let answer = framed(16, 0, sequence, &[&[1, 2, 0, 0], &attributes[..]].concat());
        self.queue.push_back(Queued::Datagram(answer));
    }

    fn dump(&mut self, envelope: Envelope, request: &Request) {
        let listed: Vec<Vec<u8>> = match request {
            Request::DumpServices => {
                let services = self.table.services.iter();
                services.map(|(key, e)| data(envelope, &Request::NewService(*key, e.service))).collect()
            }
            // Of a service that is not there: an empty list and no error, as Linux.
            Request::DumpDestinations(of) => {
                let entry = self.table.services.get(of);
                let destinations = entry.into_iter().flat_map(|entry| entry.destinations.iter());
                destinations.map(|(key, d)| data(envelope, &Request::NewDestination(*of, *key, *d))).collect()
            }
            Request::DumpDaemons => {
                self.state.daemons.iter().map(|daemon| data(envelope, &Request::NewDaemon(*daemon))).collect()
            }
            _ => Vec::new(),
        };
        for datagram in listed.chunks(3) {
            self.answer(datagram.concat());
        }
        self.answer(framed(3, 2, envelope.sequence, &0i32.to_ne_bytes()));
        if self.vanish_after_list && matches!(request, Request::DumpServices) {
            self.table = Table::default();
        }
    }

    fn acknowledge(&mut self, envelope: Envelope, errno: i32) {
        self.answer(acknowledgement(envelope, errno));
    }

    fn answer(&mut self, mut datagram: Vec<u8>) {
        let fault = self.faults.get(&self.answers).copied();
        self.answers += 1;
        match fault {
            None => {}
            Some(Fault::Overrun) => return self.queue.push_back(Queued::Error(libc::ENOBUFS)),
            Some(Fault::Lost) => return,
            Some(Fault::Signal) => self.queue.push_back(Queued::Error(libc::EINTR)),
            Some(Fault::Cut) => datagram.truncate(datagram.len() - 6),
            Some(Fault::Huge) => return self.queue.push_back(Queued::Huge(datagram)),
            Some(Fault::WrongSequence) => datagram[8] ^= 0x80,
            Some(Fault::WrongFamily) => datagram[4] = 0x77,
            Some(Fault::Interrupted) => datagram[6] |= u8::try_from(NLM_F_DUMP_INTR).unwrap(),
        }
        self.queue.push_back(Queued::Datagram(datagram));
    }
}

/// A message of the family's data: Linux answers GET with the very message that NEW is.
fn data(envelope: Envelope, as_new: &Request) -> Vec<u8> {
    let mut out = Vec::new();
    as_new.emit(Envelope { flags: 2, ..envelope }, &mut out);
    out
}

/// Version 1.2.1, 4096 buckets: the one answer no request looks like.
fn info(envelope: Envelope) -> Vec<u8> {
    let attributes = [8, 0, 1, 0, 1, 2, 1, 0, 8, 0, 2, 0, 0, 16, 0, 0];
    framed(FAMILY, 0, envelope.sequence, &[&[14, 1, 0, 0], &attributes[..]].concat())
}

fn acknowledgement(envelope: Envelope, errno: i32) -> Vec<u8> {
    // The header of the request follows, which no client looks at.
    framed(2, 0x100, envelope.sequence, &[&(-errno).to_ne_bytes()[..], &[0; HEADER]].concat())
}

fn framed(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + payload.len()).unwrap();
    let mut out = Vec::new();
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&1234u32.to_ne_bytes());
    out.extend_from_slice(payload);
    out
}

impl Transport for &mut Fake {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.sends += 1;
        let mut rest = datagram;
        while !rest.is_empty() {
            let length = usize::try_from(u32::from_ne_bytes(rest[..4].try_into().unwrap())).unwrap();
            let (message, next) = rest.split_at(length);
            assert_eq!(length % 4, 0, "messages are aligned");
            self.handle(message);
            rest = next;
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receives += 1;
        let (datagram, length) = match self.queue.pop_front() {
            None => return Err(io::ErrorKind::WouldBlock.into()),
            Some(Queued::Error(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Queued::Datagram(datagram)) => {
                let length = datagram.len();
                (datagram, length)
            }
            Some(Queued::Huge(datagram)) => (datagram, 1 << 20),
        };
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(length)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.reopened += 1;
        self.queue.clear();
        Ok(())
    }
}
