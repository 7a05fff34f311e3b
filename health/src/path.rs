//! The way of clients: how a probe gets to a real server of mode dr or tun just as their packets do.
//!
//! Such a server gets packets to the virtual address. A check of its own address says nothing about that one: it may be missing there. So the
//! probe goes to the virtual address itself, with a packet mark that makes IPVS deliver it to this one server, whether or not that is in the
//! pool. The services behind these marks are the director's to program; here is what they are. Pure.
//!
//! Not in path: real servers of a mark, whose clients may have any address; checks of another port than clients use; real servers of another
//! family than the virtual address, for which the box may have no address to ask from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use yoke_config::model::{Check, Config, Mode, Monitor, RealServer, Transport, Tunnel, Virtual, VirtualServer};

/// A real server as IPVS reaches it, whatever the virtual address and the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Of the real server; the packets in it are of the same family.
    pub address: IpAddr,
    /// `None`: mode dr.
    pub tunnel: Option<Tunnel>,
}

/// How a check gets to a real server: the virtual address that it asks, and what IPVS makes of it. Another mode is another way, and what was
/// found on the one says nothing of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The virtual address.
    pub virtual_: IpAddr,
    /// `None`: mode dr.
    pub tunnel: Option<Tunnel>,
}

impl Way {
    /// `dr`, `tun`.
    #[must_use]
    pub fn mode(self) -> Mode {
        if self.tunnel.is_some() { Mode::Tun } else { Mode::Dr }
    }
}

/// What a probe needs to go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// The packet mark of the path.
    pub mark: u32,
    /// From which it asks; `None`, that of datagrams: any.
    pub port: Option<u16>,
    /// The TTL or hop limit it begins with; `None`: the usual one. IPVS takes one off, so what begins with `NEIGHBOUR_HOPS` reaches a neighbour
    /// and is forwarded by none: one that lacks the virtual address would send it on, to this box itself or to whoever has the address, and look
    /// healthy.
    pub hops: Option<u8>,
}

/// See [`Passage::hops`].
pub(crate) const NEIGHBOUR_HOPS: u8 = 2;

/// How far a path goes. A tunnel's outer header gets the TTL of what is in it, so only where the server is a neighbour that can be small.
pub(crate) fn hops(config: &Config, path: &Path) -> Option<u8> {
    (path.tunnel.is_none() || config.is_neighbour(path.address)).then_some(NEIGHBOUR_HOPS)
}

/// The mark of each path. It depends on its path alone, unless two fall on the same, so that a change of the configuration leaves the other
/// paths as they are, and two boxes agree.
pub(crate) fn marks(paths: BTreeSet<Path>) -> BTreeMap<Path, u32> {
    let (first, count) = (Config::PROBE_MARKS.start(), Config::PROBE_MARKS.end() - Config::PROBE_MARKS.start() + 1);
    let mut taken = BTreeSet::new();
    let mark = |path: Path| {
        let wish = fold(&text(&path)) % count;
        let free = (0..count).map(|step| first + (wish + step) % count).find(|mark| taken.insert(*mark));
        free.map(|mark| (path, mark))
    };
    paths.into_iter().filter_map(mark).collect()
}

/// The virtual address and the path by which a check of `port` gets to a real server as clients do; `None` when it cannot, or when the server's
/// own address is as good.
pub(crate) fn of(
    server: &VirtualServer,
    (address, real): (IpAddr, &RealServer),
    monitor: &Monitor,
    port: u16,
) -> Option<(Way, Path)> {
    let Virtual::Address(virtual_, transport, of_clients) = server.virtual_ else { return None };
    let tunnel = match real.mode {
        Mode::Dr => None,
        Mode::Tun => Some(server.tunnel),
        Mode::Nat | Mode::Fullnat => return None,
    };
    let asked = match monitor.check {
        Check::Tcp { .. } | Check::Http(_) | Check::Smtp { .. } => Transport::Tcp,
        Check::Udp { .. } | Check::Dns { .. } => Transport::Udp,
        Check::Icmp | Check::External { .. } => return None,
    };
    let clients_do = transport == asked && (of_clients == 0 || of_clients == port);
    (clients_do && virtual_.is_ipv6() == address.is_ipv6())
        .then_some((Way { virtual_, tunnel }, Path { address, tunnel }))
}

/// A tunnel in words, for a file or a fold: `gue 6080 0`; `dr` without one.
#[must_use]
pub fn tunnel_text(tunnel: Option<Tunnel>) -> String {
    match tunnel {
        None => "dr".to_owned(),
        Some(Tunnel::Ipip) => "ipip".to_owned(),
        Some(Tunnel::Gue(port, checksum)) => format!("gue {port} {}", checksum as u8),
        Some(Tunnel::Gre(checksum)) => format!("gre {}", checksum as u8),
    }
}

fn text(Path { address, tunnel }: &Path) -> String {
    format!("{} {address} {}", address.is_ipv6(), tunnel_text(*tunnel))
}

/// FNV-1a (32 bits): the same on every box and in every version.
pub(crate) fn fold(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::tests::config;

    const WEB: &str = "virtual-server a\n virtual 192.0.2.10 tcp 80\n mode dr\n real-server 10.0.0.1 80\n real-server 10.0.0.2 80\n  mode nat\n \
                       real-server 10.0.0.3 80\n  mode tun\n real-server 10.0.0.4 80\n  shutdown\n real-server 10.0.0.5 80\n  health-check none\n\
                       virtual-server b\n virtual 192.0.2.11 tcp 80\n mode dr\n real-server 10.0.0.1 80\n";

    #[test]
    fn a_path_is_shared_by_all_virtual_addresses() {
        let paths = crate::marks(&config(WEB));
        let found: Vec<(String, bool)> = paths.keys().map(|p| (p.address.to_string(), p.tunnel.is_some())).collect();
        assert_eq!(found, [("10.0.0.1".to_owned(), false), ("10.0.0.3".to_owned(), true)]);
        assert!(paths.values().all(|mark| Config::PROBE_MARKS.contains(mark)));
    }

    #[test]
    fn a_mark_stays_when_others_come_and_go() {
        let before = crate::marks(&config(WEB));
        let after = crate::marks(&config(&WEB.replace("10.0.0.3", "10.0.0.9")));
        let of = |paths: &BTreeMap<Path, u32>| paths.iter().find(|(path, _)| path.tunnel.is_none()).map(|(_, m)| *m);
        assert_eq!(of(&before), of(&after));
    }

    #[test]
    fn checks_of_what_clients_do_not_use_go_to_the_server_itself() {
        let via = |virtual_: &str, monitor: &str| {
            let text = format!(
                "health-monitor m\n {monitor}\nvirtual-server a\n virtual {virtual_}\n mode dr\n health-check m\n real-server 10.0.0.1 80\n"
            );
            let config = config(&text);
            let server = config.virtual_servers.values().next().unwrap();
            let (&(address, port), real) = server.real_servers.first_key_value().unwrap();
            let monitor = config.monitors.values().next().unwrap();
            let port = monitor.port.unwrap_or(port);
            of(server, (address, real), monitor, port).map(|(way, _)| way.virtual_.to_string())
        };
        let there = Some("192.0.2.10".to_owned());
        assert_eq!(via("192.0.2.10 tcp 80", "type http"), there);
        assert_eq!(via("192.0.2.10 udp 80", "type dns"), there);
        for (virtual_, monitor) in [
            ("192.0.2.10 tcp 80", "port 81"),
            ("192.0.2.10 tcp 80", "type dns"),
            ("192.0.2.10 udp 80", "type tcp"),
            ("192.0.2.10 tcp 80", "type icmp"),
        ] {
            assert_eq!(via(virtual_, monitor), None, "{virtual_} {monitor}");
        }
    }
}
