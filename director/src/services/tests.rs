//! Which SSH servers a configuration wants.

use super::*;
use crate::testing::config;

const ADDRESSES: &str = "interface eth0\n ip address 203.0.113.2/24\n ipv6 address 2001:db8::2/64\n";
const SECRET: &str = "username admin secret sha512 $6$abcd$Zm9vYmFy\n";
const KEY: &str = "username noc ssh-key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK\n";

fn services(text: &str) -> Services {
    wanted(&config(text), &Paths::system())
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
    for flag in ["-F", "-E", "-w", "-j", "-k"] {
        assert!(v4.argv.iter().any(|word| word == flag), "{flag}: {:?}", v4.argv);
    }
}

#[test]
fn password_login_is_off_when_nobody_has_a_secret() {
    let passwords = |text: &str| !services(text).specs[0].argv.iter().any(|word| word == "-s");
    assert!(!passwords(&format!("{ADDRESSES}{KEY}")));
    assert!(passwords(&format!("{ADDRESSES}{KEY}{SECRET}")));
}

#[test]
fn ssh_never_answers_on_a_balanced_address() {
    let services = services(&format!(
        "{ADDRESSES}{SECRET}interface eth1\n ip address 10.9.0.205/24\nip nat pool p 10.9.0.200 10.9.0.215\n\
         virtual-server v\n virtual 203.0.113.2 tcp 80\n"
    ));
    let names: Vec<_> = services.specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["ssh-2001:db8::2"]);
    assert_eq!(services.warnings.len(), 2, "{:?}", services.warnings);
}

#[test]
fn another_banner_is_another_specification() {
    let spec = |banner: &str| services(&format!("{ADDRESSES}{SECRET}{banner}")).specs[0].clone();
    let (none, one, two) = (spec(""), spec("banner login \"one\"\n"), spec("banner login \"two\"\n"));
    assert!(none != one && one != two);
    assert_eq!(one.argv, two.argv);
}
