//! The image on a USB stick as the installer: the box starts from the stick, puts itself on its disk, and either starts with its own
//! configuration while the other is in the machine too, whatever firmware finds first. Before that, two disks that were both written with the image.

use anyhow::{Result, ensure};

use super::firmware::{SPARE_BYTES, install, spare};
use super::{OFF_LIMIT, PASSWORD};
use crate::runner::{Scene, World};
use crate::vm::{Bus, Firmware, Machine, Spare};

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    twins(scene)?;
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

/// Two disks with the same GUIDs: the box runs from one of them as a whole, says so, writes nothing for a next start, and tells them apart for good
/// when it is told to.
fn twins(scene: &mut Scene<'_>) -> Result<()> {
    let file = scene.world.dir.join("twin.img");
    crate::disk::copy(&crate::vm::image()?, &file)?;
    let spare = Some(Spare { file: file.clone(), bus: Bus::Virtio, first: false });
    scene.boot(Machine { firmware: Firmware::Direct { append: String::new() }, spare, ..Machine::default() })?;
    scene.must("two_disks_of_one_image_are_told_of_and_told_apart", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        let warnings = console.ok("show warnings")?.text().replace('\n', " ");
        ensure!(warnings.contains("vdb: has the same GUIDs as vda, from which this box runs"), "{warnings}");
        let log = console.ok("show logging | include GUIDs")?.text();
        ensure!(log.contains("vdb"), "the log does not tell: {log}");
        for line in ["add usb:x", "activate force", "rollback force"] {
            let said = console.run(&format!("install {line}"))?;
            ensure!(said.errors().join(" ").contains("has the same GUIDs"), "{line}: {}", said.text());
        }
        let mounts = world.shell()?.ok("cat /proc/1/mounts")?;
        ensure!(mounts.contains("/dev/vda3 / squashfs") && mounts.contains("/dev/vda5 /flash ext4"), "{mounts}");
        install(world, "vdb")?;
        let warnings = world.console()?.ok("show warnings")?.text();
        ensure!(!warnings.contains("GUIDs"), "{warnings}");
        let said = world.console()?.run("install add usb:x")?.text();
        ensure!(said.contains("there is no USB stick"), "{said}");
        world.cut_power()?;
        std::fs::remove_file(&file)?;
        Ok(())
    })
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
