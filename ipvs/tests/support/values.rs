//! Arbitrary services, destinations and tables, from few identities so that they meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use ipvs::wire::Request;
use ipvs::{
    Daemon, Destination, DestinationKey, Entry, Family, Forward, Netmask, Persistence, Protocol, SchedulerFlags,
    Service, ServiceKey, SyncRole, Table, Thresholds, Timeouts, Tunnel, TunnelFlags,
};
use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u32..4).prop_map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | n))),
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(80), any::<u16>()]
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

pub(crate) fn service_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![
        Just(Protocol::Tcp),
        Just(Protocol::Udp),
        Just(Protocol::Sctp),
        (200..=u16::MAX).prop_map(Protocol::Other)
    ];
    prop_oneof![
        (protocol, address(), port()).prop_map(|(protocol, address, port)| ServiceKey::Address {
            protocol,
            address,
            port
        }),
        (1..=u32::MAX, family())
            .prop_map(|(mark, family)| ServiceKey::Mark { mark: NonZeroU32::new(mark).unwrap(), family }),
    ]
}

fn netmask(family: Family) -> BoxedStrategy<Netmask> {
    match family {
        Family::V4 => any::<u32>().prop_map(|mask| Netmask::V4(Ipv4Addr::from_bits(mask))).boxed(),
        Family::V6 => (1..=128u8).prop_map(Netmask::V6).boxed(),
    }
}

pub(crate) fn service(family: Family) -> impl Strategy<Value = Service> {
    let persistence = (any::<u32>(), netmask(family)).prop_map(|(timeout, netmask)| Persistence { timeout, netmask });
    ("[a-z]{1,15}", 0..8u8, option::of(persistence), option::of("[a-z]{1,16}"), any::<bool>()).prop_map(
        |(scheduler, flags, persistence, engine, one_packet)| Service {
            scheduler: scheduler.parse().unwrap(),
            scheduler_flags: SchedulerFlags::from_bits(flags),
            persistence,
            engine: engine.map(|name| name.parse().unwrap()),
            one_packet,
        },
    )
}

pub(crate) fn destination_key() -> impl Strategy<Value = DestinationKey> {
    (address(), port()).prop_map(|(address, port)| DestinationKey { address, port })
}

pub(crate) fn destination() -> impl Strategy<Value = Destination> {
    let flags = || any::<u16>().prop_map(TunnelFlags::from_bits);
    let tunnel = prop_oneof![
        Just(Tunnel::Ipip),
        (any::<u16>(), flags()).prop_map(|(port, flags)| Tunnel::Gue { port, flags }),
        flags().prop_map(|flags| Tunnel::Gre { flags }),
        (3..=u8::MAX, any::<u16>(), flags()).prop_map(|(kind, port, flags)| Tunnel::Other { kind, port, flags }),
    ];
    let forward = prop_oneof![
        Just(Forward::Masquerade),
        Just(Forward::Local),
        tunnel.prop_map(Forward::Tunnel),
        Just(Forward::DirectRoute),
        Just(Forward::Bypass),
        (5..8u8).prop_map(Forward::Other),
    ];
    let threshold = || prop_oneof![Just(0), 0..20u32, any::<u32>()];
    let thresholds = (threshold(), threshold()).prop_map(|(a, b)| Thresholds { upper: a.max(b), lower: a.min(b) });
    (forward, prop_oneof![0..3u32, any::<u32>()], thresholds).prop_map(|(forward, weight, thresholds)| Destination {
        forward,
        weight,
        thresholds,
    })
}

/// The same with modules that a kernel has.
fn known(service: Service) -> Service {
    let scheduler = if service.one_packet { "mh" } else { "wlc" };
    let engine = service.engine.map(|_| "sip".parse().unwrap());
    Service { scheduler: scheduler.parse().unwrap(), engine, ..service }
}

/// The same as a kernel takes it.
fn acceptable(destination: Destination) -> Destination {
    let forward = match destination.forward {
        Forward::Tunnel(Tunnel::Gue { port: 0, flags }) => Forward::Tunnel(Tunnel::Gue { port: 1, flags }),
        other => other,
    };
    Destination { forward, weight: destination.weight & i32::MAX.unsigned_abs(), ..destination }
}

pub(crate) fn table() -> impl Strategy<Value = Table> {
    // Four services and four destinations to draw from: two tables have much in common.
    let services = (0..4u16).prop_map(|n| ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        port: n,
    });
    let destinations = (1..5u8).prop_map(|n| DestinationKey { address: [10, 0, 0, n].into(), port: 80 });
    // Few enough values that equal ones meet.
    let few_services = prop_oneof![Just(Service::new("rr".parse().unwrap())), service(Family::V4).prop_map(known)];
    let few_destinations = prop_oneof![Just(Destination::masquerade(1)), destination().prop_map(acceptable)];
    let entry = (few_services, btree_map(destinations, few_destinations, 0..5))
        .prop_map(|(service, destinations)| Entry { service, destinations });
    btree_map(services, entry, 0..5).prop_map(|services| Table { services })
}

pub(crate) fn daemon() -> impl Strategy<Value = Daemon> {
    let role = prop_oneof![Just(SyncRole::Master), Just(SyncRole::Backup)];
    let options = (option::of(any::<u16>()), option::of(address()), option::of(any::<u16>()), option::of(any::<u8>()));
    (role, "[a-z0-9]{1,15}", any::<u8>(), options).prop_map(|(role, interface, sync_id, options)| {
        let (max_length, group, port, ttl) = options;
        Daemon { role, interface: interface.parse().unwrap(), sync_id, max_length, group, port, ttl }
    })
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let with_service = || service_key().prop_flat_map(|key| service(key.family()).prop_map(move |value| (key, value)));
    let timeouts = (any::<u32>(), any::<u32>(), any::<u32>());
    let role = prop_oneof![Just(SyncRole::Master), Just(SyncRole::Backup)];
    prop_oneof![
        with_service().prop_map(|(key, value)| Request::NewService(key, value)),
        with_service().prop_map(|(key, value)| Request::SetService(key, value)),
        service_key().prop_map(Request::DelService),
        service_key().prop_map(Request::GetService),
        service_key().prop_map(Request::DumpDestinations),
        option::of(service_key()).prop_map(Request::Zero),
        (service_key(), destination_key(), destination()).prop_map(|(of, key, d)| Request::NewDestination(of, key, d)),
        (service_key(), destination_key(), destination()).prop_map(|(of, key, d)| Request::SetDestination(of, key, d)),
        (service_key(), destination_key()).prop_map(|(of, key)| Request::DelDestination(of, key)),
        daemon().prop_map(Request::NewDaemon),
        role.prop_map(Request::DelDaemon),
        timeouts.prop_map(|(tcp, tcp_fin, udp)| Request::SetTimeouts(Timeouts { tcp, tcp_fin, udp })),
        Just(Request::DumpServices),
        Just(Request::DumpDaemons),
        Just(Request::GetTimeouts),
        Just(Request::GetInfo),
        Just(Request::Flush),
    ]
}
