//! The sockets of half a handshake: raw ones that send SYNs and hear what comes back, and one that hears when addresses and routes change.
//!
//! A raw socket is bound to the address that it sends from: the kernel refuses to send once that address is gone, and keeps everybody else's
//! segments away from it. A filter in the kernel leaves no more than answers to our ports. Nothing here knows what an answer means.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::task::Poll;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv,
    recvmmsg, setsockopt,
};
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::filter::{self, Asked, COMMON};
use super::is_congestion;
use super::segment::{self, Answer, Syn};
use crate::probe::any;

/// Our ports, side by side so that a filter is short. As many probes of one server's port can be under way, and a pair of ports comes again after so
/// many.
const PORTS: u16 = 16;
/// Places for them that are tried.
const PLACES: usize = 64;
/// Sent and read by one system call at most.
const BATCH: usize = 32;
/// Of what answers: the longest headers of IPv4 and TCP, 60 each.
const ANSWER_BYTES: usize = 60 + 60;
/// Of an error: most are 576 at most (RFC 1812 §4.3.2.3), and none is longer than a packet on Ethernet.
const ERROR_BYTES: usize = 1_500;
/// Answers that wait while this thread does not run: several thousand, each of which the kernel counts as 1 KiB or so. One that is lost would be a
/// failed check of a server that is well.
const WAITING_BYTES: usize = 4 << 20;
/// SYNs on their way. One to a neighbour that is not there stays in its queue for up to 3 s and counts (832 bytes) against the socket that all
/// servers share, which must not be full of them: this is room for 60,000, as the kernel doubles it and raw sockets have twice that.
const SENT_BYTES: usize = 12 << 20;
/// Batches read from one socket before others have their turn.
const BATCHES_MAX: usize = 64;
/// Raw sockets that are kept although their address may not be one of ours any more.
const SOURCES_MAX: usize = 16;

/// What a socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Icmp,
}

#[derive(Debug)]
struct Ear {
    socket: Arc<Socket>,
    /// What it is bound to.
    source: IpAddr,
    /// Absent while it is looked at by the clock: whatever came would wake this thread.
    watch: Option<AsyncFd<Arc<Socket>>>,
    ipv6: bool,
    kind: Kind,
    /// Something has come.
    ready: bool,
}

/// All sockets.
#[derive(Debug)]
pub(super) struct Wire {
    /// Ours as long as these are there: bound, and connected to nothing, so that the kernel answers a SYN and ACK by RST of its own.
    asked: Asked,
    _reserved: Vec<Socket>,
    /// By the address they send from.
    sources: BTreeMap<IpAddr, Ear>,
    errors: Vec<Ear>,
    news: AsyncFd<OwnedFd>,
    is_news: bool,
}

impl Wire {
    /// Within a runtime. On none of the ports to `avoid`.
    ///
    /// # Errors
    /// Without CAP_NET_RAW: permission denied.
    pub(super) fn open(avoid: &BTreeSet<u16>) -> io::Result<Self> {
        let (ports, reserved) = reserve(avoid)?;
        let [a, b, c, d, ..] = RandomState::new().hash_one(0).to_be_bytes();
        let asked = Asked { ports, common: u32::from_be_bytes([a, b, c, d]) & COMMON };
        let mut errors = vec![Ear::open(Ipv4Addr::UNSPECIFIED.into(), Kind::Icmp, &asked)?];
        // A box may be without IPv6.
        errors.extend(Ear::open(Ipv6Addr::UNSPECIFIED.into(), Kind::Icmp, &asked));
        Ok(Self {
            asked,
            _reserved: reserved,
            sources: BTreeMap::new(),
            errors,
            news: watched(news()?)?,
            is_news: false,
        })
    }

    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Whether an address is one of ours.
    pub(super) fn is_ours(source: IpAddr) -> bool {
        UdpSocket::bind((source, 0)).is_ok()
    }

    /// The address that this box would ask `server` from, which can be asked from then on; `None` when no raw socket can be bound to it: the
    /// link-local one, while a better one is still tentative.
    ///
    /// # Errors
    /// There is no way to the server: those of connect(2).
    pub(super) fn source(&mut self, server: SocketAddr) -> io::Result<Option<IpAddr>> {
        let nearest = UdpSocket::bind((any(server), 0))?;
        nearest.connect(server)?;
        let source = nearest.local_addr()?.ip();
        Ok(self.open_source(source).then_some(source))
    }

    /// Whether servers can be asked from that address.
    pub(super) fn open_source(&mut self, source: IpAddr) -> bool {
        if !self.sources.contains_key(&source) {
            let Ok(ear) = Ear::open(source, Kind::Tcp, &self.asked) else { return false };
            self.sources.insert(source, ear);
        }
        true
    }

    /// Any source may be gone. Of many, only those are kept from which something `is_awaited`.
    pub(super) fn forget(&mut self, is_awaited: impl Fn(IpAddr) -> bool) {
        if self.sources.len() > SOURCES_MAX {
            self.sources.retain(|source, _| is_awaited(*source));
        }
    }

    /// Sends them. Those that could not be sent, and why, are told to `failed`.
    pub(super) fn send(&self, syns: &[Syn], mut failed: impl FnMut(Syn, Errno)) {
        let mut by_source = BTreeMap::<IpAddr, Vec<Syn>>::new();
        for syn in syns {
            by_source.entry(syn.source).or_default().push(*syn);
        }
        for (source, syns) in by_source {
            let Some(ear) = self.sources.get(&source) else {
                syns.into_iter().for_each(|syn| failed(syn, Errno::EADDRNOTAVAIL));
                continue;
            };
            for syns in syns.chunks(BATCH) {
                ear.send(syns, &mut failed);
            }
        }
    }

    /// Whether [`Self::ready`] tells of answers, or only of errors and news.
    pub(super) fn watch(&mut self, on: bool) {
        for ear in self.sources.values_mut().filter(|ear| ear.watch.is_some() != on) {
            // What has come already is found out by looking.
            ear.watch = on.then(|| watched(ear.socket.clone())).and_then(Result::ok);
            ear.ready = true;
        }
    }

    /// Waits until something has come.
    pub(super) async fn ready(&mut self) {
        poll_fn(|context| {
            let mut any = false;
            for ear in self.sources.values_mut().chain(&mut self.errors) {
                let Some(watch) = &ear.watch else { continue };
                if let Poll::Ready(Ok(mut guard)) = watch.poll_read_ready(context) {
                    // Before it is read: what comes meanwhile is told again.
                    guard.clear_ready();
                    (ear.ready, any) = (true, true);
                }
            }
            if let Poll::Ready(Ok(mut guard)) = self.news.poll_read_ready(context) {
                guard.clear_ready();
                (self.is_news, any) = (true, true);
            }
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether addresses or routes have changed since it was last asked.
    pub(super) fn poll_news(&mut self) -> bool {
        if !std::mem::take(&mut self.is_news) {
            return false;
        }
        let mut message = [0; 16];
        loop {
            match recv(self.news.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                // ENOBUFS: more than it holds, which is news too.
                Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
    }

    /// Reads what has come. Looks also at sockets of which nothing is known to have come: at those of answers with `answers`, at those of errors with
    /// `errors`.
    pub(super) fn read(&mut self, answers: bool, errors: bool, mut heard: impl FnMut(Answer)) {
        let answers = self.sources.values_mut().map(|ear| (answers, ear));
        for (look, ear) in answers.chain(self.errors.iter_mut().map(|ear| (errors, ear))) {
            if std::mem::take(&mut ear.ready) || look {
                // Who sends as fast as this is read does not keep the thread.
                ear.ready = (0..BATCHES_MAX).all(|_| ear.read(&mut heard) == BATCH);
            }
        }
    }

    /// Whether something is known to have come that was not read.
    pub(super) fn has_more(&self) -> bool {
        self.sources.values().chain(&self.errors).any(|ear| ear.ready)
    }
}

impl Ear {
    fn open(source: IpAddr, kind: Kind, asked: &Asked) -> io::Result<Self> {
        let ipv6 = source.is_ipv6();
        let protocol = match (kind, ipv6) {
            (Kind::Tcp, _) => Protocol::TCP,
            (Kind::Icmp, false) => Protocol::ICMPV4,
            (Kind::Icmp, true) => Protocol::ICMPV6,
        };
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
        let of = match kind {
            Kind::Tcp => filter::Of::Answers,
            Kind::Icmp => filter::Of::Errors,
        };
        socket.attach_filter(&filter::program(of, ipv6, asked))?;
        if setsockopt(&socket, RcvBufForce, &WAITING_BYTES).is_err() {
            socket.set_recv_buffer_size(WAITING_BYTES)?;
        }
        if kind == Kind::Tcp && setsockopt(&socket, SndBufForce, &SENT_BYTES).is_err() {
            socket.set_send_buffer_size(SENT_BYTES)?;
        }
        socket.bind(&SocketAddr::new(source, 0).into())?;
        let socket = Arc::new(socket);
        let watch = Some(watched(socket.clone())?);
        Ok(Self { socket, source, watch, ipv6, kind, ready: true })
    }

    fn send(&self, syns: &[Syn], failed: &mut impl FnMut(Syn, Errno)) {
        let segments: Vec<_> = syns.iter().map(Syn::emit).collect();
        let slices: Vec<_> = segments.iter().map(|segment| [IoSlice::new(segment)]).collect();
        // A raw socket has no ports, and one of IPv6 takes offence at them.
        let to: Vec<_> = syns.iter().map(|syn| SocketAddr::new(syn.server.ip(), 0).as_any()).collect();
        let mut controls: Vec<_> = syns.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let places = to.iter().zip(&slices).zip(&mut controls);
        let mut messages: Vec<_> = places.map(|((to, slice), c)| MMsgHdr::new_with_addr(to, slice, c)).collect();
        let mut at = 0;
        while at < messages.len() {
            match sendmmsg(self.socket.as_fd(), &mut messages[at..], SendFlags::DONTWAIT) {
                Ok(sent) if sent > 0 => at += sent,
                // The error is that of the first; where there is no room for it, there is none for the others.
                outcome => {
                    let error = outcome.err().map_or(Errno::EAGAIN, |error| Errno::from_raw(error.raw_os_error()));
                    let until = if is_congestion(error) { syns.len() } else { at + 1 };
                    syns[at..until].iter().for_each(|syn| failed(*syn, error));
                    at = until;
                }
            }
        }
    }

    /// How many were read.
    fn read(&self, heard: &mut impl FnMut(Answer)) -> usize {
        match self.kind {
            Kind::Tcp => self.read_up_to::<ANSWER_BYTES>(heard),
            Kind::Icmp => self.read_up_to::<ERROR_BYTES>(heard),
        }
    }

    fn read_up_to<const BYTES: usize>(&self, heard: &mut impl FnMut(Answer)) -> usize {
        let mut buffers = [[0; BYTES]; BATCH];
        let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
        let socket = self.socket.as_raw_fd();
        let Ok(messages) = recvmmsg(socket, &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) else {
            return 0;
        };
        let mut count = 0;
        for message in messages {
            count += 1;
            let Some(bytes) = message.iovs().next() else { continue };
            let from = message.address.as_ref().and_then(SockaddrStorage::as_sockaddr_in6).map(|from| from.ip().into());
            let is_cut = message.flags.contains(MsgFlags::MSG_TRUNC);
            if let Some(answer) = self.parse(from, bytes, is_cut) {
                heard(answer);
            }
        }
        count
    }

    /// `from` is known of IPv6, where a socket gives no header. Of what was cut off nobody can say whether it is whole.
    fn parse(&self, from: Option<IpAddr>, bytes: &[u8], is_cut: bool) -> Option<Answer> {
        match (self.kind, self.ipv6) {
            (Kind::Tcp, ipv6) => {
                let ([from, to], segment) =
                    if ipv6 { ([from?, self.source], bytes) } else { segment::parse_ipv4(bytes)? };
                (is_cut || segment::is_whole(from, to, segment)).then(|| segment::parse_answer(from, segment))?
            }
            (Kind::Icmp, false) => {
                let (_, message) = segment::parse_ipv4(bytes)?;
                (is_cut || segment::is_whole_icmp(message)).then(|| segment::parse_error_v4(message))?
            }
            (Kind::Icmp, true) => segment::parse_error_v6(bytes),
        }
    }
}

fn watched<T: std::os::fd::AsRawFd>(socket: T) -> io::Result<AsyncFd<T>> {
    #[expect(deprecated, reason = "its successor is unsafe; a descriptor that is owned here is sound in both")]
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Ports side by side that nobody has, of both families, nor is to have.
fn reserve(avoid: &BTreeSet<u16>) -> io::Result<(Range<u16>, Vec<Socket>)> {
    let mut tried = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..PLACES {
        let first = bound(0)?.local_addr()?.as_socket().map_or(0, |at| at.port()) / PORTS * PORTS;
        let ports = first..first.saturating_add(PORTS);
        // The topmost place has one less, which is no port.
        if ports.len() != usize::from(PORTS) || avoid.range(ports.clone()).next().is_some() {
            continue;
        }
        tried = ports.clone().map(bound).collect::<io::Result<Vec<_>>>().map(|sockets| (ports, sockets));
        if tried.is_ok() {
            break;
        }
    }
    tried
}

fn bound(port: u16) -> io::Result<Socket> {
    let both = || {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        Ok(socket)
    };
    both().or_else(|error: io::Error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            return Err(error);
        }
        // A box without IPv6.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        Ok(socket)
    })
}

/// Groups of rtnetlink (linux/rtnetlink.h): links, and of both families addresses, routes and rules.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x4_0000;

/// A socket that becomes readable when the way to a server may have changed.
fn news() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = nix::sys::socket::socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(socket)
}
