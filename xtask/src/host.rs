//! The machine that builds and tests: which packages it needs, and QEMU on this terminal.
//!
//! As root it installs what is missing. Without root it says the one line to type and stops.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// What `cargo xtask run` needs.
pub(crate) const RUN: &[&str] = &["qemu-system-x86", "ovmf"];

/// What the tests need besides. `nginx-light`, `curl` and the others are the real counterparts, not stand-ins.
pub(crate) const LAB: &[&str] = &[
    "qemu-system-x86",
    "ovmf",
    "cpio",
    "curl",
    "e2fsprogs",
    "iproute2",
    "ipvsadm",
    "iputils-ping",
    "keepalived",
    "nginx-light",
    "openssh-client",
    "procps",
    "python3-venv",
    "squashfs-tools",
    "sshpass",
    "tcpdump",
    "util-linux",
];

/// What the bench needs besides: rivals.
pub(crate) const BENCH: &[&str] = &["haproxy", "libnginx-mod-stream", "mmdebstrap"];

/// What makes a disk of another format.
pub(crate) const FORMATS: &[&str] = &["qemu-utils"];

/// What `cargo xtask kernel` needs.
pub(crate) const KERNEL: &[&str] =
    &["bc", "bison", "flex", "gcc", "kmod", "libelf-dev", "libssl-dev", "make", "xz-utils", "zstd"];

/// Ports of this machine that reach the box when it runs without root: SSH, and a VIP's web ports.
const FORWARDS: &[(u16, &str)] = &[(2222, "10.0.2.15:22"), (8080, "10.0.2.100:80"), (8443, "10.0.2.100:443")];

/// Makes sure that Debian packages are installed.
pub(crate) fn need(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    if !is_root() {
        bail!("missing packages; type:\n\n  sudo {line}\n");
    }
    super::step(&line);
    super::program(Command::new("apt-get").args(["update", "--quiet=2"]))?;
    let mut words = line.split(' ');
    super::program(
        Command::new(words.next().expect("the line has words"))
            .args(words)
            .arg("--quiet=2")
            // nginx is started by the lab, with its own configuration; the package must not start one of its own.
            .env("RUNLEVEL", "1")
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output()
        .is_ok_and(|out| out.stdout == b"installed")
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t0\t")))
}

/// Whether the processor itself can run the box. Hosts that are virtual machines may offer a `/dev/kvm` without that; with one of those GRUB stops
/// in real mode at its first line.
fn has_kvm() -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let able = flags.lines().filter(|line| line.starts_with("flags"));
    able.flat_map(str::split_whitespace).any(|flag| ["vmx", "svm"].contains(&flag))
        && fs::File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// Boots `image` with its console on this terminal. What the box writes to its disk stays, as on a real one.
///
/// What UEFI keeps (its boot order) is beside the image, as on a board.
pub(crate) fn boot(image: &Path, uefi: bool) -> Result<()> {
    super::step("QEMU: user-mode network, box 10.0.2.15/24, gateway 10.0.2.2, VIPs on 10.0.2.100; leave with Ctrl-A X");
    let mut forwards = String::new();
    for (port, to) in FORWARDS {
        super::step(&format!("127.0.0.1:{port} -> {to}"));
        forwards += &format!(",hostfwd=tcp:127.0.0.1:{port}-{to}");
    }
    let mut qemu = Command::new("qemu-system-x86_64");
    if has_kvm() {
        qemu.args(["-accel", "kvm"]);
    } else {
        // QEMU's emulation of CMPXCHG16B can take nonsense for the flags; see `EMULATION` in the lab.
        qemu.args(["-cpu", "qemu64,-cx16"]);
    }
    // More than one thread of TCG crashes kernels on some hosts.
    qemu.args(["-accel", "tcg,thread=single", "-smp", "1", "-m", "512", "-nographic"]);
    // A random number device: without one, and without RDRAND, host keys wait for minutes.
    qemu.args([
        "-device",
        "i6300esb",
        "-device",
        "virtio-rng-pci",
        "-nic",
        &format!("user,model=virtio-net-pci{forwards}"),
    ]);
    qemu.args(["-drive", &format!("file={},format=raw,if=virtio", image.display())]);
    if uefi {
        let variables = image.with_file_name("run-uefi.fd");
        if !variables.exists() {
            fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).context("the package ovmf")?;
        }
        // Debian 13 has no other size.
        qemu.args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]);
        qemu.args(["-drive", &format!("if=pflash,format=raw,file={}", variables.display())]);
    }
    super::program(&mut qemu)
}
