//! The way to a host: UDP datagrams that live for one hop more each time, and the errors they meet.
//!
//! Errors are read from the socket's error queue (ip(7), `IP_RECVERR`), which needs no privilege.

#![expect(clippy::disallowed_methods, reason = "a round trip is a difference of two readings of the clock")]

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::libc::{self, sock_extended_err};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::interrupt;
use crate::out::Out;
use crate::outcome::{Fail, Stop};
use crate::ping::reason;

const HOPS_MAX: u32 = 30;
const PROBES: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(2);
/// Where nobody listens: the ports every traceroute has used.
const PORT: u16 = 33_434;

/// What answered a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hop {
    from: Option<IpAddr>,
    /// It was the target, or somebody who says that there is no way on.
    last: bool,
}

/// Prints one line for each hop to `target`.
///
/// # Errors
/// Nothing can be sent there. Ctrl-C.
pub(crate) fn traceroute(target: IpAddr, out: &mut Out<'_>) -> Result<(), Fail> {
    let wrong = |e: io::Error| Fail::failed(format!("traceroute {target}: {}", reason(&e)));
    for hops in 1..=HOPS_MAX {
        let mut line = format!("{hops:>2} ");
        let mut said = None;
        let mut last = false;
        for probe in 0..PROBES {
            let start = Instant::now();
            let number = u16::try_from(probe).unwrap_or_default() + u16::try_from(hops).unwrap_or_default() * 3;
            let socket = send(target, PORT + number, hops).map_err(wrong)?;
            match wait(&socket, start)? {
                None => line.push_str(" *"),
                Some(hop) => {
                    if said != hop.from {
                        said = hop.from;
                        line.push_str(&hop.from.map_or_else(|| " ?".to_owned(), |from| format!(" {from}")));
                    }
                    line.push_str(&format!("  {:.1} ms", start.elapsed().as_secs_f64() * 1e3));
                    last |= hop.last;
                }
            }
        }
        out.text(&line)?;
        if last {
            return Ok(());
        }
    }
    Err(Fail::failed(format!("traceroute {target}: not reached within {HOPS_MAX} hops")))
}

fn send(target: IpAddr, port: u16, hops: u32) -> io::Result<Socket> {
    let domain = if target.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    match target {
        IpAddr::V4(_) => {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            socket.set_ttl_v4(hops)?;
        }
        IpAddr::V6(_) => {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            socket.set_unicast_hops_v6(hops)?;
        }
    }
    socket.connect(&SocketAddr::new(target, port).into())?;
    socket.send(&[0; 32])?;
    Ok(socket)
}

fn wait(socket: &Socket, start: Instant) -> Result<Option<Hop>, Fail> {
    loop {
        let left = TIMEOUT.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        // An entry in the error queue is POLLERR, which is always reported.
        let mut fds = vec![PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        fds.extend(interrupt::fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let timeout = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        let _ = poll(&mut fds, PollTimeout::from(timeout));
        if interrupt::pending() {
            return Err(Stop::Interrupted.into());
        }
        if let Some(hop) = read_error(socket) {
            return Ok(Some(hop));
        }
        let mut byte = [0; 1];
        // Somebody does listen there, and answered.
        if matches!(io::Read::read(&mut &*socket, &mut byte), Ok(1..)) {
            return Ok(Some(Hop {
                from: socket.peer_addr().ok().and_then(|a| a.as_socket()).map(|a| a.ip()),
                last: true,
            }));
        }
    }
}

fn read_error(socket: &Socket) -> Option<Hop> {
    let mut data = [0; 64];
    let mut iov = [IoSliceMut::new(&mut data)];
    let mut space = cmsg_space!(sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut iov, Some(&mut space), flags).ok()?;
    message.cmsgs().ok()?.find_map(|cmsg| match cmsg {
        ControlMessageOwned::Ipv4RecvErr(error, from) => {
            let from = from.map(|a| IpAddr::from(u32::from_be(a.sin_addr.s_addr).to_be_bytes()));
            Some(Hop { from, last: !is_time_exceeded(&error, 11) })
        }
        ControlMessageOwned::Ipv6RecvErr(error, from) => {
            Some(Hop { from: from.map(|a| IpAddr::from(a.sin6_addr.s6_addr)), last: !is_time_exceeded(&error, 3) })
        }
        _ => None,
    })
}

/// `kind` is the type of time exceeded: 11 in ICMP (RFC 792), 3 in ICMPv6 (RFC 4443 3.3).
fn is_time_exceeded(error: &sock_extended_err, kind: u8) -> bool {
    error.ee_type == kind
}
