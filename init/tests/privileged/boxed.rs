//! A box in namespaces: a root directory with init and a few programs, and PID 1 running in it.
//!
//! Its own process ids, mounts, network and host name; `/proc/sys/kernel` is read-only, `/sys` and `/dev` are nearly empty,
//! so that nothing of it reaches the machine that runs the test.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use yoke_control::Client;
use yoke_init::request::{Reply, Request, ServiceStatus};

/// Longest wait for anything that should happen at once; generous, since build machines are busy.
const SOON: Duration = Duration::from_secs(20);

/// PID 1 and its root.
pub(crate) struct Boxed {
    unshare: Child,
    /// Process id of its PID 1, as we see it.
    pub(crate) pid: u32,
    pub(crate) root: tempfile::TempDir,
}

/// Fails with the reason when the test does not run as root.
pub(crate) fn need_root() {
    assert!(
        nix::unistd::Uid::effective().is_root(),
        "this test makes namespaces and needs root: run `cargo xtask lab` as root"
    );
}

/// Waits until `check` gives something; fails after `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, check: impl FnMut() -> Option<T>) -> T {
    try_wait_for(limit, check).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

#[expect(clippy::disallowed_methods, reason = "a test waits for other processes, with a deadline")]
fn try_wait_for<T>(limit: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(found) = check() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

impl Boxed {
    /// Starts a box whose director does `behaviour`.
    pub(crate) fn start(behaviour: &str) -> Self {
        need_root();
        let root = tempfile::tempdir().unwrap();
        for dir in ["sbin", "usr/sbin", "usr/bin", "etc", "proc", "sys", "dev", "run", "tmp", "var", "flash", "lib64"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        install(root.path(), env!("CARGO_BIN_EXE_init"), "sbin/init");
        install(root.path(), env!("CARGO_BIN_EXE_init-test-service"), "usr/sbin/director");
        install(root.path(), env!("CARGO_BIN_EXE_init-test-service"), "usr/bin/service");
        fs::write(root.path().join("etc/behaviour"), behaviour).unwrap();
        let script = "set -e; mount --make-rprivate /; cd \"$1\"
            mount -t proc proc proc
            for dir in kernel fs; do mount --bind proc/sys/$dir proc/sys/$dir; mount -o remount,bind,ro proc/sys/$dir; done
            mount -t tmpfs tmpfs dev; mknod -m 666 dev/null c 1 3; mkdir dev/pts dev/shm
            mount -t tmpfs tmpfs sys; mkdir -p sys/class/tty/console sys/class/block sys/class/net sys/bus
            exec chroot . /sbin/init";
        let unshare = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount", "--net", "--uts", "--ipc", "sh", "-c", script, "sh"])
            .arg(root.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare(1) of util-linux is installed");
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let pid = wait_for("unshare makes PID 1", SOON, || fs::read_to_string(&children).ok()?.trim().parse().ok());
        let mut it = Self { unshare, pid, root };
        wait_for("PID 1 listens", SOON, || {
            assert_eq!(it.unshare.try_wait().unwrap(), None, "PID 1 ended");
            it.path("run/yoke/init.sock").exists().then_some(())
        });
        it
    }

    /// A path inside the box, mounts included.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid)).join(path)
    }

    /// Writes a file of the root that services look at.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.root.path().join(path), text).unwrap();
    }

    /// What the services left in their trace.
    pub(crate) fn trace(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.path().join("trace")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Asks PID 1.
    pub(crate) fn ask(&self, request: &Request) -> Reply {
        let mut client = Client::connect(&self.path("run/yoke/init.sock")).unwrap();
        client.set_timeout(Some(SOON)).unwrap();
        client.call(request).unwrap()
    }

    /// The service `name`, once `check` likes its status.
    pub(crate) fn wait_service(
        &self,
        name: &str,
        limit: Duration,
        check: impl Fn(&ServiceStatus) -> bool,
    ) -> ServiceStatus {
        let mut last = None;
        let found = try_wait_for(limit, || {
            let Reply::Status { services, .. } = self.ask(&Request::Status) else { panic!("no status") };
            last = services.into_iter().find(|service| service.name == name);
            last.clone().filter(|service| check(service))
        });
        found.unwrap_or_else(|| panic!("{name} is not as expected within {limit:?}, but: {last:?}"))
    }

    /// Waits until `name` is in this state.
    pub(crate) fn wait_state(&self, name: &str, state: &str) -> ServiceStatus {
        self.wait_service(name, SOON, |service| service.state == state)
    }

    /// Waits for a line of the log.
    pub(crate) fn wait_log(&self, source: &str, text: &str) -> String {
        wait_for(&format!("a line of {source} with {text:?}"), SOON, || {
            let Reply::Log { lines } = self.ask(&Request::Log { lines: 0 }) else { panic!("no log") };
            lines.into_iter().find(|line| line.source == source && line.text.contains(text)).map(|line| line.text)
        })
    }

    /// Makes `services` the configured ones.
    pub(crate) fn configure(&self, services: &str) {
        fs::write(self.path("run/yoke/services.json"), services).unwrap();
        assert_eq!(self.ask(&Request::Services), Reply::Done);
    }

    /// Processes of the box as we see them: our number, its number, state letter.
    pub(crate) fn processes(&self) -> Vec<(i32, i32, char)> {
        let namespace = fs::read_link(format!("/proc/{}/ns/pid", self.pid)).unwrap();
        let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let ours = all.filter_map(|name| {
            let pid: i32 = name.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key).map(str::trim));
            // The link of a zombie cannot be read; its parent is enough to know it.
            let inside = fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| ns == namespace)
                || field("PPid:") == Some(&self.pid.to_string());
            let inner = field("NSpid:")?.split_ascii_whitespace().last()?.parse().ok()?;
            inside.then_some((pid, inner, field("State:")?.chars().next()?))
        });
        ours.collect()
    }

    /// Our number of a process of the box.
    pub(crate) fn outer(&self, inner: i32) -> i32 {
        let found = self.processes().into_iter().find(|(_, pid, _)| *pid == inner);
        found.unwrap_or_else(|| panic!("no process {inner} in the box")).0
    }

    /// Waits for the end of the box: the signal that reboot(2) sends in a namespace.
    pub(crate) fn wait_end(&mut self, limit: Duration) -> Option<i32> {
        let status = wait_for("the box ends", limit, || self.unshare.try_wait().unwrap());
        status.signal()
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        // --kill-child takes PID 1 along, and with it everything in its namespace.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// Copies a program and the libraries it needs.
fn install(root: &Path, program: &str, target: &str) {
    fs::copy(program, root.join(target)).unwrap();
    let ldd = Command::new("ldd").arg(program).output().expect("ldd of the C library is installed");
    for word in String::from_utf8_lossy(&ldd.stdout).split_ascii_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(word.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(word, copy).unwrap();
    }
}
