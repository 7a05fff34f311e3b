//! PID 1 with real children.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use yoke_init::request::{Reply, Request};
use yoke_init::supervisor::TERM_GRACE;

use crate::boxed::{Boxed, wait_for};

const SOON: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_box_without_flash_serves_and_says_so() {
    let it = Boxed::start("ready");
    let director = it.wait_state("director", "running");
    assert_eq!((director.restarts, director.status.as_str()), (0, "well"));
    let Reply::Status { warnings, .. } = it.ask(&Request::Status) else { panic!("no status") };
    let told = |text: &str| assert!(warnings.iter().any(|w| w.contains(text)), "{text} not in {warnings:?}");
    told("there is no partition config");
    told("the box runs without its flash");
    assert!(std::fs::write(it.path("flash/x"), "x").is_err(), "nothing looks saved that is not");
    it.wait_log("director", "director does: ready");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_service_is_starting_until_it_says_that_it_is_ready() {
    let it = Boxed::start("late");
    let waiting = it.wait_service("director", SOON, |s| s.state == "starting" && s.pid != 0);
    assert_eq!(waiting.why, "is not ready yet");
    it.write("etc/go", "");
    assert_eq!(it.wait_state("director", "running").pid, waiting.pid);
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_killed_service_comes_back_at_once_and_a_broken_one_backs_off() {
    let it = Boxed::start("ready");
    let first = it.wait_state("director", "running");
    kill(Pid::from_raw(it.outer(first.pid)), Signal::SIGKILL).unwrap();
    let second = it.wait_service("director", SOON, |s| s.state == "running" && s.pid != first.pid);
    assert_eq!(second.restarts, 1);
    it.wait_log("init", "director: killed by SIGKILL");

    it.write("etc/behaviour", "die");
    kill(Pid::from_raw(it.outer(second.pid)), Signal::SIGKILL).unwrap();
    let waiting = it.wait_service("director", SOON, |s| s.state == "backoff" && s.restarts >= 4);
    assert_eq!(waiting.why, "exit status 3");
    let Reply::Status { warnings, .. } = it.ask(&Request::Status) else { panic!("no status") };
    assert!(warnings.iter().any(|w| w.starts_with("service director: failed")), "{warnings:?}");

    it.write("etc/behaviour", "ready");
    assert_eq!(it.ask(&Request::Restart { name: "director".into() }), Reply::Done);
    it.wait_service("director", Duration::from_secs(3), |s| s.state == "running");
    assert!(matches!(it.ask(&Request::Restart { name: "nobody".into() }), Reply::Failed { .. }));
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_silent_service_is_killed_by_its_watchdog() {
    let it = Boxed::start("silent");
    let first = it.wait_state("director", "running");
    it.write("etc/behaviour", "ready");
    let second = it.wait_service("director", Duration::from_secs(40), |s| s.state == "running" && s.pid != first.pid);
    assert_eq!(second.restarts, 1);
    it.wait_log("init", "director: watchdog: silent, killed by SIGABRT");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn orphans_are_reaped() {
    let it = Boxed::start("orphans");
    it.wait_state("director", "running");
    it.wait_log("director", "does: linger");
    wait_for("only PID 1 and the director are left", SOON, || {
        let all = it.processes();
        (all.len() == 2 && all.iter().all(|(_, _, state)| *state != 'Z')).then_some(())
    });
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn configured_services_run_as_they_are_described() {
    let it = Boxed::start("ready");
    it.wait_state("director", "running");
    it.configure(
        r#"[{"name": "who", "argv": ["/usr/bin/service", "identity"], "env": [["A", "b"]], "ids": [70, 71],
             "capabilities": ["net_bind_service"], "processes": 64, "before": [["/usr/bin/service", "touch"]]},
            {"name": "gone", "argv": ["/nowhere/to/be/found"]},
            {"name": "odd", "argv": ["/usr/bin/service"], "capabilities": ["fly"]}]"#,
    );
    let who = it.wait_state("who", "running");
    assert_eq!(it.trace(), ["touched"]);
    // Bit 10 is net_bind_service.
    for line in ["Uid: 70 70", "Gid: 71 71", "CapEff: 0000000000000400", "CapBnd: 0000000000000400", "NoNewPrivs: 1"] {
        it.wait_log("who", line);
    }
    assert_eq!(it.wait_log("who", "Groups:").trim(), "Groups:");
    assert_eq!(it.wait_log("who", "env "), "env A=b");
    assert_eq!(it.wait_log("who", "processes "), "processes 64");
    assert_eq!(it.wait_state("gone", "backoff").why, "cannot be executed: no such file or directory");
    assert_eq!(it.wait_state("odd", "backoff").why, "capability fly: no such capability");

    // Unchanged services are not touched, absent ones end.
    it.configure(
        r#"[{"name": "who", "argv": ["/usr/bin/service", "identity"], "env": [["A", "b"]], "ids": [70, 71],
             "capabilities": ["net_bind_service"], "processes": 64, "before": [["/usr/bin/service", "touch"]]}]"#,
    );
    let Reply::Status { services, .. } = it.ask(&Request::Status) else { panic!("no status") };
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["director", "who"]);
    assert_eq!(services[1].pid, who.pid);

    std::fs::write(it.path("run/yoke/services.json"), "[{]").unwrap();
    assert!(matches!(it.ask(&Request::Services), Reply::Failed { .. }));
    assert_eq!(it.wait_state("who", "running").pid, who.pid, "a wrong file changes nothing");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_restart_of_the_box_stops_services_in_reverse_and_kills_the_stubborn() {
    let mut it = Boxed::start("ready");
    it.wait_state("director", "running");
    it.configure(r#"[{"name": "stub", "argv": ["/usr/bin/service", "stubborn"]}]"#);
    it.wait_state("stub", "running");
    it.wait_log("stub", "does: stubborn");
    assert_eq!(it.ask(&Request::Reboot), Reply::Done);
    // reboot(2) in a pid namespace: its PID 1 gets SIGHUP for a restart, SIGINT for power off.
    assert_eq!(it.wait_end(TERM_GRACE + SOON), Some(Signal::SIGHUP as i32));
    assert_eq!(it.trace(), ["service told to end", "director told to end"]);
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn power_off_ends_the_box() {
    let mut it = Boxed::start("ready");
    it.wait_state("director", "running");
    assert_eq!(it.ask(&Request::PowerOff), Reply::Done);
    assert_eq!(it.wait_end(SOON), Some(Signal::SIGINT as i32));
    assert_eq!(it.trace(), ["director told to end"]);
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn setup_reports_its_problems_to_who_asked() {
    let it = Boxed::start("ready");
    it.wait_state("director", "running");
    assert_eq!(it.ask(&Request::Setup), Reply::Setup { problems: vec![] });
    std::fs::write(it.path("run/yoke/running-config"), "interface eth9\n ip address 10.9.0.1/24\n").unwrap();
    let problems = vec!["interface eth9: there is no such network card".to_owned()];
    assert_eq!(it.ask(&Request::Setup), Reply::Setup { problems });
    it.wait_log("setup", "interface lo: up");
}
