//! One attempt: asks a server once and says how long it took, or why it is no good, in words.
//!
//! Thin, and bounded in everything: an attempt ends within the monitor's timeout, reads at most 64 KiB, and whatever happens its
//! descriptor is closed with it. What bytes mean is decided in pure functions of each protocol's file. A name is never resolved: a real
//! server is an address.

mod dns;
mod external;
mod http;
mod icmp;
mod in_path;
mod smtp;
mod tcp;
mod tls;
mod udp;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use yoke_config::model::{Check, Monitor};

use crate::{Outcome, Passage, Probe, Target};

/// Of an answer, what is read at most: a head, and as much of a body as an expression is looked for in.
const ANSWER_MAX: usize = 64 * 1024;

/// What an attempt is at, in words, and what is to be said of it besides its outcome.
#[derive(Debug)]
struct Stage {
    /// What a timeout says was waited for.
    at: Cell<&'static str>,
    aside: RefCell<Option<String>>,
}

impl Stage {
    fn set(&self, at: &'static str) {
        self.at.set(at);
    }

    /// The way of clients was not taken.
    fn aside(&self, why: String) {
        self.aside.replace(Some(why));
    }
}

/// How an attempt fails: a sentence without a subject, `connect: refused`.
type Tried = Result<(), String>;

/// Whom an attempt asks.
#[derive(Debug, Clone, Copy)]
struct Server {
    /// The server's own address, and the port.
    address: SocketAddr,
    /// The way of clients.
    via: Option<Via>,
    /// Of the attempt as a whole.
    timeout: Duration,
}

/// The way of clients: the virtual address, and what has IPVS deliver it to that one server.
#[derive(Debug, Clone, Copy)]
struct Via {
    address: IpAddr,
    passage: Passage,
}

/// Any address of that family.
pub(crate) fn any(server: SocketAddr) -> IpAddr {
    if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// Why the server's own address was asked, and not the way of clients that the target has.
    pub aside: Option<String>,
}

/// Makes one attempt. `hostname` is how this box calls itself, `elapsed` the time since the attempt began.
pub async fn attempt(target: &Target, probe: &Probe, hostname: &str, elapsed: impl Fn() -> Duration) -> Attempt {
    let monitor = &*probe.monitor;
    let timeout = Duration::from_secs(u64::from(monitor.timeout_s));
    let stage = Stage { at: Cell::new("reply"), aside: RefCell::default() };
    let via = match (target.via, probe.passage) {
        (Some(way), Some(passage)) => Some(Via { address: way.virtual_, passage }),
        (Some(_), None) => {
            stage.aside("ipvs has no service for this check".to_owned());
            None
        }
        (None, _) => None,
    };
    let server = Server { address: SocketAddr::new(target.address, target.port), via, timeout };
    let _turn = match &monitor.check {
        Check::External { .. } => Some(external::turns(1).await),
        _ => None,
    };
    let waited = elapsed();
    let outcome = match tokio::time::timeout(timeout, ask(server, monitor, hostname, &stage)).await {
        Ok(Ok(())) => Ok(elapsed().saturating_sub(waited)),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(silence(stage.at.get(), monitor.timeout_s)),
    };
    Attempt { outcome, aside: stage.aside.into_inner() }
}

async fn ask(server: Server, monitor: &Monitor, hostname: &str, stage: &Stage) -> Tried {
    match &monitor.check {
        Check::Tcp { .. } => tcp::connect(server, stage).await.map(drop),
        Check::Http(http) => http::ask(server, http, stage).await,
        Check::Udp { payload, regex } => udp::ask(server, payload, regex.as_deref(), stage).await,
        Check::Dns { name } => dns::ask(server, name.as_deref(), stage).await,
        Check::Smtp { host } => smtp::ask(server, host.as_deref().unwrap_or(hostname), stage).await,
        Check::Icmp => icmp::ask(server.address.ip()).await,
        Check::External { program } => external::ask(server.address, program).await,
    }
}

/// That something has not come in time.
pub(crate) fn silence(what: &str, timeout_s: u16) -> String {
    format!("no {what} in {timeout_s}.0 s")
}

/// An error of a socket in few words.
pub(crate) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed".to_owned(),
        // Without the "(os error 111)" of the library.
        _ => error.to_string().split(" (os error").next().unwrap_or_default().to_ascii_lowercase(),
    }
}

/// Reads until `done` says what it has read is enough, the server closes, or too much has come; `done` gets all that was read.
async fn read_until<T>(
    stream: &mut (impl AsyncRead + Unpin),
    done: impl Fn(&[u8]) -> Option<T>,
) -> Result<Result<T, Vec<u8>>, String> {
    let mut answer = Vec::with_capacity(1024);
    loop {
        if let Some(result) = done(&answer) {
            return Ok(Ok(result));
        }
        if !read_more(stream, &mut answer).await? {
            return Ok(Err(answer));
        }
    }
}

/// Reads what there is to `answer`, or waits for it; false when the server has closed, or too much has come. Nothing is lost when it is given up.
async fn read_more(stream: &mut (impl AsyncRead + Unpin), answer: &mut Vec<u8>) -> Result<bool, String> {
    let room = ANSWER_MAX.saturating_sub(answer.len());
    if room == 0 {
        return Ok(false);
    }
    let limit = u64::try_from(room.min(4096)).unwrap_or(u64::MAX);
    match stream.take(limit).read_buf(answer).await {
        Ok(read) => Ok(read > 0),
        // A server that has said what it had to say may end as it likes.
        Err(error) if !answer.is_empty() && error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(format!("reply: {}", words(&error))),
    }
}

/// What a server said instead of what was expected, short and printable.
fn quoted(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 40;
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(line).chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests;
