//! The receiving side of sd_notify(3): the socket, and who wrote to it.
//!
//! Only READY, WATCHDOG and STATUS mean something here; the rest of the protocol is passed over. No descriptors are taken.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt};

use crate::supervisor::Notice;

/// Where services find it.
pub const SOCKET: &str = "/run/yoke/notify";
/// Longest datagram: sd_notify(3) allows a page.
const DATAGRAM_BYTES: usize = 4096;
/// Longest status kept: one line of a table.
const STATUS_CHARS: usize = 200;

/// The notify socket.
#[derive(Debug)]
pub struct Socket(UnixDatagram);

impl Socket {
    /// Binds `path`. Everybody may write: the sender is known by what the kernel says of it.
    ///
    /// # Errors
    /// Those of bind(2), chmod(2) and setsockopt(2).
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let socket = UnixDatagram::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::PassCred, &true)?;
        Ok(Self(socket))
    }

    /// Takes the next datagram: the process that sent it, and what it said. `None` when there is none.
    #[must_use]
    pub fn receive(&self) -> Option<(i32, Vec<Notice>)> {
        let mut bytes = [0; DATAGRAM_BYTES];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        // Room for the sender's identity and nothing else: descriptors that somebody attaches are closed by the kernel.
        let mut control = nix::cmsg_space!(UnixCredentials);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
        let mut sender = 0;
        for item in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmCredentials(credentials) = item {
                sender = credentials.pid();
            }
        }
        let length = message.bytes;
        Some((sender, parse(&bytes[..length])))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads `KEY=VALUE` lines.
#[must_use]
pub fn parse(datagram: &[u8]) -> Vec<Notice> {
    String::from_utf8_lossy(datagram)
        .lines()
        .filter_map(|line| match line.split_once('=')? {
            ("READY", "1") => Some(Notice::Ready),
            ("WATCHDOG", "1") => Some(Notice::Alive),
            ("WATCHDOG", "trigger") => Some(Notice::Broken),
            ("STATUS", text) => {
                let text = text.replace(char::is_control, "?");
                Some(Notice::Status(text.chars().take(STATUS_CHARS).collect()))
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_something() {
        let text = b"READY=1\nSTATUS=3 virtual servers\x1b\nMAINPID=7\nWATCHDOG=1\nWATCHDOG=trigger\nREADY=0\nrubbish";
        assert_eq!(
            parse(text),
            [Notice::Ready, Notice::Status("3 virtual servers?".into()), Notice::Alive, Notice::Broken]
        );
        assert_eq!(parse(b"\xff=\xfe"), []);
    }

    #[test]
    fn the_sender_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(socket.receive(), None);
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"READY=1", &path).unwrap();
        client.send_to(&[b'x'; DATAGRAM_BYTES * 2], &path).unwrap();
        assert_eq!(socket.receive(), Some((std::process::id().cast_signed(), vec![Notice::Ready])));
        assert_eq!(socket.receive().map(|(_, notices)| notices), Some(vec![]), "too long is cut, not fatal");
    }
}
