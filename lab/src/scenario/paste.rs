//! A configuration of a thousand lines, pasted into the serial console as fast as the port takes it. Not one may be lost.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::PASSWORD;
use crate::runner::Scene;
use crate::vm::Machine;

/// Lines of one virtual server.
const LINES_EACH: usize = 10;
/// Virtual servers: together a thousand lines.
const SERVERS: usize = 100;
/// For all of it, emulated.
const PASTE_LIMIT: Duration = Duration::from_secs(240);

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("the_box_is_up", |world| {
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&["interface eth1", "ip address 10.0.20.2/24"])
    })?;
    scene.check("a_thousand_pasted_lines_all_arrive", |world| {
        let text = paste();
        ensure!(text.lines().count() == LINES_EACH * SERVERS);
        let console = world.console()?;
        console.ok("configure terminal")?;
        let row = console.serial.look(|screen| screen.term.row());
        console.serial.send(&text.replace('\n', "\r"))?;
        // The last line's own prompt: nothing after it is waiting to be read.
        console.serial.send("end\r")?;
        let end = |screen: &crate::serial::Screen| {
            let (text, nothing_typed) = screen.term.before_cursor();
            (text == "yoke#" && nothing_typed && screen.term.row() > row).then(|| screen.term.lines_from(row))
        };
        let (rows, _) = console.serial.wait("the paste to end", PASTE_LIMIT, end)?;
        let errors: Vec<&String> = rows.iter().filter(|r| r.starts_with('%') && !r.starts_with("% Warning")).collect();
        ensure!(errors.is_empty(), "{} errors, first: {}", errors.len(), errors[0]);
        let running = console.run_within("show running-config", Duration::from_secs(60))?.text();
        let running = running.split("virtual-server").skip(1).collect::<Vec<_>>();
        ensure!(running.len() == SERVERS, "{} of {SERVERS} virtual servers arrived", running.len());
        let whole =
            running.iter().filter(|block| block.lines().filter(|l| l.trim() != "!").count() >= LINES_EACH).count();
        ensure!(whole == SERVERS, "{whole} of {SERVERS} virtual servers arrived whole");
        Ok(())
    });
    scene.check("the_kernel_has_all_of_them", |world| {
        let rows = world.console()?.ok("show virtual-server | include up")?;
        ensure!(rows.lines.len() == SERVERS, "{} rows: {}", rows.lines.len(), rows.text());
        Ok(())
    });
    Ok(())
}

/// A hundred virtual servers of ten lines, none of which is a default and so left out of the printed text.
fn paste() -> String {
    let mut text = String::new();
    for n in 1..=SERVERS {
        let port = 1000 + n;
        let _ = write!(
            text,
            "virtual-server pasted-{n}\n health-check none\n virtual 10.0.20.200 tcp {port}\n scheduler rr\n\
             \x20real-server 10.0.20.11 {port}\n  weight 3\n  threshold 100 50\n\
             \x20real-server 10.0.20.12 {port}\n  weight 4\n  threshold 100 50\n"
        );
    }
    text
}
