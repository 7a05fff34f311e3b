//! Two routers of one kind on a network of their own, what can be done to them, and what a client sees of it.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};

use vrrp::status::{Reply, Request};

use super::Bench;
use crate::pair::{Hand, Heard, Outage, Pair, Side, until_wall, wall};
use crate::{processor, wait};

/// The group whose address is asked.
const VRID: u8 = 51;
/// The address that is asked.
pub(super) const VIP: [u8; 4] = [10, 77, 0, 100];
/// Elections, and programs that start on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a client is watched after a partition has healed, beyond the interval: as keepalived was measured.
const HEAL_WATCH: Duration = Duration::from_millis(1400);
/// Answers in a row after which a client is served again.
const SERVED: usize = 100;
/// Answers before anything is done: the client knows where the address is.
const BEFORE: usize = 20;

/// Whose program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Daemon {
    Ours,
    Keepalived,
}

/// How both are configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) interval: Duration,
    /// Of side A and of side B.
    pub(super) priorities: [u8; 2],
    pub(super) preempt: bool,
    /// Of the first group.
    pub(super) addresses: u8,
    /// The first, and others of one address each.
    pub(super) groups: u8,
}

impl Settings {
    /// One group with one address.
    pub(super) const fn new(interval: Duration, priorities: [u8; 2], preempt: bool) -> Self {
        Self { interval, priorities, preempt, addresses: 1, groups: 1 }
    }

    /// Each group: its VRID and its addresses.
    fn groups(self) -> Vec<(u8, Vec<String>)> {
        let others = (1..=self.groups).filter(|vrid| self.groups > 1 && *vrid != VRID);
        let more = (1..self.addresses).map(|number| format!("10.77.2.{number}/24"));
        let first = std::iter::once(format!("{}/24", IpAddr::from(VIP))).chain(more).collect();
        let others = others.map(|vrid| (vrid, vec![format!("10.77.1.{vrid}/24")]));
        std::iter::once((VRID, first)).chain(others).collect()
    }

    /// For our vrrpd.
    fn ours(self, priority: u8) -> String {
        let interval = self.interval.as_millis();
        let preempt = if self.preempt { " preempt\n" } else { "" };
        let group = |(vrid, addresses): (u8, Vec<String>)| {
            let addresses: String = addresses.iter().map(|address| format!(" address {address}\n")).collect();
            format!(
                "vrrp group v{vrid}\n vrid {vrid} interface eth0\n priority {priority}\n timers advertise {interval}\n\
                 {preempt}{addresses}"
            )
        };
        self.groups().into_iter().map(group).collect()
    }

    /// For keepalived.
    fn keepalived(self, side: Side, priority: u8) -> String {
        let interval = self.interval.as_secs_f64();
        let preempt = if self.preempt { "" } else { " nopreempt\n" };
        let group = |(vrid, addresses): (u8, Vec<String>)| {
            format!(
                "vrrp_instance v{vrid} {{\n state BACKUP\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n \
                 version 3\n advert_int {interval}\n{preempt} virtual_ipaddress {{\n  {}\n }}\n}}\n",
                addresses.join("\n  ")
            )
        };
        let groups: String = self.groups().into_iter().map(group).collect();
        format!(
            "global_defs {{\n router_id {side:?}\n vrrp_rt_priority 50\n vrrp_rlimit_rttime 1000000\n vrrp_no_swap\n}}\n{groups}"
        )
    }
}

/// What is done to the active router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// As its neighbours see it: silence, and no change of any carrier.
    PowerLoss,
    /// Its own interface is taken down.
    LinkDown,
    /// The switch takes its port down: the carrier is gone.
    PortDown,
    /// It is told to end.
    Stop,
}

impl Failure {
    pub(super) const ALL: [Self; 4] = [Self::PowerLoss, Self::LinkDown, Self::PortDown, Self::Stop];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PowerLoss => "power loss",
            Self::LinkDown => "link down",
            Self::PortDown => "port down",
            Self::Stop => "orderly stop",
        }
    }
}

/// What a client saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) outage: Outage,
    /// It was answered by the right one at the end.
    pub(super) served: bool,
    /// The right one announced the address after the last word of the other.
    pub(super) announced: bool,
    /// From what was done to the last claim of the other.
    pub(super) both: Duration,
    /// From the other's last claim before the longest silence to the silence: the phase at which it was really hit.
    pub(super) hit: Duration,
    /// From what was done to the right one's next claim.
    pub(super) first: Option<Duration>,
    /// For how long two were active: from the first claim of the other to the right one's next, or to the other's own last when that is later;
    /// zero when it made none.
    pub(super) two: Duration,
    /// From the right one's first claim to its second.
    pub(super) second: Option<Duration>,
}

/// The pair.
pub(super) struct Rig {
    daemon: Daemon,
    settings: Settings,
    pub(super) pair: Pair,
    switch: Hand,
    sides: [Hand; 2],
}

impl Rig {
    /// Starts both; A is active.
    pub(super) fn start(bench: &Bench, daemon: Daemon, settings: Settings) -> Result<Self> {
        let mut rig = Self::up(bench, daemon, settings)?;
        for side in Side::BOTH {
            rig.run(side)?;
            rig.joined(side)?;
        }
        Ok(rig)
    }

    /// The same with our vrrpd, on side A below `init`.
    pub(super) fn start_guarded(bench: &Bench, init: &Path, settings: Settings) -> Result<Self> {
        let mut rig = Self::up(bench, Daemon::Ours, settings)?;
        rig.pair.guarded(Side::A, init, &settings.ours(settings.priorities[0]))?;
        rig.joined(Side::A)?;
        rig.run(Side::B)?;
        rig.joined(Side::B)?;
        Ok(rig)
    }

    fn up(bench: &Bench, daemon: Daemon, settings: Settings) -> Result<Self> {
        let tag = format!("{}{}", if daemon == Daemon::Ours { "y" } else { "k" }, settings.interval.as_millis());
        let mut pair = Pair::up(&tag, &bench.dir)?;
        pair.set_program(bench.vrrpd.clone());
        let (switch, sides) = (pair.switch()?, [pair.hand(Side::A)?, pair.hand(Side::B)?]);
        Ok(Self { daemon, settings, pair, switch, sides })
    }

    /// Waits until a router that was started takes part; A is active.
    fn joined(&self, side: Side) -> Result<()> {
        wait::until("a router that listens", LIMIT, || self.pair.listens(side))?;
        self.settle(Side::A)
    }

    pub(super) fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// Starts the program on a side.
    pub(super) fn run(&mut self, side: Side) -> Result<()> {
        let priority = self.settings.priorities[usize::from(side.number() - 1)];
        match self.daemon {
            Daemon::Ours => self.pair.vrrpd(side, &self.settings.ours(priority)),
            Daemon::Keepalived => self.pair.keepalived(side, &self.settings.keepalived(side, priority)),
        }
    }

    /// Waits until only `side` claims to be active.
    pub(super) fn settle(&self, side: Side) -> Result<()> {
        self.pair.forget();
        wait::until(&format!("side {side:?} alone to advertise"), LIMIT, || {
            let adverts = self.pair.heard().adverts;
            let ours = adverts.iter().rev().filter(|advert| advert.vrid == VRID);
            let alone = ours.take_while(|advert| advert.source == side.v4()).count();
            ensure!(alone >= 4, "{alone} advertisements in a row");
            Ok(())
        })
    }

    /// Hits the active side with `failure` at `phase` (0 to 1) of its interval; what the client saw until the other served it.
    pub(super) fn fail(&mut self, active: Side, failure: Failure, phase: f64) -> Result<Seen> {
        self.settle(active)?;
        let pid = self.pair.started(active)?;
        let seen = self.watch(active.other(), phase, LIMIT, |rig| match failure {
            Failure::PowerLoss => rig.cut(active),
            Failure::LinkDown => rig.sides[usize::from(active.number() - 1)].say("link set eth0 down"),
            Failure::PortDown => rig.switch.say(&format!("link set {} down", active.port())),
            Failure::Stop => kill(pid, Signal::SIGTERM).context("stop it"),
        })?;
        ensure!(seen.served, "{:?}, {}: side {:?} did not take over", self.daemon, failure.name(), active.other());
        Ok(seen)
    }

    /// Undoes it; what the client saw until `to` serves it, which is who should win.
    pub(super) fn mend(&mut self, failed: Side, failure: Failure, to: Side, phase: f64) -> Result<Seen> {
        self.settle(failed.other())?;
        let limit = if failure == Failure::PowerLoss { HEAL_WATCH + self.settings.interval * 4 } else { LIMIT };
        let seen = self.watch(to, phase, limit, |rig| match failure {
            Failure::PowerLoss => rig.join(failed),
            Failure::LinkDown => rig.sides[usize::from(failed.number() - 1)].say("link set eth0 up"),
            Failure::PortDown => rig.switch.say(&format!("link set {} up", failed.port())),
            Failure::Stop => rig.run(failed),
        })?;
        if failure == Failure::PowerLoss {
            // A black hole is a finding; what comes next does not begin in one.
            self.pair.forget_neighbours()?;
        } else {
            ensure!(seen.served, "{:?}, after {}: side {to:?} does not serve", self.daemon, failure.name());
        }
        Ok(seen)
    }

    /// What all threads of a side's processes have worked so far.
    pub(super) fn cpu(&self, side: Side) -> Result<Duration> {
        let mut sum = Duration::ZERO;
        for pid in self.pair.pids(side)? {
            for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                sum += processor::time(&task?.path())?;
            }
        }
        Ok(sum)
    }

    /// The active side hands over by an operator's word.
    pub(super) fn hand_over(&mut self, active: Side, phase: f64) -> Result<Seen> {
        self.settle(active)?;
        let seen = self.watch(active.other(), phase, LIMIT, |rig| {
            let reply = rig.pair.ask(active, &Request::HandOver { group: format!("v{VRID}") })?;
            ensure!(reply == Reply::Done, "hand over: {reply:?}");
            Ok(())
        })?;
        ensure!(seen.served, "side {:?} did not take over", active.other());
        Ok(seen)
    }

    /// Waits until our vrrpd is a backup that hears the other.
    pub(super) fn wait_backup(&self, side: Side) -> Result<()> {
        wait::until("a backup that hears", LIMIT, || {
            let status = self.pair.status(side)?;
            let group = status.groups.first().context("no group")?;
            ensure!(group.state == "backup" && group.peer.is_some(), "{group:?}");
            Ok(())
        })
    }

    /// The switch drops everything from and to a side, without a change of its carrier.
    pub(super) fn cut(&mut self, side: Side) -> Result<()> {
        self.switch.say(&format!("link set {} nomaster", side.port()))
    }

    /// The opposite.
    pub(super) fn join(&mut self, side: Side) -> Result<()> {
        self.switch.say(&format!("link set {} master sw", side.port()))
    }

    /// Does `act` at a phase of the interval, under the eyes of a client, until `to` serves it or `limit` has passed.
    pub(super) fn watch(
        &mut self,
        to: Side,
        phase: f64,
        limit: Duration,
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Seen> {
        self.pair.forget();
        let probe = self.pair.probe(VIP.into())?;
        let last = wait::until("a client that is served", LIMIT, || {
            let heard = self.pair.heard();
            ensure!(heard.answers.len() >= BEFORE, "{} answers", heard.answers.len());
            let last = heard.adverts.iter().rfind(|advert| advert.vrid == VRID);
            Ok(last.context("no advertisement")?.at)
        })?;
        until_wall(next(last, self.settings.interval, phase, wall()));
        let struck = wall();
        act(self)?;
        // Whatever the outcome, it is in what was heard.
        let _ = wait::until("the client to be served", limit, || {
            let seen = judge(&self.pair.heard(), to, struck, probe.id());
            ensure!(seen.served && seen.announced && seen.second.is_some(), "{seen:?}");
            Ok(())
        });
        let id = probe.id();
        let asked = probe.stop()?;
        let mut heard = self.pair.heard();
        heard.adverts.retain(|advert| advert.vrid == VRID);
        let outage = Outage::of(&asked, &heard.answers, id);
        let claims = heard.adverts.iter().filter(|advert| advert.source == to.other().v4() && advert.at <= outage.from);
        let hit = claims.map(|advert| outage.from - advert.at).min().unwrap_or_default();
        Ok(Seen { outage, hit, ..judge(&heard, to, struck, id) })
    }
}

/// The next time that is at `phase` of an interval which began at `last`.
fn next(last: Duration, interval: Duration, phase: f64, now: Duration) -> Duration {
    let mut at = last + interval.mul_f64(phase);
    while at <= now {
        at += interval;
    }
    at
}

/// How it stands: who has the client, and who said what last.
fn judge(heard: &Heard, to: Side, struck: Duration, probe: u16) -> Seen {
    let since = |at: Duration| at > struck;
    let adverts = || heard.adverts.iter().filter(|advert| advert.vrid == VRID);
    let claims = |side: Side| {
        let adverts = adverts().filter(move |advert| advert.source == side.v4() && advert.priority > 0);
        adverts.map(|advert| advert.at).filter(move |at| since(*at))
    };
    let words = adverts().filter(|advert| advert.source == to.other().v4());
    let last_word = words.map(|advert| advert.at).filter(|at| since(*at)).max().unwrap_or(struck);
    let claimed = claims(to).next().is_some();
    let row = heard.answers.iter().filter(|answer| answer.probe == probe).rev();
    let row = row.take_while(|answer| answer.mac == to.mac() && since(answer.at)).count();
    let announced = heard.announcements.iter().any(|one| one.mac == to.mac() && one.at >= last_word);
    Seen {
        outage: Outage::default(),
        served: claimed && row >= SERVED,
        announced,
        both: claims(to.other()).max().map_or(Duration::ZERO, |last| last - struck),
        hit: Duration::ZERO,
        first: claims(to).next().map(|first| first - struck),
        two: two(&claims(to.other()).collect::<Vec<_>>(), &claims(to).collect::<Vec<_>>(), heard.end()),
        second: claims(to).nth(1).zip(claims(to).next()).map(|(second, first)| second - first),
    }
}

/// For how long both were active, by the claims of one who should not have been, and of the right one, until `end`. It has the addresses from its
/// first claim on, and lets go when it hears the right one: a single claim is not no time.
fn two(wrong: &[Duration], right: &[Duration], end: Duration) -> Duration {
    let (Some(first), Some(last)) = (wrong.first(), wrong.last()) else { return Duration::ZERO };
    let heard = right.iter().find(|at| *at > first).copied().unwrap_or(end);
    heard.max(*last).saturating_sub(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claim_too_many_lasts_until_it_is_answered() {
        let ms = |list: &[u64]| list.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        let end = Duration::from_millis(900);
        let of = |wrong, right| two(&ms(wrong), &ms(right), end).as_millis();
        assert_eq!(of(&[], &[310, 410]), 0);
        assert_eq!(of(&[301], &[310, 410]), 9);
        assert_eq!(of(&[301], &[200, 310]), 9, "what was before does not answer");
        assert_eq!(of(&[301, 312], &[310, 410]), 11, "its own last word");
        assert_eq!(of(&[301], &[]), 599, "nobody answered");
    }
}
