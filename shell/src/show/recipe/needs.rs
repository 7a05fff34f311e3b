//! What a machine needs to be the real servers that a configuration makes of it. Pure; knows no system's commands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use yoke_config::model::{Checksum, Config, ETHERNET_MTU, Mode, Tunnel, Virtual, VirtualServer};
use yoke_config::value::{IpNet, Name};

/// IPv4 and TCP headers without options.
const TCP4_HEADERS: u16 = 20 + 20;
/// IPv6 and TCP headers.
const TCP6_HEADERS: u16 = 40 + 20;
/// RFC 8200 section 5: through a tunnel over IPv6 that leaves less, IPVS sends nothing, and a client of IPv6 sends no less.
const IPV6_MTU_MIN: u16 = 1280;

/// Everything one machine needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) address: IpAddr,
    /// Of which virtual servers.
    pub(super) virtual_servers: BTreeSet<String>,
    pub(super) modes: BTreeSet<Mode>,
    /// What clients send to, and this machine takes for its own though it comes in by any interface: addresses, or whole networks.
    pub(super) direct: BTreeSet<IpNet>,
    /// What it unwraps, by the inner family (true is IPv6) and how it is wrapped, and what for.
    pub(super) tunnels: BTreeMap<(bool, Tunnel), BTreeSet<IpNet>>,
    /// Largest TCP segment it may ask of clients of a virtual address, where that is less than they would send. Only the server can say
    /// so: its answer to a client's SYN does not pass the director.
    pub(super) mss: BTreeMap<IpNet, u16>,
    /// The director, where its replies go.
    pub(super) gateway: Option<IpAddr>,
    /// The director, as the outer source of tunnels.
    pub(super) director: Option<IpAddr>,
    /// What no command says.
    pub(super) remarks: BTreeSet<String>,
}

impl Needs {
    /// Nothing yet.
    pub(super) fn new(address: IpAddr) -> Self {
        Self {
            address,
            virtual_servers: BTreeSet::new(),
            modes: BTreeSet::new(),
            direct: BTreeSet::new(),
            tunnels: BTreeMap::new(),
            mss: BTreeMap::new(),
            gateway: None,
            director: None,
            remarks: BTreeSet::new(),
        }
    }

    /// And what it needs to be reached in `mode` for `server`.
    pub(super) fn add(&mut self, config: &Config, name: &Name, server: &VirtualServer, mode: Mode) {
        self.virtual_servers.insert(name.to_string());
        self.modes.insert(mode);
        if self.modes.contains(&Mode::Nat) && (self.modes.contains(&Mode::Dr) || self.modes.contains(&Mode::Tun)) {
            self.remark("this director drops replies of mode dr and tun: give them another way back");
        }
        match mode {
            Mode::Nat => match gateway(config, self.address) {
                Some(gateway) => self.gateway = Some(gateway),
                None => self.remark("its replies must pass this director: route the clients' addresses to it"),
            },
            Mode::Fullnat => self.remark("mode fullnat needs nothing: clients appear with addresses of the director"),
            Mode::Dr => {
                let vips = self.virtual_addresses(config, server.virtual_);
                self.direct.extend(vips);
            }
            Mode::Tun => {
                let vips = self.virtual_addresses(config, server.virtual_);
                self.tunnel(config, server.tunnel, server.virtual_.is_ipv6(), vips);
            }
        }
    }

    /// Everything it takes for its own.
    pub(super) fn vips(&self) -> BTreeSet<IpNet> {
        self.tunnels.values().chain([&self.direct]).flatten().copied().collect()
    }

    fn remark(&mut self, text: &str) {
        self.remarks.insert(text.to_owned());
    }

    /// That of the virtual server, or those that get its mark.
    fn virtual_addresses(&mut self, config: &Config, virtual_: Virtual) -> BTreeSet<IpNet> {
        let (mark, ipv6) = match virtual_ {
            Virtual::Address(address, ..) => return BTreeSet::from([IpNet::host(address)]),
            Virtual::Fwmark { mark, ipv6 } => (mark, ipv6),
        };
        let lines = config.firewall_marks.iter().filter(|line| line.mark == mark);
        let mut nets: BTreeSet<IpNet> =
            lines.map(|line| line.prefix.network()).filter(|net| net.addr.is_ipv6() == ipv6).collect();
        if nets.is_empty() {
            self.remark(&format!("no firewall-mark line sets mark {mark}: there is no address to add"));
        }
        // To take in everything is to be no host any more.
        if let Some(all) = nets.iter().find(|net| net.prefix_len == 0).copied() {
            nets.remove(&all);
            self.remark(&format!("mark {mark} is for every destination: have the server take them in (TPROXY)"));
        }
        nets
    }

    fn tunnel(&mut self, config: &Config, tunnel: Tunnel, inner_v6: bool, vips: BTreeSet<IpNet>) {
        self.tunnels.entry((inner_v6, tunnel)).or_default().extend(&vips);
        let with = |checksum| self.tunnels.keys().any(|(_, tunnel)| *tunnel == Tunnel::Gre(checksum));
        if with(Checksum::None) && with(Checksum::Full) {
            self.remark("one address takes gre with csum or without, not both: use the same for all");
        }
        let outer_v6 = self.address.is_ipv6();
        let towards = config.interface_towards(self.address);
        let addresses = towards.and_then(|name| config.interfaces.get(name)).map(|interface| &interface.addresses);
        self.director = addresses.into_iter().flatten().map(|net| net.addr).find(|a| a.is_ipv6() == outer_v6);
        let mtu = config.mtu_towards(self.address).saturating_sub(tunnel.overhead(outer_v6));
        if (inner_v6 || outer_v6) && mtu < IPV6_MTU_MIN {
            let interface = towards.map_or_else(|| "the director's interface".to_owned(), |i| format!("interface {i}"));
            let needed = IPV6_MTU_MIN + tunnel.overhead(outer_v6);
            self.remark(&format!("packets will be lost: IPv6 needs an mtu of {needed} on {interface}"));
        } else if mtu < ETHERNET_MTU {
            let mss = mtu.saturating_sub(if inner_v6 { TCP6_HEADERS } else { TCP4_HEADERS });
            for vip in vips {
                self.mss.entry(vip).and_modify(|least| *least = mss.min(*least)).or_insert(mss);
            }
        }
    }
}

/// An address of this director in a network it shares with `server`: one that moves to the other box, if there is one.
fn gateway(config: &Config, server: IpAddr) -> Option<IpAddr> {
    let of_groups = config.vrrp_groups.values().flat_map(|group| &group.addresses).map(|address| address.net);
    let fixed = config.interfaces.values().flat_map(|interface| &interface.addresses).copied();
    let shared = |net: &IpNet| net.contains(server) && !net.is_host();
    of_groups.filter(shared).chain(fixed.filter(shared)).map(|net| net.addr).next()
}
