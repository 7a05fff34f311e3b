//! A box whose clock is years off, and a time server: told within the boot of `operator`, whose machine wakes up in 2020.
//!
//! The server is the image's own chrony, out of the base, with this machine's clock.

use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::net::Ns;
use crate::runner::{Scene, World};
use crate::{target, wait};

/// What the machine's clock says when it is switched on, for QEMU.
pub(super) const WRONG_CLOCK: &str = "2020-02-02T02:02:02";
/// A burst of four questions, two seconds apart, and an emulated box.
const RIGHT_LIMIT: Duration = Duration::from_secs(30);

/// Leaves the box with the right time and the configuration that it had.
pub(super) fn checks(scene: &mut Scene<'_>) {
    scene.check("a_clock_that_is_years_off_is_right_soon_after_a_time_server_is_named", |world| {
        ensure!((off(world)?.abs()) > 100_000_000, "the clock was right before");
        let mut server = serve(world)?;
        let done = synchronise(world);
        let _ = server.kill();
        let _ = server.wait();
        done
    });
    scene.check("times_are_told_in_the_zone_of_the_configuration", |world| {
        let console = world.console()?;
        console.configure(&["clock timezone Europe/Madrid"])?;
        let shown = console.ok("show clock")?.text();
        ensure!(shown.contains(" CET ") || shown.contains(" CEST "), "{shown}");
        // `Nov 21 11:04:11.123 director: ...` has the hour of `11:04:11 CET ...`, or the one before.
        let hour = |text: &str, at: usize| text.get(at..at + 2).and_then(|digits| digits.parse::<u8>().ok());
        let logged = console.ok("show logging tail 1")?.text();
        let now = hour(&console.ok("show clock")?.text(), 0).context("show clock has no hour")?;
        let then = hour(&logged, 7).with_context(|| format!("no hour in {logged}"))?;
        ensure!(now == then || now == (then + 1) % 24, "{logged} was logged at {now} o'clock");
        console.ok("configure terminal")?;
        let refused = console.run("clock timezone Europe/Nowhere")?.text();
        console.ok("end")?;
        ensure!(refused.contains("Europe/Nowhere is no zone"), "{refused}");
        // The checks after this one count the lines of the configuration.
        console.configure(&["no clock timezone"])
    });
}

fn synchronise(world: &mut World) -> Result<()> {
    world.console()?.configure(&["ntp server 203.0.113.99"])?;
    wait::until("the right time", RIGHT_LIMIT, || {
        let off = off(world)?;
        ensure!(off.abs() <= 1, "the clock is {off} s off");
        Ok(())
    })?;
    let shown = world.console()?.ok("show ntp")?.text();
    ensure!(shown.contains("synchronised to 203.0.113.99, stratum 6") && shown.contains("selected"), "{shown}");
    let log = world.console()?.ok("show logging | include ntp")?.text();
    ensure!(log.matches("System clock was stepped by").count() == 1, "{log}");
    // A line from before it was right has the right date too.
    let year = world.console()?.json("show logging tail 5000")?["log"][0]["unix_ms"].as_u64().context("no date")?;
    ensure!(year / 1000 + 86_400 > now(), "the first line of the log is of {year}");
    world.console()?.configure(&["no ntp server 203.0.113.99"])
}

/// Seconds the box is ahead of this machine.
fn off(world: &mut World) -> Result<i64> {
    let told = world.console()?.json("show clock")?["clock"]["unix_s"].as_i64().context("show clock")?;
    Ok(told - now().cast_signed())
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the clock that the box is to agree with")]
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Starts the time server on the client.
fn serve(world: &World) -> Result<Child> {
    let root = target().join("base/root");
    let loader = root.join("usr/lib64/ld-linux-x86-64.so.2");
    let mut command = Ns::Client.command(loader.to_str().context("path")?);
    command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu")).arg(root.join("usr/sbin/chronyd"));
    // Leaves this machine's clock alone, and answers with it.
    command.args(["-x", "-d", "-u", "root", "local stratum 5", "allow", "cmdport 0", "bindcmdaddress /"]);
    command.arg(format!("pidfile {}", world.dir.join("chronyd.pid").display()));
    let log = std::fs::File::create(world.dir.join("chronyd.log"))?;
    command.stdout(Stdio::null()).stderr(log).spawn().context("start chronyd out of the base")
}
