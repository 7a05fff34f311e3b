//! A connection, and its end without a trace.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::{Stage, words};

/// Connects. Dropping it resets the connection: the probe has its answer, and an orderly end would leave a port waiting here for a minute
/// after each of thousands of probes.
pub(super) async fn connect(server: SocketAddr, stage: &Stage) -> Result<TcpStream, String> {
    stage.set("answer to connect");
    let stream = TcpStream::connect(server).await.map_err(|error| format!("connect: {}", words(&error)))?;
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    stage.set("reply");
    Ok(stream)
}
