//! An echo, over the kernel's ICMP datagram sockets: they need no privilege (`net.ipv4.ping_group_range`) and hear only their own replies.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{Tried, words};

/// What an echo carries: enough to tell it from a stranger's.
const PAYLOAD: &[u8] = b"yoke health check";
/// ICMP and ICMPv6 echo request (RFC 792, RFC 4443 §4.1).
const ECHO_V4: u8 = 8;
const ECHO_V6: u8 = 128;

pub(super) async fn ask(server: IpAddr) -> Tried {
    let (domain, protocol, echo) = match server {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, ECHO_V4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, ECHO_V6),
    };
    let socket =
        Socket::new(domain, Type::DGRAM.nonblocking(), Some(protocol)).map_err(|e| format!("socket: {}", words(&e)))?;
    // To tokio a datagram socket is a datagram socket.
    let socket = UdpSocket::from_std(socket.into()).map_err(|e| format!("socket: {}", words(&e)))?;
    socket.connect(SocketAddr::new(server, 0)).await.map_err(|e| format!("connect: {}", words(&e)))?;
    // The kernel fills in identifier and checksum.
    let request = [&[echo, 0, 0, 0, 0, 0, 0, 1], PAYLOAD].concat();
    socket.send(&request).await.map_err(|e| format!("send: {}", words(&e)))?;
    let mut answer = [0; 256];
    loop {
        let length = socket.recv(&mut answer).await.map_err(|e| format!("reply: {}", words(&e)))?;
        if answer.get(8..length) == Some(PAYLOAD) {
            return Ok(());
        }
    }
}
