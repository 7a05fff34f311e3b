//! The demonstration: the lab's network with two nginx servers, and the box's console on this terminal.
//!
//! Nothing is checked here; a person types. The disk is the caller's, and what the box saves on it stays.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::net::{Net, Ns, SERVERS};
use crate::runner::say;
use crate::servers::Server;
use crate::target;

/// What to type, and what to try then.
const HINTS: &str = "
A client (203.0.113.99), the box (eth0 outside, eth1 inside) and two nginx servers (10.0.20.11, 10.0.20.12).
Give admin a password, type `configure terminal`, then these eight lines, then `end` and `write memory`:

  interface eth0
   ip address 203.0.113.2/24
  interface eth1
   ip address 10.0.20.2/24
  virtual-server www
   virtual 203.0.113.10 tcp 80
   real-server 10.0.20.11 80
   real-server 10.0.20.12 80

In another terminal:

  ip netns exec yoke-lab-client curl http://203.0.113.10/

Ctrl-A X pulls the plug. The same command again switches the box on with the same disk.
";

/// Builds the network and boots `disk` until QEMU is left.
///
/// # Errors
/// When something of it cannot be started, or QEMU fails.
pub fn demo(disk: &Path, uefi: bool) -> Result<()> {
    let net = Net::up()?;
    let dir = target().join("demo");
    std::fs::create_dir_all(&dir)?;
    let servers = SERVERS.iter().map(|&ns| Server::start(ns, &dir)).collect::<Result<Vec<_>>>()?;
    say(HINTS);

    let mut qemu = Ns::Hub.command("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=single", "-smp", "1", "-m", "512", "-nographic", "-device", "i6300esb"]);
    qemu.args(["-drive", &format!("file={},format=raw,if=virtio", disk.display())]);
    for (number, tap) in ["tap-out", "tap-in"].iter().enumerate() {
        qemu.args(["-netdev", &format!("tap,id=net{number},ifname={tap},script=no,downscript=no")]);
        qemu.args(["-device", &format!("virtio-net-pci,netdev=net{number},mac=52:54:00:59:00:0{number},romfile=")]);
    }
    if uefi {
        qemu.args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd"]);
    }
    let status = qemu.stdin(Stdio::inherit()).status().context("start QEMU (package qemu-system-x86)")?;
    drop((servers, net));
    ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}
