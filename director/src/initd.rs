//! The director's side of `/run/yoke/init.sock`: one request, one reply, without holding up anybody else.
//!
//! Each request is a connection of its own, so that a long `init setup` does not delay the next question.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use yoke_control::Frames;
use yoke_init::request::{LogLine, Reply, Request, ServiceStatus};

/// How long `init setup` may take: drivers and links come up within seconds, a box full of VLANs within tens.
const SETUP_LIMIT: Duration = Duration::from_secs(60);
/// How long PID 1 may take for anything else; it never waits itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody listens: not the box but a test, or init is starting.
    #[error("init does not answer: {0}")]
    Absent(#[source] io::Error),
    /// The exchange failed half way.
    #[error("init: {0}")]
    Control(#[from] yoke_control::Error),
    /// Too late.
    #[error("init: no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// It said no.
    #[error("init: {0}")]
    Refused(String),
    /// It answered something else.
    #[error("init: unexpected answer")]
    Unexpected,
}

/// PID 1, as the director sees it.
#[derive(Debug, Clone)]
pub(crate) struct Init {
    socket: PathBuf,
}

impl Init {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Runs `init setup` on the running configuration and returns its problems. `asked` fires, or is dropped, once init knows.
    pub(crate) async fn setup(&self, asked: Option<oneshot::Sender<()>>) -> Result<Vec<String>, Error> {
        match self.call(&Request::Setup, SETUP_LIMIT, asked).await? {
            Reply::Setup { problems } => Ok(problems),
            _ => Err(Error::Unexpected),
        }
    }

    /// Has `services.json` read again.
    pub(crate) async fn services(&self) -> Result<(), Error> {
        self.done(&Request::Services).await
    }

    /// Restarts the machine, or switches it off.
    pub(crate) async fn stop(&self, power_off: bool) -> Result<(), Error> {
        self.done(if power_off { &Request::PowerOff } else { &Request::Reboot }).await
    }

    /// Services, and what went wrong at boot.
    pub(crate) async fn status(&self) -> Result<(Vec<ServiceStatus>, Vec<String>), Error> {
        match self.call(&Request::Status, ANSWER_LIMIT, None).await? {
            Reply::Status { services, warnings } => Ok((services, warnings)),
            _ => Err(Error::Unexpected),
        }
    }

    /// The last `lines` lines of the log ring, 0 for all.
    pub(crate) async fn log(&self, lines: u32) -> Result<Vec<LogLine>, Error> {
        match self.call(&Request::Log { lines }, ANSWER_LIMIT, None).await? {
            Reply::Log { lines } => Ok(lines),
            _ => Err(Error::Unexpected),
        }
    }

    async fn done(&self, request: &Request) -> Result<(), Error> {
        match self.call(request, ANSWER_LIMIT, None).await? {
            Reply::Done => Ok(()),
            _ => Err(Error::Unexpected),
        }
    }

    async fn call(
        &self,
        request: &Request,
        limit: Duration,
        asked: Option<oneshot::Sender<()>>,
    ) -> Result<Reply, Error> {
        match tokio::time::timeout(limit, self.exchange(request, asked)).await {
            Ok(Ok(Reply::Failed { why })) => Err(Error::Refused(why)),
            Ok(reply) => reply,
            Err(_) => Err(Error::Timeout(limit)),
        }
    }

    async fn exchange(&self, request: &Request, asked: Option<oneshot::Sender<()>>) -> Result<Reply, Error> {
        let mut stream = UnixStream::connect(&self.socket).await.map_err(Error::Absent)?;
        stream.write_all(&yoke_control::emit(request)?).await.map_err(yoke_control::Error::Io)?;
        if let Some(asked) = asked {
            // Nobody may be waiting for it any more.
            let _ = asked.send(());
        }
        let mut frames = Frames::default();
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(reply) = frames.pop()? {
                return Ok(reply);
            }
            match stream.read(&mut chunk).await.map_err(yoke_control::Error::Io)? {
                0 => return Err(yoke_control::Error::Closed.into()),
                n => frames.push(&chunk[..n])?,
            }
        }
    }
}
