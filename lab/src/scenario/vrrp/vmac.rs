//! The virtual MAC: who asks for an address gets it and no other, it moves with the address without the neighbours' help, and a box
//! that is not active neither answers nor takes in what is sent to it.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{LIMIT, VIP, state, vip, wait_backup};
use crate::pair::{Pair, Side};
use crate::runner::Scene;
use crate::wait;

/// Of VRID 51 (RFC 9568 §7.3).
const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];
const MAC6: [u8; 6] = [0, 0, 0x5e, 0, 2, 51];

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>, dir: &Path) {
    scene.check("a_virtual_mac_answers_moves_heals_and_goes", |_| moves(dir));
    scene.check("a_virtual_mac_shared_with_keepalived", |_| with_keepalived(dir));
}

fn config(side: Side, vmac: bool) -> String {
    let (priority, word) = (super::priority(side), if vmac { " use-vmac\n" } else { "" });
    format!(
        "vrrp group v\n vrid 51 interface eth0\n priority {priority}\n address 10.77.0.100/24\n{word}\
         vrrp group w\n vrid 51 interface eth0\n priority {priority}\n address fe80::51/64\n address 2001:db8:77::51/64\n{word}"
    )
}

fn vip6() -> IpAddr {
    IpAddr::from([0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x51])
}

/// Both addresses are here and nowhere else, answer the third host, and it sees them behind the virtual MAC.
fn serves(pair: &Pair, side: Side) -> Result<()> {
    for (address, mac) in [(vip(), MAC), (vip6(), MAC6)] {
        pair.wait_holder(side, address, LIMIT)?;
        wait::until(&format!("{address} to answer from side {side:?}"), LIMIT, || {
            pair.ping(address)?;
            ensure!(pair.neighbour(address)? == Some(mac), "behind {:?}", pair.neighbour(address)?);
            Ok(())
        })?;
    }
    // And the box's own address behind its own.
    pair.ping(side.v4())?;
    ensure!(pair.neighbour(side.v4())? == Some([2, 0x77, 0, 0, 0, side.number()]), "{:?}", pair.neighbour(side.v4())?);
    Ok(())
}

fn virtual_interfaces(pair: &Pair, side: Side) -> Result<Vec<(String, bool)>> {
    let links = pair.links(side)?;
    Ok(links.into_iter().filter(|(name, _)| name.starts_with("vrrp")).collect())
}

fn moves(dir: &Path) -> Result<()> {
    let mut pair = Pair::up("vmac", dir)?;
    pair.vrrpd(Side::A, &config(Side::A, true))?;
    serves(&pair, Side::A)?;
    pair.vrrpd(Side::B, &config(Side::B, true))?;
    wait_backup(&pair, Side::B)?;
    let status = pair.status(Side::A)?;
    ensure!(status.groups[0].virtual_mac.as_deref() == Some("00:00:5e:00:01:33"), "{:?}", status.groups[0]);
    ensure!(status.groups[1].virtual_mac.as_deref() == Some("00:00:5e:00:02:33"), "{:?}", status.groups[1]);
    // A backup's is down: what a switch floods is not taken in, and not forwarded.
    let there = virtual_interfaces(&pair, Side::B)?;
    ensure!(there.len() == 2 && there.iter().all(|(_, up)| !up), "{there:?}");

    // The neighbour's entry needs no change: its switch learns the new port from the first advertisement.
    pair.port(Side::A, false)?;
    serves(&pair, Side::B)?;
    pair.port(Side::A, true)?;
    wait_backup(&pair, Side::A)?;

    // Both active, with the same MAC on both sides: they hear each other when they can.
    pair.cut(Side::B, true)?;
    wait::until("both to be active", LIMIT, || {
        ensure!(pair.holds(Side::A, vip())? && pair.holds(Side::B, vip())?, "not yet");
        Ok(())
    })?;
    pair.cut(Side::B, false)?;
    serves(&pair, Side::A).context("after the partition")?;
    wait_backup(&pair, Side::B)?;

    // Killed, it goes on with what it finds.
    pair.signal(Side::A, Signal::SIGKILL)?;
    pair.vrrpd(Side::A, &config(Side::A, true))?;
    wait::until("the new life to go on", LIMIT, || {
        let group = pair.status(Side::A)?.groups[0].clone();
        ensure!(group.why == "restarted while active" && group.totals.sent >= 3, "{group:?}");
        Ok(())
    })?;
    serves(&pair, Side::A).context("after a restart")?;

    // Sent by the virtual MAC, and by it alone.
    pair.forget();
    wait::until("advertisements", LIMIT, || {
        let adverts = pair.heard().adverts;
        ensure!(adverts.iter().any(|advert| advert.source == Side::A.v4()), "none yet");
        ensure!(adverts.iter().any(|advert| advert.source == Side::A.v6()), "none yet");
        let right = |mac: [u8; 6]| mac == MAC || mac == MAC6;
        ensure!(adverts.iter().all(|advert| right(advert.mac)), "{adverts:?}");
        Ok(())
    })?;

    // By a change of the configuration it comes and goes.
    pair.reload(Side::B, &config(Side::B, false))?;
    ensure!(virtual_interfaces(&pair, Side::B)?.is_empty(), "{:?}", virtual_interfaces(&pair, Side::B)?);
    pair.reload(Side::B, &config(Side::B, true))?;
    wait::until("its interfaces", LIMIT, || {
        ensure!(virtual_interfaces(&pair, Side::B)?.len() == 2, "{:?}", virtual_interfaces(&pair, Side::B)?);
        Ok(())
    })?;
    // What a hand takes away comes back.
    let name = virtual_interfaces(&pair, Side::A)?.first().context("an interface")?.0.clone();
    pair.ip(Side::A, &["link", "del", &name])?;
    serves(&pair, Side::A).context("after its interface was removed")?;
    // And what it switches is switched back: up while active, and only then.
    for (side, word) in [(Side::A, "down"), (Side::B, "up")] {
        for (name, _) in virtual_interfaces(&pair, side)? {
            pair.ip(side, &["link", "set", &name, word])?;
        }
        wait::until("its interfaces to be as they were", LIMIT, || {
            let there = virtual_interfaces(&pair, side)?;
            ensure!(there.iter().all(|(_, up)| *up == (side == Side::A)), "side {side:?}: {there:?}");
            Ok(())
        })?;
        serves(&pair, Side::A).with_context(|| format!("after those of side {side:?} were taken {word}"))?;
    }

    pair.signal(Side::A, Signal::SIGTERM)?;
    serves(&pair, Side::B)?;
    ensure!(virtual_interfaces(&pair, Side::A)?.is_empty(), "an orderly end left something");
    pair.signal(Side::B, Signal::SIGKILL)?;
    pair.release(Side::B)?;
    ensure!(virtual_interfaces(&pair, Side::B)?.is_empty() && !pair.holds(Side::B, vip())?, "a release left something");
    let heard = pair.heard();
    ensure!(heard.wrong.is_empty(), "{:?}", heard.wrong);
    Ok(())
}

/// keepalived with `use_vmac` on side B, ours on A, both roles.
fn with_keepalived(dir: &Path) -> Result<()> {
    let mut pair = Pair::up("kmac", dir)?;
    let address = IpAddr::from(VIP);
    let theirs = "global_defs {\n router_id b\n}\nvrrp_instance v {\n state BACKUP\n interface eth0\n virtual_router_id 51\n \
                  priority 100\n version 3\n advert_int 0.1\n use_vmac\n virtual_ipaddress {\n  10.77.0.100/24\n }\n}\n";
    let ours = "vrrp group v\n vrid 51 interface eth0\n priority 200\n preempt\n address 10.77.0.100/24\n use-vmac\n";
    let behind = |pair: &Pair, side| {
        pair.wait_holder(side, address, LIMIT)?;
        wait::until("an answer from behind the virtual MAC", LIMIT, || {
            pair.ping(address)?;
            ensure!(pair.neighbour(address)? == Some(MAC), "{:?}", pair.neighbour(address)?);
            Ok(())
        })
    };
    pair.keepalived(Side::B, theirs)?;
    behind(&pair, Side::B).context("keepalived alone")?;
    pair.vrrpd(Side::A, ours)?;
    behind(&pair, Side::A).context("ours preempts")?;
    ensure!(state(&pair, Side::A)? == "active", "{}", state(&pair, Side::A)?);
    pair.signal(Side::A, Signal::SIGTERM)?;
    behind(&pair, Side::B).context("ours resigns")?;
    pair.vrrpd(Side::A, ours)?;
    behind(&pair, Side::A).context("ours returns")?;
    let group = pair.status(Side::A)?.groups[0].clone();
    ensure!(group.counters.is_empty(), "{:?}", group.counters);
    Ok(())
}
