//! What `show` answers.

use std::fs;

use yoke_director::status::{ConnectionFilter, Data, RefusalKind, Request, Show};

use super::harness::{Box_, Caller, problems};

const TEXT: &str = "\
virtual-server www
 virtual 192.0.2.10 tcp 80
 scheduler sh port
 real-server 10.0.0.1 8080
 real-server 10.0.0.2 8080
  drain
 real-server 10.0.0.3 8080
  shutdown
 real-server 10.0.0.4 8080
  weight 0
virtual-server off
 virtual 192.0.2.11 udp 53
 shutdown
 real-server 10.0.0.1 53
virtual-server full
 virtual 192.0.2.12 tcp 443
 mode fullnat
 real-server 10.0.0.1 443
virtual-server rest
 virtual 192.0.2.10 tcp any
 persistence timeout 60
virtual-server marked
 virtual fwmark 7
firewall-mark 7 192.0.2.20/32 tcp 80-90
";

fn admin(box_: &Box_) -> Caller {
    let mut admin = box_.admin();
    admin.must_apply(TEXT);
    admin
}

#[test]
fn servers_are_joined_with_the_kernels_table() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let Data::VirtualServers(rows) = admin.show(Show::VirtualServers { name: None }) else { panic!() };
    let brief: Vec<_> =
        rows.iter().map(|r| (r.name.as_str(), r.state.as_str(), r.up, r.all, r.virtual_.as_str())).collect();
    assert_eq!(
        brief,
        [
            ("full", "absent", 0, 1, "192.0.2.12 tcp 443"),
            ("marked", "down", 0, 0, "fwmark 7"),
            ("off", "shutdown", 0, 1, "192.0.2.11 udp 53"),
            ("rest", "down", 0, 0, "192.0.2.10 tcp any"),
            ("www", "up", 1, 4, "192.0.2.10 tcp 80"),
        ]
    );
    let www = rows.last().unwrap();
    assert_eq!((www.scheduler.as_str(), www.counters.connections), ("sh port", 7));
    assert_eq!((www.active_connections, www.inactive_connections), (3, 6));

    let Data::RealServers(rows) = admin.show(Show::RealServers { virtual_server: Some("www".into()) }) else {
        panic!()
    };
    let states: Vec<_> =
        rows.iter().map(|r| (r.state.as_str(), r.reason.as_str(), r.weight, r.configured_weight)).collect();
    assert_eq!(
        states,
        [("up", "", 1, 1), ("drain", "drain", 0, 1), ("shutdown", "shutdown", 0, 1), ("drain", "weight 0", 0, 0)]
    );
    let Data::RealServers(rows) = admin.show(Show::RealServers { virtual_server: Some("full".into()) }) else {
        panic!()
    };
    assert_eq!(rows[0].reason, "mode fullnat is not programmed by this release");
    let ask = Request::Show(Show::VirtualServers { name: Some("nope".into()) });
    assert_eq!(problems(RefusalKind::Failed, admin.call(&ask)), ["virtual-server nope: no such virtual server"]);
}

#[test]
fn connections_are_filtered() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let lines = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899
TCP C6336402 C002 C000020A 0050 0A000002 1F90 FIN_WAIT         20
TCP C6336401 C003 C000020A 01BB 0A000001 01BB ESTABLISHED     500
TCP C6336401 C004 C0000214 0051 0A000009 0051 ESTABLISHED     500
nonsense
";
    fs::create_dir_all(box_.paths.proc.join("net")).unwrap();
    fs::write(box_.paths.proc.join("net/ip_vs_conn"), lines).unwrap();
    let mut count = |filter: ConnectionFilter| {
        let Data::Connections(found) = admin.show(Show::Connections(filter)) else { panic!() };
        (found.count, found.rows)
    };
    let of = |name: &str| ConnectionFilter { virtual_server: Some(name.into()), ..ConnectionFilter::default() };
    let (all, rows) = count(ConnectionFilter::default());
    assert_eq!((all, rows.len()), (4, 4));
    assert_eq!(rows[0].client, "198.51.100.1:49153");
    assert_eq!((rows[0].virtual_.as_str(), rows[0].real_server.as_str()), ("192.0.2.10:80", "10.0.0.1:8080"));
    assert_eq!((rows[0].protocol.as_str(), rows[0].state.as_str(), rows[0].expires_s), ("tcp", "ESTABLISHED", 899));
    assert_eq!(count(of("www")).0, 2);
    assert_eq!(count(of("rest")).0, 1, "every port but those of others");
    assert_eq!(count(of("marked")).0, 1, "what its rules mark");
    assert_eq!(count(ConnectionFilter { client: Some("198.51.100.2".into()), ..ConnectionFilter::default() }).0, 1);
    assert_eq!(count(ConnectionFilter { client: Some("198.51.100.0/24".into()), ..ConnectionFilter::default() }).0, 4);
    let real = ConnectionFilter { real_server: Some([10, 0, 0, 1].into()), limit: 1, ..ConnectionFilter::default() };
    let (all, rows) = count(real);
    assert_eq!((all, rows.len()), (2, 1));
    let (all, rows) = count(ConnectionFilter { count: true, ..ConnectionFilter::default() });
    assert_eq!((all, rows.len()), (4, 0));
    let bad = Show::Connections(ConnectionFilter { client: Some("x".into()), ..ConnectionFilter::default() });
    assert_eq!(problems(RefusalKind::Failed, admin.call(&Request::Show(bad))), ["client x: not an address or prefix"]);
}

#[test]
fn warnings_come_from_everywhere() {
    let box_ = Box_::fresh();
    box_.init.inside().warnings = vec!["module ice: not found".into()];
    let mut admin = admin(&box_);
    let warnings = admin.warnings();
    for wanted in [
        "module ice: not found",
        "health checks: this release has no monitors, every real server counts as healthy",
        "virtual-server full: mode fullnat is not programmed by this release",
    ] {
        assert!(warnings.iter().any(|w| w == wanted), "{wanted}: {warnings:?}");
    }
}

#[test]
fn counters_are_cleared_of_one_or_all() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    admin.call(&Request::ClearStatistics { virtual_server: None });
    admin.call(&Request::ClearStatistics { virtual_server: Some("www".into()) });
    let key = ipvs::ServiceKey::tcp("192.0.2.10:80".parse().unwrap());
    assert_eq!(box_.kernel.inside().zeroed, [None, Some(key)]);
    problems(RefusalKind::Failed, admin.call(&Request::ClearStatistics { virtual_server: Some("nope".into()) }));
}

#[test]
fn ipvsadm_lists_and_does_nothing_else() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let list = |words: &[&str]| Show::Ipvsadm { arguments: words.iter().map(|&w| w.into()).collect() };
    let Data::Lines(lines) = admin.show(list(&["-Ln"])) else { panic!() };
    assert_eq!(lines[0], "IP Virtual Server version 1.2.1 (size=4096)");
    assert!(lines.iter().any(|l| l == "TCP  192.0.2.10:80 sh (sh-port)"), "{lines:#?}");
    let said = problems(RefusalKind::Failed, admin.call(&Request::Show(list(&["-C"]))));
    assert!(said[0].contains("only listing"), "{said:?}");
}

#[test]
fn init_is_asked_for_what_it_knows() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let Data::Log(rows) = admin.show(Show::Log { tail: 0 }) else { panic!() };
    assert_eq!(rows[0].text, "up");
    let Data::Processes(rows) = admin.show(Show::Processes) else { panic!() };
    assert_eq!(rows[0].name, "director");
    let Data::Flash(flash) = admin.show(Show::Flash) else { panic!() };
    assert!(flash.mounted);
}
