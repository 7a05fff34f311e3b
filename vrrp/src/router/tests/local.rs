//! Named cases of what the RFC leaves open: delays, faults, lateness, commands, coalescing, changes of the configuration.

use super::*;

const DELAY: Duration = Duration::from_secs(5);

fn delayed() -> Config {
    Config { preempt: Preempt::On { delay: DELAY }, ..config() }
}

/// Hears `priority` from `source` every interval from `start` until the role changes or `end`; when it changed.
fn hear_until(router: &mut Router, source: IpAddr, priority: u8, start: Instant, end: Instant) -> Option<Instant> {
    let role = router.role();
    let mut next = start;
    while next < end {
        if let Some(at) = router.poll_timeout().filter(|at| *at <= next) {
            router.handle_timeout(at);
            drain(router);
            if router.role() != role {
                return Some(at);
            }
        } else {
            router.handle_advert(heard(source, claim(priority)), next);
            drain(router);
            next = next + INTERVAL;
        }
    }
    None
}

#[test]
fn a_delayed_preemption_begins_when_the_delay_ends() {
    let mut router = backup(delayed());
    let start = epoch() + INTERVAL;
    let took_over = hear_until(&mut router, LOWER, 100, start, start + DELAY * 2).unwrap();
    // The last advertisement that still counted came less than an interval before the end of the delay.
    let earliest = start + (DELAY - INTERVAL) + DOWN;
    assert!(took_over >= earliest && took_over <= start + DELAY + DOWN);
}

#[test]
fn a_delayed_preemption_does_not_delay_a_vacancy() {
    let mut router = backup(delayed());
    router.handle_advert(heard(LOWER, claim(100)), epoch());
    let seen = run(&mut router, epoch() + DOWN);
    assert_eq!(adverts(&seen), [epoch() + DOWN]);
}

#[test]
fn the_delay_starts_again_after_a_higher_router() {
    let mut router = backup(delayed());
    router.handle_advert(heard(LOWER, claim(100)), epoch());
    router.handle_advert(heard(HIGHER, claim(210)), epoch() + DELAY);
    let start = epoch() + DELAY + INTERVAL;
    let took_over = hear_until(&mut router, LOWER, 100, start, start + DELAY * 2).unwrap();
    assert!(took_over >= start + DELAY);
}

#[test]
fn delay_boundary() {
    let limit = epoch() + DELAY;
    let instants = [(Instant::from_nanos(limit.as_nanos() - 1), true), (limit, false), (limit + TICK, false)];
    for (at, follows) in instants {
        let mut router = backup(delayed());
        router.handle_advert(heard(LOWER, claim(100)), epoch());
        let before = router.poll_timeout();
        router.handle_advert(heard(LOWER, claim(100)), at);
        assert_eq!(router.poll_timeout() != before, follows, "{:?}", at.since(epoch()));
    }
}

/// Faults are a set: they may come and go in any order, and only the last one that goes lets the router in.
#[test]
fn it_takes_part_when_the_last_fault_is_gone() {
    let mut router = Router::new(identity(), config()).unwrap();
    router.start(false, epoch());
    assert_eq!(drain(&mut router), [Effect::DropAddresses], "what an earlier life left behind");
    router.handle_fault(Fault::HoldOff, true, epoch());
    router.handle_link(true, epoch());
    router.handle_source(Some(OWN), epoch());
    assert_eq!((router.role(), drain(&mut router)), (Role::Initialize, vec![]));
    router.handle_fault(Fault::HoldOff, false, epoch() + DOWN);
    assert_eq!(router.role(), Role::Backup);
    assert_eq!(router.poll_timeout(), Some(epoch() + DOWN + DOWN));
    drain(&mut router);
    router.handle_tracking(Tracking { failed: true, penalty: 0 }, epoch() + DOWN);
    let why = router.last_transition().unwrap().why;
    assert_eq!(why.to_string(), "tracked object down");
}

/// A restarted vrrpd resumes each group it still holds.
#[test]
fn a_restarted_router_resumes_in_silence_and_advertises_after_listening() {
    let mut router = initialize(config());
    router.start(true, epoch());
    drain(&mut router);
    assert_eq!(router.poll_timeout(), Some(epoch() + LISTENING));
    router.handle_timeout(Instant::from_nanos((epoch() + LISTENING).as_nanos() - 1));
    assert_eq!(drain(&mut router), []);
    router.handle_timeout(epoch() + LISTENING);
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(200)), Effect::Announce]);
    assert_eq!(router.poll_timeout(), Some(epoch() + LISTENING + INTERVAL));
}

/// ... unless it hears a higher advertisement first.
#[test]
fn a_restarted_router_yields_to_a_higher_one_only() {
    let cases = [(claim(201), LOWER, Role::Backup), (claim(200), HIGHER, Role::Backup)];
    let stays = [(claim(199), HIGHER, Role::Active), (claim(200), LOWER, Role::Active)];
    for (priority, source, role) in cases.into_iter().chain(stays) {
        let mut router = initialize(config());
        router.start(true, epoch());
        router.handle_advert(heard(source, priority), epoch() + INTERVAL / 2);
        assert_eq!(router.role(), role, "{priority:?} from {source}");
    }
}

/// Standing in for a paused virtual machine: silent for three intervals, others may have taken over.
#[test]
fn oversleeping_boundary() {
    let (router, _) = active(config());
    let last_sent = router.last_sent.unwrap();
    let limit = last_sent + INTERVAL * 3;
    for (at, sends) in [(Instant::from_nanos(limit.as_nanos() - 1), true), (limit, false), (limit + TICK, false)] {
        let (mut router, _) = active(config());
        router.handle_timeout(at);
        let sent = drain(&mut router).contains(&Effect::Advertise(claim(200)));
        assert_eq!(sent, sends, "{:?} after the last", at.since(last_sent));
        assert_eq!(router.role(), Role::Active, "the addresses stay meanwhile");
    }
}

#[test]
fn an_overslept_router_listens_for_an_interval_and_announces_after_it() {
    let (mut router, now) = active(config());
    let woke = now + Duration::from_secs(231);
    router.handle_timeout(woke);
    assert_eq!(drain(&mut router), []);
    assert_eq!(router.poll_timeout(), Some(woke + LISTENING));
    router.handle_timeout(woke + LISTENING);
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(200)), Effect::Announce]);
    assert_eq!(router.stats().late_max, woke.since(now + INTERVAL / 2));
}

/// Without preemption the box that returns stays backup, also from sleep; its own priority would beat the other one.
#[test]
fn an_overslept_router_resigns_to_whoever_took_over() {
    let (mut router, now) = active(config());
    let woke = now + Duration::from_secs(1);
    router.handle_timeout(woke);
    drain(&mut router);
    router.handle_advert(heard(LOWER, claim(100)), woke + INTERVAL / 2);
    let effects = drain(&mut router);
    assert_eq!(effects[..2], [Effect::Advertise(AdvertPriority::Resign), Effect::DropAddresses]);
    assert_eq!(router.last_transition().unwrap().why, Why::Overslept(LOWER));
}

/// Priority 0 takes nothing over.
#[test]
fn an_overslept_router_stays_when_another_resigns() {
    let (mut router, now) = active(config());
    let woke = now + Duration::from_secs(1);
    router.handle_timeout(woke);
    drain(&mut router);
    router.handle_advert(heard(LOWER, AdvertPriority::Resign), woke);
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(200)), Effect::Announce]);
}

#[test]
fn an_overslept_router_that_preempts_asserts_itself() {
    let (mut router, now) = active(Config { preempt: Preempt::On { delay: Duration::ZERO }, ..config() });
    let woke = now + Duration::from_secs(1);
    router.handle_timeout(woke);
    drain(&mut router);
    router.handle_advert(heard(LOWER, claim(100)), woke + INTERVAL / 2);
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(200)), Effect::Announce]);
}

/// A backup that was not scheduled may have missed packets: it looks once more. On time it does not hesitate.
#[test]
fn a_late_backup_listens_once_more() {
    let limit = epoch() + DOWN + INTERVAL;
    for (at, role) in [(limit, Role::Active), (limit + TICK, Role::Backup)] {
        let mut router = backup(config());
        router.handle_timeout(at);
        assert_eq!(router.role(), role);
    }
    let mut router = backup(config());
    router.handle_timeout(limit + TICK);
    assert_eq!(router.poll_timeout(), Some(limit + TICK + LISTENING));
    router.handle_timeout(limit + Duration::from_secs(60));
    assert_eq!(router.role(), Role::Active, "but only once, however late it is then");
}

/// The last word of the loser lets the winner announce after it; measured with keepalived, 9 of 20 partitions healed
/// with clients sent to the wrong box.
#[test]
fn the_loser_says_goodbye_with_its_own_priority_and_the_winner_announces() {
    let (mut loser, now) = active(config());
    loser.handle_advert(heard(HIGHER, claim(210)), now);
    assert_eq!(drain(&mut loser)[0], Effect::Advertise(claim(200)));
    let (mut winner, now) = active(Config { priority: priority(210), ..config() });
    winner.handle_advert(heard(LOWER, claim(200)), now);
    assert!(drain(&mut winner).contains(&Effect::Announce));
    assert_eq!(winner.conflict().unwrap().peer.heard.source, LOWER);
}

/// A backlog of 60 lower advertisements was answered by 60 advertisements and 300 frames.
#[test]
fn a_backlog_is_answered_once() {
    let (mut router, now) = active(config());
    for number in 0..50 {
        router.handle_advert(heard(LOWER, claim(199)), now + Duration::from_micros(number * 100));
    }
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(200)), Effect::Announce]);
    // The rest of the answer comes at the end of the gap; it is not lost.
    assert_eq!(router.poll_timeout(), Some(now + ASSERT_GAP));
    let seen = run(&mut router, now + INTERVAL);
    assert_eq!(adverts(&seen), [now + ASSERT_GAP]);
}

#[test]
fn assert_gap_boundary() {
    for (pause, answers) in [(ASSERT_GAP - TICK, false), (ASSERT_GAP, true), (ASSERT_GAP + TICK, true)] {
        let (mut router, now) = active(config());
        router.handle_advert(heard(LOWER, claim(199)), now);
        drain(&mut router);
        router.handle_advert(heard(LOWER, claim(199)), now + pause);
        assert_eq!(drain(&mut router).contains(&Effect::Advertise(claim(200))), answers, "{pause:?}");
    }
}

/// cli.md: announcements at once, repeated, and every 60 s.
#[test]
fn announcements_follow_a_take_over_and_go_on() {
    let mut router = backup(config());
    let seen = run(&mut router, epoch() + DOWN + Duration::from_secs(125));
    let at = |millis| epoch() + DOWN + Duration::from_millis(millis);
    assert_eq!(announcements(&seen), [at(0), at(100), at(1000), at(61_000), at(121_000)]);
}

/// By hand, with preemption on: without the command's memory the box would take over again after three intervals.
#[test]
fn handed_over_it_stays_backup_until_it_is_handed_back() {
    let preempts = Config { preempt: Preempt::On { delay: Duration::ZERO }, ..config() };
    let (mut router, now) = active(preempts);
    assert_eq!(router.hand_over(now), Ok(()));
    drain(&mut router);
    assert_eq!(router.hand_over(now), Err(Refused::NotActive));
    let end = now + Duration::from_secs(10);
    assert_eq!(hear_until(&mut router, LOWER, 100, now + SKEW, end), None);
    // Neither does a flap of the link make it forget.
    router.handle_link(false, end);
    router.handle_link(true, end);
    drain(&mut router);
    assert_eq!(hear_until(&mut router, LOWER, 100, end, end + DELAY), None);
    assert_eq!(router.hand_back(end + DELAY), Ok(()));
    assert_eq!(drain(&mut router)[0], Effect::Advertise(claim(200)));
    assert_eq!(router.hand_back(end + DELAY), Err(Refused::NotBackup));
}

#[test]
fn handed_over_to_nobody_it_returns() {
    let (mut router, now) = active(config());
    router.hand_over(now).unwrap();
    drain(&mut router);
    let seen = run(&mut router, now + DOWN);
    assert_eq!(adverts(&seen), [now + DOWN]);
}

/// The memory of a command ends when the box is active again, whyever, and when it is stopped.
#[test]
fn a_hand_over_is_forgotten_when_it_is_over() {
    let preempts = Config { preempt: Preempt::On { delay: Duration::ZERO }, ..config() };
    let (mut router, now) = active(preempts.clone());
    router.hand_over(now).unwrap();
    drain(&mut router);
    let now = now + DOWN;
    run(&mut router, now);
    router.handle_advert(heard(HIGHER, claim(210)), now);
    drain(&mut router);
    assert!(hear_until(&mut router, LOWER, 100, now + INTERVAL, now + DELAY).is_some());

    let (mut router, now) = active(preempts);
    router.hand_over(now).unwrap();
    router.shutdown(now);
    router.start(false, now);
    drain(&mut router);
    assert!(hear_until(&mut router, LOWER, 100, now, now + DELAY).is_some());
}

/// The owner starts as active router, but not over the head of a command.
#[test]
fn an_owner_that_handed_over_stays_backup_after_a_fault() {
    let (mut router, now) = active(Config { priority: Priority::OWNER, ..config() });
    router.hand_over(now).unwrap();
    router.handle_link(false, now);
    router.handle_link(true, now);
    drain(&mut router);
    assert_eq!(router.role(), Role::Backup);
    assert_eq!(hear_until(&mut router, LOWER, 100, now, now + DELAY), None);
}

#[test]
fn handing_back_against_a_higher_router_is_refused_while_it_lives() {
    let mut router = backup(config());
    router.handle_advert(heard(HIGHER, claim(200)), epoch());
    assert_eq!(router.hand_back(epoch() + DOWN), Err(Refused::ActiveIsHigher(HIGHER)));
    assert_eq!(drain(&mut router), []);
    assert_eq!(router.hand_back(epoch() + DOWN + TICK), Ok(()));
}

/// Diff-apply: what does not concern the others moves nothing.
#[test]
fn a_changed_configuration_keeps_the_state() {
    let (mut router, now) = active(config());
    let before = router.poll_timeout();
    router.set_config(Config { preempt: Preempt::On { delay: DELAY }, accept: false, ..config() }, now).unwrap();
    assert_eq!((router.poll_timeout(), drain(&mut router)), (before, vec![]));

    router.set_config(Config { priority: priority(150), ..config() }, now).unwrap();
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(150))]);

    let two = [IpAddr::from([10, 0, 0, 100]), IpAddr::from([10, 0, 0, 101])];
    let addresses = AddressList::select(&two, Family::V4).unwrap().advertised;
    let now = now + INTERVAL;
    router.set_config(Config { priority: priority(150), addresses, ..config() }, now).unwrap();
    let effects = [Effect::TakeAddresses, Effect::Announce, Effect::Advertise(claim(150))];
    assert_eq!(drain(&mut router), effects);
    assert_eq!(router.advertisement(claim(150)).addresses().len(), 2);
}

/// Version 3: the interval that counts is that of the active router, whatever changes here.
#[test]
fn a_changed_configuration_keeps_the_learned_interval() {
    let mut router = backup(config());
    let slow = AdvertInterval::centis(100).unwrap();
    router.handle_advert(Heard { interval: slow, ..heard(HIGHER, claim(210)) }, epoch());
    router.set_config(Config { interval: AdvertInterval::centis(1).unwrap(), ..config() }, epoch()).unwrap();
    router.handle_advert(Heard { interval: slow, ..heard(HIGHER, AdvertPriority::Resign) }, epoch());
    assert_eq!(router.poll_timeout(), Some(epoch() + SKEW * 10));
}

#[test]
fn a_faster_interval_holds_at_once() {
    let (mut router, now) = active(config());
    let interval = AdvertInterval::centis(1).unwrap();
    router.set_config(Config { interval, ..config() }, now).unwrap();
    assert_eq!(drain(&mut router), [Effect::Advertise(claim(200))]);
    assert_eq!(router.poll_timeout(), Some(now + interval.duration()));
}

#[test]
fn a_configuration_that_does_not_fit_changes_nothing() {
    let (mut router, now) = active(config());
    let seconds = Config { interval: AdvertInterval::seconds(1).unwrap(), ..config() };
    assert_eq!(router.set_config(seconds, now), Err(ConfigError::IntervalVersion));
    let v6 = AddressList::select(&["fe80::51".parse().unwrap()], Family::V6).unwrap().advertised;
    assert_eq!(router.set_config(Config { addresses: v6, ..config() }, now), Err(ConfigError::Family));
    let none = AddressList::V4(heapless::Vec::new());
    assert_eq!(router.set_config(Config { addresses: none, ..config() }, now), Err(ConfigError::NoAddresses));
    assert_eq!(drain(&mut router), []);
    assert_eq!(router.config(), &config());

    let identity = Identity { protocol: Protocol::V3(Family::V6), ..identity() };
    let global = AddressList::V6(["fd77::1".parse().unwrap()].into_iter().collect());
    let error = Router::new(identity, Config { addresses: global, ..config() }).unwrap_err();
    assert_eq!(error, ConfigError::NotLinkLocal);
}

/// Answer in the form that the current active router uses.
#[test]
fn the_checksum_form_follows_what_was_heard_when_asked_to() {
    for (choice, before, after) in [
        (ChecksumChoice::PseudoHeader, ChecksumForm::PseudoHeader, ChecksumForm::PseudoHeader),
        (ChecksumChoice::Rfc9568, ChecksumForm::MessageOnly, ChecksumForm::MessageOnly),
        (ChecksumChoice::Heard, ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly),
    ] {
        let mut router = backup(Config { checksum: choice, ..config() });
        assert_eq!(router.checksum_form(), before);
        let advert = Heard { checksum: ChecksumForm::MessageOnly, ..heard(HIGHER, claim(210)) };
        router.handle_advert(advert, epoch());
        assert_eq!(router.checksum_form(), after);
    }
}

#[test]
fn a_run_of_conflicts_has_a_beginning() {
    let (mut router, now) = active(config());
    router.handle_advert(heard(LOWER, claim(1)), now);
    router.handle_advert(heard(LOWER, claim(1)), now + DOWN);
    assert_eq!(router.conflict().unwrap().since, now);
    let later = now + DOWN * 2 + TICK;
    router.handle_advert(heard(LOWER, claim(1)), later);
    assert_eq!((router.conflict().unwrap().since, router.stats().conflicts), (later, 3));
}
