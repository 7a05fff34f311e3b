//! Firmware: what a box on trial tells init, and what `install` says while another one is under way.

use std::time::Duration;

use yoke_director::status::{Install, RefusalKind, Reply, Request, Show};
use yoke_init::request::Request as Asked;

use super::harness::{Box_, problems, until};
use crate::testing::program;

fn on_trial() -> Box_ {
    let box_ = Box_::off();
    std::fs::write(box_.paths.proc.join("cmdline"), "yoke.slot=b yoke.trial=30\n").unwrap();
    box_
}

#[test]
fn a_firmware_on_trial_that_does_all_it_is_asked_for_is_healthy() {
    let mut box_ = on_trial();
    box_.start();
    until("it says nothing of its health", || box_.init.count(&Asked::Healthy) > 0);
}

#[test]
fn what_is_outside_the_box_does_not_count_against_a_firmware_on_trial() {
    let mut box_ = on_trial();
    box_.init.inside().problems = vec![
        "interface eth0: 2001:db8::2/64: another host has this address".into(),
        "interface eth3: there is no such network card".into(),
    ];
    let taken_out = box_.paths.run.join("devices/0000:00:03.0");
    std::fs::write(box_.paths.run.join("cards"), format!("eth3 02:00:00:00:00:03 0 {}\n", taken_out.display()))
        .unwrap();
    box_.start();
    until("it says nothing of its health", || box_.init.count(&Asked::Healthy) > 0);
}

#[test]
fn a_card_that_is_there_and_not_found_counts_against_a_firmware_on_trial() {
    let mut box_ = on_trial();
    let why = "interface eth3: there is no such network card".to_owned();
    // Its driver, of virtio, would have made the last directory.
    let card = box_.paths.run.join("devices/0000:00:03.0");
    std::fs::create_dir_all(&card).unwrap();
    std::fs::write(box_.paths.run.join("cards"), format!("eth3 - 0 {}/virtio1\n", card.display())).unwrap();
    box_.init.inside().problems.push(why.clone());
    box_.start();
    until("it says nothing of its health", || box_.init.count(&Asked::Unhealthy { why: why.clone() }) > 0);
    assert_eq!(box_.init.count(&Asked::Healthy), 0);
}

#[test]
fn a_damaged_startup_config_counts_against_a_firmware_on_trial() {
    let mut box_ = on_trial();
    let damaged =
        "! yoke-config 1\n! saved 2026-11-21T10:04:11Z by admin from console firmware 1 revision 1\n! sha256 00\nend\n";
    std::fs::write(box_.paths.flash.join("startup-config"), damaged).unwrap();
    box_.start();
    let unhealthy = |asked: &Asked| matches!(asked, Asked::Unhealthy { why } if why.contains("startup-config"));
    until("it says nothing of its health", || box_.init.inside().asked.iter().any(unhealthy));
}

#[test]
fn a_firmware_that_is_not_on_trial_says_nothing_of_its_health() {
    let box_ = Box_::fresh();
    until("setup did not run", || box_.init.count(&Asked::Services) > 0);
    assert_eq!(box_.init.count(&Asked::Healthy), 0);
}

#[test]
fn nothing_leaves_the_slot_while_the_other_is_written_and_abort_says_what_is_in_it() {
    let box_ = Box_::fresh();
    let slots = |version: &str| {
        format!(
            r#"{{"line":"slots","slots":[{{"slot":"a","state":"running","version":"1","kernel":"","bytes":1}},
                {{"slot":"b","state":"x","version":"{version}","kernel":"","bytes":0}}],"on_trial":false}}"#
        )
        .replace('\n', " ")
    };
    let mut admin = box_.admin();
    for (version, said) in [("", "slot b is empty"), ("7", "slot b holds version 7")] {
        let script = format!("case $1 in add) exec sleep 600;; *) echo '{}';; esac", slots(version));
        program(&box_.paths.install, &script);
        let add = Install::Add { source: "/x".into(), address: None, force: false };
        assert!(matches!(admin.call(&Request::Install(add)), Reply::Installed { .. }));
        for what in [Install::Activate { minutes: 30 }, Install::Rollback] {
            let why = problems(RefusalKind::Failed, admin.call(&Request::Install(what)));
            assert!(why[0].contains("install add or disk is under way"), "{why:?}");
        }
        match admin.call(&Request::Install(Install::Abort)) {
            Reply::Installed { text } => assert!(text.contains(said), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(box_.init.count(&Asked::Reboot), 0);
}

#[test]
fn what_a_stopped_install_has_started_ends_with_it() {
    let box_ = Box_::fresh();
    let pid = box_.paths.run.join("child");
    program(
        &box_.paths.install,
        &format!("[ $1 = disk ] || exit; sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display()),
    );
    let mut admin = box_.admin();
    let disk = Install::Disk { name: "sda".into(), identity: "3 4 5".into() };
    assert!(matches!(admin.call(&Request::Install(disk)), Reply::Installed { .. }));
    until("it has started nothing", || pid.exists());
    match admin.call(&Request::Install(Install::Abort)) {
        Reply::Installed { text } => assert_eq!(text, "The install disk is stopped, nothing was written to sda."),
        other => panic!("{other:?}"),
    }
    let child = std::fs::read_to_string(&pid).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    until("its child goes on", || state().map_or(true, |stat| stat.contains(") Z ")));
}

#[test]
fn an_operators_own_authority_is_handed_to_the_one_shot() {
    let box_ = Box_::fresh();
    let words = box_.paths.run.join("words");
    program(&box_.paths.install, &format!("[ $1 = add ] && echo $* > {0}.new && mv {0}.new {0}", words.display()));
    let mut admin = box_.admin();
    for (line, said) in [
        ("install trust ca MAMCAQE=", "add https://h/x 192.0.2.1 ca=3003020101 force"),
        ("install trust public", "add https://h/x 192.0.2.1 force"),
    ] {
        admin.must_apply(line);
        let address = Some([192, 0, 2, 1].into());
        let add = Install::Add { source: "https://h/x".into(), address, force: true };
        assert!(matches!(admin.call(&Request::Install(add)), Reply::Installed { .. }));
        until(said, || std::fs::read_to_string(&words).is_ok_and(|words| words.trim() == said));
        until("it does not end", || !matches!(admin.call(&Request::Install(Install::Abort)), Reply::Installed { .. }));
    }
}

#[test]
fn a_disk_that_hangs_keeps_nobody_from_work_that_needs_no_disk() {
    let mut box_ = Box_::off();
    box_.flash_limit = Duration::from_millis(300);
    box_.up_after = Duration::from_millis(1);
    let (begun, let_go) = (box_.paths.run.join("begun"), box_.paths.run.join("let-go"));
    program(
        &box_.paths.install,
        &format!(
            "echo $1 >> {}; until [ -e {} ]; do sleep 0.02; done; echo '{{\"line\":\"done\",\"text\":\"\"}}'",
            begun.display(),
            let_go.display()
        ),
    );
    box_.start();
    // `install up` of the start hangs as well.
    until("it begins", || begun.exists());
    let mut admin = box_.admin();
    for _ in 0..6 {
        let why = problems(RefusalKind::Failed, admin.call(&Request::Show(Show::Install)));
        assert!(why[0].starts_with("install show: the disk does not answer"), "{why:?}");
    }
    assert_eq!(std::fs::read_to_string(&begun).unwrap(), "up\n", "one at a time");
    // It hashes, as do a login and a change.
    let mut other = box_.console();
    assert_eq!(other.login("admin", "secret").username, "admin");
    admin.must_apply("hostname lb1");
    std::fs::write(&let_go, "").unwrap();
    until("the next has its turn", || {
        let why = problems(RefusalKind::Failed, admin.call(&Request::Show(Show::Install)));
        why[0].contains("makes no sense")
    });
}

#[test]
fn the_loader_is_told_until_it_has_heard_that_this_firmware_has_come_up() {
    let mut box_ = Box_::off();
    box_.up_after = Duration::from_millis(20);
    let log = box_.paths.run.join("told");
    let failed = r#"{"line":"failed","why":"install: partition esp: does not write"}"#;
    let said = r#"{"line":"done","text":"the loader has seen better days"}"#;
    // It fails twice.
    let script = format!(
        "echo \"$1\" >> {log}; if [ $(wc -l < {log}) -gt 2 ]; then echo '{said}'; else echo '{failed}'; fi",
        log = log.display()
    );
    program(&box_.paths.install, &script);
    box_.start();
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    until("it is told once", || told() == "up\nup\nup\n");
    let mut admin = box_.admin();
    until("nobody says what install has said", || admin.warnings().iter().any(|it| it.contains("better days")));
    assert!(!admin.warnings().iter().any(|it| it.contains("does not write")), "it is written");
    assert_eq!(told(), "up\nup\nup\n", "told for good");
}
