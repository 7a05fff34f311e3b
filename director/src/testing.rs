//! What the tests of several files need: configurations from text, a box in a temporary directory, a kernel and an init that are not there.

mod fake_init;
mod fake_kernel;
mod fake_vrrpd;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use yoke_config::model::{Config, IpvsSettings};
use yoke_config::tree;

use crate::files::Paths;
use crate::sysctl;

pub(crate) use fake_init::FakeInit;
pub(crate) use fake_kernel::FakeKernel;
pub(crate) use fake_vrrpd::FakeVrrpd;

/// The configuration a text says. Panics when it says nothing valid.
pub(crate) fn config(text: &str) -> Config {
    let (tree, rejected) = tree::load(text);
    assert_eq!(rejected, [], "{text}");
    Config::try_from(&tree).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// The directories of a box whose flash is mounted, below one that goes away with the value. Its programs do nothing and succeed.
pub(crate) fn paths() -> (TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let paths = Paths {
        run: at("run"),
        flash: at("flash"),
        proc: at("proc"),
        sys: at("sys"),
        nft: at("bin/nft"),
        busybox: at("bin/busybox"),
        chronyc: at("bin/chronyc"),
        dropbearkey: at("bin/dropbearkey"),
        install: at("bin/install"),
    };
    for directory in [&paths.run, &paths.flash, &paths.proc.join("self"), &paths.sys, &at("bin")] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(paths.proc.join("self/mounts"), format!("/dev/vda5 {} ext4 rw 0 0\n", paths.flash.display())).unwrap();
    fs::write(paths.proc.join("cmdline"), "yoke.slot=a\n").unwrap();
    let sys = paths.proc.join("sys");
    let ipvs = IpvsSettings::default();
    for (directory, settings) in
        [("net/ipv4/vs", sysctl::balancer(&ipvs, false, false, 0)), ("net/netfilter", sysctl::tracking(&ipvs, 0))]
    {
        fs::create_dir_all(sys.join(directory)).unwrap();
        for setting in settings {
            fs::write(sys.join(directory).join(setting.key), "0\n").unwrap();
        }
    }
    for (key, value) in [("sync_refresh_period", "0"), ("sync_threshold", "3\t50"), ("sync_retries", "0")] {
        fs::write(sys.join("net/ipv4/vs").join(key), format!("{value}\n")).unwrap();
    }
    program(&paths.nft, "exec cat > /dev/null");
    program(&paths.install, r#"echo '{"line":"done","text":""}'"#);
    program(&paths.dropbearkey, "exec touch \"$4\"");
    (dir, paths)
}

/// Makes an executable of a line of shell.
pub(crate) fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
