//! The crate against a running kernel: writes tables with every option there is, reads each back, and takes each way back.
//!
//! For a virtual machine: it owns the table while it runs and leaves it empty. Ends with `roundtrip: ok`, or panics at the first difference.
//! What the kernel refuses is provoked too, one case for each refusal that can be without breaking the machine. Needs a dummy interface
//! `dummy0` with multicast for the sync daemons, and schedulers and the SIP engine as modules or built in.
#![expect(clippy::print_stdout, reason = "a program that reports")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipvs::wire::Request;
use ipvs::{
    Change, Client, Daemon, Destination, DestinationKey, Family, Forward, Netmask, Persistence, Refusal,
    SchedulerFlags, Service, ServiceKey, SyncRole, Table, Thresholds, Timeouts, Tunnel, TunnelFlags, inverse, plan,
};

const SCHEDULERS: [&str; 15] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos", "none"];

fn main() {
    let mut client = Client::open().expect("a kernel with IPVS, and root");
    client.flush().unwrap();
    assert_eq!(client.observe().unwrap(), Table::default());

    tables(&mut client);
    refusals(&mut client);
    vanished(&mut client);
    timeouts(&mut client);
    daemons(&mut client);

    client.zero(None).unwrap();
    client.flush().unwrap();
    println!("roundtrip: ok");
}

fn service(scheduler: &str) -> Service {
    Service::new(scheduler.parse().unwrap())
}

fn server(at: &str) -> DestinationKey {
    DestinationKey::new(at.parse().unwrap())
}

fn mark(mark: u32, family: Family) -> ServiceKey {
    ServiceKey::Mark { mark: NonZeroU32::new(mark).unwrap(), family }
}

/// A table of every scheduler, with every way to forward below each.
fn schedulers() -> Table {
    let mut table = Table::default();
    for (n, scheduler) in (1u16..).zip(SCHEDULERS) {
        let at = format!("192.0.2.1:{n}");
        let entry = table.service(ServiceKey::tcp(at.parse().unwrap()), service(scheduler));
        let flags = [TunnelFlags::NONE, TunnelFlags::CHECKSUM, TunnelFlags::REMOTE_CHECKSUM];
        let mut forwards = vec![Forward::Masquerade, Forward::DirectRoute, Forward::Local, Forward::Bypass];
        forwards.push(Forward::Tunnel(Tunnel::Ipip));
        forwards.extend(flags.map(|flags| Forward::Tunnel(Tunnel::Gue { port: 6080, flags })));
        forwards.extend(flags[..2].iter().map(|&flags| Forward::Tunnel(Tunnel::Gre { flags })));
        for (host, forward) in (1u8..).zip(forwards) {
            let thresholds = Thresholds { upper: 100, lower: u32::from(host) };
            let destination = Destination { thresholds, ..Destination::new(forward, u32::from(host) * 1000) };
            entry.destinations.insert(DestinationKey { address: [10, 0, 0, host].into(), port: n }, destination);
        }
    }
    table
}

/// A table of every kind of service.
fn kinds() -> Table {
    let mut table = Table::default();
    let persistent =
        |timeout, netmask| Service { persistence: Some(Persistence { timeout, netmask }), ..service("wlc") };
    let v4 = Netmask::V4([255, 255, 255, 0].into());
    let sip = Service { engine: Some("sip".parse().unwrap()), ..persistent(60, Netmask::host(Family::V4)) };
    let flags = |bits| Service { scheduler_flags: SchedulerFlags::from_bits(bits), ..service("mh") };
    let one_packet = Service { one_packet: true, ..service("rr") };
    table.service(ServiceKey::tcp("192.0.2.1:1".parse().unwrap()), service("wlc"));
    table.service(ServiceKey::tcp("192.0.2.1:0".parse().unwrap()), persistent(3600, v4));
    table.service(ServiceKey::tcp("[2001:db8::1]:80".parse().unwrap()), persistent(1, Netmask::V6(64)));
    table.service(ServiceKey::udp("[2001:db8::1]:80".parse().unwrap()), service("sh"));
    table.service(ServiceKey::udp("192.0.2.1:53".parse().unwrap()), one_packet);
    table.service(ServiceKey::udp("192.0.2.1:5060".parse().unwrap()), sip);
    table.service(ServiceKey::sctp("192.0.2.1:36412".parse().unwrap()), service("rr"));
    for bits in 0..8u8 {
        table.service(mark(100 + u32::from(bits), Family::V4), flags(bits));
    }
    table.service(mark(u32::MAX, Family::V6), service("rr"));
    table.service(mark(u32::MAX, Family::V4), service("rr"));
    for (key, entry) in &mut table.services {
        let (address, port): (IpAddr, u16) = match key.family() {
            Family::V4 => ([10, 0, 0, 9].into(), 0),
            Family::V6 => ("2001:db8:1::9".parse().unwrap(), 8080),
        };
        entry.destinations.insert(DestinationKey { address, port }, Destination::masquerade(0));
        // A tunnel may lead into the other family.
        let tunnel = Destination::new(Forward::Tunnel(Tunnel::Ipip), i32::MAX.unsigned_abs());
        entry.destinations.insert(server("10.0.0.10:80"), tunnel);
        entry.destinations.insert(server("[2001:db8:1::10]:80"), tunnel);
    }
    table
}

/// The same services and servers, with other options throughout: all edits.
fn edited(table: &Table) -> Table {
    let mut table = table.clone();
    for (key, entry) in &mut table.services {
        entry.service.scheduler = "sed".parse().unwrap();
        entry.service.scheduler_flags = SchedulerFlags::NONE;
        entry.service.persistence = match entry.service.persistence {
            Some(_) => None,
            None => Some(Persistence { timeout: 77, netmask: Netmask::host(key.family()) }),
        };
        for (server, destination) in &mut entry.destinations {
            destination.weight = 5;
            destination.thresholds = Thresholds { upper: 1000, lower: 0 };
            if Family::from(server.address) == key.family() {
                destination.forward = match destination.forward {
                    Forward::Masquerade => Forward::Tunnel(Tunnel::Gue { port: 1, flags: TunnelFlags::CHECKSUM }),
                    _ => Forward::Masquerade,
                };
            }
        }
    }
    table
}

fn tables(client: &mut Client) {
    let (a, b) = (schedulers(), kinds());
    for wanted in [a.clone(), edited(&a), a.clone(), b.clone(), edited(&b), b, a, Table::default()] {
        let before = client.observe().unwrap();
        let changes = plan(&before, &wanted);
        client.apply(&changes).unwrap_or_else(|error| panic!("{error}"));
        expect(client, &wanted);
        client.apply(&inverse(&changes)).unwrap_or_else(|error| panic!("{error}"));
        expect(client, &before);
        client.apply(&changes).unwrap_or_else(|error| panic!("{error}"));
        println!("{} services, {} changes, there and back", wanted.services.len(), changes.len());
    }
}

fn expect(client: &mut Client, wanted: &Table) {
    let seen = client.observe().unwrap();
    for (key, entry) in &wanted.services {
        assert_eq!(seen.services.get(key), Some(entry), "{key}");
    }
    assert_eq!(&seen, wanted);
    // The same with counters, and one by one.
    for (service, destinations) in client.statistics().unwrap() {
        assert_eq!(client.service(service.key).unwrap().service, wanted.services[&service.key].service);
        assert_eq!(destinations.len(), wanted.services[&service.key].destinations.len());
    }
}

fn refusals(client: &mut Client) {
    let web = ServiceKey::tcp("192.0.2.1:80".parse().unwrap());
    let web6 = ServiceKey::tcp("[2001:db8::1]:80".parse().unwrap());
    let (one, two) = (server("10.0.0.1:80"), server("10.0.0.2:80"));
    let plain = Destination::masquerade(1);
    let full = Destination { thresholds: Thresholds { upper: 1, lower: 2 }, ..plain };
    let gue = Destination::new(Forward::Tunnel(Tunnel::Gue { port: 0, flags: TunnelFlags::NONE }), 1);
    let engine = Service { engine: Some("nosuch".parse().unwrap()), ..service("rr") };
    let long = Netmask::V6(129);
    let prefix = Service { persistence: Some(Persistence { timeout: 1, netmask: long }), ..service("rr") };
    client.request(&Request::NewService(web, service("rr"))).unwrap();
    client.request(&Request::NewDestination(web, one, plain)).unwrap();
    for (request, refusal) in [
        (Request::NewService(web, service("rr")), Refusal::ServiceExists),
        (Request::NewService(web6, service("nosuch")), Refusal::NoSchedulerOrEngine),
        (Request::NewService(web6, engine), Refusal::NoSchedulerOrEngine),
        (Request::NewService(web6, prefix), Refusal::InvalidService),
        (Request::SetService(web6, service("rr")), Refusal::NoService),
        (Request::DelService(web6), Refusal::NoService),
        (Request::GetService(web6), Refusal::NoService),
        (Request::Zero(Some(web6)), Refusal::NoService),
        (Request::NewDestination(web, one, plain), Refusal::DestinationExists),
        (Request::NewDestination(web6, one, plain), Refusal::NoService),
        (Request::NewDestination(web, two, full), Refusal::OutOfRange),
        (Request::NewDestination(web, two, Destination::masquerade(1 << 31)), Refusal::OutOfRange),
        (Request::NewDestination(web, two, gue), Refusal::InvalidDestination),
        (Request::NewDestination(web, server("224.0.0.1:80"), plain), Refusal::InvalidDestination),
        (Request::NewDestination(web, server("[2001:db8::9]:80"), plain), Refusal::InvalidDestination),
        (Request::SetDestination(web, two, plain), Refusal::NoDestination),
        (Request::SetDestination(web, one, full), Refusal::OutOfRange),
        (Request::DelDestination(web, two), Refusal::NoDestination),
        (Request::DelDaemon(SyncRole::Master), Refusal::NoDaemon),
        (Request::SetTimeouts(Timeouts { tcp: u32::MAX, ..Timeouts::default() }), Refusal::InvalidTimeout),
    ] {
        let error = client.request(&request).expect_err("the kernel refuses it");
        assert_eq!(error.refusal(), Some(refusal), "{request}: {error}");
        println!("{error}");
    }

    // One bad among many: the rest of the send is done, and goes back.
    let before = client.observe().unwrap();
    let mut wanted = schedulers();
    wanted.services.extend(before.services.clone());
    let entry = wanted.services.values_mut().nth(5).unwrap();
    entry.destinations.values_mut().nth(2).unwrap().thresholds = Thresholds { upper: 1, lower: 2 };
    let changes = plan(&before, &wanted);
    let error = client.apply(&changes).expect_err("a threshold is out of range");
    assert_eq!((error.failed.len(), error.done.len()), (1, changes.len() - 1), "{error}");
    assert!(
        matches!(changes[error.failed[0].0], Change::AddDestination { destination, .. } if destination.thresholds.lower == 2)
    );
    client.apply(&error.undo(&changes)).unwrap_or_else(|error| panic!("{error}"));
    expect(client, &before);

    // All of many bad: as many answers as requests fit the queue.
    let bad = vec![Request::NewService(web, service("rr")); 256];
    let error = client.execute(&bad).expect_err("it exists");
    assert_eq!((error.failed.len(), error.done.len()), (256, 0), "{error}");
}

/// The kernel lists no destinations of a service that is not there, and no error.
fn vanished(client: &mut Client) {
    let nowhere = ServiceKey::udp("192.0.2.9:9".parse().unwrap());
    let error = client.destinations(nowhere).expect_err("there is none");
    assert_eq!(error.refusal(), Some(Refusal::NoService));
}

fn timeouts(client: &mut Client) {
    let before = client.timeouts().unwrap();
    client.set_timeouts(Timeouts { tcp: 28_800, tcp_fin: 0, udp: 61 }).unwrap();
    assert_eq!(client.timeouts().unwrap(), Timeouts { tcp: 28_800, tcp_fin: before.tcp_fin, udp: 61 });
    client.set_timeouts(before).unwrap();
    assert_eq!(client.timeouts().unwrap(), before);
    let info = client.info().unwrap();
    assert_eq!(info.version, (1, 2, 1));
}

fn daemons(client: &mut Client) {
    assert_eq!(client.daemons().unwrap(), []);
    let master = Daemon {
        role: SyncRole::Master,
        interface: "dummy0".parse().unwrap(),
        sync_id: 255,
        max_length: Some(1400),
        group: Some("224.0.0.99".parse().unwrap()),
        port: Some(8850),
        ttl: Some(3),
    };
    let backup = Daemon { role: SyncRole::Backup, group: Some("ff02::99".parse().unwrap()), ..master };
    client.start_daemon(master).unwrap();
    client.start_daemon(backup).unwrap();
    assert_eq!(client.daemons().unwrap(), [master, backup]);
    assert_eq!(client.start_daemon(master).unwrap_err().refusal(), Some(Refusal::DaemonRunning));
    client.stop_daemon(SyncRole::Master).unwrap();
    client.stop_daemon(SyncRole::Backup).unwrap();
    let nowhere = Daemon { interface: "nosuch0".parse().unwrap(), ..master };
    assert_eq!(client.start_daemon(nowhere).unwrap_err().refusal(), Some(Refusal::NoInterface));
    assert_eq!(client.daemons().unwrap(), []);
}
