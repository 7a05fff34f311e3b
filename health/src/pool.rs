//! From verdicts to what each real server of one virtual server gets: its weight, weight 0, or nothing.
//!
//! Pure. Rules, in this order:
//! 1. A real server nobody judges is up. One that was never up is not in the pool.
//! 2. `fail-open`: when all judged servers that were ever up are down, all of those are in the pool as if they were up.
//! 3. A server that is down is taken out, or with `inhibit-on-failure` gets weight 0. Over UDP it is always taken out: a flow to a server with
//!    weight 0 would stay there as long as the client goes on sending.
//! 4. Quorum is had at `quorum + hysteresis` of healthy weight (or all there is), lost below `quorum - hysteresis`, and otherwise as it was. While it is lost and
//!    there is a sorry server, that one takes the new clients, and those that are up keep their connections with weight 0.
//! 5. `slow-start`: a server that has come up grows to its weight in so many seconds, from 1; but whoever is up longest has all of its weight, and
//!    so have those that came with it, within an eighth of that time: at a start all come at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use yoke_config::model::{SorryServer, Transport, Virtual, VirtualServer};

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

/// What a virtual server's pool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Every real server that is not shut down.
    pub places: BTreeMap<Key, Place>,
    /// In the table, with weight 1.
    pub sorry: Option<SorryServer>,
    /// Whether quorum is had.
    pub quorum: bool,
    /// Balances as if none had failed.
    pub open: bool,
    /// When a growing weight is due to grow.
    pub next: Option<Time>,
}

/// The pool of `server`. `verdict` says what is known of a real server, `None` when nobody judges it; `had_quorum` whether the
/// pool had quorum before, `None` for one that is new.
pub fn judge(
    server: &VirtualServer,
    verdict: &dyn Fn(Key) -> Option<Verdict>,
    had_quorum: Option<bool>,
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
    let open = server.fail_open
        && !members.values().any(|(_, verdict)| is_up(verdict))
        && members.values().any(|(_, verdict)| was_up(verdict));
    let counts = |verdict: &Option<Verdict>| is_up(verdict) || open && was_up(verdict);

    let healthy: u32 = members.values().filter(|(_, it)| counts(it)).map(|(weight, _)| u32::from(*weight)).sum();
    let (quorum, hysteresis) = (u32::from(server.quorum), u32::from(server.hysteresis));
    let all: u32 = members.values().map(|(weight, _)| u32::from(*weight)).sum();
    let needed = match had_quorum {
        Some(true) => quorum.saturating_sub(hysteresis).max(1),
        // Never more than there could be at all, or it would not come back.
        Some(false) => (quorum + hysteresis).min(all.max(quorum)),
        None => quorum,
    };
    let quorum = healthy >= needed;
    let sorry = server.sorry_server.filter(|_| !quorum);

    let slow = Duration::from_secs(u64::from(server.slow_start_s));
    // Somebody has all of its weight: who is up longest, and who came with it.
    let takes = members.values().filter(|(weight, verdict)| *weight > 0 && counts(verdict));
    let eldest = takes.map(|(_, verdict)| verdict.map_or(Time::ZERO, |verdict| verdict.since)).min();
    let grown = eldest.map(|eldest| eldest + slow / TOGETHER);
    let growing =
        |verdict: &Verdict| now < verdict.since + slow && grown.is_some_and(|grown| verdict.since > grown) && !open;
    let udp = matches!(server.virtual_, Virtual::Address(_, Transport::Udp, _));
    let mut next = None;
    let mut place = |weight: u16, verdict: &Option<Verdict>| {
        if !counts(verdict) {
            let never = verdict.is_some_and(|verdict| !verdict.proven);
            return if server.inhibit_on_failure && !udp && !never { Place::Inhibited } else { Place::Out };
        }
        if sorry.is_some() {
            return Place::In(0);
        }
        let Some(since) = verdict.filter(|verdict| growing(verdict) && weight > 1).map(|verdict| verdict.since) else {
            return Place::In(weight);
        };
        let at = now + STEP;
        next = Some(next.map_or(at, |next: Time| next.min(at)));
        Place::In(grown_weight(weight, now.saturating_sub(since), slow))
    };
    let places = members.iter().map(|(&key, (weight, verdict))| (key, place(*weight, verdict))).collect();
    Pool { places, sorry, quorum, open, next }
}

/// The part of `weight` that a server has after `passed` of `slow`: at least 1, at most all.
fn grown_weight(weight: u16, passed: Duration, slow: Duration) -> u16 {
    let part = u128::from(weight) * passed.as_millis() / slow.as_millis().max(1);
    u16::try_from(part).unwrap_or(weight).clamp(1, weight.max(1))
}

#[cfg(test)]
mod tests;
