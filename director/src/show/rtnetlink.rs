//! Dumps of the kernel's links, addresses, routes and neighbours, for `show`, and the one change that `clear` makes: the network is
//! `init setup`'s to change.
//!
//! One socket for each question, and for all changes of a kind. The kernel answers before the send returns; it may wait
//! before that for its lock for network changes (RTNL), so who asks by itself asks otherwise (`interfaces::links_now`).

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Sends `request` as a dump and returns everything the kernel lists.
///
/// # Errors
/// Those of the socket, the kernel's refusal, and `InvalidData` for an answer that cannot be read. A table that changes while it is listed
/// is listed as it comes: the next `show` sees the rest.
pub(crate) fn dump(request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    let socket = open()?;
    ask(&socket, request, NLM_F_DUMP)?;
    let mut found = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(invalid)?;
            let length = usize::try_from(message.header.length).map_err(invalid)?;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => found.push(inner),
                NetlinkPayload::Done(_) => return Ok(found),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                _ => {}
            }
            // Messages are padded to four bytes; the last one need not be.
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Sends `request` as a change of what the kernel keeps.
///
/// # Errors
/// Those of the socket, the kernel's refusal, and `InvalidData` for an answer that cannot be read.
pub(crate) fn change(socket: &Socket, request: RouteNetlinkMessage) -> io::Result<()> {
    ask(socket, request, NLM_F_ACK)?;
    let (datagram, _) = socket.recv_from_full()?;
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram).map_err(invalid)?;
    match message.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}

/// A socket to the kernel.
///
/// # Errors
/// When there is no descriptor left.
pub(crate) fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

fn ask(socket: &Socket, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(request));
    message.header.flags = flags | NLM_F_REQUEST;
    message.header.sequence_number = 1;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map(drop)
}

fn invalid(e: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}
