//! The network around the director: namespaces, bridges and addresses, all of it under our own names.
//!
//! ```text
//!  client .99 ----+                +-- (out) eth0 DIRECTOR eth1 (in) --+
//!                 +- br-out -------+                                   +- br-in -- client .99 (second leg)
//!  router .1  ----+  203.0.113.0/24                10.0.20.0/24 -------+           server1 .11, server2 .12
//!     |              2001:db8:1::/64               2001:db8:20::/64
//!     +------------- br-far  198.18.5.0/24, 2001:db8:5::/64: server1 .11, server2 .12 (third network, for TUN)
//! ```
//! Bridges and taps live in a namespace of their own, `hub`, where QEMU runs too: nothing leaks into the machine's own
//! network. A second machine can be plugged into all three bridges (`peer`). What runs inside the namespaces (nginx, echo servers, the far ends of tunnels) is not here.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};

/// Every namespace of the lab begins so.
const PREFIX: &str = "yoke-lab-";

/// A namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ns {
    /// Bridges, taps, QEMU.
    Hub,
    /// Who asks.
    Client,
    /// The upstream router.
    Router,
    /// The first real server.
    Server1,
    /// The second real server.
    Server2,
}

/// Both real servers.
pub const SERVERS: [Ns; 2] = [Ns::Server1, Ns::Server2];

/// Addresses that tests name. Fixed: the namespaces are ours alone.
pub mod addr {
    /// The director on `out`.
    pub const DIRECTOR: &str = "203.0.113.2";
    /// The VIP of mode nat.
    pub const VIP_NAT: &str = "203.0.113.10";
    /// The same, IPv6.
    pub const VIP_NAT6: &str = "2001:db8:1::10";
    /// The VIP of mode dr, also on the servers' `lo`.
    pub const VIP_DR: &str = "10.0.20.100";
    /// The same, IPv6.
    pub const VIP_DR6: &str = "2001:db8:20::100";
    /// The VIP of mode tun, also on the servers' `lo`.
    pub const VIP_TUN: &str = "203.0.113.20";
    /// The same, IPv6.
    pub const VIP_TUN6: &str = "2001:db8:1::20";
    /// The director's address in the transcript's server network, their gateway.
    pub const SEED_DIRECTOR: &str = "192.168.40.100";
    /// The VIP of the transcript.
    pub const SEED_VIP: &str = "192.168.175.100";
}

/// `ip` commands that make the network. `%h`, `%c`, `%r`, `%1`, `%2` are the namespaces.
const SCRIPT: &str = include_str!("../net.ip");

impl Ns {
    /// All of them.
    const ALL: [Self; 5] = [Self::Hub, Self::Client, Self::Router, Self::Server1, Self::Server2];

    /// As ip-netns(8) knows it.
    pub fn name(self) -> String {
        let short = match self {
            Self::Hub => "hub",
            Self::Client => "client",
            Self::Router => "router",
            Self::Server1 => "server1",
            Self::Server2 => "server2",
        };
        format!("{PREFIX}{short}")
    }

    /// What a server answers as: the names of the transcript in the seeds.
    pub fn server_name(self) -> &'static str {
        match self {
            Self::Server1 => "lvs_real_server01",
            Self::Server2 => "lvs_real_server02",
            Self::Hub | Self::Client | Self::Router => "no server",
        }
    }

    /// A command to be run inside. It dies with the lab, even when the lab is killed.
    pub fn command(self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &self.name(), program]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs `work` on a thread of its own inside, to its end.
    ///
    /// # Errors
    /// Those of setns(2) and of `work`.
    pub fn enter<T: Send>(self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        enter(&self.name(), work)
    }
}

/// Runs `work` on a thread of its own inside the namespace `name`, to its end.
///
/// # Errors
/// Those of setns(2) and of `work`.
pub fn enter<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let file =
        File::open(Path::new("/run/netns").join(name)).with_context(|| format!("namespace {name} does not exist"))?;
    std::thread::scope(|scope| {
        let inside = scope.spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).context("enter a namespace")?;
            work()
        });
        inside.join().unwrap_or_else(|_| bail!("the thread in {name} panicked"))
    })
}

/// The network, up. Dropping it takes all of it away, with what still runs inside.
#[derive(Debug)]
pub struct Net {
    _private: (),
}

impl Net {
    /// Builds it, after removing what a killed run may have left.
    ///
    /// # Errors
    /// The command of the script that failed.
    pub fn up() -> Result<Self> {
        down()?;
        let net = Self { _private: () };
        for ns in Ns::ALL {
            ip(&["netns", "add", &ns.name()])?;
        }
        let names = [("%h", Ns::Hub), ("%c", Ns::Client), ("%r", Ns::Router), ("%1", Ns::Server1), ("%2", Ns::Server2)];
        for line in SCRIPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<String> = line
                .split_whitespace()
                .map(|word| names.iter().find(|(mark, _)| *mark == word).map_or(word.to_owned(), |(_, ns)| ns.name()))
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["sysctl", ns, settings @ ..] => sysctl(ns, settings)?,
                words => ip(words)?,
            }
        }
        Ok(net)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Err(error) = down() {
            eprintln_error(&error);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a destructor has nobody to return an error to")]
fn eprintln_error(error: &anyhow::Error) {
    eprintln!("lab: the namespaces are not all removed: {error:#}");
}

/// Removes our namespaces and ends what runs inside them.
fn down() -> Result<()> {
    for ns in Ns::ALL {
        let name = ns.name();
        if !Path::new("/run/netns").join(&name).exists() {
            continue;
        }
        let pids = Command::new("ip").args(["netns", "pids", &name]).output()?;
        for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
            let pid: i32 = pid.parse().context("ip netns pids")?;
            // A thread of the lab itself may still be inside; it ends by itself.
            if pid.cast_unsigned() != std::process::id() {
                // One that has ended meanwhile is what we want.
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
        }
        ip(&["netns", "del", &name])?;
    }
    Ok(())
}

/// Runs `ip`.
///
/// # Errors
/// What it says on stderr.
pub fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output().context("run ip (package iproute2)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), said.trim());
    Ok(())
}

/// Writes `key=value` settings inside the namespace `ns`.
fn sysctl(ns: &str, settings: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(["netns", "exec", ns, "sysctl", "-q", "-w"]).args(settings).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "sysctl in {ns}: {}", said.trim());
    Ok(())
}
