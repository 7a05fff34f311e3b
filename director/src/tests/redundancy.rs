//! The director beside a vrrpd: when it is started, when it is told, and what of it an operator hears.

use vrrp::status::Request as Asked;
use yoke_director::status::{Data, RefusalKind, Reply, Request, Show, VrrpCommand};
use yoke_init::request::Request as OfInit;

use super::harness::{Box_, problems, until};
use crate::testing::FakeVrrpd;

const GROUPS: &str = "interface eth0\n ip address 10.1.0.2/24\nvrrp group a\n vrid 1 interface eth0\n address 10.1.0.9/24\n\
                      vrrp group b\n vrid 2 interface eth0\n address 10.1.0.10/24\nvrrp sync-group pair\n member a\n member b\n";

#[test]
fn vrrpd_is_started_for_a_group_and_told_of_each_change_before_the_network_is() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(GROUPS);
    let services = std::fs::read_to_string(box_.paths.services()).unwrap();
    assert!(services.contains("/usr/sbin/vrrpd"), "{services}");
    // It comes up, and a director that finds it says what may have been missed.
    let vrrpd = FakeVrrpd::listen(&box_.paths.vrrpd_socket());
    until("it is followed", || vrrpd.inside().asked.contains(&Asked::Follow));
    assert_eq!(vrrpd.inside().asked[0], Asked::Reload);

    let setups = box_.init.count(&OfInit::Setup);
    vrrpd.inside().problems = vec!["vrrp group a: no".to_owned()];
    vrrpd.inside().asked.clear();
    // Its address becomes the interface's own: not before the group has given it up.
    let warnings = admin.must_apply("vrrp group a\n no address 10.1.0.9/24\ninterface eth0\n ip address 10.1.0.9/24\n");
    assert_eq!(vrrpd.inside().asked.iter().filter(|asked| **asked == Asked::Reload).count(), 1);
    assert_eq!(box_.init.count(&OfInit::Setup), setups + 1);
    assert!(warnings.contains(&"vrrp group a: no".to_owned()), "{warnings:?}");
    vrrpd.inside().problems.clear();
    vrrpd.inside().status.warnings = vec!["vrrp group b: somebody claims its addresses".to_owned()];
    admin.must_apply("hostname lb9\n");
    let warnings = admin.warnings();
    assert!(!warnings.contains(&"vrrp group a: no".to_owned()), "{warnings:?}");
    assert!(warnings.contains(&"vrrp group b: somebody claims its addresses".to_owned()), "{warnings:?}");

    admin.must_apply("no vrrp sync-group pair\nno vrrp group a\nno vrrp group b\n");
    let services = std::fs::read_to_string(box_.paths.services()).unwrap();
    assert!(!services.contains("vrrpd"), "{services}");
}

#[test]
fn without_a_vrrpd_the_operator_is_told() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    assert_eq!(admin.show(Show::Vrrp { group: None }), Data::Vrrp(vrrp::status::Status::default()));
    admin.must_apply(GROUPS);
    let said = problems(RefusalKind::Failed, admin.call(&Request::Show(Show::Vrrp { group: None })));
    assert!(said[0].starts_with("vrrpd: does not answer"), "{said:?}");
    assert!(admin.warnings().iter().any(|warning| warning.starts_with("vrrpd: does not answer")));
}

#[test]
fn an_operators_word_reaches_each_pair_of_groups_once() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(GROUPS);
    let vrrpd = FakeVrrpd::listen(&box_.paths.vrrpd_socket());
    vrrpd.set(&[("a", "active"), ("b", "active"), ("alone", "active"), ("alone2", "backup")]);
    let all = |command| Request::Vrrp { command, group: None };
    assert_eq!(admin.call(&all(VrrpCommand::HandOver)), Reply::Done { warnings: Vec::new() });
    let handed: Vec<Asked> =
        vrrpd.inside().asked.iter().filter(|asked| matches!(asked, Asked::HandOver { .. })).cloned().collect();
    let over = |group: &str| Asked::HandOver { group: group.into() };
    assert_eq!(handed, [over("a"), over("alone")]);
    assert_eq!(
        problems(RefusalKind::Failed, admin.call(&all(VrrpCommand::HandBack))),
        ["vrrpd: vrrp group alone2: no"]
    );
    vrrpd.set(&[("a", "backup")]);
    let none = problems(RefusalKind::Failed, admin.call(&all(VrrpCommand::HandOver)));
    assert_eq!(none, ["vrrp: there is no group to hand-over"]);
    let named = |group: &str| Request::Show(Show::Vrrp { group: Some(group.into()) });
    assert!(matches!(admin.call(&named("a")), Reply::Data(Data::Vrrp(status)) if status.groups.len() == 1));
    problems(RefusalKind::Failed, admin.call(&named("z")));
}

#[test]
fn what_is_bound_to_a_group_comes_and_goes_with_it_and_a_restart_changes_nothing() {
    let mut box_ = Box_::off();
    let script = box_.paths.run.join("script");
    crate::testing::program(
        &box_.paths.nft,
        &format!("script=$(cat); case $script in *yoke_ssh*) ;; *) echo \"$script\" > {};; esac", script.display()),
    );
    let vrrpd = FakeVrrpd::listen(&box_.paths.vrrpd_socket());
    vrrpd.set(&[("a", "backup"), ("b", "backup")]);
    box_.start();
    let mut admin = box_.admin();
    admin.must_apply(&format!(
        "{GROUPS}firewall-mark 7 192.0.2.0/24 tcp 80\nvirtual-server m\n virtual fwmark 7\n redundancy a\n real-server 10.1.0.11 any\n\
         virtual-server v\n virtual 10.1.0.9 tcp 80\n real-server 10.1.0.11 80\n"
    ));
    let marks = || std::fs::read_to_string(&script).unwrap_or_default().contains("192.0.2.0/24");
    let services = |box_: &Box_| box_.kernel.inside().table.services.len();
    assert_eq!((services(&box_), marks()), (1, false), "the backup has only that of an address");
    let states = |admin: &mut super::harness::Caller| match admin.show(Show::VirtualServers { name: None }) {
        Data::VirtualServers(rows) => rows.into_iter().map(|row| row.state).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(states(&mut admin), ["backup", "backup"]);

    vrrpd.set(&[("a", "active"), ("b", "active")]);
    until("the marks are there", || services(&box_) == 2 && marks());
    until("it is said", || states(&mut admin) == ["up", "up"]);
    // Killed and started again while the group is active: it looks before it touches anything.
    box_.kill();
    let writes = box_.kernel.inside().changes;
    box_.start();
    let mut admin = box_.admin();
    until("it is up", || states(&mut admin) == ["up", "up"]);
    assert_eq!((services(&box_), marks(), box_.kernel.inside().changes), (2, true, writes));

    // Again, while vrrpd says nothing: what it said last holds.
    box_.kill();
    let (socket, away) = (box_.paths.vrrpd_socket(), box_.paths.run.join("away"));
    std::fs::rename(&socket, &away).unwrap();
    box_.start();
    let mut admin = box_.admin();
    until("it has programmed", || states(&mut admin) == ["up", "up"]);
    admin.must_apply("hostname lb2");
    assert_eq!((services(&box_), marks(), box_.kernel.inside().changes), (2, true, writes));
    std::fs::rename(&away, &socket).unwrap();

    let told = |up: bool| {
        let asked = vrrpd.inside();
        let last = asked.asked.iter().rev().find_map(|asked| match asked {
            Asked::Heartbeat { servers } => Some(servers.clone()),
            _ => None,
        });
        last.is_some_and(|servers| servers.len() == 2 && servers.values().all(|it| *it == up))
    };
    until("vrrpd knows that both have their quorum", || told(true));
    admin.must_apply(
        "virtual-server m\n real-server 10.1.0.11 any\n  drain\nvirtual-server v\n real-server 10.1.0.11 80\n  drain\n",
    );
    until("vrrpd knows that both have lost it", || told(false));

    vrrpd.set(&[("a", "backup"), ("b", "backup")]);
    until("the marks are gone", || services(&box_) == 1 && !marks());
}

#[test]
fn sync_daemons_follow_the_group() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    let vrrpd = FakeVrrpd::listen(&box_.paths.vrrpd_socket());
    vrrpd.set(&[("a", "backup"), ("b", "backup")]);
    admin.must_apply(&format!(
        "{GROUPS}connection-sync interface eth0\nconnection-sync vrrp a\nconnection-sync peer 10.1.0.3\n"
    ));
    let daemons = || -> Vec<(String, u8)> {
        let kernel = box_.kernel.inside();
        kernel.daemons.iter().map(|daemon| (daemon.role.to_string(), daemon.sync_id)).collect()
    };
    let (receives, sends) = (("backup".to_owned(), 1), ("master".to_owned(), 1));
    assert_eq!(daemons(), std::slice::from_ref(&receives));
    let setting = |key: &str| std::fs::read_to_string(box_.paths.proc.join("sys/net/ipv4/vs").join(key)).unwrap();
    assert_eq!([setting("sync_refresh_period"), setting("sync_threshold")], ["10", "0 0"]);
    vrrpd.set(&[("a", "active"), ("b", "active")]);
    until("it sends", || daemons() == [receives.clone(), sends.clone()]);
    match admin.show(Show::ConnectionSync) {
        Data::ConnectionSync(Some(row)) => assert!(row.sends && row.receives && row.peers.len() == 1, "{row:?}"),
        other => panic!("{other:?}"),
    }
    vrrpd.set(&[("a", "backup"), ("b", "backup")]);
    assert_eq!(daemons().len(), 2, "what waits to be sent is sent");
    until("it stops to send, and hears all the time", || daemons() == [receives.clone()]);
    admin.must_apply("connection-sync syncid 9\n");
    assert_eq!(daemons(), [("backup".to_owned(), 9)]);
    // An interface that is not there is a warning.
    let warnings = admin.must_apply("connection-sync interface eth9\n");
    assert!(warnings.iter().any(|w| w.starts_with("connection-sync interface eth9: ")), "{warnings:?}");
    admin.must_apply("no connection-sync\n");
    assert_eq!(daemons(), []);
    assert_eq!(admin.show(Show::ConnectionSync), Data::ConnectionSync(None));
}
