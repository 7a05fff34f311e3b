//! A lost password: the loader's menu on the console, a box without its saved configuration, and the way back with a new password.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{PASSWORD, wait_serving};
use crate::console::BOOT_LIMIT;
use crate::runner::Scene;
use crate::vm::Machine;
use crate::wait;

/// The password of the recovered box, which nobody has lost.
const NEW: &str = "found-Passw0rd";
/// Between two presses: the loader listens for a second.
const PRESS: Duration = Duration::from_millis(300);

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("the_box_serves_and_its_password_is_lost", |world| {
        super::serve_nat(world)?;
        world.console()?.ok("write memory")?;
        world.cut_power()
    })?;
    scene.must("escape_opens_the_menu_of_the_loader", |world| {
        world.power_on()?;
        let serial = &mut world.console()?.serial;
        wait::until("the loader", BOOT_LIMIT, || {
            serial.send("\x1b")?;
            serial.wait_text(0, "ESC once more for the menu", PRESS)
        })?;
        serial.send("\x1b")?;
        serial.wait_text(0, "recover: start without the saved configuration", BOOT_LIMIT).map(drop)
    })?;
    scene.must("recover_starts_without_the_saved_configuration_and_keeps_it", |world| {
        let console = world.console()?;
        // Down, down, Enter.
        console.serial.send("\x1b[B\x1b[B\r")?;
        console.first_password(NEW)?;
        console.ok("terminal length 0")?;
        let warnings = console.ok("show warnings")?.text();
        ensure!(warnings.contains("recovery: startup-config was not loaded, it is kept"), "{warnings}");
        let running = console.ok("show running-config")?.text();
        ensure!(!running.contains("virtual-server"), "{running}");
        Ok(())
    })?;
    scene.must("it_is_loaded_by_hand_and_serves_with_a_new_password", |world| {
        let console = world.console()?;
        console.ok("configure replace startup-config force")?;
        wait_serving()?;
        let console = world.console()?;
        console.configure(&[&format!("username admin secret {NEW}")])?;
        console.ok("write memory")?;
        world.cut_power()?;
        world.power_on()?;
        wait_serving()?;
        let console = world.console()?;
        ensure!(!console.try_login("admin", PASSWORD)?, "the lost password still opens the box");
        console.login("admin", NEW)
    })
}
