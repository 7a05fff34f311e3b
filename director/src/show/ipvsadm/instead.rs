//! What an operator types instead of an ipvsadm command that writes.

use ipvs::ipvsadm::Line;
use ipvs::wire::Request;
use ipvs::{
    Destination, DestinationKey, Forward, Netmask, SchedulerFlags, Service, ServiceKey, SyncRole, Timeouts, Tunnel,
    TunnelFlags,
};
use yoke_config::model::Config;

use crate::commit::port_word;
use crate::reconcile;

/// Above the help of ipvsadm.
pub(super) const HELP: &str =
    "here ipvsadm only reads: -L, -S, -v; what changes the table is a line of the configuration\n";

/// A sentence with the lines that do it.
pub(super) fn of(line: &Line, config: &Config) -> String {
    let lines = match line {
        Line::Ask(request) => for_request(request, config),
        Line::Restore { .. } => vec!["virtual-server NAME".into(), "virtual ...".into(), "real-server ...".into()],
        // A name no interface can have.
        Line::NoInterface => vec!["connection-sync interface IFNAME".into()],
        _ => Vec::new(),
    };
    if matches!(line, Line::Ask(Request::Zero(_))) {
        return format!("ipvsadm only reads here, use: {}", lines.join(", "));
    }
    format!(
        "ipvsadm only reads here, the table is made of the configuration, use: configure terminal, {}",
        lines.join(", ")
    )
}

/// `virtual-server NAME`: that of the service, or one that is to be named.
fn virtual_server(key: &ServiceKey, config: &Config) -> (String, bool) {
    let found = config.virtual_servers.iter().find(|(_, server)| reconcile::key(server.virtual_).as_ref() == Some(key));
    match found {
        Some((name, _)) => (format!("virtual-server {name}"), true),
        None => ("virtual-server NAME".to_owned(), false),
    }
}

fn for_request(request: &Request, config: &Config) -> Vec<String> {
    match request {
        Request::NewService(key, service) | Request::SetService(key, service) => {
            let (header, exists) = virtual_server(key, config);
            let mut lines = vec![header];
            if !exists {
                lines.push(format!("virtual {}", place(key)));
            }
            lines.extend(options(service));
            lines
        }
        Request::DelService(key) => vec![format!("no {}", virtual_server(key, config).0)],
        Request::NewDestination(of, key, destination) | Request::SetDestination(of, key, destination) => {
            let mut lines = vec![virtual_server(of, config).0, format!("real-server {}", server(key))];
            lines.extend(forwarding(destination));
            lines
        }
        Request::DelDestination(of, key) => {
            vec![virtual_server(of, config).0, format!("no real-server {}", server(key))]
        }
        Request::Flush => {
            let all = config.virtual_servers.keys().map(|name| format!("no virtual-server {name}"));
            let mut all: Vec<String> = all.collect();
            if all.is_empty() {
                all.push("no virtual-server NAME".to_owned());
            }
            all
        }
        Request::Zero(None) => vec!["clear statistics".to_owned()],
        Request::Zero(Some(key)) => vec![format!("clear statistics {}", virtual_server(key, config).0)],
        Request::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => [("tcp", tcp), ("tcpfin", tcp_fin), ("udp", udp)]
            .into_iter()
            .filter(|(_, seconds)| **seconds != 0)
            .map(|(name, seconds)| format!("ipvs timeout {name} {seconds}"))
            .collect(),
        Request::NewDaemon(daemon) => vec![
            format!("connection-sync interface {}", daemon.interface),
            format!("connection-sync syncid {}", daemon.sync_id),
        ],
        Request::DelDaemon(SyncRole::Master | SyncRole::Backup) => vec!["no connection-sync".to_owned()],
        Request::GetService(_)
        | Request::DumpServices
        | Request::DumpDestinations(_)
        | Request::DumpDaemons
        | Request::GetTimeouts
        | Request::GetInfo => Vec::new(),
    }
}

/// As after `virtual`.
fn place(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address, port } => format!("{address} {protocol} {}", port_word(*port)),
        ServiceKey::Mark { mark, family: ipvs::Family::V4 } => format!("fwmark {mark}"),
        ServiceKey::Mark { mark, family: ipvs::Family::V6 } => format!("fwmark {mark} ipv6"),
    }
}

fn server(key: &DestinationKey) -> String {
    format!("{} {}", key.address, port_word(key.port))
}

fn options(service: &Service) -> Vec<String> {
    let flags = service.scheduler_flags;
    let flags = match (flags.contains(SchedulerFlags::PORT), flags.contains(SchedulerFlags::FALLBACK)) {
        (true, true) => " port-fallback",
        (true, false) => " port",
        (false, true) => " fallback",
        (false, false) => "",
    };
    let mut lines = vec![format!("scheduler {}{flags}", service.scheduler)];
    if let Some(persistence) = service.persistence {
        lines.push(format!("persistence timeout {}", persistence.timeout));
        match persistence.netmask {
            Netmask::V4(mask) if !mask.is_broadcast() => lines.push(format!("persistence netmask {mask}")),
            Netmask::V6(length) if length != 128 => lines.push(format!("persistence netmask {length}")),
            Netmask::V4(_) | Netmask::V6(_) => {}
        }
    }
    lines.extend(service.engine.map(|engine| format!("persistence engine {engine}")));
    lines.extend(service.one_packet.then(|| "one-packet".to_owned()));
    lines
}

fn forwarding(destination: &Destination) -> Vec<String> {
    let (mode, tunnel) = match destination.forward {
        Forward::Masquerade => ("nat", None),
        Forward::Tunnel(Tunnel::Ipip | Tunnel::Other { .. }) => ("tun", None),
        Forward::Tunnel(Tunnel::Gue { port, flags }) => ("tun", Some(format!("gue {port} {}", checksum(flags)))),
        Forward::Tunnel(Tunnel::Gre { flags }) => ("tun", Some(format!("gre {}", checksum(flags)))),
        Forward::DirectRoute | Forward::Local | Forward::Bypass | Forward::Other(_) => ("dr", None),
    };
    let mut lines = vec![format!("mode {mode}"), format!("weight {}", destination.weight)];
    let thresholds = destination.thresholds;
    match (thresholds.upper, thresholds.lower) {
        (0, _) => {}
        (upper, 0) => lines.push(format!("threshold {upper}")),
        (upper, lower) => lines.push(format!("threshold {upper} {lower}")),
    }
    // The encapsulation is the virtual server's.
    lines.extend(tunnel.map(|tunnel| format!("exit, tunnel {tunnel}")));
    lines
}

fn checksum(flags: TunnelFlags) -> &'static str {
    if flags.contains(TunnelFlags::CHECKSUM) {
        "csum"
    } else if flags.contains(TunnelFlags::REMOTE_CHECKSUM) {
        "remcsum"
    } else {
        "nocsum"
    }
}
