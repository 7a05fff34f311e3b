//! Rules to a script. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use yoke_config::model::{NatPool, SourceNat, Transport, Virtual};
use yoke_config::value::{IpNet, Name, Ports};

use super::{Rules, Sync, TABLE, Treatment};

/// Connection mark of "the address of the interface"; pools have those after it.
const INTERFACE: u32 = 1;
/// Connection marks from here on stand for one virtual server each: its real server decides.
const BY_SERVER: u32 = 0x1_0000;

/// The script that replaces the table by these rules. Nothing asked for is no table.
pub(crate) fn render(rules: &Rules) -> String {
    // To delete a table that does not exist is an error, to declare one that does is none.
    let mut script = format!("table {TABLE}\ndelete table {TABLE}\n");
    let parts = [pools(rules), ssh(rules), sync(rules), input(rules), incoming(rules), outgoing(rules)].concat();
    if !parts.is_empty() {
        let _ = write!(script, "table {TABLE} {{\n{parts}}}\n");
    }
    script
}

/// What gets in at a pool's address: it is ours so that nobody else takes it, and answers ARP, neighbours and ping. A segment that belongs to
/// no connection is dropped: a reset would end one that another box, or this one a moment ago, knows of.
fn pools(rules: &Rules) -> String {
    let mut text = String::new();
    for (family, kind, name) in [(4, "ipv4_addr", "pool4"), (6, "ipv6_addr", "pool6")] {
        let ranges = merged(rules.guarded().filter(|pool| pool.first.is_ipv4() == (family == 4)));
        if !ranges.is_empty() {
            let elements: Vec<String> = ranges.iter().map(range).collect();
            let elements = elements.join(", ");
            let _ =
                writeln!(text, " set {name} {{\n  type {kind}\n  flags interval\n  elements = {{ {elements} }}\n }}");
        }
    }
    if !text.is_empty() {
        text.push_str(
            " chain pool {\n  icmp type echo-request accept\n  icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert } accept\n  drop\n }\n",
        );
    }
    text
}

/// Pools may share addresses, elements of a set may not.
fn merged<'a>(pools: impl Iterator<Item = &'a NatPool>) -> Vec<NatPool> {
    let mut pools: Vec<NatPool> = pools.copied().collect();
    pools.sort();
    let mut merged: Vec<NatPool> = Vec::new();
    for pool in pools {
        match merged.last_mut() {
            Some(last) if pool.first <= last.last => last.last = last.last.max(pool.last),
            _ => merged.push(pool),
        }
    }
    merged
}

fn range(pool: &NatPool) -> String {
    if pool.first == pool.last { pool.first.to_string() } else { format!("{}-{}", pool.first, pool.last) }
}

fn ssh(rules: &Rules) -> String {
    if rules.ssh_clients.is_empty() {
        return String::new();
    }
    let mut text = String::from(" chain ssh {\n");
    for prefix in &rules.ssh_clients {
        let _ = writeln!(text, "  {} saddr {} accept", family(prefix.addr), prefix.network());
    }
    text.push_str("  drop\n }\n");
    text
}

/// Connection sync believes whatever it hears: it hears the peer, and nobody while none is known.
fn sync(rules: &Rules) -> String {
    let Some(Sync { interface, multicast, peers, .. }) = &rules.sync else { return String::new() };
    let from: Vec<String> = peers.iter().map(ToString::to_string).collect();
    let peer = if from.is_empty() {
        String::new()
    } else {
        format!("  iifname \"{interface}\" {} saddr {{ {} }} accept\n", family(*multicast), from.join(", "))
    };
    // What this box multicasts itself, to end connections, comes back by the same interface.
    format!(" chain sync {{\n{peer}  fib saddr type local accept\n  drop\n }}\n")
}

/// What is for the box itself. After IPVS, whose hooks have 98 and 99 (`NF_IP_PRI_NAT_SRC` - 2 and - 1): what it has taken does not come here, so
/// that no rule costs a balanced packet anything.
fn input(rules: &Rules) -> String {
    let mut text = String::new();
    if let Some(Sync { multicast, port, .. }) = &rules.sync {
        let _ = writeln!(text, "  {} daddr {multicast} udp dport {port} jump sync", family(*multicast));
    }
    for (ipv4, rule) in [(true, "ip daddr @pool4 jump pool"), (false, "ip6 daddr @pool6 jump pool")] {
        if rules.guarded().any(|pool| pool.first.is_ipv4() == ipv4) {
            let _ = writeln!(text, "  {rule}");
        }
    }
    if !rules.ssh_clients.is_empty() {
        for address in &rules.ssh_addresses {
            let port = rules.ssh_port;
            let _ = writeln!(text, "  {} daddr {address} tcp dport {port} jump ssh", family(*address));
        }
    }
    for (ipv4, word) in [(true, "ip"), (false, "ip6")] {
        let addresses = rules.quiet.iter().filter(|address| address.is_ipv4() == ipv4).map(ToString::to_string);
        let addresses: Vec<String> = addresses.collect();
        if !addresses.is_empty() {
            let _ = writeln!(text, "  {word} daddr {{ {} }} tcp flags & syn == 0 drop", addresses.join(", "));
        }
    }
    if text.is_empty() && rules.ssh_clients.is_empty() {
        return text;
    }
    format!(" chain input {{\n  type filter hook input priority 110; policy accept;\n{text} }}\n")
}

/// Marks of packets, which IPVS reads a moment later, and those of connections. A nat chain sees the first packet of a connection only, so that
/// all others come through without a rule.
fn incoming(rules: &Rules) -> String {
    let (packets, mut text) = marks(rules);
    if !packets.is_empty() {
        let _ = write!(
            text,
            " chain incoming {{\n  type filter hook prerouting priority mangle; policy accept;\n{packets} }}\n"
        );
    }
    text.push_str(&connections(rules));
    text
}

/// `firewall-mark`. Of two lines for one packet the narrower one counts, so wide ones come first; single ports of single addresses, which may be
/// many, are one lookup.
fn marks(rules: &Rules) -> (String, String) {
    let mut wide: Vec<_> = rules.marks.iter().filter(|(what, _)| !is_single(what)).collect();
    wide.sort_by_key(|((prefix, _, ports), _)| (prefix.prefix_len, std::cmp::Reverse(width(*ports))));
    let mut text = String::new();
    for ((prefix, protocol, ports), mark) in wide {
        let _ = write!(text, "  {} daddr {} ", family(prefix.addr), prefix.network());
        let protocol = protocol.word();
        let _ = match (ports.first, ports.last) {
            (0, _) => write!(text, "meta l4proto {protocol}"),
            (first, last) if first == last => write!(text, "{protocol} dport {first}"),
            (first, last) => write!(text, "{protocol} dport {first}-{last}"),
        };
        let _ = writeln!(text, " meta mark set {mark}");
    }
    let mut maps = String::new();
    for family in FAMILIES {
        let single = rules.marks.iter().filter(|(what, _)| is_single(what) && what.0.addr.is_ipv4() == family.ipv4);
        let elements = single.map(|((prefix, protocol, ports), mark)| {
            (format!("{} . {} . {}", prefix.addr, protocol.word(), ports.first), *mark)
        });
        if map(&mut maps, &format!("marks{}", family.suffix), family.by_port, elements) {
            let Family { ip, suffix, .. } = family;
            let _ = writeln!(text, "  meta mark set {ip} daddr . meta l4proto . th dport map @marks{suffix}");
        }
    }
    (text, maps)
}

fn is_single((prefix, _, ports): &(IpNet, Transport, Ports)) -> bool {
    prefix.is_host() && ports.first != 0 && ports.first == ports.last
}

fn width(ports: Ports) -> u32 {
    if ports.first == 0 { u32::MAX } else { u32::from(ports.last) - u32::from(ports.first) }
}

/// The chain that gives a new connection its mark, and the maps it looks it up in. Wide before narrow, as IPVS prefers them.
fn connections(rules: &Rules) -> String {
    if !rules.needs_conntrack() {
        return String::new();
    }
    let numbers = Numbers::of(rules);
    let (mut maps, mut chain) = (String::new(), String::new());
    let mark_of = |virtual_: &Virtual, treatment: &Treatment| numbers.of_connection(virtual_, treatment);
    for any_port in [true, false] {
        for family in FAMILIES {
            let Family { ip, suffix, .. } = family;
            let elements = rules.servers.iter().filter_map(|(virtual_, treatment)| match *virtual_ {
                Virtual::Address(address, protocol, port)
                    if address.is_ipv4() == family.ipv4 && (port == 0) == any_port =>
                {
                    let port = if any_port { String::new() } else { format!(" . {port}") };
                    Some((format!("{address} . {}{port}", protocol.word()), mark_of(virtual_, treatment)))
                }
                _ => None,
            });
            let (name, kind, key) = if any_port {
                (format!("hosts{suffix}"), family.by_host, format!("{ip} daddr . meta l4proto"))
            } else {
                (format!("servers{suffix}"), family.by_port, format!("{ip} daddr . meta l4proto . th dport"))
            };
            if map(&mut maps, &name, kind, elements) {
                let _ = writeln!(chain, "  ct mark set {key} map @{name}");
            }
        }
    }
    for family in FAMILIES {
        let suffix = family.suffix;
        let elements = rules.servers.iter().filter_map(|(virtual_, treatment)| match *virtual_ {
            Virtual::Fwmark { mark, ipv6 } if ipv6 != family.ipv4 => {
                Some((mark.to_string(), mark_of(virtual_, treatment)))
            }
            _ => None,
        });
        if map(&mut maps, &format!("marked{suffix}"), "mark", elements) {
            let _ = writeln!(chain, "  meta nfproto ipv{suffix} ct mark set meta mark map @marked{suffix}");
        }
    }
    format!("{maps} chain connection {{\n  type nat hook prerouting priority dstnat; policy accept;\n{chain} }}\n")
}

/// Where the source is translated. A nat chain sees the first packet of a connection only. The port stays what it was where it is free, so that
/// another box can take the connection over.
fn outgoing(rules: &Rules) -> String {
    if !rules.translates() {
        return String::new();
    }
    let numbers = Numbers::of(rules);
    let mut text = by_server(rules, &numbers);
    let mut decide = if text.is_empty() { String::new() } else { format!("  ct mark >= {BY_SERVER} jump by-server\n") };
    for nat in rules.translations() {
        let _ = match nat {
            SourceNat::Interface => writeln!(text, " chain interface {{\n  masquerade\n }}"),
            SourceNat::Pool(name) => match rules.pools.get(name) {
                Some(pool) => {
                    writeln!(text, " chain pool-{name} {{\n  snat {} to {}\n }}", family(pool.first), range(pool))
                }
                // A virtual server without its pool is not in IPVS.
                None => continue,
            },
        };
    }
    let of_servers = rules.of_servers().into_iter().filter_map(|nat| {
        let chain = chain_of(rules, nat)?;
        Some(format!("{} : goto {chain}", numbers.of_nat(nat)))
    });
    let verdicts = of_servers.collect::<Vec<_>>().join(", ");
    if !verdicts.is_empty() {
        let _ = writeln!(decide, "  ct mark vmap {{ {verdicts} }}");
    }
    decide.push_str(&inside(rules));
    let _ =
        write!(text, " chain outgoing {{\n  type nat hook postrouting priority srcnat; policy accept;\n{decide} }}\n");
    text
}

/// `ip nat inside source`. Of two lines for one host the narrower one counts. Hosts of one prefix know each other by their own addresses.
fn inside(rules: &Rules) -> String {
    let mut lines: Vec<_> = rules.inside.iter().collect();
    lines.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len));
    let mut text = String::new();
    for (prefix, nat) in lines {
        if let Some(chain) = chain_of(rules, nat) {
            let ip = family(prefix.addr);
            let _ = writeln!(text, "  {ip} saddr {prefix} {ip} daddr != {prefix} goto {chain}");
        }
    }
    text
}

/// The chain that gives these source addresses, if they exist.
fn chain_of(rules: &Rules, nat: &SourceNat) -> Option<String> {
    match nat {
        SourceNat::Interface => Some("interface".to_owned()),
        SourceNat::Pool(name) => rules.pools.contains_key(name).then(|| format!("pool-{name}")),
    }
}

/// For virtual servers whose real servers differ: the real server, which IPVS has put into the packet by now, decides.
fn by_server(rules: &Rules, numbers: &Numbers<'_>) -> String {
    let (mut maps, mut chain) = (String::new(), String::new());
    for any_port in [false, true] {
        for family in FAMILIES {
            let Family { ip, suffix, .. } = family;
            let mut elements = Vec::new();
            for (virtual_, treatment) in &rules.servers {
                let Treatment::Some(nat, servers) = treatment else { continue };
                let mark = numbers.of_connection(virtual_, treatment);
                for (&(address, port), translated) in servers {
                    if address.is_ipv4() == family.ipv4 && (port == 0) == any_port {
                        let port = if any_port { String::new() } else { format!(" . {port}") };
                        let to = if *translated { numbers.of_nat(nat) } else { 0 };
                        elements.push((format!("{mark} . {address}{port}"), to));
                    }
                }
            }
            let (name, kind, key) = if any_port {
                (format!("real-hosts{suffix}"), family.real_host, format!("ct mark . {ip} daddr"))
            } else {
                (format!("real-servers{suffix}"), family.real_server, format!("ct mark . {ip} daddr . th dport"))
            };
            if map(&mut maps, &name, kind, elements.into_iter()) {
                let _ = writeln!(chain, "  ct mark set {key} map @{name} return");
            }
        }
    }
    if chain.is_empty() { String::new() } else { format!("{maps} chain by-server {{\n{chain} }}\n") }
}

/// Adds a map from `kind` to marks, unless it would be empty. Says whether it did.
fn map(text: &mut String, name: &str, kind: &str, elements: impl Iterator<Item = (String, u32)>) -> bool {
    let mut elements = elements.peekable();
    if elements.peek().is_none() {
        return false;
    }
    let _ = writeln!(text, " map {name} {{\n  type {kind} : mark\n  elements = {{");
    for (key, mark) in elements {
        let _ = writeln!(text, "   {key} : {mark},");
    }
    text.push_str("  }\n }\n");
    true
}

/// What a family is called in scripts.
#[derive(Debug, Clone, Copy)]
struct Family {
    ipv4: bool,
    ip: &'static str,
    suffix: &'static str,
    by_host: &'static str,
    by_port: &'static str,
    real_host: &'static str,
    real_server: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        ipv4: true,
        ip: "ip",
        suffix: "4",
        by_host: "ipv4_addr . inet_proto",
        by_port: "ipv4_addr . inet_proto . inet_service",
        real_host: "mark . ipv4_addr",
        real_server: "mark . ipv4_addr . inet_service",
    },
    Family {
        ipv4: false,
        ip: "ip6",
        suffix: "6",
        by_host: "ipv6_addr . inet_proto",
        by_port: "ipv6_addr . inet_proto . inet_service",
        real_host: "mark . ipv6_addr",
        real_server: "mark . ipv6_addr . inet_service",
    },
];

/// Connection marks. They mean something from the first packet's arrival to its leaving only, so they may change with every script.
struct Numbers<'a> {
    pools: BTreeMap<&'a Name, u32>,
    servers: BTreeMap<Virtual, u32>,
}

impl<'a> Numbers<'a> {
    fn of(rules: &'a Rules) -> Self {
        let names = rules.translations().into_iter().filter_map(|nat| match nat {
            SourceNat::Interface => None,
            SourceNat::Pool(name) => Some(name),
        });
        let pools = names.zip(INTERFACE + 1..).collect();
        let mixed = rules.servers.iter().filter(|(_, treatment)| matches!(treatment, Treatment::Some(..)));
        let servers = mixed.map(|(virtual_, _)| *virtual_).zip(BY_SERVER..).collect();
        Self { pools, servers }
    }

    fn of_nat(&self, nat: &SourceNat) -> u32 {
        match nat {
            SourceNat::Interface => INTERFACE,
            SourceNat::Pool(name) => self.pools.get(name).copied().unwrap_or_default(),
        }
    }

    fn of_connection(&self, virtual_: &Virtual, treatment: &Treatment) -> u32 {
        match treatment {
            Treatment::Keep => 0,
            Treatment::Translate(nat) => self.of_nat(nat),
            Treatment::Some(..) => self.servers.get(virtual_).copied().unwrap_or_default(),
        }
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}
