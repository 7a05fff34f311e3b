//! Listings, byte for byte as ipvsadm 1.31 prints them, but for two faults of it: a server's counters do not wrap round at 32 bits, and no name
//! is asked of the network.

use std::io::{self, Write};

use crate::connections::Connection;
use crate::{
    Daemon, Forward, Info, Netmask, ObservedDestination, ObservedService, Protocol, Rates, SchedulerFlags, Service,
    ServiceKey, Stats, Tunnel, TunnelFlags,
};

use super::line::Columns;
use super::text::{self, Names};

/// The protocol of a service by mark: ports have no names there.
pub(super) const NO_PROTOCOL: Protocol = Protocol::Other(0);
/// The longest IPv4 name a column shows; IPv6 names push the others along.
const NAME_MAX: usize = 28;

/// How names and numbers are written.
pub(super) struct Style<'a> {
    pub(super) names: &'a Names,
    pub(super) numeric: bool,
    /// Large numbers in full.
    pub(super) exact: bool,
}

impl Style<'_> {
    fn place(&self, at: std::net::IpAddr, port: u16, protocol: Protocol) -> String {
        if self.numeric { text::numeric(at, port) } else { self.names.named(at, port, protocol) }
    }

    fn column(&self, at: std::net::IpAddr, port: u16, protocol: Protocol) -> String {
        let mut name = self.place(at, port, protocol);
        // A number never is that long.
        if at.is_ipv4()
            && name.len() > NAME_MAX
            && let Some((end, _)) = name.char_indices().nth(NAME_MAX)
        {
            name.truncate(end);
        }
        name
    }

    fn large(&self, number: u64) -> Number {
        Number { number, exact: self.exact }
    }
}

/// A counter in its column: ` %8u`, or thousands, millions and so on from a hundred million.
struct Number {
    number: u64,
    /// In full, whatever it is.
    exact: bool,
}

impl Number {
    /// Writes it, without the machinery of `fmt`: ten thousand servers have fifty thousand of these.
    fn emit(&self, out: &mut impl Write) -> io::Result<()> {
        let (mut number, unit) = match self.number {
            number if self.exact => (number, None),
            number @ 0..100_000_000 => (number, None),
            number @ 100_000_000..1_000_000_000 => (number / 1_000, Some(b'K')),
            number @ 1_000_000_000..100_000_000_000 => (number / 1_000_000, Some(b'M')),
            number @ 100_000_000_000..100_000_000_000_000 => (number / 1_000_000_000, Some(b'G')),
            number => (number / 1_000_000_000_000, Some(b'T')),
        };
        // A space, the twenty digits of the largest, a unit.
        let mut text = *b"                      ";
        let end = text.len() - 1;
        let mut start = end;
        while number > 0 || start == end {
            start -= 1;
            text[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
        start = start.min(end - 8);
        match unit {
            Some(unit) => {
                text[end] = unit;
                out.write_all(&text[start..])
            }
            None => out.write_all(&text[start - 1..end]),
        }
    }
}

/// The first line of a listing of the whole table.
pub(super) fn title(out: &mut impl Write, info: &Info) -> io::Result<()> {
    let (major, minor, patch) = info.version;
    writeln!(out, "IP Virtual Server version {major}.{minor}.{patch} (size={})", info.table_size)
}

/// The two lines over the columns.
pub(super) fn head(out: &mut impl Write, columns: Columns) -> io::Result<()> {
    const SERVER: &str = "  -> RemoteAddress:Port";
    let (service, server) = match columns {
        Columns::Stats => ("              Conns   InPkts  OutPkts  InBytes OutBytes", ""),
        Columns::Rate => ("                CPS    InPPS   OutPPS    InBPS   OutBPS", ""),
        Columns::Thresholds => ("           Uthreshold Lthreshold ActiveConn InActConn ", ""),
        Columns::PersistentConn => ("           Weight    PersistConn ActiveConn InActConn ", ""),
        Columns::Usual => ("Scheduler Flags", "           Forward Weight ActiveConn InActConn"),
        Columns::TunnelInfo => ("Scheduler Flags", "           Forward TunnelInfo    Weight ActiveConn InActConn"),
    };
    writeln!(out, "Prot LocalAddress:Port {service}\n{SERVER}{server}")
}

/// A service and its servers.
pub(super) fn service(
    out: &mut impl Write,
    style: &Style<'_>,
    columns: Columns,
    service: &ObservedService,
    destinations: &[&ObservedDestination],
) -> io::Result<()> {
    let (protocol, name) = match service.key {
        ServiceKey::Address { protocol, address, port } => (protocol, style.column(address, port, protocol)),
        ServiceKey::Mark { mark, family } => (NO_PROTOCOL, mark_name(mark.get(), family)),
    };
    let kind = if matches!(service.key, ServiceKey::Mark { .. }) { "FWM" } else { protocol_name(protocol) };
    let name = format!("{kind:<4} {name}");
    match columns {
        Columns::Stats => numbers(out, &name, 33, counters(style, &service.stats))?,
        Columns::Rate => numbers(out, &name, 33, rates(style, &service.stats))?,
        Columns::Usual | Columns::Thresholds | Columns::PersistentConn | Columns::TunnelInfo => {
            writeln!(out, "{name}{}", options(&service.service))?;
        }
    }
    for destination in destinations {
        let name = style.column(destination.key.address, destination.key.port, protocol);
        self::destination(out, style, columns, &name, destination)?;
    }
    Ok(())
}

fn destination(
    out: &mut impl Write,
    style: &Style<'_>,
    columns: Columns,
    name: &str,
    d: &ObservedDestination,
) -> io::Result<()> {
    let ObservedDestination { destination, active, inactive, persistent, stats, .. } = d;
    let (weight, forward) = (destination.weight, forward_name(destination.forward));
    out.write_all(b"  -> ")?;
    match columns {
        Columns::Stats => numbers(out, name, 28, counters(style, stats)),
        Columns::Rate => {
            let [connections, packets_in, packets_out, bytes_in, bytes_out] = rates(style, stats);
            // Of a server's rates only bytes are shortened.
            let [connections, packets_in, packets_out] =
                [connections, packets_in, packets_out].map(|rate| Number { exact: true, ..rate });
            numbers(out, name, 28, [connections, packets_in, packets_out, bytes_in, bytes_out])
        }
        Columns::Thresholds => {
            let thresholds = destination.thresholds;
            writeln!(out, "{name:<28} {:<10} {:<10} {active:<10} {inactive:<10}", thresholds.upper, thresholds.lower)
        }
        Columns::PersistentConn => {
            writeln!(out, "{name:<28} {weight:<9} {persistent:<11} {active:<10} {inactive:<10}")
        }
        Columns::TunnelInfo => {
            let tunnel = tunnel_info(destination.forward);
            writeln!(out, "{name:<28} {forward:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}")
        }
        Columns::Usual => writeln!(out, "{name:<28} {forward:<7} {weight:<6} {active:<10} {inactive:<10}"),
    }
}

/// A row of numbers after its `name`, which is padded to `width`.
fn numbers(out: &mut impl Write, name: &str, width: usize, numbers: [Number; 5]) -> io::Result<()> {
    out.write_all(name.as_bytes())?;
    for _ in name.chars().count()..width {
        out.write_all(b" ")?;
    }
    for number in numbers {
        number.emit(out)?;
    }
    out.write_all(b"\n")
}

fn counters(style: &Style<'_>, stats: &Stats) -> [Number; 5] {
    let Stats { connections, packets_in, packets_out, bytes_in, bytes_out, .. } = *stats;
    [connections, packets_in, packets_out, bytes_in, bytes_out].map(|number| style.large(number))
}

fn rates(style: &Style<'_>, stats: &Stats) -> [Number; 5] {
    let Rates { connections, packets_in, packets_out, bytes_in, bytes_out } = stats.rates;
    [connections, packets_in, packets_out, bytes_in, bytes_out].map(|number| style.large(number))
}

/// A mark as a signed number, as `%d` has it.
pub(super) fn mark_name(mark: u32, family: crate::Family) -> String {
    match family {
        crate::Family::V4 => format!("{}", mark.cast_signed()),
        crate::Family::V6 => format!("{} IPv6", mark.cast_signed()),
    }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
        Protocol::Other(_) => "IP",
    }
}

fn forward_name(forward: Forward) -> &'static str {
    match forward {
        Forward::Masquerade => "Masq",
        Forward::Local => "Local",
        Forward::Tunnel(_) => "Tunnel",
        Forward::DirectRoute => "Route",
        Forward::Bypass => "Bypass",
        Forward::Other(_) => "Unknown",
    }
}

fn tunnel_info(forward: Forward) -> String {
    let checksum = |flags: TunnelFlags| {
        if flags.contains(TunnelFlags::CHECKSUM) {
            "+c"
        } else if flags.contains(TunnelFlags::REMOTE_CHECKSUM) {
            "r+c"
        } else {
            "-c"
        }
    };
    match forward {
        Forward::Tunnel(Tunnel::Ipip) => "ipip".into(),
        Forward::Tunnel(Tunnel::Gue { port, flags }) => format!("gue:{port}:{}", checksum(flags)),
        Forward::Tunnel(Tunnel::Gre { flags }) => format!("gre:{}", checksum(flags)),
        Forward::Tunnel(Tunnel::Other { .. })
        | Forward::Masquerade
        | Forward::Local
        | Forward::DirectRoute
        | Forward::Bypass
        | Forward::Other(_) => "n/a".into(),
    }
}

fn options(service: &Service) -> String {
    let mut text = format!(" {}", service.scheduler);
    if service.scheduler_flags != SchedulerFlags::NONE {
        text += &format!(" ({})", scheduler_flags(service));
    }
    if let Some(persistence) = service.persistence {
        text += &format!(" persistent {}", persistence.timeout);
        if let Some(mask) = mask(persistence.netmask) {
            text += &format!(" mask {mask}");
        }
        if let Some(engine) = service.engine {
            text += &format!(" pe {engine}");
        }
    }
    if service.one_packet {
        text += " ops";
    }
    text
}

/// A netmask that is not that of a host.
pub(super) fn mask(netmask: Netmask) -> Option<String> {
    if netmask == Netmask::host(netmask.family()) {
        return None;
    }
    Some(match netmask {
        Netmask::V4(mask) => mask.to_string(),
        Netmask::V6(length) => length.to_string(),
    })
}

/// The flags under the names the scheduler gives them; `sh` and `mh` have none for the third.
pub(super) fn scheduler_flags(service: &Service) -> String {
    let names = match &*service.scheduler {
        "sh" => ["sh-fallback", "sh-port", ""],
        "mh" => ["mh-fallback", "mh-port", ""],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let flags = [SchedulerFlags::FALLBACK, SchedulerFlags::PORT, SchedulerFlags::THREE];
    let given =
        names.into_iter().zip(flags).filter(|(name, flag)| !name.is_empty() && service.scheduler_flags.contains(*flag));
    given.map(|(name, _)| name).collect::<Vec<_>>().join(",")
}

/// The two lines over the connections.
pub(super) fn connections_head(out: &mut impl Write, engine: bool) -> io::Result<()> {
    let more = if engine { "        pe name          pe_data" } else { "" };
    let columns = "pro expire state       source             virtual            destination";
    writeln!(out, "IPVS connection entries\n{columns}{more}")
}

/// A connection.
pub(super) fn connection(
    out: &mut impl Write,
    style: &Style<'_>,
    engine: bool,
    connection: &Connection<'_>,
) -> io::Result<()> {
    let Connection { protocol, client, service, destination, state, expires, .. } = *connection;
    let place = |at: std::net::SocketAddr| style.place(at.ip(), at.port(), protocol);
    let expires = format!("{:02}:{:02}", expires / 60, expires % 60);
    let (kind, client, service, destination) =
        (protocol_name(protocol), place(client), place(service), place(destination));
    write!(out, "{kind:<3} {expires:<6} {state:<11} {client:<18} {service:<18} ")?;
    match connection.engine {
        Some((name, data)) if engine => {
            write!(out, "{destination:<16} {name:<18} ")?;
            out.write_all(data)?;
            writeln!(out)
        }
        Some(_) | None => writeln!(out, "{destination}"),
    }
}

/// A sync daemon.
pub(super) fn daemon(out: &mut dyn Write, daemon: &Daemon) -> io::Result<()> {
    let Daemon { role, interface, sync_id, .. } = daemon;
    let max_length = daemon.max_length.unwrap_or(0);
    let group = daemon.group.map_or_else(|| "0.0.0.0".into(), text::address);
    let (port, ttl) = (daemon.port.unwrap_or(0), daemon.ttl.unwrap_or(0));
    writeln!(
        out,
        "{role} sync daemon (mcast={interface}, syncid={sync_id}, maxlen={max_length}, group={group}, port={port}, ttl={ttl})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_columns_and_shortened_from_a_hundred_million() {
        for number in
            [0, 7, 10, 12_345_678, 99_999_999, 100_000_000, 999_999_999, 1 << 31, 99_999_999_999, 1 << 45, u64::MAX]
        {
            for exact in [false, true] {
                let expected = match number {
                    _ if exact => format!(" {number:>8}"),
                    0..100_000_000 => format!(" {number:>8}"),
                    100_000_000..1_000_000_000 => format!("{:>8}K", number / 1_000),
                    1_000_000_000..100_000_000_000 => format!("{:>8}M", number / 1_000_000),
                    100_000_000_000..100_000_000_000_000 => format!("{:>8}G", number / 1_000_000_000),
                    _ => format!("{:>8}T", number / 1_000_000_000_000),
                };
                let mut out = Vec::new();
                Number { number, exact }.emit(&mut out).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }
}
