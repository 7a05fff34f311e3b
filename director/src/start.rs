//! From nothing to serving: load, program IPVS, answer, then everything that may take its time.
//!
//! Links take seconds to come up, so init is asked for them first; then the console is answered, which waits for nothing; and IPVS is loaded
//! and programmed, which does not wait for the links.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use yoke_control::Peer;

use crate::director::Director;
use crate::files::{self, Medium};
use crate::notes::Source;
use crate::{
    boot, clock, commit, daemon, flash, health, install, nft, reconcile, restart, settle, sysctl, trial, vrrpd,
};

/// How long init may take to hear a request. It never waits itself, so more means that it is in trouble, and balancing goes on without it.
const HEARD: Duration = Duration::from_secs(1);

/// Starts the daemon and serves for ever. Must run in a `LocalSet`. `identify` as in [`daemon::run`].
///
/// # Errors
/// When `/run/yoke` cannot be written: without it nobody can be served, and init tries again.
pub(crate) async fn run(
    director: Rc<Director>,
    identify: impl Fn(&UnixStream) -> io::Result<Peer> + 'static,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(&director.paths.run)?;
    let again = load(&director)?;
    let listener = daemon::bind(&director)?;
    health::begin(&director);
    let (asked, told) = oneshot::channel();
    let (programmed, balancing) = oneshot::channel::<()>();
    tokio::task::spawn_local(after(director.clone(), again, asked, balancing));
    let serving = tokio::task::spawn_local(daemon::run(director.clone(), listener, identify));
    // Fails when init is not there, which `after` reports.
    let _ = tokio::time::timeout(HEARD, told).await;
    if again {
        vrrpd::learn(&director).await;
    }
    // A box that balances nothing yet loads IPVS later: somebody waits for the console.
    if !director.state().running.config.virtual_servers.is_empty() {
        let load = director.state().kernel.loader();
        let _ = tokio::task::spawn_blocking(load).await;
        translate(&director).await;
        program(&director);
    }
    drop(programmed);
    tokio::task::spawn_local(vrrpd::follow(director.clone()));
    tokio::task::spawn_local(commit::follow_roles(director.clone()));
    daemon::notify(&[NotifyState::Ready]);
    tokio::task::spawn_local(install::up(director));
    Ok(serving.await?)
}

/// Loads the configuration and writes it where `init setup` reads it. Returns whether the box was up already.
fn load(director: &Director) -> anyhow::Result<bool> {
    let boot = boot::load(&director.paths);
    for fault in &boot.faults {
        log::error!("{fault}");
    }
    {
        let mut state = director.state_mut();
        state.past.push(boot.running.revision, boot.running.tree.clone(), "the boot");
        state.notes.set(Source::Loading, boot.faults);
        state.notes.set(Source::Configuration, boot.running.config.warnings.clone());
        state.notice = boot.notice;
        state.rejected = boot.rejected;
        state.unloaded = boot.unloaded;
        state.roles = boot.roles;
        state.running = Rc::new(boot.running);
    }
    let running = director.state().running.clone();
    let (revision, text) = (running.revision, &running.text);
    log::info!("configuration revision {revision}, {} lines", text.lines().count());
    restart::save(director, revision).map_err(anyhow::Error::msg)?;
    files::replace(&director.paths.running_config(), text.as_bytes(), 0o600, Medium::Memory)?;
    if !boot.again {
        // Before anything makes the kernel load the module.
        let memory = sysctl::memory_bytes(&director.paths.proc);
        let options = sysctl::module_options(&director.state().running.config.ipvs, memory);
        files::replace(&director.paths.module_options(), options.as_bytes(), 0o644, Medium::Memory)?;
    }
    // Before anybody connects: a caller is known by its id.
    settle::accounts(director);
    Ok(boot.again)
}

/// What mode fullnat needs before its services are there. Without it nobody has to wait for nft.
async fn translate(director: &Director) {
    let rules = director.state().rules();
    if !rules.needs_conntrack() {
        return;
    }
    // Its settings are there when it is loaded; that it is not is said in a moment.
    let _ = director.state_mut().kernel.info();
    let tracked = sysctl::track(&director.paths.proc, &director.state().running.config);
    let done = match tracked {
        Ok(()) => commit::nft_script(director, nft::render(&rules)).await,
        failed => failed,
    };
    if let Err(why) = &done {
        log::error!("{why}");
    }
    director.state_mut().notes.set(Source::Nft, done.err().into_iter().collect());
}

/// Brings the kernel's table to the configuration. What it refuses is a warning: the rest is balanced.
fn program(director: &Director) {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    state.balanced = Rc::new(state.in_force().into_owned());
    state.health.renew(&state.balanced, clock::monotonic());
    state.desired = reconcile::desired(&state.balanced, &state.health.pools);
    let sentences = match state.converge(reconcile::timeouts(&state.running.config)) {
        Ok(changes) => {
            log::info!("ipvs: {} services, {changes} changes", state.desired.table.services.len());
            state.refused.values().cloned().collect()
        }
        Err(why) => vec![why],
    };
    for sentence in &sentences {
        log::error!("{sentence}");
    }
    state.notes.set(Source::Kernel, sentences);
    state.notes.set(Source::Reconcile, state.desired.warnings.clone());
    drop(guard);
    health::retarget(director);
}

/// What may take its time: the network, then what needs its addresses. Changes wait until it is done. `balancing` ends when IPVS has been
/// programmed, or is not needed yet.
async fn after(director: Rc<Director>, again: bool, asked: oneshot::Sender<()>, balancing: oneshot::Receiver<()>) {
    let turn = director.turn().await;
    settle::setup(&director, Some(asked)).await;
    let _ = balancing.await;
    if director.state().running.config.virtual_servers.is_empty() {
        program(&director);
    }
    let rules = director.state().rules();
    let script = nft::render(&rules);
    // A box that has just come up has no table to remove.
    if rules.is_empty() && !again {
        director.state_mut().nft = Some(script);
    } else {
        let done = commit::nft_script(&director, script).await;
        if let Err(why) = &done {
            log::error!("{why}");
        }
        director.state_mut().notes.set(Source::Nft, done.err().into_iter().collect());
    }
    settle::run(&director, false).await;
    tokio::task::spawn_local(trial::watch(director.clone()));
    drop(turn);
    flash::keep_uids(&director).await;
}
