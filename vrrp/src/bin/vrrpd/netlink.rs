//! Route netlink without a runtime: dumps, batches of requests with their acknowledgements, and the kernel's own messages about links
//! and addresses. The kernel answers before a send returns, but may be kept from that for seconds by whoever holds its lock; whoever may not
//! wait (the engine) only reads the monitor, and leaves requests and dumps to the other threads.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR (linux/rtnetlink.h).
const GROUPS: [u32; 3] = [1, 5, 9];
/// Room for the messages of a thousand addresses while we are busy; the kernel doubles it.
const MONITOR_BYTES: i32 = 2 << 20;
/// Datagrams in one go, about a millisecond's; what else there is follows after the packets and timers.
const READS_MAX: usize = 64;
/// Only a starved machine makes an answer late.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A request: the message, and the flags besides `NLM_F_REQUEST | NLM_F_ACK`.
pub(crate) type Request = (RouteNetlinkMessage, u16);

/// Asks.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        // Connected, a netlink socket takes nothing from another process.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_rx_buf_sz(MONITOR_BYTES)?;
        socket.set_cap_ack(true)?;
        SockRef::from(&socket).set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Links, then addresses.
    pub(crate) fn everything(&mut self) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut found = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        found.extend(self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?);
        Ok(found)
    }

    fn dump(&mut self, request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence += 1;
        self.socket.send(&emit(request, NLM_F_DUMP | NLM_F_REQUEST, self.sequence), 0)?;
        let mut found = Vec::new();
        loop {
            for message in parse(&self.socket.recv_from_full()?.0)? {
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => found.push(inner),
                    NetlinkPayload::Done(_) => return Ok(found),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }

    /// Sends `requests` at once; what the kernel said to each, in their order.
    pub(crate) fn batch(&mut self, requests: &[Request]) -> io::Result<Vec<io::Result<()>>> {
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        for (message, flags) in requests {
            self.sequence += 1;
            bytes.extend(emit(message.clone(), NLM_F_REQUEST | NLM_F_ACK | flags, self.sequence));
        }
        self.socket.send(&bytes, 0)?;
        let mut answers: Vec<Option<io::Result<()>>> = requests.iter().map(|_| None).collect();
        while answers.iter().any(Option::is_none) {
            for message in parse(&self.socket.recv_from_full()?.0)? {
                let place = usize::try_from(message.header.sequence_number.wrapping_sub(first)).unwrap_or(usize::MAX);
                if let (Some(answer), NetlinkPayload::Error(error)) = (answers.get_mut(place), message.payload) {
                    *answer = Some(if error.code.is_some() { Err(error.to_io()) } else { Ok(()) });
                }
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}

/// Listens.
pub(crate) struct Monitor {
    pub(crate) socket: Socket,
    /// Messages were lost, and the queue was not empty since.
    lost: bool,
}

impl Monitor {
    /// From now on nothing is missed; what was before is for a dump.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_rx_buf_sz(MONITOR_BYTES)?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket, lost: false })
    }

    /// What the kernel has said since, or a part of it; `None` when messages were lost and a dump is needed. The queue is empty then: what
    /// was in it is older than the dump, and the kernel says nothing more before somebody has read it all.
    pub(crate) fn receive(&mut self) -> Option<VecDeque<RouteNetlinkMessage>> {
        let mut found = VecDeque::new();
        for _ in 0..READS_MAX {
            match self.socket.recv_from_full() {
                // Other processes may write to us; only the kernel has port 0.
                Ok((_, from)) if from.port_number() != 0 => {}
                Ok(_) if self.lost => {}
                Ok((bytes, _)) => match parse(&bytes) {
                    Ok(messages) => found.extend(messages.into_iter().filter_map(|message| match message.payload {
                        NetlinkPayload::InnerMessage(inner) => Some(inner),
                        _ => None,
                    })),
                    Err(_) => self.lost = true,
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return if std::mem::take(&mut self.lost) { None } else { Some(found) };
                }
                // ENOBUFS, said once.
                Err(_) => self.lost = true,
            }
        }
        Some(found)
    }
}

fn emit(message: RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(message));
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    message.finalize();
    // In a batch each message begins at a multiple of four (NLMSG_ALIGN).
    let mut bytes = vec![0; message.buffer_len().next_multiple_of(4)];
    message.serialize(&mut bytes);
    bytes
}

fn parse(datagram: &[u8]) -> io::Result<Vec<NetlinkMessage<RouteNetlinkMessage>>> {
    let invalid = |e: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, e.to_string());
    let mut found = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(|e| invalid(&e))?;
        let length = usize::try_from(message.header.length).map_err(|e| invalid(&e))?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        found.push(message);
    }
    Ok(found)
}
