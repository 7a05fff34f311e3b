//! A connection, and its end without a trace.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, Type};
use tokio::net::TcpStream;

use super::in_path::{self, Trouble};
use super::{Server, Stage, Via, words};

/// Connects. Dropping it resets the connection: the probe has its answer, and an orderly end would leave a port waiting here for a minute
/// after each of thousands of probes.
pub(super) async fn connect(server: Server, stage: &Stage) -> Result<TcpStream, String> {
    stage.set("answer to connect");
    let stream = match server.via {
        None => plain(server.address).await?,
        Some(via) => {
            let asked = ("connect", stage);
            in_path::ask(server, via, asked, through(server, via), plain(server.address)).await?
        }
    };
    stage.set("reply");
    Ok(stream)
}

async fn plain(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {}", words(&error)))?;
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    Ok(stream)
}

async fn through(server: Server, via: Via) -> Result<TcpStream, Trouble> {
    let ours = |error: std::io::Error| Trouble::Ours(words(&error));
    let socket = in_path::socket(server, via, Type::STREAM)?;
    // From here it closes without a trace, whatever becomes of it.
    socket.set_linger(Some(Duration::ZERO)).map_err(ours)?;
    let stream = TcpStream::from_std(socket.into()).map_err(ours)?;
    stream.writable().await.map_err(ours)?;
    in_path::connected(SockRef::from(&stream))?;
    Ok(stream)
}
