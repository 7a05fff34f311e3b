//! Addresses that move: what a box does with its vrrp groups, alone and as one of a pair.

mod pair;

use std::time::Duration;

pub(super) use self::pair::{mirrored, of};
use anyhow::{Context, Result, ensure};

use super::{PASSWORD, typed, wait_serving};
use crate::console::Console;
use crate::net::{self, Ns, SERVERS, addr};
use crate::runner::{Scene, World};
use crate::traffic::{self, Load};
use crate::vm::{Firmware, Machine};
use crate::wait;

/// What vrrpd may do: CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_SYS_NICE (linux/capability.h).
const CAPABILITIES: u64 = 1 << 12 | 1 << 13 | 1 << 14 | 1 << 23;
/// SCHED_FIFO (linux/sched.h).
const FIFO: &str = "1";
/// From a change of the configuration, or the death of a daemon, until the network shows it, on an emulated machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine { firmware: Firmware::Direct { append: String::new() }, ..Machine::default() })?;
    scene.must("a_box_alone_takes_its_addresses_and_says_so", |world| {
        // The way back is the address that moves.
        for server in SERVERS {
            net::ip(&["-n", &server.name(), "route", "replace", "default", "via", "10.0.20.1"])?;
        }
        world.shell()?.wait_ready()?;
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/pair.cfg")))?;
        wait_serving()?;
        let rows = groups(world.console()?)?;
        ensure!(rows.len() == 2, "{rows:?}");
        for row in &rows {
            ensure!(row["state"] == "active" && row["held"] == 1 && row["sync_group"] == "pair", "{row}");
        }
        let brief = world.console()?.ok("show vrrp")?.text();
        ensure!(brief.contains("outside    51 eth0      active      254 203.0.113.10/24"), "{brief}");
        let warnings = world.console()?.ok("show warnings")?.text();
        ensure!(!warnings.contains("vrrp"), "{warnings}");
        Ok(())
    })?;
    scene.check("vrrpd_runs_in_real_time_with_locked_memory_and_few_capabilities", |world| {
        let shell = world.shell()?;
        let pid = shell.pids("vrrpd")?[0];
        let status = shell.ok(&format!("cat /proc/{pid}/status"))?;
        let field = |name: &str| -> Result<String> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.with_context(|| format!("{name} {status}"))?.trim().to_owned())
        };
        ensure!(u64::from_str_radix(&field("CapEff:")?, 16)? == CAPABILITIES, "{}", field("CapEff:")?);
        ensure!(field("VmLck:")? != "0 kB", "nothing is locked");
        for (name, score) in [("vrrpd", "-900"), ("director", "-900")] {
            let pid = shell.pids(name)?[0];
            let found = shell.ok(&format!("cat /proc/{pid}/oom_score_adj"))?;
            ensure!(found.trim() == score, "{name} is ended at {found} when memory is short");
        }
        let threads = shell.ok(&format!("cat /proc/{pid}/task/*/stat"))?;
        // proc(5): priority and policy are fields 40 and 41, and the name may have blanks.
        let mut realtime: Vec<Vec<&str>> = threads
            .lines()
            .filter_map(|line| Some(line.rsplit_once(')')?.1.split_whitespace().skip(37).take(2).collect()))
            .filter(|fields: &Vec<&str>| fields.get(1) == Some(&FIFO))
            .collect();
        realtime.sort();
        ensure!(realtime == [["40", FIFO], ["40", FIFO], ["50", FIFO]], "{realtime:?}");
        Ok(())
    });
    scene.check("vrrpd_killed_under_load_costs_no_request_and_it_goes_on_as_it_was", |world| {
        let load = Load::start(addr::VIP_NAT);
        let old = kill(world)?;
        wait::until("another vrrpd that is active", LIMIT, || {
            ensure!(world.shell()?.pids("vrrpd")? != old, "still {old:?}");
            all(world.console()?, "active")
        })?;
        load.stop().map(drop)
    });
    scene.check("director_killed_changes_nothing_that_vrrpd_holds", |world| {
        let load = Load::start(addr::VIP_NAT);
        let before = groups(world.console()?)?[0]["totals"]["became_active"].clone();
        let vrrpd = world.shell()?.pids("vrrpd")?;
        let old = world.shell()?.pids("director")?;
        world.shell()?.ok(&format!("kill -9 {}", old[0]))?;
        wait::until("another director", LIMIT, || {
            ensure!(world.shell()?.pids("director")? != old, "still {old:?}");
            all(world.console()?, "active")
        })?;
        ensure!(world.shell()?.pids("vrrpd")? == vrrpd, "vrrpd was restarted");
        ensure!(groups(world.console()?)?[0]["totals"]["became_active"] == before, "{before}");
        load.stop().map(drop)
    });
    scene.check("vrrpd_killed_three_times_lets_go_and_comes_back", |world| {
        // As often as it takes within ten seconds; the one that lets go is spared.
        let kill = "for p in $(pidof vrrpd); do grep -q release /proc/$p/cmdline || kill -9 $p; done";
        wait::until("it to let go", LIMIT, || {
            world.shell()?.run(kill)?;
            let log = world.console()?.ok("show logging tail 20")?.text();
            ensure!(log.contains("/usr/sbin/vrrpd has let go: exit status 0"), "{log}");
            Ok(())
        })?;
        wait::until("the groups to be active again", LIMIT, || all(world.console()?, "active"))?;
        wait_serving().map(drop)
    });
    scene.check("the_configuration_is_followed_address_by_address", |world| {
        world.console()?.configure(&["vrrp group outside", "address 203.0.113.14/24"])?;
        wait::until("the added address", LIMIT, || ping("203.0.113.14"))?;
        let became =
            groups(world.console()?)?.iter().map(|row| row["totals"]["became_active"].to_string()).collect::<Vec<_>>();
        world.console()?.configure(&["vrrp group outside", "no address 203.0.113.14/24"])?;
        wait::until("the removed address to be silent", LIMIT, || {
            ensure!(ping("203.0.113.14").is_err(), "it answers");
            Ok(())
        })?;
        let now =
            groups(world.console()?)?.iter().map(|row| row["totals"]["became_active"].to_string()).collect::<Vec<_>>();
        ensure!(became == now, "a group was started again");
        // The address of a virtual server is the box's own when no group has it, and the other way round.
        world.console()?.configure(&["no vrrp sync-group pair", "no vrrp group outside"])?;
        wait_serving()?;
        ensure!(groups(world.console()?)?.len() == 1, "{:?}", groups(world.console()?)?);
        world.console()?.configure(&typed(include_str!("../../config/pair.cfg")))?;
        wait::until("both groups", LIMIT, || all(world.console()?, "active"))?;
        wait_serving().map(drop)
    });
    scene.check("a_mark_bound_to_a_group_comes_and_goes_with_it", |world| {
        net::ip(&["-n", &Ns::Client.name(), "route", "add", "192.0.2.0/24", "via", addr::DIRECTOR])?;
        world.console()?.configure(&[
            "firewall-mark 7 192.0.2.0/24 tcp 80",
            "virtual-server marked",
            "virtual fwmark 7",
            "redundancy outside",
            "real-server 10.0.20.11 any",
        ])?;
        wait::until("an answer", LIMIT, || traffic::http("192.0.2.5"))?;
        world.console()?.configure(&["vrrp group outside", "shutdown"])?;
        wait::until("the mark to go", LIMIT, || {
            let table = world.shell()?.ok("ipvsadm -Sn")?;
            ensure!(!table.contains("-f 7") && table.contains(addr::VIP_NAT), "{table}");
            traffic::silent("192.0.2.5", 80)
        })?;
        traffic::silent(addr::VIP_NAT, 80)?;
        let rows = world.console()?.ok("show virtual-server")?.text();
        ensure!(rows.lines().skip(1).all(|row| row.contains(" backup ")), "{rows}");
        world.console()?.configure(&["vrrp group outside", "no shutdown"])?;
        wait::until("an answer again", LIMIT, || traffic::http("192.0.2.5"))?;
        world.console()?.configure(&["no virtual-server marked", "no firewall-mark 7"])
    });
    scene.check("a_virtual_server_without_its_quorum_takes_the_addresses_along", |world| {
        world.console()?.configure(&["vrrp group outside", "track virtual-server www"])?;
        wait_serving()?;
        for server in ["10.0.20.11", "10.0.20.12"] {
            world.console()?.ok(&format!("drain real-server {server}"))?;
        }
        wait::until("both groups to give up", LIMIT, || all(world.console()?, "initialize"))?;
        let rows = groups(world.console()?)?;
        ensure!(rows.iter().any(|row| row["down"][0] == "virtual-server www"), "{rows:?}");
        wait::until("the address to go", LIMIT, || {
            ensure!(ping(addr::VIP_NAT).is_err(), "it answers");
            Ok(())
        })?;
        for server in ["10.0.20.11", "10.0.20.12"] {
            world.console()?.ok(&format!("undrain real-server {server}"))?;
        }
        wait::until("both groups to be back", LIMIT, || all(world.console()?, "active"))?;
        wait_serving().map(drop)
    });
    pair::run(scene)
}

pub(super) fn groups(console: &mut Console) -> Result<Vec<serde_json::Value>> {
    let said = console.json("show vrrp")?;
    let rows = said["vrrp"]["groups"].as_array().with_context(|| format!("{said}"))?;
    Ok(rows.clone())
}

/// Whether both groups are in this state.
pub(super) fn all(console: &mut Console, state: &str) -> Result<()> {
    let rows = groups(console)?;
    ensure!(rows.len() == 2 && rows.iter().all(|row| row["state"] == state), "{rows:?}");
    Ok(())
}

/// Kills vrrpd without a word; returns what its process was.
fn kill(world: &mut World) -> Result<Vec<i32>> {
    let shell = world.shell()?;
    let pids = wait::until("vrrpd", LIMIT, || shell.pids("vrrpd"))?;
    shell.ok(&format!("kill -9 {}", pids[0]))?;
    Ok(pids)
}

/// One ping of the client.
fn ping(address: &str) -> Result<()> {
    let output = Ns::Client.command("ping").args(["-n", "-c", "1", "-W", "1", address]).output()?;
    ensure!(output.status.success(), "{address} does not answer a ping");
    Ok(())
}
