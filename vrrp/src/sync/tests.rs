//! Rules of the coupling, one at a time; what two boxes make of them is in `sim::sync_laws`.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::router::{Preempt, Refused};
use crate::{AddressList, AdvertInterval, ChecksumForm, Family, Identity, Priority, Protocol, Vrid};

const INTERVAL: Duration = Duration::from_millis(100);
/// Of priority 200 at 100 ms.
const DOWN: Duration = Duration::from_nanos(321_875_000);
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

fn epoch() -> Instant {
    Instant::from_nanos(1_000_000_000_000)
}

fn config() -> Config {
    let addresses = AddressList::select(&[IpAddr::from([10, 0, 0, 100])], Family::V4).unwrap().advertised;
    Config { priority: Priority::new(200).unwrap(), ..Config::new(addresses, AdvertInterval::centis(10).unwrap()) }
}

fn router(vrid: u8, config: Config) -> Router {
    let identity = Identity { protocol: Protocol::V3(Family::V4), vrid: Vrid::new(vrid).unwrap() };
    let mut router = Router::new(identity, config).unwrap();
    router.handle_source(Some(IpAddr::from([10, 0, 0, 2])), epoch());
    router.handle_link(true, epoch());
    router
}

fn pair(config: &Config) -> SyncGroup {
    SyncGroup::new(vec![router(1, config.clone()), router(2, config.clone())], epoch())
}

fn started(config: &Config) -> SyncGroup {
    let mut group = pair(config);
    group.start(false, epoch());
    drain(&mut group);
    group
}

fn active(config: &Config) -> SyncGroup {
    let mut group = started(config);
    group.handle_timeout(epoch() + DOWN);
    drain(&mut group);
    assert_eq!(roles(&group), [Role::Active; 2]);
    group
}

fn drain(group: &mut SyncGroup) -> Vec<(usize, Effect)> {
    std::iter::from_fn(|| group.poll_effect()).collect()
}

fn roles(group: &SyncGroup) -> Vec<Role> {
    group.members().iter().map(Router::role).collect()
}

fn heard(priority: u8) -> Heard {
    let interval = AdvertInterval::centis(10).unwrap();
    Heard { source: PEER, priority: priority.into(), interval, checksum: ChecksumForm::PseudoHeader }
}

/// Rule 1, and that advertisements of all members leave before any netlink work.
#[test]
fn all_take_over_in_one_step_when_the_last_is_ready() {
    let mut group = started(&config());
    let later = epoch() + INTERVAL;
    group.handle_advert(1, heard(210), later);
    group.handle_timeout(epoch() + DOWN);
    assert_eq!(drain(&mut group), [], "the second still hears somebody");
    assert_eq!(group.poll_timeout(), Some(later + DOWN));
    group.handle_timeout(later + DOWN);
    let effects = drain(&mut group);
    let [(0, Effect::Advertise(_)), (1, Effect::Advertise(_)), (0, Effect::TakeAddresses), ..] = effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(roles(&group), [Role::Active; 2]);
}

/// Rule 1: who waits for the others and then hears somebody waits for that one.
#[test]
fn an_advertisement_ends_the_readiness() {
    let mut group = started(&config());
    group.handle_advert(1, heard(210), epoch() + INTERVAL);
    group.handle_timeout(epoch() + DOWN);
    group.handle_advert(0, heard(210), epoch() + DOWN);
    group.handle_timeout(epoch() + INTERVAL + DOWN);
    assert_eq!(roles(&group), [Role::Backup; 2]);
    group.handle_timeout(epoch() + DOWN + DOWN);
    assert_eq!(roles(&group), [Role::Active; 2]);
}

/// Rule 1: who waits already does not begin to wait for its skew.
#[test]
fn a_resignation_does_not_end_the_readiness() {
    let mut group = started(&config());
    group.handle_advert(1, heard(210), epoch() + INTERVAL);
    group.handle_timeout(epoch() + DOWN);
    group.handle_advert(0, heard(0), epoch() + INTERVAL + DOWN);
    group.handle_timeout(epoch() + INTERVAL + DOWN);
    assert_eq!(roles(&group), [Role::Active; 2]);
    let [first, second] = group.members() else { panic!("two members") };
    assert_eq!(first.last_transition().unwrap().why, Why::Resigned(PEER));
    assert_eq!(second.last_transition().unwrap().why, Why::Silence);
}

/// Rule 4, and its end.
#[test]
fn a_dissolved_group_shares_no_tracking() {
    let mut group = active(&config());
    group.handle_tracking(0, Tracking { failed: false, penalty: 20 }, epoch() + DOWN + INTERVAL);
    drain(&mut group);
    assert!(group.members().iter().all(|member| member.priority().get() == 180));
    let mut members = group.dissolve(epoch() + DOWN + INTERVAL * 2);
    assert_eq!(members.iter().map(|member| member.priority().get()).collect::<Vec<_>>(), [180, 200]);
    assert_eq!(members[1].poll_effect(), Some(Effect::Advertise(AdvertPriority::from(200))));
}

/// Rule 2: the loser says its priority, the others resign.
#[test]
fn all_step_down_when_one_loses() {
    let mut group = active(&config());
    group.handle_advert(1, heard(210), epoch() + DOWN + INTERVAL);
    let effects = drain(&mut group);
    assert_eq!(effects[0], (0, Effect::Advertise(AdvertPriority::Resign)));
    assert_eq!(effects[1], (1, Effect::Advertise(AdvertPriority::from(200))));
    assert_eq!(roles(&group), [Role::Backup; 2]);
    assert_eq!(group.members()[0].last_transition().unwrap().why, Why::SyncGroup);
}

/// Rule 3, in every order of two faults.
#[test]
fn faults_are_shared_and_end_together() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut group = active(&config());
        let now = epoch() + DOWN;
        group.handle_link(0, false, now);
        assert_eq!(roles(&group), [Role::Initialize; 2]);
        assert!(group.members()[1].faults().contains(Fault::SyncGroup));
        group.handle_link(1, false, now);
        drain(&mut group);
        group.handle_link(first, true, now);
        assert_eq!(roles(&group), [Role::Initialize; 2]);
        group.handle_link(second, true, now);
        assert_eq!(roles(&group), [Role::Backup; 2]);
        assert!(group.members().iter().all(|member| member.faults().is_empty()));
    }
}

/// A group is resumed whole or not at all.
#[test]
fn a_group_with_a_fault_does_not_resume() {
    let mut group = pair(&config());
    group.handle_link(1, false, epoch());
    group.start(true, epoch());
    let dropped: Vec<_> =
        drain(&mut group).into_iter().filter(|(_, effect)| *effect == Effect::DropAddresses).collect();
    assert_eq!(dropped, [(0, Effect::DropAddresses), (1, Effect::DropAddresses)]);
    assert_eq!(roles(&group), [Role::Initialize; 2]);
}

/// Owners take part in rule 1 too: one owner does not tear the group apart. This is the longest step there is.
#[test]
fn owners_wait_for_each_other() {
    let owner = Config { priority: Priority::OWNER, ..config() };
    let mut group = pair(&owner);
    group.start(false, epoch());
    assert_eq!(roles(&group), [Role::Active; 2]);
    assert_eq!(drain(&mut group).len(), 2 * 6);

    let mut mixed = SyncGroup::new(vec![router(1, owner), router(2, config())], epoch());
    mixed.start(false, epoch());
    assert_eq!(roles(&mixed), [Role::Backup; 2]);
    drain(&mut mixed);
    mixed.handle_timeout(epoch() + DOWN);
    assert_eq!(roles(&mixed), [Role::Active; 2]);
}

/// Commands are for the group.
#[test]
fn hand_over_and_hand_back_take_all_or_none() {
    let mut group = active(&config());
    let now = epoch() + DOWN + INTERVAL;
    assert_eq!(group.hand_back(now), Err(Refused::NotBackup));
    assert_eq!(group.hand_over(now), Ok(()));
    assert_eq!(roles(&group), [Role::Backup; 2]);
    drain(&mut group);
    assert_eq!(group.hand_over(now), Err(Refused::NotActive));
    group.handle_advert(0, heard(100), now);
    group.handle_advert(1, heard(210), now);
    assert_eq!(group.hand_back(now), Err(Refused::ActiveIsHigher(PEER)));
    assert_eq!((roles(&group), drain(&mut group)), (vec![Role::Backup; 2], vec![]));
    group.handle_advert(1, heard(199), now);
    assert_eq!(group.hand_back(now), Ok(()));
    assert_eq!(roles(&group), [Role::Active; 2]);
}

/// Rule 5, and its end: a tie on the second network alone is decided there, but only after it lasted.
#[test]
fn a_tie_is_decided_by_the_first_member_while_it_hears_the_other() {
    let lower = Heard { source: IpAddr::from([10, 0, 0, 1]), ..heard(200) };
    let mut group = active(&config());
    let start = epoch() + DOWN + INTERVAL;
    group.handle_advert(0, lower, start);
    group.handle_advert(1, heard(200), start);
    assert_eq!(roles(&group), [Role::Active; 2], "the first member wins its tie");
    drain(&mut group);
    group.handle_advert(1, heard(201), start);
    assert_eq!(roles(&group), [Role::Backup; 2], "a priority is no tie");

    let mut alone = active(&config());
    let patience = INTERVAL * 3 / 2;
    for after in [Duration::ZERO, INTERVAL, patience] {
        alone.handle_advert(1, heard(200), start + after);
        assert_eq!(roles(&alone), [Role::Active; 2], "somebody may be heard on the first network yet");
        drain(&mut alone);
    }
    alone.handle_advert(1, heard(200), start + patience + Duration::from_nanos(1));
    assert_eq!(roles(&alone), [Role::Backup; 2], "nobody is");

    let mut lasting = active(&config());
    let mut now = start;
    while now.since(start) <= DOWN {
        lasting.handle_advert(0, lower, now);
        lasting.handle_advert(1, heard(200), now);
        assert_eq!(roles(&lasting), [Role::Active; 2]);
        drain(&mut lasting);
        now = now + INTERVAL;
    }
    lasting.handle_advert(1, heard(200), now);
    assert_eq!(roles(&lasting), [Role::Backup; 2]);
}

/// Reconfiguration: members come and go without a change of their state.
#[test]
fn groups_are_formed_and_dissolved_in_flight() {
    let mut group = started(&config());
    group.handle_advert(1, heard(210), epoch() + INTERVAL);
    group.handle_timeout(epoch() + DOWN);
    assert!(group.members()[0].ready().is_some());
    let mut members = group.dissolve(epoch() + DOWN);
    assert_eq!(members[0].poll_timeout(), Some(epoch() + DOWN), "it waits for nobody any more");
    members[0].handle_timeout(epoch() + DOWN);
    assert_eq!(members[0].role(), Role::Active);
    while members[0].poll_effect().is_some() {}

    let mut joined = SyncGroup::new(members, epoch() + DOWN);
    assert_eq!(drain(&mut joined), []);
    assert_eq!(roles(&joined), [Role::Active, Role::Backup]);
    joined.handle_timeout(epoch() + INTERVAL + DOWN);
    assert_eq!(roles(&joined), [Role::Active; 2]);
    drain(&mut joined);

    joined.handle_link(0, false, epoch() + DOWN * 2);
    drain(&mut joined);
    let members = joined.dissolve(epoch() + DOWN * 2);
    assert_eq!(members[1].role(), Role::Backup, "it had no fault of its own");
}

/// Steps of a random walk.
#[derive(Debug, Clone)]
enum Op {
    Run(u64),
    Advert(u8, u8),
    Link(bool),
    Track(bool, u16),
    Start(bool),
    Shutdown,
    HandOver,
    HandBack,
    Preempt(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..400_000_000_u64).prop_map(Op::Run),
        4 => (1..10_u8, any::<u8>()).prop_map(|(source, priority)| Op::Advert(source, priority)),
        1 => any::<bool>().prop_map(Op::Link),
        1 => (any::<bool>(), 0..300_u16).prop_map(|(failed, penalty)| Op::Track(failed, penalty)),
        2 => any::<bool>().prop_map(Op::Start),
        1 => Just(Op::Shutdown),
        1 => Just(Op::HandOver),
        1 => Just(Op::HandBack),
        1 => any::<bool>().prop_map(Op::Preempt),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A daemon needs only groups: a group of one does what its router would do alone, at the same instants.
    #[test]
    fn a_group_of_one_is_its_router(ops in proptest::collection::vec(op(), 1..60)) {
        let mut alone = router(1, config());
        let mut group = SyncGroup::new(vec![router(1, config())], epoch());
        let mut now = epoch();
        for op in ops {
            match op {
                Op::Run(nanos) => {
                    now = now + Duration::from_nanos(nanos);
                    while let Some(at) = alone.poll_timeout().filter(|at| *at <= now) {
                        alone.handle_timeout(at);
                        group.handle_timeout(at);
                        same(&mut alone, &mut group);
                    }
                }
                Op::Advert(source, priority) => {
                    let heard = Heard { source: IpAddr::from([10, 0, 0, source]), ..heard(priority) };
                    alone.handle_advert(heard, now);
                    group.handle_advert(0, heard, now);
                }
                Op::Link(up) => {
                    alone.handle_link(up, now);
                    group.handle_link(0, up, now);
                }
                Op::Track(failed, penalty) => {
                    alone.handle_tracking(Tracking { failed, penalty }, now);
                    group.handle_tracking(0, Tracking { failed, penalty }, now);
                }
                Op::Start(resume) => {
                    alone.start(resume, now);
                    group.start(resume, now);
                }
                Op::Shutdown => {
                    alone.shutdown(now);
                    group.shutdown(now);
                }
                Op::HandOver => assert_eq!(alone.hand_over(now), group.hand_over(now)),
                Op::HandBack => assert_eq!(alone.hand_back(now), group.hand_back(now)),
                Op::Preempt(on) => {
                    let preempt = if on { Preempt::On { delay: INTERVAL } } else { Preempt::Off };
                    let config = Config { preempt, ..config() };
                    alone.set_config(config.clone(), now).unwrap();
                    group.set_config(0, config, now).unwrap();
                }
            }
            same(&mut alone, &mut group);
        }
    }
}

fn same(alone: &mut Router, group: &mut SyncGroup) {
    let expected: Vec<_> = std::iter::from_fn(|| alone.poll_effect()).map(|effect| (0, effect)).collect();
    assert_eq!(drain(group), expected);
    assert_eq!(group.members()[0].state(), alone.state());
    assert_eq!(group.poll_timeout(), alone.poll_timeout());
}
