//! The codec against bytes that Debian's ipvsadm and Linux 6.12 exchanged.
//!
//! `tests/captures` holds an exchange a file, taken with `strace -e trace=sendmsg,recvmsg -e write=all -e read=all`. Each request must read as
//! the value its command line means, and the value must write the very bytes; each answer must read as what ipvsadm printed of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use ipvs::wire::{Body, Request, messages};
use ipvs::{
    Client, Daemon, Destination, DestinationKey, Family, Forward, Info, Netmask, Persistence, Refusal, SchedulerFlags,
    Service, ServiceKey, Stats, SyncRole, Table, Thresholds, Timeouts, Tunnel, TunnelFlags,
};
use support::capture;
use support::replay::Replay;

/// How much of a request our bytes have in common with ipvsadm's, which sends needless options along with an identity.
enum Bytes {
    /// All.
    Same,
    /// The destination, at the end.
    SameEnd,
    /// Ours are fewer, and mean the same.
    Fewer,
}
use Bytes::{Fewer, Same, SameEnd};

fn tcp(at: &str) -> ServiceKey {
    ServiceKey::tcp(at.parse().unwrap())
}

fn udp(at: &str) -> ServiceKey {
    ServiceKey::udp(at.parse().unwrap())
}

fn mark(mark: u32, family: Family) -> ServiceKey {
    ServiceKey::Mark { mark: NonZeroU32::new(mark).unwrap(), family }
}

fn service(scheduler: &str) -> Service {
    Service::new(scheduler.parse().unwrap())
}

fn persistent(scheduler: &str, timeout: u32, netmask: Netmask) -> Service {
    Service { persistence: Some(Persistence { timeout, netmask }), ..service(scheduler) }
}

fn host(scheduler: &str, timeout: u32) -> Service {
    persistent(scheduler, timeout, Netmask::host(Family::V4))
}

fn server(at: &str) -> DestinationKey {
    DestinationKey::new(at.parse().unwrap())
}

fn tunnel(tunnel: Tunnel) -> Destination {
    Destination::new(Forward::Tunnel(tunnel), 1)
}

/// Every captured request that changes the table, in the order of the capture: up to `list`, the commands that made it.
#[rustfmt::skip]
fn table_requests() -> Vec<(&'static str, Bytes, Request)> {
    use Request::{NewDestination, NewService, SetDestination, SetService};
    let (web, tls, tls6) = (tcp("10.0.0.100:80"), tcp("10.0.0.100:443"), tcp("[fd00::100]:443"));
    let gue = |port, flags| tunnel(Tunnel::Gue { port, flags });
    let flags = |scheduler, scheduler_flags| Service { scheduler_flags, ..service(scheduler) };
    let one_packet = |service| Service { one_packet: true, ..service };
    let all_flags = SchedulerFlags::from_bits(7);
    let v4 = |a| Netmask::V4(std::net::Ipv4Addr::from_bits(a));
    vec![
        ("service-tcp-rr", Same, NewService(web, service("rr"))),
        ("service-udp-wrr-ops", Same, NewService(udp("10.0.0.100:53"), one_packet(service("wrr")))),
        ("service-sctp-wlc", Same, NewService(ServiceKey::sctp("10.0.0.100:36412".parse().unwrap()), service("wlc"))),
        ("service-v6-lblc", Same, NewService(tls6, service("lblc"))),
        ("service-mark-sh", Same, NewService(mark(7, Family::V4), flags("sh", SchedulerFlags::FALLBACK | SchedulerFlags::PORT))),
        ("service-mark-v6-mh", Same, NewService(mark(u32::MAX, Family::V6), flags("mh", SchedulerFlags::PORT))),
        ("service-persistent", Same, NewService(tls, host("lc", 360))),
        ("service-persistent-mask", Same, NewService(tcp("10.0.0.100:0"), persistent("sed", 3600, v4(0xffff_ff00)))),
        ("service-persistent-v6", Same, NewService(tcp("[fd00::100]:80"), persistent("nq", 60, Netmask::V6(64)))),
        ("service-engine", Same, NewService(udp("10.0.0.100:5060"), Service { engine: Some("sip".parse().unwrap()), ..one_packet(host("rr", 60)) })),
        ("service-flags", Same, NewService(tcp("10.0.0.100:81"), flags("dh", all_flags))),
        ("service-edit", Same, SetService(web, host("fo", 10))),
        ("service-edit-back", Same, SetService(web, service("wrr"))),
        ("destination-nat", SameEnd, NewDestination(web, server("10.1.1.1:8080"), Destination::masquerade(1))),
        ("destination-nat-weight", SameEnd, NewDestination(web, server("10.1.1.2:8080"), Destination { thresholds: Thresholds { upper: 1000, lower: 800 }, ..Destination::masquerade(65535) })),
        ("destination-dr", SameEnd, NewDestination(tls, server("10.1.1.11:443"), Destination::new(Forward::DirectRoute, 0))),
        ("destination-ipip", SameEnd, NewDestination(tls, server("10.1.1.12:443"), Destination { thresholds: Thresholds { upper: 100, lower: 0 }, ..tunnel(Tunnel::Ipip) })),
        ("destination-gue", SameEnd, NewDestination(tls, server("10.1.1.13:443"), gue(6080, TunnelFlags::NONE))),
        ("destination-gue-csum", SameEnd, NewDestination(tls, server("10.1.1.14:443"), gue(6081, TunnelFlags::CHECKSUM))),
        ("destination-gue-remcsum", SameEnd, NewDestination(tls, server("10.1.1.15:443"), gue(65535, TunnelFlags::REMOTE_CHECKSUM))),
        ("destination-gre", SameEnd, NewDestination(tls, server("10.1.1.16:443"), tunnel(Tunnel::Gre { flags: TunnelFlags::CHECKSUM }))),
        ("destination-v6", SameEnd, NewDestination(tls6, server("[fd00:1::1]:8443"), Destination::masquerade(1))),
        ("destination-mark", SameEnd, NewDestination(mark(7, Family::V4), server("10.1.1.1:0"), Destination::new(Forward::DirectRoute, 3))),
        ("destination-mark-v6", SameEnd, NewDestination(mark(u32::MAX, Family::V6), server("[fd00:1::1]:0"), Destination::new(Forward::DirectRoute, 1))),
        ("destination-edit", SameEnd, SetDestination(web, server("10.1.1.2:8080"), Destination::masquerade(7))),
    ]
}

/// The captured requests that are not in the table the list shows.
#[rustfmt::skip]
fn other_requests() -> Vec<(&'static str, Bytes, Request)> {
    use Request::{DelDaemon, DelDestination, DelService, DumpDaemons, Flush, GetTimeouts, NewDaemon, NewDestination, SetTimeouts, Zero};
    let (web, tls) = (tcp("10.0.0.100:80"), tcp("10.0.0.100:443"));
    let daemon = |role, sync_id| Daemon {
        role, interface: "dummy0".parse().unwrap(), sync_id, max_length: None, group: None, port: None, ttl: None,
    };
    vec![
        ("destination-mixed", SameEnd, NewDestination(tls, server("[fd00:1::16]:443"), tunnel(Tunnel::Ipip))),
        ("destination-gre-nocsum", SameEnd, NewDestination(tls, server("10.1.1.20:443"), tunnel(Tunnel::Gre { flags: TunnelFlags::NONE }))),
        ("destination-delete", Fewer, DelDestination(tls, server("[fd00:1::16]:443"))),
        ("service-delete", Fewer, DelService(web)),
        ("service-mark-delete", Fewer, DelService(mark(7, Family::V4))),
        ("zero-one", Fewer, Zero(Some(web))),
        ("zero-all", Same, Zero(None)),
        ("flush", Same, Flush),
        ("timeouts-get", Same, GetTimeouts),
        ("timeouts-set", Same, SetTimeouts(Timeouts { tcp: 28800, tcp_fin: 60, udp: 0 })),
        ("daemon-start-master", Same, NewDaemon(daemon(SyncRole::Master, 7))),
        ("daemon-start-backup", Same, NewDaemon(Daemon { max_length: Some(1400), group: Some("224.0.0.90".parse().unwrap()), port: Some(8850), ttl: Some(3), ..daemon(SyncRole::Backup, 8) })),
        ("daemon-start-v6", Same, NewDaemon(Daemon { group: Some("ff02::81".parse().unwrap()), ..daemon(SyncRole::Master, 0) })),
        ("daemon-stop-backup", Fewer, DelDaemon(SyncRole::Backup)),
        ("daemon-stop-master", Fewer, DelDaemon(SyncRole::Master)),
        ("daemon-list", Same, DumpDaemons),
    ]
}

/// What the kernel refused, and what that means.
const REFUSALS: [(&str, Refusal); 11] = [
    ("refused-service-exists", Refusal::ServiceExists),
    ("refused-service-missing", Refusal::NoService),
    ("refused-scheduler", Refusal::NoSchedulerOrEngine),
    ("refused-destination-exists", Refusal::DestinationExists),
    ("refused-destination-missing", Refusal::NoDestination),
    ("refused-destination-no-service", Refusal::NoService),
    ("refused-threshold", Refusal::OutOfRange),
    ("refused-address", Refusal::InvalidDestination),
    ("refused-daemon-stop", Refusal::NoDaemon),
    ("refused-daemon-interface", Refusal::NoInterface),
    ("refused-daemon-mixed", Refusal::InvalidDaemon),
];

/// Captures of answers, each read by a test below.
const LISTS: [&str; 9] = [
    "info",
    "list",
    "list-one",
    "list-mixed",
    "list-stats",
    "list-empty",
    "timeouts-get-set",
    "daemon-list-v6",
    "daemon-none",
];

#[test]
fn every_capture_is_read_by_a_test() {
    let requests = table_requests().into_iter().chain(other_requests()).map(|(name, ..)| name);
    let read: BTreeSet<&str> = requests.chain(REFUSALS.map(|(name, _)| name)).chain(LISTS).collect();
    let there = capture::names();
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    assert_eq!(there, read);
}

#[test]
fn requests_read_as_what_their_command_means() {
    for (name, _, expected) in table_requests().into_iter().chain(other_requests()) {
        let bytes = capture::sent(name).remove(0);
        assert_eq!(Request::parse(&bytes).unwrap().1, expected, "{name}");
    }
}

#[test]
fn requests_write_the_bytes_that_were_captured() {
    for (name, how, request) in table_requests().into_iter().chain(other_requests()) {
        let mut captured = capture::sent(name).remove(0);
        let (envelope, _) = Request::parse(&captured).unwrap();
        // The sender's port is ipvsadm's; the kernel knows ours without being told.
        captured[12..16].fill(0);
        let mut ours = Vec::new();
        request.emit(envelope, &mut ours);
        match how {
            Same => assert_eq!(ours, captured, "{name}"),
            SameEnd => assert_eq!(destination_nest(&ours), destination_nest(&captured), "{name}"),
            Fewer => {
                assert!(ours.len() < captured.len(), "{name}");
                assert_eq!(Request::parse(&ours).unwrap(), (envelope, request), "{name}");
            }
        }
    }
}

/// The last attribute of a message: behind both headers (20 bytes) and the service.
fn destination_nest(message: &[u8]) -> &[u8] {
    let service = u16::from_ne_bytes([message[20], message[21]]);
    let nest = &message[20 + usize::from(service)..];
    assert_eq!(nest[2..4], [2, 0x80], "IPVS_CMD_ATTR_DEST");
    nest
}

#[test]
fn refusals_say_what_the_errno_means_for_the_request() {
    for (name, expected) in REFUSALS {
        let (_, request) = Request::parse(&capture::sent(name).remove(0)).unwrap();
        let answer = capture::received(name).remove(0);
        let message = messages(&answer).next().unwrap().unwrap();
        let Body::Acknowledgement { errno } = message.body else { panic!("{name}: {message:?}") };
        assert_eq!(Refusal::new(&request, errno), expected, "{name}");
    }
}

#[test]
fn the_listed_table_is_what_the_captured_commands_made() {
    let mut expected = Table::default();
    for (name, _, request) in table_requests() {
        match request {
            Request::NewService(key, value) => assert!(expected.services.insert(key, entry(value)).is_none(), "{name}"),
            Request::SetService(key, value) => expected.services.get_mut(&key).unwrap().service = value,
            Request::NewDestination(of, key, value) | Request::SetDestination(of, key, value) => {
                expected.services.get_mut(&of).unwrap().destinations.insert(key, value);
            }
            other => panic!("{name}: {other}"),
        }
    }
    let mut client = Client::with_transport(Replay::of(&["list", "list-one"])).unwrap();
    // Services without destinations are asked for again, which ipvsadm never does: answer with their own list entry.
    let services = client.services().unwrap();
    assert_eq!(services.len(), expected.services.len());
    for observed in services {
        let entry = &expected.services[&observed.key];
        assert_eq!(observed.service, entry.service, "{}", observed.key);
        if !entry.destinations.is_empty() {
            let listed = client.destinations(observed.key).unwrap();
            let listed = listed.into_iter().map(|d| (d.key, d.destination)).collect();
            assert_eq!(entry.destinations, listed, "{}", observed.key);
        }
    }
}

fn entry(service: Service) -> ipvs::Entry {
    ipvs::Entry { service, destinations: [].into() }
}

#[test]
fn one_service_is_read() {
    let mut client = Client::with_transport(Replay::of(&["list-one"])).unwrap();
    let listed = client.destinations(tcp("10.0.0.100:443")).unwrap();
    assert_eq!(listed.len(), 6);
    assert_eq!(listed[0].key, server("10.1.1.16:443"), "newest first");
}

#[test]
fn a_table_of_mixed_families_is_observed() {
    let mut client = Client::with_transport(Replay::of(&["list-mixed"])).unwrap();
    let table = client.observe().unwrap();
    let entry = &table.services[&tcp("10.0.0.100:443")];
    assert_eq!(entry.service, host("lc", 360));
    let servers = [server("[fd00:1::16]:443"), server("[fd00:1::17]:443")];
    assert_eq!(entry.destinations, servers.map(|key| (key, tunnel(Tunnel::Ipip))).into());
}

#[test]
fn an_empty_table_is_observed() {
    let mut client = Client::with_transport(Replay::of(&["list-empty"])).unwrap();
    assert_eq!(client.observe().unwrap(), Table::default());
}

#[test]
fn counters_are_those_ipvsadm_printed() {
    let mut client = Client::with_transport(Replay::of(&["list-stats"])).unwrap();
    let services = client.services().unwrap();
    let (web, tls6) = (tcp("10.0.0.100:80"), tcp("[fd00::100]:443"));
    let web_stats = Stats {
        connections: 5,
        packets_in: 32,
        packets_out: 28,
        bytes_in: 2069,
        bytes_out: 2561,
        // Averaged by the kernel just then; ipvsadm --rate printed the like.
        rates: services.iter().find(|s| s.key == web).unwrap().stats.rates,
    };
    assert_ne!(web_stats.rates, ipvs::Rates::default());
    for service in &services {
        match service.key {
            key if key == web => assert_eq!(service.stats, web_stats),
            key if key == tls6 => assert_eq!(service.stats.bytes_out, 653),
            _ => assert_eq!(service.stats, Stats::default(), "{}", service.key),
        }
    }
    let listed = client.destinations(web).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].stats.bytes_in, listed[0].stats.bytes_out), (2069, 2561));
    assert_eq!((listed[0].active, listed[0].inactive, listed[0].persistent), (0, 5, 0));
}

#[test]
fn facts_timeouts_and_daemons_are_those_ipvsadm_printed() {
    let mut client = Client::with_transport(Replay::of(&["timeouts-get", "daemon-list"])).unwrap();
    assert_eq!(client.info().unwrap(), Info { version: (1, 2, 1), table_size: 4096 });
    assert_eq!(client.timeouts().unwrap(), Timeouts { tcp: 900, tcp_fin: 120, udp: 300 });
    let master = Daemon {
        role: SyncRole::Master,
        interface: "dummy0".parse().unwrap(),
        sync_id: 7,
        max_length: Some(1472),
        group: Some("224.0.0.81".parse().unwrap()),
        port: Some(8848),
        ttl: Some(1),
    };
    let backup = Daemon {
        role: SyncRole::Backup,
        sync_id: 8,
        max_length: Some(1400),
        group: Some("224.0.0.90".parse().unwrap()),
        port: Some(8850),
        ttl: Some(3),
        ..master
    };
    assert_eq!(client.daemons().unwrap(), [master, backup]);

    let mut client = Client::with_transport(Replay::of(&["timeouts-get-set", "daemon-list-v6"])).unwrap();
    assert_eq!(client.timeouts().unwrap(), Timeouts { tcp: 28800, tcp_fin: 60, udp: 300 });
    let v6 = Daemon { sync_id: 0, max_length: Some(1452), group: Some("ff02::81".parse().unwrap()), ..master };
    assert_eq!(client.daemons().unwrap(), [v6]);

    let mut client = Client::with_transport(Replay::of(&["daemon-none"])).unwrap();
    assert_eq!(client.daemons().unwrap(), []);
}
