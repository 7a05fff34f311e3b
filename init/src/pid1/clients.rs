//! The callers on `/run/yoke/init.sock`: requests in, replies out, without ever waiting for one of them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, send};
use yoke_control::{Connection, Error, Server};

use crate::request::{Reply, Request};
use std::os::fd::AsRawFd as _;

/// Callers at a time. The director has a few requests under way at most; the rest are tools and tests.
const CLIENTS_MAX: usize = 16;

/// Who asked, for the reply.
pub(super) type ClientId = u64;

struct Client {
    id: ClientId,
    connection: Connection,
    /// What did not fit into the socket yet.
    out: Vec<u8>,
    /// Nothing more comes from it; it goes once it has its replies.
    finished: bool,
    /// Replies it still waits for.
    owed: usize,
    /// It follows the log, and may do nothing else from then on: senders are root until they are connected only.
    follows: bool,
}

/// The socket and the callers.
pub(super) struct Clients {
    server: Server,
    clients: Vec<Client>,
    next: ClientId,
}

impl Clients {
    /// # Errors
    /// Those of binding the socket.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let server = Server::bind(path, 0o600)?;
        server.set_nonblocking()?;
        Ok(Self { server, clients: Vec::new(), next: 0 })
    }

    /// The socket for new callers.
    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.server.as_fd()
    }

    /// Whether there is room for one more; those who come too many wait in the backlog.
    pub(super) fn listener_events(&self) -> PollFlags {
        if self.clients.len() < CLIENTS_MAX { PollFlags::POLLIN } else { PollFlags::empty() }
    }

    /// Callers to poll, with their index for [`Clients::serve`]. Not one that has said everything and waits for its answer: poll(2) tells of
    /// a peer that is gone whether it is asked to or not, at once and again.
    pub(super) fn pollable(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>, PollFlags)> {
        self.clients.iter().enumerate().filter_map(|(index, client)| {
            let mut events = PollFlags::empty();
            if !client.finished {
                events |= PollFlags::POLLIN;
            }
            if !client.out.is_empty() {
                events |= PollFlags::POLLOUT;
            }
            (!events.is_empty()).then_some((index, client.connection.as_fd(), events))
        })
    }

    /// Takes new callers. Only root may ask; the mode of the socket says so, and so does this.
    pub(super) fn accept(&mut self) {
        while self.clients.len() < CLIENTS_MAX
            && let Ok((connection, peer)) = self.server.accept()
        {
            if peer.uid != 0 || connection.set_nonblocking().is_err() {
                continue;
            }
            self.next += 1;
            self.clients.push(Client {
                id: self.next,
                connection,
                out: Vec::new(),
                finished: false,
                owed: 0,
                follows: false,
            });
        }
    }

    /// Reads and writes what one caller allows. Requests that make no sense are answered here.
    pub(super) fn serve(&mut self, index: usize) -> Vec<(ClientId, Request)> {
        let Some(client) = self.clients.get_mut(index) else { return Vec::new() };
        client.flush();
        let mut requests = Vec::new();
        while !client.finished {
            match client.connection.recv::<Request>() {
                Ok(Some(request)) => {
                    client.owed += 1;
                    client.follows |= matches!(request, Request::Follow { .. });
                    if client.follows && !matches!(request, Request::Follow { .. }) {
                        client
                            .reply(&Reply::Failed { why: "request: who follows the log does nothing else".to_owned() });
                    } else {
                        requests.push((client.id, request));
                    }
                }
                Ok(None) => client.finished = true,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(Error::Json(error)) => {
                    client.owed += 1;
                    client.reply(&Reply::Failed { why: format!("request: {error}") });
                }
                Err(Error::Io(_) | Error::TooLong | Error::Closed) => {
                    client.finished = true;
                    client.owed = 0;
                }
            }
        }
        requests
    }

    /// Whether a caller may still want its answer.
    pub(super) fn is_there(&self, id: ClientId) -> bool {
        self.clients.iter().any(|client| client.id == id && !client.finished)
    }

    /// Answers a caller, if it is still there.
    pub(super) fn reply(&mut self, id: ClientId, reply: &Reply) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            client.reply(reply);
        }
    }

    /// Forgets the callers that have said and heard everything. Indices change.
    pub(super) fn forget_finished(&mut self) {
        self.clients.retain(|client| !(client.finished && client.owed == 0 && client.out.is_empty()));
    }
}

impl Client {
    fn reply(&mut self, reply: &Reply) {
        self.owed = self.owed.saturating_sub(1);
        // A reply is plain data that JSON can hold; if it could not, closing is all that is left.
        match yoke_control::emit(reply) {
            Ok(line) => self.out.extend_from_slice(&line),
            Err(_) => self.finished = true,
        }
        self.flush();
    }

    fn flush(&mut self) {
        while !self.out.is_empty() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.connection.as_fd().as_raw_fd(), &self.out, flags) {
                Ok(sent) => drop(self.out.drain(..sent)),
                Err(nix::errno::Errno::EAGAIN) => return,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => {
                    self.finished = true;
                    self.owed = 0;
                    self.out.clear();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use yoke_control::emit;

    use super::*;

    /// The socket, and one caller who is in.
    fn called() -> (tempfile::TempDir, Clients, std::os::unix::net::UnixStream) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("init.sock");
        let mut clients = Clients::bind(&path).expect("bind");
        let caller = std::os::unix::net::UnixStream::connect(&path).expect("connect");
        // Only root is let in, who runs this in the lab as in CI.
        clients.clients.push(Client {
            id: 1,
            connection: clients.server.accept().expect("accept").0,
            out: Vec::new(),
            finished: false,
            owed: 0,
            follows: false,
        });
        clients.clients[0].connection.set_nonblocking().expect("nonblocking");
        (dir, clients, caller)
    }

    fn say(caller: &mut impl io::Write, request: &Request) {
        caller.write_all(&emit(request).expect("json")).expect("write");
    }

    #[test]
    fn a_caller_that_has_gone_is_not_polled_and_stays_until_its_answer() {
        let (_dir, mut clients, mut caller) = called();
        say(&mut caller, &Request::Setup);
        assert_eq!(clients.serve(0), [(1, Request::Setup)]);
        assert_eq!(clients.pollable().count(), 1);
        drop(caller);
        assert_eq!(clients.serve(0), []);
        assert_eq!(clients.pollable().count(), 0, "poll(2) would tell of it at once and again");
        clients.forget_finished();
        assert_eq!(clients.clients.len(), 1, "a caller that only says no more waits for its answer");
        clients.reply(1, &Reply::Done);
        clients.forget_finished();
        assert!(clients.clients.is_empty());
    }

    #[test]
    fn who_follows_the_log_can_do_nothing_else() {
        let (_dir, mut clients, mut caller) = called();
        let follow = Request::Follow { follower: "a".to_owned(), confirmed: None };
        say(&mut caller, &follow);
        say(&mut caller, &Request::Reboot);
        say(&mut caller, &follow);
        assert_eq!(clients.serve(0), [(1, follow.clone()), (1, follow)]);
    }
}
