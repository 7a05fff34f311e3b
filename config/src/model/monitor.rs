//! Health monitors, typed: what is asked, what is a good answer, how often, and what a virtual server does with the verdict.
//!
//! Plain data; who asks is the room `health`.

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::value::Name;

use super::Mode;

/// `health-monitor NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monitor {
    /// `description`.
    pub description: Option<String>,
    /// `type` and the lines that belong to it.
    pub check: Check,
    /// `interval`: seconds between the beginnings of two checks, 1-3600, 5.
    pub interval_s: u16,
    /// `timeout`: seconds an attempt may take as a whole, 1-300, 2: one lost SYN is made good, which is repeated after 1 s.
    pub timeout_s: u16,
    /// `retry`: failed attempts that a check forgives, 0-20, 2.
    pub retry: u8,
    /// `retry-delay`: seconds between the beginnings of two attempts of a check, 1-300, 1.
    pub retry_delay_s: u16,
    /// `rise`: good checks in a row until a server that was down is up, 1-20, 1.
    pub rise: u8,
    /// `fall`: failed checks in a row until a server is down, 1-20, 1.
    pub fall: u8,
    /// `port`; needed where the real server's port is `any`.
    pub port: Option<u16>,
}

impl Monitor {
    /// Name of the monitor that judges what comes to a port by tcp when nothing else is said.
    pub const BUILT_IN: &str = "tcp";

    /// What it is before the first line.
    pub const DEFAULT: &Self = &Self {
        description: None,
        check: Check::Tcp { connect: false },
        interval_s: 5,
        timeout_s: 2,
        retry: 2,
        retry_delay_s: 1,
        rise: 1,
        fall: 1,
        port: None,
    };
}

impl Default for Monitor {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Whether a connection would be made.
    Tcp {
        /// `connect`: it is made, and takes its place in the queue of the server's program. One that hangs is found out when that is full.
        connect: bool,
    },
    /// A GET, over TLS or not.
    Http(HttpCheck),
    /// A datagram.
    Udp {
        /// `request payload`; empty: an empty datagram.
        payload: String,
        /// `expect regex`; absent: any answer is good, and none too unless the port is refused.
        regex: Option<String>,
    },
    /// A query.
    Dns {
        /// `request name`; absent: the name servers of the root.
        name: Option<String>,
    },
    /// Greeting and EHLO.
    Smtp {
        /// `request host`: the name said in EHLO; absent: the hostname.
        host: Option<String>,
    },
    /// Echo.
    Icmp,
    /// `program`: a program of the image, called with address and port; exit status 0 is good.
    External {
        /// File name.
        program: String,
    },
}

impl Check {
    /// The word of the configuration.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Http(http) if http.tls.is_some() => "https",
            Self::Http(_) => "http",
            Self::Udp { .. } => "udp",
            Self::Dns { .. } => "dns",
            Self::Smtp { .. } => "smtp",
            Self::Icmp => "icmp",
            Self::External { .. } => "external",
        }
    }

    /// Whether it is made to a port.
    #[must_use]
    pub fn has_port(&self) -> bool {
        !matches!(self, Self::Icmp)
    }
}

/// `type http` and `type https`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpCheck {
    /// `request path`, `/`.
    pub path: String,
    /// `request host`; absent: the server's address.
    pub host: Option<String>,
    /// `expect status`, 200-299.
    pub status: Statuses,
    /// `expect regex`, in the head or the body.
    pub regex: Option<String>,
    /// Of `type https`.
    pub tls: Option<Tls>,
}

/// Ranges of status codes, both ends inclusive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statuses(pub Vec<(u16, u16)>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![(200, 299)])
    }
}

impl Statuses {
    /// Whether the code is among them.
    #[must_use]
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&code))
    }
}

/// As in the configuration: `200-299,304`.
impl std::fmt::Display for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

/// `tls ...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tls {
    /// `tls name`: asked for (SNI) and, where somebody is trusted, expected; absent: the host, or the address.
    pub name: Option<String>,
    /// `tls trust`.
    pub trust: Trust,
}

/// Whose certificate is good.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Trust {
    /// Anybody's: the path to the server is the operator's own.
    #[default]
    Any,
    /// One signed by an authority that browsers trust.
    Public,
    /// One signed by this authority: its certificate, DER.
    Authority(Vec<u8>),
}

/// `health-check {none|NAME}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthCheck {
    /// Always up.
    None,
    /// A monitor, which need not exist.
    Monitor(Name),
}

impl HealthCheck {
    /// By [`Monitor::BUILT_IN`].
    pub(crate) fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<HealthCheck> =
            LazyLock::new(|| HealthCheck::Monitor(Monitor::BUILT_IN.parse().expect("a name")));
        &BUILT_IN
    }
}

/// `sorry-server`: where clients go when quorum is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SorryServer {
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 is `any`.
    pub port: u16,
    /// Its own mode, or the virtual server's.
    pub mode: Mode,
}
