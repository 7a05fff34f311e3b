//! Other machines than the usual one: UEFI, other disks, other network cards. Each boots to its prompt, finds its disk,
//! and reaches the router through its card. The first puts itself on another disk, from which the others start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use yoke_install::layout::{self, Guids};

use super::PASSWORD;
use crate::console::{BOOT_LIMIT, Console};
use crate::disk;
use crate::runner::{Scene, World};
use crate::vm::{Bus, Firmware, Machine, Spare};
use crate::wait;

/// From an address on a card until its link carries packets; e1000e takes two seconds, with one core three.
const LINK_LIMIT: Duration = Duration::from_secs(30);
/// All of a disk written and read back by an emulated machine.
pub(super) const DISK_LIMIT: Duration = Duration::from_secs(180);
/// Larger than the image, as a disk is; whole sectors.
pub(super) const SPARE_BYTES: u64 = 700_000_256;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    let spare = spare(&scene.world.dir, "spare.img")?;
    let first = Machine { firmware: Firmware::Uefi, bus: Bus::Ahci, nic: "e1000", ..Machine::default() };
    scene.boot(Machine { spare: Some(Spare { file: spare.clone(), bus: Bus::Nvme, first: false }), ..first })?;
    scene.must("uefi_with_ahci_and_e1000", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&["hostname lb1", "interface eth0", "ip address 203.0.113.2/24"])?;
        reaches(console, "e1000")?;
        let said = console.ok("write memory")?.text();
        ensure!(said.contains("[OK]"), "{said}");
        Ok(())
    })?;
    scene.check("install_disk_refuses_what_it_must_not_write", |world| {
        let console = world.console()?;
        for (name, why) in [
            ("sda", "sda: this box runs from it"),
            ("sda3", "sda3: is a partition, use its disk: sda"),
            ("nvme0n1p1", "nvme0n1p1: is a partition, use its disk: nvme0n1"),
            ("vdz", "vdz: there is no such disk, see: show inventory"),
        ] {
            let said = console.run(&format!("install disk {name} force"))?.text();
            ensure!(said.contains(why), "{name}: {said}");
        }
        Ok(())
    });
    scene.must("install_disk_asks_first_and_a_stopped_one_does_not_start", |world| {
        let console = world.console()?;
        let start = console.serial.look(|screen| screen.term.row());
        console.serial.send("install disk nvme0n1\r")?;
        for said in
            [", QEMU NVMe Ctrl, serial yoke, will be erased", "nvme0n1p5, 67 MB, config", "Erase nvme0n1? [yes/no]:"]
        {
            console.serial.wait_text(start, said, BOOT_LIMIT)?;
        }
        let before = std::fs::read(&spare)?;
        console.serial.send("no\r")?;
        console.wait_prompt(BOOT_LIMIT)?;
        ensure!(std::fs::read(&spare)? == before, "something was written without a yes");
        console.serial.send("install disk nvme0n1 force\r")?;
        console.serial.wait_text(start, "writing  [", DISK_LIMIT)?;
        console.interrupt()?;
        let said = console.ok("install abort")?.text();
        ensure!(said.contains("nvme0n1 does not start"), "{said}");
        ensure!(disk::partition(&spare, "esp").is_err(), "half a disk has a table");
        Ok(())
    })?;
    scene.must("install_disk_puts_the_box_on_another_disk", |world| {
        install(world, "nvme0n1")?;
        world.cut_power()?;
        ensure!(
            disk::partition(&spare, "esp")?.uuid != disk::partition(&world.disk(), "esp")?.uuid,
            "two disks of one name"
        );
        std::fs::rename(&spare, world.disk())?;
        Ok(())
    })?;
    for (name, firmware, nic) in [
        ("bios_with_nvme_and_e1000e", Firmware::Bios, "e1000e"),
        ("uefi_with_nvme_and_vmxnet3", Firmware::Uefi, "vmxnet3"),
    ] {
        scene.check(name, |world| {
            world.machine = Machine { firmware, bus: Bus::Nvme, nic, ..Machine::default() };
            world.power_on()?;
            let console = world.console()?;
            console.serial.wait_text(0, "login:", BOOT_LIMIT)?;
            console.login("admin", PASSWORD)?;
            let said = console.ok("show running-config")?.text();
            ensure!(said.contains("hostname lb1"), "{said}");
            reaches(console, nic)?;
            let said = console.ok("write memory force")?.text();
            ensure!(said.contains("[OK]"), "{said}");
            let said = console.ok("show warnings")?.text();
            ensure!(!said.contains("flash"), "{said}");
            world.cut_power()
        });
        // A machine that did not come up must not stand in the next one's way.
        let _ = scene.world.cut_power();
    }
    Ok(())
}

/// A disk with partitions of the names that ours have.
pub(super) fn spare(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    let mut file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    file.set_len(SPARE_BYTES)?;
    layout::write_table(&mut file, &Guids::random())?;
    let sector = layout::first_sector(SPARE_BYTES, &[0; layout::BOOT_CODE_BYTES]);
    std::os::unix::fs::FileExt::write_all_at(&file, &sector, 0)?;
    Ok(path)
}

/// The box that runs, on the disk `name` too.
pub(super) fn install(world: &mut World, name: &str) -> Result<()> {
    let answer = world.console()?.run_within(&format!("install disk {name} force"), DISK_LIMIT)?;
    let said = answer.text();
    ensure!(said.contains(&format!("and the saved configuration are on {name}")), "{said}");
    ensure!(said.contains("100% of"), "no progress: {said}");
    Ok(())
}

/// The card's driver is the right one, and packets come back through it.
fn reaches(console: &mut Console, driver: &str) -> Result<()> {
    let row = console.json("show interfaces eth0")?.to_string();
    ensure!(row.contains(&format!("\"driver\":\"{driver}\"")), "{row}");
    // A card that negotiates with the other end has a link only seconds after it was brought up.
    wait::until("two answers through the card", LINK_LIMIT, || {
        let said = console.ok("ping 203.0.113.1 count 2")?.text();
        ensure!(said.contains("2 received"), "{said}");
        Ok(())
    })
}
