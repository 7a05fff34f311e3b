//! The way to one receiver: datagrams (RFC 5426), or a connection that is made anew when it breaks (RFC 6587).
//!
//! Syslog has no answers. What is known is what the kernels say: that a datagram was refused, after the next was sent; that the bytes of a
//! connection were acknowledged, which is not to say that a program has read them. What was not when a connection broke counts as lost.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::message::frame;
use crate::sys;

/// How long a connection may take to come about, or to take a message.
const LIMIT: Duration = Duration::from_secs(10);

/// How long what was written may stay without an acknowledgement: a receiver whose power failed closes nothing.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Seconds of silence after which it is asked whether it is there, and between questions, of which three may stay unanswered.
const IDLE: u32 = 30;
const ASK: u32 = 10;
const QUESTIONS: u32 = 3;

/// How it gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// A datagram for each message.
    Udp,
    /// One connection, octet counting.
    Tcp,
}

/// One receiver.
#[derive(Debug)]
pub(super) struct Link {
    to: SocketAddr,
    transport: Transport,
    open: Option<Open>,
    /// Messages that were taken and did not get there, as far as is known, since the last [`Link::take_lost`].
    lost: u64,
}

#[derive(Debug)]
enum Open {
    Udp(UdpSocket),
    /// And the bytes of each message that is not known to be acknowledged, oldest first.
    Tcp(TcpStream, VecDeque<usize>),
}

impl Link {
    pub(super) fn new(to: SocketAddr, transport: Transport) -> Self {
        Self { to, transport, open: None, lost: 0 }
    }

    /// Sends a message. After an error it may be sent again: nothing of it counts for the receiver.
    ///
    /// # Errors
    /// What keeps the message from getting there, as far as the kernel knows.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = self.try_send(message);
        if sent.is_err() {
            // A refusal is about the datagram before this one.
            self.lost += match self.open.take() {
                Some(Open::Tcp(_, pending)) => pending.len() as u64,
                Some(Open::Udp(_)) => 1,
                None => 0,
            };
        }
        sent
    }

    /// How many messages that were taken are lost, or may be.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Whether a message that was taken says that the receiver is there; a datagram says nothing before the next.
    pub(super) fn is_proof(&self) -> bool {
        self.transport == Transport::Tcp
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        match self.open.insert(open) {
            Open::Udp(socket) => socket.send(message).map(drop),
            Open::Tcp(stream, pending) => {
                // A receiver that went away has left word, which a write alone would not see until the one after it.
                let there = still_there(stream);
                let reset = matches!(&there, Err(error) if error.kind() != io::ErrorKind::ConnectionAborted);
                // After a reset nothing is left to be acknowledged: what was known before counts.
                if !reset {
                    forget_acknowledged(pending, sys::unacknowledged(&*stream)?);
                }
                there?;
                let frame = frame(message);
                stream.write_all(&frame)?;
                pending.push_back(frame.len());
                Ok(())
            }
        }
    }

    fn connect(&self) -> io::Result<Open> {
        Ok(match self.transport {
            Transport::Udp => {
                let any: IpAddr =
                    if self.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind((any, 0))?;
                // Connected, so that a refusal is heard.
                socket.connect(self.to)?;
                Open::Udp(socket)
            }
            Transport::Tcp => {
                let stream = TcpStream::connect_timeout(&self.to, LIMIT)?;
                stream.set_write_timeout(Some(LIMIT))?;
                let limit = u32::try_from(UNACKNOWLEDGED.as_millis()).expect("seconds");
                setsockopt(&stream, sockopt::TcpUserTimeout, &limit)?;
                setsockopt(&stream, sockopt::KeepAlive, &true)?;
                setsockopt(&stream, sockopt::TcpKeepIdle, &IDLE)?;
                setsockopt(&stream, sockopt::TcpKeepInterval, &ASK)?;
                setsockopt(&stream, sockopt::TcpKeepCount, &QUESTIONS)?;
                Open::Tcp(stream, VecDeque::new())
            }
        })
    }
}

/// Drops the messages of which nothing is among the last `open` bytes.
fn forget_acknowledged(pending: &mut VecDeque<usize>, open: usize) {
    let mut all: usize = pending.iter().sum();
    while let Some(first) = pending.front().copied()
        && all - first >= open
    {
        all -= first;
        pending.pop_front();
    }
}

/// # Errors
/// When the receiver has closed the connection. What it says is passed over: syslog has no answers.
fn still_there(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut said = [0; 512];
    let there = match stream.read(&mut said) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the receiver has closed the connection")),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    };
    stream.set_nonblocking(false)?;
    there
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.transport == Transport::Udp { "udp" } else { "tcp" };
        write!(f, "{} {transport} {}", self.to.ip(), self.to.port())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn local(to: io::Result<SocketAddr>) -> SocketAddr {
        to.unwrap()
    }

    #[test]
    fn a_connection_that_was_closed_is_made_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = Link::new(local(listener.local_addr()), Transport::Tcp);
        link.send(b"one").unwrap();
        let (mut first, _) = listener.accept().unwrap();
        let mut bytes = [0; 5];
        first.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"3 one");
        drop(first);
        assert!(link.send(b"two").is_err(), "sent to nobody");
        assert_eq!(link.take_lost(), 0, "what was acknowledged is not lost");
        link.send(b"two").unwrap();
        let (mut second, _) = listener.accept().unwrap();
        second.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"3 two");
    }

    #[test]
    fn a_refusal_is_heard() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = local(socket.local_addr());
        drop(socket);
        let mut link = Link::new(to, Transport::Udp);
        link.send(b"one").unwrap();
        assert_eq!(link.send(b"two").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!((link.take_lost(), link.take_lost()), (1, 0), "the first one");
        let mut link = Link::new(to, Transport::Tcp);
        assert_eq!(link.send(b"one").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn what_a_connection_that_was_reset_has_not_acknowledged_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = Link::new(local(listener.local_addr()), Transport::Tcp);
        link.send(b"one").unwrap();
        link.send(b"two").unwrap();
        let Some(Open::Tcp(stream, _)) = &link.open else { panic!("{link:?}") };
        assert_eq!(nix::sys::socket::getsockopt(stream, sockopt::TcpUserTimeout), Ok(30_000));
        // With something unread it does not close but resets.
        drop(listener.accept().unwrap());
        assert!(link.send(b"three").is_err());
        assert!((1..=2).contains(&link.take_lost()), "at least the last one");
    }

    #[test]
    fn a_message_is_acknowledged_as_a_whole_or_not() {
        let left = |open| {
            let mut pending = VecDeque::from([10, 20, 30]);
            forget_acknowledged(&mut pending, open);
            pending.len()
        };
        assert_eq!([60, 51, 50, 31, 30, 1, 0].map(left), [3, 3, 2, 2, 1, 1, 0]);
    }
}
