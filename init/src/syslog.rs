//! `init syslog ADDR udp|tcp PORT FACILITY TRAP HOSTNAME`: a service that sends the log ring to one remote host.
//!
//! One process for each `logging host`, so that none waits for another's receiver. It keeps no queue: it asks PID 1 for the next lines when it
//! is done with the last, and the ring is the queue, bounded, with the lines that fell out of it counted. PID 1 also keeps its place, so that
//! a new process goes on where the last was and each line goes out once. It begins as root, which may ask PID 1, and is nobody in particular
//! before the first byte goes to the network. What it cannot do is learn what became of a datagram; who must not lose a line says `tcp`.

mod link;
mod message;

use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use yoke_control::Client;

use self::link::{Link, Transport};
use self::message::{Clock, Header};
use crate::request::{Followed, Reply, Request, SOCKET};
use crate::{clock, say, sys};

/// The word that makes `init` this program.
pub const COMMAND: &str = "syslog";
/// As whom it runs: below the numbers of people (1001 and up), above those of Debian's own users.
const UID: u32 = 901;
/// Lines sent without a pause. A receiver's socket buffer holds 200 or so, and so does the kernel's queue while it asks for the neighbour's
/// address; at boot there are a thousand lines.
const BURST: u32 = 64;
/// The pause: 640 lines a second.
const PAUSE: Duration = Duration::from_millis(100);
/// From a failure to the next try, and its growth while it goes on.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Runs for ever.
#[must_use]
pub fn main(words: &[String]) -> u8 {
    let Err(error) = run(words);
    say::problem(&format!("error: {error:#}"));
    1
}

fn run(words: &[String]) -> anyhow::Result<std::convert::Infallible> {
    let [address, transport, port, facility, trap, hostname] = words else {
        bail!("syslog: ADDR udp|tcp PORT FACILITY TRAP HOSTNAME");
    };
    let address: IpAddr = address.parse().with_context(|| format!("syslog: {address}"))?;
    let transport = match transport.as_str() {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        other => bail!("syslog: {other}: neither udp nor tcp"),
    };
    let port: u16 = port.parse().with_context(|| format!("syslog: port {port}"))?;
    let facility: u8 = facility.parse().with_context(|| format!("syslog: facility {facility}"))?;
    let trap: u8 = trap.parse().with_context(|| format!("syslog: trap {trap}"))?;

    let mut init = Client::connect(Path::new(SOCKET)).context(SOCKET)?;
    become_nobody().context("syslog: become another user")?;
    let mut sender = Sender {
        link: Link::new((address, port).into(), transport),
        header: Header::new(facility, hostname),
        sent: 0,
        lost: 0,
        trouble: None,
        retry: RETRY,
        burst: 0,
    };
    let mut confirmed = None;
    sender.tell("");
    loop {
        let request = Request::Follow { follower: format!("{address} {port}"), confirmed };
        let Followed { lines, next, lost } = match init.call(&request)? {
            Reply::Followed(followed) => followed,
            Reply::Failed { why } => bail!("init: {why}"),
            _ => bail!("init: an answer to another question"),
        };
        sender.lost += lost;
        let clock =
            Clock { at_boot: wall() - i128::from(millis(clock::now())), synchronised: sys::clock_is_synchronised() };
        for line in lines.iter().filter(|line| line.severity <= trap) {
            sender.send(line, clock);
        }
        sender.tell("");
        confirmed = Some(next);
    }
}

/// Root without capabilities still owns root's files: another user does not.
fn become_nobody() -> nix::Result<()> {
    setgroups(&[])?;
    let (uid, gid) = (Uid::from_raw(UID), Gid::from_raw(UID));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

struct Sender {
    link: Link,
    header: Header,
    sent: u64,
    lost: u64,
    /// What keeps it from sending, told once.
    trouble: Option<String>,
    retry: Duration,
    burst: u32,
}

impl Sender {
    /// Sends one line, however long it takes: meanwhile the ring holds the others.
    fn send(&mut self, line: &crate::request::LogLine, clock: Clock) {
        let message = self.header.message(self.sent + 1, line, clock);
        while let Err(error) = self.link.send(message.as_bytes()) {
            let trouble = error.to_string();
            if self.trouble.as_ref() != Some(&trouble) {
                // Goes to the log ring, and out with the rest when it works again.
                say::problem(&format!("warn: logging host {}: {trouble}", self.link));
                self.trouble = Some(trouble);
            }
            self.tell(self.trouble.as_deref().unwrap_or_default());
            clock::pause(self.retry);
            self.retry = (self.retry * 2).min(RETRY_MAX);
        }
        if self.trouble.take().is_some() {
            say::problem(&format!("info: logging host {}: reached again", self.link));
        }
        self.retry = RETRY;
        self.sent += 1;
        self.burst += 1;
        if self.burst == BURST {
            self.burst = 0;
            clock::pause(PAUSE);
        }
    }

    /// Tells PID 1, and so `show logging`, how it goes.
    fn tell(&self, trouble: &str) {
        let mut status = format!("{} sent, {} lost", self.sent, self.lost);
        if !trouble.is_empty() {
            status = format!("{status}, {trouble}");
        }
        if let (Some(path), Ok(socket)) = (std::env::var_os("NOTIFY_SOCKET"), UnixDatagram::unbound()) {
            // Full: PID 1 reads as fast as it can, and the next one tells more.
            let _ = socket.set_nonblocking(true);
            let _ = socket.send_to(format!("READY=1\nSTATUS={status}").as_bytes(), path);
        }
    }
}

/// Milliseconds since 1970.
fn wall() -> i128 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)
        .map_or(0, |time| i128::from(time.tv_sec()) * 1000 + i128::from(time.tv_nsec()) / 1_000_000)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
