//! Real servers that die and come back while clients ask: who is asked when, and what the operator is told. Told within the boot of `balancing`,
//! whose virtual server `web` balances by round robin over port 8080 of both servers.

pub(super) mod certificates;
mod pools;

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;

use crate::net::{self, Ns, SERVERS, addr};
use crate::runner::{Scene, World};
use crate::servers::ECHO_PORT;
use crate::traffic::{self, Flow, tally};
use crate::wait;

/// What the monitor below allows: an interval, and one retry a second after it; a reset needs no timeout. Then the box, emulated, has to act.
const OUT_LIMIT: Duration = Duration::from_secs(4);
/// From its start until a server is asked again: an interval, and the box.
const BACK_LIMIT: Duration = Duration::from_secs(10);

/// Several thousand datagrams, which the kernel counts as 1 KiB each at least.
const LOG_BYTES: usize = 8 << 20;

/// Leaves `web` without a check, and both servers alive.
pub(super) fn checks(scene: &mut Scene<'_>) {
    scene.check("a_server_that_dies_under_load_is_out_in_time_and_back_when_it_lives", |world| {
        world.console()?.configure(&[
            "health-monitor web",
            "type http",
            "interval 1",
            "timeout 1",
            "retry 1",
            "virtual-server web",
            "health-check web",
        ])?;
        wait::until("both servers to be in", BACK_LIMIT, both)?;
        let receiver = Ns::Client.enter(|| Ok(UdpSocket::bind("203.0.113.99:514")?))?;
        // Whatever the log holds by now comes at once, and is read at the end.
        setsockopt(&receiver, RcvBufForce, &LOG_BYTES)?;
        world.console()?.configure(&["logging host 203.0.113.99", "logging facility local3"])?;
        world.server(0)?.stop_nginx()?;
        let died = wait::now();
        let (mut failed, mut last) = (0, Duration::ZERO);
        // Ten seconds of requests: every other one would meet the dead server.
        while died.elapsed() < OUT_LIMIT * 2 {
            if traffic::http(addr::VIP_NAT).is_err() {
                failed += 1;
                last = died.elapsed();
            }
        }
        if last >= OUT_LIMIT {
            let log = world.console()?.ok("show logging tail 20")?.text();
            bail!("a client met the dead server {last:?} after its death, {failed} did in all:\n{log}");
        }
        let replies = traffic::ask(6, || traffic::http(addr::VIP_NAT))?;
        ensure!(tally(&replies).keys().eq(&["lvs_real_server02"]), "{:?}", tally(&replies));
        let shown = world.console()?.ok("show health-check web")?.text();
        ensure!(shown.contains("down") && shown.contains("connect: refused"), "{shown}");
        let warnings = world.console()?.ok("show warnings")?.text().replace('\n', " ");
        ensure!(warnings.contains("virtual-server web: 1 of 2 real servers down: 10.0.20.11 8080"), "{warnings}");
        let log = world.console()?.ok("show logging tail 50")?.text();
        ensure!(log.matches("10.0.20.11 8080 is down: connect: refused").count() == 1, "{log}");
        told_once(&receiver)?;
        let log = world.console()?.ok("show logging tail 1")?.text();
        ensure!(log.contains("Logging to 203.0.113.99 udp 514: ") && log.contains(" sent, 0 lost"), "{log}");
        world.console()?.configure(&["no logging host 203.0.113.99", "no logging facility"])?;
        world.server(0)?.start_nginx()?;
        wait::until("both servers to be asked", BACK_LIMIT, both)
    });
    scene.check("a_program_of_the_image_is_run_as_a_check_and_says_why", |world| {
        world.console()?.configure(&[
            "health-monitor time",
            "type external",
            "program ntp",
            "interval 1",
            "retry 0",
            "virtual-server time",
            "virtual 203.0.113.10 udp 123",
            "health-check time",
            "real-server 10.0.20.11 123",
        ])?;
        wait::until("its reason", BACK_LIMIT, || {
            let shown = world.console()?.json("show health-check time")?.to_string();
            ensure!(shown.contains("program ntp: exit status 1, \\\"reply: Connection refused"), "{shown}");
            Ok(())
        })?;
        world.console()?.configure(&["no virtual-server time", "no health-monitor time"])
    });
    scene.check("who_does_not_answer_a_syn_is_out_for_the_reason_that_a_connection_would_have", reasons);
    pools::checks(scene);
    scene.check("a_udp_flow_leaves_a_dead_server_at_once", |world| {
        // The echo outlives nginx: only the verdict can move the flow, and a flow that stays is answered.
        world.console()?.configure(&[
            "health-monitor by-web",
            "port 8080",
            "interval 1",
            "timeout 1",
            "retry 0",
            "virtual-server echo",
            "virtual 203.0.113.10 udp 5300",
            "scheduler rr",
            "health-check by-web",
            "real-server 10.0.20.11 5300",
            "real-server 10.0.20.12 5300",
        ])?;
        wait::until("both servers to be up", BACK_LIMIT, || {
            let shown = world.console()?.json("show health-check by-web")?.to_string();
            ensure!(shown.matches("\"state\":\"up\"").count() >= 2, "{shown}");
            Ok(())
        })?;
        let flow = Flow::start(addr::VIP_NAT, ECHO_PORT)?;
        let first = flow.ask()?.server;
        ensure!(flow.ask()?.server == first, "one port has one server");
        let at = usize::from(first == "lvs_real_server02");
        world.server(at)?.stop_nginx()?;
        let moved = wait::until("the flow to move", OUT_LIMIT, || {
            let now = flow.ask()?.server;
            ensure!(now != first, "still {now}");
            Ok(())
        });
        world.server(at)?.start_nginx()?;
        world.console()?.configure(&["no virtual-server echo", "no health-monitor by-web"])?;
        moved
    });
    certificates::checks(scene);
}

/// What a server, a router for a while, does with packets: which, the last of a network behind it, how ip(8) calls it, and what a check says of it.
/// Two of them, as each says why to one address no more than once a second.
const BEHIND: [(Ns, &str, &str, [&str; 2]); 3] = [
    (Ns::Server1, "1", "unreachable", ["connect: no route to host", "connect: network unreachable"]),
    (Ns::Server2, "2", "prohibit", ["connect: no route to host", "connect: permission denied"]),
    (Ns::Server2, "3", "blackhole", ["no answer to connect in 1.0 s"; 2]),
];

/// Of both families, and beside them one that refuses and one that is well.
fn reasons(world: &mut World) -> Result<()> {
    let forwards = |on: &str| {
        SERVERS.into_iter().try_for_each(|server| {
            server.enter(|| {
                std::fs::write("/proc/sys/net/ipv4/ip_forward", on)?;
                Ok(std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", on)?)
            })
        })
    };
    let route = |verb: &str| {
        BEHIND.iter().try_for_each(|(router, n, kind, _)| {
            for prefix in [format!("10.100.{n}.0/24"), format!("2001:db8:100:{n}::/64")] {
                net::ip(&["-n", &router.name(), "route", verb, kind, &prefix])?;
            }
            anyhow::Ok(())
        })
    };
    forwards("1")?;
    route("add")?;
    let told = told(world);
    world.console()?.configure(&[
        "no virtual-server behind",
        "no virtual-server behind6",
        "no health-monitor behind",
        "no ip route 10.100.0.0/16 10.0.20.12",
        "no ip route 10.100.1.0/24 10.0.20.11",
        "no ipv6 route 2001:db8:100::/48 2001:db8:20::12",
        "no ipv6 route 2001:db8:100:1::/64 2001:db8:20::11",
        "interface eth1",
        "no ipv6 address 2001:db8:20::2/64",
    ])?;
    route("del")?;
    forwards("0")?;
    told
}

fn told(world: &mut World) -> Result<()> {
    let mut lines: Vec<String> = [
        "interface eth1",
        "ipv6 address 2001:db8:20::2/64",
        "exit",
        "ip route 10.100.0.0/16 10.0.20.12",
        "ip route 10.100.1.0/24 10.0.20.11",
        "ipv6 route 2001:db8:100::/48 2001:db8:20::12",
        "ipv6 route 2001:db8:100:1::/64 2001:db8:20::11",
        "health-monitor behind",
        "interval 1",
        "timeout 1",
        "retry 0",
    ]
    .map(str::to_owned)
    .into();
    let families = [
        ("behind", "203.0.113.10", "10.0.20.11", "10.100.", ".1"),
        ("behind6", "2001:db8:1::10", "2001:db8:20::11", "2001:db8:100:", "::1"),
    ];
    let mut expected = Vec::new();
    for (family, (name, virtual_, near, before, after)) in families.into_iter().enumerate() {
        lines.push(format!("virtual-server {name}"));
        lines.push(format!("virtual {virtual_} tcp 81"));
        lines.push("health-check behind".to_owned());
        expected.extend([format!("{near} 9 down connect: refused"), format!("{near} 8080 up ")]);
        lines.extend([format!("real-server {near} 9"), format!("real-server {near} 8080")]);
        for (_, n, _, reasons) in BEHIND {
            lines.push(format!("real-server {before}{n}{after} 8080"));
            expected.push(format!("{before}{n}{after} 8080 down {}", reasons[family]));
        }
    }
    world.console()?.configure(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
    // A router may have had its say a moment ago, and a check meet silence: each reason has to be seen once.
    wait::until("all reasons", BACK_LIMIT, || {
        let shown = world.console()?.json("show health-check behind")?;
        let rows = shown["health_checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let seen: Vec<String> = rows.iter().map(said).collect();
        expected.retain(|line| !seen.contains(line));
        ensure!(expected.is_empty(), "{expected:?} are not in {seen:?}");
        Ok(())
    })
}

/// `10.0.20.11 9 down connect: refused`.
fn said(row: &serde_json::Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    format!("{} {} {} {}", text("address"), row["port"], text("state"), text("reason"))
}

/// Hears what the box has sent, and whether the death of the server is in it: once, as a warning of local3.
fn told_once(receiver: &UdpSocket) -> Result<()> {
    receiver.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut messages = Vec::new();
    let mut datagram = [0; 2048];
    // It ends when nothing has come for a while.
    while let Ok(length) = receiver.recv(&mut datagram) {
        messages.push(String::from_utf8(datagram[..length].to_vec())?);
    }
    // What happened, why, and what it did.
    let line = "10.0.20.11 8080 is down: connect: refused; virtual-server web: is taken out, 1 of 2 are in";
    let told: Vec<&String> = messages.iter().filter(|text| text.ends_with(line)).collect();
    let [told] = told.as_slice() else { bail!("told {} times, of {} messages", told.len(), messages.len()) };
    let fields: Vec<&str> = told.splitn(7, ' ').collect();
    let [priority, date, "yoke", "director", "-", "-", _] = fields.as_slice() else { bail!("{told}") };
    ensure!(["<156>1", "<158>1"].contains(priority) && date.ends_with('Z'), "{told}");
    // From the boot on, what the kernel said included.
    ensure!(
        messages.iter().any(|text| text.contains(" kernel - - ") && text.contains("Linux version ")),
        "no first line"
    );
    Ok(())
}

/// Whether both servers answer in turn.
fn both() -> Result<()> {
    let replies = traffic::ask(4, || traffic::http(addr::VIP_NAT))?;
    ensure!(tally(&replies).values().eq(&[2, 2]), "{:?}", tally(&replies));
    Ok(())
}
