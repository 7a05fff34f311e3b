//! A group that gives up lets go of its addresses, also on a box with one processor and more to do than it can, and then costs nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use vrrp::status::{Group, Request};

use super::LIMIT;
use crate::pair::{Pair, Side};
use crate::runner::Scene;
use crate::wait;

/// So many that removing them takes longer than an interval: the last timer goes off while the worker is at work.
const ADDRESSES: u8 = 250;
/// Times that the quorum is lost and found.
const ROUNDS: usize = 10;
/// How long the processor time of a group without a task is looked at.
const IDLE: Duration = Duration::from_secs(1);

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>, dir: &Path) {
    scene.check("a_group_without_its_quorum_lets_go_on_one_busy_processor", |_| lets_go(dir));
}

fn config() -> String {
    let addresses: String = (1..=ADDRESSES).map(|n| format!(" address 10.77.1.{n}/24\n")).collect();
    format!(
        "vrrp group outside\n vrid 51 interface eth0\n timers advertise 10\n track virtual-server www\n{addresses}\
         vrrp group inside\n vrid 52 interface eth0\n timers advertise 10\n address 10.77.0.100/24\n\
         vrrp sync-group pair\n member outside\n member inside\n"
    )
}

fn lets_go(dir: &Path) -> Result<()> {
    let mut pair = Pair::up("quit", dir)?;
    pair.vrrpd(Side::A, &config())?;
    let first = IpAddr::from(Ipv4Addr::new(10, 77, 1, 1));
    pair.wait_holder(Side::A, first, LIMIT)?;
    let pid = pair.pid(Side::A)?;
    let _hogs = on_one_processor(pid)?;
    for round in 0..ROUNDS {
        for quorum in [false, true] {
            let servers = [("www".to_owned(), quorum)].into();
            pair.tell(Side::A, &Request::Heartbeat { servers })?;
            let (state, share) = if quorum { ("active", 1) } else { ("initialize", 0) };
            wait::until(&format!("{state} in round {round}"), LIMIT, || {
                let groups = pair.status(Side::A)?.groups;
                let right = |group: &Group| group.state == state && group.held == share * group.addresses.len();
                let seen: Vec<_> = groups.iter().map(|group| (&group.name, &group.state, group.held)).collect();
                ensure!(groups.iter().all(right), "{seen:?}");
                Ok(())
            })?;
        }
    }
    // One line for each change, with its reason.
    let written = pair.written(Side::A);
    for line in [
        "vrrp group outside: active to initialize: tracked object down (virtual-server www)",
        "vrrp group inside: active to initialize: sync-group member down",
        "vrrp group outside: backup to active: no active router heard",
    ] {
        let times = written.lines().filter(|written| written.ends_with(line)).count();
        ensure!((ROUNDS..=ROUNDS + 1).contains(&times), "{times} times {line:?} in\n{written}");
    }
    // With nothing to do it sleeps.
    pair.tell(Side::A, &Request::Heartbeat { servers: [("www".to_owned(), false)].into() })?;
    wait::until("every address to go", LIMIT, || {
        let groups = pair.status(Side::A)?.groups;
        ensure!(groups.iter().all(|group| group.held == 0), "{groups:?}");
        Ok(())
    })?;
    ensure!(!pair.holds(Side::A, first)?, "{first} is still there");
    let before = processor_time(pid)?;
    std::thread::park_timeout(IDLE);
    let used = processor_time(pid)? - before;
    ensure!(used <= IDLE / 10, "it used {used:?} in {IDLE:?} for groups that take no part");
    Ok(())
}

/// Puts a process on the first processor, beside two busy loops, which end with what is returned.
fn on_one_processor(pid: i32) -> Result<[Hog; 2]> {
    let status =
        Command::new("taskset").args(["-a", "-c", "-p", "0", &pid.to_string()]).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "taskset: {status}");
    Ok([Hog::start()?, Hog::start()?])
}

struct Hog(Child);

impl Hog {
    fn start() -> Result<Self> {
        let words = ["--pdeathsig", "KILL", "taskset", "-c", "0", "sh", "-c", "while :; do :; done"];
        Ok(Self(Command::new("setpriv").args(words).stdin(Stdio::null()).spawn()?))
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What all threads of a process have used: fields 14 and 15 of proc(5), in hundredths of a second.
fn processor_time(pid: i32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2)).into_iter().flatten();
    let ticks: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>()?;
    ensure!(ticks.len() == 2, "{stat}");
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}
