//! vrrpd on a side of the pair as it runs on a Yoke: below a real PID 1, which starts it again when it dies.
//!
//! The side gets process ids, mounts and a root directory of its own; in it are init and vrrpd and nothing else. What else init would run is
//! missing and it says so in its log, which nobody reads here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Pair, Side};
use crate::wait;

/// A namespace, an exec, some mounts, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Directories of the root.
const DIRECTORIES: [&str; 12] =
    ["sbin", "usr/sbin", "usr/bin", "etc", "proc", "sys", "dev", "run", "tmp", "var", "flash", "lib64"];
/// Makes them a box of which nothing reaches this machine: settings of the kernel that are not the network's are read-only.
const SCRIPT: &str = "set -e; mount --make-rprivate /; cd \"$1\"
    mount -t proc proc proc
    for dir in kernel fs vm; do mount --bind proc/sys/$dir proc/sys/$dir; mount -o remount,bind,ro proc/sys/$dir; done
    mount -t tmpfs tmpfs dev; mknod -m 666 dev/null c 1 3; mkdir dev/pts dev/shm
    mount -t tmpfs tmpfs sys; mkdir -p sys/class/tty/console sys/class/block sys/class/net sys/bus
    exec chroot . /sbin/init";
/// What director would have written for init (`director/src/services.rs`).
const SERVICES: &str = r#"[{"name":"vrrpd","argv":["/usr/sbin/vrrpd"],"ids":[0,0],
    "capabilities":["net_admin","net_raw","ipc_lock","sys_nice"],"notify":true,"watchdog_s":5,
    "release":["/usr/sbin/vrrpd","--release"]}]"#;

impl Pair {
    /// Starts `init` on a side, and below it vrrpd with this configuration. Both programs are static.
    ///
    /// # Errors
    /// When a privilege is missing, or init refuses.
    pub fn guarded(&mut self, side: Side, init: &Path, config: &str) -> Result<()> {
        let root = self.file(side, "root");
        for directory in DIRECTORIES {
            fs::create_dir_all(root.join(directory))?;
        }
        for (program, to) in [(init, "sbin/init"), (self.built()?, "usr/sbin/vrrpd")] {
            fs::copy(program, root.join(to)).with_context(|| format!("copy {}", program.display()))?;
        }
        let words =
            ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "sh", "-c", SCRIPT, "sh"];
        let words: Vec<&std::ffi::OsStr> = words.map(AsRef::as_ref).into_iter().chain([root.as_os_str()]).collect();
        self.start(side, &words)?;
        let run = wait::until("PID 1 to listen", SOON, || {
            let run = self.run_of(side)?;
            ensure!(run.join("init.sock").exists(), "{} is not there", run.display());
            Ok(run)
        })?;
        fs::write(run.join("running-config"), config)?;
        fs::write(run.join("services.json"), SERVICES)?;
        let mut client = yoke_control::Client::connect(&run.join("init.sock"))?;
        client.set_timeout(Some(SOON))?;
        let reply: serde_json::Value = client.call(&serde_json::json!({"op": "services"}))?;
        ensure!(!reply.to_string().contains("failed"), "init: {reply}");
        Ok(())
    }

    /// `/run/yoke` of the box on a side.
    fn run_of(&self, side: Side) -> Result<PathBuf> {
        let unshare = self.started(side)?;
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))?;
        let first = children.split_whitespace().next().context("unshare has no child")?;
        Ok(PathBuf::from(format!("/proc/{first}/root/run/yoke")))
    }

    /// The vrrpd that runs on a side.
    ///
    /// # Errors
    /// When none does.
    pub fn vrrpd_of(&self, side: Side) -> Result<i32> {
        let is_it =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "vrrpd");
        self.pids(side)?.into_iter().find(is_it).with_context(|| format!("no vrrpd on side {side:?}"))
    }
}
