//! Changes: merged, checked as a whole, programmed with few steps, or undone.

use std::fs;

use proptest::prelude::*;
use yoke_director::status::{RefusalKind, Reply, Request};
use yoke_init::request::Request as InitRequest;

use super::harness::{Box_, problems, until};
use crate::reconcile;
use crate::testing::{config, program};

const WWW: &str = "virtual-server www\n virtual 192.0.2.10 tcp 80\n scheduler rr\n real-server 10.0.0.1 8080\n real-server 10.0.0.2 8080\n  weight 3\n";

#[test]
fn a_block_reaches_kernel_text_and_init() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let setups = box_.init.count(&InitRequest::Setup);
    admin.must_apply(WWW);
    assert_eq!(box_.kernel.table(), reconcile::desired(&config(WWW), &Default::default()).table);
    let text = fs::read_to_string(box_.paths.running_config()).unwrap();
    assert!(text.contains(" virtual 192.0.2.10 tcp 80\n"), "{text}");
    assert_eq!(admin.running().1, text);
    assert_eq!(box_.init.count(&InitRequest::Setup), setups + 1, "a new virtual address is a network change");
    admin.must_apply("virtual-server www\n scheduler wrr\n");
    assert_eq!(box_.init.count(&InitRequest::Setup), setups + 1, "a scheduler is not");
    admin.must_apply("virtual-server tls\n virtual 192.0.2.10 tcp 443\n");
    assert_eq!(box_.init.count(&InitRequest::Setup), setups + 1, "the address is there already");
    admin.must_apply("no virtual-server www\nvirtual-server tls\n shutdown\n");
    assert_eq!(box_.init.count(&InitRequest::Setup), setups + 2, "it goes with the last of its servers");
}

#[test]
fn what_can_be_edited_is_edited() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let before = box_.kernel.inside().changes;
    admin.must_apply("virtual-server www\n real-server 10.0.0.2 8080\n  weight 5\n");
    assert_eq!(box_.kernel.inside().changes, before + 1);
    let observations = box_.kernel.inside().observations;
    admin.must_apply("hostname lb1");
    assert_eq!(box_.kernel.inside().observations, observations, "IPVS is not asked about a name");
    let (revision, _) = admin.running();
    admin.must_apply("hostname lb1");
    assert_eq!(admin.running().0, revision, "nothing changed");
}

/// The kernel counts what it is asked; `ipvs/tests/client.rs` counts the messages that this is.
#[test]
fn among_ten_thousand_servers_one_weight_is_one_change_and_none_is_none() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let server = |n: u32| format!(" real-server 10.0.{}.{} 80\n", n / 250, n % 250 + 1);
    let servers = |of: u32| (of * 100..of * 100 + 100).map(server).collect::<String>();
    let all = |n: u32| format!("virtual-server v{n}\n virtual 192.0.2.{n} tcp 80\n health-check none\n{}", servers(n));
    admin.must_apply(&(0..100).map(|n| all(n + 1)).collect::<String>());
    let table = box_.kernel.table();
    assert_eq!(table.services.values().map(|entry| entry.destinations.len()).sum::<usize>(), 10_000);
    let asked = || {
        let inside = box_.kernel.inside();
        (inside.observations, inside.changes)
    };
    let before = asked();
    admin.must_apply(&format!("virtual-server v50\n{} weight 7\n", server(5000)));
    assert_eq!(asked(), (before.0 + 1, before.1 + 1));
    // A commit that says what is so already, and one that changes something of which the kernel knows nothing.
    for same in
        [format!("virtual-server v50\n{} weight 7\n", server(5000)), "virtual-server v50\n description x\n".into()]
    {
        let before = asked();
        admin.must_apply(&same);
        let (observations, changes) = asked();
        assert!(observations <= before.0 + 1 && changes == before.1, "{same}: {before:?}, then {:?}", asked());
    }
}

#[test]
fn a_line_that_means_nothing_names_itself() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let before = admin.running();
    let said = problems(RefusalKind::Syntax, admin.apply("hostname lb1\nfrobnicate 7"));
    assert!(said[0].starts_with("line 2: frobnicate 7: "), "{said:?}");
    let said = problems(RefusalKind::Syntax, admin.apply("usrname x secret hunter2"));
    assert!(!said[0].contains("hunter2"), "{said:?}");
    assert_eq!(admin.running(), before);
}

#[test]
fn every_problem_is_reported_and_nothing_done() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let before = (admin.running(), box_.kernel.table());
    let text = "virtual-server a\n virtual 192.0.2.1 tcp 80\n mode dr\n real-server 10.0.0.1 8080\n\
                virtual-server b\n virtual 192.0.2.2 tcp any\n";
    let said = problems(RefusalKind::NotApplied, admin.apply(text));
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], "virtual-server a: real-server 10.0.0.1 8080: mode dr cannot change the port, use: 80");
    let said = problems(RefusalKind::NotApplied, admin.apply("username root privilege 15"));
    assert_eq!(said, ["username root: the system has this account, choose another name"]);
    assert_eq!((admin.running(), box_.kernel.table()), before);
}

#[test]
fn whichever_step_the_kernel_refuses_everything_is_undone() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let change = "no virtual-server www\n\
        virtual-server new\n virtual 192.0.2.11 udp 53\n real-server 10.0.0.1 53\n real-server 10.0.0.3 53\n\
        virtual-server third\n virtual 192.0.2.12 tcp 80\n real-server 10.0.0.4 80\n";
    let before = (admin.running(), box_.kernel.table());
    let mut refused = 0;
    for step in 0.. {
        let next = box_.kernel.inside().changes + step;
        box_.kernel.inside().refuse_change = Some(next);
        match admin.apply(change) {
            Reply::Refused(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::NotApplied);
                let [why, undone] = refusal.problems.as_slice() else { panic!("{refusal:?}") };
                assert!(why.starts_with("virtual-server ") || why.starts_with("service "), "{why}");
                assert!(undone.starts_with("nothing was changed"), "{undone}");
                assert_eq!((admin.running(), box_.kernel.table()), before, "step {step}");
                assert_eq!(fs::read_to_string(box_.paths.running_config()).unwrap(), before.0.1);
                refused += 1;
            }
            Reply::Applied { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 6, "two services and three destinations added, one service removed");
    assert_eq!(box_.kernel.table().services.len(), 2);
}

#[test]
fn a_change_that_nft_refuses_is_undone() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    program(&box_.paths.nft, "cat > /dev/null; echo 'Error: no such thing' >&2; exit 1");
    let before = (admin.running(), box_.kernel.table());
    let said =
        problems(RefusalKind::NotApplied, admin.apply(&format!("{WWW}!\nfirewall-mark 7 192.0.2.0/24 tcp 80\n")));
    assert_eq!(said[0], "nft: Error: no such thing");
    assert_eq!((admin.running(), box_.kernel.table()), before);
    let timeouts = box_.kernel.inside().timeouts;
    admin.apply("ipvs timeout tcp 60\nfirewall-mark 7 192.0.2.0/24 tcp 80\n");
    assert_eq!(box_.kernel.inside().timeouts, timeouts, "with no service to change they are undone too");
}

#[test]
fn a_service_that_was_refused_before_is_not_in_the_way() {
    let mut box_ = Box_::off();
    box_.kernel.inside().unknown_schedulers.insert("mh".into());
    let text =
        "virtual-server odd\n virtual 192.0.2.9 tcp 80\n scheduler mh\nusername admin secret sha512 $6$abcd$Zm9vYmFy\n";
    fs::write(box_.paths.flash.join("startup-config"), text).unwrap();
    box_.start();
    let mut admin = box_.hello(1001, yoke_director::status::LineKind::Vty);
    // The factory line is not in this file, so admin has privilege 1 until enabled; the console cannot log in either.
    problems(RefusalKind::Denied, admin.apply_to(0, "hostname x"));
    drop(admin);
    box_.kill();
    fs::remove_dir_all(&box_.paths.run).unwrap();
    fs::create_dir_all(&box_.paths.run).unwrap();
    fs::write(box_.paths.flash.join("startup-config"), format!("username admin privilege 15\n{text}")).unwrap();
    box_.start();
    let mut admin = box_.hello(1001, yoke_director::status::LineKind::Vty);
    let warning = "virtual-server odd: the kernel has no scheduler mh, use another";
    until("it is said", || admin.warnings().iter().any(|w| w == warning));
    admin.must_apply(WWW);
    assert_eq!(box_.kernel.table().services.len(), 1);
    let said = problems(RefusalKind::NotApplied, admin.apply("virtual-server odd\n persistence timeout 60\n"));
    assert_eq!(said[0], warning, "a change of it is refused with the reason");
    box_.kernel.inside().unknown_schedulers.clear();
    admin.must_apply("virtual-server odd\n persistence timeout 60\n");
    assert_eq!(box_.kernel.table().services.len(), 2);
    assert!(!admin.warnings().iter().any(|w| w == warning));
}

#[test]
fn two_people_who_change_the_same_line_are_told() {
    let box_ = Box_::fresh();
    let (mut ana, mut bob) = (box_.admin(), box_.admin());
    ana.must_apply(&format!("{WWW}!\nusername ana privilege 15\n"));
    let (base, _) = bob.running();
    let mut ana = box_.hello(1002, yoke_director::status::LineKind::Vty);
    ana.must_apply("virtual-server www\n scheduler lc\n");
    let said = problems(RefusalKind::NotApplied, bob.apply_to(base, "virtual-server www\n scheduler sh\n"));
    assert_eq!(said, ["changed by ana since you started: virtual-server www: scheduler"]);
    assert!(matches!(
        bob.apply_to(base, "virtual-server www\n mode dr\n real-server 10.0.0.1 8080\n  weight 2"),
        Reply::Refused(_)
    ));
    assert!(matches!(bob.apply_to(base, "virtual-server www\n description shop\n"), Reply::Applied { .. }));
    let lines = vec!["virtual-server www".to_owned(), " scheduler sh".to_owned()];
    assert!(matches!(bob.call(&Request::Apply { base, lines, force: true }), Reply::Applied { .. }));
    let (_, text) = bob.running();
    assert!(text.contains(" scheduler sh\n") && text.contains(" description shop\n"), "{text}");
    let said = problems(RefusalKind::NotApplied, bob.apply_to(999, "hostname x"));
    assert!(said[0].contains("no longer known"), "{said:?}");
}

#[test]
fn changes_at_the_same_time_all_happen() {
    let box_ = Box_::fresh();
    let mut callers: Vec<_> = (0..8).map(|_| box_.admin()).collect();
    let (base, _) = callers[0].running();
    let threads: Vec<_> = callers
        .drain(..)
        .enumerate()
        .map(|(n, mut caller)| {
            std::thread::spawn(move || {
                let text = format!("virtual-server v{n}\n virtual 192.0.2.{} tcp 80\n", n + 1);
                assert!(matches!(caller.apply_to(base, &text), Reply::Applied { .. }));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(box_.kernel.table().services.len(), 8);
}

#[test]
fn only_warnings_that_are_new_come_with_a_change() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    box_.init.inside().problems = vec!["interface eth9: no such device".into()];
    assert_eq!(admin.must_apply("interface eth9\n ip address 10.9.0.1/24\n"), ["interface eth9: no such device"]);
    let warnings = admin.must_apply("virtual-server f\n virtual fwmark 7\n real-server 10.0.0.1 8443\n");
    assert!(warnings.iter().any(|w| w == "virtual-server f: no firewall-mark line sets mark 7"), "{warnings:?}");
    assert!(!warnings.iter().any(|w| w.starts_with("interface eth9")), "{warnings:?}");
    assert!(admin.warnings().iter().any(|w| w == "interface eth9: no such device"));
}

#[test]
fn replace_is_exact() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let (_, text) = admin.running();
    let users: String =
        text.lines().filter(|line| line.starts_with("username")).map(|line| format!("{line}\n")).collect();
    let replaced = admin.call(&Request::Replace { text: format!("{users}hostname lb9\n") });
    assert!(matches!(replaced, Reply::Applied { .. }), "{replaced:?}");
    assert!(box_.kernel.table().services.is_empty());
    assert_eq!(admin.running().1, format!("hostname lb9\n{users}"));
    problems(RefusalKind::Syntax, admin.call(&Request::Replace { text: "hostname a\nnonsense\n".into() }));
}

#[test]
fn draining_edits_the_configuration() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let drain = |drain, port, name: Option<&str>| Request::Drain {
        drain,
        address: [10, 0, 0, 2].into(),
        port,
        virtual_server: name.map(str::to_owned),
    };
    assert!(matches!(admin.call(&drain(true, None, None)), Reply::Applied { .. }));
    assert!(admin.running().1.contains(" real-server 10.0.0.2 8080\n  weight 3\n  drain\n"), "{}", admin.running().1);
    let weights = |box_: &Box_| -> Vec<u32> {
        let table = box_.kernel.table();
        table.services.values().flat_map(|entry| entry.destinations.values().map(|d| d.weight)).collect()
    };
    assert_eq!(weights(&box_), [1, 0]);
    assert!(matches!(admin.call(&drain(false, Some(8080), Some("www"))), Reply::Applied { .. }));
    assert_eq!(weights(&box_), [1, 3]);
    problems(RefusalKind::Failed, admin.call(&drain(true, Some(1), None)));
    problems(RefusalKind::Failed, admin.call(&drain(true, None, Some("other"))));
}

#[test]
fn ssh_opens_with_the_first_credential() {
    let box_ = Box_::fresh();
    let services = || fs::read_to_string(box_.paths.services()).unwrap();
    let mut admin = box_.admin();
    assert_eq!(services(), "[]");
    admin.must_apply("interface eth0\n ip address 192.0.2.2/24\n");
    assert!(services().contains("\"ssh-192.0.2.2\""), "{}", services());
    assert!(box_.init.count(&InitRequest::Services) >= 1);
    assert!(fs::read_to_string(box_.paths.etc().join("shadow")).unwrap().contains("admin:$6$"));
    admin.must_apply("ip ssh shutdown");
    assert_eq!(services(), "[]");
}

#[test]
fn ssh_stays_closed_when_its_access_class_cannot_be_put_in_place() {
    let mut box_ = Box_::off();
    program(&box_.paths.nft, "cat > /dev/null; exit 1");
    let text = "username admin secret sha512 $6$abcd$Zm9vYmFy\ninterface eth0\n ip address 192.0.2.2/24\nip ssh access-class 192.0.2.0/24\n";
    fs::write(box_.paths.flash.join("startup-config"), text).unwrap();
    box_.start();
    let mut admin = box_.hello(1001, yoke_director::status::LineKind::Vty);
    until("ssh is said to be closed", || admin.warnings().iter().any(|w| w.starts_with("ip ssh: closed")));
    assert_eq!(fs::read_to_string(box_.paths.services()).unwrap(), "[]");
}

/// Some valid configuration text: services by number, each with some real servers and options.
fn configurations() -> impl Strategy<Value = String> {
    let real = (1..6u8, 0..4u32, any::<bool>()).prop_map(|(n, weight, drain)| {
        let drain = if drain { "  drain\n" } else { "" };
        format!(" real-server 10.0.0.{n} 80\n  weight {weight}\n{drain}")
    });
    let server = (0..6u8, 0..4usize, 0..3usize, prop::collection::vec(real, 0..4), any::<bool>());
    let server = server.prop_map(|(n, scheduler, mode, reals, shutdown)| {
        let scheduler = ["rr", "wlc", "sh port", "mh fallback"][scheduler];
        let mode = ["nat", "dr", "tun"][mode];
        let shutdown = if shutdown { " shutdown\n" } else { "" };
        let address = n + 1;
        format!(
            "virtual-server v{n}\n virtual 192.0.2.{address} tcp 80\n scheduler {scheduler}\n mode {mode}\n{shutdown}{}",
            reals.concat()
        )
    });
    prop::collection::vec(server, 0..5).prop_map(|servers| servers.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_applied_the_kernel_holds_it(texts in prop::collection::vec(configurations(), 1..6)) {
        let box_ = Box_::fresh();
        let mut admin = box_.admin();
        let (_, users) = admin.running();
        for text in texts {
            let replaced = admin.call(&Request::Replace { text: format!("{users}{text}") });
            prop_assert!(matches!(replaced, Reply::Applied { .. }), "{replaced:?}\n{text}");
            let (_, text) = admin.running();
            prop_assert_eq!(box_.kernel.table().normalized(), reconcile::desired(&config(&text), &Default::default()).table.normalized());
        }
    }
}

#[test]
fn a_no_that_removes_nothing_is_a_warning() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply("virtual-server www\n virtual 192.0.2.10 tcp 80\n");
    let (revision, _) = admin.running();
    assert_eq!(
        admin.must_apply("no virtual-server nobody\nvirtual-server www\n no real-server 10.0.0.1 80\n"),
        ["no such line: virtual-server nobody", "no such line: virtual-server www: real-server 10.0.0.1 80"]
    );
    assert_eq!(admin.running().0, revision, "nothing has changed");
    assert!(admin.must_apply("no virtual-server www").is_empty());
}
