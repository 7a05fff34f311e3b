//! `init setup`: the network part of the configuration, as a one-shot: observe, plan, apply, end with a status and a reason.
//!
//! It reads `/run/yoke/running-config` and nothing else, remembers nothing but the MTU that each driver started with, and
//! owns links, VLANs, bonds, interface addresses, the virtual addresses no vrrp group owns, routes and rules of
//! [`PROTOCOL`], permanent neighbours, the host name, and the interfaces' safe sysctls. Macvlans, addresses of vrrp groups
//! and routes and rules of others are left alone. A run that finds everything right costs nine dumps and changes nothing.

pub mod apply;
pub mod delivery;
pub mod observe;
pub mod plan;
pub mod table;
pub mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};

use anyhow::Context as _;
use yoke_config::model::Config;
use yoke_config::tree;

use self::table::Network;
use self::wanted::Wanted;
use crate::say;

/// The one input, written by the director.
pub const CONFIG: &str = "/run/yoke/running-config";
/// The MTU each driver started with, `NAME MTU` a line: what an interface gets back when `mtu` is removed.
const DRIVER_MTU: &str = "/run/yoke/driver-mtu";
/// `rtm_protocol` of our routes, and the protocol of our rules. 186-199 are taken by routing daemons (linux/rtnetlink.h); nobody has 200.
pub const PROTOCOL: u8 = 200;
/// Observe-plan-apply rounds. One is the rule; a link that has to go down and up takes its routes with it, and the kernel
/// may need one more for what follows from that.
const ROUNDS: usize = 4;

/// Runs the one-shot: 0 when everything asked for is there, otherwise 1 and a problem a line on standard error.
#[must_use]
pub fn main() -> u8 {
    let problems = match run() {
        Ok(problems) => problems,
        Err(error) => vec![format!("network: {error:#}")],
    };
    problems.iter().for_each(|problem| say::problem(problem));
    u8::from(!problems.is_empty())
}

fn run() -> anyhow::Result<Vec<String>> {
    let text = match fs::read_to_string(CONFIG) {
        Ok(text) => text,
        // Before the director has written one: the interfaces come up all the same.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context(CONFIG),
    };
    let (tree, rejected) = tree::load(&text);
    let mut problems: Vec<String> =
        rejected.iter().map(|line| format!("{CONFIG}: line {}: {}", line.number, line.why)).collect();
    let config = match Config::try_from(&tree) {
        Ok(config) => config,
        Err(wrong) => {
            problems.extend(wrong.into_iter().map(|problem| problem.0));
            return Ok(problems);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    problems.extend(runtime.block_on(converge(&Wanted::from(&config)))?);
    Ok(problems)
}

async fn converge(wanted: &Wanted) -> anyhow::Result<Vec<String>> {
    let (connection, handle, _) = rtnetlink::new_connection_with_strict_check().context("netlink")?;
    tokio::spawn(connection);
    let (mut failures, mut lasting) = (Vec::new(), BTreeSet::new());
    for _ in 0..ROUNDS {
        let network = observe::observe(&handle).await?;
        let plan = plan::plan(&network, wanted, &driver_mtu(&network));
        let round = apply::apply(&handle, &plan.changes).await;
        for change in &round.done {
            // Into the log, by way of PID 1; nobody is left to tell when it is gone.
            let _ = writeln!(io::stdout(), "{change}");
        }
        failures = plan.problems.into_iter().chain(round.failures).collect();
        lasting.extend(plan.lasting);
        if round.done.is_empty() {
            break;
        }
    }
    failures.extend(lasting);
    Ok(failures)
}

/// Reads the drivers' MTUs, and notes those of cards that were not seen before, which nobody has changed yet.
fn driver_mtu(network: &Network) -> BTreeMap<String, u32> {
    let text = fs::read_to_string(DRIVER_MTU).unwrap_or_default();
    let line = |line: &str| {
        let (name, mtu) = line.split_once(' ')?;
        Some((name.to_owned(), mtu.parse().ok()?))
    };
    let mut known: BTreeMap<String, u32> = text.lines().filter_map(line).collect();
    let before = known.len();
    for (name, link) in network.links.iter().filter(|(_, link)| link.kind == table::Kind::Card) {
        known.entry(name.clone()).or_insert(link.mtu);
    }
    if known.len() != before {
        let text: String = known.iter().map(|(name, mtu)| format!("{name} {mtu}\n")).collect();
        if let Err(error) = fs::write(DRIVER_MTU, text) {
            say::problem(&format!("{DRIVER_MTU}: {error}"));
        }
    }
    known
}
