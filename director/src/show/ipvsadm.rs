//! `ipvsadm -Ln` and `-S` for people who know them: the kernel's table as ipvsadm(8) lists and saves it. Nothing is changed; the table has
//! one writer.
//!
//! Numbers only (`-n` is implied): nothing here resolves names.

mod save;

use std::fmt::Write as _;

use ipvs::{
    Forward, Netmask, ObservedDestination, ObservedService, Protocol, SchedulerFlags, Service, ServiceKey, Stats,
};

use crate::director::State;
use crate::kernel::Observed;

/// What is listed of each destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Connections,
    Stats,
    Rate,
    Thresholds,
    Persistent,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Options {
    view: View,
    /// Whole numbers instead of `12K`.
    exact: bool,
    /// Only the timeouts.
    timeout: bool,
    /// As commands that make the table anew.
    save: bool,
}

/// The lines of the listing.
pub(crate) fn lines(state: &mut State, arguments: &[String]) -> Result<Vec<String>, String> {
    let options = parse(arguments)?;
    let why = |e: ipvs::Error| e.to_string();
    if options.timeout {
        let timeouts = state.kernel.timeouts().map_err(why)?;
        return Ok(vec![format!("Timeout (tcp tcpfin udp): {} {} {}", timeouts.tcp, timeouts.tcp_fin, timeouts.udp)]);
    }
    if options.save {
        return Ok(state.kernel.statistics().map_err(why)?.iter().flat_map(save::commands).collect());
    }
    let info = state.kernel.info().map_err(why)?;
    let (major, minor, patch) = info.version;
    let mut lines = vec![format!("IP Virtual Server version {major}.{minor}.{patch} (size={})", info.table_size)];
    lines.extend(header(options.view));
    for (service, destinations) in state.kernel.statistics().map_err(why)? {
        list(&mut lines, options, &(service, destinations));
    }
    Ok(lines)
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options { view: View::Connections, exact: false, timeout: false, save: false };
    for word in arguments {
        match word.as_str() {
            "-L" | "-l" | "--list" | "-n" | "--numeric" | "-Ln" | "-ln" | "-nL" | "--sort" | "--nosort" => {}
            "-S" | "--save" | "-Sn" | "-nS" => options.save = true,
            "--stats" => options.view = View::Stats,
            "--rate" => options.view = View::Rate,
            "--thresholds" => options.view = View::Thresholds,
            "--persistent-conn" => options.view = View::Persistent,
            "--exact" => options.exact = true,
            "--timeout" => options.timeout = true,
            "-c" | "--connection" | "-Lc" | "-Lnc" | "-Lcn" => return Err("ipvsadm: use show connections".to_owned()),
            other => {
                return Err(format!(
                    "ipvsadm: {other}: only listing and -S are done here, changes are made in the configuration"
                ));
            }
        }
    }
    Ok(options)
}

fn header(view: View) -> [String; 2] {
    let (first, second) = match view {
        View::Connections => (
            "Prot LocalAddress:Port Scheduler Flags",
            "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
        ),
        View::Stats => (
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes",
            "  -> RemoteAddress:Port",
        ),
        View::Rate => (
            "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS",
            "  -> RemoteAddress:Port",
        ),
        View::Thresholds => {
            ("Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn ", "  -> RemoteAddress:Port")
        }
        View::Persistent => {
            ("Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn ", "  -> RemoteAddress:Port")
        }
    };
    [first.to_owned(), second.to_owned()]
}

fn list(lines: &mut Vec<String>, options: Options, (service, destinations): &Observed) {
    let name = name(&service.key);
    lines.push(match options.view {
        View::Connections => format!("{name} {}", scheduling(service)),
        View::Stats => format!("{name:<33}{}", numbers(&totals(&service.stats), options.exact)),
        View::Rate => format!("{name:<33}{}", numbers(&rates(&service.stats), options.exact)),
        View::Thresholds | View::Persistent => name,
    });
    for destination in destinations {
        lines.push(line(destination, options));
    }
}

fn line(found: &ObservedDestination, options: Options) -> String {
    let ObservedDestination { key, destination, active, inactive, persistent, stats } = found;
    let (upper, lower) = (destination.thresholds.upper, destination.thresholds.lower);
    let weight = destination.weight;
    let name = key.to_string();
    match options.view {
        View::Connections => {
            format!("  -> {name:<28} {:<7} {weight:<6} {active:<10} {inactive:<10}", forward(destination.forward))
        }
        View::Stats => format!("  -> {name:<28}{}", numbers(&totals(stats), options.exact)),
        View::Rate => format!("  -> {name:<28}{}", numbers(&rates(stats), options.exact)),
        View::Thresholds => format!("  -> {name:<28} {upper:<10} {lower:<10} {active:<10} {inactive:<10}"),
        View::Persistent => format!("  -> {name:<28} {weight:<9} {persistent:<11} {active:<10} {inactive:<10}"),
    }
}

fn name(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address, port } => {
            let protocol = match protocol {
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
                Protocol::Sctp => "SCTP",
                Protocol::Other(_) => "IP",
            };
            format!("{protocol:<4} {}", std::net::SocketAddr::new(*address, *port))
        }
        ServiceKey::Mark { mark, family: ipvs::Family::V4 } => format!("FWM  {mark}"),
        ServiceKey::Mark { mark, family: ipvs::Family::V6 } => format!("FWM  {mark} IPv6"),
    }
}

fn scheduling(found: &ObservedService) -> String {
    let service = &found.service;
    let mut text = service.scheduler.to_string();
    let flags = service.scheduler_flags;
    if flags != SchedulerFlags::NONE {
        let _ = write!(text, " ({})", flag_names(service));
    }
    if let Some(persistence) = &service.persistence {
        let _ = write!(text, " persistent {}", persistence.timeout);
        match persistence.netmask {
            Netmask::V4(mask) if !mask.is_broadcast() => drop(write!(text, " mask {mask}")),
            Netmask::V6(length) if length != 128 => drop(write!(text, " mask {length}")),
            Netmask::V4(_) | Netmask::V6(_) => {}
        }
        if let Some(engine) = &service.engine {
            let _ = write!(text, " pe {engine}");
        }
    }
    if service.one_packet {
        text.push_str(" ops");
    }
    text
}

/// The flags of a scheduler, joined by commas.
fn flag_names(service: &Service) -> String {
    let names = [
        (SchedulerFlags::FALLBACK, format!("{}-fallback", service.scheduler)),
        (SchedulerFlags::PORT, format!("{}-port", service.scheduler)),
        (SchedulerFlags::THREE, "flag-3".to_owned()),
    ];
    let set = names.into_iter().filter(|(flag, _)| service.scheduler_flags.contains(*flag)).map(|(_, name)| name);
    set.collect::<Vec<_>>().join(",")
}

fn forward(forward: Forward) -> &'static str {
    match forward {
        Forward::Masquerade => "Masq",
        Forward::Local => "Local",
        Forward::Tunnel(_) => "Tunnel",
        Forward::DirectRoute => "Route",
        Forward::Bypass => "Bypass",
        Forward::Other(_) => "Unknown",
    }
}

fn totals(stats: &Stats) -> [u64; 5] {
    [stats.connections, stats.packets_in, stats.packets_out, stats.bytes_in, stats.bytes_out]
}

fn rates(stats: &Stats) -> [u64; 5] {
    let rates = &stats.rates;
    [rates.connections, rates.packets_in, rates.packets_out, rates.bytes_in, rates.bytes_out]
}

fn numbers(values: &[u64; 5], exact: bool) -> String {
    values.iter().fold(String::new(), |mut text, &value| {
        let _ = write!(text, " {:>8}", if exact { value.to_string() } else { short(value) });
        text
    })
}

/// Eight columns for any number: `99999999`, `100000K`.
fn short(value: u64) -> String {
    match value {
        0..=99_999_999 => value.to_string(),
        100_000_000..=99_999_999_999 => format!("{}K", value / 1_000),
        100_000_000_000..=99_999_999_999_999 => format!("{}M", value / 1_000_000),
        _ => format!("{}G", value / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_listing_is_taken() {
        assert!(parse(&words("-L -n")).is_ok());
        assert!(parse(&words("-S -n")).unwrap().save);
        assert_eq!(parse(&words("-Ln --stats --exact")).unwrap().view, View::Stats);
        for change in ["-C", "-A -t 1.2.3.4:80", "-Z", "--set 1 2 3", "-R", "-Ln -C"] {
            assert!(parse(&words(change)).unwrap_err().contains("only listing"), "{change}");
        }
    }

    #[test]
    fn a_service_reads_as_ipvsadm_writes_it() {
        let key = ServiceKey::tcp("192.0.2.1:80".parse().unwrap());
        let service = Service {
            scheduler_flags: SchedulerFlags::PORT,
            persistence: Some(ipvs::Persistence { timeout: 600, netmask: Netmask::V4([255, 255, 255, 0].into()) }),
            ..Service::new("sh".parse().unwrap())
        };
        let destination = ObservedDestination {
            key: ipvs::DestinationKey::new("10.0.0.11:8080".parse().unwrap()),
            destination: ipvs::Destination::masquerade(3),
            active: 5,
            inactive: 7,
            persistent: 0,
            stats: Stats { bytes_in: 123_456_789, ..Stats::default() },
        };
        let observed = (ObservedService { key, service, stats: Stats::default() }, vec![destination]);
        let mut lines = Vec::new();
        list(&mut lines, Options { view: View::Connections, exact: false, timeout: false, save: false }, &observed);
        assert_eq!(lines[0], "TCP  192.0.2.1:80 sh (sh-port) persistent 600 mask 255.255.255.0");
        assert_eq!(lines[1].trim_end(), "  -> 10.0.0.11:8080               Masq    3      5          7");
        list(&mut lines, Options { view: View::Stats, exact: false, timeout: false, save: false }, &observed);
        assert!(lines[3].ends_with("        0        0        0  123456K        0"), "{:?}", lines[3]);
        assert_eq!(
            save::commands(&observed),
            [
                "-A -t 192.0.2.1:80 -s sh -p 600 -M 255.255.255.0 -b sh-port",
                "-a -t 192.0.2.1:80 -r 10.0.0.11:8080 -m -w 3"
            ]
        );
    }
}
