//! What `show vrrp` prints.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vrrp::status::{self, Status};
use vrrp::{Counters, Family, Instant, Router};

use super::io::Io;
use super::units::Units;
use crate::group::{Group, Strange};
use crate::links::Links;

/// For how long a strange advertisement is worth a warning.
const STRANGE: Duration = Duration::from_secs(60);

impl Units {
    pub(crate) fn status(&self, now: Instant, io: &Io, links: &Links) -> Status {
        let mut status = Status::default();
        for unit in self.units.values() {
            for (group, router) in unit.groups.iter().zip(unit.sync.members()) {
                let sync_group = unit.sync_group.as_ref().map(ToString::to_string);
                warnings(group, router, now, &mut status.warnings);
                status.groups.push(self::group(group, router, sync_group, now, links));
            }
        }
        // Names of groups have digits in them.
        status.groups.sort_by_cached_key(|group| group.name.parse::<yoke_config::value::Name>().ok());
        for ((ifindex, family), port) in &io.ports {
            let link = links.get(*ifindex);
            status.interfaces.push(status::Interface {
                name: link.map(|link| link.name.clone()).unwrap_or_default(),
                family: word(*family).to_owned(),
                up: link.is_some_and(|link| link.up),
                discarded: discards(&port.counters),
            });
        }
        status
    }
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn mac(mac: vrrp::announce::Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn group(group: &Group, router: &Router, sync_group: Option<String>, now: Instant, links: &Links) -> status::Group {
    let wanted = &group.wanted;
    let stats = router.stats();
    let last = router.last_transition();
    let mut counters = discards(group.gate.counters());
    for (name, count) in [
        ("addresses differ", group.gate.counters().addresses_differ()),
        ("interval differs", group.gate.counters().interval_differs()),
    ] {
        if count > 0 {
            counters.insert(name.to_owned(), count);
        }
    }
    status::Group {
        name: wanted.name.to_string(),
        sync_group,
        vrid: wanted.identity.vrid.get(),
        interface: wanted.interface.to_string(),
        version: wanted.identity.protocol.version().number(),
        family: word(group.family()).to_owned(),
        state: router.role().to_string(),
        since_ms: last.map_or(0, |last| millis(now.since(last.at))),
        why: last.map(|last| last.why.to_string()).unwrap_or_default(),
        before: last.map(|last| last.from.to_string()).unwrap_or_default(),
        faults: router.faults().iter().map(|fault| fault.to_string()).collect(),
        down: group.tracker.down().map(ToString::to_string).collect(),
        priority: router.priority().get(),
        priority_configured: router.config().priority.get(),
        interval_ms: millis(router.config().interval.duration()),
        source: group.source,
        virtual_mac: group.vmac.as_ref().map(|(vmac, _)| mac(vmac.mac)),
        peers: wanted.peers.clone(),
        addresses: wanted.addresses.iter().map(|address| address.net.to_string()).collect(),
        held: group.held(links),
        peer: router.peer().map(|peer| self::peer(peer, now)),
        conflict: conflict(router, now).map(|peer| self::peer(peer, now)),
        totals: status::Totals {
            sent: stats.sent,
            resigned: stats.resigned,
            send_errors: group.send_errors,
            heard: stats.heard,
            heard_resigned: stats.heard_resigned,
            became_active: stats.became_active,
            conflicts: stats.conflicts,
            late_max_us: u64::try_from(stats.late_max.as_micros()).unwrap_or(u64::MAX),
        },
        counters,
    }
}

fn peer(peer: &vrrp::router::Peer, now: Instant) -> status::Peer {
    status::Peer {
        address: peer.heard.source,
        priority: peer.heard.priority.number(),
        interval_ms: millis(peer.heard.interval.duration()),
        heard_ms: millis(now.since(peer.at)),
    }
}

/// Who has claimed our addresses within the time after which it counts as gone.
fn conflict(router: &Router, now: Instant) -> Option<&vrrp::router::Peer> {
    let conflict = router.conflict()?;
    let config = router.config();
    let fresh = now.since(conflict.peer.at) <= config.interval.active_down(config.priority);
    (router.role() == vrrp::router::Role::Active && fresh).then_some(&conflict.peer)
}

fn discards(counters: &Counters) -> BTreeMap<String, u64> {
    counters.discards().map(|(why, count)| (why.to_string(), count)).collect()
}

fn warnings(group: &Group, router: &Router, now: Instant, out: &mut Vec<String>) {
    let object = format!("vrrp group {}", group.wanted.name);
    if let Some(peer) = conflict(router, now) {
        let address: IpAddr = peer.heard.source;
        out.push(format!(
            "{object}: {address} claims its addresses too, with priority {}",
            peer.heard.priority.number()
        ));
    }
    let fresh = |strange: &&Strange| now.since(strange.at) <= STRANGE;
    if let Some(strange) = group.discarded.as_ref().filter(fresh) {
        out.push(format!("{object}: advertisements of {} are not believed: {}", strange.source, strange.why));
    }
    if let Some(strange) = group.differs.as_ref().filter(fresh) {
        out.push(format!("{object}: {} advertises {}", strange.source, strange.why));
    }
    for fault in router.faults().iter() {
        out.push(format!("{object}: takes no part: {fault}"));
    }
}
