//! The client against a kernel that loses, cuts and forges answers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use ipvs::socket::Transport;
use ipvs::wire::Request;
use ipvs::{
    Change, Client, Destination, DestinationKey, Entry, Error, Netmask, Persistence, Refusal, ReplyError, Service,
    ServiceKey, Table, Thresholds, plan,
};
use support::fake::{Fake, Fault};

fn key(n: u16) -> ServiceKey {
    ServiceKey::tcp(format!("192.0.2.1:{n}").parse().unwrap())
}

fn server(n: u8) -> DestinationKey {
    DestinationKey { address: [10, 0, 0, n].into(), port: 80 }
}

fn service(scheduler: &str) -> Service {
    Service::new(scheduler.parse().unwrap())
}

/// Services 1 to `services`, with servers 1 to `servers` each.
fn table(services: u16, servers: u8) -> Table {
    let destinations = (1..=servers).map(|n| (server(n), Destination::masquerade(n.into())));
    let entry = Entry { service: service("rr"), destinations: destinations.collect() };
    Table { services: (1..=services).map(|n| (key(n), entry.clone())).collect() }
}

/// Runs with a client of a kernel, and returns what that gave and the kernel.
fn with<R>(mut kernel: Fake, run: impl FnOnce(&mut Client<&mut Fake>) -> R) -> (R, Fake) {
    let result = run(&mut Client::with_transport(&mut kernel).unwrap());
    (result, kernel)
}

fn reply_error(error: &Error) -> ReplyError {
    match error {
        Error::Reply { source, .. } => *source,
        other => panic!("{other}"),
    }
}

#[test]
fn a_kernel_without_ipvs_is_said_to_be_one() {
    let mut kernel = Fake::default();
    kernel.absent = true;
    assert!(matches!(Client::with_transport(&mut kernel), Err(Error::NoIpvs)));
}

#[test]
fn many_changes_are_few_sends() {
    let wanted = table(100, 10);
    let changes = plan(&Table::default(), &wanted);
    assert_eq!(changes.len(), 1100);
    let (result, kernel) = with(Fake::default(), |client| client.apply(&changes));
    result.unwrap();
    assert_eq!(kernel.table, wanted);
    // The family's number, then 1100 / 256 rounded up; an answer to each.
    assert_eq!((kernel.sends, kernel.messages, kernel.receives), (1 + 5, 1 + 1100, 1 + 5));
}

#[test]
fn nothing_to_do_is_nothing_sent() {
    let wanted = table(3, 2);
    let ((), kernel) = with(Fake::with(wanted.clone()), |client| {
        let actual = client.observe().unwrap();
        client.apply(&plan(&actual, &wanted)).unwrap();
    });
    // The family's number, the services, the destinations of each.
    assert_eq!((kernel.sends, kernel.messages), (1 + 1 + 3, 1 + 1 + 3));
}

#[test]
fn of_ten_thousand_servers_one_weight_is_one_message_and_no_change_is_none() {
    let old = table(1000, 10);
    let mut wanted = old.clone();
    wanted.services.get_mut(&key(777)).unwrap().destinations.get_mut(&server(3)).unwrap().weight = 99;
    let mut kernel = Fake::with(old);
    // Those of a look: the services, and the destinations of each.
    let look = 1 + 1000;
    let mut client = Client::with_transport(&mut kernel).unwrap();
    for _ in 0..2 {
        let actual = client.observe().unwrap();
        client.apply(&plan(&actual, &wanted)).unwrap();
    }
    drop(client);
    assert_eq!((kernel.table, kernel.messages), (wanted, 1 + look + 1 + look));
}

#[test]
fn a_refusal_is_told_from_the_rest_of_its_send() {
    let mut wanted = table(2, 2);
    let entry = wanted.services.get_mut(&key(2)).unwrap();
    entry.destinations.get_mut(&server(1)).unwrap().thresholds = Thresholds { upper: 1, lower: 2 };
    let changes = plan(&Table::default(), &wanted);
    let (error, mut kernel) = with(Fake::default(), |client| client.apply(&changes).unwrap_err());
    let text = "add destination 10.0.0.1:80 to 192.0.2.1:2/tcp: a weight or a threshold is out of range";
    assert_eq!(error.to_string(), text);
    // Services 1 and 2, then the servers of 1, then those of 2.
    assert_eq!(error.failed[0].0, 4);
    assert_eq!(error.done, [0, 1, 2, 3, 5]);
    assert_eq!(kernel.table.services[&key(2)].destinations.len(), 1);

    let undo = error.undo(&changes);
    kernel.faults.clear();
    let (result, kernel) = with(kernel, |client| client.apply(&undo));
    result.unwrap();
    assert_eq!(kernel.table, Table::default());
}

#[test]
fn a_refusal_stops_what_was_not_sent_yet() {
    let mut changes: Vec<Change> = plan(&Table::default(), &table(600, 0));
    changes[300] = Change::AddService { key: key(5), service: service("rr") };
    let (error, kernel) = with(Fake::default(), |client| client.apply(&changes).unwrap_err());
    assert_eq!(error.first().refusal(), Some(Refusal::ServiceExists));
    assert_eq!(error.failed.len(), 1);
    assert_eq!(error.failed[0].0, 300);
    // The send in which it was is done to its end, the next is not begun.
    assert_eq!((error.done.len(), kernel.table.services.len()), (511, 511));
}

#[test]
fn what_needs_a_refused_one_is_refused_too() {
    let mut wanted = table(1, 3);
    wanted.services.get_mut(&key(1)).unwrap().service = service("nosuch");
    let changes = plan(&Table::default(), &wanted);
    let (error, kernel) = with(Fake::default(), |client| client.apply(&changes).unwrap_err());
    let refusals: Vec<Refusal> = error.failed.iter().map(|(_, error)| error.refusal().unwrap()).collect();
    assert_eq!(refusals, [Refusal::NoSchedulerOrEngine, Refusal::NoService, Refusal::NoService, Refusal::NoService]);
    assert_eq!((error.done, kernel.table), (vec![], Table::default()));
    let error = error.failed[0].1.to_string();
    assert_eq!(error, "add service 192.0.2.1:1/tcp: the scheduler or the persistence engine is not in the kernel");
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    // Answers: of the list of 2 services a datagram and its end, then twice the same for destinations.
    // Linux drops nothing without a word, but an end that never comes must not hang.
    let faults = [(Fault::Overrun, 0..6), (Fault::Interrupted, 0..6), (Fault::Lost, 1..2), (Fault::Lost, 5..6)];
    for (fault, places) in faults {
        for place in places {
            let kernel = Fake::faulty(table(2, 2), &[(place, fault)]);
            let (seen, kernel) = with(kernel, |client| client.observe());
            assert_eq!(seen.unwrap(), table(2, 2), "{fault:?} of answer {place}");
            assert_eq!(kernel.reopened, usize::from(fault != Fault::Interrupted), "{fault:?} of answer {place}");
        }
    }
}

#[test]
fn a_signal_is_nothing() {
    let kernel = Fake::faulty(table(2, 2), &[(0, Fault::Signal), (3, Fault::Signal)]);
    let (seen, kernel) = with(kernel, |client| client.observe());
    assert_eq!((seen.unwrap(), kernel.reopened), (table(2, 2), 0));
}

#[test]
fn a_question_is_not_asked_for_ever() {
    let faults: Vec<(usize, Fault)> = (0..20).map(|place| (place, Fault::Lost)).collect();
    let (error, kernel) = with(Fake::faulty(table(1, 1), &faults), |client| client.services().unwrap_err());
    assert_eq!(reply_error(&error), ReplyError::Lost);
    assert_eq!(
        error.to_string(),
        "list services: the kernel's answer cannot be trusted: no answer came, or it was lost"
    );
    assert_eq!(kernel.sends, 1 + 3);
}

#[test]
fn a_lie_is_an_error_and_the_next_question_is_not_answered_by_it() {
    for (fault, is_expected) in [
        (Fault::Cut, (|e| matches!(e, ReplyError::Parse(_))) as fn(ReplyError) -> bool),
        (Fault::Huge, |e| matches!(e, ReplyError::Truncated { room: 16384, .. })),
        (Fault::WrongSequence, |e| matches!(e, ReplyError::Sequence { .. })),
        (Fault::WrongFamily, |e| e == ReplyError::Unexpected(0x77)),
    ] {
        let kernel = Fake::faulty(table(2, 2), &[(0, fault)]);
        let ((), kernel) = with(kernel, |client| {
            let error = reply_error(&client.observe().unwrap_err());
            assert!(is_expected(error), "{fault:?}: {error}");
            assert_eq!(client.observe().unwrap(), table(2, 2), "{fault:?}");
        });
        assert_eq!(kernel.reopened, 1, "{fault:?}");
    }
}

#[test]
fn a_batch_whose_answer_is_lost_is_found_to_be_done() {
    let wanted = table(20, 3);
    for fault in [Fault::Lost, Fault::Overrun] {
        let changes = plan(&Table::default(), &wanted);
        let (result, kernel) = with(Fake::faulty(Table::default(), &[(0, fault)]), |client| client.apply(&changes));
        result.unwrap();
        assert_eq!(kernel.table, wanted, "{fault:?}");

        let changes = plan(&wanted, &table(10, 1));
        let (result, kernel) = with(Fake::faulty(wanted.clone(), &[(0, fault)]), |client| client.apply(&changes));
        result.unwrap();
        assert_eq!(kernel.table, table(10, 1), "{fault:?}");
    }
}

#[test]
fn a_refusal_that_is_lost_is_found() {
    let mut wanted = table(3, 1);
    wanted.services.get_mut(&key(2)).unwrap().service = service("nosuch");
    let changes = plan(&Table::default(), &wanted);
    let (error, kernel) =
        with(Fake::faulty(Table::default(), &[(0, Fault::Overrun)]), |client| client.apply(&changes).unwrap_err());
    assert_eq!(error.first().refusal(), Some(Refusal::NoSchedulerOrEngine));
    assert_eq!(error.failed.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(error.done, [0, 2, 3, 5]);
    assert_eq!(kernel.table.services.len(), 2);
}

#[test]
fn a_batch_whose_answer_lies_is_not_said_to_be_done() {
    for fault in [Fault::Cut, Fault::Huge, Fault::WrongSequence, Fault::WrongFamily] {
        let changes = plan(&Table::default(), &table(300, 0));
        // The first batch is answered well.
        let kernel = Fake::faulty(Table::default(), &[(1, fault)]);
        let (error, _) = with(kernel, |client| client.apply(&changes).unwrap_err());
        assert!(matches!(error.first(), Error::Reply { .. }), "{fault:?}: {error}");
        assert_eq!((error.failed[0].0, error.done.len()), (256, 256), "{fault:?}");
    }
}

#[test]
fn a_batch_gives_up_when_nothing_is_answered() {
    let faults: Vec<(usize, Fault)> = (0..1000).map(|place| (place, Fault::Lost)).collect();
    let changes = plan(&Table::default(), &table(200, 0));
    let (error, kernel) = with(Fake::faulty(Table::default(), &faults), |client| client.apply(&changes).unwrap_err());
    assert_eq!(reply_error(error.first()), ReplyError::Lost);
    assert_eq!(error.done, [0usize; 0]);
    // The family, the batch, and its first message twice.
    assert_eq!(kernel.sends, 1 + 1 + 2);
}

#[test]
fn a_service_that_vanishes_while_listed_is_left_out() {
    let mut kernel = Fake::with(table(2, 2));
    kernel.vanish_after_list = true;
    let (seen, _) = with(kernel, |client| client.observe());
    assert_eq!(seen.unwrap(), Table::default());
    let mut kernel = Fake::with(table(2, 2));
    kernel.vanish_after_list = true;
    let (seen, _) = with(kernel, |client| client.statistics());
    assert_eq!(seen.unwrap(), []);
}

#[test]
fn destinations_of_no_service_are_an_error_and_of_an_empty_one_none() {
    let ((), _) = with(Fake::with(table(1, 0)), |client| {
        assert_eq!(client.destinations(key(1)).unwrap(), []);
        let error = client.destinations(key(2)).unwrap_err();
        assert_eq!(error.to_string(), "read service 192.0.2.1:2/tcp: no such service");
    });
}

#[test]
fn a_netmask_of_the_other_family_never_reaches_the_kernel() {
    let persistence = Some(Persistence { timeout: 60, netmask: Netmask::V6(64) });
    let bad = Service { persistence, ..service("rr") };
    let (error, kernel) =
        with(Fake::default(), |client| client.request(&Request::NewService(key(1), bad)).unwrap_err());
    assert!(matches!(error, Error::Netmask { .. }), "{error}");
    assert_eq!(kernel.sends, 1);
    let good = Request::NewService(key(2), service("rr"));
    let (error, kernel) =
        with(Fake::default(), |client| client.execute(&[good, Request::NewService(key(1), bad)]).unwrap_err());
    assert_eq!((error.failed[0].0, error.done.len(), kernel.sends), (1, 0, 1));
}

#[test]
fn a_socket_that_fails_is_said_to() {
    struct Broken<'a>(&'a mut Fake, bool);
    impl Transport for Broken<'_> {
        fn send(&mut self, datagram: &[u8]) -> std::io::Result<()> {
            if std::mem::replace(&mut self.1, true) {
                return Err(std::io::Error::from_raw_os_error(libc::ECONNREFUSED));
            }
            self.0.send(datagram)
        }
        fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.receive(buffer)
        }
        fn reopen(&mut self) -> std::io::Result<()> {
            self.0.reopen()
        }
    }
    let mut kernel = Fake::default();
    let mut client = Client::with_transport(Broken(&mut kernel, false)).unwrap();
    let error = client.flush().unwrap_err();
    assert!(matches!(error, Error::Socket { .. }), "{error}");
    assert!(error.to_string().starts_with("remove all services: netlink: Connection refused"), "{error}");
}
