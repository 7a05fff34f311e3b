//! Asking another process of the box on its socket: one request, one reply, without holding up anybody else.
//!
//! Each request is a connection of its own, so that a long one (`init setup`) does not delay the next. What is asked is in [`crate::initd`] and
//! [`crate::vrrpd`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use yoke_control::Frames;

/// Why there is no answer: a sentence that begins with who does not give it.
#[derive(Debug, thiserror::Error)]
#[error("{who}: {why}")]
pub(crate) struct Error {
    who: &'static str,
    #[source]
    why: Why,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Why {
    /// Nobody listens: not the box but a test, or it is starting.
    #[error("does not answer: {0}")]
    Absent(#[source] io::Error),
    /// The exchange failed half way.
    #[error("{0}")]
    Control(#[from] yoke_control::Error),
    /// Too late.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// It answered something else.
    #[error("unexpected answer")]
    Unexpected,
}

/// A process that answers.
#[derive(Debug, Clone)]
pub(crate) struct Callee {
    who: &'static str,
    socket: PathBuf,
}

impl Callee {
    pub(crate) fn new(who: &'static str, socket: PathBuf) -> Self {
        Self { who, socket }
    }

    /// What this process is to blame for.
    pub(crate) fn error(&self, why: impl Into<Why>) -> Error {
        Error { who: self.who, why: why.into() }
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.error(Why::Absent(e)))?;
        Ok(Connection { stream, frames: Frames::default() })
    }

    /// Asks, and waits for the answer at most `limit`. `asked` fires, or is dropped, once the request is out.
    pub(crate) async fn call<Reply: DeserializeOwned>(
        &self,
        request: &impl Serialize,
        limit: Duration,
        asked: Option<oneshot::Sender<()>>,
    ) -> Result<Reply, Error> {
        let exchange = async {
            let mut connection = self.connect().await?;
            connection.send(request).await.map_err(|e| self.error(e))?;
            if let Some(asked) = asked {
                // Nobody may be waiting for it any more.
                let _ = asked.send(());
            }
            connection.receive().await.map_err(|e| self.error(e))
        };
        tokio::time::timeout(limit, exchange).await.map_err(|_| self.error(Why::Timeout(limit)))?
    }
}

/// Requests out, replies in.
pub(crate) struct Connection {
    stream: UnixStream,
    frames: Frames,
}

impl Connection {
    pub(crate) async fn send(&mut self, request: &impl Serialize) -> Result<(), yoke_control::Error> {
        self.stream.write_all(&yoke_control::emit(request)?).await.map_err(yoke_control::Error::Io)
    }

    /// The next reply. May be dropped half way: what has arrived is kept.
    pub(crate) async fn receive<Reply: DeserializeOwned>(&mut self) -> Result<Reply, yoke_control::Error> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(reply) = self.frames.pop()? {
                return Ok(reply);
            }
            match self.stream.read(&mut chunk).await.map_err(yoke_control::Error::Io)? {
                0 => return Err(yoke_control::Error::Closed),
                n => self.frames.push(&chunk[..n])?,
            }
        }
    }
}
