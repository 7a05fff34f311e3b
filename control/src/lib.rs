//! How the processes of one box talk: a unix socket, one JSON value a line, and the caller's identity from the kernel.
//!
//! A connection carries requests and their replies in order. What the values mean is decided by the room that answers
//! (`yoke_init::request`, `yoke_director::status`); this file knows no request. It does no event loop either: PID 1
//! polls [`Connection`] without blocking, the director wraps the socket in its runtime and uses [`Frames`] alone,
//! and a shell simply [`Client::call`]s.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message in bytes. A pasted configuration of 100,000 lines is 3 MB; a caller that sends more is broken.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Bytes asked from the socket at once.
const READ_BYTES: usize = 16 << 10;

/// Why a message could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed, or nobody listens on it.
    #[error("control socket: {0}")]
    Io(#[from] io::Error),
    /// The line is not the JSON value that was expected.
    #[error("control message: {0}")]
    Json(#[from] serde_json::Error),
    /// The other side sent more than [`MESSAGE_BYTES_MAX`] without a newline.
    #[error("control message: longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// The other side went away before it answered.
    #[error("control socket: closed before the reply")]
    Closed,
}

/// Who is on the other end, as the kernel saw it when the connection was made (`SO_PEERCRED`, unix(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Returns the identity of the process that connected `socket`.
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer(socket: &impl AsFd) -> io::Result<Peer> {
    let cred = getsockopt(socket, PeerCredentials)?;
    Ok(Peer { pid: cred.pid(), uid: cred.uid(), gid: cred.gid() })
}

/// Cuts a stream of bytes into JSON values, one a line. Pure.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Bytes known to hold no newline, so that a long message is not searched again with every read.
    searched: usize,
}

impl Frames {
    /// Adds what was read from the socket.
    ///
    /// # Errors
    /// [`Error::TooLong`] once an unfinished message exceeds [`MESSAGE_BYTES_MAX`]; the connection is of no use then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > MESSAGE_BYTES_MAX && !self.bytes[..MESSAGE_BYTES_MAX].contains(&b'\n') {
            return Err(Error::TooLong);
        }
        Ok(())
    }

    /// Bytes that were added and not taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the next complete value, or `None` when the line is not finished yet.
    ///
    /// # Errors
    /// [`Error::Json`] when the line is not a `T`; the line is consumed, the next can be taken.
    pub fn pop<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let Some(at) = self.bytes[self.searched..].iter().position(|&b| b == b'\n') else {
            self.searched = self.bytes.len();
            return Ok(None);
        };
        let end = self.searched + at;
        let value = serde_json::from_slice(&self.bytes[..end]);
        self.bytes.drain(..=end);
        self.searched = 0;
        Ok(Some(value?))
    }
}

/// Renders `value` as one line, newline included.
///
/// # Errors
/// [`Error::Json`] for a value that JSON cannot hold (a map with keys that are no strings).
pub fn emit<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// A listening control socket.
#[derive(Debug)]
pub struct Server(UnixListener);

impl Server {
    /// Binds `path` with the permission bits `mode`, replacing the socket of an earlier run.
    ///
    /// # Errors
    /// Those of bind(2) and chmod(2).
    pub fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(Self(listener))
    }

    /// Makes [`Server::accept`] return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.0.set_nonblocking(true)
    }

    /// Takes the next caller. The connection is in blocking mode.
    ///
    /// # Errors
    /// Those of accept(2), and `WouldBlock` in non-blocking mode.
    pub fn accept(&self) -> io::Result<(Connection, Peer)> {
        let (stream, _) = self.0.accept()?;
        let peer = peer(&stream)?;
        Ok((Connection::new(stream), peer))
    }

    /// Hands the listener to a runtime.
    #[must_use]
    pub fn into_std(self) -> UnixListener {
        self.0
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    frames: Frames,
}

impl Connection {
    /// Wraps a connected socket.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, frames: Frames::default() }
    }

    /// Makes [`Connection::recv`] and [`Connection::send`] return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// Bounds how long [`Connection::recv`] waits; `None` waits for ever.
    ///
    /// # Errors
    /// Those of setsockopt(2); `InvalidInput` for a zero duration.
    pub fn set_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(limit)
    }

    /// Reads the next value; `None` when the other side has closed between two values.
    ///
    /// # Errors
    /// [`Error::Closed`] when it closed in the middle of one, [`Error::Io`] with `WouldBlock` in non-blocking mode
    /// or after the timeout, [`Error::Json`] when the line is not a `T`.
    pub fn recv<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(value) = self.frames.pop()? {
                return Ok(Some(value));
            }
            let mut chunk = [0; READ_BYTES];
            match self.stream.read(&mut chunk) {
                Ok(0) if self.frames.bytes.is_empty() => return Ok(None),
                Ok(0) => return Err(Error::Closed),
                Ok(n) => self.frames.push(&chunk[..n])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Sends one value.
    ///
    /// # Errors
    /// Those of write(2). In non-blocking mode a message that does not fit the socket's buffer is an error: the
    /// caller drops the connection, since half a line has been sent.
    pub fn send<T: Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.stream.write_all(&emit(value)?)?;
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl From<Connection> for OwnedFd {
    fn from(connection: Connection) -> Self {
        connection.stream.into()
    }
}

/// The calling side: one request, one reply, as often as wanted over the same connection.
#[derive(Debug)]
pub struct Client(Connection);

impl Client {
    /// Connects to the server at `path`.
    ///
    /// # Errors
    /// Those of connect(2): `NotFound` and `ConnectionRefused` mean that the daemon is not running.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Ok(Self(Connection::new(UnixStream::connect(path)?)))
    }

    /// Bounds how long [`Client::call`] waits for its reply.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_timeout(&self, limit: Option<Duration>) -> Result<(), Error> {
        Ok(self.0.set_timeout(limit)?)
    }

    /// Sends `request` and waits for its reply.
    ///
    /// # Errors
    /// [`Error::Closed`] when the daemon goes away before it answers: whether the request took effect is not known.
    pub fn call<Q: Serialize, R: DeserializeOwned>(&mut self, request: &Q) -> Result<R, Error> {
        self.0.send(request)?;
        self.next_reply()
    }

    /// Waits for a further reply to the last request, for requests that answer in several parts.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn next_reply<R: DeserializeOwned>(&mut self) -> Result<R, Error> {
        self.0.recv()?.ok_or(Error::Closed)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cut_at_newlines_wherever_the_reads_fall() {
        let bytes = [emit(&"one").unwrap(), emit(&vec![1, 2]).unwrap()].concat();
        for cut in 0..bytes.len() {
            let mut frames = Frames::default();
            frames.push(&bytes[..cut]).unwrap();
            let early: Option<String> = frames.pop().unwrap();
            frames.push(&bytes[cut..]).unwrap();
            let first = early.or_else(|| frames.pop().unwrap());
            assert_eq!(first.as_deref(), Some("one"));
            assert_eq!(frames.pop::<Vec<u8>>().unwrap(), Some(vec![1, 2]));
            assert_eq!(frames.pop::<Vec<u8>>().unwrap(), None);
        }
    }

    #[test]
    fn a_wrong_line_is_consumed_and_the_next_one_read() {
        let mut frames = Frames::default();
        frames.push(b"{nonsense\n7\n").unwrap();
        assert!(matches!(frames.pop::<u32>(), Err(Error::Json(_))));
        assert_eq!(frames.pop::<u32>().unwrap(), Some(7));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut frames = Frames::default();
        frames.push(&vec![b'x'; MESSAGE_BYTES_MAX]).unwrap();
        assert!(matches!(frames.push(b"x"), Err(Error::TooLong)));
    }

    #[test]
    fn a_call_is_answered_and_the_caller_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let server = Server::bind(&path, 0o600).unwrap();
        let answer = std::thread::spawn(move || {
            let (mut conn, peer) = server.accept().unwrap();
            let n: u32 = conn.recv().unwrap().unwrap();
            conn.send(&(n + 1)).unwrap();
            assert_eq!(conn.recv::<u32>().unwrap(), None);
            peer
        });
        let mut client = Client::connect(&path).unwrap();
        assert_eq!(client.call::<_, u32>(&41).unwrap(), 42);
        drop(client);
        let peer = answer.join().unwrap();
        assert_eq!(peer.pid.cast_unsigned(), std::process::id());
        assert_eq!(peer.uid, nix::unistd::Uid::effective().as_raw());
    }

    #[test]
    fn a_daemon_that_dies_is_not_an_empty_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let server = Server::bind(&path, 0o600).unwrap();
        let dying = std::thread::spawn(move || {
            let (mut conn, _) = server.accept().unwrap();
            let _: Option<u32> = conn.recv().unwrap();
        });
        let mut client = Client::connect(&path).unwrap();
        assert!(matches!(client.call::<_, u32>(&1), Err(Error::Closed)));
        dying.join().unwrap();
    }
}
