//! `yoke-lab bench [FILTER...]`: the figures the product promises, measured on the real image, each with its goal beside it.
//!
//! Under emulation, on this machine, in one run; where a peer exists the figure is a ratio against it in the same VM. A goal
//! that is not met is said, not hidden; only a measurement that could not be made fails the command. What belongs together
//! is a family in a file of its own; `docs/bench.md` tells how each figure is taken.

mod boot;
mod grammar;
mod ipvs;

use anyhow::{Result, ensure};

use crate::figure::Figure;
use crate::runner::{Report, Rung, Scenario, say};
use crate::wait;

/// The families, each with a machine of its own.
const FAMILIES: &[Scenario] = &[
    Scenario { rung: Rung::Long, name: "bench_grammar", run: grammar::run },
    Scenario { rung: Rung::Long, name: "bench_boot", run: boot::run },
    Scenario { rung: Rung::Long, name: "bench_ipvs", run: ipvs::run },
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
