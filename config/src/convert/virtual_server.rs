//! Lines of `virtual-server NAME` and its real servers, and every rule that needs no other object.
//!
//! The rules are the kernel's and ipvsadm's, said in the operator's words before the kernel has to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{
    Checksum, HealthCheck, Mode, Persistence, RealServer, Scheduler, SorryServer, SourceNat, Transport, Tunnel,
    Virtual, VirtualServer,
};
use crate::tree::Tree;
use crate::value::{Mask, Name, Value};

use super::global::{port16, transport};
use super::{Findings, Line, monitor};

/// The lines as they were found, before defaults.
#[derive(Default)]
struct Lines {
    virtual_: Option<Virtual>,
    scheduler: Option<Scheduler>,
    mode: Option<Mode>,
    tunnel: Option<Tunnel>,
    source_nat: Option<SourceNat>,
    timeout: Option<u32>,
    mask: Option<Mask>,
    sip: bool,
    one_packet: bool,
    description: Option<String>,
    shutdown: bool,
    health_check: Option<HealthCheck>,
    quorum: Option<(u16, u16)>,
    redundancy: Option<Name>,
    sorry_server: Option<(IpAddr, u16, Option<Mode>)>,
    inhibit_on_failure: bool,
    slow_start_s: u16,
    fail_open: bool,
}

/// `None` when there is no `virtual` line; the problem is reported.
pub(super) fn read(name: &Name, below: &Tree, out: &mut Findings) -> Option<VirtualServer> {
    let object = format!("virtual-server {name}");
    let mut lines = Lines::default();
    let mut blocks = Vec::new();
    for (key, entry) in below.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("real-server", [Value::Addr(address), Value::Port(port)]) => {
                blocks.push(((*address, *port), &entry.below));
            }
            _ => lines.read(&line, out),
        }
    }
    let Some(virtual_) = lines.virtual_ else {
        out.problem(format!("{object}: there is no virtual address, use: virtual ADDR PROTOCOL PORT"));
        return None;
    };
    let mode = lines.mode.unwrap_or(Mode::Nat);
    let mut real_servers = BTreeMap::new();
    for (id, below) in blocks {
        real_servers.insert(id, real_server(mode, below, out));
    }
    let server = VirtualServer {
        virtual_,
        scheduler: lines.scheduler.unwrap_or(Scheduler { name: "wlc", port: false, fallback: false }),
        mode,
        tunnel: lines.tunnel.unwrap_or_default(),
        source_nat: lines.source_nat.clone().unwrap_or_default(),
        persistence: lines.persistence(&object, virtual_, out),
        one_packet: lines.one_packet,
        description: lines.description.clone(),
        shutdown: lines.shutdown,
        health_check: lines.health_check.clone(),
        redundancy: lines.redundancy.clone(),
        quorum: lines.quorum.map_or(1, |(quorum, _)| quorum),
        hysteresis: lines.quorum.map_or(0, |(_, hysteresis)| hysteresis),
        sorry_server: lines.sorry_server.map(|(address, port, own)| SorryServer {
            address,
            port,
            mode: own.unwrap_or(mode),
        }),
        inhibit_on_failure: lines.inhibit_on_failure,
        slow_start_s: lines.slow_start_s,
        fail_open: lines.fail_open,
        real_servers,
    };
    lines.check(&object, &server, out);
    for ((address, port), real) in &server.real_servers {
        check_real_server(
            &format!("{object}: real-server {address} {}", Value::Port(*port)),
            &server,
            *address,
            *port,
            real,
            out,
        );
    }
    Some(server)
}

impl Lines {
    fn read(&mut self, line: &Line<'_>, out: &mut Findings) {
        use Value as V;
        match (line.kind.as_str(), line.words.as_slice()) {
            ("description", [V::Text(text)]) => self.description = Some(text.clone()),
            ("virtual", [V::Addr(address), V::Kw(protocol), V::Port(port)]) => {
                self.virtual_ = Some(Virtual::Address(*address, transport(protocol), *port));
            }
            ("virtual", [V::Kw("fwmark"), V::Int(mark), family @ ..]) => {
                self.virtual_ = Some(Virtual::Fwmark { mark: *mark, ipv6: !family.is_empty() });
            }
            ("scheduler", [V::Kw(name), flags @ ..]) => {
                let has = |word: &str| flags.iter().any(|flag| flag.is_kw(word) || flag.is_kw("port-fallback"));
                self.scheduler = Some(Scheduler { name, port: has("port"), fallback: has("fallback") });
            }
            ("mode", [V::Kw(word)]) => self.mode = Some(mode(word)),
            ("tunnel", words) => self.tunnel = Some(tunnel(words)),
            ("source-nat", [V::Kw("interface")]) => self.source_nat = Some(SourceNat::Interface),
            ("source-nat", [V::Kw("pool"), V::Name(pool)]) => self.source_nat = Some(SourceNat::Pool(pool.clone())),
            ("persistence timeout", [V::Int(seconds)]) => self.timeout = Some(*seconds),
            ("persistence netmask", [V::Mask(mask)]) => self.mask = Some(*mask),
            ("persistence engine", [V::Kw("sip")]) => self.sip = true,
            ("one-packet", []) => self.one_packet = true,
            ("shutdown", []) => self.shutdown = true,
            ("sorry-server", [V::Addr(address), V::Port(port), own @ ..]) => {
                let own = if let [V::Kw(_), V::Kw(word)] = own { Some(mode(word)) } else { None };
                self.sorry_server = Some((*address, *port, own));
            }
            ("health-check", words) => self.health_check = Some(monitor::health_check(words)),
            ("quorum", [V::Int(quorum), damping @ ..]) => {
                let hysteresis = if let [V::Kw(_), V::Int(n)] = damping { port16(*n) } else { 0 };
                self.quorum = Some((port16(*quorum), hysteresis));
            }
            ("redundancy", [V::Name(group)]) => self.redundancy = Some(group.clone()),
            ("inhibit-on-failure", []) => self.inhibit_on_failure = true,
            ("slow-start", [V::Int(seconds)]) => self.slow_start_s = port16(*seconds),
            ("fail-open", []) => self.fail_open = true,
            _ => out.unread(line),
        }
    }

    fn persistence(&self, object: &str, virtual_: Virtual, out: &mut Findings) -> Option<Persistence> {
        let ipv6 = virtual_.is_ipv6();
        let Some(timeout) = self.timeout else {
            if self.mask.is_some() || self.sip {
                let which = if self.sip { "engine" } else { "netmask" };
                out.problem(format!(
                    "{object}: persistence {which} says nothing alone, use: persistence timeout SECONDS"
                ));
            }
            return None;
        };
        let bits = if ipv6 { 128 } else { 32 };
        if let Some(mask) = self.mask
            && (mask.prefix_len > bits || (mask.dotted && ipv6))
        {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            out.problem(format!(
                "{object}: persistence netmask {mask} does not fit {family}, use a length of 1-{bits}"
            ));
        }
        // The kernel's sip engine reads UDP only (net/netfilter/ipvs/ip_vs_pe_sip.c).
        if self.sip && matches!(virtual_, Virtual::Address(_, Transport::Tcp | Transport::Sctp, _)) {
            out.problem(format!("{object}: persistence engine sip reads udp only, use: virtual ADDR udp PORT"));
        }
        Some(Persistence { timeout, prefix_len: self.mask.map_or(bits, |mask| mask.prefix_len), sip: self.sip })
    }

    fn check(&self, object: &str, server: &VirtualServer, out: &mut Findings) {
        if let Virtual::Address(address, protocol, port) = server.virtual_ {
            if !is_unicast(address) {
                out.problem(format!("{object}: {address} is no address of a host, use another virtual address"));
            }
            if port == 0 && server.persistence.is_none() {
                out.problem(format!("{object}: port any needs persistence, use: persistence timeout SECONDS"));
            }
            if server.one_packet && protocol != Transport::Udp {
                out.problem(format!("{object}: one-packet works with udp and fwmark only, remove it"));
            }
        }
        if self.tunnel.is_some() && !server.uses(Mode::Tun) {
            out.problem(format!("{object}: tunnel is for mode tun, remove it or use: mode tun"));
        }
        if server.one_packet && (server.uses(Mode::Nat) || server.uses(Mode::Fullnat)) {
            // Such a connection is in no table, so that nothing tells whose replies they are.
            out.warning(format!("{object}: one-packet leaves replies of mode nat untranslated, use: mode dr or tun"));
        }
        self.check_health(object, server, out);
        if self.source_nat.is_some() && !server.uses(Mode::Fullnat) {
            out.problem(format!("{object}: source-nat is for mode fullnat, remove it or use: mode fullnat"));
        }
    }
}

impl Lines {
    /// Quorum and what stands in when it is lost.
    fn check_health(&self, object: &str, server: &VirtualServer, out: &mut Findings) {
        let (quorum, hysteresis) = (server.quorum, server.hysteresis);
        if hysteresis >= quorum {
            out.problem(format!(
                "{object}: quorum {quorum} hysteresis {hysteresis} is never lost, use a hysteresis below the quorum"
            ));
        }
        let weights: u32 = server.real_servers.values().map(|real| u32::from(real.weight)).sum();
        let needed = u32::from(quorum) + u32::from(hysteresis);
        if self.quorum.is_some() && needed > weights && !server.real_servers.is_empty() {
            out.warning(format!("{object}: quorum needs {needed}, all real servers together weigh {weights}"));
        }
        let Some(SorryServer { address, port, mode }) = server.sorry_server else { return };
        let object = format!("{object}: sorry-server {address} {}", Value::Port(port));
        check_reach(&object, server.virtual_, (address, port, mode), out);
        if server.real_servers.contains_key(&(address, port)) {
            out.problem(format!("{object}: it is a real server too, use another"));
        }
    }
}

fn mode(word: &str) -> Mode {
    match word {
        "dr" => Mode::Dr,
        "tun" => Mode::Tun,
        "fullnat" => Mode::Fullnat,
        _ => Mode::Nat,
    }
}

fn tunnel(words: &[&Value]) -> Tunnel {
    let checksum = |words: &[&Value]| match words {
        [Value::Kw("csum")] => Checksum::Full,
        [Value::Kw("remcsum")] => Checksum::Remote,
        _ => Checksum::None,
    };
    match words {
        [Value::Kw("gue"), Value::Int(port), rest @ ..] => Tunnel::Gue(port16(*port), checksum(rest)),
        [Value::Kw("gre"), rest @ ..] => Tunnel::Gre(checksum(rest)),
        _ => Tunnel::Ipip,
    }
}

fn real_server(inherited: Mode, below: &Tree, out: &mut Findings) -> RealServer {
    use Value as V;
    let mut real = RealServer {
        weight: 1,
        mode: inherited,
        threshold: (0, None),
        drain: false,
        health_check: None,
        shutdown: false,
        description: None,
    };
    for (key, entry) in below.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("description", [V::Text(text)]) => real.description = Some(text.clone()),
            ("weight", [V::Int(weight)]) => real.weight = port16(*weight),
            ("mode", [V::Kw(word)]) => real.mode = mode(word),
            ("threshold", [V::Int(upper)]) => real.threshold = (port16(*upper), None),
            ("threshold", [V::Int(upper), V::Int(lower)]) => real.threshold = (port16(*upper), Some(port16(*lower))),
            ("drain", []) => real.drain = true,
            ("shutdown", []) => real.shutdown = true,
            ("health-check", words) => real.health_check = Some(monitor::health_check(words)),
            _ => out.unread(&line),
        }
    }
    real
}

fn check_real_server(
    object: &str,
    server: &VirtualServer,
    address: IpAddr,
    port: u16,
    real: &RealServer,
    out: &mut Findings,
) {
    check_reach(object, server.virtual_, (address, port, real.mode), out);
    if let (upper, Some(lower)) = real.threshold
        && lower > upper
    {
        out.problem(format!(
            "{object}: threshold {upper} {lower} has a lower limit above the upper, use: {lower} {upper}"
        ));
    }
}

/// Whether packets for `virtual_` can be sent to that address and port in that mode.
fn check_reach(object: &str, virtual_: Virtual, (address, port, mode): (IpAddr, u16, Mode), out: &mut Findings) {
    if !is_unicast(address) {
        out.problem(format!("{object}: {address} is no address of a host, use another"));
    }
    if virtual_.is_ipv6() != address.is_ipv6() && mode != Mode::Tun {
        let family = if virtual_.is_ipv6() { "IPv6" } else { "IPv4" };
        out.problem(format!("{object}: the virtual server is {family}, use an {family} address or: mode tun"));
    }
    let virtual_port = match virtual_ {
        Virtual::Address(_, _, port) => port,
        Virtual::Fwmark { .. } => 0,
    };
    if matches!(mode, Mode::Dr | Mode::Tun) && port != virtual_port {
        let mode = mode.word();
        out.problem(format!("{object}: mode {mode} cannot change the port, use: {}", Value::Port(virtual_port)));
    }
}

/// Whether one host may have this address.
pub(super) fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(a) if a.is_broadcast() || a.octets()[0] == 0);
    !(address.is_unspecified() || address.is_multicast() || broadcast)
}
