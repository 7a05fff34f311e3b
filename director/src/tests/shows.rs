//! What `show` answers.

use std::fs;

use yoke_director::status::{ConnectionFilter, Data, RefusalKind, Reply, Request, Show};

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
 source-nat pool gone
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
            ("full", "down", 0, 1, "192.0.2.12 tcp 443"),
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
    assert_eq!(rows[0].reason, "ip nat pool gone does not exist");
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
    let state = |state: &str| ConnectionFilter { state: Some(state.into()), ..ConnectionFilter::default() };
    assert_eq!((count(state("established")).0, count(state("fin-wait")).0, count(state("udp")).0), (3, 1, 0));
    let protocol = |word: &str| ConnectionFilter { protocol: Some(word.into()), ..ConnectionFilter::default() };
    assert_eq!((count(protocol("tcp")).0, count(protocol("udp")).0), (4, 0));
    let (all, rows) = count(ConnectionFilter { count: true, ..ConnectionFilter::default() });
    assert_eq!((all, rows.len()), (4, 0));
    let bad = Show::Connections(ConnectionFilter { client: Some("x".into()), ..ConnectionFilter::default() });
    assert_eq!(problems(RefusalKind::Failed, admin.call(&Request::Show(bad))), ["client x: not an address or prefix"]);
}

#[test]
fn connections_of_health_checks_are_nobodys() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    admin.must_apply("interface eth7\n ip address 10.0.0.9/24\n");
    // From a port of checks, and from another; from a client with such a port.
    let lines = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A000009 2801 C000020A 0050 0A000001 1F90 CLOSE             9
TCP 0A000009 8001 C000020A 0050 0A000001 1F90 ESTABLISHED     899
TCP C6336401 2801 C000020A 0050 0A000001 1F90 ESTABLISHED     899
";
    fs::create_dir_all(box_.paths.proc.join("net")).unwrap();
    fs::write(box_.paths.proc.join("net/ip_vs_conn"), lines).unwrap();
    let Data::Connections(found) = admin.show(Show::Connections(ConnectionFilter::default())) else { panic!() };
    let clients: Vec<&str> = found.rows.iter().map(|row| row.client.as_str()).collect();
    assert_eq!((found.count, clients), (2, vec!["10.0.0.9:32769", "198.51.100.1:10241"]));
}

#[test]
fn what_has_ended_is_not_open() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let mut lines = String::new();
    for (client, server, state) in [
        (0xC001, "0A000001 1F90", "ESTABLISHED"),
        (0xC002, "0A000001 1F90", "FIN_WAIT"),
        (0xC003, "0A000001 1F90", "TIME_WAIT"),
        (0xC004, "0A000001 1F90", "CLOSE"),
        (0, "0A000001 1F90", "ASSURED"),
        (0xC005, "0A000001 0051", "ESTABLISHED"),
        (0xC006, "0A000002 1F90", "ESTABLISHED"),
    ] {
        lines.push_str(&format!("TCP C6336401 {client:04X} C000020A 0050 {server} {state} 60\n"));
    }
    fs::create_dir_all(box_.paths.proc.join("net")).unwrap();
    fs::write(box_.paths.proc.join("net/ip_vs_conn"), lines).unwrap();
    for (real_port, wanted) in [(None, 3), (Some(8080), 2), (Some(81), 1), (Some(80), 0)] {
        let real_server = Some([10, 0, 0, 1].into());
        let filter =
            ConnectionFilter { real_server, real_port, open: true, count: true, ..ConnectionFilter::default() };
        let Data::Connections(found) = admin.show(Show::Connections(filter)) else { panic!() };
        assert_eq!(found.count, wanted, "{real_port:?}");
    }
}

#[test]
fn templates_of_a_mark_are_those_of_its_virtual_server() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let lines = "\
IP C6336401 0000 00000007 0000 0A000001 0000 ASSURED      50
IP C6336401 0000 00000008 0000 0A000001 0000 ASSURED      50
IP 2001:0db8:0000:0000:0000:0000:0000:0001 0000 0000:0007:0000:0000:0000:0000:0000:0000 0000 \
2001:0db8:0000:0000:0000:0000:0000:0002 0000 NONE 9
";
    fs::create_dir_all(box_.paths.proc.join("net")).unwrap();
    fs::write(box_.paths.proc.join("net/ip_vs_conn"), lines).unwrap();
    let filter =
        ConnectionFilter { virtual_server: Some("marked".into()), templates: true, ..ConnectionFilter::default() };
    let Data::Connections(found) = admin.show(Show::Connections(filter)) else { panic!() };
    let brief: Vec<_> = found.rows.iter().map(|row| (row.protocol.as_str(), row.virtual_.as_str())).collect();
    assert_eq!(brief, [("any", "fwmark 7"); 2]);
}

#[test]
fn a_long_table_is_counted_whole_and_shown_in_part() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let mut lines = String::new();
    for n in 0..30_000u16 {
        let template = "TCP C6336401 0000 C000020A 0050 0A000001 1F90 NONE            59\n";
        lines.push_str(&format!("TCP C6336401 {:04X} C000020A 0050 0A000001 1F90 ESTABLISHED     899\n", n + 1));
        if n % 1_000 == 999 {
            lines.push_str(template);
        }
    }
    fs::create_dir_all(box_.paths.proc.join("net")).unwrap();
    fs::write(box_.paths.proc.join("net/ip_vs_conn"), lines).unwrap();
    let mut ask = |filter: ConnectionFilter| {
        let Data::Connections(found) = admin.show(Show::Connections(filter)) else { panic!() };
        (found.count, found.rows.len())
    };
    assert_eq!(ask(ConnectionFilter::default()), (30_030, 10_000));
    assert_eq!(ask(ConnectionFilter { limit: 1_000_000, ..ConnectionFilter::default() }), (30_030, 10_000));
    // Also those behind the rows that are shown.
    assert_eq!(ask(ConnectionFilter { templates: true, ..ConnectionFilter::default() }), (30, 30));
}

#[test]
fn warnings_come_from_everywhere() {
    let box_ = Box_::fresh();
    box_.init.inside().warnings = vec!["module ice: not found".into()];
    let mut admin = admin(&box_);
    let warnings = admin.warnings();
    for wanted in [
        "module ice: not found",
        "virtual-server full: real servers of mode fullnat are left out, ip nat pool gone does not exist",
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
    assert_eq!(box_.kernel.inside().zeroed, [None, None, Some(key), Some(key)], "again, what is added up late");
    problems(RefusalKind::Failed, admin.call(&Request::ClearStatistics { virtual_server: Some("nope".into()) }));
}

#[test]
fn ipvsadm_lists_as_the_program_does() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let mut lines = |words: &str| {
        let arguments = words.split_whitespace().map(str::to_owned).collect();
        let Data::Lines(lines) = admin.show(Show::Ipvsadm { arguments }) else { panic!() };
        lines
    };
    let table = lines("-L -n");
    assert_eq!(
        table[..5],
        [
            "IP Virtual Server version 1.2.1 (size=4096)",
            "Prot LocalAddress:Port Scheduler Flags",
            "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
            "TCP  192.0.2.10:0 wlc persistent 60",
            "TCP  192.0.2.10:80 sh (sh-port)",
        ]
    );
    assert_eq!(lines(""), table, "numbers alone, with or without -n");
    assert_eq!(table[5], "  -> 10.0.0.1:8080                Masq    1      1          2         ");
    let one = lines("--list --numeric --stats --exact -t 192.0.2.10:80");
    assert_eq!(one[2], "TCP  192.0.2.10:80                       7        0        0        0        0");
    assert_eq!(lines("-Ln --tun-info -t 192.0.2.10:0").len(), 3);
    assert_eq!(lines("-Sn").first().map(String::as_str), Some("-A -t 192.0.2.10:0 -s wlc -p 60"));
    assert_eq!(lines("-S --full -n")[0], "--set 900 120 300");
    assert_eq!(lines("-L --timeout"), ["Timeout (tcp tcpfin udp): 900 120 300"]);
    assert_eq!(lines("-L --daemon"), [""; 0]);
    assert!(lines("-L --json")[0].starts_with(r#"{"services":[{"address":"192.0.2.10","#));
    assert_eq!(lines("-v"), [ipvs::ipvsadm::version(Some(&ipvs::Info { version: (1, 2, 1), table_size: 4096 }))]);
    assert!(lines("-h")[0].contains("only reads"));

    fs::create_dir_all(box_.paths.proc.join("net")).unwrap();
    let line = "TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899\n";
    fs::write(box_.paths.proc.join("net/ip_vs_conn"), line).unwrap();
    let mut lines = |words: &[&str]| {
        let arguments = words.iter().map(|&word| word.into()).collect();
        let Data::Lines(lines) = admin.show(Show::Ipvsadm { arguments }) else { panic!() };
        lines
    };
    assert_eq!(lines(&["-Lnc"])[2], "TCP 14:59  ESTABLISHED 198.51.100.1:49153 192.0.2.10:80      10.0.0.1:8080");
}

#[test]
fn ipvsadm_says_what_to_type_instead_of_a_change() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let before = box_.kernel.table();
    let mut said = |words: &str| {
        let arguments = words.split_whitespace().map(str::to_owned).collect();
        problems(RefusalKind::Failed, admin.call(&Request::Show(Show::Ipvsadm { arguments }))).join("\n")
    };
    for (words, instead) in [
        ("-A -t 192.0.2.99:80 -s sh -b sh-port", "virtual-server NAME, virtual 192.0.2.99 tcp 80, scheduler sh port"),
        (
            "-E -t 192.0.2.10:80 -s rr -p 60 -M 255.255.255.0",
            "virtual-server www, scheduler rr, persistence timeout 60, persistence netmask 255.255.255.0",
        ),
        ("-A -f 9 -6 -p", "virtual-server NAME, virtual fwmark 9 ipv6, scheduler wlc, persistence timeout 360"),
        ("-D -t 192.0.2.10:80", "configure terminal, no virtual-server www"),
        (
            "-a -t 192.0.2.10:80 -r 10.0.0.9:81 -m -w 3 -x 9 -y 5",
            "virtual-server www, real-server 10.0.0.9 81, mode nat, weight 3, threshold 9 5",
        ),
        (
            "-a -t 192.0.2.10:80 -r 10.0.0.9 -i --tun-type gue --tun-port 5555",
            "real-server 10.0.0.9 80, mode tun, weight 1, exit, tunnel gue 5555 nocsum",
        ),
        ("-d -t 192.0.2.10:80 -r 10.0.0.1:8080", "virtual-server www, no real-server 10.0.0.1 8080"),
        ("-C", "no virtual-server full, no virtual-server marked"),
        ("-Z", "use: clear statistics"),
        ("-Z -t 192.0.2.10:80", "use: clear statistics virtual-server www"),
        ("--set 28800 0 60", "ipvs timeout tcp 28800, ipvs timeout udp 60"),
        (
            "--start-daemon master --mcast-interface eth1 --syncid 7",
            "connection-sync interface eth1, connection-sync syncid 7",
        ),
        ("--stop-daemon backup", "no connection-sync"),
        ("-R", "virtual-server NAME"),
        ("-R --replace", "virtual-server NAME"),
        // What is wrong with a line is said as ipvsadm says it.
        ("-L -t 192.0.2.99:80", "ipvsadm: No such service"),
        ("-L --stats --daemon", "ipvsadm: options conflicts in the list command"),
        ("-L -t localhost:http", "ipvsadm: illegal virtual server address[:port] specified"),
    ] {
        let said = said(words);
        assert!(said.contains(instead), "{words}: {said}");
    }
    assert_eq!((box_.kernel.table(), box_.kernel.inside().zeroed.len()), (before, 0), "nothing was done");
}

#[test]
fn settings_of_the_balancer_are_read_from_the_kernel() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    admin.must_apply("ipvs timeout tcp 28800\nipvs table-bits 20\nipvs secure-tcp always\nipvs drop-entry\n");
    fs::write(box_.paths.proc.join("meminfo"), "MemTotal: 524288 kB\nMemFree:  20000 kB\nBuffers:  480 kB\n").unwrap();
    fs::write(box_.paths.proc.join("sys/net/ipv4/vs/sync_threshold"), "3\t50\n").unwrap();
    // The kernel's word for "memory is short now".
    fs::write(box_.paths.proc.join("sys/net/ipv4/vs/drop_entry"), "2\n").unwrap();
    let parameters = box_.paths.sys.join("module/ip_vs/parameters");
    fs::create_dir_all(&parameters).unwrap();
    fs::write(parameters.join("conn_tab_bits"), "12\n").unwrap();
    let Data::Ipvs(shown) = admin.show(Show::Ipvs) else { panic!() };
    assert_eq!((shown.version.as_str(), shown.table_buckets), ("1.2.1", 4096));
    assert_eq!((shown.table_bits, shown.table_bits_at_reload), (12, 20));
    assert_eq!((shown.timeout_tcp_s, shown.timeout_tcpfin_s, shown.timeout_udp_s), (28_800, 120, 300));
    assert_eq!((shown.services, shown.destinations, shown.connections), (4, 3, 9));
    let defences: Vec<_> =
        shown.defences.iter().map(|row| (row.name.as_str(), row.mode.as_str(), row.active)).collect();
    assert_eq!(defences, [("drop-entry", "auto", true), ("drop-packet", "off", false), ("secure-tcp", "always", true)]);
    assert_eq!(shown.memory_free_kib, 20_480);
    assert_eq!(shown.sysctls["sync_threshold"], "3 50");
    assert_eq!(shown.sysctls["conn_reuse_mode"], "1");
    assert!(!shown.conntrack && shown.sync.is_empty());
    let warnings = admin.warnings();
    assert!(
        warnings.contains(&"ipvs table-bits: takes effect after write memory and reload".to_owned()),
        "{warnings:?}"
    );
}

#[test]
fn init_is_asked_for_what_it_knows() {
    let box_ = Box_::fresh();
    let mut admin = admin(&box_);
    let Data::Log(log) = admin.show(Show::Log { tail: 0 }) else { panic!() };
    assert_eq!(log.lines[0].text, "up");
    assert_eq!(admin.call(&Request::ClearLog), Reply::Done { warnings: vec![] });
    for interface in [None, Some("lo".to_owned())] {
        assert_eq!(admin.call(&Request::ClearCounters { interface }), Reply::Done { warnings: vec![] });
    }
    let gone = Request::ClearCounters { interface: Some("eth77".into()) };
    assert_eq!(problems(RefusalKind::Failed, admin.call(&gone)), ["interface eth77: no such interface"]);
    assert_eq!(box_.init.count(&yoke_init::request::Request::ClearLog), 1);
    let Data::Processes(rows) = admin.show(Show::Processes) else { panic!() };
    assert_eq!(rows[0].name, "director");
    let Data::Flash(flash) = admin.show(Show::Flash) else { panic!() };
    assert!(flash.mounted);
}
