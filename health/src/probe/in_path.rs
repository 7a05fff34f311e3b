//! The way of clients, and the server's own address beside it: which of the two is wrong.
//!
//! What fails before a packet has left is this box's fault ([`Trouble::Ours`]): then nobody was asked, and the server's own address is. What comes
//! back is the server's, also where a router or the server itself says that nothing can be reached.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::time::timeout;

use super::{Server, Stage, Via, any, words};

/// The part of a timeout after which a server that is silent on the way of clients is asked at its own address as well, to say what is wrong.
const DOUBT: f32 = 0.5;
/// The part after which it has failed.
pub(super) const DESPAIR: f32 = 0.9;

/// Why a server could not be asked the way of clients.
pub(super) enum Trouble {
    /// This box could not ask.
    Ours(String),
    /// It was asked.
    Theirs(String),
}

/// A socket that has begun to connect to the virtual address, from an address of the box that the server's answers find: not the virtual one, which
/// the kernel would take by itself.
pub(super) fn socket(server: Server, via: Via, type_: Type) -> Result<Socket, Trouble> {
    begin(server.address, via, type_).map_err(|error| Trouble::Ours(error.to_owned()))
}

fn begin(server: SocketAddr, via: Via, type_: Type) -> Result<Socket, String> {
    let said = |error: io::Error| words(&error);
    let own = own_address(server).map_err(|error| format!("no way to {}: {}", server.ip(), words(&error)))?;
    if own == via.address {
        // Clients may be served, and nobody can ask in their place.
        return Err(format!("this box has no address beside {own} to ask from"));
    }
    let socket = Socket::new(Domain::for_address(server), type_.nonblocking(), None).map_err(said)?;
    socket.set_mark(via.passage.mark).map_err(said)?;
    if let Some(hops) = via.passage.hops {
        let set = if server.is_ipv4() { Socket::set_ttl_v4 } else { Socket::set_unicast_hops_v6 };
        set(&socket, u32::from(hops)).map_err(said)?;
    }
    // Checks of other virtual addresses may have the same port.
    socket.set_reuse_address(true).map_err(said)?;
    let port = via.passage.port.unwrap_or(0);
    socket.bind(&SocketAddr::new(own, port).into()).map_err(|error| format!("port {port}: {}", words(&error)))?;
    let to = SocketAddr::new(via.address, server.port());
    match socket.connect(&to.into()) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => Ok(socket),
        // Nothing can have come back yet: what does is read from the socket later.
        Err(error) => Err(format!("no way to {}: {}", via.address, words(&error))),
    }
}

/// As Linux numbers it.
const EINPROGRESS: i32 = 115;

/// The address from which this box asks a server.
fn own_address(server: SocketAddr) -> io::Result<std::net::IpAddr> {
    let nearest = UdpSocket::bind((any(server), 0))?;
    nearest.connect(server)?;
    Ok(nearest.local_addr()?.ip())
}

/// Whether a socket of [`socket`] that has become writable is connected.
pub(super) fn connected(socket: SockRef<'_>) -> Result<(), Trouble> {
    match socket.take_error() {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(Trouble::Theirs(words(&error))),
    }
}

/// Asks `through` the way of clients. When that fails, the server `itself` says whether it is the server or the way; where this box cannot go that
/// way, it alone counts. `what` is asked, as a failure begins.
pub(super) async fn ask<T>(
    server: Server,
    via: Via,
    (what, stage): (&str, &Stage),
    through: impl Future<Output = Result<T, Trouble>>,
    itself: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let (mut through, mut itself) = (pin!(through), pin!(itself));
    let early = timeout(server.timeout.mul_f32(DOUBT), &mut through).await;
    let rest = server.timeout.mul_f32(DESPAIR - DOUBT);
    let (why, itself) = match early {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(Trouble::Ours(why))) => {
            stage.aside(why);
            return itself.await;
        }
        Ok(Err(Trouble::Theirs(why))) => (why, timeout(rest, itself).await.ok()),
        Err(_) => {
            let mut late = pin!(timeout(rest, through));
            let mut answer = None;
            let late = loop {
                tokio::select! {
                    late = &mut late => break late,
                    own = &mut itself, if answer.is_none() => answer = Some(own),
                }
            };
            let why = match late {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(Trouble::Ours(why) | Trouble::Theirs(why))) => why,
                Err(_) => silence(server.timeout),
            };
            (why, answer)
        }
    };
    let (address, virtual_) = (server.address.ip(), via.address);
    Err(match itself {
        Some(Ok(_)) => format!(
            "{what} to {virtual_} there: {why}, though {address} answers: is {virtual_} on its lo, and does the service listen there?"
        ),
        Some(Err(own)) => own,
        None => format!("{what}: {why}"),
    })
}

fn silence(timeout: Duration) -> String {
    format!("no answer in {:.1} s", timeout.mul_f32(DESPAIR).as_secs_f32())
}
