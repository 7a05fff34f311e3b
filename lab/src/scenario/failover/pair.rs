//! Two boxes in QEMU with one service: who has the addresses, and what becomes of connections when the other one takes over.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{LIMIT, all, groups};
use crate::console::Console;
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::scenario::{PASSWORD, typed, wait_serving};
use crate::servers::SLOW_BYTES;
use crate::traffic::{self, Load};
use crate::wait;

/// From the loss of a box to the first answer of the other: 0.3 s of the protocol, a new connection that has lost its first segments (1 s), and
/// two emulated machines on a busy core.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(5);
/// Longest an idle connection waits for its answer after that.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Tells it; the first box is on, and active.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.must("a_second_box_is_backup_and_holds_nothing", |world| {
        world.console()?.configure(&typed(include_str!("../../../config/pair.cfg")))?;
        world.console()?.ok("write memory")?;
        world.power_on_second()?;
        let config = mirrored(include_str!("../../../config/pair.cfg"));
        let console = second(world)?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(&config))?;
        wait::until("the second box to hear the first", LIMIT, || {
            let rows = groups(second(world)?)?;
            let right = |row: &serde_json::Value| {
                row["state"] == "backup" && row["held"] == 0 && row["peer"]["priority"] == 254
            };
            ensure!(rows.len() == 2 && rows.iter().all(right), "{rows:?}");
            Ok(())
        })?;
        all(world.console()?, "active")?;
        let rows = second(world)?.ok("show interfaces")?.text();
        ensure!(!rows.contains(addr::VIP_NAT) && !rows.contains("10.0.20.1/"), "{rows}");
        let rows = second(world)?.ok("show virtual-server")?.text();
        ensure!(rows.contains(" backup "), "{rows}");
        wait_serving().map(drop)
    })?;
    scene.check("a_connection_is_known_to_the_other_box", |world| {
        let line = Talk::start()?;
        let roles = |console: &mut Console| -> Result<(bool, bool)> {
            let row = console.json("show connection-sync")?["connection_sync"].clone();
            Ok((row["sends"] == true, row["receives"] == true))
        };
        ensure!(roles(world.console()?)? == (true, true), "{:?}", roles(world.console()?)?);
        ensure!(roles(second(world)?)? == (false, true), "{:?}", roles(second(world)?)?);
        known(world, line.port)
    });
    scene.check("a_reset_ends_a_connection_on_both_boxes", |world| {
        let line = Talk::start()?;
        known(world, line.port)?;
        let said = world.console()?.ok("reset connections client 203.0.113.99")?.text();
        for number in [1, 2] {
            wait::until("the connection to go", LIMIT, || {
                let rows = of(world, number)?.ok("show connections")?.text();
                ensure!(!rows.contains(&format!(":{}", line.port)), "{said}\n{rows}");
                Ok(())
            })?;
        }
        Ok(())
    });
    scene.check("a_hand_over_by_hand_and_back_loses_no_connection", |world| {
        let mut line = Talk::start()?;
        known(world, line.port)?;
        for (from, to) in [(1, 2), (2, 1)] {
            let word = if from == 1 { "hand-over vrrp all" } else { "hand-back vrrp all" };
            world.console()?.ok(word)?;
            wait::until("the other box", LIMIT, || all(of(world, to)?, "active"))?;
            all(of(world, from)?, "backup")?;
            line.speak()?;
            wait_serving()?;
        }
        Ok(())
    });
    scene.check("a_connection_of_the_last_moment_outlives_a_hand_over", |world| {
        let mut line = Talk::start()?;
        world.console()?.ok("hand-over vrrp all")?;
        wait::until("the other box", LIMIT, || all(second(world)?, "active"))?;
        // Before its news has arrived: not answered by a reset, and by then it is known.
        line.speak()?;
        world.console()?.ok("hand-back vrrp all")?;
        wait::until("the first box", LIMIT, || all(world.console()?, "active"))?;
        line.speak()
    });
    scene.must("power_loss_is_a_pause_for_old_connections_and_for_new_ones", |world| {
        let mut line = Talk::start()?;
        let url = format!("http://{}/slow", addr::VIP_NAT);
        let slow = ["--max-time", "60", "-o", "/dev/null", "-w", "%{size_download} %{local_port}"];
        std::thread::scope(|scope| {
            let download = scope.spawn(|| traffic::curl(Ns::Client, &slow, &url));
            known(world, line.port)?;
            // Two of them: the download's too.
            wait::until("both connections at the second box", LIMIT, || {
                let rows = second(world)?.ok("show connections")?.text();
                ensure!(rows.matches("203.0.113.99").count() >= 2, "{rows}");
                Ok(())
            })?;
            world.cut_power()?;
            let lost = wait::now();
            wait::until("a new connection", TAKEOVER_LIMIT, || traffic::http(addr::VIP_NAT))?;
            crate::runner::say(&format!("  first answer {:?} after the power loss", wait::now() - lost));
            line.speak()?;
            let got = download.join().ok().context("curl panicked")??;
            let got = got.split_whitespace().next().unwrap_or_default().to_owned();
            ensure!(got == SLOW_BYTES.to_string(), "it got {got} of {SLOW_BYTES} bytes");
            all(second(world)?, "active")
        })
    })?;
    scene.must("the_box_that_returns_stays_backup_and_learns", |world| {
        let line = Talk::start()?;
        world.power_on()?;
        world.console()?.login("admin", PASSWORD)?;
        wait::until("the first box to be backup", LIMIT, || all(world.console()?, "backup"))?;
        all(second(world)?, "active")?;
        // What speaks again is sent again.
        let mut line = line;
        wait::until("a connection of before to be known", LIMIT, || {
            line.speak()?;
            let rows = world.console()?.ok("show connections")?.text();
            ensure!(rows.contains(&line.port.to_string()), "{rows}");
            Ok(())
        })?;
        world.console()?.ok("hand-back vrrp all")?;
        wait::until("the first box", LIMIT, || all(world.console()?, "active"))?;
        line.speak()
    })?;
    scene.check("an_orderly_reload_hands_over_first", |world| {
        let mut line = Talk::start()?;
        known(world, line.port)?;
        let load = Load::start(addr::VIP_NAT);
        // The kernel keeps the news of one for up to 3 s before it tells the other box.
        let mut last = Talk::start()?;
        world.console()?.serial.send("reload force\r")?;
        wait::until("the second box", LIMIT, || all(second(world)?, "active"))?;
        line.speak()?;
        world.wait_off(LIMIT)?;
        line.speak()?;
        last.speak().context("a connection of the last moment")?;
        load.stop().map(drop)
    });
    Ok(())
}

/// The first box's configuration for the second.
pub(in crate::scenario) fn mirrored(config: &str) -> String {
    let mut config = config.to_owned();
    for (first, second) in [
        ("hostname lb1", "hostname lb2"),
        ("203.0.113.2/24", "203.0.113.3/24"),
        ("10.0.20.2/24", "10.0.20.3/24"),
        ("priority 254", "priority 253"),
        ("peer 10.0.20.3", "peer 10.0.20.2"),
    ] {
        config = config.replace(first, second);
    }
    config
}

/// Console of the second box.
fn second(world: &mut World) -> Result<&mut Console> {
    Ok(&mut world.second()?.console)
}

pub(in crate::scenario) fn of(world: &mut World, number: u32) -> Result<&mut Console> {
    if number == 1 { world.console() } else { second(world) }
}

/// Waits until the second box knows the client's connection from `port`.
fn known(world: &mut World, port: u16) -> Result<()> {
    wait::until("the connection at the second box", LIMIT, || {
        let rows = second(world)?.ok("show connections")?.text();
        ensure!(rows.contains(&port.to_string()), "{rows}");
        Ok(())
    })
}

/// A connection of the client that is idle until it speaks.
struct Talk {
    stream: BufReader<TcpStream>,
    port: u16,
}

impl Talk {
    fn start() -> Result<Self> {
        let stream = Ns::Client.enter(|| {
            let to = format!("{}:80", addr::VIP_NAT).parse()?;
            Ok(TcpStream::connect_timeout(&to, ANSWER_LIMIT)?)
        })?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let port = stream.local_addr()?.port();
        let mut talk = Self { stream: BufReader::new(stream), port };
        talk.speak()?;
        Ok(talk)
    }

    /// Asks, and reads the whole answer.
    fn speak(&mut self) -> Result<()> {
        let mut ask = || -> Result<String> {
            self.stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: yoke\r\n\r\n")?;
            let mut line = String::new();
            // The answer's last line is the one with the server's name.
            while !line.starts_with("lvs_real_server") {
                line.clear();
                ensure!(self.stream.read_line(&mut line)? > 0, "closed");
            }
            Ok(line)
        };
        ask().map(drop).with_context(|| format!("the connection from port {}", self.port))
    }
}
