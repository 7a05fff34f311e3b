//! What the director asks of init on `/run/yoke/init.sock`.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;
use yoke_init::request::{LogLine, Reply, Request, ServiceStatus};

use crate::caller::{Callee, Error, Why};

/// How long `init setup` may take: drivers and links come up within seconds, a box full of VLANs within tens.
const SETUP_LIMIT: Duration = Duration::from_secs(60);
/// How long PID 1 may take for anything else; it never waits itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// PID 1, as the director sees it.
#[derive(Debug, Clone)]
pub(crate) struct Init(Callee);

impl Init {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self(Callee::new("init", socket))
    }

    /// Runs `init setup` on the running configuration and returns its problems. `asked` fires, or is dropped, once init knows.
    pub(crate) async fn setup(&self, asked: Option<oneshot::Sender<()>>) -> Result<Vec<String>, Error> {
        match self.call(&Request::Setup, SETUP_LIMIT, asked).await? {
            Reply::Setup { problems } => Ok(problems),
            _ => Err(self.0.error(Why::Unexpected)),
        }
    }

    /// Has the file system of `/flash` made anew and returns its problems.
    pub(crate) async fn format(&self) -> Result<Vec<String>, Error> {
        match self.call(&Request::Format, SETUP_LIMIT, None).await? {
            Reply::Setup { problems } => Ok(problems),
            _ => Err(self.0.error(Why::Unexpected)),
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

    /// A firmware on trial is healthy.
    pub(crate) async fn healthy(&self) -> Result<(), Error> {
        self.done(&Request::Healthy).await
    }

    /// It is not, and why.
    pub(crate) async fn unhealthy(&self, why: String) -> Result<(), Error> {
        self.done(&Request::Unhealthy { why }).await
    }

    /// A firmware on trial was committed.
    pub(crate) async fn trial_over(&self) -> Result<(), Error> {
        self.done(&Request::TrialOver).await
    }

    /// Services, and what went wrong at boot.
    pub(crate) async fn status(&self) -> Result<(Vec<ServiceStatus>, Vec<String>), Error> {
        match self.call(&Request::Status, ANSWER_LIMIT, None).await? {
            Reply::Status { services, warnings } => Ok((services, warnings)),
            _ => Err(self.0.error(Why::Unexpected)),
        }
    }

    /// The last `lines` lines of the log ring, 0 for all.
    pub(crate) async fn log(&self, lines: u32) -> Result<Vec<LogLine>, Error> {
        match self.call(&Request::Log { lines }, ANSWER_LIMIT, None).await? {
            Reply::Log { lines } => Ok(lines),
            _ => Err(self.0.error(Why::Unexpected)),
        }
    }

    /// Shows no line any more that is in the log ring now.
    pub(crate) async fn clear_log(&self) -> Result<(), Error> {
        self.done(&Request::ClearLog).await
    }

    async fn done(&self, request: &Request) -> Result<(), Error> {
        match self.call(request, ANSWER_LIMIT, None).await? {
            Reply::Done => Ok(()),
            _ => Err(self.0.error(Why::Unexpected)),
        }
    }

    async fn call(
        &self,
        request: &Request,
        limit: Duration,
        asked: Option<oneshot::Sender<()>>,
    ) -> Result<Reply, Error> {
        match self.0.call(request, limit, asked).await? {
            Reply::Failed { why } => Err(self.0.error(Why::Refused(why))),
            reply => Ok(reply),
        }
    }
}
