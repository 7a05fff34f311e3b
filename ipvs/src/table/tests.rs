//! Plans by example; the laws are in `tests/laws.rs`.

use super::*;
use crate::{Forward, Thresholds};

fn web() -> ServiceKey {
    ServiceKey::tcp("192.0.2.1:80".parse().unwrap())
}

fn server(n: u8) -> DestinationKey {
    DestinationKey { address: [10, 0, 0, n].into(), port: 8080 }
}

fn table(servers: &[(u8, u32)]) -> Table {
    let mut table = Table::default();
    let entry = table.service(web(), Service::new("wrr".parse().unwrap()));
    entry.destinations = servers.iter().map(|&(n, weight)| (server(n), Destination::masquerade(weight))).collect();
    table
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(Change::to_string).collect()
}

#[test]
fn one_weight_is_one_change() {
    let changes = plan(&table(&[(1, 1), (2, 1), (3, 1)]), &table(&[(1, 1), (2, 7), (3, 1)]));
    assert_eq!(words(&changes), ["edit destination 10.0.0.2:8080 of 192.0.2.1:80/tcp"]);
}

#[test]
fn servers_come_before_others_go() {
    let changes = plan(&table(&[(1, 1), (2, 1), (3, 1)]), &table(&[(3, 2), (4, 1), (5, 1)]));
    assert_eq!(
        words(&changes),
        [
            "add destination 10.0.0.4:8080 to 192.0.2.1:80/tcp",
            "add destination 10.0.0.5:8080 to 192.0.2.1:80/tcp",
            "edit destination 10.0.0.3:8080 of 192.0.2.1:80/tcp",
            "remove destination 10.0.0.2:8080 from 192.0.2.1:80/tcp",
            "remove destination 10.0.0.1:8080 from 192.0.2.1:80/tcp",
        ]
    );
}

#[test]
fn a_service_goes_with_its_destinations_and_comes_back_with_them() {
    let full = table(&[(1, 1), (2, 2)]);
    let changes = plan(&full, &Table::default());
    assert_eq!(words(&changes), ["remove service 192.0.2.1:80/tcp"]);
    assert_eq!(
        words(&inverse(&changes)),
        [
            "add service 192.0.2.1:80/tcp",
            "add destination 10.0.0.1:8080 to 192.0.2.1:80/tcp",
            "add destination 10.0.0.2:8080 to 192.0.2.1:80/tcp",
        ]
    );
}

#[test]
fn options_are_edited_in_place() {
    let mut wanted = table(&[(1, 1)]);
    let entry = wanted.services.get_mut(&web()).unwrap();
    entry.service.scheduler = "mh".parse().unwrap();
    let destination = entry.destinations.get_mut(&server(1)).unwrap();
    destination.forward = Forward::DirectRoute;
    destination.thresholds = Thresholds { upper: 100, lower: 50 };
    let changes = plan(&table(&[(1, 1)]), &wanted);
    assert_eq!(
        words(&changes),
        ["edit service 192.0.2.1:80/tcp", "edit destination 10.0.0.1:8080 of 192.0.2.1:80/tcp"]
    );
}

#[test]
fn the_lower_threshold_the_kernel_would_take_is_no_difference() {
    let with = |upper, lower| {
        let mut table = table(&[(1, 1)]);
        let entry = table.services.get_mut(&web()).unwrap();
        entry.destinations.get_mut(&server(1)).unwrap().thresholds = Thresholds { upper, lower };
        table
    };
    assert!(plan(&with(10, 0), &with(10, 8)).is_empty());
    assert!(plan(&with(10, 8), &with(10, 0)).is_empty());
    assert_eq!(plan(&with(10, 0), &with(10, 7)).len(), 1);
    assert_eq!(plan(&with(0, 0), &with(10, 0)).len(), 1);
}

#[test]
fn a_table_refuses_what_the_kernel_refuses() {
    let mut table = table(&[(1, 1)]);
    let destination = Destination::masquerade(1);
    let other = ServiceKey::udp("192.0.2.1:80".parse().unwrap());
    let service = Service::new("rr".parse().unwrap());
    for (change, refusal) in [
        (Change::AddService { key: web(), service }, Refusal::ServiceExists),
        (Change::EditService { key: other, from: service, to: service }, Refusal::NoService),
        (Change::AddDestination { service: web(), key: server(1), destination }, Refusal::DestinationExists),
        (Change::AddDestination { service: other, key: server(1), destination }, Refusal::NoService),
        (Change::RemoveDestination { service: web(), key: server(2), destination }, Refusal::NoDestination),
    ] {
        let before = table.clone();
        assert_eq!(table.apply(&change), Err(refusal), "{change}");
        assert_eq!(table, before);
    }
}
