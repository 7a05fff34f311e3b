//! The table as command lines that `-R` reads back.
//!
//! Plain, it is ipvsadm's output to the byte, and forgets what ipvsadm forgets: thresholds, timeouts, sync daemons. With `--full` it does not.

use std::io::{self, Write};

use crate::{
    Daemon, Forward, ObservedDestination, ObservedService, Protocol, SchedulerFlags, Service, ServiceKey, Timeouts,
    Tunnel, TunnelFlags,
};

use super::list::{NO_PROTOCOL, mask, scheduler_flags};
use super::text::{self, Names};

/// How lines are written.
pub(super) struct Style<'a> {
    pub(super) names: &'a Names,
    pub(super) numeric: bool,
    pub(super) full: bool,
}

impl Style<'_> {
    fn place(&self, at: std::net::IpAddr, port: u16, protocol: Protocol) -> String {
        if self.numeric { text::numeric(at, port) } else { self.names.named(at, port, protocol) }
    }
}

/// A service and its servers.
pub(super) fn service(
    out: &mut impl Write,
    style: &Style<'_>,
    service: &ObservedService,
    destinations: &[&ObservedDestination],
) -> io::Result<()> {
    let (protocol, at) = match service.key {
        ServiceKey::Address { protocol, address, port } => {
            let option = match protocol {
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
                Protocol::Tcp | Protocol::Other(_) => "-t",
            };
            (protocol, format!("{option} {}", style.place(address, port, protocol)))
        }
        ServiceKey::Mark { mark, family } => {
            // The mark is written signed, as ipvsadm does, though neither reads it back so: in full it is written as it is.
            let number = if style.full { mark.to_string() } else { mark.get().cast_signed().to_string() };
            let v6 = if family == crate::Family::V6 { " -6" } else { "" };
            (NO_PROTOCOL, format!("-f {number}{v6}"))
        }
    };
    writeln!(out, "-A {at}{}", options(&service.service))?;
    for d in destinations {
        let server = style.place(d.key.address, d.key.port, protocol);
        let destination = d.destination;
        write!(out, "-a {at} -r {server} {} -w {}", method(destination.forward), destination.weight)?;
        if let Forward::Tunnel(tunnel) = destination.forward {
            write!(out, "{}", tunnel_options(tunnel))?;
        }
        let thresholds = destination.thresholds;
        if style.full && thresholds.upper != 0 {
            write!(out, " -x {} -y {}", thresholds.upper, thresholds.lower)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn options(service: &Service) -> String {
    let mut text = format!(" -s {}", service.scheduler);
    if let Some(persistence) = service.persistence {
        text += &format!(" -p {}", persistence.timeout);
        if let Some(mask) = mask(persistence.netmask) {
            text += &format!(" -M {mask}");
        }
    }
    if let Some(engine) = service.engine {
        text += &format!(" --pe {engine}");
    }
    if service.one_packet {
        text += " -o";
    }
    if service.scheduler_flags != SchedulerFlags::NONE {
        text += &format!(" -b {}", scheduler_flags(service));
    }
    text
}

fn method(forward: Forward) -> &'static str {
    match forward {
        Forward::Masquerade => "-m",
        Forward::Tunnel(_) => "-i",
        Forward::Local | Forward::DirectRoute | Forward::Bypass | Forward::Other(_) => "-g",
    }
}

fn tunnel_options(tunnel: Tunnel) -> String {
    let checksum = |flags: TunnelFlags| {
        if flags.contains(TunnelFlags::CHECKSUM) {
            "--tun-csum"
        } else if flags.contains(TunnelFlags::REMOTE_CHECKSUM) {
            "--tun-remcsum"
        } else {
            "--tun-nocsum"
        }
    };
    match tunnel {
        Tunnel::Ipip | Tunnel::Other { .. } => " --tun-type ipip".into(),
        Tunnel::Gue { port, flags } => format!(" --tun-type gue --tun-port {port} {}", checksum(flags)),
        Tunnel::Gre { flags } => format!(" --tun-type gre {}", checksum(flags)),
    }
}

/// What is not of the table, for `--full`.
pub(super) fn settings(out: &mut impl Write, timeouts: &Timeouts, daemons: &[Daemon]) -> io::Result<()> {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    writeln!(out, "--set {tcp} {tcp_fin} {udp}")?;
    for daemon in daemons {
        write!(out, "--start-daemon {} --mcast-interface {}", daemon.role, daemon.interface)?;
        write!(out, " --syncid {}", daemon.sync_id)?;
        if let Some(length) = daemon.max_length {
            write!(out, " --sync-maxlen {length}")?;
        }
        if let Some(group) = daemon.group {
            write!(out, " --mcast-group {}", text::address(group))?;
        }
        if let Some(port) = daemon.port {
            write!(out, " --mcast-port {port}")?;
        }
        if let Some(ttl) = daemon.ttl {
            write!(out, " --mcast-ttl {ttl}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
