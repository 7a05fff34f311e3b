//! What checks cost and how fast they act, beside keepalived's: both on the same kernel, in one machine under emulation, against the same servers, in
//! turns. Processor time is that of the program's threads, what the kernel does in their name included.
//!
//! How fast is read from the kernel's table: when a dead server's destination is gone, no new connection can meet it. All servers die at once,
//! each at another phase of its checks, so one death is a distribution.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use super::servers;
use crate::figure::{Figure, Goal};
use crate::net::{self, Ns};
use crate::runner::{Scene, World, say};
use crate::scenario::PASSWORD;
use crate::vm::{Firmware, Machine};
use crate::wait;

/// Real servers: addresses of one machine, 10.100.0.1 and on.
const SERVERS: u32 = 1_000;
const PORT: u16 = 7_777;
/// A measurement of processor time.
const WINDOW: Duration = Duration::from_secs(20);
/// Until all are in the table.
const IN_LIMIT: Duration = Duration::from_secs(90);
/// What interval 1, retry 1, retry-delay 1, timeout 1 allow: and then the dead are out.
const OUT_LIMIT: Duration = Duration::from_secs(12);
/// Of keepalived's processor time.
const GOAL: f64 = 1.0 / 3.0;

/// Whom servers are asked by: the last number of an address.
const OURS: usize = 2;
const THEIRS: usize = 3;

/// All servers: accepts, and counts SYNs by who asks, since not everybody goes on from there to a connection.
struct Servers {
    stop: Arc<AtomicBool>,
    asked: Arc<[AtomicU64; 4]>,
    threads: [JoinHandle<()>; 2],
}

impl Servers {
    fn start() -> Result<Self> {
        let (listener, ear) = Ns::Server1.enter(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&std::net::SocketAddr::from(([0, 0, 0, 0], PORT)).into())?;
            socket.listen(4096)?;
            let ear = servers::ear()?;
            for socket in [&socket, &ear] {
                // So it can be told to end.
                socket.set_read_timeout(Some(Duration::from_millis(20)))?;
            }
            Ok((TcpListener::from(socket), ear))
        })?;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::<[AtomicU64; 4]>::default());
        let (ended, heard, counted) = (stop.clone(), stop.clone(), asked.clone());
        let accept = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let _ = listener.accept();
            }
        });
        let count = thread::spawn(move || {
            let mut packet = [0; 64];
            while !heard.load(Ordering::Relaxed) {
                let Ok(length) = (&ear).read(&mut packet) else { continue };
                if let Some((IpAddr::V4(from), _)) = servers::parse_syn(&packet[..length], PORT)
                    && let Some(count) = counted.get(usize::from(from.octets()[3]))
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { stop, asked, threads: [accept, count] })
    }

    fn asked(&self, by: usize) -> u64 {
        self.asked[by].load(Ordering::Relaxed)
    }

    /// All die: whoever connects from now on is refused.
    fn die(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a server panicked"))?;
        }
        Ok(())
    }
}

/// Measures.
pub(in crate::bench) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.world.stop_captures();
    let guest = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/beside");
    scene.boot(Machine {
        firmware: Firmware::Direct { append: String::new() },
        memory: 1024,
        lab_files: vec!["/usr/sbin/keepalived".into(), guest],
        more_cards: &["tap-out3", "tap-in3"],
        ..Machine::default()
    })?;
    let figures = scene.must("beside_keepalived", |world| {
        net::ip(&["-n", &Ns::Server1.name(), "route", "add", "local", "10.100.0.0/16", "dev", "lo"])?;
        world.shell()?.wait_ready()?;
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&lines().iter().map(String::as_str).collect::<Vec<_>>())?;
        world.shell()?.ok("sh /beside cards")?;
        let (ours, our_deaths) = turn(world, OURS, "director", &["virtual-server many", "no shutdown"])?;
        world.console()?.configure(&["virtual-server many", "shutdown"])?;
        world.shell()?.ok_within(&format!("sh /beside start {SERVERS} {PORT}"), IN_LIMIT)?;
        let (theirs, their_deaths) = turn(world, THEIRS, "keepalived", &[])?;
        world.shell()?.ok("sh /beside stop")?;
        let mut figures = vec![
            Figure::plain(
                "1,000 by tcp every second: processor time of a check, of keepalived's",
                ours / theirs,
                "",
                Goal::AtMost(GOAL),
            )
            .beside(format!("{:.0} and {:.0} us, emulated", ours * 1e6, theirs * 1e6)),
        ];
        for (what, at) in [("median", 500), ("99th percentile", 990), ("longest", 999)] {
            let of = |deaths: &[f64]| deaths.get(deaths.len() * at / 1000).copied().context("nobody died");
            let goal = if at == 999 { Goal::AtMost(2.0) } else { Goal::None };
            let row =
                Figure::plain(format!("from a server's death until it is out, {what}"), of(&our_deaths)?, "s", goal);
            figures.push(row.beside(format!("keepalived {:.2}", of(&their_deaths)?)));
        }
        Ok(figures)
    })?;
    scene.figures(figures);
    Ok(())
}

fn lines() -> Vec<String> {
    let head = [
        "interface eth0",
        "ip address 203.0.113.2/24",
        "interface eth1",
        "ip address 10.0.20.2/24",
        "exit",
        "ip route 10.100.0.0/16 10.0.20.11",
        "health-monitor beside",
        "interval 1",
        "timeout 1",
        "retry 1",
        "virtual-server many",
        "virtual 203.0.113.10 tcp 80",
        "health-check beside",
    ];
    let servers = (0..SERVERS).map(|n| format!("real-server 10.100.{}.{} {PORT}", n / 250, n % 250 + 1));
    head.into_iter().map(str::to_owned).chain(servers).collect()
}

/// One program's turn: seconds of a processor a check, and when each server was out after all had died.
fn turn(world: &mut World, by: usize, program: &str, begin: &[&str]) -> Result<(f64, Vec<f64>)> {
    let servers = Servers::start()?;
    world.console()?.configure(begin)?;
    let namespace = if by == THEIRS { "nsenter -t $(cat /beside.pid) -n " } else { "" };
    let count = format!("{namespace}grep -c -e '-> ' /proc/net/ip_vs || true");
    wait::until("all servers to be in", IN_LIMIT, || {
        let said = world.shell()?.ok(&count)?;
        // The title has an arrow too.
        ensure!(said.trim() == (SERVERS + 1).to_string(), "{said}");
        Ok(())
    })?;
    let before = (processor(world, program)?, servers.asked(by), wait::now());
    wait::until("the window", WINDOW * 2, || {
        ensure!(before.2.elapsed() >= WINDOW, "not yet");
        Ok(())
    })?;
    let (worked, asked, took) =
        (worked(&before.0, &processor(world, program)?), servers.asked(by) - before.1, before.2.elapsed());
    say(&format!("{program}: {asked} checks in {took:.1?}, {worked:.2} s of a processor"));
    let watch = format!(
        "{namespace}sh -c 'while :; do read up rest </proc/uptime; echo $up $(grep -c -e \"-> \" /proc/net/ip_vs); sleep 0.05; done' >/watched 2>&1 & \
         echo $! >/watch.pid"
    );
    world.shell()?.ok(&watch)?;
    servers.die()?;
    let died: f64 = world.shell()?.ok("cut -d ' ' -f 1 /proc/uptime")?.trim().parse()?;
    // The watch has to see it.
    let out = wait::until("all servers to be out", OUT_LIMIT, || {
        let said = world.shell()?.ok("tail -n 1 /watched")?;
        let left = said.split_whitespace().nth(1).unwrap_or_default();
        ensure!(left == "1" || left == "0", "{said}: lines are left");
        Ok(())
    });
    world.shell()?.ok("kill $(cat /watch.pid)")?;
    out?;
    let watched = world.shell()?.ok("uniq -f 1 /watched")?;
    Ok((worked / asked as f64, deaths(&watched, died)?))
}

/// Seconds on a processor that each thread of a program's processes has had.
fn processor(world: &mut World, program: &str) -> Result<BTreeMap<String, f64>> {
    let line = format!("for pid in $(pidof {program}); do grep -H '' /proc/$pid/task/*/schedstat; done");
    let said = world.shell()?.ok(&line)?;
    let thread = |line: &str| {
        let (path, numbers) = line.split_once(':').with_context(|| said.clone())?;
        let nanoseconds: u64 = numbers.split(' ').next().unwrap_or_default().parse().with_context(|| said.clone())?;
        anyhow::Ok((path.to_owned(), nanoseconds as f64 / 1e9))
    };
    said.lines().map(thread).collect()
}

/// Between two of those. A thread that has ended meanwhile is an idle one of a pool: what it had worked was before.
fn worked(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> f64 {
    after.iter().map(|(thread, seconds)| seconds - before.get(thread).copied().unwrap_or(0.0)).sum()
}

/// From lines of an uptime and a count of what is left, how long after the death each server was out.
fn deaths(watched: &str, died: f64) -> Result<Vec<f64>> {
    let mut left = BTreeMap::new();
    for line in watched.lines() {
        let Some((at, count)) = line.split_once(' ') else { continue };
        let (Ok(at), Ok(count)) = (at.parse::<f64>(), count.trim().parse::<u32>()) else { continue };
        left.entry(count.saturating_sub(1)).or_insert(at);
    }
    let mut deaths = Vec::new();
    for n in (0..SERVERS).rev() {
        // Seen first with so few left, or fewer.
        let at = left.range(..=n).next_back().with_context(|| format!("it was not seen with {n} left"))?.1;
        deaths.push((at - died).max(0.0));
    }
    Ok(deaths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_are_read_from_what_is_left() {
        let deaths = deaths("10.0 1001\n11.0 501\n12.5 1\n", 10.5).expect("lines");
        assert_eq!((deaths.len(), deaths[0], deaths[499], deaths[500]), (1000, 0.5, 0.5, 2.0));
    }
}
