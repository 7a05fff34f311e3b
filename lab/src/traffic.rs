//! The client's side of the traffic: curl over TCP, datagrams over UDP, and load that goes on while a test does things.
//!
//! What is asked is a name: every server of the lab answers who it is, whom it saw and where it was reached.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::net::Ns;

/// Seconds one request may take on an emulated director.
const REQUEST_S: &str = "10";
/// Seconds a connection may take to be set up: one lost SYN is repeated after 1 s.
const CONNECT_S: &str = "3";

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Who.
    pub server: String,
    /// The client's address as the server saw it.
    pub client: String,
    /// The server's own address of this connection.
    pub local: String,
    /// Its own port.
    pub port: String,
}

impl Reply {
    /// Reads one.
    ///
    /// # Errors
    /// When no server of the lab says such a thing.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [server, client, local, port] = words[..] else { bail!("a server would not answer {text:?}") };
        let [server, client, local, port] = [server, client, local, port].map(str::to_owned);
        Ok(Self { server, client, local, port })
    }
}

/// Runs curl in `ns` and returns what it prints.
///
/// # Errors
/// Its exit status and words.
pub fn curl(ns: Ns, arguments: &[&str], url: &str) -> Result<String> {
    let output = ns
        .command("curl")
        .args(["-gsS", "--fail", "--connect-timeout", CONNECT_S, "--max-time", REQUEST_S])
        .args(arguments)
        .arg(url)
        .output()
        .context("run curl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl {url}: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One request of the client to port 80 of `vip`.
///
/// # Errors
/// As [`curl`], or when it is not a server of the lab that answers.
pub fn http(vip: &str) -> Result<Reply> {
    Reply::parse(&curl(Ns::Client, &[], &url(vip, 80))?)
}

/// Checks that nothing answers at `vip`, neither TCP nor UDP on `port`.
///
/// # Errors
/// Who answered.
pub fn silent(vip: &str, port: u16) -> Result<()> {
    // The last of two --connect-timeout counts; a neighbour answers within milliseconds.
    if let Ok(text) = curl(Ns::Client, &["--connect-timeout", "1"], &url(vip, 80)) {
        bail!("{vip} answers {text:?}");
    }
    match udp_within(vip, port, Duration::from_secs(1)) {
        Ok(reply) => bail!("{vip} answers {reply:?}"),
        Err(_) => Ok(()),
    }
}

/// The URL of a literal address of either family.
pub fn url(address: &str, port: u16) -> String {
    if address.contains(':') { format!("http://[{address}]:{port}/") } else { format!("http://{address}:{port}/") }
}

/// One datagram of the client from a new port to `vip`, and the answer to it. It is sent once.
///
/// # Errors
/// When no answer comes.
pub fn udp(vip: &str, port: u16) -> Result<Reply> {
    udp_within(vip, port, Duration::from_secs(3))
}

fn udp_within(vip: &str, port: u16, limit: Duration) -> Result<Reply> {
    let to = SocketAddr::new(vip.parse::<IpAddr>()?, port);
    Ns::Client.enter(|| {
        let socket = UdpSocket::bind(if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
        socket.set_read_timeout(Some(limit))?;
        // Connected: an answer from any other address than the VIP is not an answer.
        socket.connect(to)?;
        socket.send(b"who are you")?;
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).with_context(|| format!("udp {to}: no answer"))?;
        Reply::parse(&String::from_utf8_lossy(&buffer[..n]))
    })
}

/// `count` datagrams of the client from one port, each sent when the last one is answered.
///
/// # Errors
/// When an answer does not come.
pub fn udp_from_one_port(vip: &str, port: u16, count: usize) -> Result<Vec<Reply>> {
    let flow = Flow::start(vip, port)?;
    ask(count, || flow.ask())
}

/// One port of the client, for as long as this lives.
#[derive(Debug)]
pub struct Flow(UdpSocket);

impl Flow {
    /// Opens it towards `vip`.
    ///
    /// # Errors
    /// When the namespace is not there.
    pub fn start(vip: &str, port: u16) -> Result<Self> {
        let to = SocketAddr::new(vip.parse::<IpAddr>()?, port);
        Ns::Client.enter(|| {
            let socket = UdpSocket::bind(if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
            socket.set_read_timeout(Some(Duration::from_secs(3)))?;
            socket.connect(to)?;
            Ok(Self(socket))
        })
    }

    /// A datagram, and the answer to it.
    ///
    /// # Errors
    /// When the answer does not come.
    pub fn ask(&self) -> Result<Reply> {
        self.0.send(b"who are you")?;
        let mut buffer = [0; 512];
        let n = self.0.recv(&mut buffer).with_context(|| format!("udp {:?}: no answer", self.0.peer_addr()))?;
        Reply::parse(&String::from_utf8_lossy(&buffer[..n]))
    }
}

/// Requests of SIP calls with these Call-IDs, one datagram each; all from one port of the client, or each from a new one.
///
/// # Errors
/// When an answer does not come.
pub fn sip(vip: &str, port: u16, calls: &[&str], one_port: bool) -> Result<Vec<Reply>> {
    let to = SocketAddr::new(vip.parse::<IpAddr>()?, port);
    Ns::Client.enter(|| {
        let open = || -> Result<UdpSocket> {
            let socket = UdpSocket::bind(if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
            socket.set_read_timeout(Some(Duration::from_secs(3)))?;
            socket.connect(to)?;
            Ok(socket)
        };
        let mut socket = open()?;
        let mut replies = Vec::new();
        for call in calls {
            if !one_port {
                socket = open()?;
            }
            // RFC 3261 section 8.1.1, as far as it matters to who looks for one header.
            let request = format!(
                "INVITE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP client.example.net\r\nCall-ID: {call}\r\n\
                 CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            );
            // In Latin-1: the kernel takes its letters for such.
            let request: Vec<u8> = request.chars().map(u8::try_from).collect::<Result<_, _>>()?;
            socket.send(&request)?;
            let mut buffer = [0; 512];
            let n = socket.recv(&mut buffer).with_context(|| format!("call {call}: no answer"))?;
            replies.push(Reply::parse(&String::from_utf8_lossy(&buffer[..n]))?);
        }
        Ok(replies)
    })
}

/// How often each server answered.
pub fn tally(replies: &[Reply]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for reply in replies {
        *tally.entry(reply.server.as_str()).or_default() += 1;
    }
    tally
}

/// `count` requests, one after the other.
///
/// # Errors
/// That of the first that fails.
pub fn ask(count: usize, mut request: impl FnMut() -> Result<Reply>) -> Result<Vec<Reply>> {
    (0..count).map(|i| request().with_context(|| format!("request {} of {count}", i + 1))).collect()
}

/// Requests that go on, one after the other, until [`Load::stop`].
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Load {
    /// Starts to ask port 80 of `vip`.
    pub fn start(vip: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ends = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut good, mut failed) = (0, Vec::new());
            while !ends.load(Ordering::Relaxed) {
                // A request may be slow on a busy machine; lost it must not be.
                match curl(Ns::Client, &["--connect-timeout", "10", "--max-time", "20"], &url(vip, 80)) {
                    Ok(_) => good += 1,
                    Err(error) => failed.push(format!("{error:#}")),
                }
            }
            (good, failed)
        });
        Self { stop, thread }
    }

    /// Ends it; returns how many requests were answered.
    ///
    /// # Errors
    /// When one was not, or when there was none at all.
    pub fn stop(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let Ok((good, failed)) = self.thread.join() else { bail!("the load's thread panicked") };
        ensure!(failed.is_empty(), "{} of {} requests failed, first: {}", failed.len(), good + failed.len(), failed[0]);
        ensure!(good > 0, "no request was made");
        Ok(good)
    }
}
