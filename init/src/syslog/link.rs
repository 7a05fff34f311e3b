//! The way to one receiver: datagrams (RFC 5426), or a connection that is made anew when it breaks (RFC 6587).

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::message::frame;

/// How long a connection may take to come about, or to take a message.
const LIMIT: Duration = Duration::from_secs(10);

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
}

#[derive(Debug)]
enum Open {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Link {
    pub(super) fn new(to: SocketAddr, transport: Transport) -> Self {
        Self { to, transport, open: None }
    }

    /// Sends a message. After an error it may be sent again: nothing of it counts for the receiver.
    ///
    /// # Errors
    /// What keeps the message from getting there, as far as the kernel knows.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = self.try_send(message);
        if sent.is_err() {
            self.open = None;
        }
        sent
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        match self.open.insert(open) {
            Open::Udp(socket) => socket.send(message).map(drop),
            Open::Tcp(stream) => {
                // A receiver that went away has left word, which a write alone would not see until the one after it.
                still_there(stream)?;
                stream.write_all(&frame(message))
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
                Open::Tcp(stream)
            }
        })
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
        let mut link = Link::new(to, Transport::Tcp);
        assert_eq!(link.send(b"one").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
