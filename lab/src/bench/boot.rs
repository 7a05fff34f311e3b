//! How long a box takes from power-on to the first balanced answer, how large its image is, and what it needs at idle.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::debian::Debian;
use crate::console::BOOT_LIMIT;
use crate::figure::{Figure, Goal};
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::scenario::{PASSWORD, serve_nat};
use crate::vm::Machine;
use crate::{target, wait};

/// Boots measured; the median counts.
const BOOTS: usize = 3;

/// Measures.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let bytes = scene.must("image_size", |_| Ok(std::fs::metadata(target().join("yoke-x86_64.img.zst"))?.len()))?;
    scene.network()?;
    scene.boot(Machine::default())?;
    let mut boots = scene.must("boot", |world| {
        serve_nat(world)?;
        world.console()?.ok("write memory")?;
        (0..BOOTS).map(|_| boot(world)).collect::<Result<Vec<_>>>()
    })?;
    let used = scene.must("memory_at_idle", |world| {
        let row = world.console()?.json("show memory")?;
        find(&row, "used_kib").context("show memory has no used_kib")
    })?;
    let mut median = |pick: fn(&Boot) -> f64| {
        boots.sort_by(|a, b| pick(a).total_cmp(&pick(b)));
        pick(&boots[BOOTS / 2])
    };
    let rival = scene.must("debian", |world| {
        world.cut_power()?;
        debian(world)
    })?;
    let beside = |value: f64, unit: &str| format!("Debian, keepalived: {value:.1} {unit}");
    // A kernel with the release's options has the release's goals.
    let (prompt, answer) = if std::env::var_os("YOKE_KERNEL").is_some() { (3.0, 4.0) } else { (4.0, 6.0) };
    scene.figures([
        Figure::plain("image, compressed", mib(bytes), "MiB", Goal::AtMost(40.0))
            .beside(beside(mib(rival.bytes), "MiB")),
        Figure::plain("kernel start to console prompt", median(|boot| boot.prompt), "s", Goal::AtMost(prompt))
            .beside(beside(rival.prompt, "s")),
        Figure::plain("kernel start to first balanced answer", median(|boot| boot.answer), "s", Goal::AtMost(answer))
            .beside(beside(rival.answer, "s")),
        Figure::plain("power-on to kernel start (no goal)", median(|boot| boot.power), "s", Goal::None),
        Figure::plain("memory in use at idle", used / 1024.0, "MiB", Goal::AtMost(80.0))
            .beside(beside(rival.used / 1024.0, "MiB")),
    ]);
    Ok(())
}

/// The same of Debian with keepalived.
struct Rival {
    bytes: u64,
    prompt: f64,
    answer: f64,
    /// KiB.
    used: f64,
}

/// Boots it once: it is several times slower, so the spread of a median of three does not matter.
fn debian(world: &mut World) -> Result<Rival> {
    let debian = Debian::install()?;
    let bytes = debian.compressed()?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| first_answer(addr::VIP_NAT, &stop));
        let look = || -> Result<_> {
            let mut running = debian.start(&world.dir)?;
            let prompt = running.wait_login()?;
            // Its services may still be starting when the console asks.
            wait::until("the first answer", BOOT_LIMIT, || {
                ensure!(first.is_finished(), "no answer yet");
                Ok(())
            })?;
            let (kernel, used) = running.ask()?;
            Ok((kernel, prompt, used))
        };
        let looked = look();
        stop.store(true, Ordering::Relaxed);
        let answer = first.join().ok().context("the asking thread panicked")?;
        let (kernel, prompt, used) = looked?;
        let since = |at: Instant| at.saturating_duration_since(kernel).as_secs_f64();
        Ok(Rival { bytes, prompt: since(prompt), answer: since(answer?), used })
    })
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
