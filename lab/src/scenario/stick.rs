//! The image on a USB stick as the installer: the box starts from the stick, puts itself on its disk, and either starts with its own
//! configuration while the other is in the machine too, whatever firmware finds first.

use anyhow::{Result, ensure};

use super::firmware::{SPARE_BYTES, install, spare};
use super::{OFF_LIMIT, PASSWORD};
use crate::runner::{Scene, World};
use crate::vm::{Bus, Firmware, Machine, Spare};

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    let file = spare(&scene.world.dir, "disk-of-the-box.img")?;
    let machine = |first| Machine {
        bus: Bus::Usb,
        spare: Some(Spare { file: file.clone(), bus: Bus::Ahci, first }),
        ..Machine::default()
    };
    scene.boot(machine(false))?;
    scene.must("a_box_puts_itself_from_a_stick_on_its_disk", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&["hostname installed"])?;
        console.ok("write memory")?;
        let disks = console.json("show inventory")?;
        let disks = disks["inventory"]["disks"].as_array().cloned().unwrap_or_default();
        // Which of them is sda is chance.
        let disk = disks.iter().find(|disk| disk["bytes"] == SPARE_BYTES);
        let name = disk.and_then(|disk| disk["name"].as_str()).map(str::to_owned);
        ensure!(name.is_some(), "{disks:?}");
        install(world, &name.unwrap_or_default())
    })?;
    scene.must("the_stick_keeps_its_own_configuration", |world| {
        let console = world.console()?;
        console.configure(&["hostname stick"])?;
        console.ok("write memory")?;
        console.serial.send("poweroff force\r")?;
        world.wait_off(OFF_LIMIT)
    })?;
    for (name, first, host) in
        [("the_disk_starts_beside_the_stick", true, "installed"), ("the_stick_starts_beside_the_disk", false, "stick")]
    {
        scene.check(name, |world| {
            world.machine = machine(first);
            is(world, host)?;
            // The loader's own file system is a FAT32 on a stick, when it is not the one that runs.
            let said = world.console()?.run("install add usb:GRUB/grub.cfg")?.text();
            let why = if first { "is not an update file" } else { "there is no USB stick" };
            ensure!(said.contains("usb:GRUB/grub.cfg") && said.contains(why), "{said}");
            let said = world.console()?.run("install add usb:nothing")?.text();
            ensure!(!first || said.contains("has no nothing"), "{said}");
            Ok(())
        });
        let _ = scene.world.cut_power();
    }
    scene.check("the_disk_starts_without_the_stick_by_uefi", |world| {
        std::fs::rename(&file, world.disk())?;
        world.machine = Machine { firmware: Firmware::Uefi, bus: Bus::Ahci, ..Machine::default() };
        is(world, "installed")
    });
    Ok(())
}

/// A box of that name comes up, and can save.
fn is(world: &mut World, host: &str) -> Result<()> {
    super::install::boot(world)?;
    let console = world.console()?;
    let said = console.ok("show running-config")?.text();
    ensure!(said.contains(&format!("hostname {host}")), "{said}");
    let said = console.ok("write memory force")?.text();
    ensure!(said.contains("[OK]"), "{said}");
    Ok(())
}
