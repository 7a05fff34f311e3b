//! From operator words to kernel words, attribute by attribute.

use ipvs::{Entry, plan};

use super::*;
use crate::testing::config;

fn one(text: &str) -> (ServiceKey, Entry) {
    let desired = desired(&config(text), &Pools::new());
    assert_eq!(desired.table.services.len(), 1, "{:?}", desired.warnings);
    desired.table.services.into_iter().next().unwrap()
}

fn server(lines: &str) -> Entry {
    one(&format!("virtual-server v\n virtual 192.0.2.1 tcp 80\n{lines}")).1
}

#[test]
fn identities() {
    let at = |text: &str| text.parse().unwrap();
    for (virtual_, key) in [
        ("192.0.2.1 tcp 80", ServiceKey::tcp(at("192.0.2.1:80"))),
        ("2001:db8::1 udp 53", ServiceKey::udp(at("[2001:db8::1]:53"))),
        ("192.0.2.1 sctp 3868", ServiceKey::sctp(at("192.0.2.1:3868"))),
        ("fwmark 7", ServiceKey::Mark { mark: NonZeroU32::new(7).unwrap(), family: Family::V4 }),
        ("fwmark 7 ipv6", ServiceKey::Mark { mark: NonZeroU32::new(7).unwrap(), family: Family::V6 }),
    ] {
        assert_eq!(one(&format!("virtual-server v\n virtual {virtual_}\n")).0, key, "{virtual_}");
    }
    let any = one("virtual-server v\n virtual 192.0.2.1 tcp any\n persistence timeout 60\n real-server 10.0.0.1 any\n");
    assert_eq!(any.0, ServiceKey::tcp(at("192.0.2.1:0")));
    assert_eq!(any.1.destinations.keys().next().unwrap().port, 0);
}

#[test]
fn schedulers_and_their_flags() {
    assert_eq!(server("").service, Service::new("wlc".parse().unwrap()));
    for (line, name, flags) in [
        ("rr", "rr", SchedulerFlags::NONE),
        ("sh port", "sh", SchedulerFlags::PORT),
        ("mh fallback", "mh", SchedulerFlags::FALLBACK),
        ("mh port-fallback", "mh", SchedulerFlags::PORT | SchedulerFlags::FALLBACK),
    ] {
        let service = server(&format!(" scheduler {line}\n")).service;
        assert_eq!((service.scheduler.as_str(), service.scheduler_flags), (name, flags));
    }
}

#[test]
fn persistence_and_its_masks() {
    let persistence = |lines: &str| server(lines).service.persistence.unwrap();
    let host = Netmask::V4(Ipv4Addr::BROADCAST);
    assert_eq!(persistence(" persistence timeout 600\n"), Persistence { timeout: 600, netmask: host });
    let net = persistence(" persistence timeout 600\n persistence netmask 255.255.255.0\n");
    assert_eq!(net.netmask, Netmask::V4([255, 255, 255, 0].into()));
    let v6 = one("virtual-server v\n virtual 2001:db8::1 tcp 80\n persistence timeout 9\n persistence netmask 64\n").1;
    assert_eq!(v6.service.persistence.unwrap().netmask, Netmask::V6(64));
    for (prefix_len, mask) in [(0, 0u32), (1, 0x8000_0000), (31, u32::MAX - 1), (32, u32::MAX)] {
        assert_eq!(netmask(false, prefix_len), Netmask::V4(mask.into()), "{prefix_len}");
    }
    let sip = one(
        "virtual-server v\n virtual 192.0.2.1 udp 5060\n one-packet\n persistence timeout 9\n persistence engine sip\n",
    );
    assert_eq!(sip.1.service.engine, Some("sip".parse().unwrap()));
    assert!(sip.1.service.one_packet);
}

#[test]
fn a_persistence_the_kernel_cannot_count_is_its_longest_and_said() {
    let desired =
        desired(&config("virtual-server v\n virtual 192.0.2.1 tcp 80\n persistence timeout 31536000\n"), &Pools::new());
    assert_eq!(desired.table.services.values().next().unwrap().service.persistence.unwrap().timeout, PERSISTENCE_MAX_S);
    assert!(desired.warnings[0].starts_with("virtual-server v: persistence timeout"), "{:?}", desired.warnings);
}

#[test]
fn how_packets_reach_a_real_server() {
    let forward = |lines: &str| {
        server(&format!("{lines} real-server 10.0.0.1 80\n")).destinations.into_values().next().unwrap().forward
    };
    assert_eq!(forward(""), Forward::Masquerade);
    assert_eq!(forward(" mode dr\n"), Forward::DirectRoute);
    assert_eq!(forward(" mode tun\n"), Forward::Tunnel(ipvs::Tunnel::Ipip));
    let gue = |flags| Forward::Tunnel(ipvs::Tunnel::Gue { port: 6080, flags });
    assert_eq!(forward(" mode tun\n tunnel gue 6080\n"), gue(TunnelFlags::NONE));
    assert_eq!(forward(" mode tun\n tunnel gue 6080 csum\n"), gue(TunnelFlags::CHECKSUM));
    assert_eq!(forward(" mode tun\n tunnel gue 6080 remcsum\n"), gue(TunnelFlags::REMOTE_CHECKSUM));
    let gre = Forward::Tunnel(ipvs::Tunnel::Gre { flags: TunnelFlags::CHECKSUM });
    assert_eq!(forward(" mode tun\n tunnel gre csum\n"), gre);
}

#[test]
fn weights_thresholds_drain_and_shutdown() {
    let entry = server(
        " real-server 10.0.0.1 80\n  weight 7\n  threshold 100 40\n real-server 10.0.0.2 80\n  weight 7\n  drain\n\
         \x20real-server 10.0.0.3 80\n  shutdown\n real-server 10.0.0.4 80\n  mode dr\n",
    );
    let found: Vec<_> =
        entry.destinations.values().map(|d| (d.weight, d.thresholds.upper, d.thresholds.lower, d.forward)).collect();
    assert_eq!(
        found,
        [(7, 100, 40, Forward::Masquerade), (0, 0, 0, Forward::Masquerade), (1, 0, 0, Forward::DirectRoute)]
    );
    assert!(
        desired(&config("virtual-server v\n virtual 192.0.2.1 tcp 80\n shutdown\n"), &Pools::new())
            .table
            .services
            .is_empty()
    );
}

#[test]
fn fullnat_is_masquerading_and_never_without_a_source() {
    let text = "ip nat pool p 10.9.0.1\nvirtual-server f\n virtual 192.0.2.1 tcp 80\n source-nat pool p\n real-server 10.0.0.1 80\n  mode dr\n\
                real-server 10.0.0.2 80\n  mode fullnat\n";
    let forwards = |text: &str| {
        let all = desired(&config(text), &Pools::new());
        let entry = all.table.services.into_values().next().unwrap();
        (entry.destinations.into_values().map(|d| d.forward).collect::<Vec<_>>(), all.warnings)
    };
    assert_eq!(forwards(text), (vec![Forward::DirectRoute, Forward::Masquerade], vec![]));
    let without = text.replace("ip nat pool p 10.9.0.1\n", "");
    let warning = "virtual-server f: real servers of mode fullnat are left out, ip nat pool p does not exist";
    assert_eq!(forwards(&without), (vec![Forward::DirectRoute], vec![warning.to_owned()]));
    let interface = without.replace(" source-nat pool p\n", "");
    assert_eq!(forwards(&interface).0, [Forward::DirectRoute, Forward::Masquerade]);
}

#[test]
fn a_service_is_named_by_its_virtual_server() {
    let text = "virtual-server www\n virtual 192.0.2.1 tcp 80\n";
    let (key, _) = one(text);
    assert_eq!(desired(&config(text), &Pools::new()).name(&key), "virtual-server www");
    let foreign = ServiceKey::tcp("192.0.2.9:80".parse().unwrap());
    assert_eq!(Desired::default().name(&foreign), "service 192.0.2.9:80/tcp");
}

#[test]
fn the_default_lower_threshold_is_no_difference() {
    let text = "virtual-server v\n virtual 192.0.2.1 tcp 80\n real-server 10.0.0.1 80\n  threshold 100\n";
    let desired = desired(&config(text), &Pools::new()).table;
    // What a dump returns of it, whichever way the kernel spells it.
    let spelt = desired.clone().normalized();
    assert!(plan(&spelt, &desired).is_empty() && plan(&desired, &spelt).is_empty());
}

#[test]
fn datagrams_of_probes_leave_no_connection_behind() {
    let text = "health-monitor m\n type dns\nvirtual-server v\n virtual 192.0.2.1 udp 53\n mode dr\n health-check m\n real-server 10.0.0.1 53\n";
    let config = config(text);
    let pool = yoke_health::pool::judge(
        &config,
        config.virtual_servers.values().next().unwrap(),
        &|_| None,
        &Pool::default(),
        std::time::Duration::ZERO,
    );
    let pools = Pools::from([("v".parse().unwrap(), pool)]);
    let table = desired(&config, &pools).table;
    let mut probed = table.services.iter().filter(|(key, _)| matches!(key, ServiceKey::Mark { .. }));
    assert!(probed.next().expect("a way of clients").1.service.one_packet);
}
