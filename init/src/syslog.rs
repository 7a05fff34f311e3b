//! `init syslog ADDR udp|tcp PORT FACILITY TRAP HOSTNAME`: a service that sends the log ring to one remote host.
//!
//! One process for each `logging host`, so that none waits for another's receiver. It keeps no queue: it asks PID 1 for the next lines when it
//! is done with the last, and the ring is the queue, bounded, with the lines that fell out of it counted. PID 1 also keeps its place, so that
//! a new process goes on where the last was: no line goes out twice but those of the batch in which a process died. It begins as root, which
//! may ask PID 1, and is nobody in particular before the first byte goes to the network. What it cannot do is learn what a receiver did with
//! a line: `tcp` counts those that were not acknowledged when a connection broke, `udp` those that were refused, and neither sends them again.

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
/// So long after a refusal datagrams have to go without another until the receiver counts as reached: an answer comes within a second.
const QUIET: Duration = Duration::from_secs(10);

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
        trouble: Trouble::default(),
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
        sender.tell(sender.trouble.text());
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
    trouble: Trouble,
    retry: Duration,
    burst: u32,
}

impl Sender {
    /// Sends one line, however long it takes: meanwhile the ring holds the others.
    fn send(&mut self, line: &crate::request::LogLine, clock: Clock) {
        let message = self.header.message(self.sent + 1, line, clock);
        while let Err(error) = self.link.send(message.as_bytes()) {
            self.lost += self.link.take_lost();
            let text = error.to_string();
            if self.trouble.begins(&text) {
                // Goes to the log ring, and out with the rest when it works again.
                say::problem(&format!("warn: logging host {}: {text}", self.link));
            }
            self.tell(&text);
            clock::pause(self.retry);
            self.retry = (self.retry * 2).min(RETRY_MAX);
        }
        if self.trouble.ends(self.link.is_proof(), clock::now()) {
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

/// What keeps it from sending: said when it begins and when it is over, and not for each message. What is said goes into the log, and is then
/// to be sent: once for each message would be for ever.
#[derive(Debug, Default)]
struct Trouble {
    what: Option<String>,
    /// Since when nothing has failed, while that proves nothing.
    quiet_since: Option<Duration>,
}

impl Trouble {
    /// A message was not taken. Whether that is news.
    fn begins(&mut self, what: &str) -> bool {
        self.quiet_since = None;
        let news = self.what.as_deref() != Some(what);
        self.what = Some(what.to_owned());
        news
    }

    /// A message was taken; `proof`: the receiver is there. Whether trouble is over by that.
    fn ends(&mut self, proof: bool, now: Duration) -> bool {
        if self.what.is_none() {
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        let over = proof || now.saturating_sub(since) >= QUIET;
        if over {
            *self = Self::default();
        }
        over
    }

    fn text(&self) -> &str {
        self.what.as_deref().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A receiver that refuses lets every other datagram go.
    #[test]
    fn a_receiver_that_refuses_is_news_once() {
        let mut trouble = Trouble::default();
        assert!(!trouble.ends(false, at(0)));
        assert!(trouble.begins("refused"));
        for second in 1..100 {
            assert!(!trouble.ends(false, at(second)), "{second}");
            assert!(!trouble.begins("refused"), "{second}");
            assert_eq!(trouble.text(), "refused");
        }
        assert!(!trouble.ends(false, at(100)));
        assert!(!trouble.ends(false, at(109)));
        assert!(trouble.ends(false, at(110)));
        assert_eq!(trouble.text(), "");
        assert!(!trouble.ends(false, at(111)));
        assert!(trouble.begins("refused"), "it is gone once more");
        assert!(trouble.ends(true, at(112)), "a connection is proof");
    }
}
