//! `virtual-server` and its real servers: what is balanced, how, and to whom. What the words mean for IPVS is the director's business.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{HealthCheck, SorryServer, SourceNat, Transport};
use crate::value::Name;

/// `virtual-server NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    /// What clients talk to.
    pub virtual_: Virtual,
    /// `scheduler`, wlc.
    pub scheduler: Scheduler,
    /// `mode`, nat: what a real server that says nothing gets.
    pub mode: Mode,
    /// `tunnel`, ipip: for real servers of mode tun.
    pub tunnel: Tunnel,
    /// `source-nat`, for real servers of mode fullnat.
    pub source_nat: SourceNat,
    /// `persistence`.
    pub persistence: Option<Persistence>,
    /// `one-packet`.
    pub one_packet: bool,
    /// `description`.
    pub description: Option<String>,
    /// `shutdown`: absent from the kernel.
    pub shutdown: bool,
    /// `health-check`; absent: the built-in monitor, where it knows what to connect to.
    pub health_check: Option<HealthCheck>,
    /// `redundancy GROUP`: it is here only while this vrrp group is active.
    pub redundancy: Option<Name>,
    /// `quorum N`, 1: sum of the weights of healthy real servers below which clients go to the sorry server.
    pub quorum: u16,
    /// `quorum N hysteresis N`, 0: quorum is lost below their difference and back at their sum.
    pub hysteresis: u16,
    /// `sorry-server ADDR PORT [mode M]`.
    pub sorry_server: Option<SorryServer>,
    /// `inhibit-on-failure`: weight 0 instead of absence.
    pub inhibit_on_failure: bool,
    /// `slow-start`: seconds in which a server that is back grows to its weight; 0: at once.
    pub slow_start_s: u16,
    /// `fail-open`.
    pub fail_open: bool,
    /// `real-server ADDR PORT`; port 0 is `any`.
    pub real_servers: BTreeMap<(IpAddr, u16), RealServer>,
}

impl VirtualServer {
    /// Whether its real servers, those to come, or its sorry server are reached in this mode.
    #[must_use]
    pub fn uses(&self, mode: Mode) -> bool {
        let sorry = self.sorry_server.is_some_and(|sorry| sorry.mode == mode);
        self.mode == mode || sorry || self.real_servers.values().any(|real| real.mode == mode)
    }

    /// Whether packets of one family go to a server of the other, which mode tun can do.
    #[must_use]
    pub fn mixes_families(&self) -> bool {
        let real = self.real_servers.iter().filter(|(_, real)| !real.shutdown).map(|(&(address, _), _)| address);
        let sorry = self.sorry_server.map(|sorry| sorry.address);
        !self.shutdown && real.chain(sorry).any(|address| address.is_ipv6() != self.virtual_.is_ipv6())
    }

    /// How that real server is judged: its own `health-check`, or this virtual server's, or a connection to the port that clients come to by
    /// tcp; `None` where nobody was told how.
    #[must_use]
    pub fn health_check_of<'a>(&'a self, (_, port): (IpAddr, u16), real: &'a RealServer) -> Option<&'a HealthCheck> {
        let connects = port != 0 && matches!(self.virtual_, Virtual::Address(_, Transport::Tcp, _));
        real.health_check.as_ref().or(self.health_check.as_ref()).or(connects.then(HealthCheck::built_in))
    }
}

/// What makes a packet belong to a virtual server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Virtual {
    /// `virtual ADDR PROTOCOL PORT`; port 0 is `any`.
    Address(IpAddr, Transport, u16),
    /// `virtual fwmark MARK [ipv6]`.
    Fwmark {
        /// 1-4294967295.
        mark: u32,
        /// Whether it balances IPv6 packets.
        ipv6: bool,
    },
}

impl Virtual {
    /// The virtual address, if there is one.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address, ..) => Some(address),
            Self::Fwmark { .. } => None,
        }
    }

    /// Whether packets are IPv6.
    #[must_use]
    pub fn is_ipv6(self) -> bool {
        match self {
            Self::Address(address, ..) => address.is_ipv6(),
            Self::Fwmark { ipv6, .. } => ipv6,
        }
    }
}

/// `scheduler NAME [port|fallback|port-fallback]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// Kernel name, as in `modprobe ip_vs_NAME`.
    pub name: &'static str,
    /// Whether sh or mh hashes the port too.
    pub port: bool,
    /// Whether sh or mh goes on to another server when the chosen one is not available.
    pub fallback: bool,
}

/// How packets reach a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the configuration's words")]
pub enum Mode {
    Nat,
    Dr,
    Tun,
    Fullnat,
}

impl Mode {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dr => "dr",
            Self::Tun => "tun",
            Self::Fullnat => "fullnat",
        }
    }
}

/// `tunnel ...`: the encapsulation of mode tun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tunnel {
    /// Plain IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation to this port.
    Gue(u16, Checksum),
    /// GRE; [`Checksum::Remote`] does not occur.
    Gre(Checksum),
}

/// Checksum of the outer header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Checksum {
    /// `nocsum`.
    #[default]
    None,
    /// `csum`.
    Full,
    /// `remcsum`: remote checksum offload.
    Remote,
}

/// `persistence ...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds, 1-31536000.
    pub timeout: u32,
    /// Prefix length that makes two clients one: 1-32 or 1-128, default all bits.
    pub prefix_len: u8,
    /// `engine sip`.
    pub sip: bool,
}

/// `real-server ADDR PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    /// 0-65535, 1.
    pub weight: u16,
    /// Its own `mode`, or the virtual server's.
    pub mode: Mode,
    /// `threshold UPPER [LOWER]`: no new connections above UPPER until below LOWER (three quarters of UPPER). 0 is none.
    pub threshold: (u16, Option<u16>),
    /// `drain`: weight 0 whatever `weight` says.
    pub drain: bool,
    /// Its own `health-check`, or nothing: the virtual server's.
    pub health_check: Option<HealthCheck>,
    /// `shutdown`: absent from the kernel.
    pub shutdown: bool,
    /// `description`.
    pub description: Option<String>,
}
