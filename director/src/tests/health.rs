//! Health with the real prober and real servers on this machine: who is balanced to, when, and what is said of it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use ipvs::{DestinationKey, Forward};
use yoke_director::status::{Data, HealthCheckRow, RealServerRow, Reply, Show};

use super::harness::{Box_, Caller, until};

/// A server that accepts; nobody is refused as long as it lives.
pub(super) struct Server(TcpListener);

impl Server {
    pub(super) fn start() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    pub(super) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Another on the same port.
    pub(super) fn again(port: u16) -> Self {
        let mut server = None;
        until("the port is free", || {
            server = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok();
            server.is_some()
        });
        Self(server.unwrap())
    }
}

const MONITOR: &str = "health-monitor m\n interval 1\n timeout 1\n retry 0\n";

pub(super) fn virtual_server(lines: &str, ports: &[u16]) -> String {
    let mut text = format!("{MONITOR}virtual-server www\n virtual 192.0.2.10 tcp 80\n health-check m\n{lines}");
    for port in ports {
        text.push_str(&format!(" real-server 127.0.0.1 {port}\n  weight 5\n"));
    }
    text
}

pub(super) fn probing() -> Box_ {
    let mut box_ = Box_::off();
    box_.probes = true;
    box_.start();
    box_
}

/// Port and weight of each destination.
pub(super) fn destinations(box_: &Box_) -> Vec<(u16, u32)> {
    let table = box_.kernel.table();
    let all = table.services.values().flat_map(|service| &service.destinations);
    all.map(|(key, destination)| (key.port, destination.weight)).collect()
}

fn checks(admin: &mut Caller) -> Vec<HealthCheckRow> {
    match admin.show(Show::HealthChecks { monitor: None }) {
        Data::HealthChecks(rows) => rows,
        other => panic!("{other:?}"),
    }
}

fn real_servers(admin: &mut Caller) -> Vec<RealServerRow> {
    match admin.show(Show::RealServers { virtual_server: None }) {
        Data::RealServers(rows) => rows,
        other => panic!("{other:?}"),
    }
}

fn sorted(mut pairs: Vec<(u16, u32)>) -> Vec<(u16, u32)> {
    pairs.sort_unstable();
    pairs
}

/// A virtual server with these lines of its own and two real servers, both in, and the port of the second.
fn two(box_: &Box_, admin: &mut Caller, lines: &str) -> (Server, Server, u16) {
    let (live, mortal) = (Server::start(), Server::start());
    let port = mortal.port();
    admin.must_apply(&virtual_server(lines, &[live.port(), port]));
    until("both are in", || destinations(box_).len() == 2);
    (live, mortal, port)
}

#[test]
fn a_server_enters_with_its_first_success_and_leaves_with_its_death() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (live, mortal) = (Server::start(), Server::start());
    let (port, dead) = (mortal.port(), Server::start());
    let never = dead.port();
    drop(dead);
    admin.must_apply(&virtual_server("", &[live.port(), port, never]));
    let both = sorted(vec![(live.port(), 5), (port, 5)]);
    until("those that live are in", || sorted(destinations(&box_)) == both);
    until("the third was tried", || real_servers(&mut admin).iter().any(|row| row.reason == "connect: refused"));
    assert_eq!(sorted(destinations(&box_)), both);

    drop(mortal);
    until("the dead one is out", || destinations(&box_) == [(live.port(), 5)]);
    let row = real_servers(&mut admin).into_iter().find(|row| row.port == port).unwrap();
    assert_eq!((row.state.as_str(), row.reason.as_str()), ("down", "connect: refused"));
    let warnings = admin.warnings();
    assert!(warnings.iter().any(|w| w.starts_with("virtual-server www: 2 of 3 real servers down: ")), "{warnings:?}");
    let check = checks(&mut admin).into_iter().find(|row| row.port == port).unwrap();
    assert_eq!(
        (check.state.as_str(), check.reason.as_str(), check.monitor.as_str()),
        ("down", "connect: refused", "m")
    );
    assert_eq!(check.history.iter().map(|change| change.state.as_str()).collect::<Vec<_>>(), ["up", "down"]);
    assert!(check.good > 0 && check.failed > 0 && check.virtual_servers == ["www"]);

    let _back = Server::again(port);
    until("it is back", || sorted(destinations(&box_)) == both);
}

#[test]
fn without_a_check_a_server_counts_as_healthy_and_that_is_said() {
    let box_ = probing();
    let mut admin = box_.admin();
    let without = "virtual-server www\n virtual 192.0.2.10 udp 80\n real-server 127.0.0.1 9\n";
    admin.must_apply(without);
    assert_eq!(destinations(&box_), [(9, 1)]);
    let said = "virtual-server www: there is no health-check, its real servers count as healthy";
    assert!(admin.warnings().iter().any(|w| w == said), "{:?}", admin.warnings());
    admin.must_apply("virtual-server www\n health-check none\n");
    assert!(!admin.warnings().iter().any(|w| w == said));
}

#[test]
fn an_inhibited_server_is_edited_in_place() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (_live, mortal, port) = two(&box_, &mut admin, " inhibit-on-failure\n");
    let changes = box_.kernel.inside().changes;
    drop(mortal);
    until("it gets no clients", || destinations(&box_).contains(&(port, 0)));
    assert_eq!(box_.kernel.inside().changes, changes + 1);
}

#[test]
fn when_all_are_dead_clients_go_to_the_sorry_server() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (one, two) = (Server::start(), Server::start());
    let ports = [one.port(), two.port()];
    let lines = " mode nat\n quorum 10\n sorry-server 127.0.0.2 99 mode nat\n";
    admin.must_apply(&virtual_server(lines, &ports));
    let both = sorted(ports.iter().map(|port| (*port, 5)).collect());
    until("both are in", || sorted(destinations(&box_)) == both);
    drop(two);
    // The one that lives keeps its connections.
    let without = sorted(vec![(ports[0], 0), (99, 1)]);
    until("the sorry server is in", || sorted(destinations(&box_)) == without);
    let table = box_.kernel.table();
    let service = table.services.values().next().unwrap();
    let sorry = &service.destinations[&DestinationKey { address: [127, 0, 0, 2].into(), port: 99 }];
    assert_eq!((sorry.forward, sorry.weight), (Forward::Masquerade, 1));
    assert!(real_servers(&mut admin).iter().any(|row| row.state == "waiting" && row.reason == "quorum is lost"));
    let _two = Server::again(ports[1]);
    until("the sorry server is out", || sorted(destinations(&box_)) == both);
}

#[test]
fn a_director_that_is_killed_in_an_outage_begins_where_it_ended() {
    let mut box_ = probing();
    let mut admin = box_.admin();
    let (live, mortal, port) = two(&box_, &mut admin, "");
    drop(mortal);
    until("the dead one is out", || destinations(&box_) == [(live.port(), 5)]);
    let changes = box_.kernel.inside().changes;
    box_.kill();
    box_.start();
    let mut admin = box_.admin();
    assert_eq!(box_.kernel.inside().changes, changes, "no dead one came back, no live one left");
    let rows = real_servers(&mut admin);
    assert_eq!(rows.iter().find(|row| row.port == port).map(|row| row.state.as_str()), Some("down"));
    until("it is asked again", || checks(&mut admin).iter().all(|row| row.last_s.is_some()));
    assert_eq!(box_.kernel.inside().changes, changes);
    let _back = Server::again(port);
    until("it is back", || destinations(&box_).len() == 2);
}

#[test]
fn when_all_fail_at_once_a_pool_may_go_on_as_if_none_had() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (one, two) = (Server::start(), Server::start());
    let ports = [one.port(), two.port()];
    admin.must_apply(&virtual_server(" fail-open\n", &ports));
    let both = sorted(ports.iter().map(|port| (*port, 5)).collect());
    until("both are in", || sorted(destinations(&box_)) == both);
    drop((one, two));
    let open = ", it balances as if none had failed";
    until("both have failed", || {
        admin.warnings().iter().any(|w| w.contains("2 of 2 real servers down") && w.ends_with(open))
    });
    assert_eq!(sorted(destinations(&box_)), both);
    let _one = Server::again(ports[0]);
    until("only what lives is in", || destinations(&box_) == [(ports[0], 5)]);
    assert!(!admin.warnings().iter().any(|w| w.ends_with(open)));
}

#[test]
fn a_server_that_is_back_begins_slowly() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (live, mortal) = (Server::start(), Server::start());
    let port = mortal.port();
    admin.must_apply(&virtual_server(" slow-start 4\n", &[live.port(), port]));
    let both = sorted(vec![(live.port(), 5), (port, 5)]);
    until("both are in", || sorted(destinations(&box_)) == both);
    drop(mortal);
    until("the dead one is out", || destinations(&box_) == [(live.port(), 5)]);
    let _back = Server::again(port);
    let mut weights = Vec::new();
    until("it has grown", || {
        let all = destinations(&box_);
        assert!(all.contains(&(live.port(), 5)), "the other one has all of its weight: {all:?}");
        weights.extend(all.into_iter().filter(|(of, _)| *of == port).map(|(_, weight)| weight));
        weights.last() == Some(&5)
    });
    assert_eq!(weights[0], 1);
    assert!(weights.is_sorted() && weights.iter().any(|weight| (2..5).contains(weight)), "{weights:?}");
}

#[test]
fn a_lost_quorum_comes_back_with_its_hysteresis_across_a_restart_too() {
    let mut box_ = probing();
    let mut admin = box_.admin();
    let (one, two, three) = (Server::start(), Server::start(), Server::start());
    let ports = [one.port(), two.port(), three.port()];
    // Lost below 6, back at 12, and 9 for one of which nothing is known.
    let lines = " mode nat\n quorum 9 hysteresis 3\n sorry-server 127.0.0.2 99 mode nat\n";
    admin.must_apply(&virtual_server(lines, &ports));
    let all = sorted(ports.iter().map(|port| (*port, 5)).collect());
    until("all are in", || sorted(destinations(&box_)) == all);
    drop(three);
    until("one is out", || destinations(&box_).len() == 2);
    assert!(!destinations(&box_).contains(&(99, 1)), "10 is within the hysteresis");
    drop(two);
    let lost = |ports: &[u16]| sorted(ports.iter().map(|port| (*port, 0)).chain([(99, 1)]).collect());
    until("quorum is lost", || sorted(destinations(&box_)) == lost(&ports[..1]));
    box_.kill();
    box_.start();
    assert_eq!(sorted(destinations(&box_)), lost(&ports[..1]));
    let _two = Server::again(ports[1]);
    until("the second is up", || destinations(&box_).len() == 3);
    assert_eq!(sorted(destinations(&box_)), lost(&ports[..2]), "10 is not enough to come back");
    let _three = Server::again(ports[2]);
    until("quorum is there", || sorted(destinations(&box_)) == all);
}

/// Each verdict is a line; what a killed director has left of one is no verdict.
#[test]
fn what_is_known_grows_by_lines_and_a_line_that_was_cut_off_is_none() {
    let mut box_ = probing();
    let mut admin = box_.admin();
    let (live, mortal, port) = two(&box_, &mut admin, "");
    let written = || std::fs::read_to_string(box_.paths.health()).unwrap();
    let before = written();
    drop(mortal);
    until("the dead one is out", || destinations(&box_) == [(live.port(), 5)]);
    let after = written();
    let added = after.strip_prefix(&before).expect("nothing was written anew");
    assert!(added.lines().count() == 1 && added.contains(&format!("\"port\":{port},")), "{added}");
    admin.must_apply("hostname lb2\n");
    assert_eq!(written(), after, "nothing that is probed has changed");
    admin.must_apply("virtual-server www\n quorum 10\n");
    assert_eq!(written(), format!("{after}{{\"quorum\":[\"www\",false]}}\n"), "5 of 10");
    let changes = box_.kernel.inside().changes;
    box_.kill();
    let risen = added.replace("\"up\":false", "\"up\":true");
    let torn = format!("{after}{}", &risen[..risen.len() - 9]);
    std::fs::write(box_.paths.health(), torn).unwrap();
    box_.start();
    assert_eq!(destinations(&box_), [(live.port(), 5)]);
    assert_eq!(box_.kernel.inside().changes, changes);
}

/// As many as the product promises, with the real prober: every one answers, and all are asked every 5 seconds.
#[test]
#[expect(clippy::print_stdout, reason = "figures for cargo xtask bench")]
fn ten_thousand_checks_hold_up_neither_a_commit_nor_a_show() {
    let box_ = probing();
    let mut admin = box_.admin();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let virtual_server = |n: u32| {
        let real = |m: u32| format!(" real-server 127.1.{n}.{m} {port}\n");
        let all: String = (1..=100).map(real).collect();
        format!("virtual-server v{n}\n virtual 192.0.2.{n} tcp 80\n health-check tcp\n{all}")
    };
    admin.must_apply(&(1..=100).map(virtual_server).collect::<String>());
    // A development build is ten times slower, and a test does not run alone.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 10_000 } else { 100 });
    let mut worst =
        [("commit", Duration::ZERO), ("show virtual-server", Duration::ZERO), ("show health-check", Duration::ZERO)];
    let (mut number, mut in_) = (0, 0);
    // From the first verdicts, 200 a second, until a while after the last.
    let mut rounds_after = 0;
    while rounds_after < 20 {
        number += 1;
        let line =
            format!("virtual-server v{}\n real-server 127.1.{0}.1 {port}\n  weight {number}\n", number % 100 + 1);
        let mut timed = |at: usize, did: &mut dyn FnMut()| {
            let start = crate::clock::now();
            did();
            worst[at].1 = worst[at].1.max(crate::clock::now() - start);
        };
        let (revision, _) = admin.running();
        timed(0, &mut || assert!(matches!(admin.apply_to(revision, &line), Reply::Applied { .. })));
        timed(1, &mut || drop(admin.show(Show::VirtualServers { name: None })));
        timed(2, &mut || drop(admin.show(Show::HealthChecks { monitor: None })));
        in_ = destinations(&box_).len();
        rounds_after += u32::from(in_ == 10_000);
        assert!(number < 10_000, "{in_} of 10,000 servers are in");
    }
    for (what, took) in worst {
        println!("{what}, worst of {number}, 10,000 monitors: {} ms (at most 100)", took.as_millis());
        assert!(took < limit, "{what}: {took:?}");
    }
    assert_eq!(in_, 10_000);
}

#[test]
fn a_server_that_is_taken_out_and_put_back_has_to_prove_itself() {
    let box_ = probing();
    let mut admin = box_.admin();
    let server = Server::start();
    let port = server.port();
    admin.must_apply(&virtual_server("", &[port]));
    until("it is in", || destinations(&box_).len() == 1);
    admin.must_apply(&format!("virtual-server www\n no real-server 127.0.0.1 {port}\n"));
    assert_eq!(destinations(&box_), []);
    drop(server);
    admin.must_apply(&virtual_server("", &[port]));
    assert_eq!(destinations(&box_), [], "what was known of it before is over");
    until("it was tried", || checks(&mut admin).iter().any(|row| row.reason == "connect: refused"));
    assert_eq!(destinations(&box_), []);
}

#[test]
fn a_check_that_is_added_takes_nobody_out_who_lives() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (live, dead) = (Server::start(), Server::start());
    let closed = dead.port();
    drop(dead);
    admin.must_apply(&virtual_server("", &[live.port(), closed]).replace(" health-check m\n", " health-check none\n"));
    assert_eq!(destinations(&box_).len(), 2);
    let changes = box_.kernel.inside().changes;
    admin.must_apply("virtual-server www\n health-check m\n");
    until("the dead one is out", || destinations(&box_) == [(live.port(), 5)]);
    assert_eq!(box_.kernel.inside().changes, changes + 1, "the other one stayed");
}

#[test]
fn a_director_that_is_killed_after_a_check_was_added_takes_no_live_server_out() {
    let mut box_ = probing();
    let mut admin = box_.admin();
    let live = Server::start();
    let text = virtual_server("", &[live.port()]);
    admin.must_apply(&text.replace(" health-check m\n", " health-check none\n"));
    // Something of the kernel changes with it: what is adopted is written before.
    box_.kernel.inside().watched = Some(box_.paths.health());
    admin.must_apply("virtual-server www\n scheduler wrr\n health-check m\n");
    let port = format!("\"port\":{}", live.port());
    assert!(box_.kernel.inside().seen.iter().all(|memo| memo.contains(&port)), "{:?}", box_.kernel.inside().seen);
    // A good attempt at a server that counts as up is no news.
    until("it was asked", || checks(&mut admin).iter().any(|row| row.good > 0));
    let changes = box_.kernel.inside().changes;
    box_.kill();
    box_.start();
    let mut admin = box_.admin();
    until("it was asked again", || checks(&mut admin).iter().any(|row| row.good > 0));
    assert_eq!(box_.kernel.inside().changes, changes, "nothing was to be done");
    assert_eq!(destinations(&box_), [(live.port(), 5)]);
}

/// A real server of mode dr and one virtual address that this machine has not: nobody is asked there.
fn by_dr(port: u16) -> String {
    format!(
        "{MONITOR}virtual-server www\n virtual 192.0.2.10 tcp {port}\n mode dr\n health-check m\n real-server 127.0.0.1 {port}\n"
    )
}

#[test]
fn a_kernel_without_the_service_of_a_check_has_the_server_itself_asked_and_that_is_said() {
    let box_ = probing();
    box_.kernel.inside().unknown_schedulers.insert("rr".to_owned());
    let mut admin = box_.admin();
    let live = Server::start();
    let said = admin.must_apply(&by_dr(live.port()));
    let words = "health-check of real-server 127.0.0.1 by mode dr: the kernel has no scheduler rr, use another, its own address is asked";
    assert!(said.iter().any(|warning| warning == words), "{said:?}");
    until("it is in", || destinations(&box_) == [(live.port(), 1)]);
    let row = checks(&mut admin).remove(0);
    assert_eq!((row.state.as_str(), row.aside.as_str()), ("up", "ipvs has no service for this check"));
    assert_eq!((row.via, row.via_mode.as_str()), (Some([192, 0, 2, 10].into()), "dr"));
}

#[test]
fn another_mode_is_another_check() {
    let box_ = probing();
    box_.kernel.inside().unknown_schedulers.insert("rr".to_owned());
    let mut admin = box_.admin();
    let live = Server::start();
    admin.must_apply(&by_dr(live.port()));
    until("it is in", || destinations(&box_).len() == 1);
    let before = checks(&mut admin).remove(0);
    admin.must_apply("virtual-server www\n mode tun\n");
    assert_eq!(destinations(&box_), [(live.port(), 1)], "it stays until the new check fails");
    until("it is asked anew", || {
        let row = checks(&mut admin).remove(0);
        row.via_mode == "tun" && row.good == 1 && row.history.is_empty()
    });
    assert_eq!((before.via_mode.as_str(), before.history.len()), ("dr", 1));
}
