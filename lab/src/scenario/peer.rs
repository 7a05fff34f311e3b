//! Real servers whose kernel takes tunnels apart and speaks SCTP: the hosts of the second machine.
//!
//! None of them is prepared for anything: what makes them real servers is the text that the box prints, applied as it is printed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{PASSWORD, SERVING_LIMIT, typed};
use crate::net::{self, Ns};
use crate::runner::{Scene, World};
use crate::traffic::{Reply, tally};
use crate::vm::Machine;
use crate::wait;

/// Requests to each virtual server, two for each of its real servers.
const REQUESTS: usize = 4;
/// Bytes of an upload: hundreds of full segments.
const UPLOAD: usize = 1 << 20;

/// Every virtual address is probed within this time, and a bit.
const PROBE_LIMIT: Duration = Duration::from_secs(45);

/// Every server is checked within an interval of the built-in monitor, and has failed after two more attempts of 3 s.
const CHECK_LIMIT: Duration = Duration::from_secs(25);

/// A virtual server of `config/peer.cfg` on port 80.
struct Cell {
    name: &'static str,
    vip: &'static str,
    /// The client as servers see it.
    client: &'static str,
    servers: [&'static str; 2],
}

const fn far(name: &'static str, vip: &'static str, client: &'static str) -> Cell {
    Cell { name, vip, client, servers: ["far1", "far2"] }
}

const fn near(name: &'static str, vip: &'static str, client: &'static str) -> Cell {
    Cell { name, vip, client, servers: ["near1", "near2"] }
}

const OUT4: &str = "203.0.113.98";
const OUT6: &str = "2001:db8:1::98";
const IN4: &str = "10.0.20.98";
const IN6: &str = "2001:db8:20::98";

/// Of the two servers behind the router one is reached by IPv4 and one by IPv6: every kind of tunnel carries both families in both.
const TUNNELS: [Cell; 12] = [
    far("ipip4", "203.0.113.40", OUT4),
    far("ipip6", "2001:db8:1::40", OUT6),
    far("gue4", "203.0.113.41", OUT4),
    far("gue6", "2001:db8:1::41", OUT6),
    far("gue-csum4", "203.0.113.42", OUT4),
    far("gue-csum6", "2001:db8:1::42", OUT6),
    far("gue-remcsum4", "203.0.113.43", OUT4),
    far("gue-remcsum6", "2001:db8:1::43", OUT6),
    far("gre4", "203.0.113.44", OUT4),
    far("gre6", "2001:db8:1::44", OUT6),
    near("gre-csum4", "10.0.20.145", IN4),
    near("gre-csum6", "2001:db8:20::45", IN6),
];

const DIRECT: [Cell; 2] = [near("dr4", "10.0.20.140", IN4), near("dr6", "2001:db8:20::40", IN6)];

/// Addresses of real servers, and the host that has each.
const HOSTS: [(&str, &str); 6] = [
    ("10.0.20.21", "near1"),
    ("2001:db8:20::21", "near1"),
    ("10.0.20.22", "near2"),
    ("2001:db8:20::22", "near2"),
    ("198.18.5.21", "far1"),
    ("2001:db8:5::22", "far2"),
];

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.boot_peer()?;
    scene.must("its_hosts_answer_by_every_protocol", |world| {
        let peer = world.peer()?;
        peer.wait_ready()?;
        for (host, address, client) in [
            ("near1", "10.0.20.21", IN4),
            ("near2", "2001:db8:20::22", IN6),
            ("far1", "198.18.5.21", OUT4),
            ("far2", "2001:db8:5::22", OUT6),
        ] {
            peer.shell().ok(&format!("ip netns exec {host} /yoke-lab peer serve-sctp {host} {address} 7000 &"))?;
            for (protocol, port) in [("tcp", 80), ("tcp", 8080), ("udp", 5300), ("sctp", 7000)] {
                for reply in peer.ask(protocol, address, port, 2)? {
                    let right = reply.server == host && reply.client == client && reply.local == address;
                    ensure!(right && reply.port == port.to_string(), "{host} by {protocol}: {reply:?}");
                }
            }
        }
        Ok(())
    })?;
    scene.must("machines_that_are_not_set_up_do_not_answer", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/peer.cfg")))?;
        // Of each kind one: an answer that does not come takes its time.
        for cell in [&DIRECT[0], &TUNNELS[0], &TUNNELS[3], &TUNNELS[10]] {
            let ask = format!("timeout 1 /yoke-lab peer ask tcp {} 80 1", cell.vip);
            ensure!(world.peer()?.run("client", &ask).is_err(), "{} answers", cell.name);
        }
        Ok(())
    })?;
    scene.check("that_they_lack_the_virtual_address_is_found_and_said", |world| {
        // Their own addresses answer, so a check of those would let clients in.
        wait::until("their checks to fail", CHECK_LIMIT, || {
            let shown = world.console()?.json("show health-check")?.to_string();
            for (server, vip) in [
                ("10.0.20.21", "10.0.20.140"),
                ("2001:db8:20::22", "2001:db8:20::40"),
                ("198.18.5.21", "203.0.113.40"),
                ("2001:db8:5::22", "2001:db8:1::44"),
            ] {
                let said = format!("though {server} answers: is {vip} on its lo");
                ensure!(shown.contains(&said), "no \"{said}\": {shown}");
            }
            Ok(())
        })
    });
    scene.must("they_take_the_printed_commands", |world| {
        for (address, commands) in recipes(&world.console()?.ok("show real-server setup")?.lines)? {
            let (_, host) = HOSTS.iter().find(|(of, _)| *of == address).with_context(|| address.clone())?;
            world.peer()?.apply(host, &commands).with_context(|| format!("{host} {address}"))?;
        }
        wait::until("their checks to be good", CHECK_LIMIT, || {
            let shown = world.console()?.ok("show health-check | include down")?.text();
            ensure!(shown.is_empty(), "{shown}");
            Ok(())
        })
    })?;
    scene.check("a_machine_that_forwards_what_it_does_not_take_is_found_too", |world| {
        // It would send a probe on to whoever has the address, and on a pair of boxes that is the other one, which has another server for it. So
        // what arrives there has a TTL, or hop limit, of 1.
        let rules = [("ip", "ttl", "10.0.20.2"), ("ip6", "hoplimit", "2001:db8:20::2")];
        for ((family, hops, from), cell) in rules.into_iter().zip(&DIRECT) {
            let rule = format!("{family} saddr {from} {family} daddr {} tcp flags syn {family} {hops}", cell.vip);
            let chain = format!("add chain {family} hops in {{ type filter hook prerouting priority 0; }}");
            let add = format!("add rule {family} hops in {rule}");
            let lines = format!("add table {family} hops; {chain}; {add} > 1 counter; {add} 1 counter");
            world.peer()?.run("near1", &format!("nft \"{lines}\""))?;
        }
        let forward = |world: &mut World, on: u8, change: &str| -> Result<()> {
            let peer = world.peer()?;
            peer.run("near1", &format!("sysctl -w net.ipv4.ip_forward={on} net.ipv6.conf.all.forwarding={on}"))?;
            peer.run("near1", &format!("ip addr {change} {}/32 dev lo", DIRECT[0].vip))?;
            peer.run("near1", &format!("ip addr {change} {}/128 dev lo", DIRECT[1].vip)).map(drop)
        };
        forward(world, 1, "del")?;
        let found = wait::until("its checks to fail", CHECK_LIMIT, || {
            for (server, cell) in [("10.0.20.21", &DIRECT[0]), ("2001:db8:20::21", &DIRECT[1])] {
                let shown = world.console()?.json("show health-check")?;
                let rows = shown["health_checks"].as_array().context("no rows")?;
                let row = rows.iter().find(|row| row["address"] == server && row["via"] == cell.vip);
                let row = row.with_context(|| format!("no check of {server} through {}: {shown}", cell.vip))?;
                let said = format!("though {server} answers: is {} on its lo", cell.vip);
                let reason = row["reason"].as_str().unwrap_or_default();
                ensure!(row["state"] == "down" && reason.contains(&said), "{row}");
            }
            Ok(())
        });
        forward(world, 0, "add")?;
        found?;
        for (family, ..) in rules {
            let listed = world.peer()?.run("near1", &format!("nft list table {family} hops"))?;
            let counts: Vec<bool> = listed
                .lines()
                .filter_map(|line| line.split_once("packets "))
                .map(|(_, rest)| !rest.starts_with("0 "))
                .collect();
            ensure!(counts == [false, true], "{listed}");
            world.peer()?.run("near1", &format!("nft delete table {family} hops"))?;
        }
        wait::until("their checks to be good", CHECK_LIMIT, || {
            let shown = world.console()?.ok("show health-check | include down")?.text();
            ensure!(shown.is_empty(), "{shown}");
            Ok(())
        })?;
        // What its own probes leave in the kernel's table is no client's.
        let shown = world.console()?.json("show connections")?.to_string();
        ensure!(!shown.contains("\"10.0.20.2:") && !shown.contains("[2001:db8:20::2]:"), "{shown}");
        Ok(())
    });
    for cell in DIRECT.iter().chain(&TUNNELS) {
        scene.check(&format!("{}_serves", cell.name), |world| serves(world, cell));
    }
    scene.check("real_servers_of_one_virtual_server_are_reached_in_three_modes", |world| {
        // What mode dr leaves to the network: a way back past the director.
        world.peer()?.run("near1", "ip route add 203.0.113.98 via 10.0.20.98")?;
        let mut replies = world.peer()?.ask("tcp", "203.0.113.50", 80, 6)?;
        world.peer()?.run("near1", "ip route del 203.0.113.98")?;
        replies.sort_by(|a, b| a.server.cmp(&b.server));
        replies.dedup();
        let seen: Vec<_> = replies.iter().map(|r| (&*r.server, &*r.client, &*r.local, &*r.port)).collect();
        let expected = [
            ("far1", OUT4, "203.0.113.50", "80"),
            ("near1", OUT4, "203.0.113.50", "80"),
            ("near2", OUT4, "10.0.20.22", "8080"),
        ];
        ensure!(seen == expected, "{seen:?}");
        Ok(())
    });
    scene.check("sctp_is_balanced_by_address_translation_and_by_direct_routing", |world| {
        let peer = world.peer()?;
        for (host, address) in
            [("near1", "2001:db8:20::21"), ("near2", "10.0.20.22"), ("near1", "10.0.20.151"), ("near2", "10.0.20.151")]
        {
            peer.shell().ok(&format!("ip netns exec {host} /yoke-lab peer serve-sctp {host} {address} 7000 &"))?;
        }
        for (vip, client) in [("203.0.113.51", OUT4), ("2001:db8:1::51", OUT6), ("10.0.20.151", IN4)] {
            let first = || peer.ask("sctp", vip, 7000, REQUESTS);
            let replies = wait::until("servers to listen", SERVING_LIMIT, first)?;
            ensure!(tally(&replies) == BTreeMap::from([("near1", 2), ("near2", 2)]), "{vip}: {:?}", tally(&replies));
            ensure!(replies.iter().all(|reply| reply.client == client), "{vip}: {replies:?}");
        }
        let shown = world.console()?.json("show connections virtual-server sctp-nat4")?.to_string();
        ensure!(shown.contains(r#""protocol":"sctp""#), "{shown}");
        Ok(())
    });
    scene.check("sctp_is_balanced_with_an_address_of_the_box_too", |world| {
        for (vip, servers, client) in [
            ("203.0.113.52", ["10.0.20.21", "10.0.20.22"], "10.0.20.2"),
            ("2001:db8:1::52", ["2001:db8:20::21", "2001:db8:20::22"], "2001:db8:20::2"),
        ] {
            let [one, two] = servers.map(|server| format!("real-server {server} 7000"));
            let virtual_ = format!("virtual {vip} sctp 7000");
            world.console()?.configure(&[
                "virtual-server full",
                &virtual_,
                "mode fullnat",
                "scheduler rr",
                &one,
                &two,
            ])?;
            let peer = world.peer()?;
            let replies = wait::until("an answer", SERVING_LIMIT, || peer.ask("sctp", vip, 7000, REQUESTS))?;
            ensure!(tally(&replies) == BTreeMap::from([("near1", 2), ("near2", 2)]), "{vip}: {:?}", tally(&replies));
            ensure!(replies.iter().all(|reply| reply.client == client), "{vip}: {replies:?}");
            world.console()?.configure(&["no virtual-server full"])?;
        }
        Ok(())
    });
    scene.check("a_firewall_mark_joins_protocols_in_both_families", |world| {
        for (vip, gateway, family, servers, client) in [
            ("198.51.100.60", "203.0.113.2", "", ["10.0.20.21", "10.0.20.22"], OUT4),
            ("2001:db8:99::60", "2001:db8:1::2", " ipv6", ["2001:db8:20::21", "2001:db8:20::22"], OUT6),
        ] {
            let length = if family.is_empty() { 32 } else { 128 };
            let marks =
                ["tcp 80", "udp 5300", "sctp 7000"].map(|port| format!("firewall-mark 20 {vip}/{length} {port}"));
            let virtual_ = format!("virtual fwmark 20{family}");
            let [one, two] = servers.map(|server| format!("real-server {server} any"));
            let [tcp, udp, sctp] = &marks;
            let lines = [tcp, udp, sctp, "virtual-server joined", &virtual_, "scheduler rr", &one, &two];
            world.console()?.configure(&lines)?;
            let peer = world.peer()?;
            // The address is on no interface: it is found because it is routed here.
            peer.run("client", &format!("ip route replace {vip} via {gateway}"))?;
            for (protocol, port) in [("tcp", 80), ("udp", 5300), ("sctp", 7000)] {
                let ask = || peer.ask(protocol, vip, port, REQUESTS);
                let replies = wait::until(protocol, SERVING_LIMIT, ask).with_context(|| vip.to_owned())?;
                let tally = tally(&replies);
                ensure!(tally == BTreeMap::from([("near1", 2), ("near2", 2)]), "{vip} {protocol}: {tally:?}");
                let right = |reply: &Reply| reply.client == client && reply.port == port.to_string();
                ensure!(replies.iter().all(right), "{vip} {protocol}: {replies:?}");
            }
            // With persistence a client has one server, whatever it speaks.
            world.console()?.configure(&["virtual-server joined", "persistence timeout 60"])?;
            let mut replies = Vec::new();
            for (protocol, port) in [("tcp", 80), ("udp", 5300), ("sctp", 7000), ("tcp", 80)] {
                replies.extend(world.peer()?.ask(protocol, vip, port, 1).with_context(|| format!("{vip} {protocol}"))?);
            }
            ensure!(tally(&replies).len() == 1, "{vip}: {replies:?}");
            world.console()?.configure(&["no virtual-server joined", "no firewall-mark 20"])?;
        }
        Ok(())
    });
    scene.check("full_segments_go_up_and_down_and_none_is_lost", |world| {
        let peer = world.peer()?;
        for cell in TUNNELS.iter().chain(&DIRECT) {
            // One to each of its servers.
            for _ in cell.servers {
                peer.run("client", &format!("/yoke-lab peer upload {} 80 {UPLOAD}", cell.vip)).context(cell.name)?;
            }
            // Had one been too large, the client would have been told, and would remember.
            let route = peer.run("client", &format!("ip route get {}", cell.vip))?;
            ensure!(!route.contains("mtu"), "{}: {route}", cell.name);
        }
        for cell in [&TUNNELS[0], &TUNNELS[1]] {
            peer.run("client", &format!("/yoke-lab peer download {} 80 {UPLOAD}", cell.vip))?;
        }
        Ok(())
    });
    scene.check("without_the_servers_rule_clients_are_told_what_fits", |world| {
        let peer = world.peer()?;
        for host in ["far1", "far2"] {
            peer.run(host, "nft delete table inet lvs")?;
        }
        for cell in [&TUNNELS[0], &TUNNELS[1], &TUNNELS[6], &TUNNELS[9]] {
            for _ in cell.servers {
                peer.run("client", &format!("/yoke-lab peer upload {} 80 {UPLOAD}", cell.vip)).context(cell.name)?;
            }
            let route = peer.run("client", &format!("ip route get {}", cell.vip))?;
            ensure!(route.contains(" mtu "), "{}: {route}", cell.name);
        }
        Ok(())
    });
    scene.check("a_narrow_link_behind_the_box_is_no_black_hole", |world| {
        // Not for IPv6, of clients or of real servers: nobody in the box listens to what their routers say.
        for name in ["ipip4", "ipip6", "gue-csum4", "gre4"] {
            let of = format!("virtual-server {name}");
            world.console()?.configure(&[&of, "real-server 2001:db8:5::22 80", "shutdown"])?;
        }
        net::ip(&["-n", &Ns::Router.name(), "link", "set", "far0", "mtu", "1280"])?;
        // Of the two kinds only one would hear of the link, and it is chance which.
        let said = "real-server 198.18.5.21: tunnel gre in virtual-server gre4 and ipip in virtual-server ipip4: ";
        ensure!(world.console()?.ok("show warnings")?.text().contains(said), "no warning");
        shut(world, "shutdown", ["gre4", "gre6"])?;
        ensure!(!world.console()?.ok("show warnings")?.text().contains(said), "a warning for a tunnel that is shut");
        narrow_upload(world, &TUNNELS[0], 1260)?;
        narrow_upload(world, &TUNNELS[4], 1248)?;
        shut(world, "shutdown", ["ipip4", "ipip6"])?;
        shut(world, "no shutdown", ["gre4", "gre6"])?;
        let gre = TUNNELS[8].vip;
        wait::until("its check to be good", CHECK_LIMIT, || world.peer()?.ask("tcp", gre, 80, 1))?;
        narrow_upload(world, &TUNNELS[8], 1256)
    });
    scene.check("a_gue_port_that_nobody_opened_is_a_refusal_at_once", |world| {
        // The machine tells the director, which tells the client: not what is wrong, but that nobody is there.
        let cell = &TUNNELS[4];
        let peer = world.peer()?;
        peer.run("far1", "ip fou del port 6081")?;
        let ask = format!("ip netns exec client timeout 2 /yoke-lab peer ask tcp {} 80 1", cell.vip);
        let (status, said) = peer.shell().run(&ask)?;
        ensure!(status == 1 && said.contains("refused"), "{status}: {said}");
        let shown = world.console()?.ok("show connections virtual-server gue-csum4")?.text();
        ensure!(shown.contains("SYN_RECV"), "{shown}");
        Ok(())
    });
    scene.check("a_real_server_that_answers_arp_for_a_virtual_address_is_named", |world| {
        let warnings = world.console()?.ok("show warnings")?.text();
        ensure!(!warnings.contains("answers ARP"), "{warnings}");
        world.peer()?.run("near1", "sysctl -w net.ipv4.conf.all.arp_ignore=0")?;
        wait::until("a warning", PROBE_LIMIT, || {
            let warnings = world.console()?.ok("show warnings")?.text();
            ensure!(
                warnings.contains("virtual-server dr4: ") && warnings.contains("for 10.0.20.140 too"),
                "{warnings}"
            );
            Ok(())
        })
    });
    Ok(())
}

/// Asks a virtual server and looks whether its own servers answered, in its own name.
fn serves(world: &mut World, cell: &Cell) -> Result<()> {
    let replies = world.peer()?.ask("tcp", cell.vip, 80, REQUESTS)?;
    let expected: BTreeMap<_, _> = cell.servers.map(|server| (server, REQUESTS / 2)).into();
    ensure!(tally(&replies) == expected, "{:?}", tally(&replies));
    for reply in &replies {
        ensure!(reply.client == cell.client && reply.local == cell.vip && reply.port == "80", "{reply:?}");
    }
    Ok(())
}

/// Of these virtual servers.
fn shut(world: &mut World, word: &str, names: [&str; 2]) -> Result<()> {
    let [one, two] = names.map(|name| format!("virtual-server {name}"));
    world.console()?.configure(&[&one, word, &two, word])
}

/// An upload arrives, and the client has learned what fits through the tunnel and the narrow link.
fn narrow_upload(world: &mut World, cell: &Cell, mtu: u16) -> Result<()> {
    let peer = world.peer()?;
    peer.run("client", &format!("/yoke-lab peer upload {} 80 {UPLOAD}", cell.vip)).context(cell.name)?;
    let route = peer.run("client", &format!("ip route get {}", cell.vip))?;
    ensure!(route.trim_end().ends_with(&format!(" mtu {mtu}")), "{}: {route}", cell.name);
    Ok(())
}

/// Takes apart what `show real-server ... setup` prints: addresses and the lines below each.
fn recipes(lines: &[String]) -> Result<Vec<(String, Vec<String>)>> {
    let mut recipes: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines {
        match (line.strip_prefix("On "), line.strip_prefix("  "), recipes.last_mut()) {
            (Some(header), ..) => {
                let address = header.split_whitespace().next().context("an address")?;
                recipes.push((address.to_owned(), Vec::new()));
            }
            (None, Some(command), Some((_, commands))) => commands.push(command.to_owned()),
            _ => anyhow::bail!("setup prints {line:?}"),
        }
    }
    ensure!(!recipes.is_empty(), "setup prints nothing");
    Ok(recipes)
}
