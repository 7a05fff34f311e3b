//! Laws of the codec and of the plan, on arbitrary values and arbitrary bytes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;

use ipvs::wire::{Body, Envelope, Request, messages};
use ipvs::{
    Change, Client, Daemon, Family, Info, ObservedDestination, ObservedService, Table, Timeouts, connections, inverse,
    plan,
};
use proptest::prelude::*;
use support::capture;
use support::fake::Fake;
use support::values;

/// Reads bytes in every way there is. Whatever they are, it must not panic.
fn read_all(bytes: &[u8]) {
    for message in messages(bytes).flatten() {
        if let Body::Family { attributes, .. } = message.body {
            let _ = ObservedService::parse(attributes);
            let _ = ObservedDestination::parse(attributes, Family::V6);
            let _ = Daemon::parse(attributes);
            let _ = Timeouts::parse(attributes);
            let _ = Info::parse(attributes);
        }
    }
    let _ = Request::parse(bytes);
    let _ = ObservedService::parse(bytes);
    let _ = ObservedDestination::parse(bytes, Family::V4);
}

fn after(table: &Table, changes: &[Change]) -> Table {
    let mut table = table.clone();
    for change in changes {
        table.apply(change).unwrap_or_else(|refusal| panic!("{change}: {refusal}"));
    }
    table
}

proptest! {
    #[test]
    fn a_request_reads_back_as_itself(request in values::request(), family: u16, sequence: u32) {
        let envelope = Envelope { family, flags: 4, sequence };
        let mut bytes = Vec::new();
        request.emit(envelope, &mut bytes);
        prop_assert_eq!(bytes.len() % 4, 0);
        let (read, same) = Request::parse(&bytes).unwrap();
        prop_assert_eq!(same, request);
        prop_assert_eq!((read.family, read.sequence), (family, sequence));
    }

    #[test]
    fn two_requests_in_a_row_keep_apart(a in values::request(), b in values::request()) {
        let mut bytes = Vec::new();
        for (sequence, request) in [(1, &a), (2, &b)] {
            request.emit(Envelope { family: 0x23, flags: 0, sequence }, &mut bytes);
        }
        let sequences: Vec<u32> = messages(&bytes).map(|m| m.unwrap().sequence).collect();
        prop_assert_eq!(sequences, [1, 2]);
    }

    #[test]
    fn what_is_added_is_observed(key in values::service_key(), d in values::destination_key(), value in values::destination()) {
        let mut bytes = Vec::new();
        Request::NewDestination(key, d, value).emit(Envelope { family: 0x23, flags: 0, sequence: 1 }, &mut bytes);
        let message = messages(&bytes).next().unwrap().unwrap();
        let Body::Family { attributes, .. } = message.body else { panic!("{message:?}") };
        let observed = ObservedDestination::parse(attributes, key.family()).unwrap();
        prop_assert_eq!((observed.key, observed.destination), (d, value));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_captures_do_not_panic(
        pick: prop::sample::Index,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut: prop::sample::Index,
    ) {
        let datagrams: Vec<Vec<u8>> =
            ["list", "info", "daemon-list", "timeouts-get", "refused-service-exists", "destination-gue"]
                .into_iter()
                .flat_map(|name| capture::sent(name).into_iter().chain(capture::received(name)))
                .collect();
        let mut bytes = pick.get(&datagrams).clone();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        read_all(&bytes);
        bytes.truncate(cut.index(bytes.len() + 1));
        read_all(&bytes);
    }

    #[test]
    fn arbitrary_lines_do_not_panic(line in "\\PC{0,120}", words in "[A-F0-9: ]{0,120}") {
        let _ = connections::parse_line(&line);
        let _ = connections::parse_line(&format!("TCP {words}"));
    }

    #[test]
    fn a_plan_leads_to_what_is_wanted(a in values::table(), b in values::table()) {
        let changes = plan(&a, &b);
        prop_assert_eq!(after(&a, &changes).normalized(), b.clone().normalized());
        prop_assert!(plan(&after(&a, &changes), &b).is_empty());
    }

    #[test]
    fn what_is_equal_needs_no_plan(a in values::table()) {
        prop_assert!(plan(&a, &a).is_empty());
        prop_assert!(plan(&a, &a.clone().normalized()).is_empty());
    }

    #[test]
    fn an_inverse_leads_back(a in values::table(), b in values::table(), done: prop::sample::Index) {
        let changes = plan(&a, &b);
        prop_assert_eq!(&after(&after(&a, &changes), &inverse(&changes)), &a);
        // Also from half way.
        let done = &changes[..done.index(changes.len() + 1)];
        prop_assert_eq!(&after(&after(&a, done), &inverse(done)), &a);
    }

    #[test]
    fn a_plan_is_as_short_as_can_be(a in values::table(), b in values::table()) {
        let changes = plan(&a, &b);
        // Each object is touched once, and none both removed and added.
        let objects: BTreeSet<String> = changes.iter().map(object).collect();
        prop_assert_eq!(objects.len(), changes.len());
        // Additions, edits, removals: in that order.
        let phases: Vec<u8> = changes.iter().map(phase).collect();
        prop_assert!(phases.is_sorted(), "{:?}", phases);
    }

    #[test]
    fn the_kernel_comes_to_what_is_wanted(a in values::table(), b in values::table()) {
        let mut kernel = Fake::with(a.clone());
        let mut client = Client::with_transport(&mut kernel).unwrap();
        prop_assert_eq!(&client.observe().unwrap(), &a);
        client.apply(&plan(&a, &b)).unwrap();
        prop_assert_eq!(client.observe().unwrap().normalized(), b.normalized());
    }
}

fn object(change: &Change) -> String {
    let words = change.to_string();
    words.split_once(' ').unwrap().1.replace(" from ", " of ").replace(" to ", " of ")
}

fn phase(change: &Change) -> u8 {
    match change {
        Change::AddService { .. } => 0,
        Change::AddDestination { .. } => 1,
        Change::EditService { .. } | Change::EditDestination { .. } => 2,
        Change::RemoveDestination { .. } | Change::RemoveService { .. } => 3,
    }
}
