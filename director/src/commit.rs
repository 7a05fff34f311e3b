//! Changing the running configuration: all of it or nothing, one change after the other.
//!
//! Lines -> edits -> merge with what others changed -> `Config` (every problem at once) -> kernel -> text, revision, reply. What the kernel
//! refuses is undone, and both are reported. The steps that can refuse come first; those that cannot (files, accounts, `init setup`,
//! services) follow, and what they have to say is a warning. So IPVS comes before the network: a service whose address is not there yet is
//! silence, which a client tries again; an address whose service is not there is a refusal. And nft comes around IPVS: what it does for a
//! service is there before the service, and goes after it.

mod target;

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use yoke_config::model::Config;
use yoke_config::tree::Tree;
use yoke_director::status::{Refusal, RefusalKind, Reply};
use yoke_init::setup::wanted::Wanted as Network;

use crate::director::{Director, Running};
use crate::files::{self, Medium};
use crate::kernel::{self, Wanted};
use crate::nft::Rules;
use crate::notes::Source;
use crate::reconcile::Pools;
use crate::roles::{self, Roles};
use crate::{accounts, clock, flash, health, nft, reconcile, restart, settle, sync, sysctl};

pub(crate) use target::port_word;
use target::target;

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Change {
    /// Lines typed against revision `base`.
    Lines {
        base: u64,
        lines: Vec<String>,
        /// Though somebody else changed the same lines.
        force: bool,
    },
    /// This text instead of everything.
    Replace { text: String },
    /// `drain` added to or removed from real servers.
    Drain { drain: bool, address: IpAddr, port: Option<u16>, virtual_server: Option<String> },
    /// The lines of the first password: only while there is no credential.
    First { lines: Vec<String> },
}

/// Makes a change on behalf of `by`, after those that came before it.
pub(crate) async fn run(director: &Rc<Director>, by: &str, change: Change) -> Reply {
    let mut reply = in_turn(director, by, change).await;
    if let Reply::Applied { warnings, .. } = &mut reply {
        let before = director.state().notes.clone();
        // Last, and nobody else's change or election waits for it: the flash may hang.
        flash::keep_uids(director).await;
        warnings.extend(director.state().notes.since(&before));
    }
    reply
}

async fn in_turn(director: &Rc<Director>, by: &str, change: Change) -> Reply {
    let _turn = director.turn().await;
    let whole = matches!(change, Change::Replace { .. });
    let (tree, absent) = match target(director, change).await {
        Ok(target) => target,
        Err(refusal) => return Reply::Refused(refusal),
    };
    match apply(director, by, tree).await {
        Ok((revision, warnings)) => {
            if whole {
                flash::loaded(director);
            }
            Reply::Applied { revision, warnings: [absent, warnings].concat() }
        }
        Err(problems) => Reply::Refused(Refusal { kind: RefusalKind::NotApplied, problems }),
    }
}

/// Makes `tree` the running configuration. Returns the revision and the warnings that are new; or why not, after undoing what was done.
pub(crate) async fn apply(director: &Director, by: &str, tree: Tree) -> Result<(u64, Vec<String>), Vec<String>> {
    if tree == *director.state().running.tree {
        return Ok((director.state().running.revision, Vec::new()));
    }
    let config = Config::try_from(&tree).map_err(|problems| problems.into_iter().map(|p| p.0).collect::<Vec<_>>())?;
    if let Some(why) = accounts::lockout(&director.state().running.config, &config) {
        return Err(vec![why.to_owned()]);
    }
    if let Some(why) = config.timezone.as_deref().and_then(accounts::unknown_zone) {
        return Err(vec![why]);
    }
    // Its daemon would be in the way of real servers of the other family.
    let _reset = if config.mixes_families().is_some() { Some(director.reset_turn().await) } else { None };
    let before = director.state().notes.clone();
    let revision = director.state().running.revision + 1;
    let old = director.state().running.clone();
    // A group that is no more is active nowhere.
    let left = director.state().roles.clone().of(&config);
    let pools = director.state().health.pools.clone();
    let new = Rc::new(Running::new(revision, tree, config));

    let mut begun = false;
    let done = async {
        let roles = director.state().roles.clone();
        carry_over(director, (&old.config, &roles), (&new.config, &left), &mut begun).await?;
        write(director, &new)
    };
    if let Err(why) = done.await {
        return Err(undo(director, (&old, pools), &new, begun, why).await);
    }

    log::info!("configuration revision {revision} by {by}");
    {
        let mut state = director.state_mut();
        state.past.push(revision, new.tree.clone(), by);
        state.running = new.clone();
        state.roles = left;
        state.notes.set(Source::Configuration, new.config.warnings.clone());
    }
    // Before anything is probed: one of them decides whether answers reach the prober.
    settle::sysctls(director);
    health::retarget(director);
    // What init would make of them decides, so that nothing it acts on can be forgotten here.
    let network = Network::from(&old.config) != Network::from(&new.config);
    // One that left problems is run again with the next change: a card may have come, or a neighbour gone.
    let network = network || !director.state().notes.of(Source::Network).is_empty();
    settle::run(director, network).await;
    // Addresses of pools that are no more have gone with the network.
    let rules = director.state().rules();
    if let Err(why) = nft_script(director, nft::render(&rules)).await {
        log::warn!("{why}");
        director.state_mut().notes.set(Source::Nft, vec![why]);
    }
    let news = director.state().notes.since(&before);
    Ok((revision, news))
}

/// How long connections are on their way after an election: the kernel sends them within 2 s (`IPVS_SYNC_FLUSH_TIME`), and looks every second.
const SETTLE: Duration = Duration::from_secs(5);

/// Acts on what vrrpd says of its groups, for ever: what is bound to a group comes and goes with it.
pub(crate) async fn follow_roles(director: Rc<Director>) {
    let mut settling = false;
    loop {
        let settled = tokio::select! {
            () = director.elected.notified() => false,
            () = tokio::time::sleep(SETTLE), if settling => true,
        };
        let _turn = director.turn().await;
        let old = director.state().roles.clone();
        let new = match director.state().vrrp.as_ref().map(Roles::from) {
            // One that is not followed has changed nothing that is known.
            None => old.clone(),
            Some(new) => new.after(&old),
        };
        let new = if settled { new.settled() } else { new };
        settling = new != new.clone().settled();
        if new == old {
            continue;
        }
        director.state_mut().roles = new.clone();
        let config = &director.state().running.clone().config;
        if let Err(why) = carry_over(&director, (config, &old), (config, &new), &mut false).await {
            log::error!("after an election: {why}, tried again within {} s", director.resync.as_secs());
            let state = &mut *director.state_mut();
            state.balanced = Rc::new(roles::in_force(config, &new).into_owned());
            state.health.renew(&state.balanced, clock::monotonic());
            state.health.keep_quorum(&director.paths);
            state.desired = reconcile::desired(&state.balanced, &state.health.pools);
        }
        sync::run(&director);
        // Last: the packets of a takeover do not wait for it.
        if let Err(e) = restart::save(&director, director.state().running.revision) {
            log::warn!("{e}");
        }
    }
}

/// Brings nft, connection tracking and IPVS from one configuration to another. The rules of both are in effect while IPVS changes, so that at no
/// time a packet is balanced whose source address nobody translates. `begun` becomes true when IPVS is no longer as it was.
async fn carry_over(
    director: &Director,
    from: (&Config, &Roles),
    to: (&Config, &Roles),
    begun: &mut bool,
) -> Result<(), String> {
    let (before, after) = (Rules::new(from.0, from.1), Rules::new(to.0, to.1));
    let (from, to) = (roles::in_force(from.0, from.1), roles::in_force(to.0, to.1));
    let between = after.joined(&before);
    if between.needs_conntrack() {
        // Its settings are there when it is loaded.
        director.state_mut().kernel.info().map_err(|e| format!("ipvs: {e}"))?;
        sysctl::track(&director.paths.proc, &to)?;
    }
    nft_script(director, nft::render(&between)).await?;
    *begun = true;
    program(director, &to, &from)?;
    // What tracks connections besides is settled afterwards: it can only be less. So are the addresses of pools.
    nft_script(director, nft::render(&after.guarding(&before))).await
}

/// Programs IPVS, which is as `before` wants it.
fn program(director: &Director, config: &Config, before: &Config) -> Result<(), String> {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    // From here on verdicts are applied to it.
    let from = std::mem::replace(&mut state.balanced, Rc::new(config.clone()));
    let adopted = state.health.adopt(&from, config);
    let pools = state.health.renew(config, clock::monotonic());
    if adopted {
        state.health.save(&director.paths);
    } else {
        state.health.keep_quorum(&director.paths);
    }
    let desired = reconcile::desired(config, &state.health.pools);
    let wanted = Wanted { desired: &desired, timeouts: reconcile::timeouts(config) };
    let had = Wanted { desired: &state.desired, timeouts: reconcile::timeouts(before) };
    if wanted.desired.table == had.desired.table && wanted.timeouts == had.timeouts {
        state.notes.set(Source::Reconcile, desired.warnings.clone());
        state.desired = desired;
        state.health.tell(config, &pools);
        return Ok(());
    }
    // What the kernel refused before, and has not changed since, is no reason to refuse this change; nor is a service that only checks need.
    let tolerated = |key: &ipvs::ServiceKey| {
        let unchanged = || wanted.desired.table.services.get(key) == had.desired.table.services.get(key);
        wanted.desired.checks.contains_key(key) || state.refused.contains_key(key) && unchanged()
    };
    let outcome = kernel::converge(state.kernel.as_mut(), &wanted, &tolerated)?;
    state.refused = outcome.refused;
    state.programmed = true;
    state.notes.set(Source::Kernel, state.refused.values().cloned().collect());
    state.notes.set(Source::Reconcile, desired.warnings.clone());
    state.desired = desired;
    state.health.tell(config, &pools);
    Ok(())
}

/// Puts the text in place; the last step that can refuse.
fn write(director: &Director, new: &Running) -> Result<(), String> {
    // The number first: a director killed in between then knows the text by a number nobody has typed lines against.
    restart::save(director, new.revision)?;
    let path = director.paths.running_config();
    let written = files::replace(&path, new.text.as_bytes(), 0o600, Medium::Memory);
    written.map(drop).map_err(|e| format!("{}: {e}", path.display()))
}

/// Brings our nft table to `script`, unless it is there.
pub(crate) async fn nft_script(director: &Director, script: String) -> Result<(), String> {
    if director.state().nft.as_ref() == Some(&script) {
        return Ok(());
    }
    nft_again(director, script).await
}

/// Brings our nft table to `script`, whatever is there.
pub(crate) async fn nft_again(director: &Director, script: String) -> Result<(), String> {
    match nft_transaction(director, &script).await {
        Ok(generation) => {
            let mut state = director.state_mut();
            state.nft = Some(script);
            state.nft_generation = generation;
            Ok(())
        }
        // All or nothing: what was in effect is in effect.
        Err(nft::Failure::Refused(why)) => Err(why),
        Err(nft::Failure::Unknown(why)) => {
            director.state_mut().nft = None;
            Err(why)
        }
    }
}

/// Has nft run a script about one of our tables, and returns the kernel's count of transactions after it. One more is ours, and no reason to look at
/// the other table. Between more of them somebody else's may be, after ours even: then the count is `None`, and the next look is a thorough one.
pub(crate) async fn nft_transaction(director: &Director, script: &str) -> Result<Option<u32>, nft::Failure> {
    let (program, text) = (director.paths.nft.clone(), script.to_owned());
    let before = generation(director);
    tokio::task::spawn_blocking(move || nft::apply(&program, &text)).await.expect("nft::apply does not panic")?;
    let now = generation(director).filter(|now| before.is_some_and(|before| now.wrapping_sub(before) <= 1));
    let mut guard = director.state_mut();
    let state = &mut *guard;
    for known in [&mut state.nft_generation, &mut state.ssh_limit.generation] {
        if before.is_some() && *known == before {
            *known = now;
        }
    }
    Ok(now)
}

/// The kernel's count of nft's transactions; `None` when it does not say.
pub(crate) fn generation(director: &Director) -> Option<u32> {
    director.state_mut().kernel.generation().ok().map(|generation| generation.id)
}

/// Goes back to `old`, with its pools, after a step towards `new` was refused; `begun` as in [`carry_over`].
async fn undo(
    director: &Director,
    (old, pools): (&Running, Pools),
    new: &Running,
    begun: bool,
    why: String,
) -> Vec<String> {
    let roles = director.state().roles.clone();
    let old_config = roles::in_force(&old.config, &roles);
    let rules = Rules::new(&old.config, &roles);
    let mut failures = Vec::new();
    if begun {
        let between = rules.joined(&Rules::new(&new.config, &roles));
        failures.extend(nft_script(director, nft::render(&between)).await.err());
        failures.extend(restore(director, &old_config, pools).err());
        health::retarget(director);
    }
    failures.extend(nft_script(director, nft::render(&rules)).await.err());
    failures.extend(write(director, old).err());
    let _ = settle::sysctls(director);
    report(vec![why], failures.into_iter().next())
}

/// Brings IPVS back to what `config` wants, with what its pools were, whatever a refused change has left.
fn restore(director: &Director, config: &Config, pools: Pools) -> Result<(), String> {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    state.balanced = Rc::new(config.clone());
    // What the log has said of the change is no longer so, nor what vrrpd has been told meanwhile.
    let changed = state.health.pools.clone();
    state.health.go_back(pools);
    state.health.renew(config, clock::monotonic());
    state.health.tell(config, &changed);
    director.configured.notify_one();
    state.desired = reconcile::desired(config, &state.health.pools);
    state.notes.set(Source::Reconcile, state.desired.warnings.clone());
    state.converge(reconcile::timeouts(config))?;
    state.notes.set(Source::Kernel, state.refused.values().cloned().collect());
    Ok(())
}

fn report(mut problems: Vec<String>, not_undone: Option<String>) -> Vec<String> {
    problems.push(match not_undone {
        None => "nothing was changed, what had been done is undone".to_owned(),
        Some(why) => format!("not everything could be undone, it is tried again every few seconds: {why}"),
    });
    log::warn!("change refused: {}", problems.join("; "));
    problems
}
