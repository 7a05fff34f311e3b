//! `yoke-lab [--vm [--all]] [FILTER...]` runs checks, `yoke-lab demo` makes the network for a
//! person to play with, `yoke-lab bench [FILTER...]` measures.
//!
//! Without `--vm` it uses namespaces on this machine's kernel; with it, the real image in QEMU between real nginx and
//! curl, as many machines abreast as there are processors. `yoke-lab crowd` is either end of thousands of connections. Inside the lab's second machine, `yoke-lab peer` is what serves and asks,
//! inside the first `yoke-lab twins` compares programs. Needs root and says so; nothing is skipped. `cargo xtask lab` calls it.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use yoke_lab::runner::{self, Rung, Scenario};
use yoke_lab::{bench, crowd, demo, lanes, peer, scenario, target, twins, wait};

const USAGE: &str =
    "usage: yoke-lab [--vm [--all]] [--list] [FILTER...] | yoke-lab demo [--uefi] | yoke-lab bench [FILTER...]";

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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["peer", words @ ..] => return peer::program::main(words),
        ["crowd", words @ ..] if matches!(words, ["host"] | ["clients", ..]) => return crowd::main(words),
        ["bad-servers"] => return bench::bad_servers(),
        ["twins", words @ ..] => return twins::main(words),
        _ => {}
    }
    let (options, names): (Vec<&str>, Vec<&str>) = arguments.into_iter().partition(|word| word.starts_with('-'));
    let known = ["--vm", "--all", "--list", "--uefi"];
    ensure!(options.iter().all(|option| known.contains(option)), "{USAGE}");
    let wanted = Wanted { vm: options.contains(&"--vm"), all: options.contains(&"--all"), filters: &names };
    if options.contains(&"--list") {
        wanted.scenarios().for_each(|scenario| runner::say(scenario.name));
        return Ok(());
    }

    ensure!(nix::unistd::Uid::effective().is_root(), "the lab makes network namespaces: run it as root");
    std::fs::create_dir_all(target().join("lab"))?;
    let lock = std::fs::File::create(target().join("lab/lock"))?;
    lock.try_lock().context("another run of the lab is under way")?;
    match names.as_slice() {
        ["bench", filters @ ..] => bench::run(filters),
        ["demo"] => demo::run(options.contains(&"--uefi")),
        _ => {
            let start = wait::now();
            let scenarios: Vec<_> = wanted.scenarios().collect();
            // What runs in namespaces measures milliseconds, and is alone.
            let report = lanes::run(&scenarios, if wanted.vm { lanes::of_this_machine() } else { 1 })?;
            report.finish(wait::now() - start)
        }
    }
}

/// What was asked for on the command line.
struct Wanted<'a> {
    vm: bool,
    all: bool,
    filters: &'a [&'a str],
}

impl Wanted<'_> {
    fn scenarios(&self) -> impl Iterator<Item = &'static Scenario> {
        let rung = |rung| match rung {
            Rung::Namespaces => !self.vm,
            Rung::Vm => self.vm,
            // Named, a long one is wanted without further words.
            Rung::Long => self.vm && (self.all || !self.filters.is_empty()),
        };
        let named = |name: &str| self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter));
        scenario::ALL.iter().filter(move |scenario| rung(scenario.rung) && named(scenario.name))
    }
}
