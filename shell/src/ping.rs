//! Echo requests over the kernel's ICMP datagram sockets, which need no privilege (`net.ipv4.ping_group_range`).
//!
//! The kernel sets identifier and checksum and hands us our own replies only. Requests go one after the other, the next
//! when the last is answered or given up, as IOS does it.

#![expect(clippy::disallowed_methods, reason = "a round trip is a difference of two readings of the clock")]

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::outcome::Fail;
use crate::{interrupt, sys};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Echo request and reply of ICMP (RFC 792) and ICMPv6 (RFC 4443).
const REQUEST: [u8; 2] = [8, 128];
const REPLY: [u8; 2] = [0, 129];
const HEADER_BYTES: usize = 8;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where to.
    pub(crate) target: IpAddr,
    /// Number of requests.
    pub(crate) count: u32,
    /// Sender address.
    pub(crate) source: Option<IpAddr>,
    /// Bytes of data.
    pub(crate) size: usize,
    /// Do not fragment.
    pub(crate) df: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    /// Requests.
    pub(crate) sent: u32,
    /// Replies.
    pub(crate) received: u32,
    /// Round trips.
    trips: Vec<Duration>,
    /// Ctrl-C ended it.
    pub(crate) interrupted: bool,
}

impl Report {
    /// Percent of requests without a reply.
    pub(crate) fn loss(&self) -> u32 {
        (self.sent - self.received) * 100 / self.sent.max(1)
    }

    /// Least, mean and greatest round trip in milliseconds, if there was a reply.
    pub(crate) fn rtt_ms(&self) -> Option<[f64; 3]> {
        let ms: Vec<f64> = self.trips.iter().map(|trip| trip.as_secs_f64() * 1e3).collect();
        let least = ms.iter().copied().reduce(f64::min)?;
        let most = ms.iter().copied().reduce(f64::max)?;
        Some([least, ms.iter().sum::<f64>() / f64::from(self.received), most])
    }
}

/// `2 packets sent, 2 received, 0% loss, rtt 0.3/0.4/0.5 ms`.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} packets sent, {} received, {}% loss", self.sent, self.received, self.loss())?;
        if let Some([least, mean, most]) = self.rtt_ms() {
            write!(f, ", rtt {least:.1}/{mean:.1}/{most:.1} ms")?;
        }
        Ok(())
    }
}

/// Sends the requests and waits for each reply.
///
/// # Errors
/// Requests cannot be sent at all: no route, no such source, too large with `df`.
pub(crate) fn ping(options: &Options) -> Result<Report, Fail> {
    let wrong = |e: io::Error| Fail::failed(format!("ping {}: {}", options.target, reason(&e)));
    let socket = open(options).map_err(wrong)?;
    let v6 = usize::from(options.target.is_ipv6());
    let mut report = Report::default();
    for sequence in 0..options.count {
        let sequence = u16::try_from(sequence % 65_536).unwrap_or_default();
        let start = Instant::now();
        report.sent += 1;
        match socket.send(&request(REQUEST[v6], sequence, options.size)) {
            Ok(_) => {}
            // An error of an earlier request, told now.
            Err(e) if e.kind() == io::ErrorKind::HostUnreachable => {}
            Err(e) => return Err(wrong(e)),
        }
        match wait(&socket, start, REPLY[v6], sequence) {
            Wait::Reply => {
                report.received += 1;
                report.trips.push(start.elapsed());
            }
            Wait::Nothing => {}
            Wait::Interrupted => {
                report.interrupted = true;
                break;
            }
        }
    }
    Ok(report)
}

fn open(options: &Options) -> io::Result<Socket> {
    let (domain, protocol) = match options.target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    if options.df {
        sys::set_do_not_fragment(&socket, options.target.is_ipv6())?;
    }
    if let Some(source) = options.source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&SocketAddr::new(options.target, 0).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn request(kind: u8, sequence: u16, size: usize) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0, 0];
    bytes.extend(sequence.to_be_bytes());
    // A pattern, so that a line that changes bytes shows.
    bytes.extend((0..=255u8).cycle().take(size));
    bytes
}

/// Whether `bytes` is the reply to a request. The kernel has looked at checksum and identifier.
fn is_reply(bytes: &[u8], kind: u8, sequence: u16) -> bool {
    bytes.len() >= HEADER_BYTES && bytes[0] == kind && bytes[6..8] == sequence.to_be_bytes()
}

enum Wait {
    Reply,
    Nothing,
    Interrupted,
}

fn wait(socket: &Socket, start: Instant, kind: u8, sequence: u16) -> Wait {
    loop {
        let left = TIMEOUT.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Wait::Nothing;
        }
        let mut fds = vec![PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        fds.extend(interrupt::fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // Rounded up, or the last millisecond would spin.
        let timeout = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        let _ = poll(&mut fds, PollTimeout::from(timeout));
        if interrupt::pending() {
            return Wait::Interrupted;
        }
        // Only the header is looked at.
        let mut header = [0; HEADER_BYTES];
        let Ok(length) = (&mut &*socket).read(&mut header) else { continue };
        if is_reply(&header[..length], kind, sequence) {
            return Wait::Reply;
        }
    }
}

/// The kernel's words for common errors are about sockets; these are about pings.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENETUNREACH) => "no route to this network".to_owned(),
        Some(Errno::EHOSTUNREACH) => "no route to this host".to_owned(),
        Some(Errno::EADDRNOTAVAIL) => "the source is not an address of this box".to_owned(),
        Some(Errno::EMSGSIZE) => "larger than the path takes without fragmenting, use a smaller size".to_owned(),
        Some(Errno::EACCES | Errno::EPERM) => "the kernel refuses (net.ipv4.ping_group_range)".to_owned(),
        Some(Errno::EINVAL) => "source and target are of different families".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_that_of_the_contract() {
        let trips = [300, 400, 500].map(Duration::from_micros).to_vec();
        let report = Report { sent: 3, received: 3, trips, interrupted: false };
        assert_eq!(report.to_string(), "3 packets sent, 3 received, 0% loss, rtt 0.3/0.4/0.5 ms");
        let report = Report { sent: 3, ..Report::default() };
        assert_eq!(report.to_string(), "3 packets sent, 0 received, 100% loss");
        assert_eq!(Report::default().to_string(), "0 packets sent, 0 received, 0% loss");
    }

    #[test]
    fn requests_carry_their_number_and_size() {
        let bytes = request(8, 0x0102, 300);
        assert_eq!(bytes.len(), 308);
        assert_eq!(bytes[..9], [8, 0, 0, 0, 0, 0, 1, 2, 0]);
        assert!(is_reply(&[0, 0, 9, 9, 7, 7, 1, 2], 0, 0x0102));
        assert!(!is_reply(&[0, 0, 9, 9, 7, 7, 1, 3], 0, 0x0102), "the reply to an earlier request");
        assert!(!is_reply(&[0, 0], 0, 0x0102));
    }
}
