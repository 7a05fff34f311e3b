//! The options of a line, taken one after the other as ipvsadm does: what came before can matter.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use crate::{DestinationKey, Family, Netmask, Protocol, SchedulerFlags, ServiceKey};

use super::line::timeout;
use super::refuse::Failure;
use super::rules;
use super::text::{self, Names, Place};
use super::words::Flag;

/// Where the service is.
#[derive(Debug, Clone, Copy)]
pub(super) enum ServicePlace {
    At(Protocol, Place),
    Mark(NonZeroU32),
}

/// A scheduler flag by its name.
struct SchedulerFlag {
    name: &'static str,
    /// The scheduler it is of; `None` is any.
    of: Option<&'static str>,
    flag: SchedulerFlags,
}

const SCHEDULER_FLAGS: [SchedulerFlag; 7] = [
    SchedulerFlag { name: "flag-1", of: None, flag: SchedulerFlags::FALLBACK },
    SchedulerFlag { name: "flag-2", of: None, flag: SchedulerFlags::PORT },
    SchedulerFlag { name: "flag-3", of: None, flag: SchedulerFlags::THREE },
    SchedulerFlag { name: "sh-fallback", of: Some("sh"), flag: SchedulerFlags::FALLBACK },
    SchedulerFlag { name: "sh-port", of: Some("sh"), flag: SchedulerFlags::PORT },
    SchedulerFlag { name: "mh-fallback", of: Some("mh"), flag: SchedulerFlags::FALLBACK },
    SchedulerFlag { name: "mh-port", of: Some("mh"), flag: SchedulerFlags::PORT },
];

/// Options by name. A line has few: looking through them is faster than keeping them in order.
#[derive(Debug)]
pub(super) struct Given {
    names: [&'static str; Self::MOST],
    count: usize,
}

impl Given {
    /// More than there are options.
    const MOST: usize = 48;

    /// Adds one. Whether it is new.
    fn insert(&mut self, name: &'static str) -> bool {
        let new = !self.contains(name);
        if let (true, Some(place)) = (new, self.names.get_mut(self.count)) {
            *place = name;
            self.count += 1;
        }
        new
    }

    /// Whether it was given.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.iter().any(|given| given == name)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().take(self.count).copied()
    }
}

/// What was given so far.
pub(super) struct Draft<'a> {
    names: &'a Names,
    /// Options by name.
    pub(super) given: Given,
    /// Words, one bit each.
    flags: u64,
    pub(super) service: Option<ServicePlace>,
    v6: bool,
    server: Option<DestinationKey>,
    scheduler: String,
    scheduler_flags: String,
    pub(super) persistent: Option<u32>,
    pub(super) netmask: Option<Netmask>,
    pub(super) engine: String,
    pub(super) tunnel: &'static str,
    pub(super) tunnel_port: u16,
    pub(super) weight: u32,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) interface: Option<String>,
    pub(super) sync_id: u8,
    pub(super) max_length: Option<u16>,
    pub(super) group: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) ttl: Option<u8>,
}

/// The most a name holds: ipvsadm cuts what is longer.
const NAME_MAX: usize = 15;
const ENGINE_MAX: usize = 16;
/// UDP payload of the largest IP packet.
const SYNC_MAXLEN_MAX: i64 = 65535 - 20 - 8;

fn wrong<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Wrong(text.into()))
}

/// A number in a range that fits its type, or `illegal NAME specified`.
fn ranged<T: TryFrom<i64>>(value: &str, min: i64, max: i64, name: &str) -> Result<T, Failure> {
    let number = text::number(value, min, max).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| Failure::Wrong(format!("illegal {name} specified")))
}

/// The place of a word among the flags; there are fewer than 64.
fn bit(flag: Flag) -> u64 {
    1 << flag as u32
}

fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

impl<'a> Draft<'a> {
    pub(super) fn new(names: &'a Names) -> Self {
        Self {
            names,
            given: Given { names: [""; Given::MOST], count: 0 },
            flags: 0,
            service: None,
            v6: false,
            server: None,
            scheduler: String::new(),
            scheduler_flags: String::new(),
            persistent: None,
            netmask: None,
            engine: String::new(),
            tunnel: "ipip",
            tunnel_port: 0,
            weight: 1,
            upper: 0,
            lower: 0,
            interface: None,
            sync_id: 0,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    /// Whether a word was given.
    pub(super) fn has(&self, flag: Flag) -> bool {
        self.flags & bit(flag) != 0
    }

    /// Takes a word and its value.
    ///
    /// # Errors
    /// When it was given before, or its value cannot be.
    pub(super) fn take(&mut self, flag: Flag, value: &str) -> Result<(), Failure> {
        self.flags |= bit(flag);
        if flag == Flag::Sort {
            return Ok(());
        }
        let name = rules::option(flag);
        if flag != Flag::V6 && !self.given.insert(name) {
            return wrong(format!("multiple '{name}' options specified"));
        }
        match flag {
            Flag::Tcp => self.take_service(Protocol::Tcp, value)?,
            Flag::Udp => self.take_service(Protocol::Udp, value)?,
            Flag::Sctp => self.take_service(Protocol::Sctp, value)?,
            Flag::Mark => {
                let mark = text::number(value, 1, u32::MAX.into()).and_then(|n| u32::try_from(n).ok());
                let Some(mark) = mark.and_then(NonZeroU32::new) else {
                    return wrong(format!("invalid fwmark value `{value}' specified"));
                };
                self.service = Some(ServicePlace::Mark(mark));
            }
            Flag::V6 => {
                if !matches!(self.service, Some(ServicePlace::Mark(_))) {
                    return wrong("-6 used before -f\n");
                }
                self.v6 = true;
                // A netmask given before is forgotten.
                self.netmask = None;
            }
            Flag::Scheduler => self.scheduler = cut(value, NAME_MAX),
            Flag::SchedulerFlags => self.scheduler_flags = value.into(),
            Flag::Engine => self.engine = cut(value, ENGINE_MAX),
            Flag::Persistent => self.persistent = Some(timeout(value, 1)?),
            Flag::Netmask => self.netmask = Some(self.read_netmask(value)?),
            Flag::RealServer => {
                // Before there is a service, a port has no name.
                let protocol = self.service.map(|service| match service {
                    ServicePlace::At(protocol, _) => protocol,
                    ServicePlace::Mark(_) => Protocol::Tcp,
                });
                let Some(place) = self.names.place(value, protocol) else {
                    return wrong("illegal real server address[:port] specified");
                };
                // Without a port it is on the service's, if that is known by now.
                let port = place.port.unwrap_or(match self.service {
                    Some(ServicePlace::At(_, service)) => service.port.unwrap_or(0),
                    Some(ServicePlace::Mark(_)) | None => 0,
                });
                self.server = Some(DestinationKey { address: place.address, port });
            }
            Flag::TunnelType => {
                let Some(kind) = ["ipip", "gue", "gre"].into_iter().find(|kind| *kind == value) else {
                    return wrong("illegal tunnel type specified");
                };
                self.tunnel = kind;
            }
            Flag::TunnelPort => self.tunnel_port = ranged(value, 1, 65535, "tunnel port")?,
            Flag::Weight => self.weight = ranged(value, 0, i32::MAX.into(), "weight")?,
            Flag::Upper => self.upper = ranged(value, 0, i32::MAX.into(), "u_threshold")?,
            Flag::Lower => self.lower = ranged(value, 0, i32::MAX.into(), "l_threshold")?,
            Flag::SyncId => self.sync_id = ranged(value, 0, 255, "syncid")?,
            Flag::SyncMaxlen => self.max_length = Some(ranged(value, 1, SYNC_MAXLEN_MAX, "sync-maxlen")?),
            Flag::McastInterface => self.interface = Some(cut(value, NAME_MAX)),
            Flag::McastPort => self.port = Some(ranged(value, 1, 65535, "mcast-port")?),
            Flag::McastTtl => self.ttl = Some(ranged(value, 1, 255, "mcast-ttl")?),
            Flag::McastGroup => {
                let (family, group) = if value.contains(':') {
                    ("IPv6", value.parse().ok().filter(std::net::Ipv6Addr::is_multicast).map(IpAddr::V6))
                } else {
                    ("IPv4", value.parse().ok().filter(Ipv4Addr::is_multicast).map(IpAddr::V4))
                };
                if group.is_none() {
                    return wrong(format!("invalid {family} mcast-group `{value}'"));
                }
                self.group = group;
            }
            Flag::OnePacket
            | Flag::Gatewaying
            | Flag::Ipip
            | Flag::Masquerading
            | Flag::TunnelNoChecksum
            | Flag::TunnelChecksum
            | Flag::TunnelRemoteChecksum
            | Flag::Connection
            | Flag::Timeout
            | Flag::Daemon
            | Flag::Stats
            | Flag::Rate
            | Flag::Exact
            | Flag::Thresholds
            | Flag::PersistentConn
            | Flag::TunnelInfo
            | Flag::Sort
            | Flag::NoSort
            | Flag::Numeric
            | Flag::Json
            | Flag::Full
            | Flag::Replace
            | Flag::DryRun => {}
        }
        Ok(())
    }

    fn take_service(&mut self, protocol: Protocol, value: &str) -> Result<(), Failure> {
        let Some(place) = self.names.place(value, Some(protocol)) else {
            return wrong("illegal virtual server address[:port] specified");
        };
        self.service = Some(ServicePlace::At(protocol, place));
        self.v6 = place.address.is_ipv6();
        if self.v6 {
            self.netmask = None;
        }
        Ok(())
    }

    /// The family is that of the service given so far, IPv4 before one is.
    fn read_netmask(&self, value: &str) -> Result<Netmask, Failure> {
        if self.v6 {
            let length = u8::try_from(text::leading_number(value)).ok().filter(|length| (1..=128).contains(length));
            return length.map(Netmask::V6).ok_or_else(|| Failure::Wrong("illegal ipv6 netmask specified".into()));
        }
        let mask = text::ipv4(value).map(Netmask::V4);
        mask.ok_or_else(|| Failure::Wrong("illegal virtual server persistent mask specified".into()))
    }

    /// The scheduler.
    pub(super) fn scheduler(&self) -> &str {
        if self.scheduler.is_empty() { "wlc" } else { &self.scheduler }
    }

    /// Its flags.
    ///
    /// # Errors
    /// The first that nobody knows, or that is another scheduler's.
    pub(super) fn scheduler_flags(&self) -> Result<SchedulerFlags, Failure> {
        let mut flags = SchedulerFlags::NONE;
        for name in self.scheduler_flags.split(',').filter(|name| !name.is_empty()) {
            let Some(SchedulerFlag { of, flag, .. }) = SCHEDULER_FLAGS.iter().find(|flag| flag.name == name) else {
                return wrong(format!("invalid scheduler flag `{name}'"));
            };
            if of.is_some_and(|of| of != self.scheduler()) {
                return wrong(format!("incompatible scheduler flag `{name}'"));
            }
            flags = flags | *flag;
        }
        Ok(flags)
    }

    /// The service.
    pub(super) fn key(&self) -> Result<ServiceKey, Failure> {
        match self.service {
            Some(ServicePlace::At(protocol, Place { address, port })) => {
                Ok(ServiceKey::Address { protocol, address, port: port.unwrap_or(0) })
            }
            Some(ServicePlace::Mark(mark)) => {
                Ok(ServiceKey::Mark { mark, family: if self.v6 { Family::V6 } else { Family::V4 } })
            }
            None => wrong("a service-address is missing"),
        }
    }

    /// The server.
    pub(super) fn server(&self) -> Result<DestinationKey, Failure> {
        self.server.map_or_else(|| wrong("a real-server is missing"), Ok)
    }
}
