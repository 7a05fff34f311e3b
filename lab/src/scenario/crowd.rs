//! A pair of boxes with ten thousand established connections in each of modes nat, dr and tun, of which one box loses its power: none is lost,
//! whoever speaks first. Then the same addresses behind the virtual MAC, and a virtual server whose quorum costs priority.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::failover::{all, groups, mirrored, of};
use super::{PASSWORD, typed};
use crate::crowd::{Crowd, Host};
use crate::figure::{Figure, Goal};
use crate::net::{self, Ns, SERVERS, addr};
use crate::runner::{Scene, World, say};
use crate::vm::{Firmware, Machine};
use crate::wait;

/// Connections of each mode.
const CONNECTIONS: usize = 10_000;
/// Where it is enough that there are some.
const FEW: usize = 24;
/// From a change until the network shows it, on emulated machines.
const LIMIT: Duration = Duration::from_secs(60);
/// Until the other box knows every connection.
const SYNC_LIMIT: Duration = Duration::from_secs(120);
const CONFIG: &str = include_str!("../../config/crowd.cfg");
/// The virtual MAC, and what costs priority.
const VMAC: [&str; 7] = [
    "vrrp group outside",
    "use-vmac",
    "preempt",
    "track virtual-server nat weight 10",
    "vrrp group inside",
    "use-vmac",
    "preempt",
];
const VIPS: [(&str, &str); 3] = [("nat", addr::VIP_NAT), ("dr", addr::VIP_DR), ("tun", addr::VIP_TUN)];

/// Tells it.
pub(crate) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    let mut hosts = SERVERS.into_iter().map(Host::start).collect::<Result<Vec<_>>>()?;
    scene.boot(Machine { firmware: Firmware::Direct { append: String::new() }, ..Machine::default() })?;
    scene.must("a_pair_serves_every_mode", |world| {
        world.stop_captures();
        world.power_on_second()?;
        for server in SERVERS {
            net::ip(&["-n", &server.name(), "route", "replace", "default", "via", "10.0.20.1"])?;
        }
        for (number, config) in [(1, CONFIG.to_owned()), (2, mirrored(CONFIG))] {
            let console = of(world, number)?;
            console.first_password(PASSWORD)?;
            console.ok("terminal length 0")?;
            console.configure(&typed(&config))?;
            console.ok("write memory")?;
        }
        wait::until("the pair", LIMIT, || {
            all(world.console()?, "active")?;
            all(of(world, 2)?, "backup")
        })?;
        serve()
    })?;
    let mut crowds = scene.must("thousands_of_connections_are_known_to_the_other_box", |world| {
        let mut crowds = Vec::new();
        for (mode, vip) in VIPS {
            let begun = wait::now();
            crowds.push((mode, Crowd::gather(vip, CONNECTIONS).with_context(|| format!("mode {mode}"))?));
            say(&format!("  {CONNECTIONS} connections of mode {mode} in {:?}", wait::now() - begun));
        }
        let begun = wait::now();
        wait::until("every connection at the second box", SYNC_LIMIT, || everything_known(world, CONNECTIONS))?;
        say(&format!("  all known {:?} later", wait::now() - begun));
        Ok(crowds)
    })?;
    let lost = scene.must("all_speak_after_a_power_loss", |world| {
        world.cut_power()?;
        let cut = wait::now();
        let lost = words(&mut hosts, &mut crowds)?;
        say(&format!("  all have spoken {:?} after the power loss", wait::now() - cut));
        all(of(world, 2)?, "active")?;
        Ok(lost)
    })?;
    scene.figures(lost.iter().map(|(mode, lost)| {
        let what = format!("power loss, mode {mode}: of {CONNECTIONS} connections lost");
        Figure::plain(what, f64::from(u32::try_from(lost.len()).unwrap_or(u32::MAX)), "", Goal::AtMost(0.0))
    }));
    scene.check("none_of_them_is_lost_whoever_speaks_first", |_| {
        for (mode, lost) in &lost {
            ensure!(lost.is_empty(), "mode {mode}: {} of {CONNECTIONS} are lost, first {}", lost.len(), lost[0]);
        }
        Ok(())
    });
    drop(crowds);
    scene.must("the_virtual_mac_moves_with_the_addresses_of_every_mode", |world| {
        world.power_on()?;
        world.console()?.login("admin", PASSWORD)?;
        wait::until("the first box to be backup", LIMIT, || all(world.console()?, "backup"))?;
        for number in [1, 2] {
            of(world, number)?.configure(&VMAC)?;
        }
        wait::until("the better box", LIMIT, || all(world.console()?, "active"))?;
        serve()?;
        behind_the_virtual_mac()?;
        let mut crowds = few()?;
        wait::until("every connection at the second box", SYNC_LIMIT, || everything_known(world, FEW))?;
        world.cut_power()?;
        speak(&mut hosts, &mut crowds)?;
        all(of(world, 2)?, "active")?;
        behind_the_virtual_mac()
    })?;
    scene.check("a_virtual_server_without_its_quorum_costs_the_priority_of_its_weight", |world| {
        world.power_on()?;
        world.console()?.login("admin", PASSWORD)?;
        world.console()?.ok("terminal length 0")?;
        // It was not saved.
        world.console()?.configure(&VMAC)?;
        wait::until("the better box", LIMIT, || all(world.console()?, "active"))?;
        let mut crowds = few()?;
        wait::until("every connection at the second box", SYNC_LIMIT, || everything_known(world, FEW))?;
        for (word, holder, priority) in [("drain", 2, 244), ("undrain", 1, 254)] {
            for server in ["10.0.20.11", "10.0.20.12"] {
                world.console()?.ok(&format!("{word} real-server {server} virtual-server nat"))?;
            }
            wait::until(&format!("box {holder} after {word}"), LIMIT, || {
                all(of(world, holder)?, "active")?;
                all(of(world, 3 - holder)?, "backup")?;
                let rows = groups(world.console()?)?;
                let outside = rows.iter().find(|row| row["name"] == "outside").context("no group outside")?;
                ensure!(outside["priority"] == priority, "{outside}");
                Ok(())
            })?;
            speak(&mut hosts, &mut crowds).with_context(|| format!("after {word}"))?;
        }
        Ok(())
    });
    Ok(())
}

/// A few connections of each mode.
fn few() -> Result<Vec<(&'static str, Crowd)>> {
    VIPS.iter().map(|(mode, vip)| Ok((*mode, Crowd::gather(vip, FEW)?))).collect()
}

/// Every connection is alive.
fn speak(hosts: &mut [Host], crowds: &mut [(&str, Crowd)]) -> Result<()> {
    for (mode, lost) in words(hosts, crowds)? {
        ensure!(lost.is_empty(), "mode {mode}: {} are lost, first {}", lost.len(), lost[0]);
    }
    Ok(())
}

/// Has all of them speak, either end first; of each mode the connections that were lost.
fn words<'m>(hosts: &mut [Host], crowds: &mut [(&'m str, Crowd)]) -> Result<Vec<(&'m str, Vec<String>)>> {
    hosts.iter_mut().try_for_each(Host::speak)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = crowds.iter_mut().map(|(mode, crowd)| (*mode, scope.spawn(|| crowd.speak()))).collect();
        let lost = threads.into_iter().map(|(mode, thread)| Ok((mode, thread.join().ok().context("it panicked")??)));
        lost.collect()
    })
}

/// The client and the servers know the addresses of the pair behind the MACs of its virtual routers (RFC 9568 section 7.3).
fn behind_the_virtual_mac() -> Result<()> {
    let [outside, inside] = [51, 52].map(|vrid| format!("00:00:5e:00:01:{vrid:02x}"));
    for (ns, address, mac) in [
        (Ns::Client, addr::VIP_NAT, &outside),
        (Ns::Client, addr::VIP_DR, &inside),
        (Ns::Client, addr::VIP_TUN, &outside),
        (Ns::Server1, "10.0.20.1", &inside),
    ] {
        wait::until(&format!("{address} behind {mac}"), LIMIT, || {
            let shown = ns.command("ip").args(["neigh", "show", "to", address]).output()?;
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            ensure!(shown.contains(mac.as_str()), "{shown}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Every mode answers.
fn serve() -> Result<()> {
    for (mode, vip) in VIPS {
        wait::until(&format!("an answer in mode {mode}"), LIMIT, || Crowd::gather(vip, 1).map(drop))?;
    }
    Ok(())
}

/// The second box knows so many connections of each mode.
fn everything_known(world: &mut World, count: usize) -> Result<()> {
    for (mode, vip) in VIPS {
        let known = known(world, 2, vip)?;
        ensure!(known >= count, "{known} of {count} of mode {mode}");
    }
    Ok(())
}

/// Connections to a virtual address that a box knows.
fn known(world: &mut World, number: u32, vip: &str) -> Result<usize> {
    // In hexadecimal, in the order of the wire (ip_vs_conn_seq_show of the kernel).
    let octets = vip.parse::<std::net::Ipv4Addr>()?.octets();
    let vip: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    let vm = if number == 1 { world.vm()? } else { world.second()? };
    let shell = vm.shell.as_mut().context("a lab shell")?;
    let (_, said) = shell.run(&format!("grep -c '{vip} 1B58 .*ESTABLISHED' /proc/net/ip_vs_conn"))?;
    said.trim().parse().with_context(|| said.clone())
}
