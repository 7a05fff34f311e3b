//! IPv6, unicast, signed, and version 2 with its password, side by side on one pair: each is elected, heals after a partition, and moves;
//! and what a router that does not belong to the pair is told to be.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use vrrp::status::Group;

use super::{LIMIT, ours, priority, state};
use crate::pair::{Pair, Side};
use crate::runner::Scene;
use crate::wait;

/// From the return of a link to the last word of the router that loses, beyond one interval: two programs on a busy machine.
const BUSY: Duration = Duration::from_millis(150);
/// Until the winner has announced its addresses after that: at most the gap between two announcements (100 ms).
const ANNOUNCED: Duration = Duration::from_millis(250);

/// The groups: VRID, an address, interval.
const KINDS: [(u8, &str, Duration); 5] = [
    (52, "2001:db8:77::52", Duration::from_millis(100)),
    (53, "10.77.0.53", Duration::from_millis(100)),
    (54, "fe80::54", Duration::from_millis(100)),
    (55, "10.77.0.55", Duration::from_millis(100)),
    (56, "10.77.0.56", Duration::from_secs(1)),
];

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>, dir: &Path) {
    scene.check("every_kind_of_group_at_once", |_| at_once(dir));
    scene.check("a_stranger_with_the_same_vrid_is_named", |_| stranger(dir));
}

fn config(side: Side) -> String {
    format!(
        "vrrp group six\n vrid 52 interface eth0\n priority {p}\n address fe80::52/64\n address 2001:db8:77::52/64\n\
         vrrp group uni\n vrid 53 interface eth0\n priority {p}\n address 10.77.0.53/24\n peer {peer}\n\
         vrrp group uni6\n vrid 54 interface eth0\n priority {p}\n address fe80::54/64\n peer {peer6}\n\
         vrrp group signed\n vrid 55 interface eth0\n priority {p}\n address 10.77.0.55/24\n authentication hmac key 1 {key}\n\
         vrrp group old\n vrid 56 interface eth0\n priority {p}\n version 2\n address 10.77.0.56/24\n authentication text 1111\n",
        p = priority(side),
        peer = side.other().v4(),
        peer6 = side.other().v6(),
        key = "0123456789abcdef0123456789abcdef",
    )
}

fn at_once(dir: &Path) -> Result<()> {
    let mut pair = Pair::up("kind", dir)?;
    let addresses: Vec<IpAddr> = KINDS.iter().map(|(_, text, _)| text.parse()).collect::<Result<_, _>>()?;
    pair.vrrpd(Side::A, &config(Side::A))?;
    for address in &addresses {
        pair.wait_holder(Side::A, *address, LIMIT)?;
    }
    pair.vrrpd(Side::B, &config(Side::B))?;
    wait::until("every group to hear its peer", LIMIT, || {
        let status = pair.status(Side::B)?;
        ensure!(status.warnings.is_empty(), "{:?}", status.warnings);
        let right = |group: &Group| group.peer.is_some() && group.counters.is_empty();
        ensure!(status.groups.iter().all(right), "{:?}", status.groups);
        Ok(())
    })?;
    heals(&pair, &addresses)?;
    pair.signal(Side::A, Signal::SIGTERM)?;
    for address in &addresses {
        pair.wait_holder(Side::B, *address, LIMIT)?;
    }
    let heard = pair.heard();
    ensure!(heard.wrong.is_empty(), "{:?}", heard.wrong);
    let announced = |address: &IpAddr| heard.announcements.iter().any(|a| a.address == *address && a.mac[5] == 2);
    ensure!(addresses.iter().all(announced), "{:?}", heard.announcements);
    Ok(())
}

/// Both boxes alive and active without the link between them; it returns, and the better one has everything within an interval.
fn heals(pair: &Pair, addresses: &[IpAddr]) -> Result<()> {
    pair.cut(Side::B, true)?;
    wait::until("both to be active", LIMIT, || {
        for side in Side::BOTH {
            let groups = pair.status(side)?.groups;
            ensure!(groups.iter().all(|group| group.state == "active"), "side {side:?}: {groups:?}");
        }
        Ok(())
    })?;
    pair.forget();
    pair.cut(Side::B, false)?;
    let healed = now()?;
    for address in addresses {
        pair.wait_holder(Side::A, *address, LIMIT).context("after the partition")?;
    }
    // What is announced after the loser's last word is heard by now or never.
    wait::until("the winner to announce everything", LIMIT, || {
        let heard = pair.heard();
        for (vrid, address, every) in KINDS {
            let address: IpAddr = address.parse()?;
            let of_b = |source: IpAddr| source == Side::B.v4() || source == Side::B.v6();
            // Unicast is not for the third host to hear, but for what the switch has flooded: then the announcement alone is looked at.
            let last = heard.adverts.iter().rfind(|advert| advert.vrid == vrid && of_b(advert.source));
            let last = last.map_or(healed, |advert| advert.at);
            ensure!(last <= healed + every + BUSY, "vrid {vrid}: B spoke {:?} after the link returned", last - healed);
            let own = |a: &&crate::pair::Announcement| a.address == address && a.mac == [2, 0x77, 0, 0, 0, 1];
            let first = heard.announcements.iter().filter(own).find(|a| a.at >= last);
            let first = first.with_context(|| format!("{address}: not announced after B's last word"))?;
            let late = first.at.saturating_sub(healed);
            ensure!(late <= every + BUSY + ANNOUNCED, "{address}: announced {late:?} after the link returned");
        }
        Ok(())
    })
}

/// Since 1970, as the third host's packets have it.
#[expect(clippy::disallowed_methods, reason = "compared with the kernel's time of packets")]
fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// Another router of the network has the same number: by its addresses, and by the key that it does not have.
fn stranger(dir: &Path) -> Result<()> {
    let mut pair = Pair::up("strn", dir)?;
    pair.vrrpd(Side::A, &ours(200, ""))?;
    pair.wait_holder(Side::A, super::vip(), LIMIT)?;
    let warns = |pair: &Pair, wanted: &str| {
        wait::until(&format!("a warning: {wanted}"), LIMIT, || {
            let warnings = pair.status(Side::A)?.warnings;
            ensure!(warnings.iter().any(|warning| warning == wanted), "{warnings:?}");
            Ok(())
        })
    };
    ensure!(pair.status(Side::A)?.warnings.is_empty(), "{:?}", pair.status(Side::A)?.warnings);
    let other = "vrrp group theirs\n vrid 51 interface eth0\n priority 254\n preempt\n address 10.77.0.200/24\n";
    pair.vrrpd(Side::B, other)?;
    warns(&pair, "vrrp group v: 10.77.0.2 advertises other addresses")?;
    pair.signal(Side::B, Signal::SIGTERM)?;
    wait::until("ours to be active again", LIMIT, || {
        ensure!(state(&pair, Side::A)? == "active", "not yet");
        Ok(())
    })?;
    // Ours sign now, and it does not.
    pair.reload(Side::A, &ours(200, " authentication hmac key 1 0123456789abcdef0123456789abcdef\n"))?;
    pair.vrrpd(Side::B, other)?;
    wait::until("it not to be believed", LIMIT, || {
        let warnings = pair.status(Side::A)?.warnings;
        let wanted = "vrrp group v: advertisements of 10.77.0.2 are not believed: ";
        ensure!(warnings.iter().any(|warning| warning.starts_with(wanted)), "{warnings:?}");
        Ok(())
    })?;
    ensure!(state(&pair, Side::A)? == "active", "it was believed");
    Ok(())
}
