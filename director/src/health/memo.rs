//! What is known of real servers, for the next director: `/run/yoke/health.json`. A reboot forgets it, as it should.
//!
//! A journal, a line of JSON for each target and virtual server, of which the last one counts: what a verdict costs does not depend on how many
//! servers there are. It is written anew when the configuration has changed what is probed, and when it has become twice as long as it need be.
//! A last line that was cut off, by the end of a director, is of a verdict that has not taken effect.
//!
//! A file that is not there or not readable is nothing known: every server has to prove itself. A failure to write is logged; then a
//! director that is restarted asks before it balances, which costs seconds and no client meets a dead server.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use yoke_config::model::{Checksum, Tunnel};
use yoke_config::value::Name;
use yoke_health::{State, Target, Verdict, Way, tunnel_text};

use super::Health;
use crate::files::{self, Medium, Paths};
use crate::reconcile::Pools;

/// Lines that are added at least before it is written anew.
const ADDED_MIN: usize = 1_000;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Target(Known),
    /// Whether a virtual server has its quorum; `None` while it never had.
    Quorum(String, Option<bool>),
}

/// A target that was probed.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    address: IpAddr,
    port: u16,
    monitor: String,
    /// The virtual address that is asked.
    #[serde(default)]
    via: Option<IpAddr>,
    /// By which tunnel, as [`tunnel_text`] says it.
    #[serde(default)]
    way: String,
    /// From which port.
    #[serde(default)]
    from: Option<u16>,
    up: bool,
    /// Milliseconds since boot.
    since_ms: u64,
    proven: bool,
    reason: String,
}

impl Known {
    fn new(health: &Health, target: &Target, verdict: &Verdict) -> Self {
        Self {
            address: target.address,
            port: target.port,
            monitor: target.monitor.to_string(),
            via: target.via.map(|way| way.virtual_),
            way: target.via.map(|way| tunnel_text(way.tunnel)).unwrap_or_default(),
            from: health.ports.of(target),
            up: verdict.state == State::Up,
            since_ms: u64::try_from(verdict.since.as_millis()).unwrap_or(u64::MAX),
            proven: verdict.proven,
            reason: health.reasons.get(target).cloned().unwrap_or_default(),
        }
    }
}

/// The journal that is open.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Lines when it was written anew, and since.
    lines: usize,
    added: usize,
    /// As it says.
    quorum: BTreeMap<Name, Option<bool>>,
}

/// Writes all of it.
pub(super) fn save(paths: &Paths, health: &mut Health) {
    let probed = health.verdicts.iter().filter(|(_, verdict)| verdict.state != State::Unknown);
    let targets = probed.map(|(target, verdict)| Line::Target(Known::new(health, target, verdict)));
    let elsewhere = health.had_quorum.iter().filter(|(name, _)| !health.pools.contains_key(*name));
    let pools = health.pools.iter().map(|(name, pool)| (name, pool.quorum));
    let quorum: BTreeMap<Name, Option<bool>> =
        pools.chain(elsewhere.map(|(name, had)| (name, *had))).map(|(name, had)| (name.clone(), had)).collect();
    let of_quorum = quorum.iter().map(|(name, had)| Line::Quorum(name.to_string(), *had));
    let lines: Vec<Line> = targets.chain(of_quorum).collect();
    health.journal = None;
    let written = emit(&lines).and_then(|text| {
        files::replace(&paths.health(), &text, 0o600, Medium::Memory)?;
        OpenOptions::new().append(true).open(paths.health())
    });
    match written {
        Ok(file) => {
            health.journal = Some(Journal { file, lines: lines.len(), added: 0, quorum });
        }
        Err(error) => fail(paths, &error),
    }
}

/// What is there is of earlier: a director that believed it might let a dead server in, one that finds nothing asks first.
fn fail(paths: &Paths, error: &io::Error) {
    log::error!("{}: {error}", paths.health().display());
    let _ = std::fs::remove_file(paths.health());
}

/// Adds what has become of `targets`, and the quorum of the virtual servers of `pools`, those that change, where it has turned.
pub(super) fn add<'t>(paths: &Paths, health: &mut Health, targets: impl Iterator<Item = &'t Target>, pools: &Pools) {
    let known =
        targets.filter_map(|target| Some(Line::Target(Known::new(health, target, health.verdicts.get(target)?))));
    let had = |name: &Name| health.journal.as_ref().and_then(|journal| journal.quorum.get(name).copied());
    let turned: Vec<(Name, Option<bool>)> = pools
        .iter()
        .filter(|(name, pool)| Some(pool.quorum) != had(name))
        .map(|(name, pool)| (name.clone(), pool.quorum))
        .collect();
    let lines: Vec<Line> = known.chain(turned.iter().map(|(name, had)| Line::Quorum(name.to_string(), *had))).collect();
    if lines.is_empty() {
        return;
    }
    let added = emit(&lines).and_then(|text| match &mut health.journal {
        Some(journal) if journal.added + lines.len() <= journal.lines.max(ADDED_MIN) => {
            journal.file.write_all(&text)?;
            journal.added += lines.len();
            journal.quorum.extend(turned);
            Ok(true)
        }
        _ => Ok(false),
    });
    match added {
        Ok(true) => {}
        // Also what is not in effect yet of `pools`.
        Ok(false) => {
            let before = health.pools.clone();
            health.pools.extend(pools.clone());
            save(paths, health);
            health.pools = before;
        }
        Err(error) => {
            // What was written of it may end within a line: the next time all is written.
            health.journal = None;
            fail(paths, &error);
        }
    }
}

fn emit(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The reverse of [`tunnel_text`].
fn tunnel(text: &str) -> Option<Tunnel> {
    let checksum = |number: &str| {
        let all = [Checksum::None, Checksum::Full, Checksum::Remote];
        all.into_iter().find(|checksum| number.parse() == Ok(*checksum as u8))
    };
    match text.split(' ').collect::<Vec<_>>().as_slice() {
        ["ipip"] => Some(Tunnel::Ipip),
        ["gue", port, number] => Some(Tunnel::Gue(port.parse().ok()?, checksum(number)?)),
        ["gre", number] => Some(Tunnel::Gre(checksum(number)?)),
        _ => None,
    }
}

/// Reads it into `health`.
pub(super) fn load(paths: &Paths, health: &mut Health) {
    let bytes = std::fs::read(paths.health()).unwrap_or_default();
    for line in bytes.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Line::Target(known)) => learn(health, known),
            Ok(Line::Quorum(name, had)) => health.had_quorum.extend(name.parse().ok().map(|name| (name, had))),
            Err(_) => {}
        }
    }
}

fn learn(health: &mut Health, known: Known) {
    let Ok(monitor) = known.monitor.parse() else { return };
    let tunnel = if known.way == "dr" { Some(None) } else { tunnel(&known.way).map(Some) };
    let via = known.via.zip(tunnel).map(|(virtual_, tunnel)| Way { virtual_, tunnel });
    let target = Target { address: known.address, port: known.port, monitor, via };
    if let Some(port) = known.from {
        health.ports.keep(target.clone(), port);
    }
    let state = if known.up { State::Up } else { State::Down };
    let since = Duration::from_millis(known.since_ms);
    health.verdicts.insert(target.clone(), Verdict { state, since, proven: known.proven });
    if known.up {
        health.reasons.remove(&target);
    } else {
        health.reasons.insert(target, known.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tunnel_is_read_as_it_was_written() {
        let checksums = [Checksum::None, Checksum::Full, Checksum::Remote];
        let all = checksums.into_iter().flat_map(|checksum| [Tunnel::Gue(6080, checksum), Tunnel::Gre(checksum)]);
        for one in all.chain([Tunnel::Ipip]) {
            assert_eq!(tunnel(&tunnel_text(Some(one))), Some(one));
        }
        assert_eq!((tunnel("gre 3"), tunnel("gue 1"), tunnel("")), (None, None, None));
    }
}
