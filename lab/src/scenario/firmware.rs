//! Other machines than the usual one: UEFI, other disks, other network cards. Each boots to its prompt, finds its disk,
//! and reaches the router through its card.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::PASSWORD;
use crate::runner::Scene;
use crate::vm::{Bus, Firmware, Machine};
use crate::wait;

/// From an address on a card until its link carries packets; e1000e takes two seconds, with one core three.
const LINK_LIMIT: Duration = Duration::from_secs(30);

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    let machines = [
        ("uefi_with_ahci_and_e1000", Firmware::Uefi, Bus::Ahci, "e1000", "e1000"),
        ("bios_with_nvme_and_e1000e", Firmware::Bios, Bus::Nvme, "e1000e", "e1000e"),
        ("uefi_with_nvme_and_vmxnet3", Firmware::Uefi, Bus::Nvme, "vmxnet3", "vmxnet3"),
    ];
    for (name, firmware, bus, nic, driver) in machines {
        scene.check(name, |world| {
            crate::disk::copy(&crate::vm::image()?, &world.disk())?;
            world.machine = Machine { firmware, bus, nic, ..Machine::default() };
            world.power_on()?;
            let console = world.console()?;
            console.first_password(PASSWORD)?;
            console.ok("terminal length 0")?;
            console.configure(&["interface eth0", "ip address 203.0.113.2/24"])?;
            let row = console.json("show interfaces eth0")?.to_string();
            ensure!(row.contains(&format!("\"driver\":\"{driver}\"")), "{row}");
            // A card that negotiates with the other end has a link only seconds after it was brought up.
            wait::until("two answers through the card", LINK_LIMIT, || {
                let said = console.ok("ping 203.0.113.1 count 2")?.text();
                ensure!(said.contains("2 received"), "{said}");
                Ok(())
            })?;
            let said = console.ok("write memory")?.text();
            ensure!(said.contains("[OK]"), "{said}");
            world.cut_power()
        });
        // A machine that did not come up must not stand in the next one's way.
        let _ = scene.world.cut_power();
    }
    Ok(())
}
