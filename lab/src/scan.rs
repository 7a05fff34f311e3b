//! Which ports of the director are open, as the client sees it.
//!
//! A TCP port is open when it takes a connection. A UDP port is open, or silent, when it does not answer "port unreachable": the director's
//! kernel must not limit how many of these it sends (`net.ipv4.icmp_ratelimit`), or every port looks open.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::net::Ns;
use crate::wait;

/// A neighbour answers a SYN within milliseconds, with RST too; an emulated one that is busy needs longer.
const SYN_LIMIT: Duration = Duration::from_secs(1);
/// Threads at a time: a box that drops instead of refusing must not take minutes.
const THREADS: usize = 64;
/// Datagrams on the way at a time: what the queue of a card and of an emulated processor hold.
const BURST: usize = 128;
/// How often a silent port is asked again.
const TRIES: u32 = 4;
/// For the answers to one burst.
const BURST_LIMIT: Duration = Duration::from_millis(400);

/// Which of `ports` accept a connection at `host`.
///
/// # Errors
/// When the namespace is gone.
pub fn tcp(host: &str, ports: RangeInclusive<u16>) -> Result<Vec<u16>> {
    let address: IpAddr = host.parse()?;
    let ports: Vec<u16> = ports.collect();
    let open = |port: &u16| TcpStream::connect_timeout(&SocketAddr::new(address, *port), SYN_LIMIT).is_ok();
    Ns::Client.enter(|| {
        // Threads are born into their parent's namespace.
        std::thread::scope(|scope| {
            let parts = ports
                .chunks(ports.len().div_ceil(THREADS))
                .map(|part| scope.spawn(move || part.iter().copied().filter(&open).collect::<Vec<u16>>()));
            let parts: Vec<_> = parts.collect();
            let found = parts.into_iter().map(|part| part.join().map_err(|_| anyhow!("a scan panicked")));
            Ok(found.collect::<Result<Vec<_>>>()?.concat())
        })
    })
}

/// Which of `ports` at `host` do not refuse a datagram.
///
/// # Errors
/// When the namespace is gone.
pub fn udp(host: &str, ports: RangeInclusive<u16>) -> Result<Vec<u16>> {
    let address: IpAddr = host.parse()?;
    let mut silent: Vec<u16> = ports.collect();
    Ns::Client.enter(|| {
        for _ in 0..TRIES {
            let mut still = Vec::new();
            for burst in silent.chunks(BURST) {
                still.extend(unanswered(address, burst)?);
            }
            silent = still;
        }
        Ok(silent)
    })
}

/// Sends each port a datagram, and waits until all have refused or the time is over.
fn unanswered(address: IpAddr, ports: &[u16]) -> Result<Vec<u16>> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let mut waiting = Vec::new();
    for port in ports {
        let socket = UdpSocket::bind(any)?;
        socket.connect(SocketAddr::new(address, *port))?;
        socket.send(b"?").context("send a datagram")?;
        waiting.push((*port, socket));
    }
    let end = wait::now() + BURST_LIMIT;
    let mut silent = Vec::new();
    for (port, socket) in waiting {
        // Zero would be no limit.
        socket.set_read_timeout(Some(wait::left(end).max(Duration::from_millis(1))))?;
        if !matches!(socket.recv(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::ConnectionRefused) {
            silent.push(port);
        }
    }
    Ok(silent)
}

/// Whether `host` answers one ping of the client.
#[must_use]
pub fn answers_ping(host: &str) -> bool {
    let ping = Ns::Client.command("ping").args(["-c", "1", "-W", "1", host]).output();
    ping.is_ok_and(|output| output.status.success())
}
