//! What a virtual server can be told besides its mode, each seen in traffic: schedulers, persistence, one packet at a
//! time, any port, a firewall mark, connection limits; and the numbers that are shown of it.

mod defences;
mod flags;
mod live;

use anyhow::{Context, Result, ensure};

use super::{PASSWORD, typed};
use crate::console::Console;
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::servers::ECHO_PORT;
use crate::traffic::{self, tally};
use crate::vm::Machine;
use crate::wait;

/// keepalived.conf(5)'s list, all of which the kernel has.
const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"];

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("the_box_serves", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/balancing.cfg")))?;
        wait::until("an answer", super::SERVING_LIMIT, || traffic::http(addr::VIP_NAT)).map(drop)
    })?;
    scene.check("every_scheduler_schedules", |world| {
        for scheduler in SCHEDULERS {
            let console = world.console()?;
            console.configure(&["virtual-server web", &format!("scheduler {scheduler}")])?;
            let table = console.ok("ipvsadm -L -n")?.text();
            ensure!(table.contains(&format!("203.0.113.10:80 {scheduler}")), "{table}");
            traffic::http(addr::VIP_NAT).with_context(|| format!("scheduler {scheduler}"))?;
        }
        world.console()?.configure(&["virtual-server web", "scheduler mh port-fallback"])?;
        let table = world.console()?.ok("ipvsadm -L -n")?.text();
        ensure!(table.contains("mh (mh-fallback,mh-port)"), "{table}");
        world.console()?.configure(&["virtual-server web", "scheduler rr"])
    });
    scene.check("persistence_keeps_a_client_and_its_end_lets_it_go", |world| {
        world.console()?.configure(&["virtual-server web", "persistence timeout 300"])?;
        let replies = traffic::ask(6, || traffic::http(addr::VIP_NAT))?;
        ensure!(tally(&replies).len() == 1, "{:?}", tally(&replies));
        let table = world.console()?.ok("ipvsadm -L -n")?.text();
        ensure!(table.contains("rr persistent 300"), "{table}");
        world.console()?.configure(&["virtual-server web", "no persistence"])?;
        let replies = traffic::ask(6, || traffic::http(addr::VIP_NAT))?;
        ensure!(tally(&replies).values().eq(&[3, 3]), "{:?}", tally(&replies));
        Ok(())
    });
    scene.check("any_port_is_one_service_for_all_of_them", |world| {
        world.console()?.configure(&[
            "virtual-server all",
            "virtual 10.0.20.100 tcp any",
            "mode dr",
            "persistence timeout 60",
            "real-server 10.0.20.11 any",
            "real-server 10.0.20.12 any",
        ])?;
        let first = traffic::http(addr::VIP_DR)?;
        let second = traffic::curl(Ns::Client, &[], &traffic::url(addr::VIP_DR, 8080))?;
        ensure!(second.starts_with(&first.server), "port 80 at {}, port 8080 at {second}", first.server);
        world.console()?.configure(&["no virtual-server all"])?;
        traffic::silent(addr::VIP_DR, ECHO_PORT)
    });
    scene.check("one_packet_balances_each_datagram_of_one_client_port", |world| {
        world.console()?.configure(&[
            "virtual-server dns",
            "virtual 10.0.20.100 udp 5300",
            "scheduler rr",
            "mode dr",
            "one-packet",
            "real-server 10.0.20.11 5300",
            "real-server 10.0.20.12 5300",
        ])?;
        let replies = traffic::udp_from_one_port(addr::VIP_DR, ECHO_PORT, 6)?;
        ensure!(tally(&replies).values().eq(&[3, 3]), "{:?}", tally(&replies));
        world.console()?.configure(&["virtual-server dns", "no one-packet"])?;
        let replies = traffic::udp_from_one_port(addr::VIP_DR, ECHO_PORT, 6)?;
        ensure!(tally(&replies).len() == 1, "without it a port stays where it is: {:?}", tally(&replies));
        world.console()?.configure(&["no virtual-server dns"])
    });
    scene.check("a_sip_call_stays_with_its_server_whatever_port_it_comes_from", |world| {
        world.console()?.configure(&[
            "virtual-server phones",
            "virtual 10.0.20.100 udp 5300",
            "scheduler rr",
            "mode dr",
            "one-packet",
            "persistence timeout 60",
            "persistence engine sip",
            "real-server 10.0.20.11 5300",
            "real-server 10.0.20.12 5300",
        ])?;
        let table = world.console()?.ok("ipvsadm -L -n")?.text();
        ensure!(table.contains("persistent 60 pe sip ops"), "{table}");
        // Not all of them are UTF-8 on the wire.
        let calls = ["a84b4c76-\u{e9}", "b1@client.example.net", "f81d4fae-7dec-11d0", "z9hG4bK776asdhds"];
        let first = traffic::sip(addr::VIP_DR, ECHO_PORT, &calls, true)?;
        ensure!(tally(&first).values().eq(&[2, 2]), "four calls of one port: {:?}", tally(&first));
        for one_port in [false, true, false] {
            let again = traffic::sip(addr::VIP_DR, ECHO_PORT, &calls, one_port)?;
            ensure!(again == first, "{first:?}, then {again:?}");
        }
        // What clients call their calls keeps nobody from seeing and ending them.
        let bound = |world: &mut World| -> Result<usize> {
            let shown = world.console()?.json("show persistence phones")?;
            Ok(shown["persistence"].as_array().context("no rows")?.len())
        };
        ensure!(bound(world)? == calls.len(), "{} calls are bound", bound(world)?);
        let said = world.console()?.ok("reset persistence phones")?.text();
        ensure!(said == "4 clients reset" && bound(world)? == 0, "{said}; {} calls are bound", bound(world)?);
        // Without the engine it is the client that stays.
        world.console()?.configure(&["virtual-server phones", "no persistence engine"])?;
        let replies = traffic::sip(addr::VIP_DR, ECHO_PORT, &calls, false)?;
        ensure!(tally(&replies).len() == 1, "{:?}", tally(&replies));
        world.console()?.configure(&["no virtual-server phones"])
    });
    flags::run(scene);
    live::run(scene);
    defences::run(scene);
    scene.check("a_threshold_sends_the_next_connection_elsewhere", |world| {
        world.console()?.configure(&[
            "virtual-server web",
            "real-server 10.0.20.11 8080",
            "threshold 1",
            "weight 100",
            "exit",
            "scheduler wlc",
        ])?;
        let url = format!("http://{}/slow", addr::VIP_NAT);
        let slow = ["--max-time", "60", "-o", "/dev/null"];
        std::thread::scope(|scope| -> Result<()> {
            let busy = scope.spawn(|| traffic::curl(Ns::Client, &slow, &url));
            wait::until("the first connection", super::SERVING_LIMIT, || {
                let rows = world.console()?.json("show real-server web")?.to_string();
                ensure!(rows.contains("\"active_connections\":1"), "{rows}");
                Ok(())
            })?;
            let replies = traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
            busy.join().ok().context("curl panicked")??;
            ensure!(tally(&replies).keys().eq(&["lvs_real_server02"]), "{:?}", tally(&replies));
            Ok(())
        })?;
        world.console()?.configure(&[
            "virtual-server web",
            "scheduler rr",
            "real-server 10.0.20.11 8080",
            "no threshold",
            "no weight",
        ])
    });
    scene.check("timeouts_and_counters_are_what_was_asked_for", |world| {
        let console = world.console()?;
        // What the module was loaded with: 1 MiB of 512.
        let shown = console.json("show ipvs")?;
        ensure!(shown["ipvs"]["table_bits"] == 17, "{shown}");
        console.configure(&["ipvs timeout tcp 300", "ipvs timeout udp 30"])?;
        let shown = console.ok("ipvsadm -L --timeout")?.text();
        ensure!(shown.contains("300 120 30"), "{shown}");
        console.configure(&["no ipvs timeout"])?;
        let shown = console.ok("ipvsadm -L --timeout")?.text();
        ensure!(shown.contains("900 120 300"), "{shown}");
        // The kernel adds its counters up every two seconds, and clears only what it has added up: of these nothing may come later.
        traffic::ask(3, || traffic::http(addr::VIP_NAT))?;
        console.ok("clear statistics")?;
        traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
        wait::until("four connections since they were cleared", super::SERVING_LIMIT, || {
            let rows = console.json("show virtual-server web")?.to_string();
            ensure!(rows.contains("\"connections\":4,"), "{rows}");
            Ok(())
        })
    });
    scene.check("counters_of_interfaces_and_neighbours_are_cleared", |world| {
        let console = world.console()?;
        let received = |console: &mut Console, name: &str| -> Result<u64> {
            let shown = console.json(&format!("show interfaces {name}"))?;
            shown["interfaces"][0]["rx_packets"].as_u64().with_context(|| shown.to_string())
        };
        let before = (received(console, "eth0")?, received(console, "eth1")?);
        console.ok("clear counters interface eth0")?;
        let after = (received(console, "eth0")?, received(console, "eth1")?);
        ensure!(after.0 < before.0 / 2 && after.1 >= before.1, "{before:?}, then {after:?}");
        traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
        let counted = received(world.console()?, "eth0")?;
        ensure!(counted >= after.0 + 4 * 4, "{counted} packets for four requests");
        let neighbour =
            |console: &mut Console| Ok::<_, anyhow::Error>(console.ok("show arp")?.text().contains("10.0.20.11"));
        ensure!(neighbour(world.console()?)?, "the real server is no neighbour");
        world.console()?.configure(&["virtual-server web", "real-server 10.0.20.11 8080", "health-check none"])?;
        world.console()?.ok("clear arp")?;
        ensure!(!neighbour(world.console()?)?, "the real server is still a neighbour");
        traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
        ensure!(neighbour(world.console()?)?, "the real server is no neighbour again");
        world.console()?.configure(&["virtual-server web", "real-server 10.0.20.11 8080", "no health-check"])
    });
    scene.check("shutdown_takes_a_service_and_its_address_away", |world| {
        world.console()?.configure(&["virtual-server web", "shutdown"])?;
        traffic::silent(addr::VIP_NAT, ECHO_PORT)?;
        let ping = Ns::Client.command("ping").args(["-c", "1", "-W", "1", addr::VIP_NAT]).output()?;
        ensure!(!ping.status.success(), "the address of a service that is shut down answers");
        world.console()?.configure(&["virtual-server web", "no shutdown"])?;
        wait::until("an answer", super::SERVING_LIMIT, || traffic::http(addr::VIP_NAT)).map(drop)
    });
    super::health::checks(scene);
    scene.check("everything_shown_fits_a_terminal_and_is_json_too", |world| {
        let console = world.console()?;
        for show in [
            "show virtual-server",
            "show virtual-server web detail",
            "show real-server",
            "show health-check",
            "show connections",
            "show statistics",
            "show rate",
            "show persistence",
            "show thresholds",
            "show ipvs",
            "show interfaces",
            "show interfaces counters",
            "show ip route",
            "show ipv6 route",
            "show arp",
            "show version",
            "show warnings",
            "show users",
            "show processes",
            "show memory",
            "show flash:",
            "show logging tail 5",
            "show configuration history",
            "show running-config",
        ] {
            let answer = console.ok(show)?;
            // Text that was typed, hashes and log lines may be longer than a table's row.
            if !show.contains("config") && !show.contains("logging") && !show.contains("warnings") {
                for line in &answer.lines {
                    ensure!(line.len() <= 79, "`{show}` prints {} columns: {line}", line.len());
                }
            }
            let value = console.json(show)?;
            ensure!(value.get("schema").and_then(serde_json::Value::as_u64) == Some(1), "`{show} | json`: {value}");
        }
        Ok(())
    });
    Ok(())
}
