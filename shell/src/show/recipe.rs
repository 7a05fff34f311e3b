//! `show real-server ... setup`: what has to be typed on a real server for its mode to work.
//!
//! Kernel settings come before the address: a server that has the virtual address and still answers ARP for it takes the
//! traffic of everybody. Commands are those of iproute2 on Linux; other systems are on their own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use yoke_config::model::{Config, Mode, RealServer, Tunnel, Virtual, VirtualServer};
use yoke_director::status::RealServerRow;

use super::port;
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;

/// Keeps a server from answering ARP for addresses that other interfaces hold.
const QUIET_ARP: &str = "  sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2";

/// Prints the recipes of the real servers in `rows`.
pub(crate) fn show(shell: &mut Shell, rows: &[RealServerRow], out: &mut Out<'_>) -> Result<(), Fail> {
    let tree = shell.refresh()?.tree;
    let config = Config::try_from(&*tree)
        .map_err(|problems| Fail::failed(problems.first().map_or_else(String::new, ToString::to_string)))?;
    let mut recipes = Vec::new();
    for row in rows {
        let server = config.virtual_servers.iter().find(|(name, _)| name.as_str() == row.virtual_server);
        if let Some((_, server)) = server
            && let Some(real) = server.real_servers.get(&(row.address, row.port))
        {
            recipes.push((row, recipe(&config, server, (row.address, row.port), real)));
        }
    }
    if out.is_json() {
        let setup: Vec<_> = recipes
            .iter()
            .map(|(row, lines)| {
                serde_json::json!({
                    "virtual_server": row.virtual_server, "address": row.address, "port": row.port,
                    "commands": lines.iter().skip(1).map(|line| line.trim_start()).collect::<Vec<_>>(),
                })
            })
            .collect();
        return out.object("setup", &setup);
    }
    recipes.iter().flat_map(|(_, lines)| lines).try_for_each(|line| out.text(line)).map_err(Into::into)
}

/// The lines for one real server.
fn recipe(config: &Config, server: &VirtualServer, (address, number): (IpAddr, u16), real: &RealServer) -> Vec<String> {
    let mut lines = vec![format!("On {address} (mode {}):", real.mode.word())];
    let vips = virtual_addresses(config, server.virtual_);
    match real.mode {
        Mode::Dr => {
            lines.extend(vips.iter().any(IpAddr::is_ipv4).then(|| QUIET_ARP.to_owned()));
            lines.extend(vips.iter().map(|vip| format!("  ip address add {} dev lo", host(*vip))));
        }
        Mode::Tun => tunnel(&mut lines, server.tunnel, address, &vips),
        Mode::Nat => match inside(config, address) {
            Some(gateway) => lines.push(format!("  ip route replace default via {gateway}")),
            None => lines.push("  its replies must pass this director: route the clients' addresses to it".to_owned()),
        },
        Mode::Fullnat => lines.push("  nothing: it sees addresses of this director as clients".to_owned()),
    }
    if vips.is_empty() && matches!(real.mode, Mode::Dr | Mode::Tun) {
        lines.push(format!("  no firewall-mark line sets the mark of {}: no address to add", port(number)));
    }
    lines
}

/// What arrives in a tunnel is taken out by the device of its kind, which then holds the virtual address.
fn tunnel(lines: &mut Vec<String>, tunnel: Tunnel, address: IpAddr, vips: &BTreeSet<IpAddr>) {
    let families: BTreeSet<bool> = vips.iter().map(IpAddr::is_ipv6).collect();
    for inner_v6 in families {
        let (module, device) = match (tunnel, inner_v6, address.is_ipv6()) {
            (Tunnel::Gre(_), _, false) => ("ip_gre", "gre0"),
            (Tunnel::Gre(_), _, true) => ("ip6_gre", "ip6gre0"),
            (_, false, false) => ("ipip", "tunl0"),
            (_, true, false) => ("sit", "sit0"),
            (_, _, true) => ("ip6_tunnel", "ip6tnl0"),
        };
        lines.push(format!("  modprobe {module}"));
        if let Tunnel::Gue(port, _) = tunnel {
            let family = if address.is_ipv6() { " -6" } else { "" };
            lines.push(format!("  modprobe fou && ip fou add port {port} gue{family}"));
        }
        if !inner_v6 {
            lines.push(QUIET_ARP.to_owned());
            // Requests come out of the tunnel from clients whose way back is another interface.
            lines.push(format!("  sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{device}.rp_filter=0"));
        }
        lines.push(format!("  ip link set {device} up"));
        let of_family = vips.iter().filter(|vip| vip.is_ipv6() == inner_v6);
        lines.extend(of_family.map(|vip| format!("  ip address add {} dev {device}", host(*vip))));
    }
}

/// Addresses clients talk to: that of the virtual server, or those that get its mark.
fn virtual_addresses(config: &Config, virtual_: Virtual) -> BTreeSet<IpAddr> {
    match virtual_ {
        Virtual::Address(address, ..) => BTreeSet::from([address]),
        Virtual::Fwmark { mark, ipv6 } => {
            let marks = config.firewall_marks.iter().filter(|line| line.mark == mark);
            // A prefix that is no single address is routed to the director; the servers need one address each of it.
            marks.map(|line| line.prefix.addr).filter(|address| address.is_ipv6() == ipv6).collect()
        }
    }
}

/// An address of this director in a network it shares with `server`.
fn inside(config: &Config, server: IpAddr) -> Option<IpAddr> {
    let addresses = config.interfaces.values().flat_map(|interface| &interface.addresses);
    addresses.filter(|net| net.contains(server)).map(|net| net.addr).next()
}

fn host(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv6() { 128 } else { 32 })
}

#[cfg(test)]
mod tests {
    use yoke_config::tree::load;

    use super::*;

    fn recipe_of(text: &str, name: &str) -> Vec<String> {
        let (tree, rejected) = load(text);
        assert!(rejected.is_empty(), "{rejected:?}");
        let config = Config::try_from(&tree).unwrap();
        let server = config.virtual_servers.iter().find(|(n, _)| n.as_str() == name).unwrap().1;
        let (key, real) = server.real_servers.iter().next().unwrap();
        recipe(&config, server, *key, real)
    }

    #[test]
    fn a_dr_server_is_quiet_before_it_has_the_address() {
        let text = "interface eth0\n ip address 10.1.0.2/24\nvirtual-server web-all\n virtual 10.1.0.100 tcp 80\n mode dr\n \
                    real-server 10.1.0.11 80\n";
        assert_eq!(
            recipe_of(text, "web-all"),
            [
                "On 10.1.0.11 (mode dr):",
                "  sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
                "  ip address add 10.1.0.100/32 dev lo",
            ]
        );
    }

    #[test]
    fn a_nat_server_routes_through_the_director() {
        let text = "interface eth1\n ip address 10.0.20.1/24\nvirtual-server www\n virtual 203.0.113.10 tcp 80\n \
                    real-server 10.0.20.11 8080\n";
        assert_eq!(recipe_of(text, "www"), ["On 10.0.20.11 (mode nat):", "  ip route replace default via 10.0.20.1"]);
    }

    #[test]
    fn a_tun_server_gets_every_address_of_its_mark() {
        let text = "firewall-mark 7 198.51.100.10/32 tcp 80\nfirewall-mark 7 198.51.100.11/32 tcp 80\nvirtual-server edge\n \
                    virtual fwmark 7\n mode tun\n tunnel gue 6080 csum\n real-server 198.18.5.11 any\n";
        let lines = recipe_of(text, "edge");
        assert!(lines.contains(&"  modprobe fou && ip fou add port 6080 gue".to_owned()), "{lines:?}");
        let arp = lines.iter().position(|line| line.contains("arp_ignore")).unwrap();
        let first = lines.iter().position(|line| line.contains("address add 198.51.100.10/32 dev tunl0")).unwrap();
        assert!(arp < first);
        assert!(lines.last().unwrap().contains("198.51.100.11/32"));
    }
}
