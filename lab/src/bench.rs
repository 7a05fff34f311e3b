//! `yoke-lab bench [FILTER...]`: the figures the product promises, measured on the programs of the image, each with its goal beside it.
//!
//! Under emulation, or in namespaces of this machine; where a peer exists the figure stands beside the peer's of the same run. A goal
//! that is not met is said, not hidden; only a measurement that could not be made fails the command. What belongs together
//! is a family in a file of its own; `docs/bench.md` tells how each figure is taken.

mod boot;
mod change;
mod data;
mod debian;
mod grammar;
mod health;
mod ipvs;
mod vrrp;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub use self::health::servers::serve as bad_servers;
use crate::figure::Figure;
use crate::runner::{Report, Rung, Scenario, say};
use crate::{disk, target, wait};

/// The families, each with a machine of its own.
const FAMILIES: &[Scenario] = &[
    Scenario { rung: Rung::Long, name: "bench_grammar", run: grammar::run },
    Scenario { rung: Rung::Long, name: "bench_health", run: health::run },
    Scenario { rung: Rung::Long, name: "bench_health_beside", run: health::beside::run },
    Scenario { rung: Rung::Long, name: "bench_boot", run: boot::run },
    Scenario { rung: Rung::Long, name: "bench_change", run: change::run },
    Scenario { rung: Rung::Long, name: "bench_ipvs", run: ipvs::run },
    Scenario { rung: Rung::Long, name: "bench_data_plain", run: data::plain },
    Scenario { rung: Rung::Long, name: "bench_data_fullnat", run: data::fullnat },
    Scenario { rung: Rung::Long, name: "bench_vrrp_outage", run: vrrp::outage },
    Scenario { rung: Rung::Long, name: "bench_vrrp_kill", run: vrrp::kill },
    Scenario { rung: Rung::Long, name: "bench_vrrp_many", run: vrrp::many },
    Scenario { rung: Rung::Long, name: "bench_vrrp_load", run: vrrp::load },
    Scenario { rung: Rung::Long, name: "bench_vrrp_connections", run: crate::scenario::crowd::run },
];

/// Measures the families whose names contain one of `filters`, all of them when there are none, and prints the table.
///
/// # Errors
/// When no family is meant, or something could not be measured.
pub fn run(filters: &[&str]) -> Result<()> {
    let start = wait::now();
    let mut report = Report::default();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let families: Vec<&Scenario> = FAMILIES.iter().filter(|family| wanted(family.name)).collect();
    let names = FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>().join(", ");
    ensure!(!families.is_empty(), "no family of figures is called so, use: {names}");
    for family in families {
        report.run(family);
    }
    if !report.figures.is_empty() {
        say(&format!("\n{}", Figure::heading()));
        report.figures.iter().for_each(|figure| say(&figure.row()));
    }
    report.finish(wait::now() - start)
}

/// Builds a program of `package` as those of the image are, static; `file` is where it comes to lie.
fn built(package: &str, which: &[&str], file: &str) -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the lab is in a workspace")?;
    let triple = "x86_64-unknown-linux-gnu";
    let mut cargo = plain_cargo();
    cargo.args(["build", "--quiet", "--profile", "image", "--target", triple, "--package", package]).args(which);
    disk::run(cargo.current_dir(workspace).env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    let built = target().with_file_name(triple).join("image").join(file);
    ensure!(built.exists(), "{} was not built", built.display());
    Ok(built)
}

/// Cargo without what it has told the program above this one of its package: with that, build scripts run anew, and what depends on them is
/// compiled anew.
fn plain_cargo() -> Command {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo
}
