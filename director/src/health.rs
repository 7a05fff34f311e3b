//! The director's side of health: what the prober says becomes pools, and pools become changes of IPVS.
//!
//! Verdicts are applied as they come, beside changes of the configuration and not behind them: `init setup` may take seconds, a dead server is to
//! be out at once. That is safe because a verdict is applied in one go to whatever configuration IPVS is programmed for
//! ([`crate::director::State::balanced`]). What is known is written under `/run` before it takes effect, so that a restarted director begins where
//! this one ended. Probing itself is the room `health`'s.

mod concern;
mod memo;
mod story;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ipvs::plan;
use tokio::sync::mpsc::UnboundedReceiver;
use yoke_config::model::{Config, VirtualServer};
use yoke_config::value::Name;
use yoke_health::pool::{self, Key, Pool};
use yoke_health::{
    News, Path, Prober, SourcePorts, State as Verdicts, Target, Time, Verdict, Wanted, target_of, targets,
};

use self::concern::Concern;
use crate::clock;
use crate::director::{Director, State};
use crate::files::Paths;
use crate::notes::Source;
use crate::reconcile::{self, Pools};

pub(crate) use story::counts;

/// Between two writes of verdicts at most: the first is applied at once, and those that come meanwhile together. A server that dies in a storm of
/// changes is out that much later.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// What is known of real servers, and what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// `None` where nobody probes: in tests of other things, and until the start.
    pub(crate) prober: Option<Prober>,
    /// Of every target of the configuration that IPVS is programmed for.
    pub(crate) verdicts: BTreeMap<Target, Verdict>,
    /// Why those that are down are so.
    pub(crate) reasons: BTreeMap<Target, String>,
    /// In effect.
    pub(crate) pools: Pools,
    /// What the prober was told last.
    probed: BTreeSet<Target>,
    /// From where each is asked in path.
    ports: SourcePorts,
    /// Why targets that have a way of clients are asked at their own address.
    asides: BTreeMap<Target, String>,
    /// What is known of the quorum of those that have no pool: from a director before this one, or since a vrrp group took them elsewhere.
    had_quorum: BTreeMap<Name, Option<bool>>,
    concern: Concern,
    /// What is known, under `/run`; `None` until it is written, and after a failure.
    journal: Option<memo::Journal>,
}

impl Health {
    /// What is known of a real server; `None` when nobody judges it.
    pub(crate) fn verdict(&self, config: &Config, server: &VirtualServer, key: Key) -> Option<Verdict> {
        self.prober.as_ref()?;
        let target = target_of(config, server, key, server.real_servers.get(&key)?)?;
        Some(self.verdicts.get(&target).copied().unwrap_or(Verdict::UNKNOWN))
    }

    /// Why a real server is not up, in words; empty when it is, or nobody judges it.
    pub(crate) fn reason(&self, config: &Config, server: &VirtualServer, key: Key) -> String {
        let target = server.real_servers.get(&key).and_then(|real| target_of(config, server, key, real));
        let Some((target, verdict)) = target.zip(self.verdict(config, server, key)) else { return String::new() };
        match verdict.state {
            Verdicts::Up => String::new(),
            Verdicts::Unknown => "not checked yet".to_owned(),
            Verdicts::Down => self.reasons.get(&target).cloned().unwrap_or_else(|| "down".to_owned()),
        }
    }

    /// The pools of a configuration, as of now.
    pub(crate) fn judge(&self, config: &Config, now: Time) -> Pools {
        if self.prober.is_none() {
            return Pools::new();
        }
        let judge = |(name, server): (&Name, &VirtualServer)| {
            let verdict = |key: Key| self.verdict(config, server, key);
            (name.clone(), pool::judge(config, server, &verdict, &self.before(name), now))
        };
        config.virtual_servers.iter().filter(|(_, server)| !server.shutdown).map(judge).collect()
    }

    /// Has the pools of a configuration take effect, as of now. Returns those that had.
    pub(crate) fn renew(&mut self, config: &Config, now: Time) -> Pools {
        let pools = self.judge(config, now);
        let before = std::mem::replace(&mut self.pools, pools);
        self.had_quorum.extend(before.iter().map(|(name, pool)| (name.clone(), pool.quorum)));
        self.had_quorum.retain(|name, _| !self.pools.contains_key(name));
        before
    }

    /// Has the next director know which virtual servers have their quorum, where that is news.
    pub(crate) fn keep_quorum(&mut self, paths: &Paths) {
        let pools = self.pools.clone();
        memo::add(paths, self, std::iter::empty(), &pools);
    }

    /// What the pool was until now, as far as that is known.
    fn before(&self, name: &Name) -> Cow<'_, Pool> {
        match self.pools.get(name) {
            Some(pool) => Cow::Borrowed(pool),
            None => Cow::Owned(Pool { quorum: self.had_quorum.get(name).copied().flatten(), ..Pool::default() }),
        }
    }

    /// Whether a virtual server of the running configuration has its quorum: its pool says so. One that has none, as it is not in force here or
    /// nothing is probed, is judged as if it had.
    pub(crate) fn has_quorum(&mut self, config: &Config, name: &Name, now: Time) -> bool {
        if let Some(pool) = self.pools.get(name) {
            return pool.has_quorum();
        }
        let Some(server) = config.virtual_servers.get(name).filter(|server| !server.shutdown) else { return false };
        let verdict = |key: Key| self.verdict(config, server, key);
        let pool = pool::judge(config, server, &verdict, &self.before(name), now);
        self.had_quorum.insert(name.clone(), pool.quorum);
        pool.has_quorum()
    }

    /// What becomes of the pools in effect, as of now: of those that `targets` concern, and of those of which a weight is due to grow.
    fn judge_again<'t>(&self, config: &Config, targets: impl Iterator<Item = &'t Target>, now: Time) -> Pools {
        let concerned = targets.flat_map(|target| self.concern.concerned(target)).map(|(name, _)| name);
        let growing = self.pools.iter().filter(|(_, pool)| pool.next.is_some_and(|at| at <= now));
        let names: BTreeSet<&Name> = concerned.chain(growing.map(|(name, _)| name)).collect();
        let judge = |name: &Name| {
            let server = config.virtual_servers.get(name).filter(|server| !server.shutdown)?;
            let known = |target: &Target| self.verdicts.get(target).copied().unwrap_or(Verdict::UNKNOWN);
            let verdict = |key: Key| self.concern.target(name, key).map(known);
            let pool = pool::judge(config, server, &verdict, &self.before(name), now);
            (self.pools.get(name) != Some(&pool)).then(|| (name.clone(), pool))
        };
        names.into_iter().filter_map(judge).collect()
    }

    /// Servers that are in service and get a check they did not have, or another one: what is known of them holds until it has something to say.
    /// A check that is added is to find the dead, not to break the connections of those that live; one that is put right lets nobody in who is
    /// dead, and a pool that balances as if none had failed goes on. One that was never up is asked first. Whether there are any: then it is to be
    /// written, before it takes effect.
    pub(crate) fn adopt(&mut self, from: &Config, to: &Config) -> bool {
        let mut adopted = BTreeMap::<Target, (Verdict, Option<String>)>::new();
        for (name, server) in &to.virtual_servers {
            let Some(old) = from.virtual_servers.get(name).filter(|old| !old.shutdown) else { continue };
            for (&key, real) in &server.real_servers {
                let Some(was) = old.real_servers.get(&key).filter(|real| !real.shutdown) else { continue };
                let Some(target) = target_of(to, server, key, real) else { continue };
                let unjudged = Verdict { state: Verdicts::Up, since: Time::ZERO, proven: true };
                let verdict = self.verdict(from, old, key).unwrap_or(unjudged);
                let is_better = adopted.get(&target).is_none_or(|(known, _)| known.state != Verdicts::Up);
                if !verdict.proven || self.verdicts.contains_key(&target) || !is_better {
                    continue;
                }
                let reason = target_of(from, old, key, was).and_then(|target| self.reasons.get(&target).cloned());
                adopted.insert(target, (verdict, reason.filter(|_| verdict.state == Verdicts::Down)));
            }
        }
        let any = !adopted.is_empty();
        for (target, (verdict, reason)) in adopted {
            self.reasons.extend(reason.map(|reason| (target.clone(), reason)));
            self.verdicts.insert(target, verdict);
        }
        any
    }

    /// Has the pools be as they were before a change that was undone: it turned no quorum.
    pub(crate) fn go_back(&mut self, pools: Pools) {
        self.pools = pools;
    }

    /// Writes what is known of the pools in effect, for a director after this one.
    pub(crate) fn save(&mut self, paths: &Paths) {
        if self.prober.is_some() {
            memo::save(paths, self);
        }
    }

    /// Says what a change of the configuration has done to pools, which were `before` until then.
    pub(crate) fn tell(&self, config: &Config, before: &Pools) {
        story::of_pools(config, before, &self.pools).iter().for_each(story::Line::log);
    }

    /// When a growing weight is due.
    fn next(&self) -> Option<Time> {
        self.pools.values().filter_map(|pool| pool.next).min()
    }
}

/// Takes over what a director before this one knew, and starts the prober. Before IPVS is programmed.
pub(crate) fn begin(director: &Rc<Director>) {
    if !director.probes {
        return;
    }
    let (news, received) = tokio::sync::mpsc::unbounded_channel();
    {
        let mut guard = director.state_mut();
        let state = &mut *guard;
        match Prober::start(news, clock::monotonic) {
            Ok(prober) => {
                if let Some(why) = prober.connects() {
                    log::warn!(
                        "checks by tcp make connections, which costs several times as much as half a handshake: raw sockets: {why}"
                    );
                }
                state.health.prober = Some(prober);
            }
            Err(error) => {
                log::error!("health checks do not run, every real server counts as healthy: {error}");
                let why = format!("health checks do not run, every real server counts as healthy: {error}");
                state.notes.set(Source::Health, vec![why]);
            }
        }
        memo::load(&director.paths, &mut state.health);
        let servers = &state.running.config.virtual_servers;
        state.health.had_quorum.retain(|name, _| servers.contains_key(name));
    }
    tokio::task::spawn_local(follow(director.clone(), received));
}

/// Tells the prober what a new configuration wants of it, or what has become of the services that checks in path need. After it has taken effect.
pub(crate) fn retarget(director: &Director) {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let Some(prober) = &state.health.prober else { return };
    // Of what is not in force too: when its turn comes, it is known who is well.
    let config = &state.running.config;
    let (table, refused, programmed) = (&state.desired.table, &state.refused, state.programmed);
    let is_served = |path: &Path, mark: u32| {
        let key = reconcile::key_of_path(path, mark);
        key.is_some_and(|key| programmed && table.services.contains_key(&key) && !refused.contains_key(&key))
    };
    let ports = state.health.ports.clone();
    let targets = targets(config, &mut state.health.ports, is_served);
    let known = state.health.verdicts.len();
    state.health.asides.retain(|target, _| targets.contains_key(target));
    // A change that is under way may have adopted some for its configuration, which is balanced already and not yet the running one.
    state.health.concern = std::mem::take(&mut state.health.concern).renewed(&state.balanced);
    let concern = &state.health.concern;
    let is_wanted = |target: &Target| targets.contains_key(target) || !concern.concerned(target).is_empty();
    state.health.verdicts.retain(|target, _| is_wanted(target));
    state.health.reasons.retain(|target, _| is_wanted(target));
    let is_there = |name: &Name| config.virtual_servers.get(name).is_some_and(|server| !server.shutdown);
    state.health.had_quorum.retain(|name, _| is_there(name));
    // Most changes of a configuration are none of what is probed: then the journal has it all, and nothing that is no more, such as what a change
    // adopted that was undone.
    let same = state.health.journal.is_some()
        && state.health.ports == ports
        && state.health.verdicts.len() == known
        && state.health.probed.iter().eq(targets.keys());
    let hostname = config.hostname().to_owned();
    state.health.probed = targets.keys().cloned().collect();
    let taken = [config.ssh.port].into();
    prober.probe(Wanted { targets, known: state.health.verdicts.clone(), hostname, taken });
    if same {
        // A quorum may have been configured.
        let pools = state.health.pools.clone();
        memo::add(&director.paths, &mut state.health, std::iter::empty(), &pools);
    } else {
        state.health.save(&director.paths);
    }
    state.notes.set(Source::Unjudged, unjudged(config));
}

/// Virtual servers with real servers that count as healthy because nobody was told how to judge them.
fn unjudged(config: &Config) -> Vec<String> {
    let without = |server: &&VirtualServer| {
        let mut real = server.real_servers.iter().filter(|(_, real)| !real.shutdown);
        real.any(|(&key, real)| server.health_check_of(key, real).is_none())
    };
    let servers = config.virtual_servers.iter().filter(|(_, server)| !server.shutdown && without(server));
    servers
        .map(|(name, _)| format!("virtual-server {name}: there is no health-check, its real servers count as healthy"))
        .collect()
}

/// Applies what the prober says, and lets weights grow, for ever.
async fn follow(director: Rc<Director>, mut received: UnboundedReceiver<News>) {
    loop {
        let next = director.state().health.next();
        let idle = next.map_or(Duration::MAX, |at| at.saturating_sub(clock::monotonic()));
        let mut news = Vec::new();
        tokio::select! {
            first = received.recv() => match first {
                Some(first) => news.push(first),
                // The prober ends only with the director.
                None => return,
            },
            () = tokio::time::sleep(idle) => {}
        }
        while let Ok(more) = received.try_recv() {
            news.push(more);
        }
        let began = clock::monotonic();
        apply(&director, &news, began);
        // Whatever comes, half of the thread is there for others.
        tokio::time::sleep(clock::monotonic().saturating_sub(began).min(PAUSE_MAX)).await;
    }
}

/// Makes verdicts take effect: what is known, the kernel, the log.
fn apply(director: &Director, news: &[News], now: Time) {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let config = state.balanced.clone();
    // Of those that are no longer probed nothing is kept: should they come back, they have to prove themselves.
    let news: Vec<&News> = news.iter().filter(|news| state.health.probed.contains(&news.target)).collect();
    for news in &news {
        state.health.verdicts.insert(news.target.clone(), news.verdict);
        if news.change.is_none() {
            continue;
        }
        if news.verdict.state == Verdicts::Up {
            state.health.reasons.remove(&news.target);
        } else {
            state.health.reasons.insert(news.target.clone(), news.reason.clone());
        }
    }
    state.health.concern = std::mem::take(&mut state.health.concern).renewed(&config);
    let turned = || news.iter().filter(|news| news.change.is_some()).map(|news| &news.target);
    let changed = state.health.judge_again(&config, turned(), now);
    // First what is known: a director that is killed in between finds the kernel behind it, not ahead.
    memo::add(&director.paths, &mut state.health, turned(), &changed);
    let unserved = state.unserved();
    program(state, &config, &changed);
    let had = |name: &Name| state.health.pools.get(name).map(|pool| pool.quorum);
    if changed.iter().any(|(name, pool)| had(name) != Some(pool.quorum)) {
        // vrrpd may track it.
        director.configured.notify_one();
    }
    let ways = story::of_ways(&news, &mut state.health.asides);
    let concerned = |target: &Target| state.health.concern.concerned(target);
    for line in story::lines(&config, &news, concerned, &state.health.pools, &changed).into_iter().chain(ways) {
        line.log();
    }
    state.health.pools.extend(changed);
    if state.unserved() != unserved {
        drop(guard);
        retarget(director);
    }
}

/// Brings IPVS from the pools in effect to what has become of some of them, in place.
fn program(state: &mut State, config: &Config, pools: &Pools) {
    let (mut had, mut wanted) = (ipvs::Table::default(), ipvs::Table::default());
    for (name, pool) in pools {
        let Some((key, entry)) = reconcile::entry(config, name, Some(pool)) else { continue };
        had.services.extend(state.desired.table.services.get(&key).map(|entry| (key, entry.clone())));
        wanted.services.insert(key, entry);
    }
    // The kernel holds what was wanted before, so the difference is known without looking. Where it does not, it is looked at.
    let changes = plan(&had, &wanted);
    let changed = if changes.is_empty() { Ok(()) } else { state.kernel.apply(&changes) };
    state.desired.table.services.extend(wanted.services);
    if changed.is_ok() {
        return;
    }
    let sentences = match state.converge(reconcile::timeouts(config)) {
        Ok(_) => state.refused.values().cloned().collect(),
        // The slow look at the table tries again.
        Err(why) => vec![why],
    };
    state.notes.set(Source::Kernel, sentences);
}
