//! Cables that go in and out faster than anybody could: everything that hangs on them has to be as it was afterwards, and to answer.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::net::{Ns, addr};
use crate::runner::World;
use crate::traffic;
use crate::wait;

/// Times that each cable is pulled and put back.
const TIMES: u32 = 20;
/// Until a box has everything as it was: a group waits for three adverts, addresses of IPv6 for nobody to have them.
const BACK: Duration = Duration::from_secs(60);

/// A bond, a VLAN on it, both families, a route through each card, a VIP of IPVS, and addresses of groups with and without a MAC of its own.
const MORE: &[&str] = &[
    "interface eth0",
    "ipv6 address 2001:db8:1::2/64",
    "interface bond0",
    "member eth1",
    "bond-mode active-backup",
    "ip address 10.0.20.2/24",
    "ipv6 address 2001:db8:20::2/64",
    "interface bond0.30",
    "ip address 10.0.30.2/24",
    "exit",
    "ip route 198.18.5.0/24 203.0.113.1",
    "ip route 198.18.77.0/24 10.0.30.9",
    "ipv6 route 2001:db8:5::/64 2001:db8:1::1",
    "virtual-server web",
    "virtual 203.0.113.10 tcp 80",
    "real-server 10.0.20.11 8080",
    "exit",
    "exit",
    "vrrp group plain",
    "vrid 7 interface eth0",
    "address 203.0.113.201/24",
    "exit",
    "vrrp group own",
    "vrid 8 interface eth0",
    "use-vmac",
    "address 203.0.113.202/24",
];
const LESS: &[&str] = &[
    "no vrrp group own",
    "no vrrp group plain",
    "no virtual-server web",
    "no ip route 198.18.5.0/24",
    "no ip route 198.18.77.0/24",
    "no ipv6 route 2001:db8:5::/64",
    "no interface bond0.30",
    "no interface bond0",
    "interface eth0",
    "no ipv6 address",
];

/// Leaves the box as it was.
pub(super) fn check(world: &mut World) -> Result<()> {
    world.console()?.configure(MORE)?;
    wait::until("everything to answer", BACK, || all_answer(world))?;
    let before = facts(world)?;
    for _ in 0..TIMES {
        for card in [0, 1] {
            world.vm()?.set_link(card, false)?;
        }
        // For as long as nobody answers a ping: a box that is emulated has to see it.
        let gone = Ns::Client.command("ping").args(["-c", "1", "-W", "0.1", addr::DIRECTOR]).output()?;
        ensure!(!gone.status.success(), "the cable is not out");
        for card in [0, 1] {
            world.vm()?.set_link(card, true)?;
        }
    }
    // Somebody had to notice, or nothing was tried.
    let log = world.console()?.ok("show logging | include vrrpd")?.text();
    ensure!(log.contains("interface down"), "no cable was out: {log}");
    wait::until("everything to be as it was", BACK, || {
        let after = facts(world)?;
        ensure!(after == before, "before: {before:?}\nafter: {after:?}");
        Ok(())
    })?;
    wait::until("everything to answer again", BACK, || all_answer(world))?;
    world.console()?.configure(LESS)
}

/// Interfaces with their addresses and states, routes, and what the groups are.
fn facts(world: &mut World) -> Result<[Value; 4]> {
    let console = world.console()?;
    let mut interfaces = console.json("show interfaces")?;
    for row in interfaces["interfaces"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        row.retain(|key, _| ["name", "state", "addresses", "mac", "mtu"].contains(&key.as_str()));
    }
    let mut groups = console.json("show vrrp")?;
    for row in groups["vrrp"]["groups"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        row.retain(|key, _| ["name", "state"].contains(&key.as_str()));
    }
    Ok([interfaces, console.json("show ip route")?, console.json("show ipv6 route")?, groups["vrrp"]["groups"].take()])
}

/// Every address, the balanced service, and what is behind each route.
fn all_answer(world: &mut World) -> Result<()> {
    for address in [addr::DIRECTOR, "2001:db8:1::2", "203.0.113.201", "203.0.113.202"] {
        answers_once(address)?;
    }
    traffic::http(addr::VIP_NAT)?;
    let console = world.console()?;
    for behind in ["198.18.5.11", "10.0.20.11", "2001:db8:5::11", "2001:db8:20::11"] {
        let said = console.run(&format!("ping {behind} count 1"))?.text();
        ensure!(said.contains("1 received"), "{behind}: {said}");
    }
    Ok(())
}

fn answers_once(address: &str) -> Result<()> {
    let ping = Ns::Client.command("ping").args(["-c", "1", "-W", "1", address]).output()?;
    ensure!(ping.status.success(), "{address} does not answer");
    Ok(())
}
