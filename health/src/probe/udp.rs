//! A datagram: the answer it gets, or that nobody refuses it.

use socket2::Type;
use tokio::net::UdpSocket;

use super::in_path::{self, DESPAIR, Trouble};
use super::{Server, Stage, Tried, Via, any, quoted, words};

/// Asks by datagrams: `exchange` on a socket that hears that server only, and what the network says of it. Where the way of clients fails, the
/// server's own address is asked too, unless silence is an answer: then there is nothing to compare.
pub(super) async fn converse<F: Future<Output = Tried>>(
    server: Server,
    silence_is_good: bool,
    stage: &Stage,
    exchange: impl Fn(UdpSocket) -> F,
) -> Tried {
    let exchange = &exchange;
    let itself = async { exchange(plain(server).await?).await };
    let Some(via) = server.via else { return itself.await };
    let through = async { exchange(through(server, via)?).await.map_err(Trouble::Theirs) };
    if silence_is_good {
        return match through.await {
            Ok(()) => Ok(()),
            Err(Trouble::Theirs(why)) => Err(why),
            Err(Trouble::Ours(why)) => {
                stage.aside(why);
                itself.await
            }
        };
    }
    in_path::ask(server, via, ("request", stage), through, itself).await
}

async fn plain(server: Server) -> Result<UdpSocket, String> {
    let socket = UdpSocket::bind((any(server.address), 0)).await.map_err(|e| format!("socket: {}", words(&e)))?;
    socket.connect(server.address).await.map_err(|error| format!("connect: {}", words(&error)))?;
    Ok(socket)
}

fn through(server: Server, via: Via) -> Result<UdpSocket, Trouble> {
    let socket = in_path::socket(server, via, Type::DGRAM)?;
    UdpSocket::from_std(socket.into()).map_err(|error| Trouble::Ours(words(&error)))
}

/// Sends `payload`. With an expression the answer has to match it; without one any answer is good, and silence for as long as there is time.
pub(super) async fn ask(server: Server, payload: &str, regex: Option<&str>, stage: &Stage) -> Tried {
    converse(server, regex.is_none(), stage, |socket| one(socket, server, payload, regex)).await
}

async fn one(socket: UdpSocket, server: Server, payload: &str, regex: Option<&str>) -> Tried {
    let sent = socket.send(payload.as_bytes()).await;
    sent.map_err(|error| format!("send: {}", words(&error)))?;
    let mut answer = [0; 2048];
    let heard = socket.recv(&mut answer);
    let length = match regex {
        Some(_) => heard.await,
        // Silence is what most protocols answer to what they do not know; only a refusal says that nobody is there.
        None => match tokio::time::timeout(server.timeout.mul_f32(DESPAIR), heard).await {
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
