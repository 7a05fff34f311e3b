//! Listings for programs: `-L --json`. Names are the crate's, numbers are whole, and nothing is left out.

use crate::connections::{Connection, Origin};
use crate::{
    Daemon, Family, Forward, Info, Netmask, ObservedDestination, ObservedService, ServiceKey, Stats, Timeouts, Tunnel,
};
use serde_json::{Map, Value, json};

use super::list::scheduler_flags;
use super::print::Row;

/// The table.
pub(super) fn table(info: &Info, services: &[Row<'_>]) -> Value {
    let (major, minor, patch) = info.version;
    let services: Vec<Value> =
        services.iter().map(|(service, destinations)| self::service(service, destinations)).collect();
    json!({ "version": format!("{major}.{minor}.{patch}"), "size": info.table_size, "services": services })
}

fn service(observed: &ObservedService, destinations: &[&ObservedDestination]) -> Value {
    let ObservedService { key, service, stats } = observed;
    let mut object = Map::new();
    match key {
        ServiceKey::Address { protocol, address, port } => {
            object.insert("protocol".into(), protocol.to_string().into());
            object.insert("address".into(), address.to_string().into());
            object.insert("port".into(), (*port).into());
        }
        ServiceKey::Mark { mark, family } => {
            object.insert("mark".into(), mark.get().into());
            object.insert("family".into(), if *family == Family::V6 { "ipv6" } else { "ipv4" }.into());
        }
    }
    let flags = scheduler_flags(service);
    let flags: Vec<&str> = flags.split(',').filter(|flag| !flag.is_empty()).collect();
    let persistence = service.persistence.map(|p| {
        let netmask = match p.netmask {
            Netmask::V4(mask) => Value::from(mask.to_string()),
            Netmask::V6(length) => length.into(),
        };
        json!({ "timeout": p.timeout, "netmask": netmask })
    });
    object.insert("scheduler".into(), service.scheduler.to_string().into());
    object.insert("scheduler_flags".into(), flags.into());
    object.insert("persistence".into(), persistence.into());
    object.insert("engine".into(), service.engine.map(|engine| engine.to_string()).into());
    object.insert("one_packet".into(), service.one_packet.into());
    object.insert("stats".into(), self::stats(stats));
    object.insert("destinations".into(), destinations.iter().map(|observed| destination(observed)).collect());
    object.into()
}

fn destination(observed: &ObservedDestination) -> Value {
    let ObservedDestination { key, destination, active, inactive, persistent, stats } = observed;
    let (forward, tunnel) = match destination.forward {
        Forward::Masquerade => ("masquerade", None),
        Forward::Local => ("local", None),
        Forward::Tunnel(tunnel) => ("tunnel", Some(self::tunnel(tunnel))),
        Forward::DirectRoute => ("direct-route", None),
        Forward::Bypass => ("bypass", None),
        Forward::Other(_) => ("unknown", None),
    };
    json!({
        "address": key.address.to_string(),
        "port": key.port,
        "forward": forward,
        "tunnel": tunnel,
        "weight": destination.weight,
        "upper_threshold": destination.thresholds.upper,
        "lower_threshold": destination.thresholds.lower,
        "active": active,
        "inactive": inactive,
        "persistent": persistent,
        "stats": self::stats(stats),
    })
}

fn tunnel(tunnel: Tunnel) -> Value {
    match tunnel {
        Tunnel::Ipip => json!({ "type": "ipip" }),
        Tunnel::Gue { port, flags } => json!({ "type": "gue", "port": port, "flags": flags.bits() }),
        Tunnel::Gre { flags } => json!({ "type": "gre", "flags": flags.bits() }),
        Tunnel::Other { kind, port, flags } => json!({ "type": kind, "port": port, "flags": flags.bits() }),
    }
}

fn stats(stats: &Stats) -> Value {
    let rates = stats.rates;
    json!({
        "connections": stats.connections,
        "packets_in": stats.packets_in,
        "packets_out": stats.packets_out,
        "bytes_in": stats.bytes_in,
        "bytes_out": stats.bytes_out,
        "rates": {
            "connections": rates.connections,
            "packets_in": rates.packets_in,
            "packets_out": rates.packets_out,
            "bytes_in": rates.bytes_in,
            "bytes_out": rates.bytes_out,
        },
    })
}

/// A connection: one object a line, as a table of them can be longer than memory.
pub(super) fn connection(connection: &Connection<'_>) -> Value {
    json!({
        "protocol": connection.protocol.to_string(),
        "client": connection.client.to_string(),
        "service": connection.service.to_string(),
        "destination": connection.destination.to_string(),
        "state": connection.state,
        "expires": connection.expires,
        "origin": connection.origin.map(|origin| match origin { Origin::Local => "local", Origin::Sync => "sync" }),
        "engine": connection.engine.map(|(name, data)| json!({ "name": name, "data": String::from_utf8_lossy(data) })),
    })
}

/// The timeouts.
pub(super) fn timeouts(timeouts: &Timeouts) -> Value {
    json!({ "tcp": timeouts.tcp, "tcp_fin": timeouts.tcp_fin, "udp": timeouts.udp })
}

/// The sync daemons.
pub(super) fn daemons(daemons: &[Daemon]) -> Value {
    let daemon = |daemon: &Daemon| {
        json!({
            "role": daemon.role.to_string(),
            "interface": daemon.interface.to_string(),
            "sync_id": daemon.sync_id,
            "max_length": daemon.max_length,
            "group": daemon.group.map(|group| group.to_string()),
            "port": daemon.port,
            "ttl": daemon.ttl,
        })
    };
    daemons.iter().map(daemon).collect()
}
