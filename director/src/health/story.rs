//! What the log says of a change: once, why, and what it did to whom.
//!
//! Pure. A change of a target is one line however many virtual servers it concerns; what follows for a pool as a whole is a line of the pool.

use std::collections::BTreeMap;
use std::net::IpAddr;

use yoke_config::model::{Config, VirtualServer};
use yoke_config::value::Name;
use yoke_health::pool::{Key, Place, Pool};
use yoke_health::{News, State, Target};

use crate::commit::port_word;
use crate::reconcile::Pools;

/// Virtual servers a line names; the others are counted.
const NAMED_MAX: usize = 3;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Somebody should look.
    pub(super) bad: bool,
    pub(super) text: String,
}

impl Line {
    pub(super) fn log(&self) {
        let level = if self.bad { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "{}", self.text);
    }
}

/// The lines for news of the way that checks take: one for each virtual address that they cannot ask any more, or can again, and not one for each
/// of its real servers. `asides` is why those are asked at their own address that are.
pub(super) fn of_ways(news: &[&News], asides: &mut BTreeMap<Target, String>) -> Vec<Line> {
    let asked = |asides: &BTreeMap<Target, String>| -> BTreeMap<IpAddr, String> {
        asides.iter().filter_map(|(target, why)| Some((target.via?.virtual_, why.clone()))).collect()
    };
    if news.iter().all(|news| news.aside.is_none()) {
        return Vec::new();
    }
    let before = asked(asides);
    for news in news {
        match &news.aside {
            Some(Some(why)) => drop(asides.insert(news.target.clone(), why.clone())),
            Some(None) => drop(asides.remove(&news.target)),
            None => {}
        }
    }
    let after = asked(asides);
    let gone = after.iter().filter(|(virtual_, _)| !before.contains_key(virtual_)).map(|(virtual_, why)| Line {
        bad: false,
        text: format!("health-check: real servers are asked at their own addresses and not through {virtual_}: {why}"),
    });
    let back = before.keys().filter(|virtual_| !after.contains_key(virtual_));
    let back = back.map(|virtual_| Line {
        bad: false,
        text: format!("health-check: real servers are asked through {virtual_} again"),
    });
    gone.chain(back).collect()
}

/// The lines for `news`, each of which concerns some virtual servers, and which turned pools of `before` into those of `changed`.
pub(super) fn lines<'c>(
    config: &Config,
    news: &[&News],
    concerned: impl Fn(&Target) -> &'c [(Name, Key)],
    before: &Pools,
    changed: &Pools,
) -> Vec<Line> {
    // Once for all lines of a pool, which may be as many as it has real servers.
    let counted: BTreeMap<&Name, (usize, usize)> = changed.iter().map(|(name, pool)| (name, counts(pool))).collect();
    let turned = news.iter().filter(|news| news.change.is_some());
    let of_target = turned.map(|news| {
        let effects = concerned(&news.target).iter().map(|(name, key)| {
            let was = before.get(name);
            let is = changed.get(name).or(was);
            let place = |pool: Option<&Pool>| pool.and_then(|pool| pool.places.get(key)).copied();
            let up = counted.get(name).copied().or_else(|| was.map(counts)).unwrap_or_default();
            Effect { name, was: place(was), is: place(is), up }
        });
        Line { bad: news.verdict.state == State::Down, text: of_target(news, effects) }
    });
    of_target.chain(of_pools(config, before, changed)).collect()
}

/// The lines for pools of `before` that have turned into those of `changed`.
pub(super) fn of_pools(config: &Config, before: &Pools, changed: &Pools) -> Vec<Line> {
    let of_pool = |(name, after)| of_pool(name, config.virtual_servers.get(name)?, before.get(name)?, after);
    changed.iter().filter_map(of_pool).collect()
}

/// What a change of a target has done to a virtual server.
struct Effect<'c> {
    name: &'c Name,
    was: Option<Place>,
    is: Option<Place>,
    /// Real servers that are in, and all.
    up: (usize, usize),
}

fn of_target<'c>(news: &News, mut effects: impl ExactSizeIterator<Item = Effect<'c>>) -> String {
    let Target { address, port, monitor, via } = &news.target;
    let port = if *port == 0 { String::new() } else { format!(" {port}") };
    let is = match news.verdict.state {
        State::Up => "up".to_owned(),
        State::Unknown => "not known".to_owned(),
        State::Down => format!("down: {}", news.reason),
    };
    let through = via.map_or(String::new(), |way| format!(" through {}", way.virtual_));
    let mut text = format!("health-monitor {monitor}: {address}{port}{through} is {is}");
    for Effect { name, was, is, up } in effects.by_ref().take(NAMED_MAX) {
        let effect = match is {
            now if now == was => "nothing changes".to_owned(),
            Some(Place::In(weight)) => format!("gets weight {weight}"),
            Some(Place::Inhibited) => "gets weight 0".to_owned(),
            Some(Place::Out) | None => "is taken out".to_owned(),
        };
        text.push_str(&format!("; virtual-server {name}: {effect}, {} of {} are in", up.0, up.1));
    }
    if effects.len() > 0 {
        text.push_str(&format!("; and in {} more virtual servers", effects.len()));
    }
    text
}

/// Real servers that are in, and all.
pub(crate) fn counts(pool: &Pool) -> (usize, usize) {
    (pool.places.values().filter(|place| matches!(place, Place::In(_))).count(), pool.places.len())
}

fn of_pool(name: &Name, server: &VirtualServer, before: &Pool, after: &Pool) -> Option<Line> {
    let line = |bad, text: &str| Some(Line { bad, text: format!("virtual-server {name}: {text}") });
    let sorry = server.sorry_server.map(|sorry| format!("{} {}", sorry.address, port_word(sorry.port)));
    match (before.open, after.open) {
        (false, true) => return line(true, "all real servers have failed, it balances as if none had (fail-open)"),
        (true, false) if after.has_quorum() => {
            return line(false, "a real server is back, only those that are up get clients");
        }
        _ => {}
    }
    match (before.has_quorum(), after.has_quorum(), sorry) {
        (true, false, Some(sorry)) => line(true, &format!("quorum is lost, new clients go to sorry-server {sorry}")),
        (true, false, None) if counts(after).0 == 0 => line(true, "no real server is left"),
        (true, false, None) => line(true, "quorum is lost"),
        (false, true, _) => line(false, "quorum is there"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use yoke_health::{Verdict, Way};

    use super::*;

    #[test]
    fn that_a_virtual_address_is_not_asked_is_said_once() {
        let news = |server: u8, aside: Option<&str>| News {
            target: Target {
                address: [10, 0, 0, server].into(),
                port: 80,
                monitor: "m".parse().unwrap(),
                via: Some(Way { virtual_: [192, 0, 2, 10].into(), tunnel: None }),
            },
            change: None,
            verdict: Verdict::UNKNOWN,
            reason: String::new(),
            aside: Some(aside.map(str::to_owned)),
        };
        let mut asides = BTreeMap::new();
        let mut said = |server: u8, aside: Option<&str>| {
            of_ways(&[&news(server, aside)], &mut asides).into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        let line = "health-check: real servers are asked at their own addresses and not through 192.0.2.10: no route";
        assert_eq!(said(1, Some("no route")), [line]);
        assert_eq!(said(2, Some("no route")), [""; 0]);
        assert_eq!(said(1, None), [""; 0], "the other one is not yet");
        assert_eq!(said(2, None), ["health-check: real servers are asked through 192.0.2.10 again"]);
    }
}
