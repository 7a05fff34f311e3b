//! What the fake kernel holds, and what of Linux's refusals it knows.

use std::net::IpAddr;

use ipvs::wire::Request;
use ipvs::{
    Change, Daemon, Destination, DestinationKey, Entry, Family, Forward, Refusal, Service, ServiceKey, SyncRole, Table,
    Timeouts, Tunnel,
};

/// The schedulers of a kernel that has them all.
const SCHEDULERS: [&str; 15] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos", "none"];
/// Payload of a sync message on an interface of 1500 bytes: 1472 over IPv4, 1452 over IPv6.
const MTU: u16 = 1500;

/// What is kept beside the table.
pub(crate) struct State {
    pub(crate) timeouts: Timeouts,
    pub(crate) daemons: Vec<Daemon>,
}

impl Default for State {
    fn default() -> Self {
        Self { timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }, daemons: Vec::new() }
    }
}

impl State {
    /// Does what a request asks, or says the errno.
    pub(crate) fn change(&mut self, table: &mut Table, request: &Request) -> Result<(), i32> {
        match *request {
            Request::NewService(key, service) => {
                if table.services.contains_key(&key) {
                    return Err(libc::EEXIST);
                }
                modules(&service)?;
                apply(table, &Change::AddService { key, service })
            }
            Request::SetService(key, to) => {
                if !table.services.contains_key(&key) {
                    return Err(libc::ESRCH);
                }
                modules(&to)?;
                apply(table, &Change::EditService { key, from: to, to })
            }
            Request::DelService(key) => {
                let entry = Entry { service: Service::new("none".parse().unwrap()), destinations: [].into() };
                apply(table, &Change::RemoveService { key, entry })
            }
            Request::NewDestination(service, key, destination) => {
                let entry = table.services.get(&service).ok_or(libc::ESRCH)?;
                acceptable(&service, &key, &destination)?;
                if entry.destinations.contains_key(&key) {
                    return Err(libc::EEXIST);
                }
                apply(table, &Change::AddDestination { service, key, destination })
            }
            Request::SetDestination(service, key, to) => {
                let entry = table.services.get(&service).ok_or(libc::ESRCH)?;
                acceptable(&service, &key, &to)?;
                if !entry.destinations.contains_key(&key) {
                    return Err(libc::ENOENT);
                }
                apply(table, &Change::EditDestination { service, key, from: to, to })
            }
            Request::DelDestination(service, key) => {
                let destination = Destination::masquerade(0);
                apply(table, &Change::RemoveDestination { service, key, destination })
            }
            Request::Zero(Some(key)) if !table.services.contains_key(&key) => Err(libc::ESRCH),
            Request::Flush => {
                *table = Table::default();
                Ok(())
            }
            Request::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
                for (new, old) in [
                    (tcp, &mut self.timeouts.tcp),
                    (tcp_fin, &mut self.timeouts.tcp_fin),
                    (udp, &mut self.timeouts.udp),
                ] {
                    *old = if new == 0 { *old } else { new };
                }
                Ok(())
            }
            Request::NewDaemon(daemon) => self.start(table, daemon),
            Request::DelDaemon(role) => {
                let runs = self.daemons.len();
                self.daemons.retain(|daemon| daemon.role != role);
                if self.daemons.len() < runs { Ok(()) } else { Err(libc::ESRCH) }
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, table: &Table, daemon: Daemon) -> Result<(), i32> {
        let mixed = |(key, entry): (&ServiceKey, &Entry)| {
            entry.destinations.keys().any(|server| Family::from(server.address) != key.family())
        };
        if table.services.iter().any(mixed) {
            return Err(libc::EINVAL);
        }
        if !["dummy0", "lo"].contains(&&*daemon.interface) {
            return Err(libc::ENODEV);
        }
        if self.daemons.iter().any(|other| other.role == daemon.role) {
            return Err(libc::EEXIST);
        }
        let group = daemon.group.unwrap_or(IpAddr::from([224, 0, 0, 81]));
        let room = MTU - if group.is_ipv6() { 48 } else { 28 };
        if daemon.max_length.is_some_and(|length| length < 60) {
            return Err(libc::EINVAL);
        }
        // A backup takes what comes: at least what an Ethernet carries.
        let length = match daemon.role {
            SyncRole::Master => daemon.max_length.unwrap_or(room).min(room),
            SyncRole::Backup => daemon.max_length.unwrap_or(room),
        };
        self.daemons.push(Daemon {
            max_length: Some(length),
            group: Some(group),
            port: Some(daemon.port.unwrap_or(8848)),
            ttl: Some(daemon.ttl.unwrap_or(1)),
            ..daemon
        });
        self.daemons.sort_by_key(|daemon| daemon.role);
        Ok(())
    }
}

fn modules(service: &Service) -> Result<(), i32> {
    let engine = service.engine.is_none_or(|engine| &*engine == "sip");
    if engine && SCHEDULERS.contains(&&*service.scheduler) { Ok(()) } else { Err(libc::ENOENT) }
}

fn acceptable(service: &ServiceKey, key: &DestinationKey, destination: &Destination) -> Result<(), i32> {
    let tunnelled = matches!(destination.forward, Forward::Tunnel(_));
    let no_port = matches!(destination.forward, Forward::Tunnel(Tunnel::Gue { port: 0, .. }));
    if no_port || (Family::from(key.address) != service.family() && !tunnelled) {
        return Err(libc::EINVAL);
    }
    if destination.thresholds.lower > destination.thresholds.upper || destination.weight > i32::MAX.unsigned_abs() {
        return Err(libc::ERANGE);
    }
    if key.address.is_multicast() { Err(libc::EINVAL) } else { Ok(()) }
}

fn apply(table: &mut Table, change: &Change) -> Result<(), i32> {
    table.apply(change).map_err(|refusal| match refusal {
        Refusal::ServiceExists | Refusal::DestinationExists => libc::EEXIST,
        Refusal::NoService => libc::ESRCH,
        Refusal::NoDestination => libc::ENOENT,
        other => panic!("a table never says {other}"),
    })
}
