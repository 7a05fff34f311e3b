//! The netlink socket, and the trait that lets a test stand in for it.
//!
//! Datagrams in, datagrams out: what they mean, and what to do when one is missing, is [`crate::client`]'s business.

use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket as Netlink, SocketAddr};
use socket2::SockRef;

/// How long to wait for a datagram. The kernel answers a request before the send returns, so one that is not there by then was lost; the second
/// is for a machine that is starved of memory or time.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of answers that may queue (the kernel doubles it, and caps it at `net.core.rmem_max`). A full batch of refusals needs under 200 KiB.
const RECEIVE_BUFFER: i32 = 1 << 20;

/// A way to the kernel.
pub trait Transport {
    /// Sends one datagram of one or more messages.
    ///
    /// # Errors
    /// What the system call says; `Interrupted` is the caller's to repeat.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Waits a bounded time for a datagram and puts as much of it as fits into `buffer`. Returns its true length.
    ///
    /// # Errors
    /// What the system call says: `WouldBlock` when none came, `ENOBUFS` when some were dropped because the queue was full.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Forgets everything in flight, so that no late answer is taken for another's.
    ///
    /// # Errors
    /// When that cannot be done.
    fn reopen(&mut self) -> io::Result<()>;
}

/// A generic netlink socket that talks to the kernel alone.
#[derive(Debug)]
pub struct Socket(Netlink);

impl Socket {
    /// Opens one in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn open() -> io::Result<Self> {
        let mut socket = Netlink::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        // Connected, a netlink socket takes nothing from another process.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_rx_buf_sz(RECEIVE_BUFFER)?;
        // Refusals without a copy of the request: a batch of them fits the queue.
        socket.set_cap_ack(true)?;
        SockRef::from(&socket).set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        Ok(Self(socket))
    }
}

impl Transport for Socket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let sent = self.0.send(datagram, 0)?;
        if sent == datagram.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut room = buffer;
        self.0.recv(&mut room, libc::MSG_TRUNC)
    }

    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open()?;
        Ok(())
    }
}
