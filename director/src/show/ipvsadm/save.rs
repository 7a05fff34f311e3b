//! `ipvsadm -S -n`: the table as the command lines that make it anew, in the text of ipvsadm 1.31.
//!
//! Like the original it leaves out thresholds, timeouts and sync daemons; `show running-config` leaves out nothing.

use std::fmt::Write as _;
use std::net::SocketAddr;

use ipvs::{Destination, Forward, Netmask, Protocol, SchedulerFlags, Service, ServiceKey, Tunnel, TunnelFlags};

use super::flag_names;
use crate::kernel::Observed;

/// The lines of one service: `-A`, then an `-a` for each destination.
pub(super) fn commands((found, destinations): &Observed) -> Vec<String> {
    let key = key(&found.key);
    let mut lines = vec![format!("-A {key}{}", scheduling(&found.service))];
    lines.extend(destinations.iter().map(|it| {
        let forward = forward(&it.destination);
        format!("-a {key} -r {} {forward} -w {}{}", it.key, it.destination.weight, tunnel(&it.destination))
    }));
    lines
}

fn key(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address, port } => {
            let option = match protocol {
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
                Protocol::Tcp | Protocol::Other(_) => "-t",
            };
            format!("{option} {}", SocketAddr::new(*address, *port))
        }
        ServiceKey::Mark { mark, family: ipvs::Family::V4 } => format!("-f {mark}"),
        ServiceKey::Mark { mark, family: ipvs::Family::V6 } => format!("-f {mark} -6"),
    }
}

fn scheduling(service: &Service) -> String {
    let mut text = format!(" -s {}", service.scheduler);
    if let Some(persistence) = &service.persistence {
        let _ = write!(text, " -p {}", persistence.timeout);
        match persistence.netmask {
            Netmask::V4(mask) if !mask.is_broadcast() => drop(write!(text, " -M {mask}")),
            Netmask::V6(length) if length != 128 => drop(write!(text, " -M {length}")),
            Netmask::V4(_) | Netmask::V6(_) => {}
        }
    }
    if let Some(engine) = &service.engine {
        let _ = write!(text, " --pe {engine}");
    }
    if service.one_packet {
        text.push_str(" -o");
    }
    if service.scheduler_flags != SchedulerFlags::NONE {
        let _ = write!(text, " -b {}", flag_names(service));
    }
    text
}

fn forward(destination: &Destination) -> &'static str {
    match destination.forward {
        Forward::Masquerade => "-m",
        Forward::Tunnel(_) => "-i",
        Forward::Local | Forward::DirectRoute | Forward::Bypass | Forward::Other(_) => "-g",
    }
}

fn tunnel(destination: &Destination) -> String {
    let Forward::Tunnel(tunnel) = destination.forward else { return String::new() };
    let (mut text, flags) = match tunnel {
        Tunnel::Gue { port, flags } => (format!(" --tun-type gue --tun-port {port}"), flags),
        Tunnel::Gre { flags } => (" --tun-type gre".to_owned(), flags),
        Tunnel::Ipip | Tunnel::Other { .. } => return String::new(),
    };
    if flags.contains(TunnelFlags::CHECKSUM) {
        text.push_str(" --tun-csum");
    } else if flags.contains(TunnelFlags::REMOTE_CHECKSUM) {
        text.push_str(" --tun-remcsum");
    }
    text
}
