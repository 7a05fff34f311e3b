//! `init setup` in a network namespace, checked with `ip -j`.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::boxed::{need_root, wait_for};

/// Namespaces of network, mounts and host name, held by a sleeping process.
struct Namespace {
    holder: Child,
    run: tempfile::TempDir,
}

impl Namespace {
    /// Two cables, eth0-peer0 and eth1-peer1, with the peers up.
    fn new() -> Self {
        need_root();
        let run = tempfile::tempdir().unwrap();
        fs::create_dir(run.path().join("yoke")).unwrap();
        let script = "set -e; mount --make-rprivate /; mount --bind \"$1\" /run
            for n in 0 1; do ip link add eth$n type veth peer name peer$n; ip link set peer$n up; done
            ip link add eth0mac link peer1 type macvlan
            touch /run/made; exec sleep 1000";
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--uts", "sh", "-c", script, "sh"])
            .arg(run.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare(1) of util-linux is installed");
        wait_for("the namespace", Duration::from_secs(10), || run.path().join("made").exists().then_some(()));
        Self { holder, run }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Output {
        let pid = self.holder.id().to_string();
        let enter = ["--target", &pid, "--net", "--mount", "--uts", program];
        Command::new("nsenter").args(enter).args(arguments).output().expect("nsenter(1) of util-linux is installed")
    }

    /// Applies a configuration: exit status, changes, problems.
    fn setup(&self, config: &str) -> (Option<i32>, String, String) {
        fs::write(self.run.path().join("yoke/running-config"), config).unwrap();
        let output = self.command(env!("CARGO_BIN_EXE_init"), &["setup"]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn ip(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.command("ip", &[&["-j"], arguments].concat());
        assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// Addresses of an interface but the kernel's own, as `ip` writes them, sorted.
    fn addresses(&self, link: &str) -> Vec<String> {
        let all = self.ip(&["address", "show", "dev", link]);
        let infos = all[0]["addr_info"].as_array().cloned().unwrap_or_default();
        let global = infos.iter().filter(|info| info["scope"] == "global");
        let mut found: Vec<String> =
            global.map(|info| format!("{}/{}", info["local"].as_str().unwrap(), info["prefixlen"])).collect();
        found.sort();
        found
    }

    /// Routes of our protocol number: destination, gateways, metric.
    fn routes(&self, family: &str) -> Vec<String> {
        let all = self.ip(&[family, "route", "show", "proto", "200"]);
        let route = |r: &serde_json::Value| {
            let hops = r["nexthops"].as_array().cloned().unwrap_or_else(|| vec![r.clone()]);
            let via: Vec<&str> = hops.iter().filter_map(|hop| hop["gateway"].as_str()).collect();
            format!("{} via {} metric {}", r["dst"].as_str().unwrap(), via.join(" "), r["metric"])
        };
        all.as_array().into_iter().flatten().map(route).collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

const CONFIG: &str = "\
hostname lb1
ip route 0.0.0.0/0 10.1.0.1
ip route 192.168.0.0/16 10.1.0.1 5
ip route 192.168.0.0/16 10.1.0.9 5
ipv6 route 2001:db8:9::/48 2001:db8::9
ipv6 route 2001:db8:9::/48 2001:db8::a
arp 10.1.0.7 02:00:00:00:00:07
interface eth0
 ip address 10.1.0.2/24
 ipv6 address 2001:db8::2/64
 mtu 1400
interface eth1
 shutdown
 ip address 10.2.0.2/24
virtual-server web
 virtual 10.1.0.100 tcp 80
virtual-server web6
 virtual 2001:db8::100 tcp 80
virtual-server away
 virtual 203.0.113.5 udp 53
";

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_configuration_is_applied_once_and_then_found_right() {
    let it = Namespace::new();
    let (status, changes, problems) = it.setup(CONFIG);
    assert_eq!((status, problems.as_str()), (Some(0), ""), "{changes}");
    assert_eq!(it.addresses("eth0"), ["10.1.0.100/32", "10.1.0.2/24", "2001:db8::100/128", "2001:db8::2/64"]);
    assert_eq!(it.addresses("lo"), ["203.0.113.5/32"]);
    assert_eq!(it.routes("-4"), ["default via 10.1.0.1 metric 1", "192.168.0.0/16 via 10.1.0.1 10.1.0.9 metric 5"]);
    assert_eq!(it.routes("-6"), ["2001:db8:9::/48 via 2001:db8::9 2001:db8::a metric 1"]);
    let link = it.ip(&["link", "show", "dev", "eth0"]);
    assert_eq!((&link[0]["mtu"], &link[0]["operstate"]), (&1400.into(), &"UP".into()));
    assert_eq!(it.ip(&["link", "show", "dev", "eth1"])[0]["operstate"], "DOWN");
    let neighbour = it.ip(&["neighbour", "show", "10.1.0.7"]);
    assert_eq!(neighbour[0]["lladdr"], "02:00:00:00:00:07");
    assert_eq!(String::from_utf8_lossy(&it.command("hostname", &[]).stdout).trim(), "lb1");
    let vip = it.ip(&["address", "show", "to", "2001:db8::100"]);
    let flags = &vip[0]["addr_info"][0];
    assert_eq!((&flags["nodad"], &flags["deprecated"]), (&true.into(), &true.into()), "{flags}");
    for (key, value) in [("send_redirects", "0"), ("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
        let path = format!("/proc/sys/net/ipv4/conf/eth0/{key}");
        let output = it.command("cat", &[&path]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), value, "{key}");
    }

    assert_eq!(it.setup(CONFIG), (Some(0), String::new(), String::new()), "nothing to do");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn edits_remove_what_is_ours_and_leave_the_rest() {
    let it = Namespace::new();
    it.setup(CONFIG);
    it.command("ip", &["address", "add", "10.66.0.1/24", "dev", "eth0mac"]);
    it.command("ip", &["route", "add", "198.51.100.0/24", "via", "10.1.0.1", "proto", "static"]);
    let edited = CONFIG
        .replace("10.1.0.9 5", "10.1.0.8 5")
        .replace("2001:db8::a\n", "2001:db8::b\n")
        .replace(" shutdown\n", "")
        .replace(" mtu 1400\n", "")
        .replace("arp 10.1.0.7 02:00:00:00:00:07\n", "")
        .replace("10.1.0.2/24", "10.1.0.2/25")
        .replace("virtual-server web6\n virtual 2001:db8::100 tcp 80\n", "");
    let (status, changes, problems) = it.setup(&edited);
    assert_eq!((status, problems.as_str()), (Some(0), ""));
    let expected = [
        "arp 10.1.0.7: removed from eth0",
        "interface eth0: address 2001:db8::100/128 removed",
        "interface eth0: mtu 1500",
        "interface eth0: address 10.1.0.2/25",
        "interface eth0: address 10.1.0.2/24 removed",
        "interface eth1: up",
        "ip route 192.168.0.0/16 10.1.0.1 10.1.0.8",
        "ipv6 route 2001:db8:9::/48 2001:db8::9 2001:db8::b",
    ];
    let changes: Vec<&str> = changes.lines().collect();
    assert_eq!(changes[..expected.len()], expected, "{changes:?}");
    assert_eq!(it.addresses("eth0"), ["10.1.0.100/32", "10.1.0.2/25", "2001:db8::2/64"]);
    assert_eq!(it.routes("-4").len(), 2);
    assert_eq!(it.routes("-6"), ["2001:db8:9::/48 via 2001:db8::9 2001:db8::b metric 1"]);
    assert_eq!(it.setup(&edited), (Some(0), String::new(), String::new()), "it has settled");

    it.setup("hostname lb1\n");
    assert_eq!((it.addresses("eth0"), it.addresses("lo")), (vec![], vec![]));
    assert_eq!(it.addresses("eth0mac"), ["10.66.0.1/24"], "of somebody else");
    assert_eq!(it.routes("-4"), Vec::<String>::new());
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn marked_packets_come_in_and_rules_of_others_stay() {
    let it = Namespace::new();
    let own = |family: &str| {
        let all = it.ip(&["-details", family, "rule", "show"]);
        let rule = |r: &serde_json::Value| {
            format!("{} {} {} {}", r["priority"], r["fwmark"], r["iif"], r["table"]).replace('"', "")
        };
        let ours = all.as_array().into_iter().flatten().filter(|r| r["protocol"] == "200");
        ours.map(rule).collect::<Vec<_>>()
    };
    it.setup("hostname lb1\n");
    it.command("ip", &["rule", "add", "fwmark", "7", "lookup", "77", "priority", "77"]);
    let marked = "firewall-mark 7 198.51.100.0/28 tcp 80\nfirewall-mark 9 2001:db8:7::/64 udp 53\nvirtual-server a\n virtual fwmark 7\n\
                  virtual-server b\n virtual fwmark 9 ipv6\n";
    let (status, _, problems) = it.setup(marked);
    assert_eq!((status, problems.as_str()), (Some(0), ""));
    assert_eq!(own("-4"), ["200 null lo main", "201 0x7 null 200"]);
    assert_eq!(own("-6"), ["200 null lo main", "201 0x9 null 200"]);
    for (from, to, mark) in [("192.0.2.9", "198.51.100.5", "7"), ("2001:db8::9", "2001:db8:7::5", "9")] {
        let way = it.ip(&["route", "get", to, "from", from, "iif", "eth0", "mark", mark]);
        assert_eq!(way[0]["type"], "local", "{way}");
    }
    assert_eq!(it.setup(marked), (Some(0), String::new(), String::new()), "it has settled");
    it.setup("hostname lb1\n");
    assert_eq!((own("-4"), own("-6")), (vec![], vec![]));
    assert_eq!(it.ip(&["route", "show", "table", "200"]).as_array().map_or(0, Vec::len), 0);
    let foreign = it.ip(&["rule", "show", "priority", "77"]);
    assert_eq!(foreign[0]["table"], "77", "of somebody else");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_shutdown_and_no_shutdown_gives_everything_back() {
    let it = Namespace::new();
    it.setup(CONFIG);
    let down = CONFIG.replace("interface eth0\n", "interface eth0\n shutdown\n");
    let (status, _, problems) = it.setup(&down);
    assert_eq!(status, Some(1), "its routes are asked for and cannot be had");
    assert!(problems.contains("ip route 0.0.0.0/0 10.1.0.1: interface eth0 is shut down"), "{problems}");
    assert_eq!(it.ip(&["link", "show", "dev", "eth0"])[0]["operstate"], "DOWN");
    let (_, changes, _) = it.setup(&down);
    assert_eq!(changes, "", "it has settled");
    let (status, _, problems) = it.setup(CONFIG);
    assert_eq!((status, problems.as_str()), (Some(0), ""));
    assert_eq!(it.addresses("eth0"), ["10.1.0.100/32", "10.1.0.2/24", "2001:db8::100/128", "2001:db8::2/64"]);
    assert_eq!((it.routes("-4").len(), it.routes("-6").len()), (2, 1));
    assert_eq!(it.ip(&["neighbour", "show", "10.1.0.7"])[0]["lladdr"], "02:00:00:00:00:07");
    assert_eq!(it.setup(CONFIG), (Some(0), String::new(), String::new()));
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn problems_are_said_and_the_rest_is_done() {
    let it = Namespace::new();
    let text = "ip route 10.9.0.0/16 10.3.0.1\ninterface eth0\n ip address 10.1.0.2/24\n\
                interface eth1\n ip address 10.2.0.2/24\ninterface eth3\n ip address 10.3.0.2/24\n";
    it.setup(text);
    let (status, changes, problems) = it.setup(text);
    assert_eq!((status, changes.as_str()), (Some(1), ""));
    let problems: Vec<&str> = problems.lines().collect();
    assert_eq!(
        problems,
        ["interface eth3: there is no such network card", "ip route 10.9.0.0/16 10.3.0.1: interface eth3 is missing",]
    );
    assert_eq!(it.addresses("eth0"), ["10.1.0.2/24"]);

    let (status, _, problems) = it.setup("interface eth0\n ip address 10.1.0.2/24\nthis is no line\n");
    assert_eq!(status, Some(1));
    assert!(problems.contains("line 3"), "{problems}");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn an_address_that_another_host_had_works_again_once_it_is_free() {
    let it = Namespace::new();
    let address = ["2001:db8::2/64", "dev", "peer0", "nodad"];
    assert!(it.command("ip", &[&["address", "add"], &address[..]].concat()).status.success());
    let claim = "interface eth0: 2001:db8::2/64: another host has this address\n";
    // Duplicate address detection takes a second.
    let detected = |failed: bool| {
        wait_for("the detection", Duration::from_secs(10), || {
            let found = it.ip(&["-6", "address", "show", "dev", "eth0", "scope", "global"]);
            let info = &found[0]["addr_info"][0];
            let is = |flag: &str| info[flag] == true;
            (info.is_object() && is("dadfailed") == failed && (failed || !is("tentative"))).then_some(())
        });
    };
    let config = "interface eth0\n ipv6 address 2001:db8::2/64\n";
    assert_eq!(it.setup(config).2, "");
    detected(true);
    let (status, changes, problems) = it.setup(config);
    assert_eq!((status, problems.as_str()), (Some(1), claim), "{changes}");
    detected(true);
    assert!(it.command("ip", &[&["address", "del"], &address[..3]].concat()).status.success());
    assert_eq!(it.setup(config).2, claim, "it cannot know yet");
    detected(false);
    assert_eq!(it.setup(config), (Some(0), String::new(), String::new()));
}
