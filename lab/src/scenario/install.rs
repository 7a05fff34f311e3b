//! Firmware on two slots: an update comes by HTTP, is refused unless it is signed and whole, is started once, and stays only when it is
//! committed. Another disk state is made from outside where a slot has to be broken.

mod https;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use yoke_image::update::Key;
use yoke_install::environment::{Environment, Slot};
use yoke_install::esp;
use yoke_install::update::{self, HEADER_BYTES, Manifest};

use super::{OFF_LIMIT, PASSWORD};
use crate::console::BOOT_LIMIT;
use crate::disk;
use crate::net::Ns;
use crate::runner::{Scene, World};
use crate::vm::Machine;
use crate::wait;

/// The router serves updates here.
pub(super) const SERVER: &str = "203.0.113.1:8081";
/// 30 MiB by an emulated machine: fetched, hashed, written, read back and hashed again.
const ADD_LIMIT: Duration = Duration::from_secs(120);
/// A trial of one minute, from the start of the kernel to the end of the box.
const TRIAL_LIMIT: Duration = Duration::from_secs(300);
/// A kernel that panics waits 10 s, and so does stage 1; before it there is the loader.
const BROKEN_LIMIT: Duration = Duration::from_secs(120);
/// The rest of a slot, from a byte on so many: kernel and initrd are read, PID 1 is not, and the tables at its end (the last 0.1 MiB) are.
const DAMAGED_ROOT: (u64, usize) = (14 << 20, 24 << 20);

/// What CI sees of it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    // Within what an update is written to.
    let part = disk::partition(&crate::vm::image()?, "slot-b")?;
    begin(scene, Machine { bad_sector: Some((part.offset + (10 << 20)) / 512), ..Machine::default() })?;
    scene.check("what_is_not_a_whole_signed_update_is_refused", refuse);
    scene.check("a_disk_that_fails_is_told_of_and_its_slot_is_empty", |world| {
        std::fs::copy(image_file(), world.dir.join("www/good"))?;
        let said = world.console()?.run_within(&format!("install add http://{SERVER}/good"), ADD_LIMIT)?.text();
        let said = said.replace('\n', " ");
        ensure!(said.contains("slot b of vda is empty now: the disk cannot be written: Input/output error"), "{said}");
        ensure!(said.contains("put on another disk: install disk"), "{said}");
        let said = world.console()?.ok("show install summary")?.text();
        ensure!(said.lines().any(|line| line.trim_start().starts_with("b ") && line.contains("empty")), "{said}");
        let said = world.console()?.run("install activate force")?.text();
        ensure!(said.contains("slot b holds nothing to start"), "{said}");
        let said = world.console()?.ok("write memory")?.text();
        ensure!(said.contains("[OK]"), "the flash is on the same disk: {said}");
        runs(world, "a")
    });
    // It takes the next one, of which nothing is left of the last.
    https::checks(scene);
    add(scene)?;
    scene.must("activate_starts_the_other_slot_once", |world| activate(world, 30))?;
    scene.must("a_cut_brings_the_slot_back_that_was_committed", |world| {
        on_trial(world, "b")?;
        world.cut_power()?;
        boot(world)?;
        runs(world, "a")
    })?;
    scene.must("commit_keeps_the_new_slot", |world| {
        activate(world, 30)?;
        on_trial(world, "b")?;
        let said = world.console()?.ok("install commit")?.text();
        ensure!(said.contains("Slot b with version") && said.contains("is committed"), "{said}");
        let said = world.console()?.ok("show warnings")?.text();
        ensure!(!said.contains("on trial"), "{said}");
        world.cut_power()?;
        let environment = environment(&world.disk())?;
        ensure!(environment.good() == Slot::B && environment.next().is_none(), "{environment:?}");
        ensure!(environment.spare() == Some(Slot::A), "what was good before is not kept for a slot that fails");
        ensure!(!environment.is_counting(), "a slot that came up counts as one that did not: {environment:?}");
        Ok(())
    })
}

/// The rest: slots that are broken in several ways, and a firmware that nobody commits.
pub(super) fn returns(scene: &mut Scene<'_>) -> Result<()> {
    begin(scene, Machine::default())?;
    add(scene)?;
    scene.must("rollback_starts_the_other_slot_and_back", |world| {
        for slot in ["b", "a"] {
            world.console()?.serial.send("install rollback force\r")?;
            world.wait_off(OFF_LIMIT)?;
            boot(world)?;
            runs(world, slot)?;
            let warnings = world.console()?.ok("show warnings")?.text();
            ensure!(!warnings.contains("on trial"), "{warnings}");
        }
        Ok(())
    })?;
    scene.must("a_committed_slot_that_does_not_come_up_is_left_for_the_other", |world| {
        world.console()?.serial.send("install rollback force\r")?;
        world.wait_off(OFF_LIMIT)?;
        boot(world)?;
        runs(world, "b")?;
        // The login comes before the director has told the loader.
        let disk = world.disk();
        wait::until("slot b to have come up", BOOT_LIMIT, || {
            ensure!(!environment(&disk)?.is_counting(), "its start still counts");
            Ok(())
        })?;
        world.cut_power()?;
        for _ in 0..3 {
            world.power_on()?;
            world.console()?.serial.wait_text(0, "yoke: slot b", BOOT_LIMIT)?;
            world.cut_power()?;
        }
        boot(world)?;
        runs(world, "a")?;
        let console = world.console()?;
        wait::until("a warning", BOOT_LIMIT, || {
            let said = console.ok("show warnings")?.text();
            ensure!(said.contains("slot a runs and not slot b"), "{said}");
            Ok(())
        })?;
        // It is the good one still, and is tried again.
        world.cut_power()?;
        boot(world)?;
        runs(world, "b")?;
        let said = world.console()?.ok("show warnings")?.text();
        ensure!(!said.contains("and not slot"), "{said}");
        world.console()?.serial.send("install rollback force\r")?;
        world.wait_off(OFF_LIMIT)?;
        boot(world)?;
        runs(world, "a")
    })?;
    scene.must("a_firmware_that_nobody_commits_returns_by_itself", |world| {
        activate(world, 1)?;
        world.power_on()?;
        let console = world.console()?;
        console.serial.wait_text(0, "was not committed in time", TRIAL_LIMIT)?;
        world.wait_off(OFF_LIMIT)?;
        boot(world)?;
        runs(world, "a")
    })?;
    for (name, place) in [
        // The superblock: the loader finds no file system.
        ("a_slot_without_a_file_system_is_passed_over", (0, HEADER_BYTES)),
        ("a_slot_with_a_damaged_root_is_left_again", DAMAGED_ROOT),
    ] {
        scene.must(name, |world| {
            activate(world, 30)?;
            let whole = damage(&world.disk(), place)?;
            world.power_on()?;
            // It restarts by itself, which ends QEMU, unless the loader has passed it over.
            if place == DAMAGED_ROOT {
                world.wait_off(BROKEN_LIMIT).context("it does not give up")?;
                world.power_on()?;
            }
            world.console()?.serial.wait_text(0, "login:", BOOT_LIMIT)?;
            world.console()?.login("admin", PASSWORD)?;
            runs(world, "a")?;
            let said = world.console()?.run("install activate force")?.text();
            ensure!(said.contains("slot b"), "{said}");
            repair(&world.disk(), place, &whole)
        })?;
    }
    Ok(())
}

/// Overwrites a stretch of slot b; returns what was there.
fn damage(disk: &Path, (at, bytes): (u64, usize)) -> Result<Vec<u8>> {
    let from = disk::partition(disk, "slot-b")?.offset + at;
    let file = std::fs::File::options().read(true).write(true).open(disk)?;
    let mut whole = vec![0; bytes];
    file.read_exact_at(&mut whole, from)?;
    file.write_all_at(&vec![0xa5; bytes], from)?;
    Ok(whole)
}

fn repair(disk: &Path, (at, _): (u64, usize), whole: &[u8]) -> Result<()> {
    let from = disk::partition(disk, "slot-b")?.offset + at;
    Ok(std::fs::File::options().write(true).open(disk)?.write_all_at(whole, from)?)
}

/// A box with an address and a saved configuration, and a web server beside it.
pub(super) fn begin(scene: &mut Scene<'_>, machine: Machine) -> Result<()> {
    scene.network()?;
    serve(scene.world.dir.join("www"))?;
    scene.boot(machine)?;
    scene.must("a_box_runs_from_slot_a", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&["interface eth0", "ip address 203.0.113.2/24"])?;
        console.ok("write memory")?;
        runs(world, "a")
    })
}

pub(super) fn add(scene: &mut Scene<'_>) -> Result<()> {
    scene.must("a_signed_update_is_written_into_the_other_slot", |world| {
        std::fs::copy(image_file(), world.dir.join("www/good"))?;
        let answer = world.console()?.run_within(&format!("install add http://{SERVER}/good"), ADD_LIMIT)?;
        ensure!(answer.text().contains("is in slot b. To start it: install activate"), "{}", answer.text());
        ensure!(answer.text().contains("100% of"), "no progress: {}", answer.text());
        let said = world.console()?.ok("show install summary")?.text();
        let row = |slot: &str| said.lines().find(|line| line.trim_start().starts_with(slot)).unwrap_or_default();
        ensure!(row("a ").contains("running") && row("b ").contains("inactive"), "{said}");
        Ok(())
    })
}

/// Every bad update is refused with its reason, and leaves the slots as they were.
fn refuse(world: &mut World) -> Result<()> {
    let home = world.dir.join("www");
    let out = crate::target();
    let good = std::fs::read(image_file())?;
    let key = Key::load(&out, &|_| {})?;
    let foreign_key = Key::load(&world.dir.join("foreign"), &|_| {})?;
    let manifest = update::verify(&good[..HEADER_BYTES], &key.public)?;
    let none = Path::new("/nonexistent");
    let other = |change: fn(&mut Manifest)| -> Result<Vec<u8>> {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        key.block(&manifest, none)
    };
    let line = manifest.line()?;
    let head = |block: Vec<u8>| [block, good[HEADER_BYTES..].to_vec()].concat();
    for (name, bytes, why) in [
        ("text", b"<html>login</html>".to_vec(), "is not an update file"),
        ("short", good[..HEADER_BYTES - 1].to_vec(), "is cut short"),
        ("truncated", good[..good.len() / 2].to_vec(), "is cut short or damaged"),
        ("unsigned", head(update::block(&line, "")?), "is not signed"),
        ("stranger", head(foreign_key.block(&manifest, none)?), "is not signed with a key that this firmware trusts"),
        ("older", head(other(|it| it.version = "0.0.9".into())?), "older than"),
        ("earlier", head(other(|it| it.built -= 1)?), "older than"),
        ("foreign", head(other(|it| it.product = "ox".into())?), "is for ox on x86_64, not for yoke on x86_64"),
        ("arm", head(other(|it| it.arch = "aarch64".into())?), "is for yoke on aarch64"),
        ("huge", head(other(|it| it.bytes = 1 << 40)?), "a slot of this disk has room for"),
    ] {
        std::fs::write(home.join(name), bytes)?;
        let answer = world.console()?.run_within(&format!("install add http://{SERVER}/{name}"), ADD_LIMIT)?;
        let said = answer.errors().join(" ");
        ensure!(said.contains(why), "{name}: {}", answer.text());
        std::fs::remove_file(home.join(name))?;
    }
    let answer = world.console()?.run("install add http://203.0.113.1:8081/nothing")?;
    ensure!(answer.text().contains("404"), "{}", answer.text());
    let answer = world.console()?.run("install activate force")?;
    ensure!(answer.text().contains("slot b holds nothing to start"), "{}", answer.text());
    runs(world, "a")
}

pub(super) fn activate(world: &mut World, minutes: u16) -> Result<()> {
    world.console()?.serial.send(&format!("install activate auto-abort-timer {minutes} force\r"))?;
    world.wait_off(ADD_LIMIT).context("QEMU ends where a machine would restart")
}

pub(super) fn boot(world: &mut World) -> Result<()> {
    world.power_on()?;
    world.console()?.serial.wait_text(0, "login:", BOOT_LIMIT)?;
    world.console()?.login("admin", PASSWORD)
}

fn on_trial(world: &mut World, slot: &str) -> Result<()> {
    boot(world)?;
    runs(world, slot)?;
    let said = world.console()?.ok("show warnings")?.text();
    ensure!(said.contains("this firmware is on trial"), "{said}");
    let said = world.console()?.ok("show install summary")?.text();
    ensure!(said.contains("on trial") && said.contains("good"), "{said}");
    Ok(())
}

fn runs(world: &mut World, slot: &str) -> Result<()> {
    let version = world.console()?.json("show version")?.to_string();
    ensure!(version.contains(&format!("\"slot\":\"{slot}\"")), "{version}");
    Ok(())
}

/// The signed update that `cargo xtask image` has left.
pub(super) fn image_file() -> PathBuf {
    crate::target().join("yoke-x86_64.update")
}

/// The loader's variables on a disk that is off.
pub(super) fn environment(disk: &Path) -> Result<Environment> {
    let part = disk::partition(disk, "esp")?;
    let whole = std::fs::File::open(disk)?;
    let mut bytes = vec![0; usize::try_from(part.bytes)?];
    whole.read_exact_at(&mut bytes, part.offset)?;
    let mut file = tempfile::tempfile()?;
    file.write_all(&bytes)?;
    esp::read(&file)
}

/// Serves the files of `home` at [`SERVER`] until the lab ends.
fn serve(home: PathBuf) -> Result<()> {
    std::fs::create_dir_all(&home)?;
    let listener = Ns::Router.enter(|| Ok(TcpListener::bind(SERVER)?)).context("serve updates")?;
    std::thread::Builder::new().name("updates".into()).spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or_default();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let name = text.split_whitespace().nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
            let _ = match std::fs::read(home.join(name)) {
                Ok(bytes) => stream
                    .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).as_bytes())
                    .and_then(|()| stream.write_all(&bytes)),
                Err(_) => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            };
        }
    })?;
    Ok(())
}
