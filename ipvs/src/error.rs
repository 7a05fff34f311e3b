//! What can go wrong, in the kernel's nouns: which request, on what object, and what the errno means for it.
//!
//! An errno means nothing without its command: `ENOENT` is a missing destination to one and an unknown scheduler to another. [`Refusal`] is
//! that table, made from captures of a running kernel.

use std::io;

use crate::wire::{ParseError, Request};

/// A request that did not succeed. Unless it is [`Error::Refused`], whether the kernel acted is unknown: observe again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The netlink socket could not be opened or set up.
    #[error("open a generic netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The kernel has no IPVS, or could not load it.
    #[error("the kernel has no IPVS: load the module ip_vs")]
    NoIpvs,
    /// The kernel said no.
    #[error("{request}: {refusal}")]
    Refused {
        /// What was asked.
        request: Box<Request>,
        /// Why not.
        refusal: Refusal,
    },
    /// The netmask of a service's persistence is of the other address family. Nothing was sent.
    #[error("{request}: the netmask of its persistence is not of its address family")]
    Netmask {
        /// What was to be asked.
        request: Box<Request>,
    },
    /// The socket failed.
    #[error("{request}: netlink: {source}")]
    Socket {
        /// What was being asked.
        request: Box<Request>,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// The answer was cut, or is not one to this request.
    #[error("{request}: the kernel's answer cannot be trusted: {source}")]
    Reply {
        /// What was asked.
        request: Box<Request>,
        /// What is wrong with the answer.
        #[source]
        source: ReplyError,
    },
}

impl Error {
    /// Why the kernel refused, if it did.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            Self::Open(_) | Self::NoIpvs | Self::Netmask { .. } | Self::Socket { .. } | Self::Reply { .. } => None,
        }
    }
}

/// An answer that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The bytes are not what the kernel sends.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A datagram was longer than the buffer and lost its end.
    #[error("{length} bytes were cut to {room}")]
    Truncated {
        /// Its length.
        length: usize,
        /// The buffer's.
        room: usize,
    },
    /// The answer to another request.
    #[error("it answers request {found} and not {expected}")]
    Sequence {
        /// The request (the last, of several).
        expected: u32,
        /// The request it answers.
        found: u32,
    },
    /// A message of another kind than this request is answered with.
    #[error("unexpected message of kind {0}")]
    Unexpected(u16),
    /// An acknowledgement where data was asked for.
    #[error("no data came")]
    Empty,
    /// The table changed under each of several dumps.
    #[error("the table changed while it was being listed")]
    Interrupted,
    /// No answer came, though asked for more than once.
    #[error("no answer came, or it was lost")]
    Lost,
}

/// Why the kernel said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller lacks `CAP_NET_ADMIN` in this network namespace.
    #[error("not permitted: needs CAP_NET_ADMIN")]
    NotPermitted,
    /// A service of that identity exists.
    #[error("the service exists already")]
    ServiceExists,
    /// No service of that identity.
    #[error("no such service")]
    NoService,
    /// The scheduler or the persistence engine is neither loaded nor loadable. The kernel does not say which.
    #[error("the scheduler or the persistence engine is not in the kernel")]
    NoSchedulerOrEngine,
    /// A destination of that identity exists in the service.
    #[error("the destination exists already")]
    DestinationExists,
    /// No destination of that identity in the service.
    #[error("no such destination")]
    NoDestination,
    /// A weight below 0, or a lower threshold above the upper.
    #[error("a weight or a threshold is out of range")]
    OutOfRange,
    /// An option of a service that cannot be, such as an IPv6 persistence prefix outside 1 to 128.
    #[error("an option is invalid")]
    InvalidService,
    /// The destination's address is not unicast, its family is not the service's and it is not tunnelled (or a sync daemon runs), or its
    /// tunnel has no port.
    #[error("the address is not unicast or of the wrong family, or the tunnel is incomplete")]
    InvalidDestination,
    /// A sync daemon of that role runs.
    #[error("the daemon runs already")]
    DaemonRunning,
    /// No sync daemon of that role runs.
    #[error("the daemon does not run")]
    NoDaemon,
    /// No interface of that name.
    #[error("no such interface")]
    NoInterface,
    /// A value cannot be, or a destination of another family than its service's exists: those cannot be synced.
    #[error("a value is invalid, or a destination is of another family than its service")]
    InvalidDaemon,
    /// A timeout is out of range.
    #[error("a timeout is out of range")]
    InvalidTimeout,
    /// The kernel has no IPv6.
    #[error("the kernel does not support this address family")]
    FamilyUnsupported,
    /// The kernel is out of memory.
    #[error("the kernel is out of memory")]
    NoMemory,
    /// Any other errno.
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

impl Refusal {
    /// What that errno (positive) means as the answer to that request.
    #[must_use]
    pub fn new(request: &Request, errno: i32) -> Self {
        match (Noun::of(request), errno) {
            (_, libc::EPERM) => Self::NotPermitted,
            (_, libc::ENOMEM) => Self::NoMemory,
            (_, libc::EAFNOSUPPORT) => Self::FamilyUnsupported,
            (Noun::Service, libc::EEXIST) => Self::ServiceExists,
            (Noun::Service | Noun::Destination, libc::ESRCH) => Self::NoService,
            (Noun::Service, libc::ENOENT) => Self::NoSchedulerOrEngine,
            (Noun::Service, libc::EINVAL) => Self::InvalidService,
            (Noun::Destination, libc::EEXIST) => Self::DestinationExists,
            (Noun::Destination, libc::ENOENT) => Self::NoDestination,
            (Noun::Destination, libc::EINVAL) => Self::InvalidDestination,
            (Noun::Destination, libc::ERANGE) => Self::OutOfRange,
            (Noun::Daemon, libc::EEXIST) => Self::DaemonRunning,
            (Noun::Daemon, libc::ESRCH) => Self::NoDaemon,
            (Noun::Daemon, libc::ENODEV) => Self::NoInterface,
            (Noun::Daemon, libc::EINVAL) => Self::InvalidDaemon,
            (Noun::Timeouts, libc::EINVAL) => Self::InvalidTimeout,
            (_, errno) => Self::Other(errno),
        }
    }
}

/// What a request is about.
enum Noun {
    Service,
    Destination,
    Daemon,
    Timeouts,
    Nothing,
}

impl Noun {
    fn of(request: &Request) -> Self {
        match request {
            Request::NewService(..)
            | Request::SetService(..)
            | Request::DelService(_)
            | Request::GetService(_)
            | Request::Zero(Some(_)) => Self::Service,
            Request::NewDestination(..)
            | Request::SetDestination(..)
            | Request::DelDestination(..)
            | Request::DumpDestinations(_) => Self::Destination,
            Request::NewDaemon(_) | Request::DelDaemon(_) => Self::Daemon,
            Request::SetTimeouts(_) => Self::Timeouts,
            Request::DumpServices
            | Request::DumpDaemons
            | Request::GetTimeouts
            | Request::GetInfo
            | Request::Zero(None)
            | Request::Flush => Self::Nothing,
        }
    }
}
