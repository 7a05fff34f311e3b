//! `show virtual-server`, `show real-server` and what else is drawn from the same rows: the configuration joined with the kernel's table.
//!
//! Pure: who asks the kernel is [`super`]. A row is there for everything configured; what is in the kernel and not configured is drift, which
//! is healed and not shown.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipvs::{DestinationKey, ObservedDestination, ServiceKey, Stats};
use yoke_config::model::{Config, Mode, RealServer, Scheduler, SourceNat, Virtual, VirtualServer};
use yoke_config::value::Name;
use yoke_director::status::{Counters, RealServerRow, VirtualServerRow};
use yoke_health::State as Verdicts;

use crate::commit::port_word;
use crate::director::State;
use crate::health::Health;
use crate::kernel::Observed;
use crate::reconcile;
use crate::roles::Roles;

/// What the kernel has, to look things up in.
pub(crate) struct View<'a> {
    services: BTreeMap<ServiceKey, (Stats, BTreeMap<DestinationKey, &'a ObservedDestination>)>,
    /// Why a service is not there, as far as that is known.
    refused: &'a BTreeMap<ServiceKey, String>,
    /// Why nothing is there, if that is so.
    failure: Option<&'a str>,
    config: &'a Config,
    roles: &'a Roles,
    health: &'a Health,
}

impl<'a> View<'a> {
    pub(crate) fn new(state: &'a State, observed: &'a [Observed], failure: Option<&'a str>) -> Self {
        let services = observed.iter().map(|(service, destinations)| {
            let by_key = destinations.iter().map(|destination| (destination.key, destination)).collect();
            (service.key, (service.stats, by_key))
        });
        Self {
            services: services.collect(),
            refused: &state.refused,
            failure,
            config: &state.running.config,
            roles: &state.roles,
            health: &state.health,
        }
    }

    fn destination(&self, server: &VirtualServer, key: (IpAddr, u16)) -> Option<&'a ObservedDestination> {
        let (_, destinations) = self.services.get(&reconcile::key(server.virtual_)?)?;
        destinations.get(&DestinationKey { address: key.0, port: key.1 }).copied()
    }

    /// Why something that should be in the kernel is not.
    fn why_absent(&self, server: &VirtualServer, mode: Mode) -> String {
        let refused = reconcile::key(server.virtual_).and_then(|key| self.refused.get(&key));
        if mode == Mode::Fullnat
            && let SourceNat::Pool(pool) = &server.source_nat
            && !self.config.nat_pools.contains_key(pool)
        {
            format!("ip nat pool {pool} does not exist")
        } else if let Some(group) = self.config.group_of(server).filter(|group| !self.roles.is_active(group)) {
            format!("vrrp group {group} is not active here")
        } else if let Some(why) = refused {
            why.clone()
        } else {
            self.failure.unwrap_or("not in the kernel's table").to_owned()
        }
    }
}

/// Rows of virtual servers.
pub(crate) fn virtual_servers(config: &Config, view: &View<'_>, only: Option<&str>) -> Vec<VirtualServerRow> {
    let servers = config.virtual_servers.iter().filter(|(name, _)| only.is_none_or(|only| name.as_str() == only));
    servers.map(|(name, server)| virtual_server(name, server, view)).collect()
}

fn virtual_server(name: &Name, server: &VirtualServer, view: &View<'_>) -> VirtualServerRow {
    let observed = reconcile::key(server.virtual_).and_then(|key| view.services.get(&key));
    let real = |f: fn(&ObservedDestination) -> u32| {
        let destinations = server.real_servers.keys().filter_map(|&key| view.destination(server, key));
        destinations.map(|destination| u64::from(f(destination))).sum()
    };
    let up = server.real_servers.iter().filter(|&(&key, real)| state(name, server, key, real, view).0 == "up").count();
    let pool = view.health.pools.get(name);
    let state = match observed {
        _ if server.shutdown => "shutdown",
        _ if view.roles.is_elsewhere(view.config, server) => "backup",
        None => "absent",
        Some(_) if pool.is_some_and(|pool| pool.sorry.is_some()) => "sorry",
        Some(_) if pool.is_some_and(|pool| pool.open) => "open",
        Some(_) if up == 0 => "down",
        Some(_) => "up",
    };
    VirtualServerRow {
        name: name.to_string(),
        virtual_: virtual_text(server.virtual_),
        scheduler: scheduler_text(server.scheduler),
        mode: server.mode.word().to_owned(),
        state: state.to_owned(),
        up: count(up),
        all: count(server.real_servers.len()),
        persistence_timeout: server.persistence.map_or(0, |p| p.timeout),
        active_connections: real(|destination| destination.active),
        inactive_connections: real(|destination| destination.inactive),
        description: server.description.clone().unwrap_or_default(),
        counters: observed.map(|(stats, _)| counters(stats)).unwrap_or_default(),
    }
}

/// Rows of real servers, of one virtual server or of all.
pub(crate) fn real_servers(config: &Config, view: &View<'_>, only: Option<&str>) -> Vec<RealServerRow> {
    let servers = config.virtual_servers.iter().filter(|(name, _)| only.is_none_or(|only| name.as_str() == only));
    let rows = servers.flat_map(|(name, server)| {
        server.real_servers.iter().map(move |(&key, real)| real_server(name, server, key, real, view))
    });
    rows.collect()
}

fn real_server(
    name: &Name,
    server: &VirtualServer,
    key: (IpAddr, u16),
    real: &RealServer,
    view: &View<'_>,
) -> RealServerRow {
    let (state, reason) = state(name, server, key, real, view);
    let observed = view.destination(server, key);
    let number = |f: fn(&ObservedDestination) -> u32| observed.map_or(0, f);
    RealServerRow {
        virtual_server: name.to_string(),
        address: key.0,
        port: key.1,
        mode: real.mode.word().to_owned(),
        weight: number(|o| o.destination.weight),
        configured_weight: u32::from(real.weight),
        state: state.to_owned(),
        reason,
        upper_threshold: u32::from(real.threshold.0),
        lower_threshold: real.threshold.1.map_or(0, u32::from),
        active_connections: number(|o| o.active),
        inactive_connections: number(|o| o.inactive),
        persistent_connections: number(|o| o.persistent),
        description: real.description.clone().unwrap_or_default(),
        counters: observed.map(|o| counters(&o.stats)).unwrap_or_default(),
    }
}

fn state(
    name: &Name,
    server: &VirtualServer,
    key: (IpAddr, u16),
    real: &RealServer,
    view: &View<'_>,
) -> (&'static str, String) {
    if server.shutdown {
        return ("shutdown", "the virtual server is shut down".to_owned());
    }
    if real.shutdown {
        return ("shutdown", "shutdown".to_owned());
    }
    match view.health.verdict(view.config, server, key).map(|verdict| verdict.state) {
        Some(Verdicts::Down) => return ("down", view.health.reason(view.config, server, key)),
        Some(Verdicts::Unknown) => return ("checking", view.health.reason(view.config, server, key)),
        Some(Verdicts::Up) | None => {}
    }
    let waiting = view.health.pools.get(name).is_some_and(|pool| pool.sorry.is_some());
    match view.destination(server, key) {
        None => ("absent", view.why_absent(server, real.mode)),
        Some(_) if real.drain => ("drain", "drain".to_owned()),
        Some(_) if real.weight == 0 => ("drain", "weight 0".to_owned()),
        Some(_) if waiting => ("waiting", "quorum is lost".to_owned()),
        Some(observed) if observed.destination.weight == 0 => ("drain", "weight 0 in the kernel".to_owned()),
        Some(_) => ("up", String::new()),
    }
}

/// As it is configured: `203.0.113.10 tcp 80`, `fwmark 7 ipv6`.
pub(crate) fn virtual_text(virtual_: Virtual) -> String {
    match virtual_ {
        Virtual::Address(address, transport, port) => format!("{address} {} {}", transport.word(), port_word(port)),
        Virtual::Fwmark { mark, ipv6: false } => format!("fwmark {mark}"),
        Virtual::Fwmark { mark, ipv6: true } => format!("fwmark {mark} ipv6"),
    }
}

fn scheduler_text(scheduler: Scheduler) -> String {
    let flags = match (scheduler.port, scheduler.fallback) {
        (false, false) => "",
        (true, false) => " port",
        (false, true) => " fallback",
        (true, true) => " port-fallback",
    };
    format!("{}{flags}", scheduler.name)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn counters(stats: &Stats) -> Counters {
    Counters {
        connections: stats.connections,
        in_packets: stats.packets_in,
        out_packets: stats.packets_out,
        in_bytes: stats.bytes_in,
        out_bytes: stats.bytes_out,
        cps: stats.rates.connections,
        in_pps: stats.rates.packets_in,
        out_pps: stats.rates.packets_out,
        in_bps: stats.rates.bytes_in,
        out_bps: stats.rates.bytes_out,
    }
}
