//! The kernel's one lock for network changes (RTNL) is held by others for seconds, as a driver that resets its card does: whoever opens a socket
//! on an interface, joins a group or adds an address waits. What runs goes on advertising meanwhile, to the millisecond.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{LIMIT, ours, priority, state, vip, wait_backup};
use crate::pair::{Hand, Pair, Side};
use crate::runner::Scene;
use crate::wait;

/// Interfaces that a change of the configuration brings groups to, and groups on each.
const INTERFACES: u8 = 20;
const GROUPS: u8 = 10;
/// Bridges that are removed in one go: the kernel waits for every processor after each, some 16 ms, and keeps the lock.
const BRIDGES: usize = 120;
/// The lock is held at least that long, or nothing was tested.
const HELD: Duration = Duration::from_millis(500);
/// The interval, and what an advertisement may be late by while all that happens: who waits for the lock is late by as long as it is held. This
/// machine has other things to do beside, which cost some milliseconds.
const INTERVAL: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_millis(20);

/// Tells it.
pub(in crate::scenario) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let dir = scene.world.dir.clone();
    scene.check("a_kernel_that_is_held_up_delays_no_advertisement", |_| undelayed(&dir));
    Ok(())
}

fn few(side: Side) -> String {
    ours(priority(side), "")
}

fn many(side: Side) -> String {
    let group = |number: u8| {
        let (interface, vrid) = (number / GROUPS + 1, number % GROUPS + 1);
        format!(
            "vrrp group g{number}\n vrid {vrid} interface eth{interface}\n address 10.78.{interface}.{}/24\n",
            100 + vrid
        )
    };
    (0..INTERFACES * GROUPS).map(group).fold(few(side), |text, group| text + &group)
}

fn undelayed(dir: &Path) -> Result<()> {
    let mut pair = Pair::up("held", dir)?;
    for number in 1..=INTERFACES {
        let (name, far) = (format!("eth{number}"), format!("far{number}"));
        pair.ip(Side::A, &["link", "add", &name, "up", "type", "veth", "peer", "name", &far])?;
        pair.ip(Side::A, &["link", "set", &far, "up"])?;
        pair.ip(Side::A, &["addr", "add", &format!("10.78.{number}.1/24"), "dev", &name])?;
    }
    pair.vrrpd(Side::A, &few(Side::A))?;
    pair.wait_holder(Side::A, vip(), LIMIT)?;
    pair.vrrpd(Side::B, &few(Side::B))?;
    wait_backup(&pair, Side::B)?;
    let mut hand = pair.hand(Side::A)?;
    for (what, config) in [("sockets are opened", many(Side::A)), ("sockets are closed", few(Side::A))] {
        hold(&pair, &mut hand)?;
        pair.forget();
        let begun = wait::now();
        pair.reload(Side::A, &config).context(what)?;
        let took = wait::now() - begun;
        ensure!(took >= HELD, "{what}: the change took {took:?}, the lock was free");
        punctual(&pair).with_context(|| format!("while {what}, a change that took {took:?}"))?;
    }
    // What was wanted is there all the same.
    pair.reload(Side::A, &many(Side::A))?;
    wait::until("every group to be active", LIMIT, || {
        let groups = pair.status(Side::A)?.groups;
        let right = groups.iter().filter(|group| group.state == "active" && group.held == 1).count();
        ensure!(right == 1 + usize::from(INTERFACES * GROUPS), "{right} of {}", groups.len());
        Ok(())
    })?;
    punctual(&pair).context("in the end")
}

/// Begins to hold the lock.
fn hold(pair: &Pair, hand: &mut Hand) -> Result<()> {
    (0..BRIDGES).try_for_each(|number| hand.say(&format!("link add h{number} group 7 up type bridge")))?;
    wait::until("the bridges", LIMIT, || {
        let there = pair.links(Side::A)?.iter().filter(|(name, up)| name.starts_with('h') && *up).count();
        ensure!(there == BRIDGES, "{there}");
        Ok(())
    })?;
    hand.say("link del group 7")?;
    // Until it has begun; that it had is seen in how long the others waited.
    std::thread::park_timeout(Duration::from_millis(50));
    Ok(())
}

/// No advertisement of the first group came late, and nobody else made any.
fn punctual(pair: &Pair) -> Result<()> {
    let adverts: Vec<_> = pair.heard().adverts.into_iter().filter(|advert| advert.vrid == 51).collect();
    ensure!(adverts.iter().all(|advert| advert.source == Side::A.v4()), "two were active: {adverts:?}");
    let gap = adverts.windows(2).map(|two| two[1].at - two[0].at).max().context("nothing was heard")?;
    ensure!(gap <= INTERVAL + LATE, "{gap:?} between two advertisements");
    ensure!(state(pair, Side::B)? == "backup", "{}", state(pair, Side::B)?);
    Ok(())
}
