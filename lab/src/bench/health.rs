//! What health checks cost and how punctual they are, not emulated: the prober of the image's director, on this machine's loopback, against
//! servers of this process or, where what is left of it is counted, of another.
//!
//! Beside keepalived they are measured in [`beside`]: its checker runs only where there is IPVS, in a virtual machine.

pub(super) mod beside;
pub(super) mod servers;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use yoke_config::model::Config;
use yoke_health::{Prober, Report, SourcePorts, Wanted, targets};

use self::servers::{Arrivals, Bad};
use crate::figure::{Figure, Goal};
use crate::runner::Scene;
use crate::{processor, wait};

/// Servers of the punctual.
const MANY: usize = 10_000;
/// Their interval, and for how many intervals they are watched.
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVALS: u32 = 5;
/// Servers of each bad kind, asked every second: 100,000 checks in 42 s.
const BAD_EACH: usize = 400;
const CHECKS: u64 = 100_000;
/// What memory may have grown by then: by no byte of a check, but the allocator's peaks come and go.
const MEMORY_KIB: f64 = 16.0 * 1024.0;
/// Checks before those: the allocator has then what answers of 64 KiB, 400 at a time, take.
const WARM: u64 = 50_000;
const CHECKS_LIMIT: Duration = Duration::from_secs(180);
/// After the end, until what was under way is over: a timeout, and what a busy machine adds.
const OVER: Duration = Duration::from_secs(10);

/// Measures.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let figures = scene.must("punctual", |_| punctual())?;
    scene.figures(figures);
    let figures = scene.must("bad_servers", |_| bad_servers())?;
    scene.figures(figures);
    Ok(())
}

/// Ten thousand servers by tcp every five seconds: how late each check comes after the one before it, as the servers see it.
fn punctual() -> Result<Vec<Figure>> {
    let arrivals = Arrivals::default();
    let port = servers::counting(arrivals.clone())?;
    let text = virtual_server("many", "tcp", port, MANY);
    let prober = start(&text)?;
    let times = usize::try_from(INTERVALS)? + 1;
    let began = wait::now();
    wait::until("checks of all servers", INTERVAL * (INTERVALS + 4), || {
        let arrivals = arrivals.lock().map_err(|_| anyhow::anyhow!("a server panicked"))?;
        let asked = arrivals.values().filter(|seen| seen.len() >= times).count();
        ensure!(asked == MANY, "{asked} of {MANY} servers were asked {times} times");
        Ok(())
    })?;
    let took = began.elapsed();
    let cpu = cpu_of_prober()?;
    drop(prober);
    let (mut late, mut checks) = (Vec::new(), 0);
    let arrivals = arrivals.lock().map_err(|_| anyhow::anyhow!("a server panicked"))?;
    for times in arrivals.values() {
        checks += times.len();
        late.extend(times.windows(2).map(|pair| (pair[1] - pair[0]).saturating_sub(INTERVAL)));
    }
    late.sort_unstable();
    let at = |per_mille: usize| late[late.len() * per_mille / 1000].as_secs_f64() * 1e3;
    let each = cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(checks)?);
    Ok(vec![
        Figure::plain("10,000 checks every 5 s: late, 99th percentile", at(990), "ms", Goal::AtMost(200.0))
            .beside(format!("median {:.1} ms, worst {:.1} ms", at(500), at(999))),
        Figure::plain("processor time of a check by tcp", each, "us", Goal::None).beside(format!(
            "{checks} checks in {:.1} s, {:.1} s of a processor",
            took.as_secs_f64(),
            cpu.as_secs_f64()
        )),
    ])
}

/// A hundred thousand checks of servers that do everything wrong: what is left of them.
fn bad_servers() -> Result<Vec<Figure>> {
    let mut text = String::from(
        "health-monitor plain\n type http\n interval 1\n timeout 1\n retry 0\nhealth-monitor tls\n type https\n interval 1\n timeout 1\n retry 0\n",
    );
    let bad = Bad::start()?;
    for (name, monitor, port) in &bad.kinds {
        text.push_str(&virtual_server(name, monitor, *port, BAD_EACH));
    }
    let prober = start("")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(prober.reports());
    let before = descriptors()?;
    probe(&prober, &text)?;
    let reports = || runtime.block_on(prober.reports());
    let count = |reports: &[Report]| reports.iter().map(|report| report.good + report.failed).sum::<u64>();
    // What everything needs once is there after the first few.
    let until = |checks: u64| {
        wait::until("checks", CHECKS_LIMIT, || {
            let made = count(&reports());
            ensure!(made >= checks, "{made} of {checks} checks");
            Ok(())
        })
    };
    until(WARM)?;
    let (resident, began) = (resident_bytes()?, wait::now());
    until(WARM + CHECKS)?;
    let (grown, took) = (resident_bytes()?.saturating_sub(resident), began.elapsed());
    let reports = reports();
    let good = reports.iter().map(|report| report.good).sum::<u64>();
    ensure!(good == 0, "{good} checks of bad servers were good");
    let reasons: BTreeSet<&str> =
        reports.iter().filter_map(|report| Some(report.last.as_ref()?.1.as_ref().err()?.as_str())).collect();
    let beside = format!("{:.0} checks/s: {}", CHECKS as f64 / took.as_secs_f64(), Vec::from_iter(reasons).join("; "));
    prober.probe(Wanted::default());
    let left = || anyhow::Ok(descriptors()?.saturating_sub(before));
    let gone = wait::until("descriptors to be closed", OVER, || {
        let left = left()?;
        ensure!(left == 0, "{left} are open");
        Ok(0)
    });
    let left = gone.or_else(|_| left())?;
    Ok(vec![
        Figure::plain("descriptors left by 100,000 checks of bad servers", left as f64, "", Goal::AtMost(0.0))
            .beside(beside),
        Figure::plain("memory they leave", grown as f64 / 1024.0, "KiB", Goal::AtMost(MEMORY_KIB)),
    ])
}

fn virtual_server(name: &str, monitor: &str, port: u16, servers: usize) -> String {
    let mut text = format!("virtual-server {name}\n virtual 192.0.2.1 tcp {port}\n health-check {monitor}\n");
    for n in 0..servers {
        // 127.1.0.0 and on: each an address of this machine.
        let address = Ipv4Addr::from(0x7f01_0000 + u32::try_from(n).unwrap_or(0));
        let _ = writeln!(text, " real-server {address} {port}");
    }
    text
}

fn start(text: &str) -> Result<Prober> {
    let (news, _) = tokio::sync::mpsc::unbounded_channel();
    let prober = Prober::start(news, || wait::now() - *START)?;
    probe(&prober, text)?;
    Ok(prober)
}

fn probe(prober: &Prober, text: &str) -> Result<()> {
    let (tree, rejected) = yoke_config::tree::load(text);
    ensure!(rejected.is_empty(), "{:?}", rejected[0]);
    let config = Config::try_from(&tree).map_err(|problems| anyhow::anyhow!("{}", problems[0]))?;
    let targets = targets(&config, &mut SourcePorts::default(), |_, _| true);
    prober.probe(Wanted { targets, hostname: "lab".to_owned(), ..Wanted::default() });
    Ok(())
}

/// Of the clock that the prober gets.
static START: LazyLock<Instant> = LazyLock::new(wait::now);

/// What the prober's thread has used.
fn cpu_of_prober() -> Result<Duration> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim_end() == "health" {
            return processor::time(&task);
        }
    }
    anyhow::bail!("the prober has no thread")
}

fn resident_bytes() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    Ok(statm.split_whitespace().nth(1).context("statm is short")?.parse::<u64>()? * 4096)
}

fn descriptors() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}
