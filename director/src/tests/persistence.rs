//! Saving, erasing, coming back.

use std::fs;
use std::time::Duration;

use yoke_director::status::{Data, LineKind, RefusalKind, Reply, Request, Show};
use yoke_init::request::Request as InitRequest;

use super::harness::{Box_, Caller, problems, until};

const WWW: &str = "hostname lb1\nvirtual-server www\n virtual 192.0.2.10 tcp 80\n real-server 10.0.0.1 8080\n";

fn save(caller: &mut Caller, force: bool) -> Reply {
    caller.call(&Request::Save { force })
}

/// Off, and on again: `/run` is gone and so is the kernel's table.
fn power_cut(box_: &mut Box_) {
    box_.kill();
    for entry in fs::read_dir(&box_.paths.run).unwrap() {
        let path = entry.unwrap().path();
        if path == box_.paths.init_socket() {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    box_.kernel.inside().table = ipvs::Table::default();
    box_.start();
}

#[test]
fn what_was_saved_balances_again_after_a_power_cut() {
    let mut box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }));
    admin.must_apply("hostname unsaved");
    let Data::Version(version) = admin.show(Show::Version) else { panic!() };
    assert!(!version.saved);
    let Data::Lines(diff) = admin.show(Show::Diff) else { panic!() };
    assert_eq!(diff, ["hostname unsaved"]);
    let table = box_.kernel.table();
    power_cut(&mut box_);
    until("it balances", || box_.kernel.table() == table);
    let mut admin = box_.console();
    let session = admin.login("admin", "secret");
    assert_eq!((session.hostname.as_str(), session.notice.as_str(), session.ids.0), ("lb1", "", 1001));
    let Data::Version(version) = admin.show(Show::Version) else { panic!() };
    assert!(version.saved && version.revision >= 2, "{version:?}");
}

#[test]
fn a_damaged_file_has_a_successor_and_says_so() {
    let mut box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("hostname one");
    save(&mut admin, false);
    admin.must_apply("hostname two");
    save(&mut admin, false);
    let Data::History(rows) = admin.show(Show::History) else { panic!() };
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.by == "admin" && row.from == "ttyS0"), "{rows:?}");
    fs::write(box_.paths.flash.join("startup-config"), "! yoke-config 1\nrubbish").unwrap();
    power_cut(&mut box_);
    let mut admin = box_.console();
    let session = admin.login("admin", "secret");
    assert_eq!(session.hostname, "one");
    assert!(session.notice.starts_with("startup-config: "), "{}", session.notice);
    assert!(admin.warnings().iter().any(|w| w.contains("is used instead")), "{:?}", admin.warnings());
    admin.must_apply("hostname three");
    save(&mut admin, false);
    assert!(!admin.warnings().iter().any(|w| w.contains("is used instead")));
    let Data::History(rows) = admin.show(Show::History) else { panic!() };
    assert_eq!(rows.len(), 3, "no revision was overwritten: {rows:?}");
}

#[test]
fn rejected_lines_are_not_overwritten_unless_told() {
    let mut box_ = Box_::off();
    let text =
        "username admin privilege 15\nusername admin secret sha512 $6$abcd$Zm9vYmFy\nfrobnicate 7\nhostname lb1\n";
    fs::write(box_.paths.flash.join("startup-config"), text).unwrap();
    box_.start();
    let mut admin = box_.hello(1001, LineKind::Vty);
    let Data::Lines(lines) = admin.show(Show::Rejected) else { panic!() };
    assert_eq!(lines[0], "frobnicate 7");
    assert!(admin.warnings()[0].contains("1 lines were rejected"), "{:?}", admin.warnings());
    let said = problems(RefusalKind::Failed, save(&mut admin, false));
    assert!(said[0].contains("write memory force"), "{said:?}");
    assert!(fs::read_to_string(box_.paths.flash.join("startup-config")).unwrap().contains("frobnicate"));
    // Also after the director was killed: the lines are still known.
    box_.kill();
    box_.start();
    let mut admin = box_.hello(1001, LineKind::Vty);
    problems(RefusalKind::Failed, save(&mut admin, false));
    assert!(matches!(save(&mut admin, true), Reply::Done { .. }));
    let Data::Lines(lines) = admin.show(Show::Rejected) else { panic!() };
    assert!(lines.is_empty());
}

#[test]
fn in_recovery_a_save_out_of_habit_loses_nothing() {
    let mut box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(&format!("{WWW}archive maximum 20\n"));
    for n in 0..15 {
        admin.must_apply(&format!("hostname lb{n}"));
        assert!(matches!(save(&mut admin, false), Reply::Done { .. }));
    }
    fs::write(box_.paths.proc.join("cmdline"), "yoke.slot=a yoke.recover\n").unwrap();
    let startup = || fs::read_to_string(box_.paths.flash.join("startup-config")).unwrap();
    let archive = || fs::read_dir(box_.paths.flash.join("archive")).unwrap().count();
    let (saved, revisions) = (startup(), archive());
    let refusal = "startup-config: was not loaded and would be replaced, use first: configure replace startup-config, or lose it: \
                   write memory force";
    power_cut(&mut box_);
    let mut admin = box_.admin();
    admin.must_apply("hostname rescue");
    assert_eq!(admin.show(Show::Unsaved), Data::Unsaved(false), "nobody is asked to lose it");
    assert_eq!(problems(RefusalKind::Failed, save(&mut admin, false)), [refusal]);
    // A director that was killed knows it as well.
    box_.kill();
    box_.start();
    let mut admin = box_.hello(1001, LineKind::Vty);
    assert_eq!(problems(RefusalKind::Failed, save(&mut admin, false)), [refusal]);
    let startup = || fs::read_to_string(box_.paths.flash.join("startup-config")).unwrap();
    assert_eq!((startup(), fs::read_dir(box_.paths.flash.join("archive")).unwrap().count()), (saved, revisions));

    // What is on flash, and then a password that is known.
    let Data::Lines(lines) = admin.show(Show::Startup) else { panic!() };
    let replaced = admin.call(&Request::Replace { text: lines.join("\n") });
    assert!(matches!(replaced, Reply::Applied { .. }), "{replaced:?}");
    assert_eq!(admin.show(Show::Unsaved), Data::Unsaved(false), "it is what is saved");
    admin.must_apply("hostname found");
    assert_eq!(admin.show(Show::Unsaved), Data::Unsaved(true));
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }));
    assert!(startup().contains("virtual-server www") && startup().contains("hostname found"));
}

#[test]
fn in_recovery_the_box_is_saved_anew_when_told_or_when_there_is_nothing_to_lose() {
    let mut box_ = Box_::off();
    fs::write(box_.paths.proc.join("cmdline"), "yoke.recover\n").unwrap();
    box_.start();
    let mut admin = box_.admin();
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }), "an empty flash");
    power_cut(&mut box_);
    let mut admin = box_.admin();
    problems(RefusalKind::Failed, save(&mut admin, false));
    assert!(matches!(save(&mut admin, true), Reply::Done { .. }));
    admin.must_apply("hostname lb2");
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }), "what was to be lost is lost");
}

#[test]
fn nothing_is_saved_to_a_flash_that_is_not_there() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    fs::write(box_.paths.proc.join("self/mounts"), "").unwrap();
    assert_eq!(problems(RefusalKind::Failed, save(&mut admin, false)), ["flash: not mounted, nothing can be saved"]);
    assert!(!box_.paths.flash.join("startup-config").exists());
}

#[test]
fn a_flash_that_comes_late_is_not_overwritten_by_the_way() {
    let mut box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("hostname saved");
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }));
    let (flash, mounts) = (box_.paths.flash.clone(), box_.paths.proc.join("self/mounts"));
    let (away, mounted) = (flash.with_extension("away"), fs::read(&mounts).unwrap());
    fs::rename(&flash, &away).unwrap();
    fs::create_dir(&flash).unwrap();
    fs::write(&mounts, "").unwrap();
    power_cut(&mut box_);
    // The check of the disk took longer than anybody waits for it.
    fs::remove_dir_all(&flash).unwrap();
    fs::rename(&away, &flash).unwrap();
    fs::write(&mounts, mounted).unwrap();
    let mut admin = box_.admin();
    let refusal = problems(RefusalKind::Failed, save(&mut admin, false));
    assert!(refusal[0].starts_with("startup-config: was not loaded and would be replaced"), "{refusal:?}");
    assert!(fs::read_to_string(flash.join("startup-config")).unwrap().contains("hostname saved"));
}

#[test]
fn erase_forgets_the_configuration_and_reset_the_rest() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("interface eth0\n ip address 192.0.2.2/24\n");
    save(&mut admin, false);
    let Data::Lines(lines) = admin.show(Show::Startup) else { panic!() };
    assert!(lines[0].starts_with("! saved 2") && lines.iter().any(|l| l == " ip address 192.0.2.2/24"), "{lines:?}");
    fs::create_dir(box_.paths.flash.join("ssh")).unwrap();
    assert!(matches!(admin.call(&Request::Erase), Reply::Done { .. }));
    problems(RefusalKind::Failed, admin.call(&Request::Show(Show::Startup)));
    assert!(box_.paths.uids().exists() && box_.paths.flash.join("ssh").exists());
    assert!(matches!(admin.call(&Request::FactoryReset), Reply::Done { .. }));
    assert!(!box_.paths.uids().exists() && !box_.paths.flash.join("ssh").exists());
    assert_eq!(box_.init.count(&InitRequest::Reboot), 1);
    assert!(matches!(admin.call(&Request::Reload { power_off: true }), Reply::Done { .. }));
    assert_eq!(box_.init.count(&InitRequest::PowerOff), 1);
}

/// A file that never has anything to say, to whoever reads it.
fn silent(path: &std::path::Path) {
    let _ = fs::remove_file(path);
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
}

/// Gives who waits for it an empty text.
fn speak(path: &std::path::Path) {
    fs::OpenOptions::new().write(true).open(path).unwrap();
}

#[test]
fn a_flash_that_does_not_answer_holds_up_nobody_else() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    save(&mut admin, false);
    let (startup, archive, uids) =
        (box_.paths.flash.join("startup-config"), box_.paths.flash.join("archive/1"), box_.paths.flash.join("uids"));
    for (path, request) in [
        (&startup, Request::Show(Show::Startup)),
        (&startup, Request::Show(Show::Diff)),
        (&startup, Request::Show(Show::Version)),
        (&archive, Request::Show(Show::History)),
        (
            &uids,
            Request::Apply { base: admin.running().0, lines: vec!["username noc privilege 1".into()], force: false },
        ),
    ] {
        silent(path);
        let mut waits = box_.hello(1001, LineKind::Vty);
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| waits.call(&request));
            for _ in 0..100 {
                let start = crate::clock::now();
                admin.show(Show::Sessions);
                admin.show(Show::VirtualServers { name: None });
                assert!(crate::clock::now() - start < Duration::from_secs(5), "{request:?}");
            }
            assert!(!answer.is_finished(), "{request:?} did not look at the flash");
            speak(path);
            answer.join().unwrap();
        });
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_flash_that_hangs_leaves_no_change_half_done_and_is_named() {
    let mut box_ = Box_::off();
    box_.flash_limit = Duration::from_millis(200);
    box_.resync = Duration::from_millis(50);
    box_.start();
    let mut admin = box_.admin();
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }));
    let uids = box_.paths.flash.join("uids");
    silent(&uids);
    let setups = box_.init.count(&InitRequest::Setup);
    // It needs the flash, and everything else of it is done all the same.
    let said = admin.must_apply("username noc privilege 1\ninterface eth0\n ip address 192.0.2.2/24\n");
    assert!(said.iter().any(|w| w.starts_with("user ids: flash: does not answer")), "{said:?}");
    assert_eq!(box_.init.count(&InitRequest::Setup), setups + 1);
    // Those that do not need it do not know of it, and the drift of others is healed beside it.
    let start = crate::clock::now();
    assert!(admin.must_apply(WWW).is_empty());
    box_.kernel.inside().table.services.clear();
    until("it is healed", || box_.kernel.table().services.len() == 1);
    assert!(crate::clock::now() - start < Duration::from_secs(30));
    for request in [Request::Save { force: false }, Request::Show(Show::Startup), Request::Show(Show::History)] {
        let said = problems(RefusalKind::Failed, admin.call(&request));
        assert!(said[0].starts_with("flash: does not answer"), "{request:?}: {said:?}");
    }
    assert!(matches!(admin.apply("hostname lb2"), Reply::Applied { .. }));
    // Once it answers again, what it owes is done.
    speak(&uids);
    until("the warning goes", || !admin.warnings().iter().any(|w| w.starts_with("user ids: ")));
    assert!(fs::read_to_string(&uids).unwrap().contains("noc 1002"));
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }));
}

#[test]
fn a_restart_does_not_wait_for_a_flash_that_hangs() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    assert!(matches!(save(&mut admin, false), Reply::Done { .. }));
    let why = box_.paths.flash.join("restart");
    silent(&why);
    let start = crate::clock::now();
    assert!(matches!(admin.call(&Request::Reload { power_off: false }), Reply::Done { .. }));
    // Half of what the flash has otherwise.
    assert!(crate::clock::now() - start < box_.flash_limit / 2);
    speak(&why);
}
