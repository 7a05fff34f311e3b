//! `yoke-lab bench`: the figures the product promises, measured on the real image, each with its goal beside it.
//!
//! Under emulation, on this machine, in one run; where a peer exists the figure is a ratio against it in the same VM. A goal
//! that is not met is said, not hidden; only a measurement that could not be made fails the command.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::console::BOOT_LIMIT;
use crate::net::{Ns, addr};
use crate::runner::{Report, Rung, Scenario, Scene, World, say};
use crate::scenario::{PASSWORD, serve_nat};
use crate::vm::{Firmware, Machine};
use crate::{disk, grammar_bench, target, wait};

/// Boots measured; the median counts.
const BOOTS: usize = 3;
/// `ipvsadm -R` of 11,000 rows takes seconds under emulation, and it is run five times.
const IPVS_LIMIT: Duration = Duration::from_secs(400);

/// One figure.
struct Figure {
    what: &'static str,
    measured: f64,
    goal: f64,
    unit: &'static str,
}

/// Measures everything and prints the table.
///
/// # Errors
/// When something could not be measured.
pub fn run() -> Result<()> {
    let start = wait::now();
    let mut report = Report::default();
    report.run(&Scenario { rung: Rung::Long, name: "bench", run: measure });
    report.finish(wait::now() - start)
}

fn measure(scene: &mut Scene<'_>) -> Result<()> {
    let mut figures = Vec::new();
    scene.must("grammar", |_| {
        figures.extend(grammar_bench::measure()?.map(|(what, measured, goal)| Figure {
            what,
            measured,
            goal,
            unit: "ms",
        }));
        Ok(())
    })?;
    scene.must("image_size", |_| {
        let bytes = std::fs::metadata(target().join("yoke-x86_64.img.zst"))?.len();
        figures.push(Figure { what: "image, compressed", measured: mib(bytes), goal: 40.0, unit: "MiB" });
        Ok(())
    })?;
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("boot", |world| {
        serve_nat(world)?;
        world.console()?.ok("write memory")?;
        let mut boots = (0..BOOTS).map(|_| boot(world)).collect::<Result<Vec<_>>>()?;
        let mut median = |pick: fn(&mut Boot) -> &mut f64| {
            let mut times: Vec<f64> = boots.iter_mut().map(|boot| *pick(boot)).collect();
            times.sort_by(f64::total_cmp);
            times[BOOTS / 2]
        };
        let (prompt, answer) = (median(|boot| &mut boot.prompt), median(|boot| &mut boot.answer));
        let power = median(|boot| &mut boot.power);
        figures.push(Figure { what: "kernel start to console prompt", measured: prompt, goal: 4.0, unit: "s" });
        figures.push(Figure { what: "kernel start to first balanced answer", measured: answer, goal: 6.0, unit: "s" });
        figures.push(Figure { what: "power-on to kernel start (no goal)", measured: power, goal: f64::NAN, unit: "s" });
        Ok(())
    })?;
    scene.must("memory_at_idle", |world| {
        let row = world.console()?.json("show memory")?;
        let used = find(&row, "used_kib").context("show memory has no used_kib")?;
        figures.push(Figure { what: "memory in use at idle", measured: used / 1024.0, goal: 80.0, unit: "MiB" });
        world.cut_power()
    })?;
    let compared = scene.must("ipvs_against_ipvsadm", |world| {
        let program = ipvs_bench()?;
        world.machine.firmware = Firmware::Direct { append: String::new() };
        world.machine.lab_files = vec![program];
        world.power_on()?;
        world.shell()?.wait_ready()?;
        // The box has finished its own work, and is idle, when the console asks for a login.
        world.console()?.wait_login(BOOT_LIMIT)?;
        // A network namespace of its own: the director would heal its table. Without an address there it has no table of local routes, and
        // then the kernel takes no address for unicast.
        let said = world.shell()?.ok_within("unshare -n sh -c 'ip link set lo up && exec /bench'", IPVS_LIMIT)?;
        say(&said);
        for (row, what, goal) in [
            ("program ", "1,000 x 10 programmed, of ipvsadm -R", 0.25),
            ("observe and plan nothing", "1,000 x 10 reconciled to nothing, of ipvsadm -R", 0.1),
        ] {
            let line = said.lines().find(|line| line.starts_with(row)).with_context(|| format!("no row `{row}`"))?;
            let (_, ratio) = line.split_once("1/").with_context(|| format!("no ratio in `{line}`"))?;
            let ratio: f64 = ratio.split_whitespace().next().unwrap_or_default().parse()?;
            figures.push(Figure { what, measured: 1.0 / ratio, goal, unit: "" });
        }
        Ok(())
    });
    print(&figures);
    compared
}

fn print(figures: &[Figure]) {
    say(&format!("\n{:50} {:>12} {:>12}", "figure (TCG, one core; medians)", "measured", "goal"));
    for Figure { what, measured, goal, unit } in figures {
        let verdict = if goal.is_nan() {
            ""
        } else if measured <= goal {
            "met"
        } else {
            "NOT MET"
        };
        let goal = if goal.is_nan() { String::new() } else { format!("{goal} {unit}") };
        say(&format!("{what:50} {:>12} {goal:>12}  {verdict}", format!("{measured:.3} {unit}")));
    }
}

/// Seconds of one boot from a saved configuration.
struct Boot {
    /// QEMU's start to the start of the kernel's clock: firmware, loader, decompression.
    power: f64,
    /// From there to `login:` on the serial console.
    prompt: f64,
    /// From there to the first answer of a real server to the client.
    answer: f64,
}

/// Cuts the power, switches on again and takes the times. They are of this machine's clock; when the guest's kernel started
/// is found afterwards, from the moment its uptime passes a whole second.
fn boot(world: &mut World) -> Result<Boot> {
    world.cut_power()?;
    let stop = AtomicBool::new(false);
    let (started, prompt, answer) = std::thread::scope(|scope| -> Result<_> {
        let first = scope.spawn(|| first_answer(addr::VIP_NAT, &stop));
        let prompt = (|| -> Result<_> {
            world.power_on()?;
            let started = world.vm()?.started;
            Ok((started, world.console()?.wait_login(BOOT_LIMIT)?))
        })();
        if prompt.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let answer = first.join().ok().context("the asking thread panicked")??;
        let (started, prompt) = prompt?;
        Ok((started, prompt, answer))
    })?;
    let console = world.console()?;
    console.login("admin", PASSWORD)?;
    let mut uptime = || -> Result<(Instant, f64)> {
        let asked = wait::now();
        let row = world.console()?.json("show version")?;
        let between = asked + (wait::now() - asked) / 2;
        Ok((between, find(&row, "uptime_s").context("show version has no uptime_s")?))
    };
    let (mut before, seconds) = uptime()?;
    let kernel = loop {
        let (at, now) = uptime()?;
        if now > seconds {
            // It passed somewhere between the two looks.
            break before + (at - before) / 2 - Duration::from_secs_f64(now);
        }
        before = at;
    };
    let since = |at: Instant| at.saturating_duration_since(kernel).as_secs_f64();
    Ok(Boot { power: (kernel - started).as_secs_f64(), prompt: since(prompt), answer: since(answer) })
}

/// Asks `vip` without a pause until something answers.
fn first_answer(vip: &str, stop: &AtomicBool) -> Result<Instant> {
    let to = SocketAddr::new(vip.parse()?, 80);
    let deadline = wait::now() + BOOT_LIMIT;
    Ns::Client.enter(|| {
        while !stop.load(Ordering::Relaxed) && wait::now() < deadline {
            let answered = TcpStream::connect_timeout(&to, Duration::from_millis(100)).and_then(|mut stream| {
                stream.set_read_timeout(Some(Duration::from_secs(2)))?;
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                Ok(text.contains("lvs_real_server"))
            });
            if answered.unwrap_or(false) {
                return Ok(wait::now());
            }
        }
        bail!("{vip} does not answer")
    })
}

/// The first number called `name` anywhere in `value`.
fn find(value: &serde_json::Value, name: &str) -> Option<f64> {
    match value {
        serde_json::Value::Object(map) => {
            map.get(name).and_then(serde_json::Value::as_f64).or_else(|| map.values().find_map(|v| find(v, name)))
        }
        serde_json::Value::Array(list) => list.iter().find_map(|v| find(v, name)),
        _ => None,
    }
}

fn mib(bytes: u64) -> f64 {
    // Exact below 2^52 bytes.
    Duration::from_micros(bytes).as_secs_f64() * 1e6 / f64::from(1 << 20)
}

/// Builds the measuring program of the room `ipvs`, static, as the image's own programs are.
fn ipvs_bench() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the lab is in a workspace")?;
    let triple = "x86_64-unknown-linux-gnu";
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--quiet",
        "--profile",
        "image",
        "--target",
        triple,
        "--package",
        "ipvs",
        "--example",
        "bench",
    ]);
    disk::run(cargo.current_dir(workspace).env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    let built = target().with_file_name(triple).join("image/examples/bench");
    ensure!(built.exists(), "{} was not built", built.display());
    Ok(built)
}
