//! The state machine in four layers: the transition table as data ([`table`]), named cases that quote their clause
//! ([`cases`], [`local`]), random inputs with invariants ([`ops`]). The fourth, N routers on a bad link, is in `sim`.

mod cases;
mod local;
mod ops;
mod table;

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::{AddressList, AdvertInterval, ChecksumForm, Family, Protocol, Vrid};

/// Our address; `.1` is lower, `.3` is higher.
pub(super) const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
pub(super) const LOWER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
pub(super) const HIGHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

/// 100 ms.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
/// Of priority 200 at 100 ms: 56/256 of it.
pub(super) const SKEW: Duration = Duration::from_nanos(21_875_000);
/// Of priority 200 at 100 ms.
pub(super) const DOWN: Duration = Duration::from_nanos(321_875_000);
/// Of a router in doubt.
pub(super) const LISTENING: Duration = Duration::from_micros(112_500);
pub(super) const TICK: Duration = Duration::from_nanos(1);

pub(super) fn priority(number: u8) -> Priority {
    Priority::new(number).unwrap()
}

pub(super) fn claim(number: u8) -> AdvertPriority {
    AdvertPriority::Claim(priority(number))
}

/// Some instant long after the clock's origin.
pub(super) fn epoch() -> Instant {
    Instant::from_nanos(1_000_000_000_000)
}

/// Priority 200, 100 ms, version 3, IPv4, no preemption.
pub(super) fn config() -> Config {
    let addresses = AddressList::select(&[IpAddr::from([10, 0, 0, 100])], Family::V4).unwrap().advertised;
    let interval = AdvertInterval::centis(10).unwrap();
    Config { priority: priority(200), ..Config::new(addresses, interval) }
}

pub(super) fn identity() -> Identity {
    Identity { protocol: Protocol::V3(Family::V4), vrid: Vrid::new(51).unwrap() }
}

/// Not started, without faults.
pub(super) fn initialize(config: Config) -> Router {
    let mut router = Router::new(identity(), config).unwrap();
    router.handle_source(Some(OWN), epoch());
    router.handle_link(true, epoch());
    assert_eq!(drain(&mut router), []);
    router
}

/// Backup since [`epoch`].
pub(super) fn backup(config: Config) -> Router {
    let mut router = initialize(config);
    router.start(false, epoch());
    drain(&mut router);
    router
}

/// Active, and run on time until the returned instant, when its first announcements are over and its last advertisement
/// is half an interval old.
pub(super) fn active(config: Config) -> (Router, Instant) {
    let mut router = backup(config);
    let took_over = router.poll_timeout().unwrap_or(epoch());
    run(&mut router, took_over + Duration::from_secs(2) + INTERVAL / 2);
    assert_eq!(router.role(), Role::Active);
    (router, took_over + Duration::from_secs(2) + INTERVAL / 2)
}

pub(super) fn heard(source: IpAddr, priority: AdvertPriority) -> Heard {
    Heard { source, priority, interval: AdvertInterval::centis(10).unwrap(), checksum: ChecksumForm::PseudoHeader }
}

pub(super) fn drain(router: &mut Router) -> Vec<Effect> {
    std::iter::from_fn(|| router.poll_effect()).collect()
}

/// Every timeout on time until `end`; the effects with their instants.
pub(super) fn run(router: &mut Router, end: Instant) -> Vec<(Instant, Effect)> {
    let mut seen = Vec::new();
    while let Some(at) = router.poll_timeout().filter(|at| *at <= end) {
        router.handle_timeout(at);
        seen.extend(drain(router).into_iter().map(|effect| (at, effect)));
    }
    seen
}

/// The instants of the advertisements in `seen`.
pub(super) fn adverts(seen: &[(Instant, Effect)]) -> Vec<Instant> {
    seen.iter().filter(|(_, effect)| matches!(effect, Effect::Advertise(_))).map(|(at, _)| *at).collect()
}

/// The instants of the announcements in `seen`.
pub(super) fn announcements(seen: &[(Instant, Effect)]) -> Vec<Instant> {
    seen.iter().filter(|(_, effect)| *effect == Effect::Announce).map(|(at, _)| *at).collect()
}
