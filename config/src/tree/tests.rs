//! Editing, merging, and the forms a tree is shown in. The laws that bind them are in `crate::tests`.

use super::*;
use crate::grammar::Kind;
use crate::walk::{Position, interpret, next};

fn tree(text: &str) -> Tree {
    let (tree, rejected) = load(text);
    assert_eq!(rejected, []);
    tree
}

fn edits(lines: &[&str]) -> Vec<Edit> {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    parse_edits(&lines).expect("lines of a configuration")
}

const BASE: &str = "hostname lb1\nvirtual-server www\n virtual 203.0.113.10 tcp 80\n scheduler rr\n \
                    real-server 10.0.0.2 80\n  weight 3\n real-server 10.0.0.11 80\n";

#[test]
fn no_of_a_prefix_removes_everything_under_it() {
    let mut t = tree(
        "ip route 10.0.0.0/8 10.1.1.1\nip route 10.0.0.0/8 10.1.1.2\nip route 10.2.0.0/16 10.1.1.1\nip ssh port 7\n",
    );
    assert!(t.edit(&edits(&["no ip route 10.0.0.0/8"])[0]));
    assert_eq!(t.print(), "ip route 10.2.0.0/16 10.1.1.1\nip ssh port 7\n");
    assert!(!t.edit(&edits(&["no ip route 10.0.0.0/8"])[0]), "nothing left to remove");
    assert!(t.edit(&edits(&["no ip"])[0]));
    assert!(t.is_empty());
}

#[test]
fn a_default_and_a_second_header_change_nothing_else() {
    let mut t = tree(BASE);
    assert_eq!(
        t.edit_all(&edits(&["virtual-server www", "scheduler wlc", "mode nat", "real-server 10.0.0.2 80"])),
        Vec::<&Edit>::new()
    );
    assert_eq!(t.print(), BASE.replace(" scheduler rr\n", "") + "!\n");
    assert_eq!(t.len(), 6);
}

#[test]
fn a_line_that_is_no_configuration_spoils_a_batch() {
    for bad in ["show version", "username a secret plain", "virtual-thing", "no"] {
        let error = parse_edits(&["hostname a".to_owned(), bad.to_owned()]).expect_err(bad);
        assert_eq!(error.number, 2);
    }
    assert_eq!(edits(&["! comment", "", "interface eth0", "mtu 9000", "exit", "end"]).len(), 2);
}

#[test]
fn two_people_change_different_lines() {
    let base = tree(BASE);
    let theirs = tree(&BASE.replace("weight 3", "weight 5"));
    let mine = edits(&["virtual-server www", "scheduler lc", "real-server 10.0.0.12 80"]);
    let merged = merge(&base, &mine, &theirs).expect("no conflict");
    assert_eq!(merged.print().matches("weight 5").count(), 1);
    assert!(merged.print().contains("scheduler lc") && merged.print().contains("10.0.0.12"));
}

#[test]
fn conflicts_are_named() {
    let base = tree(BASE);
    let conflict = |mine: &[&str], theirs: &str| merge(&base, &edits(mine), &tree(theirs)).expect_err("a conflict");
    let changed = BASE.replace("scheduler rr", "scheduler lc");
    assert_eq!(conflict(&["virtual-server www", "scheduler sh"], &changed), ["virtual-server www: scheduler"]);
    // What I typed again is what I want, though it was so before.
    assert_eq!(conflict(&["virtual-server www", "scheduler rr"], &changed), ["virtual-server www: scheduler"]);
    assert_eq!(conflict(&["virtual-server www", "no scheduler"], &changed), ["virtual-server www: scheduler"]);
    assert_eq!(conflict(&["no virtual-server www"], &changed), ["virtual-server www"]);
    // They removed the block I worked in.
    assert_eq!(
        conflict(&["virtual-server www", "scheduler sh"], "hostname lb1\n"),
        ["virtual-server www", "virtual-server www: scheduler"]
    );
    let weights = BASE.replace("weight 3", "weight 5");
    assert_eq!(
        conflict(&["virtual-server www", "no real-server 10.0.0.2"], &weights),
        ["virtual-server www: real-server 10.0.0.2 80"]
    );
}

#[test]
fn agreement_is_no_conflict() {
    let base = tree(BASE);
    let theirs = tree(&BASE.replace("scheduler rr", "scheduler lc"));
    assert_eq!(merge(&base, &edits(&["virtual-server www", "scheduler lc"]), &theirs), Ok(theirs.clone()));
    assert_eq!(merge(&base, &edits(&["no hostname"]), &tree(&BASE["hostname lb1\n".len()..])).map(|t| t.len()), Ok(6));
    // Both made the same new block, with different lines.
    let new = format!("{BASE}interface eth0\n mtu 9000\n");
    let merged = merge(&base, &edits(&["interface eth0", "description uplink"]), &tree(&new)).expect("no conflict");
    assert_eq!(
        merged.section("interface eth0").as_deref(),
        Some("interface eth0\n description uplink\n mtu 9000\n!\n")
    );
}

#[test]
fn defaults_are_comments_in_their_places() {
    let all = tree("virtual-server www\n virtual 203.0.113.10 tcp 80\n real-server 10.0.0.2 80\n").print_all();
    assert!(all.starts_with("! default hostname yoke\n! default clock timezone UTC\n"), "{all}");
    let block = " virtual 203.0.113.10 tcp 80\n ! default scheduler wlc\n ! default mode nat\n";
    assert!(all.contains(block), "{all}");
    assert!(all.contains("  ! default weight 1\n"), "{all}");
}

#[test]
fn secrets_are_masked_where_they_stand() {
    let t = tree("username a secret sha512 $6$x$y\nsnmp-server community netops ro 192.0.2.0/24\n");
    assert_eq!(
        t.print_sanitized(),
        "username a secret sha512 <removed>\nsnmp-server community <removed> ro 192.0.2.0/24\n"
    );
    let json = t.to_json_sanitized().to_string();
    assert!(!json.contains("$6$") && !json.contains("netops"), "{json}");
    assert!(t.to_json().to_string().contains("netops"));
}

#[test]
fn json_is_the_same_tree() {
    let t = tree(&format!("{BASE}interface eth2\nip route 0.0.0.0/0 10.0.0.1\nip ssh shutdown\nbanner motd \"a b\"\n"));
    let json = serde_json::json!({
        "hostname": "lb1",
        "banner": { "motd": "a b" },
        "ip": { "route": { "0.0.0.0/0": { "10.0.0.1": true } }, "ssh": { "shutdown": true } },
        "interface": { "eth2": {} },
        "virtual_server": { "www": {
            "virtual": ["203.0.113.10", "tcp", 80],
            "scheduler": "rr",
            "real_server": { "10.0.0.2": { "80": { "weight": 3 } }, "10.0.0.11": { "80": {} } },
        } },
    });
    assert_eq!(t.to_json(), json);
}

#[test]
fn sections_names_and_current_values() {
    let t = tree(BASE);
    assert_eq!(t.section("virtual-server"), Some(BASE["hostname lb1\n".len()..].to_owned() + "!\n"));
    assert_eq!(t.section("hostname").as_deref(), Some("hostname lb1\n"));
    assert_eq!((t.section("interface eth0"), t.section("nonsense")), (None, None));
    assert_eq!(t.names(Kind::RealServer), ["10.0.0.2", "10.0.0.11"]);
    let www = Position::CONFIG.after(&interpret(&Position::CONFIG, "virtual-server www").expect("a header"));
    let at = |line: &str| next(&www, line).expect("a beginning");
    assert_eq!(t.current(&at("scheduler ")).as_deref(), Some("rr"));
    assert_eq!(t.current(&at("virtual 203.0.113.10 tcp ")).as_deref(), Some("80"));
    assert_eq!(t.current(&at("mode ")), None);
    assert_eq!(t.suggestions(&at("real-server ")), ["10.0.0.2", "10.0.0.11"]);
    assert_eq!(t.suggestions(&at("no real-server 10.0.0.11 ")), ["any", "80"]);
}

#[test]
fn the_listing_loses_three_lines_to_tools_and_pastes_back() {
    let text = listing("hostname lb1\n");
    assert_eq!(text.lines().skip(3).collect::<Vec<_>>(), ["hostname lb1", "end"]);
    assert!(text.starts_with("! Building configuration...\n! Current configuration : 13 bytes\n!\n"));
    assert_eq!(tree(&text), tree("hostname lb1\n"));
}
