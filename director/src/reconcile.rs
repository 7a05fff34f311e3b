//! The one place where operator words meet kernel words: a [`Config`] in, the IPVS table it asks for out.
//!
//! Pure. Virtual servers become services, real servers destinations; `shutdown` is absence and `drain` is weight 0. Nothing else in Yoke
//! decides what is in the kernel's table.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use ipvs::{
    Destination, DestinationKey, Entry, Family, Forward, Netmask, Persistence, SchedulerFlags, Service, ServiceKey,
    Table, Thresholds, TunnelFlags,
};
use yoke_config::model::{
    Checksum, Config, Mode, RealServer, SorryServer, SourceNat, Transport, Tunnel, Virtual, VirtualServer,
};
use yoke_config::value::Name;
use yoke_health::Path;
use yoke_health::pool::{Key, Place, Pool};

use crate::nft;

/// Longest persistence the kernel counts, in seconds: 2^31 - 1 ticks of its fastest clock, 1000 a second. 24 days.
const PERSISTENCE_MAX_S: u32 = 2_147_483;

/// What the kernel should hold, and what an operator should know of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Desired {
    /// The table.
    pub(crate) table: Table,
    /// Whose service it is, to name it in a message.
    pub(crate) names: BTreeMap<ServiceKey, Name>,
    /// Services that only health checks in path need: a real server and its mode each.
    pub(crate) checks: BTreeMap<ServiceKey, String>,
    /// What was asked for and is not in the table: one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Desired {
    /// The virtual server of a service, or the service itself when it is nobody's.
    pub(crate) fn name(&self, key: &ServiceKey) -> String {
        let of_checks = || self.checks.get(key).map(|of| format!("health-check of {of}"));
        let nobodys = || match key {
            ServiceKey::Mark { mark, .. } if Config::PROBE_MARKS.contains(&mark.get()) => {
                "health-check of a real server that is no more".to_owned()
            }
            _ => format!("service {key}"),
        };
        self.names.get(key).map(|name| format!("virtual-server {name}")).or_else(of_checks).unwrap_or_else(nobodys)
    }
}

/// What health makes of each virtual server. One that is not here balances as it is configured.
pub(crate) type Pools = BTreeMap<Name, Pool>;

/// The table a configuration asks for, given what is known of its real servers.
pub(crate) fn desired(config: &Config, pools: &Pools) -> Desired {
    let mut desired = Desired::default();
    for (name, server) in &config.virtual_servers {
        if server.shutdown {
            continue;
        }
        let Some((key, entry)) = entry(config, name, pools.get(name)) else {
            desired.warnings.push(format!("virtual-server {name}: not programmed, the kernel has no such service"));
            continue;
        };
        if server.persistence.is_some_and(|p| p.timeout > PERSISTENCE_MAX_S) {
            let warning =
                format!("virtual-server {name}: persistence timeout is {PERSISTENCE_MAX_S} in the kernel, its longest");
            desired.warnings.push(warning);
        }
        desired.table.services.insert(key, entry);
        let sourceless = server.real_servers.values().any(|real| !real.shutdown && real.mode == Mode::Fullnat)
            && !nft::has_source(config, server);
        if sourceless && let SourceNat::Pool(pool) = &server.source_nat {
            desired.warnings.push(format!(
                "virtual-server {name}: real servers of mode fullnat are left out, ip nat pool {pool} does not exist"
            ));
        }
        desired.names.insert(key, name.clone());
    }
    if !pools.is_empty() {
        probed(config, &mut desired);
    }
    desired
}

/// The service of one virtual server, given what is known of its real servers; `None` where the kernel has no such service, or it is shut down.
pub(crate) fn entry(config: &Config, name: &Name, pool: Option<&Pool>) -> Option<(ServiceKey, Entry)> {
    let server = config.virtual_servers.get(name).filter(|server| !server.shutdown)?;
    let destinations = destinations(config, server, pool);
    Some((key(server.virtual_)?, Entry { service: service(server)?, destinations }))
}

fn destinations(config: &Config, server: &VirtualServer, pool: Option<&Pool>) -> BTreeMap<DestinationKey, Destination> {
    let reachable = |mode: Mode| mode != Mode::Fullnat || nft::has_source(config, server);
    let weight = |key: &Key, real: &RealServer| match pool.and_then(|pool| pool.places.get(key)) {
        Some(Place::Out) => None,
        Some(Place::Inhibited) => Some(0),
        Some(Place::In(weight)) => Some(*weight),
        None if real.drain => Some(0),
        None => Some(real.weight),
    };
    let real = server.real_servers.iter().filter(|(_, real)| !real.shutdown && reachable(real.mode));
    let real = real.filter_map(|(key, real)| {
        let &(address, port) = key;
        Some((DestinationKey { address, port }, destination(server, real, weight(key, real)?)))
    });
    let sorry = pool.and_then(|pool| pool.sorry).filter(|sorry| reachable(sorry.mode));
    let sorry =
        sorry.map(|sorry| (DestinationKey { address: sorry.address, port: sorry.port }, sorry_server(server, &sorry)));
    real.chain(sorry).collect()
}

/// What health checks in path go through: a service a real server, which only packets of this box with its mark reach. Beside the virtual server's,
/// because a server is asked before it is in the pool.
fn probed(config: &Config, desired: &mut Desired) {
    let Ok(scheduler) = "rr".parse() else { return };
    for (path, mark) in yoke_health::marks(config) {
        let Some(key) = key_of_path(&path, mark) else { continue };
        let mode = if path.tunnel.is_none() { Mode::Dr } else { Mode::Tun };
        desired.checks.insert(key, format!("real-server {} by mode {}", path.address, mode.word()));
        let forward = path.tunnel.map_or(Forward::DirectRoute, |found| Forward::Tunnel(tunnel(found)));
        let destination = Destination { forward, weight: 1, thresholds: Thresholds::default() };
        // A datagram leaves no connection behind: each probe has a port of its own, and the entry would stay for minutes.
        let entry = desired.table.service(key, Service { one_packet: true, ..Service::new(scheduler) });
        // Port 0: the one that the packet has.
        entry.destinations.insert(DestinationKey { address: path.address, port: 0 }, destination);
    }
}

/// The identity of the service through which checks take a path; `None` for mark 0, which no path has.
pub(crate) fn key_of_path(path: &Path, mark: u32) -> Option<ServiceKey> {
    let family = if path.address.is_ipv6() { Family::V6 } else { Family::V4 };
    NonZeroU32::new(mark).map(|mark| ServiceKey::Mark { mark, family })
}

/// The identity of a virtual server's service; `None` for mark 0, which the grammar does not take.
pub(crate) fn key(virtual_: Virtual) -> Option<ServiceKey> {
    Some(match virtual_ {
        Virtual::Address(address, transport, port) => {
            let protocol = match transport {
                Transport::Tcp => ipvs::Protocol::Tcp,
                Transport::Udp => ipvs::Protocol::Udp,
                Transport::Sctp => ipvs::Protocol::Sctp,
            };
            ServiceKey::Address { protocol, address, port }
        }
        Virtual::Fwmark { mark, ipv6 } => {
            ServiceKey::Mark { mark: NonZeroU32::new(mark)?, family: if ipv6 { Family::V6 } else { Family::V4 } }
        }
    })
}

/// `None` when the scheduler's name is none, which the grammar does not take.
fn service(server: &VirtualServer) -> Option<Service> {
    let mut flags = SchedulerFlags::NONE;
    if server.scheduler.port {
        flags = flags | SchedulerFlags::PORT;
    }
    if server.scheduler.fallback {
        flags = flags | SchedulerFlags::FALLBACK;
    }
    let persistence = server.persistence.map(|p| Persistence {
        timeout: p.timeout.min(PERSISTENCE_MAX_S),
        netmask: netmask(server.virtual_.is_ipv6(), p.prefix_len),
    });
    let engine = server.persistence.filter(|p| p.sip).map(|_| "sip".parse());
    Some(Service {
        scheduler_flags: flags,
        persistence,
        engine: engine.transpose().ok()?,
        one_packet: server.one_packet,
        ..Service::new(server.scheduler.name.parse().ok()?)
    })
}

fn netmask(ipv6: bool, prefix_len: u8) -> Netmask {
    if ipv6 {
        return Netmask::V6(prefix_len.clamp(1, 128));
    }
    let host_bits = 32 - u32::from(prefix_len.min(32));
    Netmask::V4(Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0)))
}

fn destination(server: &VirtualServer, real: &RealServer, weight: u16) -> Destination {
    let (upper, lower) = real.threshold;
    Destination {
        forward: forward(server, real.mode),
        weight: u32::from(weight),
        thresholds: Thresholds { upper: u32::from(upper), lower: lower.map_or(0, u32::from) },
    }
}

/// Where clients go while quorum is lost: alone, so any weight does.
fn sorry_server(server: &VirtualServer, sorry: &SorryServer) -> Destination {
    Destination { forward: forward(server, sorry.mode), weight: 1, thresholds: Thresholds::default() }
}

fn forward(server: &VirtualServer, mode: Mode) -> Forward {
    match mode {
        // The source addresses of fullnat are [`crate::nft`]'s.
        Mode::Nat | Mode::Fullnat => Forward::Masquerade,
        Mode::Dr => Forward::DirectRoute,
        Mode::Tun => Forward::Tunnel(tunnel(server.tunnel)),
    }
}

fn tunnel(tunnel: Tunnel) -> ipvs::Tunnel {
    match tunnel {
        Tunnel::Ipip => ipvs::Tunnel::Ipip,
        Tunnel::Gue(port, checksum) => ipvs::Tunnel::Gue { port, flags: checksums(checksum) },
        Tunnel::Gre(checksum) => ipvs::Tunnel::Gre { flags: checksums(checksum) },
    }
}

fn checksums(checksum: Checksum) -> TunnelFlags {
    match checksum {
        Checksum::None => TunnelFlags::NONE,
        Checksum::Full => TunnelFlags::CHECKSUM,
        Checksum::Remote => TunnelFlags::REMOTE_CHECKSUM,
    }
}

/// The timeouts a configuration asks for.
pub(crate) fn timeouts(config: &Config) -> ipvs::Timeouts {
    let ipvs = &config.ipvs;
    ipvs::Timeouts { tcp: ipvs.timeout_tcp, tcp_fin: ipvs.timeout_tcpfin, udp: ipvs.timeout_udp }
}

#[cfg(test)]
mod tests;
