//! Rendering and writing of accounts.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::testing::config;

const HASH: &str = "$6$abcd$Zm9vYmFy";

fn people() -> Config {
    config(&format!(
        "hostname lb1\nusername admin privilege 15\nusername admin secret sha512 {HASH}\n\
         username noc ssh-key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK noc@desk\nusername guest privilege 1\n\
         ip domain-name example.net\nip name-server 192.0.2.53\nbanner motd \"be kind\"\n"
    ))
}

fn uids(config: &Config) -> Uids {
    let mut uids = Uids::default();
    for name in config.users.keys() {
        uids.assign(name.as_str());
    }
    uids
}

#[test]
fn who_has_no_secret_has_no_password_login() {
    let config = people();
    let accounts = render(&config, &uids(&config), Path::new("/run/yoke/home"));
    let shadow = &accounts.etc["shadow"];
    assert_eq!(shadow.mode, 0o600);
    assert_eq!(shadow.text, format!("root:*:::::::\nadmin:{HASH}:::::::\nguest:!:::::::\nnoc:!:::::::\n"));
    let passwd = &accounts.etc["passwd"].text;
    assert!(passwd.contains("admin:x:1001:100::/run/yoke/home/admin:/usr/bin/shell\n"), "{passwd}");
    assert!(passwd.starts_with("root:x:0:0:root:/:/usr/sbin/nologin\n"));
}

#[test]
fn a_key_lets_in_and_forwards_nothing() {
    let config = people();
    let accounts = render(&config, &uids(&config), Path::new("/home"));
    let key = &accounts.keys["noc"];
    assert!(key.starts_with("no-port-forwarding,no-agent-forwarding,no-X11-forwarding ssh-ed25519 AAAA"), "{key}");
    assert!(key.ends_with("noc@desk\n"));
    assert_eq!(accounts.keys["admin"], "");
}

#[test]
fn names_and_banners_become_files() {
    let config = people();
    let accounts = render(&config, &uids(&config), Path::new("/home"));
    assert_eq!(accounts.etc["hostname"].text, "lb1\n");
    assert_eq!(accounts.etc["resolv.conf"].text, "search example.net\nnameserver 192.0.2.53\n");
    assert_eq!(accounts.etc["motd"].text, "be kind\n");
    assert_eq!(accounts.etc["banner"].text, "");
    assert_eq!(render(&Config::default(), &Uids::default(), Path::new("/home")).etc["hostname"].text, "yoke\n");
}

#[test]
fn a_user_without_secret_or_key_is_no_credential() {
    assert!(!credential_exists(&config("username guest privilege 1\n")));
    assert!(credential_exists(&people()));
}

#[test]
fn homes_of_users_who_are_gone_go_too() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths { run: dir.path().into(), ..Paths::system() };
    let config = people();
    write(&render(&config, &uids(&config), &paths.home()), &paths).unwrap();
    let keys = paths.home().join("noc/.ssh/authorized_keys");
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::metadata(paths.etc().join("shadow")).unwrap().permissions().mode() & 0o777, 0o600);
    let nobody = Config::default();
    write(&render(&nobody, &uids(&nobody), &paths.home()), &paths).unwrap();
    assert!(!keys.exists() && paths.home().exists());
}
