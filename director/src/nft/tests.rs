//! Scripts for nft (`scripts/*.cfg` and what becomes of them in `*.nft`; `UPDATE=1` writes those anew), and what happens when it fails.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::testing::config;

fn script(text: &str) -> String {
    render(&Rules::from(&config(text)))
}

#[test]
fn scripts() {
    let mut seen = 0;
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nft/scripts")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "cfg") {
            let got = script(&std::fs::read_to_string(&path).unwrap());
            let expected = path.with_extension("nft");
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&expected, &got).unwrap();
            }
            assert_eq!(got, std::fs::read_to_string(&expected).unwrap(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 6);
}

#[test]
fn nothing_asked_for_is_no_table() {
    let rules = Rules::from(&Config::default());
    assert!(rules.is_empty() && !rules.needs_conntrack());
    assert_eq!(render(&rules), "table inet yoke\ndelete table inet yoke\n");
    let nat = config("virtual-server a\n virtual 192.0.2.1 tcp 80\n real-server 10.0.0.1 80\n");
    assert!(Rules::from(&nat).is_empty());
}

#[test]
fn a_sorry_server_has_its_own_way_too() {
    let server = |lines: &str| {
        config(&format!("virtual-server a\n virtual 192.0.2.1 tcp 80\n{lines} real-server 10.0.0.1 80\n"))
    };
    let rules = |lines: &str| Rules::from(&server(lines));
    let fullnat = rules(" sorry-server 10.0.0.9 80 mode fullnat\n");
    assert!(fullnat.needs_conntrack() && render(&fullnat).contains("10.0.0.9"), "{}", render(&fullnat));
    assert!(!rules(" sorry-server 10.0.0.9 80\n").needs_conntrack());
    let all = render(&rules(" mode fullnat\n sorry-server 10.0.0.9 80\n"));
    assert!(!all.contains("10.0.0.9") && !all.contains("10.0.0.1"), "all are translated: {all}");
    let but = render(&rules(" mode fullnat\n sorry-server 10.0.0.9 80 mode nat\n"));
    assert!(but.contains("10.0.0.9") && but.contains("10.0.0.1"), "{but}");
}

/// Rules, that is lines of chains; elements of sets and maps are none.
fn rules_in(script: &str) -> usize {
    let (mut rules, mut in_chain) = (0, false);
    for line in script.lines() {
        match line {
            _ if line.starts_with(" chain ") => in_chain = true,
            " }" => in_chain = false,
            _ => rules += usize::from(in_chain),
        }
    }
    rules
}

#[test]
fn a_thousand_virtual_servers_have_the_rules_of_one() {
    let server = |n: u32| {
        let (high, low) = (n / 250, n % 250 + 1);
        format!(
            "firewall-mark {} 198.51.{high}.{low}/32 tcp 80\nvirtual-server m{n}\n virtual fwmark {}\n mode fullnat\n\
             virtual-server v{n}\n virtual 203.0.{high}.{low} tcp 80\n mode fullnat\n source-nat pool p\n \
             real-server 10.0.0.1 80\n real-server 10.0.0.2 80\n  mode nat\n",
            n + 1,
            n + 1
        )
    };
    let of = |count: u32| script(&format!("ip nat pool p 10.9.0.1\n{}", (0..count).map(server).collect::<String>()));
    assert_eq!(rules_in(&of(1)), rules_in(&of(1000)));
    assert!(of(1000).lines().count() > 5000);
}

#[test]
fn a_change_keeps_the_rules_of_both_sides_until_it_is_done() {
    let rules = |text: &str| Rules::from(&config(text));
    let server = |name: &str, mode: &str| {
        format!(
            "virtual-server {name}\n virtual 192.0.2.{} tcp 80\n mode {mode}\n real-server 10.0.0.1 80\n",
            name.len()
        )
    };
    let (none, full) = (rules(""), rules(&server("a", "fullnat")));
    assert_eq!(full.joined(&none), full, "it comes before the service");
    assert_eq!(none.joined(&full), full, "and goes after it");
    let (direct, other) = (rules(&server("a", "dr")), rules(&server("bb", "fullnat")));
    assert_eq!(direct.joined(&full), full);
    let both = other.joined(&full);
    assert!(both.needs_conntrack() && both.servers.len() == 2);
    let pool = |name: &str| format!("ip nat pool {name} 10.9.0.{}\n", name.len());
    let (one, two) = (rules(&pool("p")), rules(&pool("qq")));
    assert_eq!(two.joined(&one).pools.len(), 2);
    assert_eq!(both.joined(&both), both);
}

#[test]
fn real_servers_are_not_its_business() {
    let text = "virtual-server a\n virtual 192.0.2.1 tcp 80\n mode fullnat\n real-server 10.0.0.1 80\n";
    assert_eq!(script(text), script(&format!("{text} real-server 10.0.0.2 80\n  weight 7\n  drain\n")));
    assert_ne!(script(text), script(&format!("{text} real-server 10.0.0.2 80\n  mode nat\n")));
}

fn program(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nft");
    std::fs::write(&path, format!("#!/bin/sh\nPATH=/bin:/usr/bin\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

#[test]
fn the_script_reaches_nft_whole() {
    let (dir, path) = program(&format!("cat > {}", "\"$(dirname \"$0\")\"/got"));
    // More than a pipe holds.
    let script = "table inet yoke\n".repeat(10_000);
    apply(&path, &script).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("got")).unwrap(), script);
}

#[test]
fn a_failure_says_what_nft_says() {
    let (_dir, path) = program("cat > /dev/null; echo '/dev/stdin:1:1-2: Error: no such thing' >&2; exit 1");
    let said = "nft: /dev/stdin:1:1-2: Error: no such thing";
    assert_eq!(apply(&path, "x\n"), Err(Failure::Refused(said.into())));
    let Err(Failure::Refused(why)) = apply(Path::new("/nowhere/nft"), "x\n") else { panic!() };
    assert!(why.starts_with("nft: "), "{why}");
    let (_dir, path) = program("kill -9 $$");
    assert!(matches!(apply(&path, "x\n"), Err(Failure::Unknown(_))));
}

#[test]
fn an_nft_that_does_not_end_is_ended() {
    // Neither reads nor closes anything.
    let (_dir, path) = program("exec sleep 1000");
    let said = program::run(&path, &["-f", "-"], &"x".repeat(1 << 20), Duration::from_millis(100));
    assert!(matches!(&said, Err(Failure::Unknown(why)) if why.contains("it was stopped")), "{said:?}");
}

#[test]
fn a_table_that_is_not_there_is_an_empty_list() {
    let (_dir, path) = program("echo 'Error: No such file or directory' >&2; exit 1");
    assert_eq!(list(&path), Ok(String::new()));
    let (_dir, path) = program("echo 'Error: Operation not permitted' >&2; exit 1");
    assert_eq!(list(&path), Err("nft: Error: Operation not permitted".into()));
    assert!(list(Path::new("/nowhere/nft")).is_err());
    let (_dir, path) = program("echo \"$@\"");
    assert_eq!(list(&path).unwrap(), "-s list table inet yoke\n");
}

#[test]
fn connection_sync_hears_only_the_peer() {
    let script = |more: &str| {
        let text = format!(
            "interface eth3\n ip address 10.9.0.2/24\nvrrp group g\n vrid 1 interface eth3\n address 10.9.0.9/24\n{more}"
        );
        render(&Rules::from(&config(&text)))
    };
    assert!(!script("connection-sync interface eth3\n").contains("sync"), "it does not run");
    let both = "connection-sync interface eth3\nconnection-sync vrrp g\n";
    let closed = script(both);
    assert!(closed.contains(" chain sync {\n  fib saddr type local accept\n  drop\n }\n"), "nobody is named: {closed}");
    assert!(closed.contains("  ip daddr 224.0.0.81 udp dport 8848 jump sync\n"), "{closed}");
    let named = script(&format!("{both}connection-sync peer 10.9.0.3\nconnection-sync port 9000\n"));
    assert!(named.contains("iifname \"eth3\" ip saddr { 10.9.0.3 } accept") && named.contains("dport 9000"), "{named}");
    assert!(named.contains("accept\n  fib saddr type local accept\n  drop\n"), "what reset connections sends: {named}");
    // The group's own unicast peer is known already.
    assert!(script(&format!("{both}vrrp group g\n peer 10.9.0.3\n")).contains("ip saddr { 10.9.0.3 } accept"));
}

#[test]
fn while_an_address_is_away_or_new_an_unknown_connection_is_not_reset() {
    let group = "interface eth0\n ip address 10.1.0.2/24\nvrrp group g\n vrid 1 interface eth0\n address 10.1.0.9/24\n address fe80::9/64\n";
    let shared = format!("{group}connection-sync interface eth0\nconnection-sync vrrp g\n");
    let status = |state: &str| {
        let vrrpd = crate::testing::FakeVrrpd::default();
        vrrpd.set(&[("g", state)]);
        Roles::from(&vrrpd.inside().status)
    };
    let script = |text: &str, roles: &Roles| render(&Rules::new(&config(text), roles));
    let (away, here) = (status("backup"), status("active"));
    let rule = "  ip daddr { 10.1.0.9 } tcp flags & syn == 0 drop\n  ip6 daddr { fe80::9 } tcp flags & syn == 0 drop\n";
    assert!(script(&shared, &away).contains(rule), "{}", script(&shared, &away));
    let new = here.clone().after(&away);
    assert!(script(&shared, &new).contains(rule), "its connections are on their way");
    assert!(!script(&shared, &new.settled()).contains("syn == 0"), "who is unknown now is refused");
    assert!(!script(group, &away).contains("syn == 0"), "no connection will ever be known");
}
