//! A director that dies, a kernel that somebody else changes, an init that is not there.

use std::time::Duration;

use yoke_director::status::{LineKind, Reply, Request};
use yoke_init::request::Request as InitRequest;

use super::harness::{Box_, until};

const WWW: &str =
    "virtual-server www\n virtual 192.0.2.10 tcp 80\n real-server 10.0.0.1 8080\n real-server 10.0.0.2 8080\n";

#[test]
fn a_director_that_is_killed_finds_nothing_to_do() {
    let mut box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let (revision, text) = admin.running();
    let (table, changes) = (box_.kernel.table(), box_.kernel.inside().changes);
    let observations = box_.kernel.inside().observations;
    box_.kill();
    box_.start();
    until("the kernel's table has been read", || box_.kernel.inside().observations == observations + 1);
    assert_eq!(box_.kernel.table(), table);
    assert_eq!(box_.kernel.inside().changes, changes, "the table is not rewritten");
    let mut admin = box_.hello(1001, LineKind::Vty);
    assert_eq!(admin.running(), (revision, text), "what was not saved is not lost");
    assert!(matches!(admin.apply_to(revision, "hostname lb1"), Reply::Applied { .. }));
}

#[test]
fn a_foreign_change_is_healed_and_reported() {
    let mut box_ = Box_::off();
    box_.resync = Duration::from_millis(20);
    box_.start();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let table = box_.kernel.table();
    box_.kernel.inside().table = ipvs::Table::default();
    until("the table is put right", || box_.kernel.table() == table);
    let changes = box_.kernel.inside().changes;
    let looks = box_.kernel.inside().observations;
    until("it is looked at again", || box_.kernel.inside().observations > looks + 3);
    assert_eq!(box_.kernel.inside().changes, changes, "a look that finds nothing changes nothing");
    let warnings = admin.warnings();
    assert!(warnings.iter().any(|w| w.starts_with("ipvs: another program changed the kernel's table")), "{warnings:?}");
}

#[test]
fn settings_that_somebody_changed_are_healed_and_reported() {
    let mut box_ = Box_::off();
    box_.resync = Duration::from_millis(20);
    box_.start();
    let mut admin = box_.admin();
    admin.must_apply("ipvs timeout tcp 28800\nipvs sloppy-tcp");
    assert!(!admin.warnings().iter().any(|w| w.contains("another program")), "{:?}", admin.warnings());
    let sysctl = box_.paths.proc.join("sys/net/ipv4/vs/sloppy_tcp");
    let read = || std::fs::read_to_string(&sysctl).unwrap().trim().to_owned();
    {
        let mut kernel = box_.kernel.inside();
        kernel.timeouts.tcp = 5;
        kernel.daemons.push(ipvs::Daemon {
            role: ipvs::SyncRole::Backup,
            interface: "eth0".parse().unwrap(),
            sync_id: 0,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        });
    }
    std::fs::write(&sysctl, "0\n").unwrap();
    until("the timeout is put right", || box_.kernel.inside().timeouts.tcp == 28_800);
    until("the daemon is stopped", || box_.kernel.inside().daemons.is_empty());
    until("the sysctl is put right", || read() == "1");
    for said in ["ipvs: another program changed the kernel's table", "ipvs: another program changed settings"] {
        until(said, || admin.warnings().iter().any(|w| w.starts_with(said)));
    }
}

#[test]
fn a_kernel_without_ipvs_is_said_and_healed_later() {
    let mut box_ = Box_::off();
    box_.resync = Duration::from_millis(20);
    box_.kernel.inside().gone = true;
    let text = format!("username admin privilege 15\nusername admin secret sha512 $6$abcd$Zm9vYmFy\n{WWW}");
    std::fs::write(box_.paths.flash.join("startup-config"), text).unwrap();
    box_.start();
    let mut admin = box_.hello(1001, LineKind::Vty);
    admin.must_apply("hostname lb1");
    assert!(admin.warnings().iter().any(|w| w.contains("the kernel has no IPVS")), "{:?}", admin.warnings());
    box_.kernel.inside().gone = false;
    until("the table is programmed", || box_.kernel.table().services.len() == 1);
    until("the warning goes", || !admin.warnings().iter().any(|w| w.contains("the kernel has no IPVS")));
    assert!(!admin.warnings().iter().any(|w| w.contains("another program")), "{:?}", admin.warnings());
}

#[test]
fn without_init_the_box_still_answers() {
    let mut box_ = Box_::off();
    std::fs::remove_file(box_.paths.init_socket()).unwrap();
    box_.start();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    assert_eq!(box_.kernel.table().services.len(), 1);
    assert!(admin.warnings().iter().any(|w| w.contains("init: does not answer")), "{:?}", admin.warnings());
    assert!(matches!(admin.call(&Request::Reload { power_off: false }), Reply::Refused(_)));
}

#[test]
fn the_network_is_set_up_at_every_start() {
    let mut box_ = Box_::fresh();
    drop(box_.admin());
    assert_eq!(box_.init.count(&InitRequest::Setup), 1);
    assert_eq!(box_.init.count(&InitRequest::Services), 1);
    box_.kill();
    box_.start();
    drop(box_.admin());
    until("set up again", || box_.init.count(&InitRequest::Setup) == 2);
}

#[test]
fn table_bits_wait_for_the_next_boot() {
    let mut box_ = Box_::off();
    let text = "username admin privilege 15\nusername admin secret sha512 $6$abcd$Zm9vYmFy\nipvs table-bits 20\n";
    std::fs::write(box_.paths.flash.join("startup-config"), text).unwrap();
    box_.start();
    let options = box_.paths.run.join("modprobe.conf");
    assert_eq!(std::fs::read_to_string(&options).unwrap(), "options ip_vs conn_tab_bits=20\n");
    let mut admin = box_.hello(1001, LineKind::Vty);
    let warning = "ipvs table-bits: takes effect after write memory and reload";
    assert!(!admin.warnings().iter().any(|w| w == warning));
    assert_eq!(admin.must_apply("ipvs table-bits 21"), [warning]);
    box_.kill();
    box_.start();
    let mut admin = box_.hello(1001, LineKind::Vty);
    until("the warning is there again", || admin.warnings().iter().any(|w| w == warning));
    assert_eq!(std::fs::read_to_string(&options).unwrap(), "options ip_vs conn_tab_bits=20\n");
}

#[test]
fn a_network_that_could_not_be_set_up_is_tried_again_until_it_can() {
    let mut box_ = Box_::off();
    box_.start();
    let mut admin = box_.admin();
    let late = "interface eth3: there is no such network card".to_owned();
    box_.init.inside().problems = vec![late.clone()];
    let said = admin.must_apply("interface eth3\n ip address 192.0.2.2/24\n");
    assert_eq!(said, std::slice::from_ref(&late));
    // The card has come: with the next change, whatever it is of.
    box_.init.inside().problems.clear();
    let setups = box_.init.count(&InitRequest::Setup);
    admin.must_apply("username noc privilege 1");
    assert_eq!(box_.init.count(&InitRequest::Setup), setups + 1);
    assert!(!admin.warnings().contains(&late));
    admin.must_apply("username ops privilege 1");
    assert_eq!(box_.init.count(&InitRequest::Setup), setups + 1, "nothing is left to do");

    // And without a change.
    box_.kill();
    box_.resync = Duration::from_millis(20);
    box_.init.inside().problems = vec![late.clone()];
    box_.start();
    let setups = box_.init.count(&InitRequest::Setup);
    let mut admin = box_.admin();
    until("it is tried again", || box_.init.count(&InitRequest::Setup) > setups + 2);
    assert!(admin.warnings().contains(&late));
    box_.init.inside().problems.clear();
    until("the warning goes", || !admin.warnings().contains(&late));
}

#[test]
fn a_card_that_comes_back_gets_its_addresses_again() {
    let mut box_ = Box_::off();
    box_.resync = Duration::from_millis(20);
    box_.kernel.inside().links.cards = [(2, "eth0".into()), (3, "eth1".into())].into();
    box_.start();
    let mut admin = box_.admin();
    admin.must_apply("interface eth1\n ipv6 address 2001:db8::2/64\n");
    let looks = box_.kernel.inside().observations;
    let setups = box_.init.count(&InitRequest::Setup);
    until("it is looked at again", || box_.kernel.inside().observations > looks + 3);
    assert_eq!(box_.init.count(&InitRequest::Setup), setups, "nothing has come or gone");

    let missing = "interface eth1: there is no such network card".to_owned();
    box_.init.inside().problems = vec![missing.clone()];
    box_.kernel.inside().links.cards.remove(&3);
    until("it is said", || admin.warnings().contains(&missing));
    // Under the same name, and without anything that it had.
    box_.init.inside().problems.clear();
    let setups = box_.init.count(&InitRequest::Setup);
    box_.kernel.inside().links.cards.insert(7, "eth1".into());
    until("it is set up", || box_.init.count(&InitRequest::Setup) > setups);
    until("the warning goes", || !admin.warnings().contains(&missing));
}

#[test]
fn an_address_that_the_kernel_gave_up_is_asked_for_again() {
    let mut box_ = Box_::off();
    box_.resync = Duration::from_millis(20);
    box_.start();
    let mut admin = box_.admin();
    admin.must_apply("interface eth0\n ipv6 address 2001:db8::2/64\n");
    let looks = box_.kernel.inside().observations;
    let setups = box_.init.count(&InitRequest::Setup);
    // Not one of ours: init could do nothing about it.
    box_.kernel.inside().links.given_up.insert("fe80::1".parse().unwrap());
    until("it is looked at again", || box_.kernel.inside().observations > looks + 3);
    assert_eq!(box_.init.count(&InitRequest::Setup), setups);
    box_.kernel.inside().links.given_up.insert("2001:db8::2".parse().unwrap());
    until("it is set up", || box_.init.count(&InitRequest::Setup) > setups);
}
