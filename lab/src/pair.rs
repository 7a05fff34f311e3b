//! Two routers on one network, and a third host that hears everything: what VRRP is tested on. Namespaces only; who the routers are,
//! our vrrpd or Debian's keepalived, is the caller's choice, and the same for both.
//!
//! ```text
//!  a  10.77.0.1, 2001:db8:77::1 ---- port-a --+
//!                                             +-- bridge (in a namespace of its own) -- port-c ---- c  10.77.0.9, listens
//!  b  10.77.0.2, 2001:db8:77::2 ---- port-b --+
//! ```

mod ear;
mod guard;
mod hand;
mod probe;

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

    /// Has another vrrpd run than the one that was built beside this program: the one of the image.
    pub fn set_program(&mut self, vrrpd: PathBuf) {
        self.program = vrrpd;
    }

    fn built(&self) -> Result<&Path> {
        let path = &self.program;
        ensure!(path.exists(), "{}: not built, type: cargo build --package yoke-vrrp", path.display());
        Ok(path)
    }

    /// Starts our vrrpd with this configuration. It must not run there already.
    ///
    /// # Errors
    /// When the program was not built, or does not start.
    pub fn vrrpd(&mut self, side: Side, config: &str) -> Result<()> {
        let file = self.file(side, "cfg");
        std::fs::write(&file, config)?;
        let program = self.built()?.to_owned();
        let socket = self.file(side, "sock");
        let words =
            [program.as_os_str(), "--config".as_ref(), file.as_os_str(), "--socket".as_ref(), socket.as_os_str()];
        self.start(side, &words)
    }

    /// Has a running vrrpd read another configuration.
    ///
    /// # Errors
    /// Its refusal.
    pub fn reload(&self, side: Side, config: &str) -> Result<()> {
        std::fs::write(self.file(side, "cfg"), config)?;
        match self.ask(side, &vrrp::status::Request::Reload)? {
            vrrp::status::Reply::Reloaded { problems } if problems.is_empty() => Ok(()),
            other => anyhow::bail!("reload: {other:?}"),
        }
    }

    /// Asks a running vrrpd.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, side: Side, request: &vrrp::status::Request) -> Result<vrrp::status::Reply> {
        let mut client = yoke_control::Client::connect(&self.file(side, "sock"))?;
        client.set_timeout(Some(Duration::from_secs(5)))?;
        Ok(client.call(request)?)
    }

    /// Says something to a running vrrpd that it does not answer.
    ///
    /// # Errors
    /// When it is not there.
    pub fn tell(&self, side: Side, request: &vrrp::status::Request) -> Result<()> {
        let stream = std::os::unix::net::UnixStream::connect(self.file(side, "sock"))?;
        Ok(yoke_control::Connection::new(stream).send(request)?)
    }

    /// The first process of a side: vrrpd, where that is what was started.
    ///
    /// # Errors
    /// When there is none.
    pub fn pid(&self, side: Side) -> Result<i32> {
        self.pids(side)?.into_iter().min().with_context(|| format!("nothing runs on side {side:?}"))
    }

    /// All processes of a side.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn pids(&self, side: Side) -> Result<Vec<i32>> {
        let output = Command::new("ip").args(["netns", "pids", &self.ns(side.letter())]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut pids: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        pids.retain(|pid| pid.cast_unsigned() != std::process::id());
        Ok(pids)
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self, side: Side) -> Result<vrrp::status::Status> {
        match self.ask(side, &vrrp::status::Request::Status)? {
            vrrp::status::Reply::Status(status) => Ok(status),
            other => anyhow::bail!("status: {other:?}"),
        }
    }

    /// Runs `vrrpd --release` to its end.
    ///
    /// # Errors
    /// When it fails.
    pub fn release(&self, side: Side) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.ns(side.letter())]).arg(self.built()?).args(["--release", "--config"]);
        let output = command.arg(self.file(side, "cfg")).output()?;
        ensure!(output.status.success(), "vrrpd --release: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Starts keepalived with this configuration.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn keepalived(&mut self, side: Side, config: &str) -> Result<()> {
        let file = self.file(side, "conf");
        std::fs::write(&file, config)?;
        let (pid, vrrp_pid) = (self.file(side, "pid"), self.file(side, "vpid"));
        for stale in [&pid, &vrrp_pid] {
            let _ = std::fs::remove_file(stale);
        }
        let words = ["keepalived", "-n", "-l", "-P", "-f"].map(AsRef::as_ref);
        let words =
            [&words[..], &[file.as_os_str(), "-p".as_ref(), pid.as_os_str(), "-r".as_ref(), vrrp_pid.as_os_str()]];
        self.start(side, &words.concat())
    }

    fn start(&mut self, side: Side, words: &[&std::ffi::OsStr]) -> Result<()> {
        self.reap(side);
        let log = File::options().create(true).append(true).open(self.file(side, "log"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &self.ns(side.letter())]).args(words);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.running[usize::from(side.number() - 1)] = Some(child.with_context(|| format!("start {words:?}"))?);
        Ok(())
    }

    fn file(&self, side: Side, kind: &str) -> PathBuf {
        self.dir.join(format!("{}-{}.{kind}", self.tag, side.letter()))
    }

    /// The process that was started on a side, which is the first of keepalived's two.
    ///
    /// # Errors
    /// When there is none.
    pub fn started(&self, side: Side) -> Result<Pid> {
        let child = self.running[usize::from(side.number() - 1)].as_ref();
        Ok(Pid::from_raw(child.with_context(|| format!("nothing runs on side {side:?}"))?.id().cast_signed()))
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

    /// Sends a signal to all processes of a side: keepalived has two, of which the first would have the second resign.
    ///
    /// # Errors
    /// When there is none.
    pub fn signal(&mut self, side: Side, signal: Signal) -> Result<()> {
        let mut pids = self.pids(side)?;
        ensure!(!pids.is_empty(), "nothing runs on side {side:?}");
        pids.sort_unstable();
        for pid in pids.into_iter().rev() {
            // It may have ended with the one before.
            let _ = kill(Pid::from_raw(pid), signal);
        }
        if matches!(signal, Signal::SIGKILL | Signal::SIGTERM) {
            self.reap(side);
        }
        Ok(())
    }

    fn reap(&mut self, side: Side) {
        if let Some(mut child) = self.running[usize::from(side.number() - 1)].take() {
            let _ = child.wait();
        }
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

    /// What the programs of a side have written so far.
    #[must_use]
    pub fn written(&self, side: Side) -> String {
        std::fs::read_to_string(self.file(side, "log")).unwrap_or_default()
    }

    /// The end of what both have written.
    fn logs(&self) -> String {
        let mut text = String::new();
        for side in Side::BOTH {
            let log = self.written(side);
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(12)..].join("\n");
            text += &format!("side {side:?} wrote:\n{tail}\n");
        }
        text
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
