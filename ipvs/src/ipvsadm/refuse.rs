//! Refusals: ipvsadm's words and exit statuses.

use std::fmt;
use std::io;

use crate::wire::Request;
use crate::{Error, Refusal};

/// Why a line was not done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// It does not begin with a command.
    Usage,
    /// A word that is none.
    Word {
        /// As it was typed.
        word: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Words that do not go together, or a value that cannot be.
    Wrong(String),
    /// The kernel refused.
    Refused(String),
    /// A service to be listed is not there.
    NotListed(String),
    /// The kernel has no IPVS, or does not let us.
    NoKernel(String),
    /// Standard output, or a file.
    Io(io::Error),
}

impl Failure {
    /// The exit status. ipvsadm returns -1 where 255 stands.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Usage | Self::Word { .. } | Self::Refused(_) => 255,
            Self::Wrong(_) | Self::NoKernel(_) => 2,
            Self::NotListed(_) | Self::Io(_) => 1,
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str("Try `ipvsadm -h' or 'ipvsadm --help' for more information."),
            Self::Word { word, problem } => write!(f, "{word}: {problem}"),
            Self::Wrong(text) | Self::Refused(text) | Self::NotListed(text) => f.write_str(text),
            Self::NoKernel(text) => write!(
                f,
                "Can't initialize ipvs: {text}\nAre you sure that IP Virtual Server is built in the kernel or as module?"
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// A failed request in ipvsadm's words.
#[must_use]
pub fn failed(error: &Error) -> Failure {
    match error {
        Error::Refused { request, refusal } => Failure::Refused(refused(request, *refusal)),
        Error::NoIpvs => Failure::NoKernel("Protocol not available".into()),
        Error::Open(_) | Error::Netmask { .. } | Error::Socket { .. } | Error::Reply { .. } => {
            Failure::Refused(error.to_string())
        }
    }
}

fn refused(request: &Request, refusal: Refusal) -> String {
    let adds_to_service =
        matches!(request, Request::NewDestination(..) | Request::SetDestination(..) | Request::DelDestination(..));
    let text = match refusal {
        Refusal::NotPermitted => "Permission denied (you must be root)",
        Refusal::ServiceExists => "Service already exists",
        Refusal::NoService if adds_to_service => "Service not defined",
        Refusal::NoService => "No such service",
        Refusal::NoSchedulerOrEngine => "Scheduler or persistence engine not found",
        Refusal::DestinationExists => "Destination already exists",
        Refusal::NoDestination => "No such destination",
        Refusal::OutOfRange => "Numerical result out of range",
        Refusal::InvalidService | Refusal::InvalidDestination | Refusal::InvalidDaemon | Refusal::InvalidTimeout => {
            "Invalid operation.  Possibly wrong module version, address not unicast, ..."
        }
        Refusal::DaemonRunning => "Daemon has already run",
        Refusal::NoDaemon => "No daemon is running",
        Refusal::NoInterface => "No such device",
        Refusal::FamilyUnsupported => "Operation not supported with specified address family",
        Refusal::NoMemory => "Memory allocation problem",
        Refusal::Other(errno) => {
            // Without the "(os error N)" that is Rust's.
            let text = io::Error::from_raw_os_error(errno).to_string();
            return text.split(" (os error").next().unwrap_or_default().to_owned();
        }
    };
    text.to_owned()
}
