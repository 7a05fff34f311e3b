//! A recipe in commands of FreeBSD and of Windows. Pure. The lab has neither: these are what their manuals say, and what other makers of
//! directors have told their customers for years.

use std::net::IpAddr;

use yoke_config::model::Tunnel;

use super::Recipe;
use super::needs::Needs;

/// FreeBSD answers ARP and neighbour solicitation only for addresses of the interface that was asked: `lo0` needs no further settings.
pub(super) fn freebsd(needs: &Needs) -> Recipe {
    let mut recipe = Recipe { commands: Vec::new(), remarks: needs.remarks.iter().cloned().collect() };
    let mut kinds: Vec<&str> = Vec::new();
    for (inner_v6, tunnel) in needs.tunnels.keys() {
        let kind = match tunnel {
            Tunnel::Ipip => "gif",
            Tunnel::Gre(_) => "gre",
            Tunnel::Gue(..) => {
                recipe.remark("FreeBSD unwraps no gue, use: tunnel ipip or gre");
                continue;
            }
        };
        let Some(director) = needs.director else {
            recipe.remark(format!("{kind}0 needs the director's address: no interface leads to this server"));
            continue;
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
            let family = if director.is_ipv6() { "inet6 " } else { "" };
            recipe.commands.push(format!("ifconfig {kind}0 create"));
            recipe.commands.push(format!("ifconfig {kind}0 {family}tunnel {} {director} up", needs.address));
            recipe.remark(format!("the other director of a pair gets a {kind}1 with its address"));
        }
        if *inner_v6 {
            recipe.commands.push(format!("ifconfig {kind}0 inet6 -ifdisabled"));
        }
    }
    // As a statement of its own, which every FreeBSD with pf takes; `match ... scrub` is OpenBSD's, and new there (pf.conf(5)).
    for (vip, mss) in &needs.mss {
        recipe.remark(format!("pf.conf: scrub out proto tcp from {} to any max-mss {mss}", vip.addr));
    }
    for vip in &needs.vips() {
        if vip.is_host() {
            let family = if vip.addr.is_ipv6() { "inet6" } else { "inet" };
            recipe.commands.push(format!("ifconfig lo0 {family} {vip} alias"));
        } else {
            recipe.remark(format!("add each address of {vip} that is in use to lo0, as alias"));
        }
    }
    recipe.commands.extend(needs.gateway.map(|gateway| match gateway {
        IpAddr::V4(_) => format!("route change default {gateway}"),
        IpAddr::V6(_) => format!("route change -inet6 default {gateway}"),
    }));
    recipe
}

/// Windows takes packets for an address of another adapter once both are weak hosts; that adapter must not send ARP into the network.
pub(super) fn windows(needs: &Needs) -> Recipe {
    let mut recipe = Recipe { commands: Vec::new(), remarks: needs.remarks.iter().cloned().collect() };
    if !needs.tunnels.is_empty() {
        recipe.remark("Windows unwraps no tunnels, use: mode dr, nat or fullnat");
        return recipe;
    }
    if !needs.direct.is_empty() || needs.gateway.is_some() {
        recipe.remark(format!("net is the adapter that has {}", needs.address));
    }
    if !needs.direct.is_empty() {
        recipe.remark("loopback is a Microsoft KM-TEST Loopback Adapter, made with hdwwiz");
        recipe.remark("Windows' firewall blocks that adapter until a rule lets the service in");
    }
    for family in [4, 6] {
        let of_family = || needs.direct.iter().filter(|vip| vip.addr.is_ipv6() == (family == 6));
        if of_family().next().is_none() {
            continue;
        }
        for setting in [
            "net weakhostreceive=enabled",
            "net weakhostsend=enabled",
            "loopback weakhostreceive=enabled",
            "loopback weakhostsend=enabled",
            "loopback dadtransmits=0",
        ] {
            recipe.commands.push(format!("netsh int ipv{family} set interface {setting}"));
        }
        for vip in of_family() {
            if vip.is_host() {
                let command = format!("netsh int ipv{family} add address loopback {vip} skipassource=true");
                recipe.commands.push(command);
            } else {
                recipe.remark(format!("add each address of {vip} that is in use to loopback"));
            }
        }
    }
    recipe.commands.extend(needs.gateway.map(|gateway| match gateway {
        IpAddr::V4(_) => format!("netsh int ipv4 add route 0.0.0.0/0 net {gateway}"),
        IpAddr::V6(_) => format!("netsh int ipv6 add route ::/0 net {gateway}"),
    }));
    recipe
}
