//! The slow look at what others did to the kernel's tables: what differs is put right, and said.
//!
//! IPVS tells nobody of changes, so it is asked every few seconds. nft counts them: as long as nobody has used it since, our table is as we left
//! it. A look that finds nothing sends nothing but the two questions.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::director::Director;
use crate::notes::Source;
use crate::{clock, commit, flash, health, nft, reconcile, reset, settle, ssh, sync};

/// How long after the last foreign change `show warnings` speaks of it.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// Foreign changes closer together than this are one story: logged when it begins.
const EPISODE: Duration = Duration::from_secs(60);

/// Foreign changes seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Drift {
    last: Option<Instant>,
    /// Times in this memory.
    times: u32,
    /// Steps it took the last time.
    changes: usize,
}

impl Drift {
    /// Notes that `changes` steps were needed. Returns whether this is the beginning of a story.
    fn seen(&mut self, changes: usize, now: Instant) -> bool {
        let quiet = self.last.is_none_or(|last| now.saturating_duration_since(last) > EPISODE);
        self.last = Some(now);
        self.times = self.times.saturating_add(1);
        self.changes = changes;
        quiet
    }

    /// What to say of `what`.
    fn sentences(&mut self, what: &str, now: Instant) -> Vec<String> {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) > REMEMBERED) {
            *self = Self::default();
            return Vec::new();
        }
        let times = if self.times == 1 { "once".to_owned() } else { format!("{} times", self.times) };
        vec![format!("{what} ({times} in the last hour), put right: {}", self.changes)]
    }
}

const IPVS: &str = "ipvs: another program changed the kernel's table";
const SETTINGS: &str = "ipvs: another program changed settings of the kernel's balancer";
const NFT: &str = "nft: another program changed the table inet yoke";

/// Compares and heals, unless somebody is changing the configuration right now.
pub(crate) async fn resync(director: Rc<Director>) {
    let Some(turn) = director.try_turn() else { return };
    let now = clock::now();
    // As in a change: what a service needs is there before the service.
    settings(&director, now);
    rules(&director, now).await;
    table(&director, now);
    sync::run(&director);
    note(&director, now);
    // What is found does not wait for it.
    if let Err(why) = ssh::limit(&director).await {
        log::warn!("{why}");
    }
    drop(turn);
    if !settle::setup_anew(&director).await {
        settle::setup_again(&director).await;
    }
    flash::keep_uids_again(&director).await;
}

/// What `show warnings` says of it.
fn note(director: &Director, now: Instant) {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let drift = [
        state.drift.sentences(IPVS, now),
        state.settings_drift.sentences(SETTINGS, now),
        state.nft_drift.sentences(NFT, now),
    ]
    .concat();
    state.notes.set(Source::Drift, drift);
}

/// Sysctls, and daemons of connection sync where none is configured: one that runs takes whatever it is told for connections.
fn settings(director: &Director, now: Instant) {
    // What the kernel did not take before and takes now (a module came) is our own change.
    let ours = director.state().notes.of(Source::Sysctl).iter().any(|problem| problem.starts_with("sysctl "));
    let written = settle::sysctls(director);
    let mut changes = if ours { 0 } else { written };
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let configured = !sync::desired(&state.running.config, &state.roles).is_empty() || state.syncs;
    let strangers = if configured { Vec::new() } else { state.kernel.daemons().unwrap_or_default() };
    for daemon in strangers.iter().filter(|daemon| !(state.reset_daemon && reset::is_own(daemon))) {
        match state.kernel.stop_daemon(daemon.role) {
            Ok(()) => changes += 1,
            Err(e) => log::warn!("connection-sync: {e}"),
        }
    }
    if changes > 0 && state.settings_drift.seen(changes, now) {
        log::warn!("{SETTINGS}, put right: {changes}");
    }
}

/// IPVS.
fn table(director: &Director, now: Instant) {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let unserved = state.unserved();
    let sentences = match state.converge(reconcile::timeouts(&state.running.config)) {
        Ok(changes) => {
            // What the kernel did not take before and takes now (a module came) is our own change.
            let ours = !state.notes.of(Source::Kernel).is_empty();
            if changes > 0 && !ours && state.drift.seen(changes, now) {
                log::warn!("{IPVS}, put right: {changes}");
            }
            state.refused.values().cloned().collect()
        }
        // A box that balances nothing does not need what it cannot reach.
        Err(_) if state.desired.table.services.is_empty() => Vec::new(),
        Err(why) => vec![why],
    };
    state.notes.set(Source::Kernel, sentences);
    if state.unserved() != unserved {
        drop(guard);
        health::retarget(director);
    }
}

/// Our nft table: put in place when that has failed, and again when somebody has used nft.
async fn rules(director: &Director, now: Instant) {
    let rules = director.state().rules();
    let script = nft::render(&rules);
    let known = director.state().nft.as_ref() == Some(&script);
    if known && rules.is_empty() {
        return;
    }
    let generation = director.state_mut().kernel.generation();
    let untouched = generation.as_ref().is_ok_and(|now| Some(now.id) == director.state().nft_generation);
    if known && untouched {
        return;
    }
    let before = listing(director).await;
    let done = commit::nft_again(director, script).await;
    let after = listing(director).await;
    let mut state = director.state_mut();
    if known && done.is_ok() && before != after && state.nft_drift.seen(1, now) {
        let who = generation.map(|generation| generation.program).unwrap_or_default();
        log::warn!("{NFT}, put right; the last to use nft was {who:?}");
    }
    state.notes.set(Source::Nft, done.err().into_iter().collect());
}

async fn listing(director: &Director) -> Result<String, String> {
    let program = director.paths.nft.clone();
    tokio::task::spawn_blocking(move || nft::list(&program)).await.expect("nft::list does not panic")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start to count from")]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_logged_once_and_forgotten_after_an_hour() {
        let (mut drift, start) = (Drift::default(), Instant::now());
        assert!(drift.sentences(IPVS, start).is_empty());
        assert!(drift.seen(3, start));
        assert!(!drift.seen(2, start + EPISODE));
        assert!(drift.sentences(IPVS, start)[0].contains("(2 times in the last hour), put right: 2"));
        assert!(drift.seen(1, start + EPISODE * 3));
        assert!(drift.sentences(IPVS, start + REMEMBERED * 2).is_empty());
        assert_eq!(drift, Drift::default());
    }
}
