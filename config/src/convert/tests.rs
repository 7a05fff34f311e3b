//! Values that arrive where they belong; what is refused is in `tests/configs/rules.txt`.

use std::net::IpAddr;

use super::*;
use crate::model::{
    Check, Checksum, Defence, HealthCheck, Mode, Monitor, NatPool, Persistence, Privilege, Scheduler, SorryServer,
    Transport, Trust, Tunnel, Virtual, VrrpChecksum, VrrpRollout,
};
use crate::tree::load;
use crate::value::{IfName, Name};

fn convert(text: &str) -> Config {
    let (tree, rejected) = load(text);
    assert_eq!(rejected, []);
    Config::try_from(&tree).expect("the example is valid")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_nat_example() {
    let config = convert(include_str!("../../tests/configs/nat.cfg"));
    assert_eq!(config.hostname, Some(name("lb1")));
    assert_eq!(config.banner_login.as_deref(), Some("Authorized use only"));
    assert_eq!(config.users[&name("admin")].privilege, Privilege::Admin);
    assert_eq!(config.users[&name("admin")].ssh_keys, ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK ana@noc"]);
    assert_eq!(config.users[&name("noc")].privilege, Privilege::User);
    assert_eq!((config.console.exec_timeout_min, config.vty.exec_timeout_min), (10, 15));
    assert_eq!(config.name_servers, [address("192.0.2.53"), address("192.0.2.54")]);
    assert_eq!((config.ssh.port, config.ssh.access_class.len(), config.ssh.shutdown), (22, 1, false));
    assert_eq!(config.archive_maximum, Some(20));
    let bond: IfName = "bond0".parse().expect("a bond");
    assert_eq!(config.interfaces[&bond].members.len(), 2);
    assert_eq!((config.ipvs.timeout_tcp, config.ipvs.timeout_udp, config.ipvs.expire_nodest_conn), (1800, 300, true));
    let www = &config.virtual_servers[&name("www")];
    assert_eq!(www.virtual_, Virtual::Address(address("203.0.113.10"), Transport::Tcp, 80));
    assert_eq!(www.scheduler, Scheduler { name: "wlc", port: false, fallback: false });
    let real = |last: &str| &www.real_servers[&(address(&format!("10.0.20.{last}")), 8080)];
    assert_eq!((real("11").weight, real("11").threshold), (3, (5000, Some(4000))));
    assert!(real("13").drain && real("13").weight == 1 && real("13").mode == Mode::Nat);
    let outside = &config.vrrp_groups[&name("outside")];
    assert_eq!((outside.version, outside.priority, outside.advertise_ms()), (3, 150, 100));
    assert_eq!((outside.preempt, outside.vrid.as_ref().map(|(vrid, _)| *vrid)), (Some(30), Some(51)));
    assert_eq!(outside.track_interfaces.values().collect::<Vec<_>>(), [&None]);
    assert_eq!(config.vrrp_sync_groups[&name("pair")].members, [name("inside"), name("outside")]);
}

#[test]
fn the_other_examples() {
    let dr = convert(include_str!("../../tests/configs/dr.cfg"));
    let all = &dr.virtual_servers[&name("web-all")];
    assert_eq!(all.persistence, Some(Persistence { timeout: 600, prefix_len: 24, sip: false }));
    assert_eq!(all.scheduler, Scheduler { name: "sh", port: true, fallback: true });
    assert_eq!(all.real_servers[&(address("10.1.0.11"), 0)].mode, Mode::Dr);
    assert!(dr.virtual_servers[&name("dns")].one_packet);

    let tun = convert(include_str!("../../tests/configs/tun.cfg"));
    let edge = &tun.virtual_servers[&name("edge")];
    assert_eq!(
        (edge.virtual_, edge.tunnel),
        (Virtual::Fwmark { mark: 7, ipv6: false }, Tunnel::Gue(6080, Checksum::Full))
    );
    assert_eq!(tun.firewall_marks.len(), 4);

    let fullnat = convert(include_str!("../../tests/configs/fullnat.cfg"));
    // Indented less than a line of a real server: it is the virtual server's.
    assert!(fullnat.virtual_servers[&name("sip")].shutdown);
    let pool = fullnat.nat_pools[&name("snat1")];
    assert_eq!(pool, NatPool { first: address("10.9.0.200"), last: address("10.9.0.215") });
    assert_eq!((pool.count(), pool.addresses().last()), (16, Some(address("10.9.0.215"))));
}

#[test]
fn defences_have_two_modes_and_a_rate() {
    let ipvs = |text: &str| convert(text).ipvs;
    let auto = ipvs("ipvs drop-entry\nipvs drop-packet\nipvs secure-tcp\nipvs memory-threshold 64\n");
    assert_eq!((auto.drop_entry, auto.secure_tcp), (Some(Defence::Auto), Some(Defence::Auto)));
    assert_eq!((auto.drop_packet, auto.memory_threshold_mb), (Some((Defence::Auto, 10)), Some(64)));
    let always = ipvs("ipvs drop-entry always\nipvs drop-packet always 50\nipvs secure-tcp always\n");
    assert_eq!((always.drop_entry, always.secure_tcp), (Some(Defence::Always), Some(Defence::Always)));
    assert_eq!(always.drop_packet, Some((Defence::Always, 50)));
    assert_eq!(ipvs("ipvs drop-packet always\n").drop_rate(), 10);
    let rest = ipvs("ipvs conn-reuse-mode 2\nipvs sloppy-sctp\nipvs schedule-icmp\n");
    assert!(rest.sloppy_sctp && rest.schedule_icmp && rest.conn_reuse_mode == 2);
}

#[test]
fn nothing_is_all_defaults() {
    assert_eq!(convert(""), Config::default());
    assert_eq!(convert(crate::store::FACTORY).users[&name("admin")].privilege, Privilege::Admin);
}

#[test]
fn the_lines_of_a_vrrp_group() {
    let config = convert(
        "vrrp group a\n vrid 7 interface eth0\n version 2\n address 10.0.0.1/24 interface eth1\n address 2001:db8::1/64\n \
         authentication text 1111\n track director weight 9\n track virtual-server web\n preempt\nvrrp group b\n \
         vrid 7 interface eth0\n address fe80::7/64\n authentication hmac key 3 0123456789abcdef0123456789abcdef\n \
         authentication hmac rollout permissive\n checksum heard\n",
    );
    let (a, b) = (&config.vrrp_groups[&name("a")], &config.vrrp_groups[&name("b")]);
    assert_eq!((a.version, a.priority, a.advertise_ms(), a.preempt), (2, 253, 1000, Some(0)));
    assert_eq!(a.addresses[0].interface, Some("eth1".parse().expect("a name")));
    assert_eq!((a.is_ipv6(), b.is_ipv6()), (false, true), "both families: it speaks IPv4");
    assert_eq!((a.track_director, a.track_servers[&name("web")]), (Some(Some(9)), None));
    assert_eq!(
        (a.auth.text.as_deref(), b.auth.hmac_keys.len(), b.auth.rollout),
        (Some("1111"), 1, VrrpRollout::Permissive)
    );
    assert_eq!(b.checksum, VrrpChecksum::Heard);
    assert!(!format!("{a:?}{b:?}").contains("1111"), "no log line holds a secret");
}

#[test]
fn the_lines_of_health_monitors() {
    let config = convert(
        "health-monitor tls\n type https\n request host www.example.net\n expect status 200,300-304\n tls trust ca MAMCAQE=\n \
         interval 2\n rise 3\n fall 2\nhealth-monitor tcp\nhealth-monitor u\n type udp\n request payload ping\n \
         expect regex ^pong\nvirtual-server a\n virtual 203.0.113.10 tcp 80\n health-check tls\n \
         quorum 2 hysteresis 1\n sorry-server 10.0.0.9 80 mode dr\n inhibit-on-failure\n slow-start 60\n fail-open\n \
         real-server 10.0.0.1 80\n real-server 10.0.0.2 80\n  health-check none\n real-server 10.0.0.3 80\n",
    );
    let tls = &config.monitors[&name("tls")];
    assert_eq!((tls.interval_s, tls.timeout_s, tls.retry, tls.rise, tls.fall), (2, 2, 2, 3, 2));
    let Check::Http(http) = &tls.check else { panic!("{tls:?}") };
    assert_eq!((http.path.as_str(), http.host.as_deref()), ("/", Some("www.example.net")));
    assert!(http.status.contains(304) && http.status.contains(200) && !http.status.contains(201));
    assert_eq!(http.status.to_string(), "200,300-304");
    assert_eq!(http.tls.as_ref().map(|tls| &tls.trust), Some(&Trust::Authority(vec![0x30, 3, 2, 1, 1])));
    assert_eq!(config.monitors[&name("tcp")], Monitor::default());
    assert_eq!(config.monitors[&name("u")].check, Check::Udp { payload: "ping".into(), regex: Some("^pong".into()) });
    let server = &config.virtual_servers[&name("a")];
    assert_eq!((server.quorum, server.hysteresis, server.slow_start_s), (2, 1, 60));
    assert!(server.inhibit_on_failure && server.fail_open);
    assert_eq!(server.sorry_server, Some(SorryServer { address: address("10.0.0.9"), port: 80, mode: Mode::Dr }));
    let of = |last: &str| {
        let key = (address(&format!("10.0.0.{last}")), 80);
        server.health_check_of(key, &server.real_servers[&key])
    };
    assert_eq!(of("1"), Some(&HealthCheck::Monitor(name("tls"))));
    assert_eq!(of("2"), Some(&HealthCheck::None));
}

/// cli.md: "tcp: connect to the real port; udp, sctp, any: none".
#[test]
fn what_is_judged_when_nothing_is_said() {
    let of = |virtual_: &str, port: &str| {
        let config = convert(&format!("virtual-server a\n virtual {virtual_}\n real-server 10.0.0.1 {port}\n"));
        let server = &config.virtual_servers[&name("a")];
        let (&key, real) = server.real_servers.first_key_value().unwrap();
        server.health_check_of(key, real).cloned()
    };
    assert_eq!(of("203.0.113.10 tcp 80", "8080"), Some(HealthCheck::Monitor(name("tcp"))));
    for (virtual_, port) in [
        ("203.0.113.10 udp 53", "53"),
        ("203.0.113.10 sctp 80", "80"),
        ("203.0.113.10 tcp any\n persistence timeout 60", "any"),
        ("fwmark 7", "80"),
    ] {
        assert_eq!(of(virtual_, port), None, "{virtual_}");
    }
    let config = convert("");
    assert_eq!(config.monitor(&name("tcp")), Some(&Monitor::default()));
    assert_eq!(config.monitor(&name("udp")), None);
    let config = convert("health-monitor tcp\n interval 1\n");
    assert_eq!(config.monitor(&name("tcp")).map(|monitor| monitor.interval_s), Some(1), "the operator's wins");
}
