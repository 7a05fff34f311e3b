//! What a pool makes of dead servers as a whole: quorum and its hysteresis, the sorry server, nobody left, and a slow return. Each change is a line of the
//! log, once, with what it did.

use std::thread;

use anyhow::{Context, Result, ensure};

use super::BACK_LIMIT;
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::traffic;
use crate::wait;

/// Weight of each real server of `pool`: 12 in all. Its quorum of 9 with a hysteresis of 3 is lost below 6, and back at 12.
const LINES: &[&str] = &[
    "health-monitor alive",
    "interval 1",
    "timeout 1",
    "retry 0",
    "health-monitor closed",
    "port 9",
    "interval 1",
    "timeout 1",
    "retry 0",
    "virtual-server pool",
    "virtual 203.0.113.10 tcp 82",
    "scheduler rr",
    "health-check alive",
    "quorum 9 hysteresis 3",
    "sorry-server 10.0.20.12 80",
    "real-server 10.0.20.11 8080",
    "weight 4",
    "real-server 10.0.20.12 8080",
    "weight 4",
    "real-server 10.0.20.12 5301",
    "weight 4",
    "health-check none",
];

/// Leaves the box without what it adds, and both servers alive.
pub(super) fn checks(scene: &mut Scene<'_>) {
    scene.check("quorum_is_lost_and_had_with_its_hysteresis_and_the_living_keep_their_clients", |world| {
        world.console()?.configure(LINES)?;
        let told = quorum(world);
        if told.is_err() {
            // For the checks after this one: whichever of them runs.
            let _ = world.server(0)?.stop_nginx();
            world.server(0)?.start_nginx()?;
        }
        world.console()?.configure(&["no virtual-server pool", "no health-monitor closed"])?;
        told
    });
    scene.check("when_all_fail_at_once_fail_open_balances_on_and_says_so", |world| {
        world.console()?.configure(&[
            "health-monitor alive",
            "type http",
            "virtual-server web",
            "health-check alive",
            "fail-open",
        ])?;
        up(world, "web", 2)?;
        // Nothing has died: what is asked for is not there.
        world.console()?.configure(&["health-monitor alive", "expect status 404"])?;
        let open = "virtual-server web: all real servers have failed, it balances as if none had (fail-open)";
        said_once(world, open)?;
        let replies = traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
        ensure!(traffic::tally(&replies).values().eq(&[2, 2]), "{:?}", traffic::tally(&replies));
        let shown = world.console()?.json("show health-check alive")?.to_string();
        ensure!(shown.contains("status 200, expected 404"), "{shown}");
        world.console()?.configure(&["health-monitor alive", "no expect status"])?;
        said_once(world, "virtual-server web: a real server is back, only those that are up get clients")?;
        world.console()?.configure(&["virtual-server web", "no fail-open"])
    });
    scene.check("a_server_that_is_back_gets_its_weight_bit_by_bit", |world| {
        let weight = ["weight 8", "exit", "real-server 10.0.20.12 8080", "weight 8"];
        let server = ["virtual-server web", "slow-start 4", "real-server 10.0.20.11 8080"];
        world.console()?.configure(&[server.as_slice(), &weight].concat())?;
        up(world, "web", 2)?;
        world.server(0)?.stop_nginx()?;
        said_once(world, "health-monitor alive: 10.0.20.11 8080 is down: connect: refused; virtual-server web: is taken out, 1 of 2 are in")?;
        world.server(0)?.start_nginx()?;
        let mut weights = Vec::new();
        wait::until("all of its weight", BACK_LIMIT * 2, || {
            let rows = world.console()?.json("show real-server web")?;
            let rows = rows["real_servers"].as_array().context("no rows")?.clone();
            let of = |address: &str| {
                let row = rows.iter().find(|row| row["address"] == address);
                row.and_then(|row| row["weight"].as_u64()).with_context(|| format!("{rows:?}"))
            };
            ensure!(of("10.0.20.12")? == 8, "the other one has all of its weight: {rows:?}");
            weights.extend(Some(of("10.0.20.11")?).filter(|weight| *weight > 0));
            ensure!(weights.last() == Some(&8), "{weights:?}");
            Ok(())
        })?;
        ensure!(weights.is_sorted() && weights.iter().any(|weight| (1..8).contains(weight)), "{weights:?}");
        world.console()?.configure(&[
            "virtual-server web",
            "no slow-start",
            "no health-check",
            "real-server 10.0.20.11 8080",
            "no weight",
            "exit",
            "real-server 10.0.20.12 8080",
            "no weight",
        ])?;
        world.console()?.configure(&["no health-monitor alive", "no health-monitor web"])
    });
}

fn quorum(world: &mut World) -> Result<()> {
    up(world, "pool", 3)?;
    world.server(0)?.stop_nginx()?;
    said_once(
        world,
        "health-monitor alive: 10.0.20.11 8080 is down: connect: refused; virtual-server pool: is taken out, 2 of 3 are in",
    )?;
    let lost = "virtual-server pool: quorum is lost, new clients go to sorry-server 10.0.20.12 80";
    let log = world.console()?.ok("show logging tail 20")?.text();
    ensure!(!log.contains(lost), "8 is within the hysteresis of 3:\n{log}");
    // A client of the one that lives, which outlasts the quorum: rr may first try the one that is no web server.
    let url = format!("http://{}:82/slow", addr::VIP_NAT);
    let slow = ["--max-time", "60", "-o", "/dev/null", "--retry", "2", "--retry-connrefused"];
    thread::scope(|scope| {
        let busy = scope.spawn(|| traffic::curl(Ns::Client, &slow, &url));
        wait::until("a client", BACK_LIMIT, || {
            let rows = world.console()?.json("show real-server pool")?.to_string();
            ensure!(rows.contains("\"active_connections\":1"), "{rows}");
            Ok(())
        })?;
        let of = ["virtual-server pool", "real-server 10.0.20.12 5301", "health-check closed"];
        world.console()?.configure(&of)?;
        said_once(world, lost)?;
        let rows = world.console()?.json("show real-server pool")?.to_string();
        ensure!(rows.contains("\"state\":\"waiting\""), "{rows}");
        let rows = world.console()?.json("show virtual-server pool")?.to_string();
        ensure!(rows.contains("\"state\":\"sorry\""), "{rows}");
        let reply = traffic::curl(Ns::Client, &[], &traffic::url(addr::VIP_NAT, 82))?;
        ensure!(traffic::Reply::parse(&reply)?.port == "80", "{reply}");
        busy.join().ok().context("curl panicked")?.context("the client of a server that lives was thrown out")
    })?;
    world.server(0)?.start_nginx()?;
    said_once(world, "health-monitor alive: 10.0.20.11 8080 is up; virtual-server pool: gets weight 0, 2 of 3 are in")?;
    let had = "virtual-server pool: quorum is there";
    let log = world.console()?.ok("show logging tail 20")?.text();
    ensure!(log.matches(had).count() <= 1, "once at the start; 8 of 12 are not enough to come back:\n{log}");
    let of = ["virtual-server pool", "real-server 10.0.20.12 5301", "health-check none"];
    world.console()?.configure(&of)?;
    up(world, "pool", 3)
}

/// Waits until so many real servers of a virtual server get clients.
fn up(world: &mut World, name: &str, count: usize) -> Result<()> {
    wait::until(&format!("{count} real servers of {name}"), BACK_LIMIT, || {
        let rows = world.console()?.json(&format!("show real-server {name}"))?.to_string();
        ensure!(rows.matches("\"state\":\"up\"").count() == count, "{rows}");
        Ok(())
    })
}

/// Waits until the log has a line that ends so, and makes sure that it is there once.
fn said_once(world: &mut World, line: &str) -> Result<()> {
    wait::until(line, BACK_LIMIT, || {
        let log = world.console()?.ok("show logging tail 40")?.text();
        let times = log.lines().filter(|said| said.trim_end().ends_with(line)).count();
        ensure!(times == 1, "said {times} times:\n{log}");
        Ok(())
    })
}
