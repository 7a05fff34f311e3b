//! What is known of real servers, for the next director: `/run/yoke/health.json`. A reboot forgets it, as it should.
//!
//! A file that is not there or not readable is nothing known: every server has to prove itself. A failure to write is logged once; then a
//! director that is restarted asks before it balances, which costs seconds and no client meets a dead server.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use yoke_config::model::{Checksum, Tunnel};
use yoke_health::{State, Target, Verdict, Way, tunnel_text};

use super::Health;
use crate::files::{self, Medium, Paths};
use crate::reconcile::Pools;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Memo {
    targets: Vec<Known>,
    /// Names of virtual servers with quorum.
    quorum: Vec<String>,
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

/// Writes it.
pub(super) fn save(paths: &Paths, health: &Health, pools: &Pools) {
    let known = |(target, verdict): (&Target, &Verdict)| Known {
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
    };
    let probed = health.verdicts.iter().filter(|(_, verdict)| verdict.state != State::Unknown);
    let quorum = pools.iter().filter(|(_, pool)| pool.quorum).map(|(name, _)| name.to_string());
    let memo = Memo { targets: probed.map(known).collect(), quorum: quorum.collect() };
    let json = serde_json::to_vec(&memo).map_err(std::io::Error::from);
    if let Err(error) = json.and_then(|json| files::replace(&paths.health(), &json, 0o600, Medium::Memory)) {
        log::error!("{}: {error}", paths.health().display());
    }
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
    let memo: Memo = serde_json::from_slice(&bytes).unwrap_or_default();
    for known in memo.targets {
        let Ok(monitor) = known.monitor.parse() else { continue };
        let tunnel = if known.way == "dr" { Some(None) } else { tunnel(&known.way).map(Some) };
        let via = known.via.zip(tunnel).map(|(virtual_, tunnel)| Way { virtual_, tunnel });
        let target = Target { address: known.address, port: known.port, monitor, via };
        if let Some(port) = known.from {
            health.ports.keep(target.clone(), port);
        }
        let state = if known.up { State::Up } else { State::Down };
        let since = Duration::from_millis(known.since_ms);
        health.verdicts.insert(target.clone(), Verdict { state, since, proven: known.proven });
        if !known.up {
            health.reasons.insert(target, known.reason);
        }
    }
    health.had_quorum = memo.quorum.iter().filter_map(|name| Some((name.parse().ok()?, true))).collect();
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
