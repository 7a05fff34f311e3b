//! What the C library and dropbear read instead of our configuration: passwd, group, shadow, authorized_keys, resolv.conf, hostname, motd.
//!
//! [`render`] is pure: a configuration in, files out. [`write()`] puts them under `/run/yoke`, where the symlinks of the read-only root lead.
//! No password is checked here, and no user exists outside the configuration but root and chrony's,
//! who cannot log in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use yoke_config::model::{Config, Privilege, User};

use crate::files::{self, Medium, Paths};
use crate::ntp;
use crate::uids::Uids;

/// The group of everybody who may log in.
pub(crate) const GID: u32 = 100;
/// The login shell; the image's `/etc/shells` lists it, or dropbear would turn everybody away.
const SHELL: &str = "/usr/bin/shell";
/// Options before each key: a session is our shell and nothing else.
const KEY_OPTIONS: &str = "no-port-forwarding,no-agent-forwarding,no-X11-forwarding";

/// The zone database (Debian's tzdata).
const ZONES: &str = "/usr/share/zoneinfo";

/// Why there is no such time zone.
pub(crate) fn unknown_zone(zone: &str) -> Option<String> {
    let known = !zone.contains("..") && Path::new(ZONES).join(zone).is_file();
    // Where there is no database at all, nothing is known about names.
    let none = !Path::new(ZONES).join("UTC").exists();
    (!known && !none).then(|| format!("clock timezone: {zone} is no zone, use a name such as Europe/Madrid"))
}

/// A file to write: content and permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    text: String,
    mode: u32,
}

/// Files of `/run/yoke/etc`, and the authorized_keys of each user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Accounts {
    etc: BTreeMap<&'static str, Rendered>,
    keys: BTreeMap<String, String>,
    /// A name below [`ZONES`].
    zone: String,
}

/// Whether anybody can log in. Until then SSH stays closed and the console asks for admin's new password.
pub(crate) fn credential_exists(config: &Config) -> bool {
    config.users.values().any(|user| user.secret.is_some() || !user.ssh_keys.is_empty())
}

/// Why a change of the users would lock everybody out: who can configure the box now, and could not any more. Nobody is asked for a first
/// password while there is any credential, and without one whoever passes by would be.
pub(crate) fn lockout(from: &Config, to: &Config) -> Option<&'static str> {
    let administrators = |config: &Config, may: fn(&User) -> bool| {
        let raised = config.enable_secret.is_some();
        config.users.values().any(|user| (raised || user.privilege == Privilege::Admin) && may(user))
    };
    let lost = |may| administrators(from, may) && !administrators(to, may);
    if lost(|user| user.secret.is_some() || !user.ssh_keys.is_empty()) {
        Some("username: nobody could configure this box any more, keep a user with privilege 15 and a secret")
    } else if lost(|user| user.secret.is_some()) {
        Some(
            "username: nobody could configure this box on its console any more, keep a user with privilege 15 and a secret",
        )
    } else {
        None
    }
}

/// Renders every file. Users without an id in `uids` are left out.
pub(crate) fn render(config: &Config, uids: &Uids, home: &Path) -> Accounts {
    let mut passwd = String::from("root:x:0:0:root:/:/usr/sbin/nologin\n");
    let _ = writeln!(passwd, "{}:x:{}:{}::/:/usr/sbin/nologin", ntp::USER, ntp::UID, ntp::GID);
    let mut shadow = String::from("root:*:::::::\n");
    let mut keys = BTreeMap::new();
    for (name, user) in &config.users {
        let name = name.as_str();
        let Some(uid) = uids.uid(name) else { continue };
        let _ = writeln!(passwd, "{name}:x:{uid}:{GID}::{}:{SHELL}", home.join(name).display());
        // `!` is the hash of no password: a user without a secret has keys, or nothing.
        let secret = user.secret.as_ref().map_or("!", |hash| hash.as_str());
        let _ = writeln!(shadow, "{name}:{secret}:::::::");
        keys.insert(name.to_owned(), authorized_keys(user));
    }
    // dropbear gives a terminal to the group `tty`.
    let group = format!("root:x:0:\ntty:x:5:\noperators:x:{GID}:\n");
    let hostname = config.hostname();
    let public = |text: String| Rendered { text, mode: 0o644 };
    let etc = BTreeMap::from([
        ("passwd", public(passwd)),
        ("group", public(group)),
        ("shadow", Rendered { text: shadow, mode: 0o600 }),
        ("hostname", public(format!("{hostname}\n"))),
        ("resolv.conf", public(resolv_conf(config))),
        ("motd", public(banner(config.banner_motd.as_deref()))),
        ("banner", public(banner(config.banner_login.as_deref()))),
    ]);
    let zone = config.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
    Accounts { etc, keys, zone }
}

fn authorized_keys(user: &User) -> String {
    user.ssh_keys.iter().map(|key| format!("{KEY_OPTIONS} {key}\n")).collect()
}

fn resolv_conf(config: &Config) -> String {
    let mut text = String::new();
    if let Some(domain) = &config.domain_name {
        let _ = writeln!(text, "search {domain}");
    }
    for server in &config.name_servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

/// A banner ends with a line end, or the prompt would follow it on its line.
fn banner(text: Option<&str>) -> String {
    match text {
        Some(text) if !text.ends_with('\n') => format!("{text}\n"),
        Some(text) => text.to_owned(),
        None => String::new(),
    }
}

/// Writes what differs, and removes the homes of users who are gone.
///
/// # Errors
/// Those of the file system, with the path.
pub(crate) fn write(accounts: &Accounts, paths: &Paths) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let etc = paths.etc();
    directory(&etc).with_context(|| etc.display().to_string())?;
    for (name, file) in &accounts.etc {
        let path = etc.join(name);
        files::replace(&path, file.text.as_bytes(), file.mode, Medium::Memory)
            .with_context(|| path.display().to_string())?;
    }
    // The C library's and the shell's.
    let zone = Path::new(ZONES).join(&accounts.zone);
    link(&zone, &etc.join("localtime")).context("localtime")?;
    let home = paths.home();
    directory(&home).with_context(|| home.display().to_string())?;
    for (name, keys) in &accounts.keys {
        let ssh = home.join(name).join(".ssh");
        directory(&ssh).with_context(|| ssh.display().to_string())?;
        let path = ssh.join("authorized_keys");
        // Root owns it and others read it: dropbear looks with the user's rights and wants that nobody else can write.
        files::replace(&path, keys.as_bytes(), 0o644, Medium::Memory).with_context(|| path.display().to_string())?;
    }
    remove_others(&home, &accounts.keys.keys().map(String::as_str).collect())
        .with_context(|| home.display().to_string())
}

/// Makes `path` a symlink to `target` in one step.
fn link(target: &Path, path: &Path) -> io::Result<()> {
    if fs::read_link(path).is_ok_and(|old| old == target) {
        return Ok(());
    }
    let new = path.with_file_name("localtime.new");
    let _ = fs::remove_file(&new);
    std::os::unix::fs::symlink(target, &new)?;
    fs::rename(&new, path)
}

fn directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn remove_others(home: &Path, keep: &BTreeSet<&str>) -> io::Result<()> {
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| !keep.contains(name)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
