//! Named cases of RFC 9568 §6, each quoting its clause, with exact instants: one tick before, at, and after a deadline.

use super::*;

/// §6.4.1: "Set Active_Adver_Interval to Advertisement_Interval ... Set Active_Down_Timer to Active_Down_Interval", and
/// §6.4.2: "If the Active_Down_Timer fires".
#[test]
fn takes_over_at_active_down_interval_and_not_a_tick_earlier() {
    let mut router = backup(config());
    assert_eq!(router.poll_timeout(), Some(epoch() + DOWN));
    router.handle_timeout(Instant::from_nanos((epoch() + DOWN).as_nanos() - 1));
    assert_eq!((router.role(), drain(&mut router)), (Role::Backup, vec![]));
    router.handle_timeout(epoch() + DOWN);
    assert_eq!(router.role(), Role::Active);

    let mut router = backup(config());
    router.handle_timeout(epoch() + DOWN + TICK);
    assert_eq!(router.role(), Role::Active);
}

/// §6.4.2: "Set the Active_Down_Timer to Active_Down_Interval", from the reception of the packet, not from its handling.
#[test]
fn the_timer_runs_from_the_receive_timestamp() {
    let mut router = backup(config());
    let received = epoch() + INTERVAL;
    router.handle_advert(heard(HIGHER, claim(210)), received);
    router.handle_timeout(received + INTERVAL * 2);
    assert_eq!(router.poll_timeout(), Some(received + DOWN));
    // A packet that waited in a queue must not move the deadline past its own reception.
    router.handle_advert(heard(HIGHER, claim(210)), received + INTERVAL);
    assert_eq!(router.poll_timeout(), Some(received + INTERVAL + DOWN));
}

/// §6.4.2: "If the Priority in the ADVERTISEMENT is 0, then set the Active_Down_Timer to Skew_Time".
#[test]
fn priority_0_hands_over_within_skew() {
    let mut router = backup(config());
    let active = epoch() + INTERVAL;
    router.handle_advert(heard(HIGHER, claim(210)), active);
    let resigned = active + Duration::from_millis(1);
    router.handle_advert(heard(HIGHER, AdvertPriority::Resign), resigned);
    router.handle_timeout(Instant::from_nanos((resigned + SKEW).as_nanos() - 1));
    assert_eq!(router.role(), Role::Backup);
    router.handle_timeout(resigned + SKEW);
    assert_eq!(router.last_transition().unwrap().why, Why::Resigned(HIGHER));
    assert_eq!(router.role(), Role::Active);
}

/// §6.4.2: "Set Active_Adver_Interval to Max Advertise Interval contained in the ADVERTISEMENT", and with it Skew_Time and
/// Active_Down_Interval, which RFC 5798 forgot.
#[test]
fn the_interval_of_the_active_router_is_learned() {
    let mut router = backup(config());
    let slow = AdvertInterval::centis(100).unwrap();
    let now = epoch() + INTERVAL;
    router.handle_advert(Heard { interval: slow, ..heard(HIGHER, claim(210)) }, now);
    assert_eq!(router.poll_timeout(), Some(now + DOWN * 10));
    router.handle_advert(Heard { interval: slow, ..heard(HIGHER, AdvertPriority::Resign) }, now);
    assert_eq!(router.poll_timeout(), Some(now + SKEW * 10));
    // Active, it advertises at its own interval again.
    let seen = run(&mut router, now + SKEW * 10 + INTERVAL * 3);
    assert_eq!(adverts(&seen).len(), 4);
    assert_eq!(router.advertisement(claim(200)).interval(), AdvertInterval::centis(10).unwrap());
}

/// §6.4.2 with an adopted interval at a step down: §6.4.3 "Set Active_Adver_Interval to Max Advertise Interval".
#[test]
fn the_interval_is_learned_at_a_step_down_too() {
    let (mut router, now) = active(config());
    let fast = AdvertInterval::centis(1).unwrap();
    router.handle_advert(Heard { interval: fast, ..heard(LOWER, claim(201)) }, now);
    assert_eq!(router.poll_timeout(), Some(now + fast.active_down(priority(200))));
}

/// §6.4.2: "If Preempt_Mode is True and Priority ... less than the local Priority: Discard": the timer runs on.
#[test]
fn preemption_takes_over_from_a_lower_router_in_spite_of_its_adverts() {
    let mut router = backup(Config { preempt: Preempt::On { delay: Duration::ZERO }, ..config() });
    let mut now = epoch();
    while now < epoch() + DOWN {
        router.handle_advert(heard(LOWER, claim(100)), now);
        now = now + INTERVAL / 4;
    }
    router.handle_timeout(epoch() + DOWN);
    assert_eq!(router.last_transition().unwrap().why, Why::Preempted(LOWER));
}

/// §6.1 Preempt_Mode False: "prohibits preemption"; the box that returns stays backup.
#[test]
fn without_preemption_a_lower_active_router_stays() {
    let mut router = backup(config());
    let mut now = epoch();
    for _ in 0..100 {
        router.handle_advert(heard(LOWER, claim(1)), now);
        now = now + INTERVAL;
        router.handle_timeout(now);
    }
    assert_eq!((router.role(), drain(&mut router)), (Role::Backup, vec![]));
}

/// §6.1: "the router that owns the IPvX address associated with the Virtual Router always preempts, independent of the
/// setting of this flag".
#[test]
fn the_owner_preempts_without_preemption() {
    let owner = Config { priority: Priority::OWNER, ..config() };
    let (mut router, now) = active(owner);
    router.handle_advert(heard(HIGHER, AdvertPriority::Claim(Priority::OWNER)), now);
    assert_eq!(router.role(), Role::Backup, "two owners: the higher address");
    let down = router.poll_timeout().unwrap();
    router.handle_advert(heard(LOWER, claim(254)), now + INTERVAL);
    assert_eq!(router.poll_timeout(), Some(down), "discarded");
}

/// §6.4.3: the address decides in Active only; a backup follows an equal priority whatever its address.
#[test]
fn addresses_are_compared_as_unsigned_integers_and_only_while_active() {
    for (source, role) in [(LOWER, Role::Active), (OWN, Role::Active), (HIGHER, Role::Backup)] {
        let (mut router, now) = active(config());
        router.handle_advert(heard(source, claim(200)), now);
        assert_eq!(router.role(), role, "{source}");
    }
    // 200.0.0.1 is negative as a signed integer.
    let (mut router, now) = active(config());
    router.handle_advert(heard(IpAddr::from([200, 0, 0, 1]), claim(200)), now);
    assert_eq!(router.role(), Role::Backup);
}

/// §6.4.3: "Send an ADVERTISEMENT immediately to assert the Active state", new in RFC 9568.
#[test]
fn a_lower_advert_is_answered_at_once() {
    let (mut router, now) = active(config());
    router.handle_advert(heard(HIGHER, claim(199)), now);
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(200)), Effect::Announce]);
    assert_eq!(router.poll_timeout(), Some(now + INTERVAL), "Adver_Timer was reset");
}

/// §6.4.3: "When the Adver_Timer fires: Send an ADVERTISEMENT, Reset the Adver_Timer to Advertisement_Interval".
#[test]
fn adverts_keep_their_rhythm_even_when_timeouts_come_late() {
    let (mut router, _) = active(config());
    let first = router.poll_timeout().unwrap();
    let late = Duration::from_millis(30);
    for number in 0..10 {
        let due = first + INTERVAL * number;
        assert_eq!(router.poll_timeout(), Some(due));
        router.handle_timeout(Instant::from_nanos(due.as_nanos() - 1));
        assert_eq!(drain(&mut router), []);
        router.handle_timeout(due + late);
        assert_eq!(drain(&mut router), [Effect::Advertise(claim(200))]);
    }
    assert_eq!(router.stats().late_max, late);
}

/// §6.4.1 and §8.1.2, §8.2.2: no announcement before the addresses are there. The effects come in this order, and the
/// advertisement first: it stops the other backups.
#[test]
fn the_order_of_a_take_over() {
    let mut router = backup(config());
    router.handle_timeout(epoch() + DOWN);
    let [Effect::Advertise(_), Effect::TakeAddresses, Effect::Announce, Effect::Transition(_)] = drain(&mut router)[..]
    else {
        panic!("another order");
    };
}

/// RFC 3768 §6.4.2 with version 2's skew of 256ths of a second, and its interval that is configured, not learned.
#[test]
fn version_2_counts_in_seconds() {
    let identity = Identity { protocol: Protocol::V2, ..identity() };
    let second = AdvertInterval::seconds(1).unwrap();
    let mut router = Router::new(identity, Config { interval: second, ..config() }).unwrap();
    router.handle_source(Some(OWN), epoch());
    router.handle_link(true, epoch());
    router.start(false, epoch());
    let skew = Duration::from_nanos(218_750_000);
    assert_eq!(router.poll_timeout(), Some(epoch() + Duration::from_secs(3) + skew));
    drain(&mut router);
    router.handle_advert(Heard { interval: second, ..heard(HIGHER, AdvertPriority::Resign) }, epoch());
    assert_eq!(router.poll_timeout(), Some(epoch() + skew));
    let three = Config { interval: AdvertInterval::seconds(3).unwrap(), ..router.config().clone() };
    router.set_config(three, epoch()).unwrap();
    router.handle_advert(Heard { interval: second, ..heard(HIGHER, AdvertPriority::Resign) }, epoch());
    assert_eq!(router.poll_timeout(), Some(epoch() + skew), "the skew does not scale");
}

/// §5.2.4, §6.4.3: a priority that tracking lowered is what is advertised and compared.
#[test]
fn the_lowered_priority_is_the_one_that_counts() {
    let (mut router, now) = active(config());
    router.handle_tracking(Tracking { failed: false, penalty: 50 }, now);
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(150))], "others hear of it at once");
    router.handle_advert(heard(LOWER, claim(160)), now + INTERVAL);
    assert_eq!(router.last_transition().unwrap().why, Why::Higher(LOWER, priority(160)));
    assert_eq!(router.poll_timeout().unwrap().since(now + INTERVAL), INTERVAL * 3 + INTERVAL * 106 / 256);
}

/// §6.4.2 and §6.4.3 Shutdown; §5.2.4: priority 0 for a quick hand-over.
#[test]
fn a_stopped_router_is_silent_until_it_is_started_again() {
    let (mut router, now) = active(config());
    router.shutdown(now);
    drain(&mut router);
    router.handle_advert(heard(LOWER, AdvertPriority::Resign), now);
    router.handle_link(false, now);
    router.handle_link(true, now);
    assert_eq!((router.role(), router.poll_timeout(), drain(&mut router)), (Role::Initialize, None, vec![]));
    router.start(false, now);
    assert_eq!(router.role(), Role::Backup);
}
