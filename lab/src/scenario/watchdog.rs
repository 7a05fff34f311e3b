//! Watchdogs: one of the machine lives on while PID 1 feeds it, and resets the box when PID 1 does not run any more although the kernel does,
//! and when the kernel does not; and the kernel's own timer does the first for a machine that has none.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::PASSWORD;
use crate::console::BOOT_LIMIT;
use crate::runner::{Scene, World};
use crate::vm::{Firmware, Machine};
use crate::wait;

/// Three times the watchdog's time: it would have bitten twice.
const FED: Duration = Duration::from_secs(24);
/// The time is 8 s, counted by an emulated clock.
const BITES: Duration = Duration::from_secs(60);
/// SIGSTOP does not reach PID 1; the freezer of its cgroup does.
const FREEZE: &str = "mkdir /tmp/cg && mount -t cgroup2 none /tmp/cg && mkdir /tmp/cg/ice && \
                      echo 1 >/tmp/cg/ice/cgroup.procs && echo 1 >/tmp/cg/ice/cgroup.freeze && echo frozen";
/// A kernel that has panicked and was told not to restart does nothing any more. The prompt of the shell does not come back.
const HANG: &str = "(sleep 1; echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger) & echo hangs";

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(machine(true))?;
    scene.must("it_is_armed_before_the_slot_is_read_and_fed_by_pid_1", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.ok("write memory")?;
        let said = console.ok("show logging | include watchdog")?.text();
        let armed = said.lines().filter(|line| line.contains("i6300ESB timer is armed")).count();
        ensure!(armed == 2, "by stage 1 and by PID 1: {said}");
        let start = wait::now();
        wait::until("its time three times over", FED * 2, || {
            console.ok("show clock")?;
            ensure!(wait::now() - start > FED);
            Ok(())
        })
    })?;
    scene.must("a_stopped_init_resets_the_box", |world| bites(world, FREEZE, "frozen"))?;
    scene.must("a_hung_kernel_resets_the_box", |world| {
        world.power_on()?;
        world.console()?.serial.wait_text(0, "login:", BOOT_LIMIT)?;
        bites(world, HANG, "hangs")
    })?;
    scene.must("a_machine_without_a_watchdog_has_the_kernels", |world| {
        world.machine = machine(false);
        world.power_on()?;
        let console = world.console()?;
        console.serial.wait_text(0, "login:", BOOT_LIMIT)?;
        console.login("admin", PASSWORD)?;
        let said = console.ok("show logging | include watchdog")?.text();
        ensure!(said.contains("Software Watchdog is armed"), "{said}");
        bites(world, FREEZE, "frozen")
    })
}

fn machine(watchdog: bool) -> Machine {
    Machine { firmware: Firmware::Direct { append: "yoke.watchdog=8".to_owned() }, watchdog, ..Machine::default() }
}

/// Does that to the box, which must not outlive it.
fn bites(world: &mut World, harm: &str, done: &str) -> Result<()> {
    let said = world.shell()?.ok(harm)?;
    ensure!(said.contains(done), "{said}");
    world.wait_off(BITES).context("the box goes on")
}
