//! What changes on a live box: schedulers, weights and limits under a connection that does not notice, draining with its progress and its end,
//! and counters that stay true when a real server goes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::SERVING_LIMIT;
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::servers::SLOW_BYTES;
use crate::traffic::{self, tally};
use crate::wait;

/// Until a box that looks at its table every five seconds has seen the end of a connection.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// More than the time between two estimations of the kernel, also on an emulated machine.
const ADDED_UP: Duration = Duration::from_secs(4);

/// Options of `web` and its real servers, edited there and back, each in a block of its own.
const EDITS: [&[&str]; 9] = [
    &["scheduler wrr"],
    &["scheduler mh port-fallback"],
    &["persistence timeout 60"],
    &["no persistence"],
    &["scheduler wlc"],
    &["real-server 10.0.20.11 8080", "weight 7", "threshold 100 50"],
    &["real-server 10.0.20.12 8080", "weight 0"],
    &["real-server 10.0.20.12 8080", "no weight"],
    &["real-server 10.0.20.11 8080", "no weight", "no threshold"],
];

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) {
    scene.check("changes_break_no_connection_and_draining_ends_with_the_last", |world| {
        let url = format!("http://{}/slow", addr::VIP_NAT);
        let slow = ["--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}"];
        // The download goes to the first server.
        world.console()?.configure(&["virtual-server web", "real-server 10.0.20.12 8080", "weight 0"])?;
        let got = std::thread::scope(|scope| -> Result<String> {
            let download = scope.spawn(|| traffic::curl(Ns::Client, &slow, &url));
            wait::until("the connection", SERVING_LIMIT, || active(world, 1))?;
            world.console()?.configure(&["virtual-server web", "real-server 10.0.20.12 8080", "no weight"])?;
            for edit in EDITS {
                world.console()?.configure(&[&["virtual-server web"], edit].concat())?;
            }
            active(world, 1).context("after every change")?;

            let console = world.console()?;
            let said = console.run("drain real-server 10.0.20.11 wait timeout 1")?.text();
            ensure!(said.contains("connections left: ") && said.contains("not drained after 1 s"), "{said}");
            console.serial.send("drain real-server 10.0.20.11 wait\r")?;
            console.interrupt()?;
            let rows = console.json("show real-server web")?.to_string();
            ensure!(rows.contains("\"state\":\"drain\""), "Ctrl-C has undrained it: {rows}");
            download.join().ok().context("curl panicked")?
        })?;
        ensure!(got == SLOW_BYTES.to_string(), "it got {got} of {SLOW_BYTES} bytes");
        let said = world.console()?.run_within("drain real-server 10.0.20.11 wait timeout 20", DRAIN_LIMIT)?;
        // Closed ones are counted by the kernel for two minutes: they are not waited for.
        ensure!(said.text().contains("drained") && said.errors().is_empty(), "{}", said.text());
        let replies = traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
        ensure!(tally(&replies).keys().eq(&["lvs_real_server02"]), "{:?}", tally(&replies));
        world.console()?.ok("undrain real-server 10.0.20.11")?;
        world.console()?.configure(&["virtual-server web", "scheduler rr"])
    });
    scene.check("counters_stay_true_when_a_real_server_goes", |world| {
        world.console()?.ok("clear statistics virtual-server web")?;
        ensure!(settled(world)? == (0, vec![0, 0]), "{:?}", sums(world)?);
        traffic::ask(6, || traffic::http(addr::VIP_NAT))?;
        ensure!(settled(world)? == (6, vec![3, 3]), "{:?}", sums(world)?);
        world.console()?.configure(&["virtual-server web", "no real-server 10.0.20.12 8080"])?;
        traffic::ask(2, || traffic::http(addr::VIP_NAT))?;
        ensure!(settled(world)? == (8, vec![5]), "{:?}", sums(world)?);
        world.console()?.configure(&["virtual-server web", "real-server 10.0.20.12 8080"])?;
        let rates = world.console()?.json("show rate virtual-server web")?.to_string();
        ensure!(rates.matches("in_pps").count() == 3, "{rates}");
        Ok(())
    });
    resets(scene);
}

/// Ends connections that carry data, and bindings of persistence.
fn resets(scene: &mut Scene<'_>) {
    scene.check("a_reset_ends_a_busy_connection_and_leaves_others", |world| {
        let slow = ["--max-time", "60", "-o", "/dev/null"];
        world.console()?.configure(&[
            "virtual-server other",
            "virtual 203.0.113.10 tcp 82",
            "real-server 10.0.20.11 8080",
        ])?;
        let start = wait::now();
        let (web, other) = std::thread::scope(|scope| -> Result<_> {
            let download = |port| {
                let url = format!("http://{}:{port}/slow", addr::VIP_NAT);
                scope.spawn(move || traffic::curl(Ns::Client, &slow, &url))
            };
            let (web, other) = (download(80), download(82));
            let open = |world: &mut World| -> Result<String> {
                Ok(world.console()?.ok("show connections state established count")?.text())
            };
            wait::until("two connections", SERVING_LIMIT, || {
                let open = open(world)?;
                ensure!(open == "2", "{open}");
                Ok(())
            })?;
            let said = world.console()?.ok("reset connections virtual-server web")?.text();
            ensure!(said == "1 connections reset", "{said}");
            let open = open(world)?;
            ensure!(open == "1", "{open} are open");
            let web = web.join().ok().context("curl panicked")?;
            ensure!(wait::now() - start < Duration::from_secs(9), "nobody told the client");
            Ok((web, other.join().ok().context("curl panicked")?))
        })?;
        ensure!(web.is_err(), "the download went on");
        other.context("that of another virtual server")?;
        let daemons = world.console()?.ok("ipvsadm -L --daemon")?.text();
        ensure!(daemons.is_empty(), "{daemons}");
        world.console()?.configure(&["no virtual-server other", "virtual-server web", "persistence timeout 300"])?;
        traffic::http(addr::VIP_NAT)?;
        let bound = |world: &mut World| -> Result<usize> {
            let shown = world.console()?.json("show persistence web")?;
            Ok(shown["persistence"].as_array().context("no rows")?.len())
        };
        ensure!(bound(world)? == 1, "{} clients are bound", bound(world)?);
        // Its connection is closed, and remembered by the kernel for two minutes.
        let said = world.console()?.ok("reset persistence web")?.text();
        ensure!(said == "1 clients reset" && bound(world)? == 0, "{said}; {} clients are bound", bound(world)?);
        world.console()?.configure(&["virtual-server web", "no persistence"])
    });
}

/// Connections of `web` since they were cleared: its own number, and that of each real server.
type Sums = (u64, Vec<u64>);

fn sums(world: &mut World) -> Result<Sums> {
    let shown = world.console()?.json("show statistics virtual-server web")?;
    let connections = |row: &serde_json::Value| row["counters"]["connections"].as_u64().unwrap_or(u64::MAX);
    let rows = |key: &str| -> Vec<u64> {
        shown["statistics"][key].as_array().into_iter().flatten().map(connections).collect()
    };
    Ok((rows("virtual_servers").iter().sum(), rows("real_servers")))
}

/// The sums once the kernel has added them up: the same for more than its two seconds.
fn settled(world: &mut World) -> Result<Sums> {
    let mut last = (sums(world)?, wait::now());
    wait::until("counters to settle", SERVING_LIMIT, || {
        let sums = sums(world)?;
        if sums != last.0 {
            last = (sums, wait::now());
        }
        ensure!(wait::now() - last.1 > ADDED_UP, "{:?}", last.0);
        Ok(last.0.clone())
    })
}

/// Checks how many connections the first server of `web` has.
fn active(world: &mut World, wanted: u64) -> Result<()> {
    let shown = world.console()?.json("show real-server web 10.0.20.11 8080")?;
    let rows = shown["real_servers"].as_array().context("no rows")?;
    let active: u64 = rows.iter().filter_map(|row| row["active_connections"].as_u64()).sum();
    ensure!(active == wanted, "{active} active connections: {shown}");
    Ok(())
}
