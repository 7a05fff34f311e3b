//! What follows from a configuration and cannot refuse it: sysctls, accounts, the network, services. Each says what went wrong as a warning.
//!
//! Runs after every change, and once at start; it writes only what differs. Nothing here uses the flash: it runs in the change's turn.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use yoke_init::request::ServiceSpec;

use crate::director::Director;
use crate::files::{self, Medium};
use crate::nft::Rules;
use crate::notes::Source;
use crate::{accounts, clock, services, ssh, sync, sysctl, vrrpd};

/// Settles everything but IPVS and nft, which a change may be refused for. `network` says whether `init setup` has something to do.
pub(crate) async fn run(director: &Director, network: bool) {
    sysctls(director);
    accounts(director);
    // Before the network: an address that a group gives up may be an interface's from now on.
    vrrpd::reload(director).await;
    director.configured.notify_one();
    if network {
        setup(director, None).await;
    }
    // Its interface may have come with the network.
    sync::run(director);
    services(director).await;
}

/// `net.ipv4.vs.*`, and those of connection tracking while it is needed. Returns how many were not as they should be.
pub(crate) fn sysctls(director: &Director) -> usize {
    let sysctl::Applied { mut problems, written } = {
        let state = director.state();
        let config = state.in_force();
        sysctl::apply(&director.paths.proc, &config, Rules::from(config.as_ref()).needs_conntrack())
    };
    let memory = sysctl::memory_bytes(&director.paths.proc);
    if std::fs::read_to_string(director.paths.module_options()).unwrap_or_default()
        != sysctl::module_options(&director.state().running.config.ipvs, memory)
    {
        problems.push("ipvs table-bits: takes effect after write memory and reload".to_owned());
    }
    director.state_mut().notes.set(Source::Sysctl, problems);
    written
}

/// Users and the files about them.
pub(crate) fn accounts(director: &Director) {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let mut problems = Vec::new();
    for name in state.running.config.users.keys() {
        if state.uids.assign(name.as_str()).is_none() {
            problems.push(format!("username {name}: no user id is left, this user cannot log in"));
        }
    }
    let rendered = accounts::render(&state.running.config, &state.uids, &director.paths.home());
    if let Err(e) = accounts::write(&rendered, &director.paths) {
        problems.push(format!("user accounts: {e:#}"));
    }
    // For the next director; for the next boot they are kept on flash, by [`crate::flash::keep_uids`].
    if let Err(e) = state.uids.save(&director.paths.run_uids(), Medium::Memory) {
        problems.push(format!("user ids: {e}"));
    }
    state.notes.set(Source::Accounts, problems);
}

/// Longest pause between two tries of a setup that left problems: a card that comes late, or never.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// When a setup that left problems is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retry {
    due: Option<Instant>,
    pause: Duration,
    /// Setups asked for: what an earlier one says when a later one is under way is old.
    asked: u64,
}

/// Runs `init setup` when a card has come or gone since, or the kernel has given an address up: nobody changes the configuration then. No turn
/// is held, as in [`setup_again`]. Returns whether it did.
pub(crate) async fn setup_anew(director: &Director) -> bool {
    let why = {
        let mut guard = director.state_mut();
        let state = &mut *guard;
        let links = match state.kernel.links() {
            Ok(links) => links,
            Err(e) => {
                log::warn!("interfaces: {e}");
                return false;
            }
        };
        let is_own = |address: &IpAddr| {
            let mut interfaces = state.running.config.interfaces.values();
            interfaces.any(|interface| interface.addresses.iter().any(|net| net.addr == *address))
        };
        // With problems it is tried again anyway, at a pace.
        let is_told = !state.notes.of(Source::Network).is_empty();
        match links.given_up.iter().find(|address| is_own(address)) {
            _ if links.cards != state.cards => "network cards have come or gone".to_owned(),
            Some(address) if !is_told => format!("{address} was given up, another host said that it is its own"),
            _ => return false,
        }
    };
    log::warn!("network: {why}, it is set up again");
    setup(director, None).await;
    true
}

/// Runs `init setup` again while its last run left problems, ever more seldom. No turn is held: it may take a minute, and a change has its own.
pub(crate) async fn setup_again(director: &Director) {
    let now = clock::now();
    {
        let mut guard = director.state_mut();
        let state = &mut *guard;
        let Some(due) = state.setup.due else { return };
        if state.notes.of(Source::Network).is_empty() || now < due {
            return;
        }
        state.setup.pause = (state.setup.pause * 2).min(PAUSE_MAX);
    }
    let pause = director.state().setup.pause;
    run_setup(director, None, pause).await;
}

/// Asks init to run `init setup` on the running configuration. `asked` fires, or is dropped, once init knows.
pub(crate) async fn setup(director: &Director, asked: Option<oneshot::Sender<()>>) {
    run_setup(director, asked, director.resync).await;
}

/// `pause`: until it is tried again when it leaves problems.
async fn run_setup(director: &Director, asked: Option<oneshot::Sender<()>>, pause: Duration) {
    let number = {
        let setup = &mut director.state_mut().setup;
        // Not while this one is under way.
        *setup = Retry { due: None, pause, asked: setup.asked + 1 };
        setup.asked
    };
    // Before it looks: of a card that comes meanwhile it may not know. But the first waits for the drivers.
    let is_first = director.state().cards.is_empty();
    if !is_first {
        see_cards(director);
    }
    let problems = match director.init.setup(asked).await {
        Ok(problems) => problems,
        Err(e) => vec![format!("network: setup did not run: {e}")],
    };
    if is_first {
        see_cards(director);
    }
    let mut state = director.state_mut();
    if state.setup.asked != number {
        return;
    }
    // What a try that is repeated has found before is known.
    let before = state.notes.of(Source::Network);
    for problem in problems.iter().filter(|problem| !before.contains(problem)) {
        log::warn!("{problem}");
    }
    if problems.is_empty() && !before.is_empty() {
        log::info!("network: set up, without the problems of before");
    }
    state.setup.due = (!problems.is_empty()).then(|| clock::now() + pause);
    state.notes.set(Source::Network, problems);
}

/// Notes which cards there are, for [`setup_anew`].
fn see_cards(director: &Director) {
    let mut state = director.state_mut();
    if let Ok(links) = state.kernel.links() {
        state.cards = links.cards;
    }
}

/// Writes `services.json` and has init read it, if it changed.
pub(crate) async fn services(director: &Director) {
    let mut wanted = services::wanted(&director.state().running.config, &director.paths);
    let mut problems = wanted.warnings;
    // Open to everybody is not what was asked for.
    let unguarded = director.state().nft.is_none() && !director.state().running.config.ssh.access_class.is_empty();
    if unguarded && wanted.specs.iter().any(|spec| spec.name.starts_with("ssh-")) {
        wanted.specs.retain(|spec| !spec.name.starts_with("ssh-"));
        problems.push("ip ssh: closed, its access-class could not be put in place".to_owned());
    }
    if let Err(why) = hand_over(director, &wanted.specs).await {
        problems.push(format!("services: {why}"));
    }
    // Afterwards: a box that comes up does not wait for it.
    problems.extend(ssh::limit(director).await.err());
    director.state_mut().notes.set(Source::Services, problems);
}

/// Writes the services, and has init read them unless it has.
async fn hand_over(director: &Director, specs: &[ServiceSpec]) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(specs)?;
    if files::replace(&director.paths.services(), &json, 0o600, Medium::Memory)? {
        director.state_mut().services_read = false;
    }
    if !director.state().services_read {
        director.init.services().await?;
        director.state_mut().services_read = true;
    }
    Ok(())
}
