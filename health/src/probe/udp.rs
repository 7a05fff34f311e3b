//! A datagram: the answer it gets, or that nobody refuses it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::{Tried, quoted, words};

/// A socket that hears that server only, and what the network says of it.
pub(super) async fn socket(server: SocketAddr) -> Result<UdpSocket, String> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(|error| format!("socket: {}", words(&error)))?;
    socket.connect(server).await.map_err(|error| format!("connect: {}", words(&error)))?;
    Ok(socket)
}

/// Sends `payload`. With an expression the answer has to match it; without one any answer is good, and silence for as long as there is time.
pub(super) async fn ask(server: SocketAddr, payload: &str, regex: Option<&str>, timeout: Duration) -> Tried {
    let socket = socket(server).await?;
    let sent = socket.send(payload.as_bytes()).await;
    sent.map_err(|error| format!("send: {}", words(&error)))?;
    let mut answer = [0; 2048];
    let heard = socket.recv(&mut answer);
    let length = match regex {
        Some(_) => heard.await,
        // Silence is what most protocols answer to what they do not know; only a refusal says that nobody is there.
        None => match tokio::time::timeout(timeout.mul_f32(0.9), heard).await {
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
