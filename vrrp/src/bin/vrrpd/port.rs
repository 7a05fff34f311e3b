//! One raw socket of one interface and family: advertisements of all its groups come in and go out here. Thin I/O; what a packet
//! means is the library's.
//!
//! The socket is bound to its interface, has joined the group on it, does not hear itself, and sends with TTL 255 (RFC 9568 §5.1).
//! To open and to close one takes the kernel's lock on network changes, which may be held by others for long. Nothing else waits.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use vrrp::announce::{Mac, advertisement};
use vrrp::packet::{GROUP_V4, GROUP_V6, HOP_LIMIT, PROTOCOL, TRAFFIC_CLASS};
use vrrp::{Carrier, Counters, Endpoints, Family, Instant};

use crate::{clock, sys};

/// Room for what arrives while the engine is held up: 255 groups at 10 ms for a quarter of a second.
const RECEIVE_BYTES: usize = 1 << 20;
/// Longest packet looked at: 255 IPv6 addresses, the largest header, a trailer. What is longer is cut, and counted as such.
pub(crate) const PACKET_BYTES: usize = 8192;
/// Of an IPv4 header without options (RFC 791).
const IPV4_HEADER_BYTES: usize = 20;
/// Above all other traffic in the queue of the interface (TC_PRIO_CONTROL is 7 and needs a privilege more).
const SOCKET_PRIORITY: u32 = 6;

/// The socket, and what was received on it for no group.
pub(crate) struct Port {
    socket: Socket,
    ifindex: u32,
    family: Family,
    /// Where frames go out that bear a virtual MAC. It receives nothing.
    frames: Socket,
    /// Room to build a frame in.
    frame: std::cell::RefCell<Vec<u8>>,
    /// When the queue was last empty: whatever is in it came later.
    drained: Instant,
    control: Vec<u8>,
    pub(crate) counters: Counters,
    /// When a discarded packet was last told.
    pub(crate) told: Option<Instant>,
}

/// A packet as it was received.
pub(crate) struct Packet<'b> {
    pub(crate) payload: &'b [u8],
    pub(crate) carrier: Carrier,
    pub(crate) at: Instant,
}

impl Port {
    pub(crate) fn open(name: &str, ifindex: u32, family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(name.as_bytes()))?;
        // Between the question and now another interface may have got the name.
        if nix::net::if_::if_nametoindex(name) != Ok(ifindex) {
            return Err(nix::errno::Errno::ENODEV.into());
        }
        socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        socket.set_priority(SOCKET_PRIORITY)?;
        match family {
            Family::V4 => {
                socket.set_multicast_all_v4(false)?;
                socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(ifindex))?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(HOP_LIMIT.into())?;
                socket.set_ttl_v4(HOP_LIMIT.into())?;
                socket.set_tos_v4(TRAFFIC_CLASS.into())?;
            }
            Family::V6 => {
                socket.set_multicast_all_v6(false)?;
                socket.join_multicast_v6(&GROUP_V6, ifindex)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(HOP_LIMIT.into())?;
                socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
                socket.set_tclass_v6(TRAFFIC_CLASS.into())?;
                socket.set_recv_hoplimit_v6(true)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let frames = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        frames.set_priority(SOCKET_PRIORITY)?;
        Ok(Self::over(socket, frames, ifindex, family))
    }

    /// On sockets that are set up.
    fn over(socket: Socket, frames: Socket, ifindex: u32, family: Family) -> Self {
        Self {
            socket,
            ifindex,
            family,
            frames,
            frame: std::cell::RefCell::default(),
            drained: clock::now(),
            control: nix::cmsg_space!(nix::sys::time::TimeSpec, libc::in6_pktinfo, libc::c_int),
            counters: Counters::default(),
            told: None,
        }
    }

    /// For tests: packets are the datagrams that come to this address.
    #[cfg(test)]
    pub(crate) fn on_loopback(ifindex: u32) -> (Self, std::net::SocketAddr) {
        let bound = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let address = bound.local_addr().expect("it is bound");
        let frames = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        (Self::over(bound.into(), frames, ifindex, Family::V4), address)
    }

    /// Takes the next packet out of the queue; `None` when it is empty.
    ///
    /// # Errors
    /// Who sent it, when its IP header is unintelligible or the kernel says too little of it.
    pub(crate) fn receive<'b>(&mut self, buffer: &'b mut [u8; PACKET_BYTES]) -> Option<Result<Packet<'b>, IpAddr>> {
        let (length, source, destination, hop_limit, age) = loop {
            let mut parts = [IoSliceMut::new(buffer.as_mut_slice())];
            let flags = MsgFlags::MSG_DONTWAIT;
            let asked = clock::now();
            let message =
                match recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut self.control), flags) {
                    Ok(message) => message,
                    Err(nix::errno::Errno::EINTR) => continue,
                    // EAGAIN; or an error of the interface, which netlink tells too.
                    Err(_) => {
                        self.drained = asked;
                        return None;
                    }
                };
            let source =
                message.address.and_then(|address| match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                    (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
                    (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
                    (None, None) => None,
                });
            let (mut destination, mut hop_limit, mut age) = (None, None, Duration::ZERO);
            for item in message.cmsgs().into_iter().flatten() {
                match item {
                    ControlMessageOwned::ScmTimestampns(time) => {
                        age = clock::wall().saturating_sub(Duration::from(time));
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                    }
                    ControlMessageOwned::Ipv6HopLimit(limit) => hop_limit = u8::try_from(limit).ok(),
                    _ => {}
                }
            }
            // Every packet has one.
            let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            break (message.bytes, source, destination, hop_limit, age);
        };
        let bytes = &buffer[..length];
        // The age is a difference of calendar times, and a jump of the clock falsifies it; but no packet is older than the last
        // time the queue was empty.
        let now = clock::now();
        let at = Instant::from_nanos(now.as_nanos().saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)));
        let at = at.max(self.drained).min(now);
        match (self.family, source, destination, hop_limit) {
            (Family::V4, ..) => {
                Some(ipv4(bytes).map(|(payload, carrier)| Packet { payload, carrier, at }).ok_or(source))
            }
            (Family::V6, IpAddr::V6(source), Some(IpAddr::V6(destination)), Some(hop_limit)) => {
                let endpoints = Endpoints::V6 { source, destination };
                Some(Ok(Packet { payload: bytes, carrier: Carrier { endpoints, hop_limit }, at }))
            }
            (Family::V6, ..) => Some(Err(source)),
        }
    }

    /// Sends one message to the group, from a virtual MAC.
    pub(crate) fn send_from(&self, mac: Mac, endpoints: &Endpoints, message: &[u8]) -> io::Result<()> {
        let mut frame = self.frame.borrow_mut();
        advertisement(endpoints, mac, message, &mut frame);
        sys::send_frame(&self.frames, self.ifindex, &frame)
    }

    /// Sends one message.
    pub(crate) fn send(&self, endpoints: &Endpoints, message: &[u8]) -> io::Result<()> {
        let parts = [IoSlice::new(message)];
        let fd = self.socket.as_raw_fd();
        let sent = match *endpoints {
            Endpoints::V4 { source, destination } => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: self.ifindex.cast_signed(),
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                sendmsg(fd, &parts, &[ControlMessage::Ipv4PacketInfo(&info)], MsgFlags::MSG_DONTWAIT, Some(&to))
            }
            Endpoints::V6 { source, destination } => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: self.ifindex,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, self.ifindex));
                sendmsg(fd, &parts, &[ControlMessage::Ipv6PacketInfo(&info)], MsgFlags::MSG_DONTWAIT, Some(&to))
            }
        };
        sent.map(drop).map_err(io::Error::from)
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Takes the IPv4 header off, which a raw socket delivers, and what a driver may have left behind the packet.
fn ipv4(bytes: &[u8]) -> Option<(&[u8], Carrier)> {
    let header = bytes.get(..IPV4_HEADER_BYTES)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let payload = bytes.get(header_length.max(IPV4_HEADER_BYTES)..total.min(bytes.len()))?;
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let endpoints = Endpoints::V4 { source: address(12), destination: address(16) };
    Some((payload, Carrier { endpoints, hop_limit: header[8] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V8 and N8 of the reference: keepalived 2.2.7's advertisement, bare and padded to the shortest Ethernet frame.
    #[test]
    fn the_header_says_where_a_packet_ends() {
        let packet = [
            0x45, 0xc0, 0x00, 0x20, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xd0, 0x4c, 10, 77, 0, 1, 224, 0, 0, 18, 0x31,
            0x33, 0xc8, 0x01, 0x00, 0x64, 0x10, 0xd9, 10, 77, 0, 100,
        ];
        let padded = [packet.as_slice(), &[0; 14]].concat();
        for bytes in [packet.as_slice(), &padded] {
            let (payload, carrier) = ipv4(bytes).unwrap();
            assert_eq!((payload.len(), carrier.hop_limit), (12, 255));
            assert_eq!(carrier.endpoints, Endpoints::multicast(IpAddr::from([10, 77, 0, 1])));
            assert!(vrrp::receive::screen(payload, &carrier).is_ok());
        }
        for cut in 0..20 {
            assert!(ipv4(&packet[..cut]).is_none());
        }
        assert!(ipv4(&[&[0x4f][..], &packet[1..]].concat()).is_none(), "the header is longer than the packet");
    }

    /// What comes behind a packet with a bad header is not left for another turn, which nothing may bring about.
    #[test]
    fn a_bad_header_is_told_and_the_next_packet_follows() {
        let (mut port, address) = Port::on_loopback(1);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let good =
            [[0x45, 0xc0, 0, 24].as_slice(), &[0; 4], &[255, 112, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18], &[1; 4]].concat();
        for bytes in [&good[..7], &good, &good[..19], &good] {
            sender.send_to(bytes, address).unwrap();
        }
        let mut buffer = Box::new([0; PACKET_BYTES]);
        let mut seen = Vec::new();
        while let Some(packet) = port.receive(&mut buffer) {
            seen.push(packet.map(|packet| packet.payload.len()));
        }
        let stranger = Err(IpAddr::from([127, 0, 0, 1]));
        assert_eq!(seen, [stranger, Ok(4), stranger, Ok(4)]);
    }
}
