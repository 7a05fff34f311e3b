//! What one would take instead of a firmware: Debian with systemd, sshd and keepalived, on the image's kernel, in the same emulator.
//!
//! It is installed from packages as an administrator would, in its smallest form, and configured to serve what `config/nat.cfg` serves.
//! Nothing is taken out of it to make it slower, and nothing tuned that the packages do not tune.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use yoke_image::base::Base;

use crate::emulator::{self, CONNECT_LIMIT};
use crate::labshell;
use crate::serial::{Listener, Serial};
use crate::{disk, target, wait};

/// Packages besides the essential ones, `mmdebstrap --variant=minbase`.
const PACKAGES: &str = "systemd-sysv,udev,dbus,iproute2,kmod,initramfs-tools,zstd,openssh-server,keepalived,ipvsadm";
/// Bytes of its disk.
const DISK: u64 = 1 << 30;
const PASSWORD: &str = "rival";
/// It is a normal distribution under emulation.
const BOOT_LIMIT: Duration = Duration::from_secs(240);

/// The installed system.
#[derive(Debug)]
pub(super) struct Debian {
    /// Its root file system.
    disk: PathBuf,
    kernel: PathBuf,
    initrd: PathBuf,
}

impl Debian {
    /// Installs it in `target/yoke/debian-rival`, or takes what is there if the base has not changed.
    pub(super) fn install() -> Result<Self> {
        let out = target().canonicalize()?;
        let base = Base::last(&out).context("the rival has the image's kernel")?;
        let dir = out.join("debian-rival");
        let made = Self { disk: dir.join("disk.img"), kernel: base.vmlinuz(), initrd: dir.join("initrd.img") };
        let recipe = format!("{PACKAGES} {}", base.id);
        if std::fs::read_to_string(dir.join("id")).is_ok_and(|before| before == recipe) {
            return Ok(made);
        }
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let root = dir.join("root");
        let mut install = Command::new("mmdebstrap");
        install.args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}"), "trixie"]).arg(&root);
        disk::run(install.arg(out.join("apt/debian.sources"))).context("install Debian (package mmdebstrap)")?;

        let file = |name: &str, text: &str| -> Result<()> {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().context("a file has a directory")?)?;
            std::fs::write(&path, text).with_context(|| path.display().to_string())
        };
        file("etc/hostname", "lb1\n")?;
        file("etc/fstab", "/dev/vda / ext4 defaults 0 1\n")?;
        file("etc/sysctl.d/lvs.conf", "net.ipv4.ip_forward = 1\n")?;
        file("etc/keepalived/keepalived.conf", include_str!("../../guest/debian/keepalived.conf"))?;
        file("etc/systemd/network/outside.network", include_str!("../../guest/debian/outside.network"))?;
        file("etc/systemd/network/inside.network", include_str!("../../guest/debian/inside.network"))?;
        std::fs::copy(base.dir.join("config"), root.join("boot").join(format!("config-{}", base.release)))?;
        base.take_all_modules(&root.join("usr/lib/modules"))?;
        let within = |words: &[&str]| disk::run(Command::new("chroot").arg(&root).args(words)).map(drop);
        within(&["depmod", &base.release])?;
        within(&["systemctl", "--quiet", "enable", "systemd-networkd", "keepalived"])?;
        within(&["sh", "-c", &format!("echo root:{PASSWORD} | chpasswd")])?;
        within(&["mkinitramfs", "-o", "/initrd.img", &base.release])?;
        std::fs::rename(root.join("initrd.img"), &made.initrd)?;
        std::fs::File::create(&made.disk)?.set_len(DISK)?;
        disk::run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&root).arg(&made.disk))?;
        std::fs::remove_dir_all(&root)?;
        std::fs::write(dir.join("id"), recipe)?;
        Ok(made)
    }

    /// Bytes of its disk and initrd, compressed as our image is.
    pub(super) fn compressed(&self) -> Result<u64> {
        let mut bytes = 0;
        for file in [&self.disk, &self.initrd, &self.kernel] {
            let packed = file.with_extension("zst");
            disk::run(Command::new("zstd").args(["-q", "-f", "-9", "-T0", "-o"]).arg(&packed).arg(file))?;
            bytes += std::fs::metadata(&packed)?.len();
            std::fs::remove_file(&packed)?;
        }
        Ok(bytes)
    }

    /// Switches it on, on its own disk; power cuts do not matter, it writes next to nothing.
    pub(super) fn start(&self, dir: &Path) -> Result<Running> {
        let sockets = tempfile::Builder::new().prefix("yoke-rival-").tempdir()?;
        let port = sockets.path().join("ttyS0");
        let listener = Listener::bind(&port)?;
        let mut qemu = emulator::machine(1, 512);
        qemu.args(["-vga", "std"]).arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initrd);
        qemu.args(["-append", "root=/dev/vda rw console=ttyS0 quiet"]);
        qemu.args(["-drive", &format!("file={},format=raw,if=none,id=disk", self.disk.display())]);
        qemu.args(["-device", "virtio-blk-pci,drive=disk"]);
        for (number, tap) in ["tap-out", "tap-in"].iter().enumerate() {
            emulator::plug(&mut qemu, number, "virtio-net-pci", tap, "52:54:00:59:00");
        }
        qemu.args(["-chardev", &format!("socket,id=tty0,path={}", port.display()), "-serial", "chardev:tty0"]);
        let log = std::fs::File::create(dir.join("rival-qemu.log"))?;
        let qemu = emulator::spawn(&mut qemu, log)?;
        let mut running = Running { qemu, serial: None, _sockets: sockets };
        running.serial = Some(listener.open("ttyS0", labshell::COLUMNS, &dir.join("rival.log"), CONNECT_LIMIT)?);
        Ok(running)
    }
}

/// A machine that is on. Dropping it cuts its power.
#[derive(Debug)]
pub(super) struct Running {
    qemu: Child,
    serial: Option<Serial>,
    _sockets: tempfile::TempDir,
}

impl Running {
    fn serial(&mut self) -> Result<&mut Serial> {
        self.serial.as_mut().context("the rival has no console")
    }

    /// When its console asked for a login.
    pub(super) fn wait_login(&mut self) -> Result<Instant> {
        self.serial()?.wait_text(0, "login:", BOOT_LIMIT)
    }

    /// Logs in as root. Returns when its kernel started, on this machine's clock, and the memory in use, in KiB.
    pub(super) fn ask(&mut self) -> Result<(Instant, f64)> {
        let serial = self.serial()?;
        serial.send("root\n")?;
        serial.wait_text(0, "Password:", BOOT_LIMIT)?;
        serial.send(&format!("{PASSWORD}\n"))?;
        serial.wait_text(0, "root@lb1:~#", BOOT_LIMIT)?;
        let first = serial.look(|screen| screen.term.row());
        let asked = wait::now();
        serial.send("cat /proc/uptime; grep -E 'MemTotal|MemAvailable' /proc/meminfo; echo en''d\n")?;
        let answered = serial.wait_text(first, "end", BOOT_LIMIT)?;
        let said = serial.look(|screen| screen.term.lines_from(first).join("\n"));
        let number = |what: &str, word: usize| -> Result<f64> {
            let row = said.lines().find(|row| row.starts_with(what)).with_context(|| format!("no {what} in {said}"))?;
            row.split_whitespace().nth(word).context("a number")?.parse().with_context(|| format!("{row:?}"))
        };
        let uptime = said.lines().find_map(|row| row.split(' ').next()?.parse::<f64>().ok()).context("no uptime")?;
        let at = asked + (answered - asked) / 2;
        let used = number("MemTotal:", 1)? - number("MemAvailable:", 1)?;
        ensure!(used > 0.0, "{said}");
        Ok((at - Duration::from_secs_f64(uptime), used))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
