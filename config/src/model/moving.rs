//! What moves with a `vrrp group`: its own addresses, and those of virtual servers and pools that are bound to it by `redundancy`. Said once,
//! for init, which leaves them alone, for vrrpd, which moves them, and for director, which balances only what is here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Config, Virtual, VirtualServer, VrrpAddress};
use crate::value::{IfName, IpNet, Name};

impl Config {
    /// Where an address of this box lives that is no interface's own: on the interface with the longest prefix that holds it, be it shut down or
    /// not. `None`: nobody on a link looks for it, it is routed to this box.
    #[must_use]
    pub fn place_of(&self, address: IpAddr) -> Option<&IfName> {
        let mut best: Option<(u8, &IfName)> = None;
        for (name, interface) in &self.interfaces {
            for net in interface.addresses.iter().filter(|net| net.contains(address)) {
                if best.is_none_or(|(length, _)| net.prefix_len > length) {
                    best = Some((net.prefix_len, name));
                }
            }
        }
        best.map(|(_, name)| name)
    }

    /// The addresses that a virtual server answers at: its own, or those its firewall mark names singly. None while it is shut down.
    #[must_use]
    pub fn addresses_of(&self, server: &VirtualServer) -> Vec<IpAddr> {
        match server.virtual_ {
            _ if server.shutdown => Vec::new(),
            Virtual::Address(address, ..) => vec![address],
            Virtual::Fwmark { mark, ipv6 } => {
                let ours = self.firewall_marks.iter().filter(|m| m.mark == mark && m.prefix.is_host());
                ours.map(|m| m.prefix.addr).filter(|address| address.is_ipv6() == ipv6).collect()
            }
        }
    }

    /// Addresses bound to a group, with its name.
    fn bound(&self) -> impl Iterator<Item = (&Name, IpAddr)> {
        let servers = self.virtual_servers.values().filter_map(|server| Some((server.redundancy.as_ref()?, server)));
        let of_servers =
            servers.flat_map(|(group, server)| self.addresses_of(server).into_iter().map(move |a| (group, a)));
        let pools = self.pool_groups.iter().filter_map(|(pool, group)| Some((group, self.nat_pools.get(pool)?)));
        of_servers.chain(pools.flat_map(|(group, pool)| pool.addresses().map(move |address| (group, address))))
    }

    /// Everything that is here while the group is active: its own addresses first, then those bound to it, each once.
    #[must_use]
    pub fn addresses_of_group(&self, name: &Name) -> Vec<VrrpAddress> {
        let mut addresses = self.vrrp_groups.get(name).map(|group| group.addresses.clone()).unwrap_or_default();
        let mut known: BTreeSet<IpAddr> = addresses.iter().map(|address| address.net.addr).collect();
        for (_, address) in self.bound().filter(|(group, _)| *group == name) {
            if known.insert(address) {
                let place = self.place_of(address).cloned().or_else(|| "lo".parse().ok());
                addresses.push(VrrpAddress { net: IpNet::host(address), interface: place });
            }
        }
        addresses
    }

    /// Every address that moves; also that of a group which does not exist (yet): then nobody has it.
    #[must_use]
    pub fn moving_addresses(&self) -> BTreeSet<IpAddr> {
        let of_groups = self.vrrp_groups.values().flat_map(|group| &group.addresses).map(|address| address.net.addr);
        of_groups.chain(self.bound().map(|(_, address)| address)).collect()
    }

    /// The group a virtual server depends on: the one it is bound to, or the one that has its address.
    #[must_use]
    pub fn group_of<'a>(&'a self, server: &'a VirtualServer) -> Option<&'a Name> {
        let holds = |address: IpAddr| {
            let found =
                self.vrrp_groups.iter().find(|(_, group)| group.addresses.iter().any(|a| a.net.addr == address));
            found.map(|(name, _)| name)
        };
        server.redundancy.as_ref().or_else(|| server.virtual_.address().and_then(holds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "interface eth0\n ip address 10.1.0.2/24\ninterface eth1\n ip address 10.2.0.2/16\n\
        ip nat pool p 10.2.0.7 10.2.0.8 redundancy g\n\
        firewall-mark 7 10.1.0.30/32 tcp 80\nfirewall-mark 7 192.0.2.0/24 tcp 80\n\
        virtual-server a\n virtual 10.1.0.9 tcp 80\n\
        virtual-server b\n virtual 198.51.100.1 tcp 80\n redundancy g\n\
        virtual-server c\n virtual fwmark 7\n redundancy g\n\
        virtual-server d\n virtual 10.1.0.40 tcp 80\n redundancy gone\n\
        vrrp group g\n vrid 1 interface eth0\n address 10.1.0.9/24\n";

    fn config() -> Config {
        let (tree, rejected) = crate::tree::load(CONFIG);
        assert_eq!(rejected, []);
        Config::try_from(&tree).unwrap()
    }

    #[test]
    fn a_group_takes_along_what_is_bound_to_it_each_to_its_place() {
        let config = config();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let found: Vec<String> = config
            .addresses_of_group(&name("g"))
            .iter()
            .map(|a| format!("{} {}", a.net, a.interface.as_ref().map_or("-", |i| i.as_str())))
            .collect();
        let expected =
            ["10.1.0.9/24 -", "198.51.100.1/32 lo", "10.1.0.30/32 eth0", "10.2.0.7/32 eth1", "10.2.0.8/32 eth1"];
        assert_eq!(found, expected);
        assert_eq!(config.moving_addresses().len(), 6, "that of the group which does not exist too");
        let group = |server: &str| config.group_of(&config.virtual_servers[&name(server)]).map(Name::as_str);
        assert_eq!([group("a"), group("b"), group("c"), group("d")], [Some("g"), Some("g"), Some("g"), Some("gone")]);
        assert!(config.warnings.iter().any(|w| w.contains("vrrp group gone does not exist")), "{:?}", config.warnings);
    }

    #[test]
    fn an_address_moves_one_way_only() {
        let refused = |text: &str| {
            let (tree, rejected) = crate::tree::load(&format!("{CONFIG}{text}"));
            assert_eq!(rejected, []);
            Config::try_from(&tree).unwrap_err()[0].0.clone()
        };
        let own = refused("virtual-server e\n virtual 10.1.0.2 tcp 80\n redundancy g\n");
        assert_eq!(own, "virtual-server e: redundancy g: 10.1.0.2 is an interface's own and does not move");
        let other = refused("vrrp group h\n vrid 2 interface eth0\n address 198.51.100.1/32\n");
        assert_eq!(other, "virtual-server b: redundancy g: 198.51.100.1 moves with vrrp group h already");
    }
}
