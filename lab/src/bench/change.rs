//! How long one changed line takes to a booted box: `cargo xtask run` from start to the console's first question, once for a line of each of our
//! crates, after a run in which nothing had changed.
//!
//! The sources it changes are those of this tree, since only they have been built before; they are as they were at the end.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::plain_cargo;
use crate::figure::{Figure, Goal};
use crate::runner::{Scene, say};
use crate::wait;

/// A file of each crate that is in the image; the first of them is in all programs.
const FILES: [&str; 10] = [
    "config/src/tree.rs",
    "control/src/lib.rs",
    "init/src/spread.rs",
    "install/src/slot.rs",
    "ipvs/src/client.rs",
    "tls/src/lib.rs",
    "health/src/pool.rs",
    "vrrp/src/router.rs",
    "director/src/reconcile.rs",
    "shell/src/session.rs",
];

/// What a console asks: of who has a password, and of who is to choose one.
const QUESTIONS: [&str; 2] = ["login: ", "Password for user admin"];

/// Seconds; what was promised.
const GOAL: f64 = 60.0;

/// From the start of a run on. A first one compiles everything.
const LIMIT: Duration = Duration::from_secs(1200);

/// Measures.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the lab is in a workspace")?;
    let nothing = scene.must("nothing", |_| {
        until_booted(workspace)?;
        until_booted(workspace)
    })?;
    // All are put back at the end only: putting one back is a change of its own.
    let mut changed = Vec::new();
    let mut rows = vec![row("nothing changed, to a booted box (no goal)", &nothing, Goal::None)];
    for file in FILES {
        let room = file.split('/').next().unwrap_or(file);
        let took = scene.must(room, |_| {
            changed.push(Changed::line_of(&workspace.join(file))?);
            until_booted(workspace)
        })?;
        rows.push(row(&format!("a line of {room} changed, to a booted box"), &took, Goal::AtMost(GOAL)));
    }
    scene.figures(rows);
    Ok(())
}

/// What one run took.
struct Took {
    /// On the clock.
    time: Duration,
    /// Of this machine's processors, cargo's, the assembler's and the emulator's: what the clock would show beside nothing else.
    work: Duration,
}

fn row(what: &str, took: &Took, goal: Goal) -> Figure {
    Figure::plain(what, took.time.as_secs_f64(), "s", goal)
        .beside(format!("{:.0} s of processors", took.work.as_secs_f64()))
}

/// Runs `cargo xtask run` until the console asks for a name or a password, and ends it.
fn until_booted(workspace: &Path) -> Result<Took> {
    let work = || -> Result<Duration> {
        let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let [user, system] = [used.user_time(), used.system_time()];
        let microseconds = u64::try_from((user + system).num_microseconds()).context("a time")?;
        Ok(Duration::from_micros(microseconds))
    };
    let (before, start) = (work()?, wait::now());
    let mut xtask = plain_cargo();
    xtask.args(["xtask", "run"]).current_dir(workspace);
    let mut child = xtask.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut screen = child.stdout.take().context("it has a stdout")?;
    let mut said = child.stderr.take().context("it has a stderr")?;
    let told = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = said.read_to_string(&mut text);
        text
    });
    let (sender, parts) = mpsc::channel();
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut part) {
            // Nobody looks any more, and the box must not wait for that.
            let _ = sender.send(part[..length].to_vec());
        }
    });
    let mut text = Vec::new();
    let time = loop {
        let Ok(part) = parts.recv_timeout(wait::left(start + LIMIT)) else { break None };
        text.extend_from_slice(&part);
        let seen = String::from_utf8_lossy(&text);
        if QUESTIONS.iter().any(|question| seen.contains(question)) {
            break Some(wait::now() - start);
        }
    };
    // QEMU's own key to end it; then everybody above it ends in order, and is counted. Before there is a QEMU nobody reads this.
    let mut keys = child.stdin.take().context("it has a stdin")?;
    let _ = keys.write_all(b"\x01x");
    drop(keys);
    child.wait()?;
    let Some(time) = time else {
        let told = told.join().unwrap_or_default();
        bail!("the box does not ask anything:\n{told}\n{}", String::from_utf8_lossy(&text));
    };
    Ok(Took { time, work: work()? - before })
}

/// A file with a line more, until it is dropped.
struct Changed {
    file: PathBuf,
    was: String,
}

impl Changed {
    fn line_of(file: &Path) -> Result<Self> {
        let was = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let now = with_a_line(&was, std::process::id());
        fs::write(file, now.with_context(|| format!("{}: no function begins in one line", file.display()))?)?;
        Ok(Self { file: file.to_owned(), was })
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.file, &self.was) {
            say(&format!("{}: a line was put into it and is still there: {error}", self.file.display()));
        }
    }
}

/// Puts a statement into the first function of a source text: something to compile, and all lines after it are others. `number` makes it another
/// one each time.
fn with_a_line(text: &str, number: u32) -> Option<String> {
    let begins = |line: &str| {
        let line = line.trim_start();
        ["fn ", "pub fn ", "pub(crate) fn "].iter().any(|word| line.starts_with(word)) && line.ends_with('{')
    };
    let at = text.lines().position(begins)?;
    let line =
        format!("    let _ = std::hint::black_box({number}); // left by `yoke-lab bench change`, which was killed");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(at + 1, &line);
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_a_place_for_a_line() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for file in FILES {
            let text = fs::read_to_string(workspace.join(file)).unwrap();
            let changed = with_a_line(&text, 7).unwrap_or_else(|| panic!("{file}: choose another file"));
            assert_eq!(changed.lines().count(), text.lines().count() + 1, "{file}");
        }
        assert_eq!(with_a_line("struct X;\n", 7), None);
    }
}
