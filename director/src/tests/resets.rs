//! What `reset connections` ends, and what it leaves alone and holds up meanwhile.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ipvs::SyncRole;
use yoke_director::status::{ConnectionFilter, Data, LineKind, RefusalKind, Reply, Request, Show};

use super::harness::{Box_, problems, until};

const WWW: &str = "virtual-server www\n virtual 192.0.2.10 tcp 80\n real-server 10.0.0.1 8080\n";
/// Real servers of both families in one virtual server: the kernel then runs no sync daemon.
const MIXED: &str = "virtual-server mixed\n virtual 192.0.2.11 tcp 80\n mode tun\n real-server 2001:db8::1 80\n";
const SYNC: &str = "interface eth1\n ip address 10.9.0.1/24\nvrrp group g\n vrid 7 interface eth1\n address 10.9.0.9/24\n\
                    connection-sync interface eth1\nconnection-sync vrrp g\nconnection-sync peer 10.9.0.2\n";

fn reset(ended: u64, left: u64) -> Reply {
    Reply::Reset { ended, left, never: 0 }
}

/// A table of the kernel's connections, and an nft that notes what it is told.
fn table(box_: &Box_, lines: &str) -> (PathBuf, PathBuf) {
    let path = box_.paths.proc.join("net/ip_vs_conn");
    let scripts = box_.paths.run.join("scripts");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, lines).unwrap();
    crate::testing::program(&box_.paths.nft, &format!("exec cat >> {}", scripts.display()));
    box_.kernel.inside().connections = Some(path.clone());
    (path, scripts)
}

#[test]
fn connections_are_reset_busy_ones_too() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let lines = "\
TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899
TCP C6336402 C002 C000020A 0050 0A000002 1F90 ESTABLISHED     899
TCP C6336402 C003 C000020A 0050 0A000002 1F90 TIME_WAIT        99
TCP C6336402 0000 C000020A 0050 0A000002 1F90 ASSURED          99
TCP C6336401 C004 C0000214 0051 0A000009 0051 ESTABLISHED     500
";
    let (path, scripts) = table(&box_, lines);
    box_.kernel.inside().busy = Some("C6336401 C001".into());
    let www = ConnectionFilter { virtual_server: Some("www".into()), open: true, ..ConnectionFilter::default() };
    let reply = admin.call(&Request::Reset(www.clone()));
    assert_eq!(reply, reset(2, 0));
    let left = fs::read_to_string(&path).unwrap();
    assert_eq!(left, lines.lines().skip(2).map(|line| format!("{line}\n")).collect::<String>());
    let scripts = fs::read_to_string(scripts).unwrap();
    assert!(scripts.contains("6 . 198.51.100.1 . 49153 . 192.0.2.10 . 80"), "{scripts}");
    assert!(!scripts.contains("198.51.100.2"), "only the busy one loses packets: {scripts}");
    assert!(scripts.ends_with("delete table inet yoke_reset\n"), "{scripts}");
    assert_eq!(box_.kernel.inside().daemons, [], "what was started is stopped");

    let templates = ConnectionFilter { templates: true, ..ConnectionFilter::default() };
    assert_eq!(admin.call(&Request::Reset(templates)), reset(1, 0));
    assert_eq!(admin.call(&Request::Reset(www)), reset(0, 0));
    let before = fs::read_to_string(&path).unwrap();
    let typo = ConnectionFilter { virtual_server: Some("wwww".into()), ..ConnectionFilter::default() };
    let refused = problems(RefusalKind::Failed, admin.call(&Request::Reset(typo)));
    assert_eq!(refused, ["virtual-server wwww: no such virtual server"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), before, "a name that is not there is not everybody");
    let mut looker = box_.hello(1002, LineKind::Vty);
    let refused = looker.call(&Request::Reset(ConnectionFilter::default()));
    assert!(matches!(refused, Reply::Refused(_)), "{refused:?}");
}

/// Rounds take seconds while connections stay busy. A change, or what follows a takeover, does not wait for them.
#[test]
fn a_reset_of_busy_connections_holds_up_nobody() {
    let mut box_ = Box_::off();
    box_.resync = Duration::from_millis(50);
    box_.start();
    let mut admin = box_.admin();
    admin.must_apply(&format!("{WWW}username root2 privilege 15\n"));
    table(&box_, "TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899\n");
    {
        let mut kernel = box_.kernel.inside();
        (kernel.busy, kernel.busy_always) = (Some("C6336401 C001".into()), true);
    }
    let mut other = box_.console();
    other.login("admin", "secret");
    std::thread::scope(|scope| {
        let asked =
            scope.spawn(|| other.call(&Request::Reset(ConnectionFilter { open: true, ..ConnectionFilter::default() })));
        until("its daemon runs", || !box_.kernel.inside().daemons.is_empty());
        let looks = box_.kernel.inside().observations;
        until("the table was looked at meanwhile", || box_.kernel.inside().observations > looks + 3);
        assert_eq!(box_.kernel.inside().daemons.len(), 1, "the reset's daemon is nobody else's");
        admin.must_apply("hostname lb2\n");
        assert!(!asked.is_finished(), "it was waited for");
        // The daemon of connection sync takes its place, and does its work.
        admin.must_apply(SYNC);
        box_.kernel.inside().busy = None;
        assert_eq!(asked.join().unwrap(), reset(1, 0));
    });
    let daemons = box_.kernel.inside().daemons.clone();
    assert_eq!(daemons.len(), 1, "{daemons:?}");
    assert!(daemons[0].role == SyncRole::Backup && *daemons[0].interface == *"eth1", "{daemons:?}");
    assert!(admin.warnings().iter().all(|warning| !warning.contains("another program")), "{:?}", admin.warnings());
}

#[test]
fn beside_real_servers_of_two_families_it_is_said_why_not() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(&format!("{WWW}{MIXED}"));
    let (path, _) = table(&box_, "TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899\n");
    let filter = ConnectionFilter { open: true, ..ConnectionFilter::default() };
    let said = problems(RefusalKind::Failed, admin.call(&Request::Reset(filter.clone())));
    let why = "virtual-server mixed: has real servers of both address families, beside which the kernel cannot end \
               connections, use: drain, or one virtual server for each family";
    assert_eq!(said, [why]);
    assert!(fs::read_to_string(&path).unwrap().contains("ESTABLISHED"));
    let warnings = admin.must_apply(SYNC);
    let why = "connection-sync: virtual-server mixed has real servers of both address families, beside which the kernel \
               does not run it, use: one virtual server for each family, or no connection-sync";
    assert!(warnings.iter().any(|warning| warning == why), "{warnings:#?}");
    assert!(warnings.iter().all(|warning| !warning.contains("invalid")), "{warnings:#?}");
    // Taken out again, both work.
    admin.must_apply("no virtual-server mixed\n");
    assert_eq!(admin.call(&Request::Reset(filter)), reset(1, 0));
}

/// What the kernel is told of a connection has room for one family only.
#[test]
fn connections_that_cannot_be_ended_are_counted_apart() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let mixed = "TCP C6336401 C001 C000020A 0050 2001:0db8:0000:0000:0000:0000:0000:0001 0050 ESTABLISHED 9\n";
    table(&box_, &format!("TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899\n{mixed}"));
    let filter = ConnectionFilter { open: true, ..ConnectionFilter::default() };
    assert_eq!(admin.call(&Request::Reset(filter)), Reply::Reset { ended: 1, left: 0, never: 1 });
}

/// A persistence engine knows clients by what they have sent, which need not be UTF-8.
#[test]
fn clients_of_an_engine_are_shown_and_reset_whatever_they_send() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let (path, _) = table(&box_, "");
    let line = b"UDP C0A80001 0000 0A000064 13C4 0A010101 13C4 NONE             299 sip caf\xe9@b\n";
    fs::write(&path, line).unwrap();
    let filter = ConnectionFilter { templates: true, ..ConnectionFilter::default() };
    let Data::Connections(found) = admin.show(Show::Connections(filter.clone())) else { panic!() };
    assert_eq!(found.count, 1);
    assert_eq!(admin.call(&Request::Reset(filter)), reset(1, 0));
    assert_eq!(fs::read(&path).unwrap(), b"");
}

/// A binding cannot end before the connections made by it. Of those the closed ones, which the kernel remembers for two minutes, are nobody's
/// any more; where one is open, the client keeps its server, and that is said without cutting anything.
#[test]
fn bindings_end_with_the_closed_connections_that_hold_them() {
    let box_ = Box_::fresh();
    let mut admin = box_.admin();
    admin.must_apply(WWW);
    let lines = "\
TCP C6336401 C001 C000020A 0050 0A000001 1F90 TIME_WAIT       119
TCP C6336401 0000 C000020A 0050 0A000001 1F90 ASSURED          99
TCP C6336402 C002 C000020A 0050 0A000001 1F90 ESTABLISHED     899
TCP C6336402 0000 C000020A 0050 0A000001 1F90 ASSURED          99
TCP C6336403 C003 C0000214 0051 0A000009 0051 TIME_WAIT       119
";
    let (path, scripts) = table(&box_, lines);
    {
        let mut kernel = box_.kernel.inside();
        (kernel.busy, kernel.busy_always) = (Some("C6336402 0000".into()), true);
    }
    let www = ConnectionFilter { virtual_server: Some("www".into()), templates: true, ..ConnectionFilter::default() };
    let start = crate::clock::now();
    assert_eq!(admin.call(&Request::Reset(www)), reset(1, 1));
    assert!(crate::clock::now() - start < Duration::from_secs(8), "it went round in vain");
    let left = fs::read_to_string(&path).unwrap();
    assert_eq!(left.lines().collect::<Vec<_>>(), lines.lines().skip(2).collect::<Vec<_>>());
    assert!(!fs::read_to_string(scripts).unwrap_or_default().contains("yoke_reset"), "nobody's packets are cut");
}
