//! Our ipvsadm in Debian's place: hundreds of command lines, the same table, output, exit status and refusals on the image's kernel.
//!
//! What is compared, and how, is in [`twins`](crate::twins); here it is carried into a machine. A number makes the lines; to try others, set
//! `YOKE_SEED`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{PASSWORD, typed};
use crate::runner::{Scene, World, say};
use crate::vm::{Firmware, Machine};

/// The number of every ordinary run: a difference that is found is found again.
const SEED: u64 = 3;
/// Two processes each, of some 20 ms.
const LINES: usize = 400;
/// For all of them.
const LIMIT: Duration = Duration::from_secs(180);

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    let firmware = Firmware::Direct { append: String::new() };
    let lab = std::env::current_exe()?;
    scene.boot(Machine { firmware, lab_files: vec![lab], ..Machine::default() })?;
    scene.must("the_shell_lists_as_the_program_in_the_image_does", |world| {
        world.shell()?.wait_ready()?;
        let console = world.console()?;
        console.first_password(PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/nat.cfg")))?;
        for words in ["-L -n", "-L -n --stats", "-L -n --thresholds", "-S -n", "-L --timeout", "-L --daemon"] {
            let here = world.console()?.ok(&format!("ipvsadm {words}"))?.text();
            let there = world.shell()?.ok(&format!("$SLOT/usr/sbin/ipvsadm {words}"))?;
            ensure!(lines(&here) == lines(&there), "{words}: the shell says\n{here}\nand the program\n{there}");
        }
        Ok(())
    })?;
    scene.check("the_comparison_finds_lines_that_are_wrong", |world| twins(world, "flawed"));
    scene.check("the_seeds_lines_do_the_same", |world| twins(world, "seeds"));
    scene.check("generated_lines_do_the_same", |world| {
        let seed = std::env::var("YOKE_SEED").map_or(Ok(SEED), |seed| seed.parse()).context("YOKE_SEED")?;
        twins(world, &format!("compare {seed} {LINES}"))
    });
    scene.check("a_table_in_use_reads_the_same", |world| twins(world, "live"));
    scene.check("what_the_original_lacks_holds_in_its_eyes", |world| twins(world, "extra"));
    Ok(())
}

/// Rows without the blanks at their ends, which a terminal does not show.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

fn twins(world: &mut World, words: &str) -> Result<()> {
    let said = world.shell()?.ok_within(&format!("/yoke-lab twins {words} 2>&1"), LIMIT)?;
    said.lines().for_each(say);
    Ok(())
}
