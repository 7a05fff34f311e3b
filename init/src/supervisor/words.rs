//! What goes into the supervisor and what comes out of it, and the description of a service.

use std::fmt;
use std::time::Duration;

use crate::request::ServiceSpec;

/// A service and how to judge it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// What to run.
    pub spec: ServiceSpec,
    /// Whether it says READY=1 (sd_notify); otherwise it is running as soon as it is executed.
    pub notify: bool,
    /// Longest silence between two WATCHDOG=1, once it is ready.
    pub watchdog: Option<Duration>,
    /// Its controlling terminal, such as `ttyS0`; a console is started again at once when it ends orderly.
    pub terminal: Option<String>,
}

impl From<&ServiceSpec> for Service {
    /// One of the configuration's.
    fn from(spec: &ServiceSpec) -> Self {
        let watchdog = (spec.watchdog_s > 0).then(|| Duration::from_secs(spec.watchdog_s.into()));
        Self { spec: spec.clone(), notify: spec.notify, watchdog, terminal: None }
    }
}

/// Which command of a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `spec.before[n]`.
    Before(usize),
    /// `spec.argv`.
    Main,
    /// `spec.release`.
    Release,
}

/// What the supervisor wants done. Effects never fail; what comes of them is an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start a command of a service; answer with [`super::Supervisor::handle_spawned`].
    Spawn {
        /// The service.
        name: String,
        /// Which of its commands.
        step: Step,
    },
    /// Send a signal to the process group of `pid`.
    Signal {
        /// Leader of the group.
        pid: i32,
        /// Which.
        signal: Signal,
    },
    /// Write a line to the log.
    Log(String),
    /// After [`super::Supervisor::handle_shutdown`]: nothing runs any more, or the limit has passed.
    AllStopped,
}

/// The signals a supervisor sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in signal(7)")]
pub enum Signal {
    Abort,
    Term,
    Kill,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It never became the program: a sentence without the program's name.
    NotStarted(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Self::NotStarted(why) => f.write_str(why),
        }
    }
}

/// What a service said by sd_notify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`.
    Ready,
    /// `WATCHDOG=1`.
    Alive,
    /// `WATCHDOG=trigger`: it found itself broken.
    Broken,
    /// `STATUS=...`.
    Status(String),
}
