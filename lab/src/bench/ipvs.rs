//! How fast the kernel's table is programmed and read: by the room `ipvs` and by the image's own ipvsadm, against Debian's, in the same VM.
//!
//! The measuring program is the room's own example; this file builds it, carries it into the machine and reads its rows.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::console::BOOT_LIMIT;
use crate::figure::{Figure, Goal};
use crate::runner::{Scene, say};
use crate::vm::{Firmware, Machine};

/// `ipvsadm -R` of 11,000 rows takes seconds under emulation, and it is run five times.
const LIMIT: Duration = Duration::from_secs(400);

/// A row of the program, what it means, and its goal.
const ROWS: [(&str, &str, f64); 6] = [
    ("our ipvsadm -R ", "1,000 x 10 by our ipvsadm -R, of Debian's", 0.25),
    ("program ", "1,000 x 10 by our library, of Debian's ipvsadm -R", 0.25),
    ("observe and plan nothing", "1,000 x 10 found right by our library, of ipvsadm -R", 0.1),
    ("plan and apply one weight", "one weight of 10,000 by our library, of ipvsadm -R", 0.1),
    ("our ipvsadm -Ln --stats", "10,000 read by our ipvsadm --stats, of Debian's", 0.5),
    ("read with counters", "10,000 read by our library, of ipvsadm --stats", 0.5),
];

/// Measures.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let program = super::built("ipvs", &["--example", "bench"], "examples/bench")?;
    scene.network()?;
    let firmware = Firmware::Direct { append: String::new() };
    scene.boot(Machine { firmware, lab_files: vec![program], ..Machine::default() })?;
    let figures = scene.must("against_ipvsadm", |world| {
        world.shell()?.wait_ready()?;
        // The box has finished its own work, and is idle, when the console asks for the first password.
        world.console()?.serial.wait_text(0, "Password for user admin (new):", BOOT_LIMIT)?;
        // A network namespace of its own: the director would heal its table. Without an address there it has no table of local routes, and
        // then the kernel takes no address for unicast.
        let said = world
            .shell()?
            .ok_within("unshare -n sh -c 'ip link set lo up && exec /bench $SLOT/usr/sbin/ipvsadm'", LIMIT)?;
        say(&said);
        let figure = |&(row, what, goal)| {
            let line = said.lines().find(|line| line.starts_with(row)).with_context(|| format!("no row `{row}`"))?;
            let (_, ratio) = line.split_once("1/").with_context(|| format!("no ratio in `{line}`"))?;
            let ratio: f64 = ratio.split_whitespace().next().unwrap_or_default().parse()?;
            Ok(Figure::plain(what, 1.0 / ratio, "", Goal::AtMost(goal)))
        };
        ROWS.iter().map(figure).collect::<Result<Vec<_>>>()
    })?;
    scene.figures(figures);
    Ok(())
}
