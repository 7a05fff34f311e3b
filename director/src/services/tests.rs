//! Which SSH servers a configuration wants.

use super::*;
use crate::testing::{config, paths};

const ADDRESSES: &str = "interface eth0\n ip address 203.0.113.2/24\n ipv6 address 2001:db8::2/64\n";
const SECRET: &str = "username admin secret sha512 $6$abcd$Zm9vYmFy\n";
const KEY: &str = "username noc ssh-key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK\n";

fn services(text: &str) -> Services {
    let (_dir, mut paths) = paths();
    (paths.run, paths.flash) = ("/run/yoke".into(), "/flash".into());
    std::fs::write(paths.proc.join("self/mounts"), "/dev/vda5 /flash ext4 rw 0 0\n").unwrap();
    wanted(&config(text), &paths)
}

#[test]
fn ssh_is_closed_until_a_credential_exists_and_after_shutdown() {
    assert_eq!(services(ADDRESSES), Services::default());
    assert_eq!(services(&format!("{ADDRESSES}username guest privilege 1\n")), Services::default());
    assert_eq!(services(&format!("{ADDRESSES}{SECRET}ip ssh shutdown\n")), Services::default());
    assert_eq!(services(&format!("{ADDRESSES}{KEY}")).specs.len(), 2);
}

#[test]
fn each_interface_address_has_a_server_that_forwards_nothing() {
    let specs = services(&format!("{ADDRESSES}{SECRET}ip ssh port 2222\n")).specs;
    let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["ssh-203.0.113.2", "ssh-2001:db8::2"]);
    let [v4, v6] = specs.as_slice() else { panic!("{specs:?}") };
    assert_eq!(v4.argv.last().unwrap(), "203.0.113.2:2222");
    assert_eq!(v6.argv.last().unwrap(), "[2001:db8::2]:2222");
    assert_eq!(v4.before, [["/usr/sbin/director", "host-keys", "/flash/ssh"]]);
    for flag in ["-F", "-E", "-w", "-j", "-k"] {
        assert!(v4.argv.iter().any(|word| word == flag), "{flag}: {:?}", v4.argv);
    }
}

#[test]
fn each_receiver_of_the_log_has_a_sender() {
    let text = "hostname lb1\nlogging host 192.0.2.99\nlogging host 2001:db8::9 tcp 601\nlogging facility local0\nlogging trap errors\n";
    let specs = services(text).specs;
    let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["syslog-192.0.2.99", "syslog-2001:db8::9"]);
    assert_eq!(specs[0].argv, ["/sbin/init", "syslog", "192.0.2.99", "udp", "514", "16", "3", "lb1"]);
    assert_eq!(specs[1].argv, ["/sbin/init", "syslog", "2001:db8::9", "tcp", "601", "16", "3", "lb1"]);
    assert_eq!(specs[0].capabilities.as_ref().unwrap(), &["setgid", "setuid"]);
    let many: String = (1..=9).map(|n| format!("logging host 192.0.2.{n}\n")).collect();
    let services = services(&many);
    assert_eq!(services.specs.len(), LOG_HOSTS_MAX);
    assert_eq!(services.warnings, ["logging host: the log goes to the 8 lowest addresses and not to 1 others"]);
}

#[test]
fn vrrpd_runs_with_little_and_only_for_a_group() {
    let groups = |text: &str| -> Vec<ServiceSpec> {
        services(text).specs.into_iter().filter(|spec| !spec.name.starts_with("ssh-")).collect()
    };
    assert!(groups(&format!("{ADDRESSES}{SECRET}")).is_empty());
    // Without a credential, and whatever is said of SSH.
    let specs =
        groups(&format!("{ADDRESSES}ip ssh shutdown\nvrrp group a\n vrid 1 interface eth0\n address 203.0.113.9/24\n"));
    let [vrrpd] = specs.as_slice() else { panic!("{specs:?}") };
    assert_eq!(
        (vrrpd.argv.as_slice(), vrrpd.release.last().unwrap().as_str()),
        (&["/usr/sbin/vrrpd".to_owned()][..], "--release")
    );
    assert!(vrrpd.notify && vrrpd.watchdog_s > 0);
    assert_eq!(vrrpd.capabilities.as_ref().unwrap().len(), 4, "it cannot load a module or mount a disk");
}

#[test]
fn password_login_is_off_when_nobody_has_a_secret() {
    let passwords = |text: &str| !services(text).specs[0].argv.iter().any(|word| word == "-s");
    assert!(!passwords(&format!("{ADDRESSES}{KEY}")));
    assert!(passwords(&format!("{ADDRESSES}{KEY}{SECRET}")));
}

#[test]
fn ssh_never_answers_where_it_is_balanced() {
    let server = |virtual_: &str| {
        let text = format!("{ADDRESSES}{SECRET}virtual-server v\n virtual {virtual_}\n persistence timeout 9\n");
        let services = services(&text);
        (services.specs.len(), services.warnings)
    };
    assert_eq!(server("203.0.113.10 tcp 22"), (2, vec![]), "a virtual address has no server of ours anyway");
    assert_eq!(server("203.0.113.2 tcp 80"), (2, vec![]), "who balances another port is not locked out");
    assert_eq!(server("203.0.113.2 udp 22"), (2, vec![]));
    for taken in ["203.0.113.2 tcp 22", "203.0.113.2 tcp any"] {
        let said = "ip ssh: virtual-server v has tcp port 22 of 203.0.113.2, SSH does not answer on this address";
        assert_eq!(server(taken), (1, vec![said.to_owned()]), "{taken}");
    }
}

#[test]
fn another_banner_is_another_specification() {
    let spec = |banner: &str| services(&format!("{ADDRESSES}{SECRET}{banner}")).specs[0].clone();
    let (none, one, two) = (spec(""), spec("banner login \"one\"\n"), spec("banner login \"two\"\n"));
    assert!(none != one && one != two);
    assert_eq!(one.argv, two.argv);
}

#[test]
fn a_box_full_of_addresses_does_not_get_a_process_for_each() {
    let lines: String = (1..200).map(|n| format!(" ip address 10.0.{n}.1/24\n")).collect();
    let services = services(&format!("interface eth0\n{lines}{SECRET}"));
    assert_eq!((services.specs.len(), services.specs[0].name.as_str()), (SERVERS_MAX, "ssh-10.0.1.1"));
    assert_eq!(services.warnings.len(), 1);
}
