//! A datagram: the answer it gets, or that nobody refuses it.

use std::io;

use socket2::Type;
use tokio::net::UdpSocket;

use super::{Server, Tried, Via, any, quoted, words};

/// A socket that hears that server only, and what the network says of it.
pub(super) async fn socket(server: Server) -> Result<UdpSocket, String> {
    if let Some(via) = server.via {
        match through(server, via).await {
            // This box, a backup perhaps, has no route to the virtual address.
            Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => {}
            other => return other.map_err(|error| format!("connect: {}", words(&error))),
        }
    }
    let socket = UdpSocket::bind((any(server.address), 0)).await.map_err(|e| format!("socket: {}", words(&e)))?;
    socket.connect(server.address).await.map_err(|error| format!("connect: {}", words(&error)))?;
    Ok(socket)
}

async fn through(server: Server, via: Via) -> io::Result<UdpSocket> {
    let socket = UdpSocket::from_std(via.socket(server.address, Type::DGRAM)?.into())?;
    socket.connect(via.to(server.address)).await?;
    Ok(socket)
}

/// Sends `payload`. With an expression the answer has to match it; without one any answer is good, and silence for as long as there is time.
pub(super) async fn ask(server: Server, payload: &str, regex: Option<&str>) -> Tried {
    let socket = socket(server).await?;
    let sent = socket.send(payload.as_bytes()).await;
    sent.map_err(|error| format!("send: {}", words(&error)))?;
    let mut answer = [0; 2048];
    let heard = socket.recv(&mut answer);
    let length = match regex {
        Some(_) => heard.await,
        // Silence is what most protocols answer to what they do not know; only a refusal says that nobody is there.
        None => match tokio::time::timeout(server.timeout.mul_f32(0.9), heard).await {
            Ok(heard) => heard,
            Err(_) => return Ok(()),
        },
    };
    let length = length.map_err(|error| format!("reply: {}", words(&error)))?;
    let answer = answer.get(..length).unwrap_or_default();
    let Some(regex) = regex else { return Ok(()) };
    let regex = regex_lite::Regex::new(regex).map_err(|error| format!("expect regex: {error}"))?;
    if regex.is_match(&String::from_utf8_lossy(answer)) {
        Ok(())
    } else {
        Err(format!("the reply {} does not match the expression", quoted(answer)))
    }
}
