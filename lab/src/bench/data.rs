//! What the box forwards: new connections and bulk, in every mode, beside the same kernel set up by hand and beside haproxy and nginx's stream
//! module, all of them in one machine, in turns.
//!
//! The machine under test does nothing but forward: client and real servers are outside of it. Each rival has two network cards and a network
//! namespace of its own in there (`guest/rivals`), so that no one's rules touch another's. What is compared is the time the emulated processor
//! works for a request, which no slow client makes longer; neighbours on this machine do, by caches and shared cores. `docs/bench.md` says more.

mod load;
mod ratio;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::figure::{Figure, Goal};
use crate::net::{self, Ns, SERVERS};
use crate::runner::{Scene, World};
use crate::scenario::{PASSWORD, typed};
use crate::vm::{Firmware, Machine};
use crate::wait;

/// Pairs of each comparison.
const ROUNDS: usize = 40;
/// Requests of one measurement, of what forwards packets and of what ends connections.
const REQUESTS: (usize, usize) = (320, 96);
/// Bytes of a download.
const BULK_BYTES: usize = 16 << 20;
/// Times everything is downloaded where only acknowledgements come through the box, which are so little work that what else it does in
/// that time would be half of what is measured.
const ONE_WAY_BULK: usize = 8;
/// What the processor may work between two looks while it counts as idle, and how long it may take to become so: after the client has its answer
/// the last packets are still under way, and a proxy has connections to forget.
const IDLE: Duration = Duration::from_millis(3);
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// From the command to the first answer.
const SERVING_LIMIT: Duration = Duration::from_secs(120);
/// Of a forwarding director that is set up by hand, and of a proxy.
const GOALS: (f64, f64) = (0.98, 4.0);

/// Somebody who forwards to the same servers.
struct Contender {
    name: &'static str,
    at: &'static str,
    way: Way,
}

/// What comes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Packets, those of the client only: modes dr and tun.
    Requests,
    /// Packets of both sides.
    Both,
    /// Connections end at it.
    Proxy,
}

const fn contender(name: &'static str, at: &'static str, way: Way) -> Contender {
    Contender { name, at, way }
}

/// Both proxies.
const PROXIES: [Contender; 2] =
    [contender("haproxy", "203.0.113.50:80", Way::Proxy), contender("nginx stream", "203.0.113.50:81", Way::Proxy)];

/// Ours and the one by hand, in the modes that need no connection tracking.
const PLAIN: [[Contender; 2]; 3] = [
    [contender("nat", "203.0.113.10:80", Way::Both), contender("nat by hand", "203.0.113.30:80", Way::Both)],
    [contender("dr", "10.0.20.100:80", Way::Requests), contender("dr by hand", "10.0.20.101:80", Way::Requests)],
    [contender("tun", "203.0.113.20:80", Way::Requests), contender("tun by hand", "203.0.113.40:80", Way::Requests)],
];

/// And in the one that needs it for all.
const FULLNAT: [[Contender; 2]; 1] =
    [[contender("fullnat", "203.0.113.11:80", Way::Both), contender("fullnat by hand", "203.0.113.31:80", Way::Both)]];

/// What ours is told for it.
const FULLNAT_LINES: [&str; 8] = [
    "ip nat pool sources 10.0.20.200",
    "virtual-server fullnat",
    "virtual 203.0.113.11 tcp 80",
    "scheduler rr",
    "mode fullnat",
    "source-nat pool sources",
    "real-server 10.0.20.11 8080",
    "real-server 10.0.20.12 8080",
];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connections,
    Bulk,
}

impl Kind {
    const fn what(self) -> &'static str {
        match self {
            Self::Connections => "new connections",
            Self::Bulk => "bulk",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Connections => "/s",
            Self::Bulk => "MB/s",
        }
    }
}

/// Measures the modes without connection tracking.
pub(super) fn plain(scene: &mut Scene<'_>) -> Result<()> {
    start(scene)?;
    measure(scene, &PLAIN)
}

/// Measures mode fullnat, in a machine of its own: there, everything is tracked.
pub(super) fn fullnat(scene: &mut Scene<'_>) -> Result<()> {
    start(scene)?;
    scene.must("mode_fullnat_serves", |world| {
        world.console()?.configure(&FULLNAT_LINES)?;
        world.shell()?.ok("sh /rivals fullnat")?;
        FULLNAT.iter().flatten().try_for_each(answers)
    })?;
    measure(scene, &FULLNAT)
}

/// The machine with everybody in it.
fn start(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.world.stop_captures();
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/rivals");
    let programs = ["/usr/sbin/haproxy", "/usr/sbin/nginx", "/usr/lib/nginx/modules/ngx_stream_module.so"];
    scene.boot(Machine {
        // haproxy ends with an illegal instruction on a processor without CMPXCHG16B.
        firmware: Firmware::Direct { append: "clearcpuid=cx16".to_owned() },
        cmpxchg16b: true,
        memory: 1024,
        lab_files: programs.into_iter().map(Into::into).chain([guest]).collect(),
        more_cards: &["tap-out3", "tap-in3", "tap-out4", "tap-in4"],
        ..Machine::default()
    })?;
    scene.must("all_of_them_serve", |world| {
        routes()?;
        for ns in SERVERS {
            std::fs::write(world.dir.join(ns.name()).join("bulk.bin"), vec![b'x'; BULK_BYTES])?;
        }
        world.shell()?.wait_ready()?;
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/data.cfg")))?;
        world.shell()?.ok("sh /rivals start")?;
        PLAIN.iter().flatten().chain(&PROXIES).try_for_each(answers)
    })
}

/// What the lab's network does not have: more virtual addresses on the real servers, and the way back through the director by hand. Who asks it has
/// another address, because a real server sends its answers by that.
fn routes() -> Result<()> {
    net::ip(&["-n", &Ns::Client.name(), "addr", "add", "203.0.113.97/24", "dev", "out0"])?;
    for at in ["203.0.113.30", "203.0.113.31"] {
        let route = ["-n", &Ns::Client.name(), "route", "add", at, "dev", "out0", "src", "203.0.113.97"];
        net::ip(&route)?;
    }
    for server in SERVERS {
        let name = server.name();
        net::ip(&["-n", &name, "route", "add", "203.0.113.97", "via", "10.0.20.3"])?;
        net::ip(&["-n", &name, "addr", "add", "10.0.20.101/32", "dev", "lo"])?;
        net::ip(&["-n", &name, "addr", "add", "203.0.113.40/32", "dev", "lo"])?;
        net::ip(&["-n", &name, "rule", "add", "from", "203.0.113.40", "lookup", "20"])?;
    }
    Ok(())
}

fn answers(contender: &Contender) -> Result<()> {
    let at = contender.at.parse()?;
    wait::until(contender.name, SERVING_LIMIT, || load::connections(at, 16))
}

/// What one measurement of a contender found.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Requests, or millions of bytes.
    amount: f64,
    /// What the emulated processor worked for it.
    worked: Duration,
}

impl Sample {
    /// In a second of the processor's work.
    fn rate(self) -> f64 {
        self.amount / self.worked.as_secs_f64()
    }
}

fn sample(world: &mut World, contender: &Contender, kind: Kind) -> Result<Sample> {
    let at: SocketAddr = contender.at.parse()?;
    let before = idle(world)?;
    let amount = match kind {
        Kind::Connections => {
            let count = if contender.way == Way::Proxy { REQUESTS.1 } else { REQUESTS.0 };
            load::connections(at, count).with_context(|| contender.name)?;
            count as f64
        }
        Kind::Bulk => {
            let times = if contender.way == Way::Requests { ONE_WAY_BULK } else { 1 };
            load::bulk(at, BULK_BYTES as u64, times).with_context(|| contender.name)? as f64 / 1e6
        }
    };
    Ok(Sample { amount, worked: idle(world)?.saturating_sub(before) })
}

/// Waits until the box has nothing to do; returns what its processor has worked until then.
fn idle(world: &mut World) -> Result<Duration> {
    let mut last = Duration::ZERO;
    wait::until("the box to be idle", IDLE_LIMIT, || {
        let worked = world.vm()?.processor_time()?;
        let since = worked.saturating_sub(std::mem::replace(&mut last, worked));
        ensure!(since < IDLE, "its processor has worked for {since:?}");
        Ok(worked)
    })
}

/// Both kinds in these modes: rounds in which everybody has a turn, forwards and backwards.
fn measure(scene: &mut Scene<'_>, modes: &'static [[Contender; 2]]) -> Result<()> {
    for kind in [Kind::Connections, Kind::Bulk] {
        let figures = scene.must(&kind.what().replace(' ', "_"), |world| {
            let contenders: Vec<&Contender> = modes.iter().flatten().chain(&PROXIES).collect();
            let mut rates = vec![Vec::new(); contenders.len()];
            // The first round fills the emulator's cache of translated code.
            for round in 0..=ROUNDS {
                let forwards = 0..contenders.len();
                let turns: Vec<usize> = if round % 2 == 0 { forwards.collect() } else { forwards.rev().collect() };
                for turn in turns {
                    let found = sample(world, contenders[turn], kind)?;
                    if round > 0 {
                        rates[turn].push(found.rate());
                    }
                }
            }
            figures(kind, &contenders, &rates)
        })?;
        scene.figures(figures);
    }
    Ok(())
}

/// Ours by each rival: `contenders` has ours and the one by hand of each mode in turns, and the proxies last.
fn figures(kind: Kind, contenders: &[&Contender], rates: &[Vec<f64>]) -> Result<Vec<Figure>> {
    let proxies = contenders.len() - PROXIES.len();
    let mut figures = Vec::new();
    for ours in (0..proxies).step_by(2) {
        for rival in [ours + 1, proxies, proxies + 1] {
            let ratios: Vec<f64> = rates[ours].iter().zip(&rates[rival]).map(|(ours, rival)| ours / rival).collect();
            let (measured, interval) = ratio::median(&ratios).context("too few pairs")?;
            let rate = |of: usize| ratio::median(&rates[of]).map_or(0.0, |(rate, _)| rate);
            let (goal, name) =
                if rival == ours + 1 { (GOALS.0, "the same by hand") } else { (GOALS.1, contenders[rival].name) };
            let what = format!("{}, {}, of {name}", kind.what(), contenders[ours].name);
            let beside = format!("{:.0} and {:.0} {}", rate(ours), rate(rival), kind.unit());
            figures.push(Figure {
                interval: Some(interval),
                ..Figure::plain(what, measured, "", Goal::AtLeast(goal)).beside(beside)
            });
        }
    }
    Ok(figures)
}
