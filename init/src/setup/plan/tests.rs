//! Configurations as an operator writes them, against a kernel in memory that refuses what Linux refuses.

use proptest::prelude::*;
use std::collections::BTreeSet;
use yoke_config::model::Config;
use yoke_config::tree;
use yoke_config::value::IpNet;

use super::super::table::{Address, Destination};
use super::fake::Kernel;
use super::*;

fn wanted(text: &str) -> Wanted {
    let (tree, rejected) = tree::load(text);
    assert_eq!(rejected, vec![], "{text}");
    let config = Config::try_from(&tree).unwrap_or_else(|problems| panic!("{problems:?} in\n{text}"));
    Wanted::from(&config)
}

/// What the drivers of the fake's cards begin with.
fn drivers(kernel: &Kernel) -> BTreeMap<String, u32> {
    let cards = kernel.network.links.iter().filter(|(_, link)| link.kind == Kind::Card);
    cards.map(|(name, _)| (name.clone(), 1500)).collect()
}

/// Brings the kernel to `text` as `init setup` does; the changes of each round, and the problems of the last.
fn settle(kernel: &mut Kernel, text: &str) -> (Vec<String>, Vec<String>) {
    let wanted = wanted(text);
    let mut done = Vec::new();
    for _ in 0..4 {
        let plan = plan(&kernel.network, &wanted, &drivers(kernel));
        if plan.changes.is_empty() {
            return (done, plan.problems);
        }
        for change in plan.changes {
            kernel.apply(&change).unwrap_or_else(|why| panic!("{change}: {why}\nafter {done:#?}\nfor\n{text}"));
            done.push(change.to_string());
        }
    }
    panic!("does not settle: {done:#?}\nfor\n{text}");
}

const BASIC: &str = "\
hostname lb1
ip route 0.0.0.0/0 10.1.0.1
arp 10.1.0.7 02:00:00:00:00:07
interface eth0
 ip address 10.1.0.2/24
 ipv6 address 2001:db8::2/64
interface eth1
 ip address 10.2.0.2/24
virtual-server web
 virtual 10.1.0.100 tcp 80
virtual-server web6
 virtual 2001:db8::100 tcp 80
virtual-server routed
 virtual 203.0.113.5 udp 53
";

#[test]
fn a_fresh_box_in_the_right_order() {
    let mut kernel = Kernel::new(&["eth0", "eth1", "eth2"]);
    let (done, problems) = settle(&mut kernel, BASIC);
    assert_eq!(
        done,
        [
            "hostname lb1",
            "interface eth0: address 10.1.0.2/24",
            "interface eth0: virtual address 10.1.0.100/32",
            "interface eth0: address 2001:db8::2/64",
            "interface eth0: virtual address 2001:db8::100/128",
            "interface eth1: address 10.2.0.2/24",
            "interface lo: virtual address 203.0.113.5/32",
            "interface eth0: up",
            "interface eth1: up",
            "interface eth2: up",
            "interface lo: up",
            "ip route 0.0.0.0/0 10.1.0.1",
            "arp 10.1.0.7: 02:00:00:00:00:07 on eth0",
        ]
    );
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(settle(&mut kernel, BASIC).0, Vec::<String>::new(), "nothing to do the second time");
}

#[test]
fn an_edit_touches_what_it_names() {
    let mut kernel = Kernel::new(&["eth0", "eth1"]);
    settle(&mut kernel, BASIC);
    let edited = BASIC
        .replace("10.1.0.1\n", "10.1.0.9\n")
        .replace("10.1.0.100", "10.2.0.100")
        .replace("10.2.0.2/24", "10.2.0.2/25");
    let (done, _) = settle(&mut kernel, &edited);
    assert_eq!(
        done,
        [
            "interface eth0: address 10.1.0.100/32 removed",
            "interface eth1: address 10.2.0.2/25",
            "interface eth1: virtual address 10.2.0.100/32",
            "interface eth1: address 10.2.0.2/24 removed",
            "ip route 0.0.0.0/0 10.1.0.9",
        ],
        "a changed prefix length is added before the old one goes"
    );
    assert_eq!(kernel.went_down, Vec::<String>::new());
}

#[test]
fn addresses_of_groups_and_of_the_kernel_stay() {
    let mut kernel = Kernel::new(&["eth0"]);
    let group = "vrrp group g\n vrid 7 interface eth0\n address 10.1.0.100/24\ninterface eth0\n ip address 10.1.0.2/24\n\
                 virtual-server web\n virtual 10.1.0.100 tcp 80\n";
    settle(&mut kernel, group);
    let host = IpNet::new("10.1.0.100".parse().unwrap(), 24).unwrap();
    let link_local = IpNet::new("fe80::1".parse().unwrap(), 64).unwrap();
    assert!(kernel.network.addresses["eth0"].iter().all(|a| a.net.addr != host.addr), "vrrpd adds it");
    for net in [host, link_local] {
        kernel.network.addresses.get_mut("eth0").unwrap().push(Address { net, duplicate: false });
    }
    kernel.make("vrrp7", Kind::Foreign, None);
    let own = kernel.network.addresses["eth0"].clone();
    kernel.network.addresses.insert("vrrp7".into(), own.clone());
    assert_eq!(settle(&mut kernel, group).0, Vec::<String>::new());
    settle(&mut kernel, "hostname x\n");
    assert_eq!(kernel.network.addresses["eth0"].iter().map(|a| a.net).collect::<Vec<_>>(), [link_local]);
    assert_eq!(kernel.network.addresses["vrrp7"], own);
}

#[test]
fn virtual_addresses_follow_their_servers() {
    let text = "interface eth0\n ip address 10.1.0.2/16\ninterface eth1\n ip address 10.1.2.2/24\n";
    let vip = |server: &str| {
        let wanted = wanted(&format!("{text}{server}"));
        let found = wanted.addresses.iter().flat_map(|(l, nets)| nets.iter().map(move |(net, vip)| (l, net, vip)));
        let vips = found.filter(|(.., vip)| **vip).map(|(link, net, _)| format!("{link} {net}"));
        vips.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(vip("virtual-server a\n virtual 10.1.2.9 tcp 80\n"), "eth1 10.1.2.9/32", "the longest prefix");
    assert_eq!(vip("virtual-server a\n virtual 10.1.3.9 tcp 80\n"), "eth0 10.1.3.9/32");
    assert_eq!(vip("virtual-server a\n virtual 10.1.0.2 tcp 80\n"), "", "an address of the box");
    assert_eq!(vip("virtual-server a\n virtual 10.9.0.2 tcp 80\n"), "lo 10.9.0.2/32");
    assert_eq!(vip("virtual-server a\n virtual 10.1.2.9 tcp 80\n shutdown\n"), "");
    let mark = "firewall-mark 7 10.1.2.9/32 tcp 80\nfirewall-mark 7 10.1.2.9/32 tcp 443\nfirewall-mark 8 10.1.2.8/32 tcp 80\n\
                virtual-server a\n virtual fwmark 7\n";
    assert_eq!(vip(mark), "eth1 10.1.2.9/32");
}

#[test]
fn packets_with_a_mark_come_in_without_an_address() {
    let mut kernel = Kernel::new(&["eth0"]);
    settle(&mut kernel, "");
    let text = "firewall-mark 7 198.51.100.0/28 tcp 80\nfirewall-mark 7 2001:db8:7::/64 tcp 80\nfirewall-mark 8 198.51.100.16/28 tcp 80\n\
                firewall-mark 9 198.51.100.40/32 tcp 80\nvirtual-server a\n virtual fwmark 7\nvirtual-server b\n virtual fwmark 7 ipv6\n\
                virtual-server c\n virtual fwmark 9\n";
    let (done, _) = settle(&mut kernel, text);
    assert_eq!(
        done,
        [
            "interface lo: virtual address 198.51.100.40/32",
            "firewall-mark: a table for IPv4",
            "firewall-mark: a table for IPv6",
            "firewall-mark: IPv4 packets of this box are routed first",
            "firewall-mark: IPv6 packets of this box are routed first",
            "firewall-mark 7: IPv4 packets come in",
            "firewall-mark 7: IPv6 packets come in",
        ],
        "8 is nobody's, and 9 has an address"
    );
    assert_eq!(settle(&mut kernel, text).0, Vec::<String>::new());
    let (done, _) = settle(&mut kernel, &text.replace("fwmark 7 ipv6", "fwmark 7 ipv6\n shutdown"));
    assert_eq!(
        done,
        [
            "firewall-mark 7: IPv6 packets come in: no longer",
            "firewall-mark: IPv6 packets of this box are routed first: no longer",
            "firewall-mark: no table for IPv6",
        ]
    );
    settle(&mut kernel, "");
    assert!(kernel.network.rules.is_empty() && kernel.network.takes_in.is_empty());
}

#[test]
fn pools_are_addresses_of_the_box_unless_a_group_has_them() {
    let text = "interface eth0\n ip address 10.1.0.2/24\nip nat pool p 10.1.0.200 10.1.0.203\nip nat pool far 2001:db8:9::1 2001:db8:9::2\n\
                vrrp group g\n vrid 7 interface eth0\n address 10.1.0.201/32\n address 10.1.0.202/24\n";
    let wanted = wanted(text);
    let of = |link: &str| wanted.addresses[link].keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of("eth0"), ["10.1.0.2/24", "10.1.0.200/32", "10.1.0.203/32"]);
    assert_eq!(of("lo"), ["2001:db8:9::1/128", "2001:db8:9::2/128"]);
}

#[test]
fn what_is_missing_is_said_and_the_rest_works() {
    let mut kernel = Kernel::new(&["eth0"]);
    let text = "ip route 0.0.0.0/0 10.3.0.1\nip route 10.9.0.0/16 10.1.0.1\nip route 10.8.0.0/16 192.0.2.1\n\
                arp 192.0.2.1 02:00:00:00:00:01\n\
                interface eth0\n ip address 10.1.0.2/24\ninterface eth3\n ip address 10.3.0.2/24\n\
                interface eth3.20\n ip address 10.20.0.2/24\n";
    let (done, problems) = settle(&mut kernel, text);
    assert_eq!(
        problems,
        [
            "interface eth3: there is no such network card",
            "interface eth3.20: interface eth3 is missing",
            "ip route 0.0.0.0/0 10.3.0.1: interface eth3 is missing",
            "ip route 10.8.0.0/16 192.0.2.1: 192.0.2.1 is in the prefix of no interface",
            "arp 192.0.2.1: 192.0.2.1 is in the prefix of no interface",
        ]
    );
    assert!(done.contains(&"ip route 10.9.0.0/16 10.1.0.1".to_owned()));
}

#[test]
fn a_duplicate_address_is_reported_and_asked_about_again() {
    let mut kernel = Kernel::new(&["eth0"]);
    let text = "interface eth0\n ipv6 address 2001:db8::2/64\n";
    settle(&mut kernel, text);
    kernel.network.addresses.get_mut("eth0").unwrap()[0].duplicate = true;
    let plan = plan(&kernel.network, &wanted(text), &drivers(&kernel));
    assert_eq!(plan.lasting, ["interface eth0: 2001:db8::2/64: another host has this address"]);
    let changes: Vec<String> = plan.changes.iter().map(ToString::to_string).collect();
    let again = ["interface eth0: address 2001:db8::2/64 removed", "interface eth0: address 2001:db8::2/64"];
    assert_eq!(changes, again, "so that the kernel asks again");
    settle(&mut kernel, text);
    assert!(!kernel.network.addresses["eth0"][0].duplicate);
}

#[test]
fn what_is_around_the_box_is_told_from_what_the_firmware_cannot_do() {
    let mut kernel = Kernel::new(&["eth0"]);
    let text = "interface eth0\n shutdown\n ipv6 address 2001:db8::2/64\ninterface eth0.5\n ip address 10.5.0.2/24\n\
                interface eth3\n ip address 10.3.0.2/24\ninterface eth3.7\narp 10.3.0.9 02:00:00:00:00:07\n\
                ip route 10.9.0.0/16 10.8.0.1\nipv6 route 2001:db8:1::/48 2001:db8::9\n";
    settle(&mut kernel, text);
    kernel.network.addresses.get_mut("eth0").unwrap()[0].duplicate = true;
    let plan = plan(&kernel.network, &wanted(text), &drivers(&kernel));
    let said = [plan.problems, plan.lasting].concat();
    let missing = "interface eth3: there is no such network card";
    assert!(said.len() > 6 && said.iter().any(|problem| problem == missing), "{said:#?}");
    let inside: Vec<&String> = said.iter().filter(|problem| !is_outside(problem, |_| false)).collect();
    assert!(inside.is_empty(), "{inside:#?}");
    let inside: Vec<&String> = said.iter().filter(|problem| !is_outside(problem, |card| card == "eth3")).collect();
    assert_eq!(inside, [missing], "it is there, and this firmware has no driver for it");
    for firmware in [
        "interface eth0: mtu 9000 is more than the 1500 its driver can do",
        "interface bond0: module bonding does not load",
    ] {
        assert!(!is_outside(firmware, |_| false), "{firmware}");
    }
}

#[test]
fn shutdown_takes_routes_along_and_gives_them_back() {
    let mut kernel = Kernel::new(&["eth0", "eth1"]);
    settle(&mut kernel, BASIC);
    let down = BASIC.replace("interface eth0\n", "interface eth0\n shutdown\n");
    let (done, problems) = settle(&mut kernel, &down);
    assert_eq!(done, ["ip route 0.0.0.0/0 10.1.0.1: removed", "interface eth0: down"]);
    let why = "interface eth0 is shut down";
    assert_eq!(problems, [format!("ip route 0.0.0.0/0 10.1.0.1: {why}"), format!("arp 10.1.0.7: {why}")]);
    let (done, _) = settle(&mut kernel, BASIC);
    assert_eq!(done[..2], ["interface eth0: up", "ip route 0.0.0.0/0 10.1.0.1"]);
}

const BOND: &str = "interface bond0\n member eth0\n member eth1\n bond-mode 802.3ad\n mtu 9000\ninterface bond0.20\n ip address 10.20.0.2/24\n";

#[test]
fn bonds_and_vlans() {
    let mut kernel = Kernel::new(&["eth0", "eth1"]);
    settle(&mut kernel, "");
    let (done, problems) = settle(&mut kernel, BOND);
    assert_eq!(
        done,
        [
            "interface bond0: bond of mode 802.3ad",
            "interface bond0.20: vlan 20 on bond0",
            "interface eth0: down",
            "interface eth0: member of bond0",
            "interface eth1: down",
            "interface eth1: member of bond0",
            "interface bond0: mtu 9000",
            "interface bond0.20: mtu 9000",
            "interface bond0.20: address 10.20.0.2/24",
            "interface bond0: up",
            "interface bond0.20: up",
        ]
    );
    assert_eq!(problems, Vec::<String>::new());

    let (done, _) = settle(&mut kernel, &BOND.replace("802.3ad", "active-backup"));
    assert_eq!(
        done,
        [
            "interface eth0: out of its bond",
            "interface eth1: out of its bond",
            "interface bond0: down",
            "interface bond0: bond of mode active-backup",
            "interface eth0: member of bond0",
            "interface eth1: member of bond0",
            "interface bond0: up",
            "interface bond0.20: up",
        ]
    );

    let (done, _) = settle(&mut kernel, &BOND.replace(" member eth1\n", "").replace("802.3ad", "active-backup"));
    assert_eq!(done[0], "interface eth1: out of its bond");
    assert!(!kernel.went_down[4..].contains(&"bond0".to_owned()));

    let (done, _) = settle(&mut kernel, "");
    assert_eq!(done[..2], ["interface bond0.20: removed", "interface bond0: removed"]);
    assert_eq!(kernel.network.links.len(), 3);
    assert_eq!(kernel.network.links["eth0"].mtu, 1500, "as its driver had it");
}

#[test]
fn mtus_go_with_their_parents_and_have_limits() {
    let mut kernel = Kernel::new(&["eth0"]);
    let vlan = "interface eth0\n mtu 9000\ninterface eth0.5\n ip address 10.5.0.2/24\n";
    settle(&mut kernel, vlan);
    assert_eq!(kernel.network.links["eth0.5"].mtu, 9000);
    settle(&mut kernel, &vlan.replace(" mtu 9000\n", ""));
    assert_eq!((kernel.network.links["eth0"].mtu, kernel.network.links["eth0.5"].mtu), (1500, 1500));
    settle(&mut kernel, "interface eth0\n mtu 9000\ninterface eth0.5\n mtu 1400\n");
    assert_eq!((kernel.network.links["eth0"].mtu, kernel.network.links["eth0.5"].mtu), (9000, 1400));
    kernel.link("eth0").unwrap().mtu_max = 1500;
    kernel.link("eth0").unwrap().mtu = 1500;
    let (_, problems) = settle(&mut kernel, "interface eth0\n mtu 9000\n");
    assert_eq!(problems, ["interface eth0: mtu 9000 is more than the 1500 its driver can do"]);
}

#[test]
fn links_of_others_are_left_alone() {
    let mut kernel = Kernel::new(&["eth0"]);
    settle(&mut kernel, "");
    kernel.make("macvlan3", Kind::Foreign, Some("eth0"));
    kernel.make("eth0.7", Kind::Foreign, Some("eth0"));
    kernel.make("vlan9", Kind::Vlan(9), Some("eth0"));
    kernel.make("tunl0", Kind::Foreign, None);
    let via = BTreeSet::from(["10.1.0.1".parse().unwrap()]);
    let to = Destination { prefix: IpNet::new("10.0.0.0".parse().unwrap(), 8).unwrap(), metric: 1 };
    assert_eq!(settle(&mut kernel, "").0, Vec::<String>::new());
    kernel.network.routes.insert(to, via);
    assert_eq!(settle(&mut kernel, "").0, ["ip route 10.0.0.0/8 10.1.0.1: removed"]);
    // A name that lies: VLAN 9 under the name of VLAN 8.
    kernel.make("eth0.8", Kind::Vlan(9), Some("eth0"));
    let (done, _) = settle(&mut kernel, "interface eth0.8\n ip address 10.8.0.2/24\n");
    assert_eq!(done[..2], ["interface eth0.8: removed", "interface eth0.8: vlan 8 on eth0"]);
}

/// One of many small configurations: which interfaces exist, how, with which addresses and servers.
fn any_config() -> impl Strategy<Value = String> {
    let interface =
        (any::<bool>(), 0..3u8, proptest::option::of(prop_oneof![Just(1400u16), Just(9000)]), any::<bool>());
    (
        proptest::collection::vec(interface, 3),
        proptest::option::of((0..3u8, any::<bool>(), any::<bool>())),
        proptest::collection::vec((0..4u8, 0..3u8), 0..4),
        any::<(bool, bool)>(),
    )
        .prop_map(|(cards, bond, servers, (route, arp))| {
            let mut text = String::new();
            let members = |n: usize| bond.is_some_and(|(_, both, _)| n == 2 || (both && n == 1));
            for (n, (configured, last, mtu, shutdown)) in cards.iter().enumerate() {
                if !configured || members(n) {
                    continue;
                }
                text += &format!("interface eth{n}\n");
                if *last > 0 {
                    text += &format!(" ip address 10.{n}.0.{last}/{}\n", if *last == 1 { 24 } else { 25 });
                    text += &format!(" ipv6 address 2001:db8:{n}::{last}/64\n");
                }
                text += &mtu.map_or(String::new(), |mtu| format!(" mtu {mtu}\n"));
                text += if *shutdown { " shutdown\n" } else { "" };
                text += &format!("interface eth{n}.{}\n ip address 10.1{n}.0.{last}/16\n", 10 + last);
            }
            if let Some((mode, both, vlan)) = bond {
                let mode = ["802.3ad", "active-backup", "balance-xor"][usize::from(mode)];
                text += &format!("interface bond1\n bond-mode {mode}\n member eth2\n");
                text += if both { " member eth1\n" } else { "" };
                text += if vlan { "interface bond1.30\n ip address 10.30.0.2/24\n" } else { "" };
            }
            for (place, (net, last)) in servers.iter().enumerate() {
                text += &format!("virtual-server s{place}\n virtual 10.{net}.0.10{last} tcp {}\n", 80 + place);
            }
            text += if route { "ip route 0.0.0.0/0 10.0.0.99\n" } else { "" };
            text += if arp { "arp 10.0.0.77 02:00:00:00:00:07\n" } else { "" };
            text
        })
        // Network addresses and the like are the configuration's own errors, not ours.
        .prop_filter("a valid configuration", |text| {
            let (tree, rejected) = tree::load(text);
            rejected.is_empty() && Config::try_from(&tree).is_ok()
        })
}

proptest! {
    /// From any configuration to any other: the kernel refuses nothing, it settles, and a second run changes nothing. What
    /// both have in common is not lost on the way, and no card goes down that neither shuts down nor joins a bond.
    #[test]
    fn any_way_from_one_configuration_to_another(from in any_config(), to in any_config()) {
        let mut kernel = Kernel::new(&["eth0", "eth1", "eth2"]);
        settle(&mut kernel, &from);
        let before = wanted(&from);
        kernel.went_down.clear();
        kernel.lost.clear();
        settle(&mut kernel, &to);
        let after = wanted(&to);
        prop_assert_eq!(settle(&mut kernel, &to).0, Vec::<String>::new());
        for (link, nets) in &after.addresses {
            for net in nets.keys() {
                let kept = before.addresses.get(link).is_some_and(|nets| nets.contains_key(net));
                let same_parent = before.links.get(link).map(|l| &l.parent) == after.links.get(link).map(|l| &l.parent);
                if kept && same_parent {
                    prop_assert!(!kernel.lost.contains(net), "{} on {} was lost", net, link);
                }
            }
        }
        for link in &kernel.went_down {
            let stays_up = |w: &Wanted| w.links.get(link).is_none_or(|l| l.up && l.master.is_none());
            let touched = link.contains("bond") || link.contains('.');
            prop_assert!(touched || !(stays_up(&before) && stays_up(&after)), "{} went down", link);
        }
    }
}
