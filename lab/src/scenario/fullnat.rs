//! Mode fullnat on the wire: real servers that have no route back to the client answer all the same, because they see an
//! address of the box. And what it rests on: connection tracking while it is needed and not longer, pool addresses that
//! are there for replies only, a table of ours that a foreign hand cannot keep broken.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{PASSWORD, SERVING_LIMIT, typed};
use crate::net::{self, Ns, SERVERS, addr};
use crate::runner::{Scene, World};
use crate::servers::SLOW_BYTES;
use crate::traffic::{self, Reply, tally};
use crate::vm::{Firmware, Machine};
use crate::wait;

/// Until a slow resync must have seen and healed drift.
const RESYNC_LIMIT: Duration = Duration::from_secs(90);
/// Requests to each virtual server: two for each real server.
const REQUESTS: usize = 4;

/// One virtual server: what is added to it for mode fullnat, and whom its real servers then see.
struct Cell {
    name: &'static str,
    source: &'static str,
    seen: &'static [&'static str],
    ask: fn() -> Result<Reply>,
}

const CELLS: [Cell; 4] = [
    Cell {
        name: "tcp4",
        source: "source-nat pool four",
        seen: &["10.0.20.200", "10.0.20.201"],
        ask: || traffic::http(addr::VIP_NAT),
    },
    Cell {
        name: "udp4",
        source: "source-nat interface",
        seen: &["10.0.20.2"],
        ask: || traffic::udp(addr::VIP_NAT, 53),
    },
    Cell {
        name: "tcp6",
        source: "source-nat interface",
        seen: &["2001:db8:20::2"],
        ask: || traffic::http(addr::VIP_NAT6),
    },
    Cell {
        name: "udp6",
        source: "source-nat pool six",
        seen: &["2001:db8:20::200"],
        ask: || traffic::udp(addr::VIP_NAT6, 53),
    },
];

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine { firmware: Firmware::Direct { append: String::new() }, ..Machine::default() })?;
    scene.must("servers_without_a_route_back_cannot_answer_in_mode_nat", |world| {
        world.shell()?.wait_ready()?;
        for server in SERVERS {
            for family in ["-4", "-6"] {
                net::ip(&["-n", &server.name(), family, "route", "del", "default"])?;
            }
        }
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/fullnat.cfg")))?;
        wait::until("the virtual address to answer", SERVING_LIMIT, || ping(addr::VIP_NAT))?;
        traffic::silent(addr::VIP_NAT, 53)?;
        conntrack(world, "0")
    })?;
    scene.check("hosts_inside_reach_the_outside_and_balancing_does_not_notice", |world| {
        // The router has no route to the real servers' network.
        let out = || {
            let ping = Ns::Server1.command("ping").args(["-n", "-c", "1", "-W", "1", "203.0.113.1"]).output()?;
            ensure!(ping.status.success(), "the router does not answer a real server");
            Ok(())
        };
        for server in SERVERS {
            net::ip(&["-n", &server.name(), "route", "add", "default", "via", "10.0.20.2"])?;
        }
        ensure!(out().is_err(), "the router answers though nothing is translated");
        world.console()?.configure(&["ip nat inside source 10.0.20.0/24 interface"])?;
        wait::until("a real server to reach the router", SERVING_LIMIT, out)?;
        for reply in traffic::ask(REQUESTS, || traffic::http(addr::VIP_NAT))? {
            ensure!(reply.client == "203.0.113.99", "{} saw {}", reply.server, reply.client);
        }
        conntrack(world, "0")?;
        world.console()?.configure(&["no ip nat inside source 10.0.20.0/24"])?;
        for server in SERVERS {
            net::ip(&["-n", &server.name(), "route", "del", "default"])?;
        }
        // What began before ends by itself; a new one has another number.
        wait::until("the translation to end", SERVING_LIMIT, || {
            ensure!(out().is_err(), "the router still answers");
            Ok(())
        })
    });
    scene.must("every_protocol_and_family_answers_and_sees_an_address_of_the_box", |world| {
        for cell in &CELLS {
            let server = format!("virtual-server {}", cell.name);
            world.console()?.configure(&[&server, "mode fullnat", cell.source])?;
            wait::until(cell.name, SERVING_LIMIT, cell.ask)?;
            let replies = traffic::ask(REQUESTS, cell.ask)?;
            ensure!(tally(&replies).values().eq(&[REQUESTS / 2; 2]), "{}: {:?}", cell.name, tally(&replies));
            for reply in &replies {
                ensure!(cell.seen.contains(&reply.client.as_str()), "{}: the server saw {}", cell.name, reply.client);
            }
        }
        let warnings = world.console()?.ok("show warnings")?.text();
        ensure!(!warnings.contains("fullnat") && !warnings.contains("sysctl"), "{warnings}");
        conntrack(world, "1")
    })?;
    scene.check("tracking_remembers_as_long_as_ipvs_does", |world| {
        world.console()?.configure(&["ipvs timeout tcp 28800", "ipvs timeout udp 600"])?;
        for (key, value) in
            [("tcp_timeout_established", "28800"), ("udp_timeout", "600"), ("udp_timeout_stream", "600")]
        {
            sysctl(world, &format!("netfilter/nf_conntrack_{key}"), value)?;
        }
        world.console()?.configure(&["no ipvs timeout"])?;
        sysctl(world, "netfilter/nf_conntrack_tcp_timeout_established", "900")
    });
    scene.check("real_servers_of_one_virtual_server_may_differ", |world| {
        world.console()?.configure(&[
            "virtual-server mixed",
            "virtual 203.0.113.11 tcp 80",
            "scheduler rr",
            "source-nat pool four",
            "real-server 10.0.20.11 8080",
            "mode fullnat",
            "exit",
            "real-server 10.0.20.12 8080",
        ])?;
        // The second is the one of mode nat: its replies return through the box.
        let route = ["-n", &Ns::Server2.name(), "route", "add", "default", "via", "10.0.20.2"];
        net::ip(&route)?;
        let ask = || traffic::http("203.0.113.11");
        wait::until("an answer", SERVING_LIMIT, ask)?;
        let replies = traffic::ask(REQUESTS, ask)?;
        net::ip(&["-n", &Ns::Server2.name(), "route", "del", "default"])?;
        for reply in &replies {
            let right = match reply.server.as_str() {
                "lvs_real_server01" => CELLS[0].seen.contains(&reply.client.as_str()),
                _ => reply.client == "203.0.113.99",
            };
            ensure!(right, "{} saw {}", reply.server, reply.client);
        }
        ensure!(tally(&replies).len() == 2, "{:?}", tally(&replies));
        world.console()?.configure(&["no virtual-server mixed"])
    });
    scene.check("any_port_and_one_of_its_ports_are_told_apart", |world| {
        world.console()?.configure(&[
            "virtual-server any",
            "virtual 203.0.113.12 tcp any",
            "mode fullnat",
            "persistence timeout 60",
            "source-nat pool four",
            "real-server 10.0.20.11 any",
            "virtual-server one",
            "virtual 203.0.113.12 tcp 8080",
            "mode fullnat",
            "real-server 10.0.20.12 80",
        ])?;
        for (port, server, seen) in
            [(80, "lvs_real_server01", CELLS[0].seen), (8080, "lvs_real_server02", &["10.0.20.2"])]
        {
            let text = wait::until("an answer", SERVING_LIMIT, || {
                traffic::curl(Ns::Client, &[], &traffic::url("203.0.113.12", port))
            })?;
            let words: Vec<&str> = text.split_whitespace().collect();
            ensure!(words[0] == server && seen.contains(&words[1]), "port {port}: {text}");
        }
        world.console()?.configure(&["no virtual-server any", "no virtual-server one"])
    });
    scene.check("a_long_connection_does_not_notice_other_changes", |world| {
        let url = format!("http://{}/slow", addr::VIP_NAT);
        let slow = ["--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}"];
        let got = std::thread::scope(|scope| -> Result<String> {
            let download = scope.spawn(|| traffic::curl(Ns::Client, &slow, &url));
            wait::until("the connection", SERVING_LIMIT, || {
                let rows = world.console()?.json("show real-server tcp4")?.to_string();
                ensure!(rows.contains("\"active_connections\":1"), "{rows}");
                Ok(())
            })?;
            let console = world.console()?;
            console.configure(&["ip nat pool more 10.0.20.210", "firewall-mark 9 203.0.113.10/32 tcp 9"])?;
            console.configure(&[
                "virtual-server other",
                "virtual 203.0.113.13 tcp 80",
                "mode fullnat",
                "source-nat pool more",
                "real-server 10.0.20.11 8080",
            ])?;
            let reply = wait::until("another virtual server", SERVING_LIMIT, || traffic::http("203.0.113.13"))?;
            ensure!(reply.client == "10.0.20.210", "the server saw {}", reply.client);
            let console = world.console()?;
            console.configure(&["no virtual-server other", "no ip nat pool more", "no firewall-mark 9"])?;
            download.join().ok().context("curl panicked")?
        })?;
        ensure!(got == SLOW_BYTES.to_string(), "it got {got} of {SLOW_BYTES} bytes");
        Ok(())
    });
    scene.check("a_pool_address_answers_ping_and_nothing_else", |_| {
        for address in ["10.0.20.200", "10.0.20.201", "2001:db8:20::200"] {
            ping(address)?;
            for port in [22, 80] {
                stray(address, port).with_context(|| format!("{address} port {port}"))?;
            }
        }
        // The same to an address of the box is answered, so that silence above means something.
        ensure!(stray("10.0.20.2", 81).is_err(), "10.0.20.2 is silent too");
        Ok(())
    });
    scene.check("a_foreign_hand_on_our_table_is_healed_and_other_tables_stay", |world| {
        let shell = world.shell()?;
        let nft = |words: &str| format!("chroot $SLOT /usr/sbin/nft '{words}'");
        let ours = shell.ok(&nft("list table inet yoke"))?;
        ensure!(ours.contains("chain outgoing"), "{ours}");
        shell.ok(&nft("add table inet other { chain c { type filter hook input priority 5; counter; }; }"))?;
        shell.ok(&nft("delete table inet yoke"))?;
        wait::until("our table to be as it was", RESYNC_LIMIT, || {
            let healed = world.shell()?.run(&nft("list table inet yoke"))?;
            ensure!(healed == (0, ours.clone()), "{healed:?}");
            Ok(())
        })?;
        (CELLS[0].ask)()?;
        let other = world.shell()?.ok(&nft("list table inet other"))?;
        ensure!(other.contains("priority") && other.contains("counter"), "{other}");
        // The table is listed once more before it is said.
        wait::until("a warning", RESYNC_LIMIT, || {
            let warnings = world.console()?.ok("show warnings")?.text();
            ensure!(warnings.contains("nft: another program changed the table inet yoke"), "{warnings}");
            Ok(())
        })
    });
    scene.check("tracking_ends_with_the_last_that_needs_it", |world| {
        let lines: Vec<String> =
            CELLS.iter().flat_map(|c| [format!("virtual-server {}", c.name), "shutdown".to_owned()]).collect();
        world.console()?.configure(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
        conntrack(world, "0")?;
        let table = world.shell()?.ok("chroot $SLOT /usr/sbin/nft list table inet yoke")?;
        ensure!(table.contains("set pool4") && !table.contains("nat hook"), "{table}");
        let lines: Vec<String> =
            CELLS.iter().flat_map(|c| [format!("virtual-server {}", c.name), "no shutdown".to_owned()]).collect();
        world.console()?.configure(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
        for cell in &CELLS {
            wait::until(cell.name, SERVING_LIMIT, cell.ask)?;
        }
        conntrack(world, "1")
    });
    Ok(())
}

fn conntrack(world: &mut World, value: &str) -> Result<()> {
    sysctl(world, "ipv4/vs/conntrack", value)
}

fn sysctl(world: &mut World, key: &str, value: &str) -> Result<()> {
    let is = world.shell()?.ok(&format!("cat /proc/sys/net/{key}"))?;
    ensure!(is.trim() == value, "{key} is {is} and not {value}");
    Ok(())
}

/// A ping of the client, repeated until it is answered.
fn ping(address: &str) -> Result<()> {
    let output = Ns::Client.command("ping").args(["-n", "-c", "1", "-w", "20", address]).output()?;
    ensure!(output.status.success(), "{address} does not answer a ping");
    Ok(())
}

/// A segment to a pool address that belongs to no connection. Fails when anything answers it, a reset included.
fn stray(address: &str, port: u16) -> Result<()> {
    let to = SocketAddr::new(address.parse::<IpAddr>()?, port);
    Ns::Client.enter(|| match TcpStream::connect_timeout(&to, Duration::from_millis(700)) {
        Ok(_) => bail!("somebody listens"),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Ok(()),
        Err(error) => bail!("{error}"),
    })
}
