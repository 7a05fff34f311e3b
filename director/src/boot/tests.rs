//! Loading: the order of files, quarantine, a second start.

use std::fs;

use yoke_config::store::Meta;

use super::*;
use crate::testing::paths;

fn meta(revision: u32) -> Meta {
    let [saved, by, from, firmware] = ["2026-11-21T10:04:11Z", "admin", "192.0.2.7", "1.0.0"].map(str::to_owned);
    Meta { saved, by, from, firmware, revision }
}

fn save(paths: &Paths, text: &str, revision: u32) {
    Store::new(&paths.flash).save(text, &meta(revision), 9, &[], false).unwrap();
}

#[test]
fn an_empty_flash_is_a_factory_fresh_box() {
    let (_dir, paths) = paths();
    let boot = load(&paths);
    assert_eq!(boot.notice, "no configuration on flash");
    assert_eq!((boot.running.revision, boot.faults.len(), boot.again), (1, 0, false));
    assert_eq!(boot.running.text, FACTORY);
}

#[test]
fn a_damaged_file_has_a_successor_with_a_number_of_its_own() {
    let (_dir, paths) = paths();
    save(&paths, "hostname one\n", 1);
    save(&paths, "hostname two\n", 2);
    fs::write(paths.flash.join("startup-config"), "! yoke-config 1\nhostn").unwrap();
    let boot = load(&paths);
    assert_eq!(boot.running.text, "hostname one\n");
    assert_eq!(boot.running.revision, 3);
    assert!(boot.notice.starts_with("startup-config: "), "{}", boot.notice);
    assert!(
        boot.faults.iter().any(|fault| fault.starts_with("startup-config.bak is used instead")),
        "{:?}",
        boot.faults
    );
}

#[test]
fn recovery_leaves_the_file_alone() {
    let (_dir, paths) = paths();
    save(&paths, "hostname one\n", 1);
    fs::write(paths.proc.join("cmdline"), "yoke.slot=a yoke.recover\n").unwrap();
    let boot = load(&paths);
    assert_eq!(boot.running.text, FACTORY);
    assert!(boot.notice.starts_with("recovery: "));
    assert_eq!(boot.running.revision, 2, "what is saved now takes no number that is taken");
    assert!(paths.flash.join("startup-config").exists());
}

#[test]
fn a_missing_flash_is_said() {
    let (_dir, paths) = paths();
    for mounts in [String::new(), format!("tmpfs {} tmpfs ro,nosuid 0 0\n", paths.flash.display())] {
        fs::write(paths.proc.join("self/mounts"), &mounts).unwrap();
        assert_eq!(load(&paths).notice, "flash is not mounted, nothing can be saved", "{mounts}");
    }
}

#[test]
fn a_bad_line_is_set_aside_and_the_box_boots() {
    let (_dir, paths) = paths();
    let text = "hostname one\nfrobnicate 7\n\
        virtual-server bad\n virtual 192.0.2.1 tcp 80\n mode dr\n real-server 10.0.0.1 8080\n\
        virtual-server good\n virtual 192.0.2.2 tcp 80\n real-server 10.0.0.1 8080\n";
    save(&paths, text, 1);
    let boot = load(&paths);
    let names: Vec<_> = boot.running.config.virtual_servers.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(boot.running.config.hostname.as_ref().unwrap().as_str(), "one");
    let texts: Vec<_> = boot.rejected.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        texts,
        ["frobnicate 7", "virtual-server bad", "virtual 192.0.2.1 tcp 80", "mode dr", "real-server 10.0.0.1 8080"]
    );
    assert!(boot.rejected[1].why.contains("mode dr"), "{}", boot.rejected[1].why);
    assert_eq!(boot.rejected[2].within, ["virtual-server bad"]);
    assert!(boot.notice.contains("5 lines were rejected"), "{}", boot.notice);
}

#[test]
fn of_two_blocks_that_exclude_each_other_the_first_stays() {
    let (_dir, paths) = paths();
    let server = |name: &str| format!("virtual-server {name}\n virtual 192.0.2.1 tcp 80\n");
    let many: String = (0..40).map(|n| format!("virtual-server v{n}\n virtual 192.0.2.9 tcp {}\n", n + 1)).collect();
    save(&paths, &format!("{}{many}{}", server("a"), server("z")), 1);
    let boot = load(&paths);
    assert_eq!(boot.running.config.virtual_servers.len(), 41);
    let texts: Vec<_> = boot.rejected.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["virtual-server z", "virtual 192.0.2.1 tcp 80"]);
}

#[test]
fn a_vlan_is_not_set_aside_because_it_is_wrong_without_its_port() {
    let (_dir, paths) = paths();
    let text = "interface eth0\n mtu 9000\ninterface eth0.7\n mtu 9000\n\
        virtual-server bad\n virtual 192.0.2.1 tcp 80\n mode dr\n real-server 10.0.0.1 8080\n";
    save(&paths, text, 1);
    let boot = load(&paths);
    assert_eq!(boot.running.config.interfaces.len(), 2);
    assert_eq!(boot.rejected[0].text, "virtual-server bad");
}

#[test]
fn what_is_saved_after_a_rejection_leaves_the_revision_that_holds_the_lines() {
    let (_dir, paths) = paths();
    save(&paths, "hostname one\nfrobnicate 7\n", 4);
    assert_eq!(load(&paths).running.revision, 5);
}

#[test]
fn a_file_full_of_bad_blocks_does_not_hold_up_the_boot() {
    let (_dir, paths) = paths();
    let server = |n: u32| {
        let mode = if n.is_multiple_of(2) { " mode dr\n" } else { "" };
        format!("virtual-server v{n}\n virtual 192.0.2.1 tcp {}\n{mode} real-server 10.0.0.1 8080\n", 20_000 + n)
    };
    let text: String = (0..600).map(server).collect();
    save(&paths, &text, 1);
    let start = crate::clock::now();
    let boot = load(&paths);
    assert_eq!(boot.running.config.virtual_servers.len(), 300);
    let took = crate::clock::now() - start;
    assert!(took.as_secs() < 10, "{took:?}");
}
