//! Lines outside of blocks, and the headers that lead to them.

use crate::model::{
    Config, Defence, FirewallMark, IpvsSettings, Line as Terminal, NatPool, Privilege, Route, Severity, SourceNat,
    Transport,
};
use crate::tree::Tree;
use crate::value::{Name, Value};

use super::{Findings, Line, interface, monitor, virtual_server, vrrp};

/// Puts one line into its field.
pub(super) fn read(config: &mut Config, line: &Line<'_>, out: &mut Findings) {
    use Value as V;
    match (line.kind.as_str(), line.words.as_slice()) {
        ("hostname", [V::Name(name)]) => config.hostname = Some(name.clone()),
        ("banner login", [V::Text(text)]) => config.banner_login = Some(text.clone()),
        ("banner motd", [V::Text(text)]) => config.banner_motd = Some(text.clone()),
        ("clock timezone", [V::Word(zone)]) => config.timezone = Some(zone.as_str().to_owned()),
        ("enable secret", [V::Kw("sha512"), V::Hash(hash)]) => config.enable_secret = Some(hash.clone()),
        (kind, [V::Name(name), ..]) if kind.starts_with("username") => user(config, name, line, out),
        ("line console", []) => config.console = terminal(&line.entry.below, out),
        ("line vty", []) => config.vty = terminal(&line.entry.below, out),
        ("ip domain-name", [V::Name(name)]) => config.domain_name = Some(name.clone()),
        ("ip name-server", [V::Addr(address)]) => config.name_servers.push(*address),
        ("ip nat inside source", [V::Net(prefix), to @ ..]) => {
            let to = if let [V::Kw("pool"), V::Name(pool)] = to {
                SourceNat::Pool(pool.clone())
            } else {
                SourceNat::Interface
            };
            config.nat_inside.insert(*prefix, to);
        }
        ("ip nat pool", [V::Name(name), V::Addr(first), more @ ..]) => {
            let last = if let [V::Addr(last), ..] = more { *last } else { *first };
            if let [.., V::Kw("redundancy"), V::Name(group)] = more {
                config.pool_groups.insert(name.clone(), group.clone());
            }
            config.nat_pools.insert(name.clone(), NatPool { first: *first, last });
        }
        ("ip route" | "ipv6 route", [V::Net(prefix), V::Addr(gateway), distance @ ..]) => {
            let distance = if let [V::Int(n)] = distance { small(*n) } else { 1 };
            config.routes.push(Route { prefix: *prefix, gateway: *gateway, distance });
        }
        ("ip ssh access-class", [V::Net(prefix)]) => config.ssh.access_class.push(*prefix),
        ("ip ssh port", [V::Int(port)]) => config.ssh.port = port16(*port),
        ("ip ssh shutdown", []) => config.ssh.shutdown = true,
        ("arp", [V::Addr(address), V::Mac(mac)]) => drop(config.neighbours.insert(*address, *mac)),
        ("ntp server", [V::Word(host), prefer @ ..]) => {
            config.ntp_servers.insert(host.as_str().to_owned(), !prefer.is_empty());
        }
        ("install trust", [V::Kw("public")]) => config.install_authority = None,
        ("install trust", [V::Kw(_), V::Word(base64)]) => {
            config.install_authority = Some(monitor::authority("install trust ca", base64.as_str(), out));
        }
        ("logging console", [V::Kw(level)]) => config.logging.console = Some(severity(level)),
        ("logging facility", [V::Kw(name)]) => config.logging.facility = Some(facility(name)),
        ("logging trap", [V::Kw(level)]) => config.logging.trap = Some(severity(level)),
        ("logging host", [V::Addr(address), how @ ..]) => {
            let (transport, port) = match how {
                [V::Kw(word), V::Int(port)] => (transport(word), port16(*port)),
                [V::Kw(word)] => (transport(word), SYSLOG_PORT),
                _ => (Transport::Udp, SYSLOG_PORT),
            };
            config.logging.hosts.insert(*address, (transport, port));
        }
        ("archive maximum", [V::Int(n)]) => config.archive_maximum = Some(small(*n)),
        // No field: nothing acts on these in this release, and `later` says so.
        ("snmp-server community" | "metrics port" | "metrics access-class" | "archive path", _) => {}
        ("connection-sync interface", [V::If(name)]) => config.connection_sync.interface = Some(name.clone()),
        ("connection-sync vrrp", [V::Name(group)]) => config.connection_sync.group = Some(group.clone()),
        ("connection-sync syncid", [V::Int(id)]) => config.connection_sync.syncid = Some(small(*id)),
        ("connection-sync group", [V::Addr(address)]) => config.connection_sync.multicast = *address,
        ("connection-sync port", [V::Int(port)]) => config.connection_sync.port = port16(*port),
        ("connection-sync peer", [V::Addr(address)]) => config.connection_sync.peers.push(*address),
        (kind, words) if kind.starts_with("ipvs ") => ipvs(config, kind, words, line, out),
        (kind, [V::Int(mark), V::Net(prefix), V::Ports(ports)]) if kind.starts_with("firewall-mark ") => {
            let protocol = transport(&kind["firewall-mark ".len()..]);
            config.firewall_marks.push(FirewallMark { mark: *mark, prefix: *prefix, protocol, ports: *ports });
        }
        ("interface", [V::If(name)]) => {
            config.interfaces.insert(name.clone(), interface::read(&line.entry.below, out));
        }
        ("health-monitor", [V::Name(name)]) => {
            config.monitors.insert(name.clone(), monitor::read(name, &line.entry.below, out));
        }
        ("virtual-server", [V::Name(name)]) => {
            if let Some(server) = virtual_server::read(name, &line.entry.below, out) {
                config.virtual_servers.insert(name.clone(), server);
            }
        }
        ("vrrp group", [V::Name(name)]) => {
            config.vrrp_groups.insert(name.clone(), vrrp::read_group(&line.entry.below, out));
        }
        ("vrrp sync-group", [V::Name(name)]) => {
            config.vrrp_sync_groups.insert(name.clone(), vrrp::read_sync_group(&line.entry.below, out));
        }
        _ => out.unread(line),
    }
}

/// RFC 5426 §3.3, RFC 6587 §3.
const SYSLOG_PORT: u16 = 514;

fn user(config: &mut Config, name: &Name, line: &Line<'_>, out: &mut Findings) {
    use Value as V;
    let user = config.users.entry(name.clone()).or_default();
    // Kinds of this line hold the type of a key too, which is a keyword.
    match (line.kind.as_str(), line.words.as_slice()) {
        ("username privilege", [_, V::Kw("15")]) => user.privilege = Privilege::Admin,
        ("username privilege", [_, V::Kw(_)]) => user.privilege = Privilege::User,
        ("username secret", [_, V::Kw("sha512"), V::Hash(hash)]) => user.secret = Some(hash.clone()),
        (kind, [_, V::Word(key), comment @ ..]) if kind.starts_with("username ssh-key ") => {
            let mut text = format!("{} {}", &kind["username ssh-key ".len()..], key.as_str());
            if let [V::Text(comment)] = comment {
                text.push(' ');
                text.push_str(comment);
            }
            user.ssh_keys.push(text);
        }
        _ => out.unread(line),
    }
}

fn terminal(below: &Tree, out: &mut Findings) -> Terminal {
    let mut terminal = Terminal::default();
    for (key, entry) in below.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("exec-timeout", [Value::Int(n)]) => terminal.exec_timeout_min = port16(*n),
            ("speed", [Value::Kw(speed)]) => terminal.speed = speed.parse().unwrap_or(terminal.speed),
            ("length", [Value::Int(n)]) => terminal.length = Some(port16(*n)),
            ("width", [Value::Int(n)]) => terminal.width = Some(port16(*n)),
            _ => out.unread(&line),
        }
    }
    terminal
}

fn ipvs(config: &mut Config, kind: &str, words: &[&Value], line: &Line<'_>, out: &mut Findings) {
    let ipvs = &mut config.ipvs;
    match (kind, words) {
        ("ipvs timeout tcp", [Value::Int(seconds)]) => ipvs.timeout_tcp = *seconds,
        ("ipvs timeout tcpfin", [Value::Int(seconds)]) => ipvs.timeout_tcpfin = *seconds,
        ("ipvs timeout udp", [Value::Int(seconds)]) => ipvs.timeout_udp = *seconds,
        ("ipvs table-bits", [Value::Int(bits)]) => ipvs.table_bits = Some(small(*bits)),
        ("ipvs expire-nodest-conn", []) => ipvs.expire_nodest_conn = true,
        ("ipvs expire-quiescent-template", []) => ipvs.expire_quiescent_template = true,
        ("ipvs sloppy-tcp", []) => ipvs.sloppy_tcp = true,
        ("ipvs sloppy-sctp", []) => ipvs.sloppy_sctp = true,
        ("ipvs schedule-icmp", []) => ipvs.schedule_icmp = true,
        ("ipvs conn-reuse-mode", [Value::Int(mode)]) => ipvs.conn_reuse_mode = small(*mode),
        ("ipvs drop-entry", when) => ipvs.drop_entry = Some(defence(when)),
        ("ipvs drop-packet", when) => {
            let rate = if let [_, Value::Int(rate)] = when { port16(*rate) } else { IpvsSettings::DROP_RATE };
            ipvs.drop_packet = Some((defence(when), rate));
        }
        ("ipvs secure-tcp", when) => ipvs.secure_tcp = Some(defence(when)),
        ("ipvs memory-threshold", [Value::Int(mb)]) => ipvs.memory_threshold_mb = Some(*mb),
        _ => out.unread(line),
    }
}

fn defence(when: &[&Value]) -> Defence {
    if when.is_empty() { Defence::Auto } else { Defence::Always }
}

fn severity(word: &str) -> Severity {
    match word {
        "emergencies" => Severity::Emergencies,
        "alerts" => Severity::Alerts,
        "critical" => Severity::Critical,
        "errors" => Severity::Errors,
        "warnings" => Severity::Warnings,
        "notifications" => Severity::Notifications,
        "debugging" => Severity::Debugging,
        _ => Severity::Informational,
    }
}

/// RFC 5424 §6.2.1.
fn facility(word: &str) -> u8 {
    match word.strip_prefix("local").and_then(|number| number.parse::<u8>().ok()) {
        Some(number) => 16 + number,
        None => 3,
    }
}

pub(super) fn transport(word: &str) -> Transport {
    match word {
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        _ => Transport::Tcp,
    }
}

/// The trie has checked the range.
pub(super) fn port16(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The trie has checked the range.
pub(super) fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
