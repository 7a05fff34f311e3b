//! The peer: a second machine, with the director's kernel and none of its programs.
//!
//! This machine's kernel may have no tunnels and no SCTP; Debian's, which the image has already, does. The peer is that
//! kernel and an initrd: busybox, this machine's `sh` and `ip`, and the lab's own program, which serves and asks there
//! ([`mod@program`]). Its hosts are namespaces, made by `guest/peer-init`:
//!
//! | host | on | is |
//! |---|---|---|
//! | `client` | `br-out` .98, `br-in` .98 | who asks |
//! | `near1`, `near2` | `br-in` .21, .22 | real servers beside the director, without a default route |
//! | `far1`, `far2` | `br-far` .21, .22 | real servers behind the router |
//!
//! What makes them real servers of a mode is not there: a scenario types it.

pub mod program;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use yoke_image::base::Base;
use yoke_image::tool::{LIB_DIR, LOADER};

use crate::disk::{self, run};
use crate::emulator::{self, CONNECT_LIMIT};
use crate::labshell::{self, LabShell};
use crate::serial::Listener;
use crate::traffic::Reply;

/// What the hosts' kernel is to load: cards, the ends of tunnels, a protocol, a packet filter.
const MODULES: [&str; 16] = [
    "virtio_pci",
    "virtio_net",
    "macvlan",
    "ipip",
    "sit",
    "ip6_tunnel",
    "ip_gre",
    "ip6_gre",
    "fou",
    "fou6",
    "sctp",
    "nf_tables",
    "nft_ct",
    "nft_chain_nat",
    "nft_reject_inet",
    "nf_conntrack",
];
/// The packet filter's program, below the base's packages.
const NFT: &str = "usr/sbin/nft";
/// An upload of a MiB through two emulated machines.
const TRANSFER_LIMIT: Duration = Duration::from_secs(60);

/// The machine, on. Dropping it cuts its power.
#[derive(Debug)]
pub struct Peer {
    shell: LabShell,
    qemu: Child,
    _sockets: tempfile::TempDir,
}

/// Its root is in memory, in at most half of it: most of that is this program with what debuggers want, 60 MiB.
const MEMORY_MIB: u32 = 384;

impl Peer {
    /// Switches it on; it boots while the caller does other things. Transcripts go to `dir`.
    ///
    /// # Errors
    /// When there is no base, or QEMU does not start.
    pub fn start(dir: &Path) -> Result<Self> {
        let base = Base::last(&crate::target().canonicalize()?).context("the peer has the image's kernel")?;
        let initrd = initrd(&base, dir)?;
        let sockets = tempfile::Builder::new().prefix("yoke-peer-").tempdir()?;
        let port = sockets.path().join("ttyS1");
        let listener = Listener::bind(&port)?;
        let mut qemu = emulator::machine(1, MEMORY_MIB);
        qemu.arg("-kernel").arg(base.vmlinuz()).arg("-initrd").arg(initrd);
        qemu.args(["-append", "console=ttyS0 rdinit=/init panic=-1 quiet"]);
        qemu.args(["-serial", &format!("file:{}", dir.join("peer-console.log").display())]);
        qemu.args(["-chardev", &format!("socket,id=tty1,path={}", port.display()), "-serial", "chardev:tty1"]);
        for (number, bridge) in ["out", "in", "far"].iter().enumerate() {
            emulator::plug(&mut qemu, number, "virtio-net-pci", &format!("tap-peer-{bridge}"), "52:54:00:59:01");
        }
        let log = std::fs::File::create(dir.join("peer-qemu.log"))?;
        let mut child = emulator::spawn(&mut qemu, log)?;
        match listener.open("peer", labshell::COLUMNS, &dir.join("peer.log"), CONNECT_LIMIT) {
            Ok(serial) => Ok(Self { shell: LabShell::new(serial), qemu: child, _sockets: sockets }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(dir.join("peer-qemu.log")).unwrap_or_default();
                Err(error.context(format!("QEMU does not start: {}", said.trim())))
            }
        }
    }

    /// Waits until its hosts serve.
    ///
    /// # Errors
    /// When it does not boot, or a server in it does not answer.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.shell.wait_ready()?;
        for host in ["near1", "near2", "far1", "far2"] {
            crate::wait::until(host, CONNECT_LIMIT, || self.run(host, "/yoke-lab peer ask tcp 127.0.0.1 80 1"))?;
        }
        Ok(())
    }

    /// The root shell, outside of all hosts.
    pub fn shell(&mut self) -> &mut LabShell {
        &mut self.shell
    }

    /// Runs a command line on `host`; returns what it printed.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub fn run(&mut self, host: &str, line: &str) -> Result<String> {
        let quoted = line.replace('\'', r"'\''");
        self.shell.ok_within(&format!("ip netns exec {host} sh -c '{quoted}'"), TRANSFER_LIMIT)
    }

    /// Types `lines` into a root shell of `host`, as they are, until one of them fails.
    ///
    /// # Errors
    /// What the one that failed said.
    pub fn apply(&mut self, host: &str, lines: &[String]) -> Result<()> {
        let quoted: Vec<String> = lines.iter().map(|line| format!("'{}'", line.replace('\'', r"'\''"))).collect();
        self.shell.ok(&format!("printf '%s\\n' {} >/typed", quoted.join(" ")))?;
        self.shell.ok(&format!("ip netns exec {host} sh -ex /typed")).map(drop)
    }

    /// `count` requests of the client to `vip`, one after the other, each from a new port. `protocol` is `tcp`, `udp`
    /// or `sctp`.
    ///
    /// # Errors
    /// When one is not answered.
    pub fn ask(&mut self, protocol: &str, vip: &str, port: u16, count: usize) -> Result<Vec<Reply>> {
        let said = self.run("client", &format!("/yoke-lab peer ask {protocol} {vip} {port} {count}"))?;
        let replies = said.lines().map(Reply::parse).collect::<Result<Vec<_>>>()?;
        ensure!(replies.len() == count, "{} answers to {count} requests: {said}", replies.len());
        Ok(replies)
    }

    /// Packets that `device` of `host` has received, which for a tunnel are those it has unwrapped.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn received(&mut self, host: &str, device: &str) -> Result<u64> {
        let count = self.run(host, &format!("cat /sys/class/net/{device}/statistics/rx_packets"))?;
        count.trim().parse().with_context(|| format!("{host} {device}: {count:?} packets"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Packs the peer's root.
fn initrd(base: &Base, dir: &Path) -> Result<PathBuf> {
    let root = dir.join("peer");
    std::fs::create_dir_all(root.join("usr/sbin"))?;
    base.take_modules(&MODULES, &root.join("lib/modules"))?;
    std::fs::copy(base.dir.join("root/usr/bin/busybox"), root.join("busybox"))?;
    std::fs::write(root.join("init"), include_str!("../guest/peer-init"))?;
    std::fs::write(root.join("shell"), labshell::SHELL)?;
    run(Command::new("chmod").arg("755").args([root.join("init"), root.join("busybox")]))?;
    disk::copy_program(&Path::new("/bin/sh").canonicalize()?, &root.join("bin/sh"), &root)?;
    disk::copy_program(Path::new("/usr/sbin/ip"), &root.join("usr/sbin/ip"), &root).context("package iproute2")?;
    copy_nft(base, &root)?;
    // This very program: what serves and asks in there.
    disk::copy_program(&std::env::current_exe()?, &root.join("yoke-lab"), &root)?;
    let archive = dir.join("peer.initrd");
    std::fs::write(&archive, disk::archive(&root, ".")?)?;
    Ok(archive)
}

/// nft of the base's packages, with its own libraries: those of this machine may be older.
fn copy_nft(base: &Base, root: &Path) -> Result<()> {
    let to = root.join("debian");
    std::fs::create_dir_all(&to)?;
    let libraries = base.tools.libraries(NFT)?;
    let libraries = libraries.iter().map(String::as_str).chain([LOADER]).map(|name| format!("{LIB_DIR}/{name}"));
    for file in libraries.chain([NFT.to_owned()]) {
        let name = Path::new(&file).file_name().context("a file name")?;
        std::fs::copy(base.tools.root().join(&file), to.join(name)).with_context(|| format!("copy {file}"))?;
    }
    let script =
        format!("#!/bin/sh\nexec /debian/{LOADER} --inhibit-cache --library-path /debian /debian/nft \"$@\"\n");
    std::fs::write(root.join("usr/sbin/nft"), script)?;
    run(Command::new("chmod").arg("755").arg(root.join("usr/sbin/nft")).arg(to.join(LOADER))).map(drop)
}
