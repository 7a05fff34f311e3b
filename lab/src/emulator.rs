//! QEMU's command line, as far as all machines of the lab share it. What a machine is made of beside is its own room's.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::net::Ns;

/// QEMU connects its ports before it emulates anything.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// How QEMU emulates. Threads of their own for processors crash kernels on some hosts. And no CMPXCHG16B: what computes its flags (QEMU 7.2's
/// TCG) may start from an operand instead of the flags before, so that now and then a kernel's allocator, which uses it all the time, goes on
/// with single-stepping or nested-task set, and dies of a double fault. Without it the kernel takes a longer way.
const EMULATION: [&str; 4] = ["-accel", "tcg,thread=single", "-cpu", "qemu64,-cx16"];

/// A machine in the hub's namespace with so many processors and MiB, and nothing else. When it restarts, QEMU ends.
pub(crate) fn machine(processors: u32, memory: u32) -> Command {
    let mut qemu = Ns::Hub.command("qemu-system-x86_64");
    qemu.args(EMULATION).args(["-smp", &processors.to_string(), "-m", &memory.to_string()]);
    qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    qemu
}

/// Plugs a network card of `model` into one of the hub's taps. `number` is its place among the machine's cards, `nicN` its name for QMP, `mac` its
/// address but for the last byte.
pub(crate) fn plug(qemu: &mut Command, number: usize, model: &str, tap: &str, mac: &str) {
    qemu.args(["-netdev", &format!("tap,id=net{number},ifname={tap},script=no,downscript=no")]);
    // Without a boot ROM: firmware shall not try the network.
    let device = format!("{model},netdev=net{number},id=nic{number},mac={mac}:0{number},romfile=");
    qemu.args(["-device", &device]);
}

/// Switches it on; what QEMU says goes to `log`.
///
/// # Errors
/// When there is no QEMU.
pub(crate) fn spawn(qemu: &mut Command, log: File) -> Result<Child> {
    qemu.stdout(Stdio::null()).stderr(log).spawn().context("start QEMU (package qemu-system-x86)")
}
