//! The same disk behind every controller that a box may have, started by both firmwares: up to the question of a factory-fresh box, with its
//! flash mounted.

use anyhow::{Result, ensure};

use super::PASSWORD;
use crate::console::BOOT_LIMIT;
use crate::runner::{Scene, World};
use crate::vm::{Bus, Firmware, Machine};

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        for bus in [Bus::Virtio, Bus::Ahci, Bus::Nvme, Bus::Usb, Bus::Scsi] {
            let name = format!("starts_from_{bus:?}_by_{firmware:?}").to_lowercase();
            scene.boot(Machine { firmware: firmware.clone(), bus, ..Machine::default() })?;
            // One controller says nothing of the next.
            scene.check(&name, saves);
            scene.world.cut_power()?;
        }
    }
    Ok(())
}

fn saves(world: &mut World) -> Result<()> {
    let console = world.console()?;
    console.serial.wait_text(0, "Password for user admin (new):", BOOT_LIMIT)?;
    console.first_password(PASSWORD)?;
    let said = console.ok("write memory")?.text();
    ensure!(said.contains("[OK]"), "{said}");
    Ok(())
}
