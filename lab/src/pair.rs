//! Two routers on one network, and a third host that hears everything: what VRRP is tested on. Namespaces only; who the routers are,
//! our vrrpd or Debian's keepalived, is the caller's choice, and the same for both.
//!
//! ```text
//!  a  10.77.0.1, 2001:db8:77::1 ---- port-a --+
//!                                             +-- bridge (in a namespace of its own) -- port-c ---- c  10.77.0.9, listens
//!  b  10.77.0.2, 2001:db8:77::2 ---- port-b --+
//! ```

mod daemons;
mod ear;
mod guard;
mod hand;
mod probe;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use ear::{Advert, Announcement, Answer, Heard};
pub use hand::Hand;
pub use probe::{Outage, Probe};
pub(crate) use probe::{until_wall, wall};

use crate::net::ip;
use crate::wait;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// 10.77.0.1.
    A,
    /// 10.77.0.2, the higher address.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    const fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    /// Its last byte: 1 or 2.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
        }
    }

    /// Its hardware address.
    #[must_use]
    pub const fn mac(self) -> [u8; 6] {
        [2, 0x77, 0, 0, 0, self.number()]
    }

    /// The name of its port on the switch.
    #[must_use]
    pub fn port(self) -> String {
        format!("port-{}", self.letter())
    }

    /// Its IPv4 address.
    #[must_use]
    pub fn v4(self) -> IpAddr {
        IpAddr::from([10, 77, 0, self.number()])
    }

    /// Its link-local IPv6 address: the one of its hardware address, 02:77:00:00:00:0N (RFC 4291, appendix A).
    #[must_use]
    pub fn v6(self) -> IpAddr {
        IpAddr::from([0xfe80, 0, 0, 0, 0x0077, 0x00ff, 0xfe00, u16::from(self.number())])
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The network, up, with whoever runs on it. Dropping it takes all of it away.
#[derive(Debug)]
pub struct Pair {
    tag: String,
    dir: PathBuf,
    running: [Option<Child>; 2],
    heard: Arc<Mutex<Heard>>,
    stop: Arc<AtomicBool>,
    ear: Option<JoinHandle<()>>,
    /// The vrrpd that is run.
    program: PathBuf,
}

impl Pair {
    /// Builds a network of its own, named by `tag` (at most 4 letters). Files go to `dir`.
    ///
    /// # Errors
    /// The command that failed; it needs root.
    pub fn up(tag: &str, dir: &Path) -> Result<Self> {
        let mut pair = Self {
            tag: tag.to_owned(),
            dir: dir.to_owned(),
            running: [None, None],
            heard: Arc::default(),
            stop: Arc::default(),
            ear: None,
            program: std::env::current_exe()?.with_file_name("vrrpd"),
        };
        pair.down();
        for letter in ['h', 'a', 'b', 'c'] {
            ip(&["netns", "add", &pair.ns(letter)])?;
            pair.sysctl(letter, &["net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"])?;
        }
        // The hub has no addresses: it only joins.
        pair.sysctl('h', &["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])?;
        let hub = pair.ns('h');
        ip(&["-n", &hub, "link", "add", "name", "sw", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"])?;
        ip(&["-n", &hub, "link", "set", "sw", "up"])?;
        for (letter, number) in [('a', 1), ('b', 2), ('c', 9)] {
            let (ns, port, mac) = (pair.ns(letter), format!("port-{letter}"), format!("02:77:00:00:00:0{number}"));
            pair.sysctl(letter, &SYSCTLS)?;
            ip(&["-n", &ns, "link", "set", "lo", "up"])?;
            ip(&[
                "-n", &ns, "link", "add", "eth0", "address", &mac, "type", "veth", "peer", "name", &port, "netns", &hub,
            ])?;
            ip(&["-n", &hub, "link", "set", &port, "master", "sw", "up"])?;
            ip(&["-n", &ns, "link", "set", "eth0", "up"])?;
            ip(&["-n", &ns, "addr", "add", &format!("10.77.0.{number}/24"), "dev", "eth0"])?;
            ip(&["-n", &ns, "addr", "add", &format!("2001:db8:77::{number}/64"), "dev", "eth0"])?;
        }
        pair.ear = Some(ear::listen(&pair.ns('c'), &pair.heard, &pair.stop)?);
        Ok(pair)
    }

    fn ns(&self, letter: char) -> String {
        format!("yoke-lab-v{}{letter}", self.tag)
    }

    fn sysctl(&self, letter: char, settings: &[&str]) -> Result<()> {
        let ns = self.ns(letter);
        let output = Command::new("ip").args(["netns", "exec", &ns, "sysctl", "-q", "-w"]).args(settings).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "sysctl in {ns}: {}", said.trim());
        Ok(())
    }

    /// An `ip` on a side.
    ///
    /// # Errors
    /// When it does not start.
    pub fn hand(&self, side: Side) -> Result<Hand> {
        Hand::start(&self.ns(side.letter()))
    }

    /// An `ip` on the switch, whose name for a side's port is [`Side::port`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn switch(&self) -> Result<Hand> {
        Hand::start(&self.ns('h'))
    }

    /// Starts to ask `address` every millisecond, on the third host.
    ///
    /// # Errors
    /// When a socket or a privilege is missing.
    pub fn probe(&self, address: std::net::Ipv4Addr) -> Result<Probe> {
        Probe::start(&self.ns('c'), address)
    }

    /// That a side has joined the group of its family, and so hears advertisements.
    ///
    /// # Errors
    /// When it has not.
    pub fn listens(&self, side: Side) -> Result<()> {
        let words = ["-n", &self.ns(side.letter()), "maddress", "show", "dev", "eth0"];
        let joined = crate::disk::run(Command::new("ip").args(words))?;
        ensure!(String::from_utf8_lossy(&joined).contains("224.0.0.18"), "side {side:?} does not listen");
        Ok(())
    }

    /// Has the third host forget what it knows of its neighbours.
    ///
    /// # Errors
    /// That of `ip`.
    pub fn forget_neighbours(&self) -> Result<()> {
        ip(&["-n", &self.ns('c'), "neigh", "flush", "dev", "eth0"])
    }

    /// Runs `ip` on a side.
    ///
    /// # Errors
    /// What it says.
    pub fn ip(&self, side: Side, words: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.ns(side.letter())], words].concat())
    }

    /// The switch port of a side: down, it loses its carrier.
    ///
    /// # Errors
    /// That of `ip`.
    pub fn port(&self, side: Side, up: bool) -> Result<()> {
        ip(&["-n", &self.ns('h'), "link", "set", &side.port(), if up { "up" } else { "down" }])
    }

    /// Cuts a side off without a change of its carrier, as a switch that drops everything; or joins it again.
    ///
    /// # Errors
    /// That of `ip`.
    pub fn cut(&self, side: Side, cut: bool) -> Result<()> {
        let port = side.port();
        let words: &[&str] = if cut { &["nomaster"] } else { &["master", "sw"] };
        let hub = self.ns('h');
        ip(&[&["-n", &hub, "link", "set", &port][..], words].concat())
    }

    /// Whether a side has this address, on whatever interface.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn holds(&self, side: Side, address: IpAddr) -> Result<bool> {
        let family = if address.is_ipv4() { "-4" } else { "-6" };
        let words = ["-n", &self.ns(side.letter()), family, "-o", "addr", "show", "to", &address.to_string()];
        let output = Command::new("ip").args(words).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(!output.stdout.is_empty())
    }

    /// The interfaces of a side, and whether each is up.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn links(&self, side: Side) -> Result<Vec<(String, bool)>> {
        let words = ["-n", &self.ns(side.letter()), "-json", "link", "show"];
        let output = Command::new("ip").args(words).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let links: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
        let is_up =
            |link: &serde_json::Value| link["flags"].as_array().is_some_and(|flags| flags.iter().any(|f| f == "UP"));
        Ok(links.iter().filter_map(|link| Some((link["ifname"].as_str()?.to_owned(), is_up(link)))).collect())
    }

    /// One ping of the third host.
    ///
    /// # Errors
    /// When there is no answer within a second.
    pub fn ping(&self, address: IpAddr) -> Result<()> {
        let words = ["netns", "exec", &self.ns('c'), "ping", "-n", "-c", "1", "-W", "1", &address.to_string()];
        let output = Command::new("ip").args(words).output()?;
        ensure!(output.status.success(), "{address} does not answer a ping");
        Ok(())
    }

    /// The hardware address behind which the third host knows an address.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn neighbour(&self, address: IpAddr) -> Result<Option<[u8; 6]>> {
        let words = ["-n", &self.ns('c'), "-json", "neigh", "show", "to", &address.to_string(), "dev", "eth0"];
        let output = Command::new("ip").args(words).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
        let Some(text) = entries.first().and_then(|entry| entry["lladdr"].as_str()) else { return Ok(None) };
        let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
        Ok(bytes.try_into().ok())
    }

    /// Waits until `side` has `address` and the other has not.
    ///
    /// # Errors
    /// When that does not come about within `limit`.
    pub fn wait_holder(&self, side: Side, address: IpAddr, limit: Duration) -> Result<()> {
        wait::until(&format!("{address} on side {side:?} alone"), limit, || {
            let (here, there) = (self.holds(side, address)?, self.holds(side.other(), address)?);
            ensure!(here && !there, "side {side:?}: {here}, the other: {there}");
            Ok(())
        })
        .with_context(|| self.logs())
    }

    /// What the third host has heard so far.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was heard.
    pub fn forget(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Heard::default();
    }

    /// Removes the namespaces and ends what runs inside them.
    fn down(&mut self) {
        for letter in ['a', 'b', 'c', 'h'] {
            let ns = self.ns(letter);
            if !Path::new("/run/netns").join(&ns).exists() {
                continue;
            }
            let pids = Command::new("ip").args(["netns", "pids", &ns]).output().map(|o| o.stdout).unwrap_or_default();
            for pid in String::from_utf8_lossy(&pids).split_whitespace().filter_map(|word| word.parse::<i32>().ok()) {
                if pid.cast_unsigned() != std::process::id() {
                    // One that has ended meanwhile is what we want.
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
            let _ = ip(&["netns", "del", &ns]);
        }
        Side::BOTH.into_iter().for_each(|side| self.reap(side));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(ear) = self.ear.take() {
            let _ = ear.join();
        }
        self.down();
    }
}

/// What `init` sets on a Yoke, as far as it matters here.
const SYSCTLS: [&str; 5] = [
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv4.conf.all.promote_secondaries=1",
    "net.ipv4.conf.all.arp_ignore=1",
    "net.ipv4.conf.all.arp_announce=2",
];
