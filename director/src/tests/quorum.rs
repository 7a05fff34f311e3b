//! Quorum as it balances, as vrrpd hears of it, and as changes of the configuration leave it.

use vrrp::status::Request as Asked;

use super::harness::{Box_, Caller, until};
use super::health::{Server, destinations, probing, virtual_server};
use crate::testing::FakeVrrpd;

const GROUP: &str =
    "interface eth0\n ip address 10.1.0.2/24\nvrrp group a\n vrid 1 interface eth0\n address 10.1.0.9/24\n";

/// What vrrpd was told of `www` since it was asked last, the latest last.
fn told(vrrpd: &FakeVrrpd) -> Vec<bool> {
    let asked = std::mem::take(&mut vrrpd.inside().asked);
    let said = |asked| match asked {
        Asked::Heartbeat { servers } => servers.get("www").copied(),
        _ => None,
    };
    asked.into_iter().filter_map(said).collect()
}

fn wait_told(vrrpd: &FakeVrrpd, up: bool) {
    let mut last = None;
    until("vrrpd is told", || {
        last = told(vrrpd).last().copied().or(last);
        last == Some(up)
    });
}

/// Two real servers of weight 5, all that there are, with these lines.
fn two(box_: &Box_, admin: &mut Caller, lines: &str) -> (Server, Server) {
    let (one, two) = (Server::start(), Server::start());
    admin.must_apply(&virtual_server(lines, &[one.port(), two.port()]));
    until("both are in", || destinations(box_).iter().filter(|(_, weight)| *weight == 5).count() == 2);
    (one, two)
}

#[test]
fn vrrpd_hears_the_quorum_that_balances_also_when_all_have_failed() {
    let box_ = probing();
    let mut admin = box_.admin();
    let vrrpd = FakeVrrpd::listen(&box_.paths.vrrpd_socket());
    admin.must_apply(GROUP);
    let (one, other) = two(&box_, &mut admin, " fail-open\n");
    wait_told(&vrrpd, true);
    drop((one, other));
    until("both have failed", || admin.warnings().iter().any(|w| w.ends_with(", it balances as if none had failed")));
    told(&vrrpd);
    let mut heard = Vec::new();
    until("it is told again", || {
        heard.extend(told(&vrrpd));
        heard.len() > 1
    });
    assert!(heard.iter().all(|up| *up), "the box serves: {heard:?}");
}

#[test]
fn vrrpd_hears_the_same_of_a_quorum_that_was_lost_over_a_restart() {
    let mut box_ = probing();
    let mut admin = box_.admin();
    let vrrpd = FakeVrrpd::listen(&box_.paths.vrrpd_socket());
    admin.must_apply(GROUP);
    let (_one, other) = two(&box_, &mut admin, " quorum 5 hysteresis 2\n");
    wait_told(&vrrpd, true);
    admin.must_apply("virtual-server www\n quorum 9 hysteresis 2\n");
    let port = other.port();
    drop(other);
    wait_told(&vrrpd, false);
    // Back at 7, which one does not reach, though 4 would do for a pool of which nothing is known.
    admin.must_apply("virtual-server www\n quorum 4 hysteresis 3\n");
    wait_told(&vrrpd, false);
    box_.kill();
    told(&vrrpd);
    box_.start();
    let mut heard = Vec::new();
    until("it is told again", || {
        heard.extend(told(&vrrpd));
        heard.len() > 1
    });
    assert!(heard.iter().all(|up| !*up), "5 of 7: {heard:?}");
    let _other = Server::again(port);
    wait_told(&vrrpd, true);
}

#[test]
fn a_change_that_is_undone_turns_no_quorum() {
    let box_ = probing();
    let mut admin = box_.admin();
    // Had from 5 on, kept until below 4.
    let lines = " mode nat\n quorum 5 hysteresis 1\n sorry-server 127.0.0.2 99 mode nat\n";
    let (_one, other) = two(&box_, &mut admin, lines);
    drop(other);
    until("one is out", || destinations(&box_).len() == 1);
    let before = destinations(&box_);
    let next = box_.kernel.inside().changes;
    box_.kernel.inside().refuse_change = Some(next);
    let reply = admin.apply("virtual-server www\n quorum 9 hysteresis 1\n");
    assert!(matches!(reply, yoke_director::status::Reply::Refused(_)), "{reply:?}");
    assert_eq!(destinations(&box_), before, "5 is what is asked for, and not 6");
    assert!(!admin.warnings().iter().any(|warning| warning.contains("sorry server")));
}

#[test]
fn a_check_that_is_put_right_does_not_end_what_holds_while_all_have_failed() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (one, other) = two(&box_, &mut admin, " fail-open\n");
    let ports = [one.port(), other.port()];
    drop((one, other));
    until("both have failed", || admin.warnings().iter().any(|w| w.ends_with(", it balances as if none had failed")));
    let changes = box_.kernel.inside().changes;
    admin.must_apply("health-monitor n\n interval 1\n timeout 1\n retry 0\nvirtual-server www\n health-check n\n");
    assert_eq!(box_.kernel.inside().changes, changes, "nothing is known that was not");
    let warnings = admin.warnings();
    assert!(warnings.iter().any(|w| w.contains("(connect: refused)")), "{warnings:?}");
    let _one = Server::again(ports[0]);
    until("only what lives is in", || destinations(&box_) == [(ports[0], 5)]);
}

#[test]
fn a_quorum_that_an_operator_drains_away_is_said() {
    let box_ = probing();
    let mut admin = box_.admin();
    let (one, other) = two(&box_, &mut admin, "");
    let drained = |server: &Server| format!(" real-server 127.0.0.1 {}\n  drain\n", server.port());
    admin.must_apply(&format!("virtual-server www\n{}{}", drained(&one), drained(&other)));
    let said = "virtual-server www: no real server is down, but quorum is lost";
    assert!(admin.warnings().iter().any(|warning| warning == said), "{:?}", admin.warnings());
}
