//! One question and its answer, asked again when the answer is lost.

use std::io;

use netlink_packet_core::NLM_F_ACK;

use super::Client;
use crate::socket::Transport;
use crate::wire::{self, Body, Envelope, Message, ParseError, Request, messages};
use crate::{Error, Netmask, Refusal, ReplyError};

/// How often a question is asked in all, when its answers are lost.
const ATTEMPTS: u32 = 3;

/// Why an exchange gave nothing.
pub(super) enum Failure {
    /// The kernel's errno.
    Refused(i32),
    Socket(io::Error),
    Reply(ReplyError),
}

impl Failure {
    /// Whether to ask again. A lie is not: who lies once is not to be believed the second time.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, Self::Reply(ReplyError::Lost | ReplyError::Interrupted))
    }

    pub(super) fn about(self, request: &Request) -> Error {
        let request = Box::new(*request);
        match self {
            Self::Refused(errno) => Error::Refused { refusal: Refusal::new(&request, errno), request },
            Self::Socket(source) => Error::Socket { request, source },
            Self::Reply(source) => Error::Reply { request, source },
        }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::Reply(error.into())
    }
}

/// What a request is answered with when it succeeds. Data is of a family and a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Acknowledgement,
    One(u16, u8),
    List(u16, u8),
}

/// What an answer's message is to who reads it.
enum Step<'a> {
    /// Data, and more to come.
    Part(&'a [u8]),
    /// Data, all of it.
    Whole(&'a [u8]),
    End,
    Skip,
}

impl<T: Transport> Client<T> {
    /// Asks for something to be done.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn request(&mut self, request: &Request) -> Result<(), Error> {
        self.ask(request, |_| Ok(())).map(|_| ())
    }

    /// Asks, and reads each message of the answer.
    pub(super) fn ask<V>(
        &mut self,
        request: &Request,
        parse: impl Fn(&[u8]) -> Result<V, ParseError>,
    ) -> Result<Vec<V>, Error> {
        check(request)?;
        self.attempts(1, request, parse)
    }

    /// Asks for something to be done that may have been done already, its answer lost.
    pub(super) fn request_again(&mut self, request: &Request) -> Result<(), Error> {
        self.attempts(2, request, |_| Ok(())).map(|_| ())
    }

    fn attempts<V>(
        &mut self,
        first: u32,
        request: &Request,
        parse: impl Fn(&[u8]) -> Result<V, ParseError>,
    ) -> Result<Vec<V>, Error> {
        let mut attempt = first;
        loop {
            match self.exchange(request, &parse) {
                Ok(values) => return Ok(values),
                Err(Failure::Refused(errno)) if attempt > 1 && was_done(request, errno) => return Ok(Vec::new()),
                Err(failure) if failure.is_loss() && attempt < ATTEMPTS => attempt += 1,
                Err(failure) => return Err(failure.about(request)),
            }
        }
    }

    fn exchange<V>(
        &mut self,
        request: &Request,
        parse: impl Fn(&[u8]) -> Result<V, ParseError>,
    ) -> Result<Vec<V>, Failure> {
        self.begin()?;
        let sequence = self.next_sequence();
        let expected = match request.reply_command() {
            None => Expected::Acknowledgement,
            Some(command) if request.is_dump() => Expected::List(self.family, command),
            Some(command) => Expected::One(self.family, command),
        };
        // Data is its own acknowledgement.
        let flags = if expected == Expected::Acknowledgement { NLM_F_ACK } else { 0 };
        request.emit(Envelope { family: self.family, flags, sequence }, &mut self.out);
        self.finish(sequence, expected, parse)
    }

    /// Asks the kernel for the family's number.
    pub(super) fn resolve_family(&mut self) -> Result<u16, Failure> {
        let (family, command) = wire::FAMILY_REPLY;
        let mut attempt = 1;
        loop {
            self.begin()?;
            let sequence = self.next_sequence();
            wire::resolve_family(sequence, &mut self.out);
            match self.finish(sequence, Expected::One(family, command), wire::family_id) {
                Ok(ids) => return ids.first().copied().ok_or(Failure::Reply(ReplyError::Empty)),
                Err(failure) if failure.is_loss() && attempt < ATTEMPTS => attempt += 1,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Empties what is to be sent, and leaves behind what an exchange that ended early may still have coming.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        self.out.clear();
        if self.stale {
            self.transport.reopen().map_err(Failure::Socket)?;
        }
        self.stale = true;
        Ok(())
    }

    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn finish<V>(
        &mut self,
        sequence: u32,
        expected: Expected,
        parse: impl Fn(&[u8]) -> Result<V, ParseError>,
    ) -> Result<Vec<V>, Failure> {
        self.send()?;
        let mut values = Vec::new();
        let mut interrupted = false;
        loop {
            let length = self.receive()?;
            for message in messages(&self.room[..length]) {
                let message = message?;
                interrupted |= message.interrupted;
                match step(&message, sequence, expected) {
                    Ok(Step::Skip) => continue,
                    Ok(Step::Part(attributes)) => {
                        values.push(parse(attributes)?);
                        continue;
                    }
                    Ok(Step::Whole(attributes)) => values.push(parse(attributes)?),
                    Ok(Step::End) => {}
                    Err(failure) => {
                        // A refusal is an answer like any other: nothing comes after it.
                        self.stale = !matches!(failure, Failure::Refused(_));
                        return Err(failure);
                    }
                }
                self.stale = false;
                return if interrupted { Err(Failure::Reply(ReplyError::Interrupted)) } else { Ok(values) };
            }
        }
    }

    /// Sends what was put together.
    pub(super) fn send(&mut self) -> Result<(), Failure> {
        log::trace!("to the kernel: {:02x?}", self.out);
        loop {
            match self.transport.send(&self.out) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Socket(error)),
            }
        }
    }

    /// Receives a datagram into `room` and returns its length.
    pub(super) fn receive(&mut self) -> Result<usize, Failure> {
        loop {
            match self.transport.receive(&mut self.room) {
                Ok(length) => {
                    let room = self.room.len();
                    if length > room {
                        return Err(Failure::Reply(ReplyError::Truncated { length, room }));
                    }
                    log::trace!("from the kernel: {:02x?}", &self.room[..length]);
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_loss(&error) => return Err(Failure::Reply(ReplyError::Lost)),
                Err(error) => return Err(Failure::Socket(error)),
            }
        }
    }
}

/// No datagram in time, or some dropped because the queue was full.
fn is_loss(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

fn step<'a>(message: &Message<'a>, sequence: u32, expected: Expected) -> Result<Step<'a>, Failure> {
    if message.sequence != sequence {
        return Err(Failure::Reply(ReplyError::Sequence { expected: sequence, found: message.sequence }));
    }
    match (message.body, expected) {
        (Body::Acknowledgement { errno: 0 }, Expected::Acknowledgement | Expected::One(..)) => Ok(Step::End),
        (Body::Done { errno: 0 }, Expected::List(..)) => Ok(Step::End),
        (Body::Acknowledgement { errno: 0 }, Expected::List(..)) => Err(Failure::Reply(ReplyError::Unexpected(2))),
        (Body::Done { errno: 0 }, _) => Err(Failure::Reply(ReplyError::Unexpected(3))),
        (Body::Acknowledgement { errno } | Body::Done { errno }, _) => Err(Failure::Refused(errno)),
        (Body::Noop, _) => Ok(Step::Skip),
        (Body::Overrun, _) => Err(Failure::Reply(ReplyError::Lost)),
        (Body::Family { id, command, attributes }, Expected::One(family, wanted))
            if (id, command) == (family, wanted) =>
        {
            Ok(Step::Whole(attributes))
        }
        (Body::Family { id, command, attributes }, Expected::List(family, wanted))
            if (id, command) == (family, wanted) =>
        {
            Ok(Step::Part(attributes))
        }
        (Body::Family { id, .. }, _) => Err(Failure::Reply(ReplyError::Unexpected(id))),
    }
}

/// Whether the refusal of a repeated request says that the first had worked.
fn was_done(request: &Request, errno: i32) -> bool {
    match request {
        Request::NewService(..) | Request::NewDestination(..) | Request::NewDaemon(_) => errno == libc::EEXIST,
        Request::DelService(_) | Request::DelDaemon(_) => errno == libc::ESRCH,
        Request::DelDestination(..) => errno == libc::ENOENT,
        Request::SetService(..)
        | Request::SetDestination(..)
        | Request::GetService(_)
        | Request::DumpServices
        | Request::DumpDestinations(_)
        | Request::DumpDaemons
        | Request::SetTimeouts(_)
        | Request::GetTimeouts
        | Request::GetInfo
        | Request::Zero(_)
        | Request::Flush => false,
    }
}

/// Refuses what would reach the kernel as something else: it takes an IPv6 prefix length for an IPv4 mask without a word.
pub(super) fn check(request: &Request) -> Result<(), Error> {
    let (Request::NewService(key, service) | Request::SetService(key, service)) = request else { return Ok(()) };
    match service.persistence.map(|p| Netmask::family(p.netmask)) {
        Some(family) if family != key.family() => Err(Error::Netmask { request: Box::new(*request) }),
        Some(_) | None => Ok(()),
    }
}
