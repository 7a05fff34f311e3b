//! Servers for health checks: one that notes who was asked when, and those that do everything wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::wait;

/// When each address got a SYN.
pub(super) type Arrivals = Arc<Mutex<BTreeMap<IpAddr, Vec<Instant>>>>;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long a bad server keeps a connection: longer than any check waits.
const KEPT: Duration = Duration::from_millis(1_500);
/// Between two bytes of one that trickles.
const TRICKLE: Duration = Duration::from_millis(100);
/// What a server sends that never ends.
const FLOOD_BYTES: usize = 100 << 20;

/// Of a thread for one connection: 64 KiB of zeros, and some.
const STACK_BYTES: usize = 256 * 1024;

fn listener() -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([0, 0, 0, 0], 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Listens on every address of this machine, and notes each SYN. Returns the port.
pub(super) fn counting(arrivals: Arrivals) -> Result<u16> {
    let (listener, ear) = (listener()?, ear()?);
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        let _listens = listener;
        let mut packet = [0; 64];
        while let Ok(length) = (&ear).read(&mut packet) {
            if let (Some((_, asked)), Ok(mut arrivals)) = (parse_syn(&packet[..length], port), arrivals.lock()) {
                arrivals.entry(asked).or_default().push(wait::now());
            }
        }
    });
    Ok(port)
}

/// Of an ear, what waits to be read: a second of ten thousand SYNs, each of which the kernel counts as 1 KiB or so.
const HEARD_BYTES: usize = 16 << 20;

/// Hears every segment that this machine gets, IPv4 header included: a check need not become a connection that could be accepted.
pub(super) fn ear() -> Result<Socket> {
    let ear = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP))?;
    setsockopt(&ear, RcvBufForce, &HEARD_BYTES)?;
    Ok(ear)
}

/// Who asks whom, if this is a SYN and nothing else to that port.
pub(super) fn parse_syn(packet: &[u8], port: u16) -> Option<(IpAddr, IpAddr)> {
    let segment = packet.get(usize::from(packet.first()? & 0x0f) * 4..)?;
    let is_syn = segment.get(2..4)? == port.to_be_bytes() && *segment.get(13)? == 0x02;
    let address = |at: usize| packet.get(at..)?.first_chunk::<4>().map(|octets| IpAddr::from(*octets));
    is_syn.then(|| address(12).zip(address(16))).flatten()
}

/// Bad servers, in a process of their own.
pub(super) struct Bad {
    child: Child,
    /// Name, monitor, port.
    pub(super) kinds: Vec<(String, String, u16)>,
}

/// A kind of bad server: its name, the monitor that asks it, what it does with a connection.
type Kind = (&'static str, &'static str, fn(TcpStream));

const KINDS: [Kind; 6] = [
    ("silent", "plain", hold),
    ("trickles", "plain", trickle),
    ("floods", "plain", flood),
    ("closes", "plain", drop),
    ("other-protocol", "plain", |mut stream| {
        let _ = stream.write_all(b"SSH-2.0-other\r\n");
        hold(stream);
    }),
    ("resets-in-tls", "tls", |mut stream| {
        let _ = stream.read(&mut [0; 16]);
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }),
];

/// Until the other side ends it.
fn hold(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(KEPT));
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn trickle(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(TRICKLE));
    // A line that does not end; the request first.
    while stream.write_all(b"H").is_ok() {
        match stream.read(&mut [0; 1024]) {
            Ok(0) => return,
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            _ => {}
        }
    }
}

fn flood(mut stream: TcpStream) {
    let chunk = [b'x'; 64 * 1024];
    for _ in 0..FLOOD_BYTES / chunk.len() {
        if stream.write_all(&chunk).is_err() {
            return;
        }
    }
}

/// Serves as all kinds until its standard input ends; says `NAME MONITOR PORT` of each first. `yoke-lab bad-servers`.
///
/// # Errors
/// When there is no port.
pub fn serve() -> Result<()> {
    let mut said = String::new();
    for (name, monitor, act) in KINDS {
        let listener = listener()?;
        said.push_str(&format!("{name} {monitor} {}\n", listener.local_addr()?.port()));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Without a thread the connection closes, which is bad as well.
                let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || act(stream));
            }
        });
    }
    let mut out = std::io::stdout().lock();
    out.write_all(said.as_bytes())?;
    out.flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

impl Bad {
    /// Starts them.
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child =
            command.arg("bad-servers").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("bad-servers")?;
        let lines = BufReader::new(child.stdout.take().context("no output")?);
        let kinds = lines.lines().take(KINDS.len()).map(|line| kind(&line?)).collect::<Result<_>>()?;
        Ok(Self { child, kinds })
    }
}

fn kind(line: &str) -> Result<(String, String, u16)> {
    let mut words = line.split(' ').map(str::to_owned);
    let mut word = || words.next().with_context(|| format!("bad-servers: {line}"));
    Ok((word()?, word()?, word()?.parse()?))
}

impl Drop for Bad {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
