//! How fast the grammar is, on this machine and not emulated: one line, and a configuration of ten thousand.

use std::fmt::Write as _;
use std::hint::black_box;

use anyhow::{Result, ensure};
use yoke_config::model::Config;
use yoke_config::tree::{self, Tree};
use yoke_config::walk::{Position, interpret};

use crate::figure::{Figure, Goal};
use crate::runner::Scene;
use crate::wait;

/// Lines of the configuration that is loaded.
const LINES: usize = 10_000;
/// Repetitions of what takes microseconds.
const ROUNDS: u32 = 2_000;

/// Measures.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let figures = scene.must("grammar", |_| measure())?;
    scene.figures(figures);
    Ok(())
}

/// Fails when the grammar refuses what it should accept.
fn measure() -> Result<[Figure; 4]> {
    let start = wait::now();
    for _ in 0..ROUNDS {
        black_box(interpret(&Position::CONFIG, black_box("ip route 10.20.30.0/24 203.0.113.1")).is_ok());
    }
    let line = (wait::now() - start).as_secs_f64() * 1e3 / f64::from(ROUNDS);

    let text = configuration();
    ensure!(text.lines().count() == LINES, "{} lines", text.lines().count());
    let start = wait::now();
    let (tree, rejected) = tree::load(&text);
    let load = (wait::now() - start).as_secs_f64() * 1e3;
    ensure!(rejected.is_empty(), "{:?}", rejected[0]);

    let start = wait::now();
    let config = Config::try_from(&tree).map_err(|problems| anyhow::anyhow!("{}", problems[0]))?;
    black_box(config);
    let convert = (wait::now() - start).as_secs_f64() * 1e3;

    let start = wait::now();
    let printed = tree.print();
    let differences = Tree::diff(&tree, &tree::load(&printed).0);
    let diff = (wait::now() - start).as_secs_f64() * 1e3;
    ensure!(differences.is_empty(), "{}", differences[0]);
    let figure = |what: &str, measured, goal| Figure::plain(what, measured, "ms", Goal::AtMost(goal));
    Ok([
        figure("one line interpreted", line, 1.0),
        figure("10,000 lines loaded", load, 1000.0),
        figure("10,000 lines made a configuration and checked", convert, 1000.0),
        figure("10,000 lines printed, loaded, compared", diff, 2000.0),
    ])
}

/// A thousand virtual servers of ten lines.
fn configuration() -> String {
    let mut text = String::new();
    for n in 0..LINES / 10 {
        let (high, low) = (n / 250, n % 250 + 1);
        let _ = writeln!(
            text,
            "virtual-server number-{n}\n description \"one of many\"\n virtual 10.1.{high}.{low} tcp 80\n scheduler rr\n \
             real-server 10.2.{high}.{low} 8080\n  weight 3\n  threshold 500 400\n real-server 10.3.{high}.{low} 8080\n  \
             weight 4\n  threshold 500 400"
        );
    }
    text
}
