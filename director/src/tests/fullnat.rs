//! Mode fullnat: what nft, connection tracking and IPVS do in which order; and a foreign hand on our nft table.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use yoke_director::status::RefusalKind;

use super::harness::{Box_, Caller, problems, until};
use crate::testing::program;

const FULL: &str = "\
ip nat pool p 192.0.2.200 192.0.2.201
interface eth0
 ip address 192.0.2.2/24
virtual-server full
 virtual 192.0.2.10 tcp 80
 mode fullnat
 source-nat pool p
 real-server 10.0.0.1 8080
";
/// How the virtual server above reads in a script.
const TAG: &str = "192.0.2.10 . tcp . 80 : 2";

/// A box whose nft keeps the table in a file and counts the scripts it is given. When there is a file `intrude`, somebody removes the table
/// right after a script; when there is `intrude-ssh`, instead of the limit of SSH, which is refused.
fn a_box() -> (Box_, PathBuf, PathBuf) {
    let mut box_ = Box_::off();
    box_.resync = Duration::from_millis(20);
    let at = |name: &str| box_.paths.run.join(name);
    let (table, count) = (at("table"), at("count"));
    let script = format!(
        "if [ \"$1\" = -f ]; then script=$(cat); \
         case $script in *yoke_ssh*) \
         if [ ! -e {intrude}-ssh ]; then echo x >> {limits}; exit 0; fi; \
         rm {table} {intrude}-ssh; echo x >> {foreign}; echo 'Error: not now' >&2; exit 1;; esac; \
         printf '%s\\n' \"$script\" > {table}; cat {conntrack} >> {table}; echo x >> {count}; \
         if [ -e {intrude} ]; then rm {table}; echo x >> {foreign}; rm {intrude}; fi; else cat {table} 2>&1; fi",
        table = table.display(),
        count = count.display(),
        intrude = at("intrude").display(),
        foreign = at("foreign").display(),
        limits = at("limits").display(),
        conntrack = conntrack(&box_).display(),
    );
    program(&box_.paths.nft, &script);
    box_.kernel.inside().transactions = vec![count.clone(), at("foreign"), at("limits")];
    (box_, table, count)
}

fn conntrack(box_: &Box_) -> PathBuf {
    box_.paths.proc.join("sys/net/ipv4/vs/conntrack")
}

fn scripts(count: &PathBuf) -> usize {
    fs::read_to_string(count).unwrap_or_default().lines().count()
}

fn admin(box_: &mut Box_) -> Caller {
    box_.start();
    box_.admin()
}

#[test]
fn its_rules_come_before_the_service_and_go_after_it() {
    let (mut box_, table, count) = a_box();
    let mut admin = admin(&mut box_);
    box_.kernel.inside().watched = Some(table.clone());
    admin.must_apply(FULL);
    let seen = std::mem::take(&mut box_.kernel.inside().seen);
    assert_eq!(seen.len(), 2, "a service and a real server");
    for table in seen {
        assert!(table.contains(TAG) && table.ends_with("}\n1"), "rules, and tracking on, before the service: {table}");
    }
    assert_eq!(fs::read_to_string(conntrack(&box_)).unwrap(), "1");
    assert_eq!(scripts(&count), 1);

    admin
        .must_apply("virtual-server full\n real-server 10.0.0.1 8080\n  weight 5\n exit\n real-server 10.0.0.2 8080\n");
    admin.must_apply("virtual-server other\n virtual 192.0.2.11 tcp 80\n real-server 10.0.0.1 8080\n");
    assert_eq!(scripts(&count), 1, "neither is nft's business");

    box_.kernel.inside().seen.clear();
    admin.must_apply("no virtual-server full\nvirtual-server more\n virtual 192.0.2.12 tcp 80\n mode fullnat\n");
    let seen = std::mem::take(&mut box_.kernel.inside().seen);
    assert!(seen.iter().all(|table| table.contains(TAG) && table.contains("192.0.2.12")), "{seen:?}");
    assert!(!fs::read_to_string(&table).unwrap().contains(TAG));

    admin.must_apply("no virtual-server more\n");
    let table = fs::read_to_string(&table).unwrap();
    assert!(table.contains("10-") || table.contains("chain pool {"), "the pool is still this box's: {table}");
    assert!(!table.contains("postrouting"), "{table}");
    assert_eq!(fs::read_to_string(conntrack(&box_)).unwrap(), "0");
}

#[test]
fn what_ipvs_refuses_leaves_no_rule_behind() {
    let (mut box_, table, _) = a_box();
    box_.resync = Duration::from_secs(3600);
    let mut admin = admin(&mut box_);
    box_.kernel.inside().refuse_change = Some(1);
    let said = problems(RefusalKind::NotApplied, admin.apply(FULL));
    assert!(said[0].starts_with("virtual-server full: real-server 10.0.0.1 8080: director may not"), "{said:?}");
    assert_eq!(said[1], "nothing was changed, what had been done is undone");
    assert!(!fs::read_to_string(&table).unwrap().contains("postrouting"));
    assert!(box_.kernel.table().services.is_empty());
    assert_eq!(fs::read_to_string(conntrack(&box_)).unwrap(), "0");
}

#[test]
fn without_tracking_it_is_refused() {
    let (mut box_, table, _) = a_box();
    let mut admin = admin(&mut box_);
    fs::remove_file(conntrack(&box_)).unwrap();
    let said = problems(RefusalKind::NotApplied, admin.apply(FULL));
    assert!(said[0].starts_with("mode fullnat: sysctl net.ipv4.vs.conntrack: "), "{said:?}");
    assert!(!table.exists() && box_.kernel.table().services.is_empty());
}

#[test]
fn at_a_start_the_rules_are_first_too() {
    let (mut box_, table, count) = a_box();
    drop(admin(&mut box_));
    box_.kill();
    let text = format!("username admin privilege 15\nusername admin secret sha512 $6$abcd$Zm9vYmFy\n{FULL}");
    fs::write(box_.paths.flash.join("startup-config"), text).unwrap();
    fs::remove_file(box_.paths.state()).unwrap();
    box_.kernel.inside().watched = Some(table);
    box_.start();
    until("the service", || box_.kernel.table().services.len() == 1);
    let seen = box_.kernel.inside().seen.clone();
    assert!(!seen.is_empty() && seen.iter().all(|table| table.contains(TAG)), "{seen:?}");
    assert_eq!(scripts(&count), 1);
}

#[test]
fn a_foreign_hand_on_our_table_is_seen_healed_and_reported() {
    let (mut box_, table, count) = a_box();
    let mut admin = admin(&mut box_);
    admin.must_apply(FULL);
    let ours = fs::read_to_string(&table).unwrap();
    // Somebody uses nft for something else.
    box_.kernel.inside().generation += 1;
    until("a look at our table", || scripts(&count) == 2);
    assert!(!admin.warnings().iter().any(|w| w.starts_with("nft: another program")), "it was not touched");
    fs::remove_file(&table).unwrap();
    box_.kernel.inside().generation += 1;
    until("our table again", || fs::read_to_string(&table).is_ok_and(|now| now == ours));
    until("a warning", || {
        // Twice, when the file went while the first look was still at it.
        admin.warnings().iter().any(|w| w.starts_with("nft: another program changed the table inet yoke ("))
    });
}

#[test]
fn a_foreign_hand_right_after_our_own_is_seen_too() {
    let (mut box_, table, _) = a_box();
    let mut admin = admin(&mut box_);
    admin.must_apply(FULL);
    let ours = fs::read_to_string(&table).unwrap();
    fs::write(box_.paths.run.join("intrude"), "").unwrap();
    box_.kernel.inside().generation += 1;
    until("somebody removes it", || !box_.paths.run.join("intrude").exists());
    until("our table again", || fs::read_to_string(&table).is_ok_and(|now| now == ours));
}

#[test]
fn a_foreign_hand_beside_a_limit_of_ssh_that_is_refused_is_seen_too() {
    let (mut box_, table, _) = a_box();
    let mut admin = admin(&mut box_);
    admin.must_apply(FULL);
    let ours = fs::read_to_string(&table).unwrap();
    fs::write(box_.paths.run.join("intrude-ssh"), "").unwrap();
    box_.kernel.inside().generation += 1;
    until("somebody removes it", || !box_.paths.run.join("intrude-ssh").exists());
    until("our table again", || fs::read_to_string(&table).is_ok_and(|now| now == ours));
}

#[test]
fn rules_that_failed_at_the_start_are_tried_again() {
    let (mut box_, table, _) = a_box();
    let nft = fs::read_to_string(&box_.paths.nft).unwrap();
    program(&box_.paths.nft, "cat > /dev/null; echo 'Error: not now' >&2; exit 1");
    let text = "username admin privilege 15\nusername admin secret sha512 $6$abcd$Zm9vYmFy\nfirewall-mark 7 192.0.2.0/24 tcp 80\n";
    fs::write(box_.paths.flash.join("startup-config"), text).unwrap();
    box_.start();
    let mut admin = box_.hello(1001, yoke_director::status::LineKind::Vty);
    until("it is said", || admin.warnings().iter().any(|w| w == "nft: Error: not now"));
    // In one step: half a program cannot be run.
    fs::write(box_.paths.run.join("nft"), nft).unwrap();
    fs::set_permissions(box_.paths.run.join("nft"), fs::metadata(&box_.paths.nft).unwrap().permissions()).unwrap();
    fs::rename(box_.paths.run.join("nft"), &box_.paths.nft).unwrap();
    until("the rules", || fs::read_to_string(&table).is_ok_and(|t| t.contains("meta mark set 7")));
    until("no more of it", || !admin.warnings().iter().any(|w| w == "nft: Error: not now"));
}

/// An address of a pool answers no segment, from before the box has it until after it has it no more: a reset would end somebody's connection.
#[test]
fn addresses_of_a_pool_are_guarded_for_as_long_as_the_box_has_them() {
    let (mut box_, table, _) = a_box();
    let mut admin = admin(&mut box_);
    box_.init.inside().watched = Some(table.clone());
    let mut at_setup = |lines: &str| -> Vec<String> {
        box_.init.inside().seen.clear();
        admin.must_apply(lines);
        let seen = box_.init.inside().seen.clone();
        assert!(!seen.is_empty(), "the network is not set up after {lines}");
        seen
    };
    let both = "elements = { 192.0.2.200-192.0.2.201 }";
    for seen in at_setup(FULL) {
        assert!(seen.contains(both), "{seen}");
    }
    // The range moves: the old addresses are still there when init is asked to remove them.
    for seen in at_setup("ip nat pool p 192.0.2.201 192.0.2.203\n") {
        assert!(seen.contains("elements = { 192.0.2.200-192.0.2.203 }"), "{seen}");
        assert!(seen.contains("snat ip to 192.0.2.201-192.0.2.203"), "{seen}");
    }
    let moved = fs::read_to_string(&table).unwrap();
    assert!(moved.contains("elements = { 192.0.2.201-192.0.2.203 }"), "{moved}");
    for seen in at_setup("no virtual-server full\nno ip nat pool p\n") {
        assert!(seen.contains("elements = { 192.0.2.201-192.0.2.203 }") && seen.contains("chain pool"), "{seen}");
        assert!(!seen.contains("snat"), "{seen}");
    }
    let gone = fs::read_to_string(&table).unwrap();
    assert!(!gone.contains("chain pool"), "{gone}");
}
