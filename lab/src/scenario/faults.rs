//! What breaks while the box works: its own daemons, a foreign hand on the kernel's table, hardware that is not there.
//! The lab's shell does the damage; the client must not notice, or the operator must be told.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{OFF_LIMIT, PASSWORD, privilege, serve_nat, wait_serving};
use crate::net::{Ns, addr};
use crate::runner::{Scene, World, say};
use crate::servers::SLOW_BYTES;
use crate::traffic::{self, Load};
use crate::vm::{EARLY_CARD, Firmware, Machine};
use crate::wait;

/// From the death of a daemon until it has done its work again.
pub(super) const RECOVERY_LIMIT: Duration = Duration::from_secs(30);
/// Until a slow resync must have seen and healed drift.
const RESYNC_LIMIT: Duration = Duration::from_secs(90);

/// How often a kernel may die until one of the times is told of by memory that was set aside: it is where it was in nine of ten.
const CRASHES: usize = 4;

/// The box's flash, seen from the lab's shell, and what is saved there.
const FLASH: &str = "/proc/1/root/flash";
const SAVED: &str = "cat /proc/1/root/flash/startup-config";

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine { firmware: Firmware::Direct { append: String::new() }, erst: true, ..Machine::default() })?;
    scene.must("the_lab_reaches_a_shell_beside_the_unmodified_slot", |world| {
        world.shell()?.wait_ready()?;
        serve_nat(world)?;
        world.console()?.ok("write memory")?;
        Ok(())
    })?;
    privilege::checks(scene);
    scene.check("director_killed_under_load_costs_no_request_and_no_rewrite", |world| {
        killed_under_load(world, "director")
    });
    scene.check("shell_killed_under_load_costs_no_request_and_a_login_comes_back", |world| {
        killed_under_load(world, "shell")?;
        world.console()?.login("admin", PASSWORD)
    });
    scene.check("director_killed_five_times_in_a_row_still_comes_back", |world| {
        let load = Load::start(addr::VIP_NAT);
        for _ in 0..5 {
            let shell = world.shell()?;
            let old = shell.pids("director")?;
            shell.ok(&format!("kill -9 {}", old[0]))?;
            wait::until("another director", RECOVERY_LIMIT, || {
                let new = world.shell()?.pids("director")?;
                ensure!(new != old, "still {old:?}");
                Ok(())
            })?;
        }
        wait::until("the director to answer", RECOVERY_LIMIT, || {
            let said = world.console()?.run("show virtual-server")?;
            ensure!(said.text().contains("www"), "{}", said.text());
            Ok(())
        })?;
        load.stop().map(drop)
    });
    // One death more: after seven in a row init waits 16 s, after the eighth longer than the lab.
    scene.check("a_director_killed_in_an_outage_lets_no_dead_server_in_and_no_live_one_out", killed_in_an_outage);
    scene.check("a_foreign_ipvsadm_c_is_healed_and_reported", |world| {
        let table = world.shell()?.ok("ipvsadm -Sn")?;
        ensure!(table.contains("203.0.113.10:80"), "{table}");
        world.shell()?.ok("ipvsadm -C")?;
        wait::until("the table to be as it was", RESYNC_LIMIT, || {
            let healed = world.shell()?.ok("ipvsadm -Sn")?;
            ensure!(healed == table, "{healed}");
            Ok(())
        })?;
        traffic::http(addr::VIP_NAT)?;
        let warnings = world.console()?.ok("show warnings")?.text();
        ensure!(warnings.contains("ipvs: another program changed the kernel's table"), "{warnings}");
        Ok(())
    });
    scene.check("a_foreign_service_is_removed_and_reported", |world| {
        let told = |world: &mut World| -> Result<u32> {
            let warnings = world.console()?.ok("show warnings")?.text();
            let (_, rest) = warnings.split_once("changed the kernel's table (").unwrap_or_default();
            // Once, or so many times.
            Ok(rest.split(' ').next().unwrap_or_default().parse().unwrap_or(u32::from(rest.starts_with("once"))))
        };
        let before = told(world)?;
        world.shell()?.ok("ipvsadm -A -t 203.0.113.77:99 -s rr")?;
        wait::until("the foreign service to go", RESYNC_LIMIT, || {
            let table = world.shell()?.ok("ipvsadm -Sn")?;
            ensure!(!table.contains("203.0.113.77"), "{table}");
            Ok(())
        })?;
        // It is counted beside those that came before.
        wait::until("the report", RECOVERY_LIMIT, || {
            let now = told(world)?;
            ensure!(now == before + 1, "{now} times, {before} before");
            Ok(())
        })
    });
    scene.check("a_full_flash_refuses_a_save_says_so_and_takes_the_next", |world| {
        saves(world)?;
        let before = world.shell()?.ok(SAVED)?;
        world.console()?.configure(&["hostname full"])?;
        // To the last block, which a configuration needs.
        world.shell()?.ok(&format!("dd if=/dev/zero of={FLASH}/ballast bs=1024 2> /dev/null; sync"))?;
        let said = world.console()?.run("write memory")?;
        let words = said.errors().join(" ");
        ensure!(words.contains("No space left on device") && words.contains("archive maximum"), "{}", said.text());
        ensure!(world.shell()?.ok(SAVED)? == before, "the old configuration is gone");
        let warnings = world.console()?.ok("show warnings")?.text().replace('\n', " ");
        ensure!(warnings.contains("flash: is full") && warnings.contains("the last write memory failed"), "{warnings}");
        traffic::http(addr::VIP_NAT)?;
        world.shell()?.ok(&format!("rm {FLASH}/ballast; sync"))?;
        // The other checks know the box by its name.
        world.console()?.configure(&["hostname lb1"])?;
        saves(world)
    });
    scene.check("a_cable_pulled_and_put_back_is_seen", |world| {
        world.vm()?.set_link(1, false)?;
        wait::until("eth1 to be down", RECOVERY_LIMIT, || {
            let row = world.console()?.json("show interfaces eth1")?.to_string();
            ensure!(row.contains("\"state\":\"down\""), "{row}");
            Ok(())
        })?;
        let warned = wait::until("the warning", RECOVERY_LIMIT, || {
            let warnings = world.console()?.ok("show warnings")?.text();
            ensure!(warnings.contains("eth1"), "{warnings}");
            Ok(())
        });
        // Back before the verdict: the checks after this one need the servers.
        world.vm()?.set_link(1, true)?;
        wait_serving()?;
        warned
    });
    scene.must("a_box_with_wrong_hardware_boots_and_its_console_answers", |world| {
        let console = world.console()?;
        console.configure(&["interface eth7", "ip address 192.0.2.1/24"])?;
        console.configure(&[
            "interface bond0",
            "member eth8",
            "exit",
            "interface eth0.20",
            "ip address 198.51.100.1/24",
        ])?;
        console.ok("write memory")?;
        world.cut_power()?;
        // The cable of eth1 is out from the start, and the kernel refuses a driver and a scheduler.
        world.machine.unplugged = vec![1];
        // And there is a card more, in a slot before the others.
        world.machine.early_card = true;
        world.machine.firmware = Firmware::Direct { append: "module_blacklist=8021q,ip_vs_rr".to_owned() };
        world.power_on()?;
        world.console()?.login("admin", PASSWORD)
    })?;
    for (name, word) in [
        ("a_missing_nic_is_warned_of", "eth7"),
        ("a_cable_that_is_out_is_warned_of", "eth1"),
        ("a_module_that_does_not_load_is_warned_of", "8021q"),
        ("a_scheduler_that_does_not_load_is_warned_of", "www"),
    ] {
        scene.check(name, |world| {
            wait::until("the warning", RECOVERY_LIMIT, || {
                let warnings = world.console()?.ok("show warnings")?.text();
                ensure!(warnings.contains(word), "{warnings}");
                Ok(())
            })
        });
    }
    scene.check("a_card_in_an_earlier_slot_takes_no_name_away", |world| {
        let it = world.console()?.json("show inventory")?;
        let cards = it["inventory"]["cards"].as_array().context("no cards")?;
        let mut named: Vec<(&str, &str)> =
            cards.iter().filter_map(|card| Some((card["name"].as_str()?, card["mac"].as_str()?))).collect();
        named.sort_unstable();
        let wanted = [("eth0", "52:54:00:59:00:00"), ("eth1", "52:54:00:59:00:01"), ("eth2", EARLY_CARD)];
        ensure!(named == wanted, "{named:?}");
        Ok(())
    });
    scene.check("what_can_work_does", |world| {
        let console = world.console()?;
        wait::until("the addresses", RECOVERY_LIMIT, || {
            let rows = console.json("show interfaces")?.to_string();
            ensure!(rows.contains("203.0.113.2/24") && rows.contains("10.0.20.2/24"), "{rows}");
            Ok(())
        })?;
        wait::until("an answer to a ping", RECOVERY_LIMIT, || {
            let said = console.ok("ping 203.0.113.1 count 1")?.text();
            ensure!(said.contains("1 received"), "{said}");
            Ok(())
        })
    });
    scene.check("a_flash_that_fails_keeps_what_was_saved_and_the_box_serves_on", |world| {
        let table = world.shell()?.ok("ipvsadm -Sn")?;
        world.console()?.configure(&["hostname failing"])?;
        world.shell()?.ok("echo it is tried > /proc/1/root/sys/fs/ext4/vda5/trigger_fs_error")?;
        let said = world.console()?.run("write memory")?;
        let words = said.errors().join(" ");
        ensure!(words.contains("cannot write archive/") && words.contains("use: reload"), "{}", said.text());
        // What is saved the kernel does not even let anybody read; the start after the next check shows it.
        let warnings = world.console()?.ok("show warnings")?.text().replace('\n', " ");
        ensure!(warnings.contains("flash: /dev/vda5 has failed") && warnings.contains("install disk"), "{warnings}");
        ensure!(world.shell()?.ok("ipvsadm -Sn")? == table, "the kernel's table is another");
        Ok(())
    });
    scene.check("a_box_whose_init_dies_restarts", |world| {
        // No signal kills PID 1, so its code is wiped: zeros instead of instructions. In the background, as nothing answers after it.
        let code = "set -- $(grep -m1 r-xp /proc/1/maps | tr - ' '); at=$((0x$1 / 4096)); pages=$((0x$2 / 4096 - at))";
        let wipe = "dd if=/dev/zero of=/proc/1/mem bs=4096 seek=$at count=$pages conv=notrunc";
        world.shell()?.ok(&format!("{code}; (sleep 1; {wipe}) > /dev/null 2>&1 &"))?;
        world.wait_off(OFF_LIMIT).context("QEMU ends where a machine would restart")
    });
    scene.check("and_says_afterwards_what_its_kernel_died_of", |world| {
        world.power_on()?;
        told_of_the_crash(world, "Attempted to kill init")?;
        // The flash that had failed was repaired, with what was saved before.
        let console = world.console()?;
        let warnings = console.ok("show warnings")?.text().replace('\n', " ");
        ensure!(warnings.contains("errors were repaired") && !warnings.contains("has failed"), "{warnings}");
        let running = console.ok("show running-config")?.text();
        ensure!(!running.contains("hostname failing"), "what was not saved came back");
        ensure!(console.ok("write memory")?.text().contains("[OK]"), "the flash takes nothing");
        // Told once: the start after it has a reason of its own.
        world.console()?.serial.send("reload force\r")?;
        world.wait_off(OFF_LIMIT)?;
        // From here on without a place that outlives the power.
        world.machine.erst = false;
        world.power_on()?;
        let console = world.console()?;
        console.login("admin", PASSWORD)?;
        let version = console.ok("show version")?.text();
        ensure!(version.contains("reload by admin ("), "{version}");
        Ok(())
    });
    scene.check("memory_set_aside_keeps_it_where_the_machine_has_no_place_for_it", |world| {
        world.vm()?.stay_on_restart()?;
        // A kernel goes to a random place, now and then to the one that the last one had set aside: nobody promises more.
        for _ in 0..CRASHES {
            world.shell()?.wait_ready()?;
            world.shell()?.ok("(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &")?;
            if comes_up(world)?.contains("kernel failure") {
                return is_told_of(world, "sysrq triggered crash");
            }
            say("  the next kernel set aside another place");
        }
        bail!("none of {CRASHES} crashes was told of")
    });
    Ok(())
}

/// The box starts, and says that its kernel died, and why.
fn told_of_the_crash(world: &mut World, why: &str) -> Result<()> {
    comes_up(world)?;
    is_told_of(world, why)
}

/// What the box says of itself once it has started.
fn comes_up(world: &mut World) -> Result<String> {
    let console = world.console()?;
    console.wait_login(OFF_LIMIT)?;
    console.login("admin", PASSWORD)?;
    Ok(console.ok("show version")?.text())
}

fn is_told_of(world: &mut World, why: &str) -> Result<()> {
    let console = world.console()?;
    let version = console.ok("show version")?.text();
    ensure!(version.contains(&format!("kernel failure: {why}")), "{version}");
    let warnings = console.ok("show warnings")?.text().replace('\n', " ");
    ensure!(warnings.contains(&format!("the kernel failed before this start: {why}")), "{warnings}");
    let log = console.ok("show logging | include before this start")?.text();
    ensure!(log.contains(&format!("Kernel panic - not syncing: {why}")) && log.lines().count() > 20, "{log}");
    ensure!(console.ok("show flash:")?.text().contains("crash"), "nothing was kept");
    Ok(())
}

/// What runs is saved, and nothing is said of the flash any more.
fn saves(world: &mut World) -> Result<()> {
    let console = world.console()?;
    let said = console.ok("write memory")?.text();
    ensure!(said.contains("[OK]"), "{said}");
    let warnings = console.ok("show warnings")?.text();
    ensure!(!warnings.contains("flash") && !warnings.contains("write memory"), "{warnings}");
    Ok(())
}

/// Kills the director while the first server is dead. The kernel's table says who is balanced to.
fn killed_in_an_outage(world: &mut World) -> Result<()> {
    let monitor =
        ["health-monitor web", "interval 1", "timeout 1", "retry 0", "virtual-server www", "health-check web"];
    world.console()?.configure(&monitor)?;
    // Both are in, and stay in until a check says otherwise.
    let is = |world: &mut World, first: bool, second: bool| -> Result<()> {
        let table = world.shell()?.ok("ipvsadm -Ln")?;
        let there = (table.contains("10.0.20.11:8080"), table.contains("10.0.20.12:8080"));
        ensure!(there == (first, second), "{table}");
        Ok(())
    };
    is(world, true, true)?;
    world.server(0)?.stop_nginx()?;
    wait::until("the dead server to be out", RECOVERY_LIMIT, || is(world, false, true))?;
    let load = Load::start(addr::VIP_NAT);
    let old = world.shell()?.pids("director")?;
    world.shell()?.ok(&format!("kill -9 {}", old[0]))?;
    wait::until("another director", RECOVERY_LIMIT, || {
        let new = world.shell()?.pids("director")?;
        ensure!(new != old && new.len() == 1, "{new:?}, it was {old:?}");
        Ok(())
    })?;
    // Until it has probed both: it answers before.
    wait::until("checks of the new director", RECOVERY_LIMIT, || {
        let shown = world.console()?.json("show health-check web")?.to_string();
        let states = shown.contains("\"down\"") && shown.contains("\"up\"");
        ensure!(states && !shown.contains("\"last_s\":null"), "{shown}");
        Ok(())
    })?;
    is(world, false, true)?;
    // No request has met a dead server, and none was refused.
    load.stop()?;
    world.server(0)?.start_nginx()?;
    wait::until("the server that lives again to be in", RECOVERY_LIMIT, || is(world, true, true))?;
    world.console()?.configure(&["virtual-server www", "no health-check", "no health-monitor web"])
}

/// Kills a daemon while one connection is slow and others come and go; the kernel's table must be the same before and
/// after, its counters included.
fn killed_under_load(world: &mut World, name: &str) -> Result<()> {
    let table = world.shell()?.ok("ipvsadm -Sn")?;
    let load = Load::start(addr::VIP_NAT);
    let url = format!("http://{}/slow", addr::VIP_NAT);
    let slow = ["--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}"];
    let downloaded = std::thread::scope(|scope| -> Result<String> {
        let download = scope.spawn(|| traffic::curl(Ns::Client, &slow, &url));
        wait::until("connections", RECOVERY_LIMIT, || {
            ensure!(connections(world)? > 5);
            Ok(())
        })?;
        let before = connections(world)?;
        let shell = world.shell()?;
        let old = shell.pids(name)?;
        // Of shells there is one on each console.
        let all: Vec<String> = old.iter().map(i32::to_string).collect();
        shell.ok(&format!("kill -9 {}", all.join(" ")))?;
        wait::until(&format!("another {name}"), RECOVERY_LIMIT, || {
            let new = world.shell()?.pids(name)?;
            ensure!(new.len() == old.len() && !new.iter().any(|pid| old.contains(pid)), "{old:?} became {new:?}");
            Ok(())
        })?;
        if name == "director" {
            wait::until("the director to answer", RECOVERY_LIMIT, || {
                let said = world.console()?.run("show virtual-server")?;
                ensure!(said.text().contains("www"), "{}", said.text());
                Ok(())
            })?;
        }
        let after = connections(world)?;
        ensure!(after >= before, "the service counted {before} connections and then {after}: it was made anew");
        download.join().ok().context("curl panicked")?
    })?;
    load.stop()?;
    ensure!(downloaded == SLOW_BYTES.to_string(), "the slow connection got {downloaded} of {SLOW_BYTES} bytes");
    let after = world.shell()?.ok("ipvsadm -Sn")?;
    ensure!(after == table, "the table was\n{table}\nand is\n{after}");
    Ok(())
}

/// Connections the kernel has counted for the service since it was made.
fn connections(world: &mut World) -> Result<u64> {
    let stats = world.shell()?.ok("ipvsadm -Ln --stats --exact -t 203.0.113.10:80")?;
    let row = stats.lines().find(|row| row.starts_with("TCP")).context("the service is not in the kernel's table")?;
    row.split_whitespace().nth(2).and_then(|n| n.parse().ok()).with_context(|| format!("ipvsadm prints {row:?}"))
}
