//! A connection, and its end without a trace.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use socket2::{SockRef, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{Server, Stage, Via, words};

/// The part of a timeout after which a server that is silent on the way of clients is asked at its own address as well, to say what is wrong.
const DOUBT: f32 = 0.5;
/// The part after which it has failed.
const DESPAIR: f32 = 0.9;

/// Connects. Dropping it resets the connection: the probe has its answer, and an orderly end would leave a port waiting here for a minute
/// after each of thousands of probes.
pub(super) async fn connect(server: Server, stage: &Stage) -> Result<TcpStream, String> {
    stage.set("answer to connect");
    let stream = match server.via {
        None => plain(server.address).await?,
        Some(via) => in_path(server, via).await?,
    };
    stage.set("reply");
    Ok(stream)
}

async fn plain(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {}", words(&error)))?;
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    Ok(stream)
}

/// Connects as clients do. When that fails, the server's own address says whether it is the server or the way.
async fn in_path(server: Server, via: Via) -> Result<TcpStream, String> {
    let mut through = pin!(through(server.address, via));
    let early = timeout(server.timeout.mul_f32(DOUBT), &mut through).await;
    let rest = server.timeout.mul_f32(DESPAIR - DOUBT);
    let mut itself = pin!(timeout(rest, plain(server.address)));
    let (why, itself) = match early {
        Ok(Ok(stream)) => return Ok(stream),
        // Nobody was asked: this box, a backup perhaps, has no route to the virtual address.
        Ok(Err(error)) if error.kind() == io::ErrorKind::NetworkUnreachable => return plain(server.address).await,
        Ok(Err(error)) => (words(&error), Some(itself.await)),
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
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => words(&error),
                Err(_) => format!("no answer in {:.1} s", (server.timeout.mul_f32(DESPAIR)).as_secs_f32()),
            };
            (why, answer)
        }
    };
    let (address, virtual_) = (server.address.ip(), via.address);
    Err(match itself {
        Some(Ok(Ok(_))) => format!(
            "connect to {virtual_} there: {why}, though {address} answers: is {virtual_} on its lo, and does the service listen there?"
        ),
        Some(Ok(Err(own))) => own,
        Some(Err(_)) | None => format!("connect: {why}"),
    })
}

async fn through(server: SocketAddr, via: Via) -> io::Result<TcpStream> {
    let socket = via.socket(server, Type::STREAM)?;
    // From here it closes without a trace, whatever becomes of it.
    socket.set_linger(Some(Duration::ZERO))?;
    TcpSocket::from_std_stream(socket.into()).connect(via.to(server)).await
}
