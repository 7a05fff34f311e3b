//! The scenarios, in the order they begin: what the others rest on comes first, then what takes long, so that lanes end together.

mod bad_input;
mod balancing;
pub(crate) mod crowd;
mod disks;
mod failover;
mod faults;
mod firmware;
mod first_boot;
mod flash;
mod fullnat;
mod health;
mod install;
mod instruments;
mod ipvsadm;
mod kills;
mod links;
mod matrix;
mod operator;
mod paste;
mod peer;
mod power_cut;
mod power_cut_firmware;
mod privilege;
mod recover;
mod seed;
mod ssh;
mod stick;
mod time;
mod vrrp;
mod watchdog;

use std::time::Duration;

use anyhow::Result;

use crate::net::addr;
use crate::runner::{Rung, Scenario, World};
use crate::{traffic, wait};

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario { rung: Rung::Namespaces, name: "instruments", run: instruments::run },
    Scenario { rung: Rung::Namespaces, name: "vrrp", run: vrrp::run },
    Scenario { rung: Rung::Namespaces, name: "vrrp_held", run: vrrp::held::run },
    Scenario { rung: Rung::Vm, name: "first_boot", run: first_boot::run },
    Scenario { rung: Rung::Vm, name: "seed", run: seed::run },
    Scenario { rung: Rung::Vm, name: "matrix", run: matrix::run },
    Scenario { rung: Rung::Vm, name: "balancing", run: balancing::run },
    Scenario { rung: Rung::Vm, name: "faults", run: faults::run },
    Scenario { rung: Rung::Vm, name: "failover", run: failover::run },
    Scenario { rung: Rung::Vm, name: "peer", run: peer::run },
    Scenario { rung: Rung::Vm, name: "ipvsadm", run: ipvsadm::run },
    Scenario { rung: Rung::Vm, name: "flash", run: flash::run },
    Scenario { rung: Rung::Vm, name: "fullnat", run: fullnat::run },
    Scenario { rung: Rung::Vm, name: "firmware", run: firmware::run },
    Scenario { rung: Rung::Vm, name: "install", run: install::run },
    Scenario { rung: Rung::Vm, name: "ssh", run: ssh::run },
    Scenario { rung: Rung::Vm, name: "links", run: links::run },
    Scenario { rung: Rung::Vm, name: "operator", run: operator::run },
    Scenario { rung: Rung::Vm, name: "bad_input", run: bad_input::run },
    Scenario { rung: Rung::Vm, name: "paste", run: paste::run },
    Scenario { rung: Rung::Long, name: "watchdog", run: watchdog::run },
    Scenario { rung: Rung::Long, name: "recover", run: recover::run },
    Scenario { rung: Rung::Long, name: "rollback", run: install::returns },
    Scenario { rung: Rung::Long, name: "ports", run: privilege::every_port },
    Scenario { rung: Rung::Long, name: "crowd", run: crowd::run },
    Scenario { rung: Rung::Long, name: "power_cut", run: power_cut::run },
    Scenario { rung: Rung::Long, name: "kills", run: kills::run },
    Scenario { rung: Rung::Long, name: "disks", run: disks::run },
    Scenario { rung: Rung::Long, name: "stick", run: stick::run },
    Scenario { rung: Rung::Long, name: "cut_firmware", run: power_cut_firmware::run },
];

/// Admin's password on every box of the lab.
pub(crate) const PASSWORD: &str = "lab-Passw0rd";

/// From `reload` until everything has been stopped in order; each service has 5 s to do as it is told.
const OFF_LIMIT: Duration = Duration::from_secs(60);

/// From power-on to the first answer of a service that was saved.
const SERVING_LIMIT: Duration = Duration::from_secs(120);

/// The lines of a configuration file, as they are typed.
pub(crate) fn typed(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('!')).collect()
}

/// Makes a factory-fresh box that is on balance `www` over both servers by mode nat, with nothing saved yet.
pub(crate) fn serve_nat(world: &mut World) -> Result<()> {
    let console = world.console()?;
    console.first_password(PASSWORD)?;
    console.ok("terminal length 0")?;
    console.configure(&typed(include_str!("../config/nat.cfg")))?;
    wait_serving().map(drop)
}

/// Waits for the first answer of `www`.
fn wait_serving() -> Result<traffic::Reply> {
    wait::until("the first balanced answer", SERVING_LIMIT, || traffic::http(addr::VIP_NAT))
}
