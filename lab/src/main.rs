//! The lab: Yoke on real networks. `yoke-lab [--vm] [FILTER...]` runs checks, `yoke-lab bench` measures.
//!
//! Without `--vm` it uses namespaces on this machine's kernel; with it, the real image in QEMU too, between real nginx
//! and curl. Needs root and says so; nothing is skipped. It is not shipped and `cargo test` does not run it: `cargo
//! xtask lab` does.

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use yoke_lab::runner::{self, Report, Rung};
use yoke_lab::{scenario, target, wait};

fn main() -> ExitCode {
    match lab() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            runner::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn lab() -> Result<()> {
    let (mut vm, mut list, mut filters) = (false, false, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--vm" => vm = true,
            "--list" => list = true,
            option if option.starts_with('-') => bail!("usage: yoke-lab [--vm] [--list] [FILTER...]"),
            _ => filters.push(argument),
        }
    }
    let wanted = scenario::ALL
        .iter()
        .filter(|s| vm || s.rung == Rung::Namespaces)
        .filter(|s| filters.is_empty() || filters.iter().any(|f| s.name.contains(f.as_str())));
    if list {
        wanted.for_each(|scenario| runner::say(scenario.name));
        return Ok(());
    }
    ensure!(nix::unistd::Uid::effective().is_root(), "the lab makes network namespaces: run it as root");
    std::fs::create_dir_all(target().join("lab"))?;
    let lock = std::fs::File::create(target().join("lab/lock"))?;
    lock.try_lock().context("another run of the lab is under way")?;

    let start = wait::now();
    let mut report = Report::default();
    wanted.for_each(|scenario| report.run(scenario));
    report.finish(wait::now() - start)
}
