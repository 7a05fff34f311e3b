//! Tables of pools, and laws over any verdicts.

use proptest::prelude::*;
use yoke_config::model::Config;

use super::*;

const S: Duration = Duration::from_secs(1);

/// A virtual server of tcp with real servers 10.0.0.1, .2, ... of these weights, and more lines.
fn server(weights: &[u16], lines: &str) -> VirtualServer {
    let mut text = format!("virtual-server a\n virtual 192.0.2.10 tcp 80\n{lines}");
    for (n, weight) in (1..).zip(weights) {
        text.push_str(&format!(" real-server 10.0.0.{n} 80\n  weight {weight}\n"));
    }
    let (tree, rejected) = yoke_config::tree::load(&text);
    assert_eq!(rejected, [], "{text}");
    let config = Config::try_from(&tree).expect("valid");
    config.virtual_servers.into_values().next().expect("one")
}

fn last(key: Key) -> usize {
    match key.0 {
        IpAddr::V4(address) => usize::from(address.octets()[3]) - 1,
        IpAddr::V6(_) => panic!("an IPv4 address"),
    }
}

/// What the letters say of the servers: U up, D down, d down and never up, ? unknown, - not judged.
fn verdicts(letters: &str) -> impl Fn(Key) -> Option<Verdict> {
    let letters: Vec<char> = letters.chars().collect();
    move |key| {
        let (state, proven) = match letters[last(key)] {
            'U' => (State::Up, true),
            'D' => (State::Down, true),
            'd' => (State::Down, false),
            '?' => (State::Unknown, false),
            _ => return None,
        };
        Some(Verdict { state, since: Time::ZERO, proven })
    }
}

/// A pool of which no more is known than its quorum.
fn had(quorum: Option<bool>) -> Pool {
    Pool { quorum, ..Pool::default() }
}

/// The pool of a virtual server that needs nothing else of a configuration.
fn judge(server: &VirtualServer, verdict: &dyn Fn(Key) -> Option<Verdict>, quorum: Option<bool>, now: Time) -> Pool {
    super::judge(&Config::default(), server, verdict, &had(quorum), now)
}

/// Places as text: a weight, `i` inhibited, `x` out; then `S` for the sorry server, `O` for open.
fn show(pool: &Pool) -> String {
    let place = |place: &Place| match place {
        Place::In(weight) => weight.to_string(),
        Place::Inhibited => "i".to_owned(),
        Place::Out => "x".to_owned(),
    };
    let mut words: Vec<String> = pool.places.values().map(place).collect();
    words.extend(pool.sorry.map(|_| "S".to_owned()));
    words.extend(pool.open.then(|| "O".to_owned()));
    words.join(" ")
}

#[test]
fn the_table_of_pools() {
    const SORRY: &str = " sorry-server 10.0.0.99 80\n";
    let inhibit = " inhibit-on-failure\n";
    let open = " fail-open\n";
    let quorum = " quorum 3 hysteresis 1\n sorry-server 10.0.0.99 80\n";
    // Lines, verdicts, whether there was quorum; pool, whether there is quorum.
    let table: [(&str, &str, bool, &str, bool); 20] = [
        ("", "---", true, "1 2 3", true),
        ("", "UUU", true, "1 2 3", true),
        ("", "???", true, "x x x", false),
        ("", "UD?", true, "1 x x", true),
        (inhibit, "UDd", true, "1 i x", true),
        (inhibit, "DDD", true, "i i i", false),
        (SORRY, "UUD", true, "1 2 x", true),
        (SORRY, "DDD", true, "x x x S", false),
        (SORRY, "???", false, "x x x S", false),
        (SORRY, "-DD", true, "1 x x", true),
        (quorum, "UDD", true, "0 x x S", false),
        (quorum, "DUD", true, "x 2 x", true),
        (quorum, "DUD", false, "x 0 x S", false),
        (quorum, "DDU", false, "x x 0 S", false),
        (quorum, "UDU", false, "1 x 3", true),
        (" quorum 3\n", "UDD", true, "1 x x", false),
        (open, "DDD", true, "1 2 3 O", true),
        (open, "DDd", true, "1 2 x O", true),
        (open, "ddd", true, "x x x", false),
        (open, "DDU", true, "x x 3", true),
    ];
    for (lines, letters, had, places, quorum) in table {
        let pool = judge(&server(&[1, 2, 3], lines), &verdicts(letters), Some(had), 100 * S);
        assert_eq!((show(&pool).as_str(), pool.has_quorum()), (places, quorum), "{lines:?} {letters} {had}");
    }
}

#[test]
fn a_quorum_that_all_of_them_reach_comes_back() {
    let server = server(&[2, 2], " quorum 3 hysteresis 2\n sorry-server 10.0.0.99 80\n");
    for (letters, had, quorum) in [
        ("UU", None, true),
        ("UD", None, false),
        ("UD", Some(true), true),
        ("DD", Some(true), false),
        ("UD", Some(false), false),
        ("UU", Some(false), true),
    ] {
        assert_eq!(judge(&server, &verdicts(letters), had, S).has_quorum(), quorum, "{letters} {had:?}");
    }
}

#[test]
fn a_quorum_that_was_never_had_is_not_lost() {
    let server = server(&[1, 2, 3], " quorum 3 hysteresis 1\n");
    let begun = judge(&server, &verdicts("???"), None, S);
    assert_eq!(begun.quorum, None);
    let then = |before: &Pool, letters| super::judge(&Config::default(), &server, &verdicts(letters), before, S);
    let up = then(&begun, "??U");
    assert_eq!(up.quorum, Some(true), "3, and not 4, which it takes to come back");
    let lost = then(&up, "UDD");
    assert_eq!(
        (lost.quorum, then(&lost, "DDU").quorum, then(&lost, "UDU").quorum),
        (Some(false), Some(false), Some(true))
    );
}

#[test]
fn who_gets_no_new_clients_does_not_keep_a_pool_from_going_on() {
    let mut server = server(&[1, 2, 0], " fail-open\n");
    assert_eq!(show(&judge(&server, &verdicts("DDU"), Some(true), S)), "1 2 0 O");
    server.real_servers.values_mut().next().expect("three").drain = true;
    assert_eq!(show(&judge(&server, &verdicts("UDU"), Some(true), S)), "0 2 0 O");
    assert_eq!(show(&judge(&server, &verdicts("DUD"), Some(true), S)), "x 2 x");
    assert_eq!(show(&judge(&server, &verdicts("DdD"), Some(true), S)), "x x x", "nobody is left to go on with");
}

#[test]
fn a_mark_with_a_line_of_udp_is_inhibited_as_udp_is() {
    let judge = |lines: &str| {
        let text = format!(
            "{lines}virtual-server a\n virtual fwmark 7\n inhibit-on-failure\n real-server 10.0.0.1 any\n real-server 10.0.0.2 any\n"
        );
        let (tree, rejected) = yoke_config::tree::load(&text);
        assert_eq!(rejected, []);
        let config = Config::try_from(&tree).expect("valid");
        let server = config.virtual_servers.values().next().expect("one");
        show(&super::judge(&config, server, &verdicts("UD"), &had(Some(true)), S))
    };
    assert_eq!(judge("firewall-mark 7 192.0.2.0/24 tcp 80\nfirewall-mark 8 192.0.2.9/32 udp 53\n"), "1 i");
    assert_eq!(judge("firewall-mark 7 192.0.2.0/24 tcp 80\nfirewall-mark 7 192.0.2.0/24 udp 53\n"), "1 x");
}

#[test]
fn who_had_all_of_its_weight_is_given_no_less_for_one_that_is_older() {
    let server = server(&[100, 100], " slow-start 80\n");
    let up = |since: u32| Some(Verdict { state: State::Up, since: since * S, proven: true });
    let mut drained = server.clone();
    drained.real_servers.values_mut().next().expect("two").drain = true;
    let verdict = |key: Key| [up(0), up(100)][last(key)];
    let then = |server: &VirtualServer, before: &Pool, now: u32| {
        super::judge(&Config::default(), server, &verdict, before, now * S)
    };
    let alone = then(&drained, &Pool::default(), 100);
    assert_eq!(show(&alone), "0 100");
    let both = then(&server, &alone, 110);
    assert_eq!((show(&both).as_str(), both.next), ("100 100", None));
    // One that begins slowly goes on to, and one that was out begins so.
    let begun = then(&server, &Pool::default(), 120);
    assert_eq!(show(&begun), "100 25");
    assert_eq!(show(&then(&server, &begun, 140)), "100 50");
    let out = Pool { places: [((IpAddr::from([10, 0, 0, 2]), 80), Place::Out)].into(), ..Pool::default() };
    assert_eq!(show(&then(&server, &out, 120)), "100 25");
}

#[test]
fn a_drained_server_is_healthy_and_counts_nothing() {
    let mut server = server(&[5, 1], " quorum 2\n sorry-server 10.0.0.99 80\n");
    server.real_servers.values_mut().next().expect("two").drain = true;
    let pool = judge(&server, &verdicts("UU"), Some(true), S);
    assert_eq!((show(&pool).as_str(), pool.has_quorum()), ("0 0 S", false));
}

#[test]
fn over_udp_a_dead_server_is_out_even_when_inhibited() {
    let mut server = server(&[1, 1], " inhibit-on-failure\n");
    server.virtual_ = Virtual::Address(IpAddr::from([192, 0, 2, 10]), Transport::Udp, 53);
    assert_eq!(show(&judge(&server, &verdicts("UD"), Some(true), S)), "1 x");
}

#[test]
fn a_server_that_is_back_grows() {
    let server = server(&[100, 100], " slow-start 10\n");
    let verdict = |key: Key| {
        let since = if last(key) == 0 { Time::ZERO } else { 100 * S };
        Some(Verdict { state: State::Up, since, proven: true })
    };
    let table = [(100, "100 1"), (101, "100 10"), (105, "100 50"), (109, "100 90"), (110, "100 100"), (500, "100 100")];
    for (now, places) in table {
        let pool = judge(&server, &verdict, Some(true), now * S);
        assert_eq!(show(&pool), places, "{now}");
        assert_eq!(pool.next, (now < 110).then(|| (now + 1) * S), "{now}");
    }
    // All of them new: nobody would get less load for it.
    let pool =
        judge(&server, &|_| Some(Verdict { state: State::Up, since: 100 * S, proven: true }), Some(true), 103 * S);
    assert_eq!((show(&pool).as_str(), pool.next), ("100 100", None));
}

#[test]
fn who_comes_late_begins_slowly_though_nobody_is_up_for_long() {
    let server = server(&[100, 100, 100], " slow-start 80\n");
    let up = |since: u32| Some(Verdict { state: State::Up, since: since * S, proven: true });
    // Up at 0 s, with that one at 10 s, and at 40 s.
    let verdict = |key: Key| [up(0), up(10), up(40)][last(key)];
    let weights = |now: u32| show(&judge(&server, &verdict, Some(true), now * S));
    assert_eq!(weights(40), "100 100 1");
    assert_eq!(weights(60), "100 100 25");
    assert_eq!(weights(80), "100 100 50", "nobody is given less than before");
    assert_eq!(weights(120), "100 100 100");
}

proptest! {
    #[test]
    fn laws(
        letters in "[UDd?-]{1,6}", weights in proptest::collection::vec(0u16..9, 6), quorum in 1u16..8, hysteresis in 0u16..8,
        sorry: bool, inhibit: bool, open: bool, had: Option<bool>, slow in 0u16..9, now in 0u32..20,
    ) {
        let mut lines = format!(" quorum {quorum} hysteresis {}\n", hysteresis.min(quorum - 1));
        if sorry { lines.push_str(" sorry-server 10.0.0.99 80\n") }
        if inhibit { lines.push_str(" inhibit-on-failure\n") }
        if open { lines.push_str(" fail-open\n") }
        if slow > 0 { lines.push_str(&format!(" slow-start {slow}\n")) }
        let server = server(&weights[..letters.len()], &lines);
        let pool = judge(&server, &verdicts(&letters), had, now * S);
        prop_assert_eq!(pool.places.len(), letters.len());
        for (place, (letter, weight)) in pool.places.values().zip(letters.chars().zip(&weights)) {
            match place {
                // Never more than was asked for, and nothing for whom nobody has ever seen alive.
                Place::In(got) => prop_assert!(got <= weight && (matches!(letter, 'U' | '-') || letter == 'D' && pool.open)),
                Place::Inhibited => prop_assert!(inhibit && letter == 'D'),
                // A live one never loses its connections.
                Place::Out => prop_assert!(matches!(letter, 'D' | 'd' | '?')),
            }
        }
        prop_assert_eq!(pool.sorry.is_some(), sorry && !pool.has_quorum());
        let takes = |(letter, weight): (char, &u16)| matches!(letter, 'U' | '-') && *weight > 0;
        prop_assert!(!pool.open || (open && !letters.chars().zip(&weights).any(takes)));
        // Judged again with nothing changed, nothing changes.
        prop_assert_eq!(super::judge(&Config::default(), &server, &verdicts(&letters), &pool, now * S), pool.clone());
    }
}
