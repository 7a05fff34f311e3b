//! A clock of their own, and servers that say anything.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const PORTS: Range<u16> = 40_000..40_016;

fn asked(ports: Range<u16>) -> Asked {
    Asked { ports, common: 0xabc0_0000 }
}

fn ends(server: u8) -> (IpAddr, SocketAddr) {
    ([10, 0, 0, 1].into(), ([10, 0, 1, server], 80).into())
}

fn answer(syn: &Syn, says: Says) -> Answer {
    Answer { server: syn.server, port: syn.port, isn: syn.isn, says }
}

#[test]
fn an_answer_ends_it_once() {
    let mut flights = Flights::new(asked(PORTS));
    for (says, end) in
        [(Says::Open, End::Open(20 * MS)), (Says::Refused, End::Refused), (Says::Unreachable(113), End::Failed(113))]
    {
        let syn = flights.begin(7, ends(1), 0, 1, S).expect("a port");
        let answer = answer(&syn, says);
        assert_eq!(flights.handle_answer(&answer, S + 20 * MS), Some((7, end)));
        assert_eq!(flights.handle_answer(&answer, S + 20 * MS), None, "said twice");
        assert_eq!((flights.poll_timeout(), flights.poll_due(10 * S)), (None, None));
    }
}

#[test]
fn silence_is_met_with_the_same_syn_and_then_with_patience() {
    let mut flights = Flights::new(asked(PORTS));
    let syn = flights.begin(7, ends(1), 0, 5, S).expect("a port");
    // As the kernel: 1 s after the first, 2 s after the second; the next would be too late.
    for at in [2, 4] {
        assert_eq!(flights.poll_timeout(), Some(at * S));
        assert_eq!(flights.poll_due(at * S - MS), None);
        assert_eq!(flights.poll_due(at * S), Some(Ok(syn)));
        assert_eq!(flights.poll_due(at * S), None);
    }
    assert_eq!(flights.poll_timeout(), Some(6 * S));
    assert_eq!(flights.poll_due(6 * S), Some(Err((7, End::Silent { timeout_s: 5 }))));
    assert_eq!(flights.handle_answer(&answer(&syn, Says::Open), 6 * S), None, "too late");
}

#[test]
fn what_has_not_left_is_sent_soon_and_ends_in_time() {
    let mut flights = Flights::new(asked(PORTS));
    let syn = flights.begin(7, ends(1), 0, 1, S).expect("a port");
    flights.handle_congestion(&syn, S);
    assert_eq!(flights.poll_due(S + 10 * MS), Some(Ok(syn)));
    flights.handle_congestion(&syn, 2 * S - 5 * MS);
    assert_eq!(flights.poll_due(2 * S), Some(Err((7, End::Silent { timeout_s: 1 }))));
    let syn = flights.begin(8, ends(1), 0, 1, S).expect("a port");
    let again = flights.handle_source(&syn, [10, 0, 0, 9].into()).expect("it is under way");
    assert_eq!((again.source, again.isn, again.port), ([10, 0, 0, 9].into(), syn.isn, syn.port));
    assert_eq!(flights.handle_error(&again, 101), Some((8, End::Failed(101))));
}

#[test]
fn what_cannot_be_sent_again_is_a_loss_and_no_end() {
    let mut flights = Flights::new(asked(PORTS));
    let syn = flights.begin(7, ends(1), 0, 3, S).expect("a port");
    assert_eq!(flights.poll_due(S * 2), Some(Ok(syn)));
    assert_eq!(flights.handle_error(&syn, 101), None);
    assert_eq!(flights.poll_due(S * 4), Some(Err((7, End::Silent { timeout_s: 3 }))));
}

#[test]
fn a_server_is_asked_from_each_port_in_turn_and_from_none_twice_at_once() {
    let mut flights = Flights::new(asked(PORTS));
    let begun: Vec<Syn> = (0..17).filter_map(|n| flights.begin(n, ends(1), 5, 1, S)).collect();
    let ports: BTreeSet<u16> = begun.iter().map(|syn| syn.port).collect();
    assert_eq!((begun.len(), ports), (16, PORTS.collect()));
    assert_eq!(begun[0].port, 40_005);
    assert!(flights.begin(17, ends(2), 5, 1, S).is_some(), "another server has all of them");
    flights.handle_answer(&answer(&begun[3], Says::Open), S);
    assert_eq!(flights.begin(18, ends(1), 5, 1, S).map(|syn| syn.port), Some(begun[3].port));
}

#[test]
fn what_nobody_waits_for_is_forgotten_and_its_port_is_free() {
    let mut flights = Flights::new(asked(PORTS));
    let gone: Vec<Syn> = (0..16).filter_map(|n| flights.begin(n, ends(1), 0, 1, S)).collect();
    let syn = flights.begin(16, ends(2), 0, 1, S).expect("a port");
    flights.cancel(&(0..16).collect());
    assert_eq!(flights.handle_answer(&answer(&gone[0], Says::Open), S), None);
    assert_eq!((0..16).filter_map(|n| flights.begin(n, ends(1), 0, 1, S)).count(), 16);
    assert_eq!(flights.handle_answer(&answer(&syn, Says::Open), S), Some((16, End::Open(Duration::ZERO))));
}

#[test]
fn all_go_on_from_other_ports() {
    let mut flights = Flights::new(asked(PORTS));
    let before: Vec<Syn> = (0..8).filter_map(|n| flights.begin(n, ends(1), 0, 1, S)).collect();
    let after = flights.move_to(asked(50_000..50_016), S + 500 * MS);
    assert_eq!(after.len(), 8);
    assert!(after.iter().all(|syn| syn.port >= 50_000 && syn.server == before[0].server));
    assert_eq!(flights.handle_answer(&answer(&before[0], Says::Open), S + 600 * MS), None);
    let ends: BTreeSet<u64> =
        after.iter().filter_map(|syn| flights.handle_answer(&answer(syn, Says::Open), S)).map(|(n, _)| n).collect();
    assert_eq!(ends, (0..8).collect());
}

#[test]
fn every_number_begins_alike_and_so_does_what_acknowledges_it() {
    let mut flights = Flights::new(asked(PORTS));
    let numbers: BTreeSet<u32> = (0..10_000).map(|_| flights.draw()).collect();
    assert!(numbers.iter().all(|isn| isn & COMMON == 0xabc0_0000 && (isn + 1) & COMMON == 0xabc0_0000));
    assert!(numbers.len() > 9_900, "of a million");
}

#[derive(Debug, Clone)]
enum Event {
    Begin(u8, u16, u16),
    Forged(usize, u32, u16, u8),
    Answered(usize),
    Later(u16),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0u8..4, any::<u16>(), 1u16..4).prop_map(|(server, turn, timeout)| Event::Begin(server, turn, timeout)),
        (0usize..100, any::<u32>(), any::<u16>(), any::<u8>())
            .prop_map(|(n, isn, port, s)| Event::Forged(n, isn, port, s)),
        (0usize..100).prop_map(Event::Answered),
        (0u16..2_000).prop_map(Event::Later),
    ];
    proptest::collection::vec(event, 0..100)
}

proptest! {
    #[test]
    fn each_ends_once_in_time_and_by_its_own_answer_alone(events in events()) {
        let mut flights = Flights::new(asked(PORTS));
        let (mut now, mut open) = (S, BTreeMap::<u64, (Syn, Time)>::new());
        for (number, event) in (0u64..).zip(events) {
            let nth = |n: usize| open.values().nth(n % open.len().max(1)).map(|(syn, _)| *syn);
            match event {
                Event::Begin(server, turn, timeout_s) => {
                    if let Some(syn) = flights.begin(number, ends(server), turn, timeout_s, now) {
                        open.insert(number, (syn, now + S * u32::from(timeout_s)));
                    }
                }
                Event::Forged(n, isn, port, server) => {
                    if let Some(syn) = nth(n) {
                        let forged = Answer { isn: syn.isn ^ isn, port: syn.port ^ port, ..answer(&syn, Says::Open) };
                        let forged = Answer { server: (ends(server).1.ip(), 80).into(), ..forged };
                        if forged != answer(&syn, Says::Open) {
                            prop_assert_eq!(flights.handle_answer(&forged, now), None);
                        }
                    }
                }
                Event::Answered(n) => {
                    if let Some(syn) = nth(n) {
                        let ended = flights.handle_answer(&answer(&syn, Says::Refused), now);
                        let (number, end) = ended.expect("its own answer");
                        prop_assert_eq!((open.remove(&number).map(|(syn, _)| syn), end), (Some(syn), End::Refused));
                    }
                }
                Event::Later(ms) => {
                    now += MS * u32::from(ms);
                    while let Some(due) = flights.poll_due(now) {
                        if let Err((number, _)) = due {
                            let (_, deadline) = open.remove(&number).expect("it was under way");
                            prop_assert!(deadline <= now);
                        }
                    }
                    prop_assert!(open.values().all(|(_, deadline)| *deadline > now));
                }
            }
            prop_assert_eq!(flights.flights.len(), open.len());
            prop_assert_eq!(flights.timers.len(), open.len());
            prop_assert_eq!(flights.busy.len(), open.len());
        }
    }
}
