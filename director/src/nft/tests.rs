//! Scripts for nft, and what happens when it fails.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::testing::config;

#[test]
fn nothing_asked_for_is_no_table() {
    let script = render(&Config::default());
    assert!(is_empty(&script));
    assert_eq!(script, "table inet yoke\ndelete table inet yoke\n");
}

#[test]
fn an_access_class_guards_interface_addresses_only() {
    let script = render(&config(
        "interface eth0\n ip address 203.0.113.2/24\n ipv6 address 2001:db8::2/64\ninterface eth1\n ip address 10.0.0.1/24\n shutdown\n\
         ip ssh port 2222\nip ssh access-class 192.0.2.0/24\nip ssh access-class 2001:db8:1::/48\n\
         virtual-server v\n virtual 203.0.113.10 tcp 2222\n",
    ));
    let expected = "\
table inet yoke
delete table inet yoke
table inet yoke {
 chain ssh {
  ip saddr 192.0.2.0/24 accept
  ip6 saddr 2001:db8:1::/48 accept
  drop
 }
 chain input {
  type filter hook input priority filter; policy accept;
  ip daddr 203.0.113.2 tcp dport 2222 jump ssh
  ip6 daddr 2001:db8::2 tcp dport 2222 jump ssh
 }
}
";
    assert_eq!(script, expected);
}

#[test]
fn marks_are_set_before_routing() {
    let script = render(&config(
        "firewall-mark 7 198.51.100.10/32 tcp 80\nfirewall-mark 7 198.51.100.10/32 udp 1000-2000\n\
         firewall-mark 8 2001:db8::/64 sctp any\n",
    ));
    for line in [
        "  type filter hook prerouting priority mangle; policy accept;",
        "  ip daddr 198.51.100.10/32 tcp dport 80 meta mark set 7",
        "  ip daddr 198.51.100.10/32 udp dport 1000-2000 meta mark set 7",
        "  ip6 daddr 2001:db8::/64 meta l4proto sctp meta mark set 8",
    ] {
        assert!(script.lines().any(|l| l == line), "{line}\n{script}");
    }
}

fn program(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nft");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

#[test]
fn the_script_reaches_nft_whole() {
    let (dir, path) = program(&format!("cat > {}", "\"$(dirname \"$0\")\"/got"));
    apply(&path, "table inet yoke\n").unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("got")).unwrap(), "table inet yoke\n");
}

#[test]
fn a_failure_says_what_nft_says() {
    let (_dir, path) = program("cat > /dev/null; echo '/dev/stdin:1:1-2: Error: no such thing' >&2; exit 1");
    assert_eq!(apply(&path, "x\n").unwrap_err(), "nft: /dev/stdin:1:1-2: Error: no such thing");
    assert!(apply(Path::new("/nowhere/nft"), "x\n").unwrap_err().starts_with("nft: "));
}
