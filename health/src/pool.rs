//! From verdicts to what each real server of one virtual server gets: its weight, weight 0, or nothing.
//!
//! Pure. Rules, in this order:
//! 1. A real server nobody judges is up. One that was never up is not in the pool.
//! 2. `fail-open`: when all judged servers that were ever up are down, all of those are in the pool as if they were up. One that gets no new
//!    clients (weight 0, drained) is no server that is left.
//! 3. A server that is down is taken out, or with `inhibit-on-failure` gets weight 0. Over UDP, also by a firewall mark, it is always taken out: a
//!    flow to a server with weight 0 would stay there as long as the client goes on sending.
//! 4. Quorum is had at `quorum` of healthy weight the first time, lost below `quorum - hysteresis`, back at `quorum + hysteresis` (or all there
//!    is), and otherwise as it was. Without it, and with a sorry server, that one takes the new clients, and those that are up keep their
//!    connections with weight 0.
//! 5. `slow-start`: a server that has come up grows to its weight in so many seconds, from 1; but whoever is up longest has all of its weight, and
//!    so have those that came with it, within an eighth of that time: at a start all come at once. One that was in and did not grow never does,
//!    whoever else comes or goes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use yoke_config::model::{Config, SorryServer, Transport, Virtual, VirtualServer};

use crate::{State, Time, Verdict};

/// How often a growing weight is set at most: a change costs the kernel next to nothing, and everybody who reads the log a line less.
const STEP: Duration = Duration::from_secs(1);

/// The part of `slow-start` within which servers have come up together: 7.5 s of a minute, more than the default interval.
const TOGETHER: u32 = 8;

/// Address and port of a real server.
pub type Key = (IpAddr, u16);

/// What a real server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// New connections by this weight. 0 when it drains, or while quorum is lost.
    In(u16),
    /// Weight 0 because it is down.
    Inhibited,
    /// It is not in the kernel's table.
    Out,
}

/// What a virtual server's pool is. The default is that of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool {
    /// Every real server that is not shut down.
    pub places: BTreeMap<Key, Place>,
    /// In the table, with weight 1.
    pub sorry: Option<SorryServer>,
    /// Whether quorum is had; `None` until it was had once: then it is not lost, and comes without the hysteresis.
    pub quorum: Option<bool>,
    /// Balances as if none had failed.
    pub open: bool,
    /// Those that `slow-start` holds below their weight.
    pub growing: BTreeSet<Key>,
    /// When a growing weight is due to grow.
    pub next: Option<Time>,
}

impl Pool {
    /// Whether quorum is had.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.quorum == Some(true)
    }
}

/// The pool of `server`, a virtual server of `config`. `verdict` says what is known of a real server, `None` when nobody judges it; `before` is
/// what the pool was until now.
pub fn judge(
    config: &Config,
    server: &VirtualServer,
    verdict: &dyn Fn(Key) -> Option<Verdict>,
    before: &Pool,
    now: Time,
) -> Pool {
    let members: BTreeMap<Key, (u16, Option<Verdict>)> = server
        .real_servers
        .iter()
        .filter(|(_, real)| !real.shutdown)
        .map(|(&key, real)| (key, (if real.drain { 0 } else { real.weight }, verdict(key))))
        .collect();
    let is_up = |verdict: &Option<Verdict>| verdict.is_none_or(|verdict| verdict.state == State::Up);
    let was_up = |verdict: &Option<Verdict>| verdict.is_some_and(|verdict| verdict.proven);
    let any = |holds: &dyn Fn(&Option<Verdict>) -> bool| members.values().any(|(weight, it)| *weight > 0 && holds(it));
    let open = server.fail_open && !any(&is_up) && any(&was_up);
    let counts = |verdict: &Option<Verdict>| is_up(verdict) || open && was_up(verdict);

    let healthy: u32 = members.values().filter(|(_, it)| counts(it)).map(|(weight, _)| u32::from(*weight)).sum();
    let (quorum, hysteresis) = (u32::from(server.quorum), u32::from(server.hysteresis));
    let all: u32 = members.values().map(|(weight, _)| u32::from(*weight)).sum();
    let needed = match before.quorum {
        Some(true) => quorum.saturating_sub(hysteresis).max(1),
        // Never more than there could be at all, or it would not come back.
        Some(false) => (quorum + hysteresis).min(all.max(quorum)),
        None => quorum,
    };
    let had = healthy >= needed;
    let quorum = before.quorum.map(|_| had).or(had.then_some(true));
    let sorry = server.sorry_server.filter(|_| !had);

    let slow = Duration::from_secs(u64::from(server.slow_start_s));
    // Somebody has all of its weight: who is up longest, and who came with it.
    let takes = members.values().filter(|(weight, verdict)| *weight > 0 && counts(verdict));
    let eldest = takes.map(|(_, verdict)| verdict.map_or(Time::ZERO, |verdict| verdict.since)).min();
    let grown = eldest.map(|eldest| eldest + slow / TOGETHER);
    let was_whole = |key: Key| matches!(before.places.get(&key), Some(Place::In(_))) && !before.growing.contains(&key);
    let grows = |key: Key, verdict: &Verdict| {
        now < verdict.since + slow && grown.is_some_and(|grown| verdict.since > grown) && !was_whole(key) && !open
    };
    let (mut growing, mut next) = (BTreeSet::new(), None);
    let inhibits = server.inhibit_on_failure && !has_udp(config, server.virtual_);
    let mut place = |key: Key, weight: u16, verdict: &Option<Verdict>| {
        if !counts(verdict) {
            let never = verdict.is_some_and(|verdict| !verdict.proven);
            return if inhibits && !never { Place::Inhibited } else { Place::Out };
        }
        let since = verdict.filter(|verdict| grows(key, verdict)).map(|verdict| verdict.since);
        growing.extend(since.map(|_| key));
        if sorry.is_some() {
            return Place::In(0);
        }
        let Some(since) = since.filter(|_| weight > 1) else { return Place::In(weight) };
        let at = now + STEP;
        next = Some(next.map_or(at, |next: Time| next.min(at)));
        Place::In(grown_weight(weight, now.saturating_sub(since), slow))
    };
    let places = members.iter().map(|(&key, (weight, verdict))| (key, place(key, *weight, verdict))).collect();
    Pool { places, sorry, quorum, open, growing, next }
}

/// Whether flows of UDP come in by it.
fn has_udp(config: &Config, virtual_: Virtual) -> bool {
    match virtual_ {
        Virtual::Address(_, transport, _) => transport == Transport::Udp,
        Virtual::Fwmark { mark, ipv6 } => config
            .firewall_marks
            .iter()
            .any(|line| line.mark == mark && line.prefix.addr.is_ipv6() == ipv6 && line.protocol == Transport::Udp),
    }
}

/// The part of `weight` that a server has after `passed` of `slow`: at least 1, at most all.
fn grown_weight(weight: u16, passed: Duration, slow: Duration) -> u16 {
    let part = u128::from(weight) * passed.as_millis() / slow.as_millis().max(1);
    u16::try_from(part).unwrap_or(weight).clamp(1, weight.max(1))
}

#[cfg(test)]
mod tests;
