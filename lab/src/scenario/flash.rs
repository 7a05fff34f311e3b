//! What a box does with a damaged flash: falls back to the backup, to the archive, to factory, each time loudly; keeps a
//! line it does not understand and refuses to lose it. The damage is done from outside, between two boots.

use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{PASSWORD, wait_serving};
use crate::console::BOOT_LIMIT;
use crate::disk::Flash;
use crate::net::addr;
use crate::runner::{Scene, World};
use crate::traffic;
use crate::vm::Machine;

/// No header, no text: what a dying flash gives.
const GARBAGE: [u8; 4096] = [0xa5; 4096];

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("the_box_serves_and_has_saved_twice", |world| {
        super::serve_nat(world)?;
        let console = world.console()?;
        console.configure(&["ipvs table-bits 14"])?;
        let warnings = console.ok("show warnings")?.text();
        ensure!(warnings.contains("ipvs table-bits: takes effect after write memory and reload"), "{warnings}");
        for name in ["first", "second"] {
            console.configure(&[&format!("hostname {name}")])?;
            let said = console.ok("write memory")?.text();
            ensure!(said.contains("[OK]"), "{said}");
        }
        let history = console.ok("show configuration history")?.text();
        ensure!(history.lines().count() >= 3, "a heading and two saves: {history}");
        world.cut_power()
    })?;
    scene.must("the_file_has_the_header_of_the_manual", |world| {
        let flash = Flash::open(&world.disk())?;
        let saved = String::from_utf8(flash.read("startup-config")?)?;
        let mut lines = saved.lines();
        ensure!(lines.next() == Some("! yoke-config 1"), "{saved}");
        ensure!(lines.next().is_some_and(|l| l.starts_with("! saved ") && l.contains(" by admin ")), "{saved}");
        let sum = lines.next().and_then(|l| l.strip_prefix("! sha256 ")).context("no sha256 line")?;
        let sum = sum.split_whitespace().next().unwrap_or_default().to_owned();
        let text = body(&saved)?;
        ensure!(sum == sha256(text), "the header says {sum}, the text has {}", sha256(text));
        ensure!(saved.contains("hostname second") && saved.ends_with("end\n"), "{saved}");
        let backup = String::from_utf8(flash.read("startup-config.bak")?)?;
        ensure!(backup.contains("hostname first"), "{backup}");
        Ok(())
    })?;
    scene.check("a_damaged_startup_config_falls_back_to_its_backup_loudly", |world| {
        Flash::open(&world.disk())?.write("startup-config", &GARBAGE)?;
        comes_up_as(world, "first")?;
        let warnings = world.console()?.ok("show warnings")?.text();
        ensure!(warnings.contains("startup-config"), "{warnings}");
        Ok(())
    });
    scene.check("the_table_of_connections_has_the_size_that_was_saved", |world| {
        let console = world.console()?;
        let warnings = console.ok("show warnings")?.text();
        ensure!(!warnings.contains("table-bits"), "{warnings}");
        // The module's own parameter.
        let shown = console.json("show ipvs")?;
        ensure!(shown["ipvs"]["table_bits"] == 14, "{shown}");
        // From 7.1 on the kernel begins with less, and this is the limit.
        let table = console.ok("ipvsadm -L -n")?.text();
        let size = table.split("(size=").nth(1).and_then(|rest| rest.split(')').next()).context("no size")?;
        let size: u32 = size.parse().with_context(|| table.clone())?;
        let (major, minor) = kernel(&console.ok("show version")?.text())?;
        ensure!(if (major, minor) < (7, 1) { size == 1 << 14 } else { size <= 1 << 14 }, "{table}");
        world.cut_power()
    });
    scene.check("one_flipped_bit_is_damage_too", |world| {
        let flash = Flash::open(&world.disk())?;
        let mut saved = flash.read("startup-config.bak")?;
        let at = saved.windows(8).position(|w| w == b"hostname").context("no hostname in the backup")?;
        saved[at + 10] ^= 0x01;
        flash.write("startup-config", &saved)?;
        comes_up_as(world, "first")?;
        world.cut_power()
    });
    scene.check("without_a_backup_the_newest_archive_is_taken", |world| {
        let flash = Flash::open(&world.disk())?;
        flash.write("startup-config", &GARBAGE)?;
        flash.write("startup-config.bak", &GARBAGE)?;
        comes_up_as(world, "second")?;
        world.cut_power()
    });
    scene.check("a_line_it_does_not_know_is_kept_apart_and_not_lost_by_a_save", |world| {
        let flash = Flash::open(&world.disk())?;
        let archived = flash.names("archive")?;
        let newest = archived.iter().max_by_key(|name| name.parse::<u64>().unwrap_or(0)).context("no archive")?;
        let saved = String::from_utf8(flash.read(&format!("archive/{newest}"))?)?;
        let text = body(&saved)?.replace("\nend\n", "\nfrobnicate 7 times\nend\n");
        flash.write("startup-config", with_header(&text).as_bytes())?;
        comes_up_as(world, "second")?;
        let console = world.console()?;
        let rejected = console.ok("show configuration rejected")?.text();
        ensure!(rejected.contains("frobnicate 7 times"), "{rejected}");
        let warnings = console.ok("show warnings")?.text();
        ensure!(warnings.contains("rejected"), "{warnings}");
        let refused = console.run("write memory")?;
        ensure!(!refused.errors().is_empty(), "the line would be lost: {}", refused.text());
        ensure!(!console.ok("show running-config")?.text().contains("frobnicate"), "it counts as configuration");
        let forced = console.ok("write memory force")?.text();
        ensure!(forced.contains("[OK]"), "{forced}");
        world.cut_power()
    });
    scene.check("with_nothing_left_it_starts_as_from_the_factory_and_says_so", |world| {
        let flash = Flash::open(&world.disk())?;
        for name in flash.names("archive")? {
            flash.write(&format!("archive/{name}"), &GARBAGE)?;
        }
        flash.write("startup-config", &GARBAGE)?;
        flash.write("startup-config.bak", &GARBAGE)?;
        world.power_on()?;
        let console = world.console()?;
        console.serial.wait_text(0, "Password for user admin (new):", BOOT_LIMIT)?;
        let screen = console.serial.tail();
        ensure!(screen.contains("startup-config"), "nothing on the console tells of the damage: {screen}");
        console.first_password(PASSWORD)?;
        let warnings = console.ok("show warnings")?.text();
        ensure!(warnings.contains("startup-config"), "{warnings}");
        ensure!(traffic::http(addr::VIP_NAT).is_err(), "it serves without a configuration");
        let refused = console.run("format flash: force")?.text();
        ensure!(refused.contains("factory-reset"), "a flash that works is erased: {refused}");
        world.cut_power()
    });
    scene.check("a_flash_that_does_not_mount_is_told_of_and_repaired_from_the_shell", |world| {
        let part = crate::disk::partition(&world.disk(), "config")?;
        let file = std::fs::File::options().write(true).open(world.disk())?;
        // Every copy of its superblock too.
        file.write_all_at(&vec![0xa5; usize::try_from(part.bytes)?], part.offset)?;
        world.power_on()?;
        // It serves as from the factory, and whoever looks at its console sees why.
        let console = world.console()?;
        console.serial.wait_text(0, "Password for user admin (new):", BOOT_LIMIT)?;
        console.first_password(PASSWORD)?;
        let warnings = console.ok("show warnings")?.text();
        ensure!(warnings.contains("does not mount") && warnings.contains("format flash:"), "{warnings}");
        console.configure(&["hostname repaired"])?;
        let refused = console.run("write memory")?;
        ensure!(!refused.errors().is_empty(), "it says that it has saved: {}", refused.text());
        console.ok("format flash: force")?;
        let said = console.ok("write memory")?.text();
        ensure!(said.contains("[OK]"), "{said}");
        let warnings = console.ok("show warnings")?.text();
        ensure!(!warnings.contains("flash:"), "{warnings}");
        world.cut_power()?;
        let saved = String::from_utf8(Flash::open(&world.disk())?.read("startup-config")?)?;
        ensure!(saved.contains("hostname repaired"), "{saved}");
        Ok(())
    });
    Ok(())
}

/// Switches on and waits until the box serves under this name, with the damage told on its console.
fn comes_up_as(world: &mut World, name: &str) -> Result<()> {
    world.power_on()?;
    wait_serving()?;
    let console = world.console()?;
    console.login("admin", PASSWORD)?;
    let (prompt, _) = console.wait_prompt(BOOT_LIMIT)?;
    ensure!(prompt == format!("{name}#"), "the prompt is {prompt}");
    Ok(())
}

/// Version of the kernel that the box runs.
fn kernel(shown: &str) -> Result<(u32, u32)> {
    let line = shown.lines().find(|line| line.starts_with("Kernel")).context("no kernel")?;
    let version = line.split(": ").nth(1).context("no version")?;
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => anyhow::bail!("{version} is no version"),
    }
}

/// What the checksum covers: all after its own line.
fn body(saved: &str) -> Result<&str> {
    let line = saved.find("! sha256 ").context("no sha256 line")?;
    let end = saved[line..].find('\n').context("nothing after the sha256 line")?;
    Ok(&saved[line + end + 1..])
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `text` as the box would have saved it.
pub(super) fn with_header(text: &str) -> String {
    format!(
        "! yoke-config 1\n! saved 2026-11-21T10:04:11Z by admin from console firmware 0.1.0 revision 1\n! sha256 {}\n{text}",
        sha256(text)
    )
}
