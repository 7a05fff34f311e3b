//! `yoke-lab demo`: the small network of the tests for a person, with the director's console on this terminal.
//!
//! Nothing is configured: the lines to type are printed first, and the answer to look for.

use anyhow::{Context, Result, ensure};

use crate::net::{Net, Ns, SERVERS, addr};
use crate::runner::say;
use crate::servers::Server;
use crate::target;
use crate::vm::{Firmware, Machine};

/// What makes a working balanced service.
pub const LINES: &str = include_str!("../config/demo.cfg");

/// Builds the network, and lets the director be switched on and off until the user has had enough.
///
/// # Errors
/// When a tool or a privilege is missing.
pub fn run(uefi: bool) -> Result<()> {
    let dir = target().join("lab/demo");
    std::fs::create_dir_all(&dir)?;
    let disk = target().join("run.img");
    ensure!(disk.exists(), "{}: use: cargo xtask run --demo", disk.display());
    let _net = Net::up().context("build the network (needs root)")?;
    let _servers = SERVERS.iter().map(|ns| Server::start(*ns, &dir)).collect::<Result<Vec<_>>>()?;
    let machine = Machine { firmware: if uefi { Firmware::Uefi } else { Firmware::Bios }, ..Machine::default() };
    let (client, vip) = (Ns::Client.name(), addr::VIP_NAT);
    say(&format!(
        "\nA client (203.0.113.99), a router (203.0.113.1) and two real nginx (10.0.20.11 and .12, port 8080) are up.\n\
         The director's disk is {}; what is saved stays on it, remove it to begin anew.\n\n\
         Set a password, then type:\n\n  configure terminal\n{}  end\n  write memory\n\n\
         In another terminal:\n\n  ip netns exec {client} curl http://{vip}/\n\n\
         Ctrl-A X pulls the plug.\n",
        disk.display(),
        LINES.lines().map(|line| format!("  {line}\n")).collect::<String>(),
    ));
    loop {
        machine.run_here(&disk, &dir)?;
        say("\nThe director is off. Enter switches it on again, q and Enter ends the demo.");
        let mut answer = String::new();
        if std::io::stdin().read_line(&mut answer)? == 0 || answer.trim() == "q" {
            return Ok(());
        }
    }
}
