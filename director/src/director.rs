//! The daemon's state, in one place: what is configured, what the kernel should hold, who is connected.
//!
//! One thread, so no lock: [`Director::state`] borrows for as long as no `await` lies between. Changes take turns ([`Director::turn`]); whoever
//! only looks never waits for one.

use std::borrow::Cow;
use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ipvs::{ServiceKey, Timeouts};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard, Notify};
use vrrp::status::Status;
use yoke_config::model::Config;
use yoke_config::tree::{Rejected, Tree};

use crate::clear::Cleared;
use crate::drift::Drift;
use crate::files::Paths;
use crate::flash;
use crate::health::Health;
use crate::initd::Init;
use crate::install::Job;
use crate::kernel::{self, Kernel, Outcome, Wanted};
use crate::limiter::Limiter;
use crate::nft::Rules;
use crate::notes::Notes;
use crate::past::Past;
use crate::reconcile::Desired;
use crate::rivals::Rivals;
use crate::roles::{self, Roles};
use crate::sessions::Sessions;
use crate::uids::Uids;
use crate::vrrpd::Vrrpd;
use crate::{install, settle, ssh};

/// The daemon.
pub(crate) struct Director {
    pub(crate) paths: Paths,
    pub(crate) init: Init,
    pub(crate) vrrpd: Vrrpd,
    /// Rung when the configuration has changed.
    pub(crate) configured: Notify,
    /// Rung when a vrrp group has changed its state.
    pub(crate) elected: Notify,
    /// How often the kernel's table is compared with what it should be.
    pub(crate) resync: Duration,
    /// Whether real servers are probed; without it each counts as healthy.
    pub(crate) probes: bool,
    state: RefCell<State>,
    turns: Mutex<()>,
    /// Held by the thread that uses the flash.
    pub(crate) medium: Arc<Mutex<()>>,
    /// Longest wait for the flash: [`flash::LIMIT`], less in tests.
    pub(crate) flash_limit: Duration,
    /// From a start to its having come up: [`yoke_init::doubt::UP_AFTER`], less in tests.
    pub(crate) up_after: Duration,
    walks: Mutex<()>,
    resets: Mutex<()>,
    pub(crate) install: Job,
    /// Longest wait for the disk: [`install::LIMIT`], less in tests.
    pub(crate) install_limit: Duration,
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) running: Rc<Running>,
    /// The configuration that `desired` is made of: while a change is under way, the new one, from the moment that IPVS is programmed for it.
    pub(crate) balanced: Rc<Config>,
    pub(crate) health: Health,
    /// Earlier running configurations, which open blocks may still be typed against.
    pub(crate) past: Past,
    /// What the kernel should hold.
    pub(crate) desired: Desired,
    /// Services the kernel refused, and why. They do not stand in the way of other changes.
    pub(crate) refused: BTreeMap<ServiceKey, String>,
    pub(crate) drift: Drift,
    /// Of sysctls and sync daemons.
    pub(crate) settings_drift: Drift,
    /// Of our nft table.
    pub(crate) nft_drift: Drift,
    /// Lines of the startup configuration that could not be loaded.
    pub(crate) rejected: Vec<Quarantined>,
    /// In recovery, until a whole configuration is loaded or saved: whether that on flash was left alone, and must not be lost by the way.
    pub(crate) unloaded: bool,
    /// How the configuration came to be, when that is unusual.
    pub(crate) notice: String,
    pub(crate) notes: Notes,
    pub(crate) uids: Uids,
    /// The table that flash was last given, or asked to take.
    pub(crate) uids_kept: Option<Uids>,
    pub(crate) sessions: Sessions,
    pub(crate) limiter: Limiter,
    /// The nft script in effect; `None` when that is not known.
    pub(crate) nft: Option<String>,
    /// The kernel's count of nft's transactions when it came into effect.
    pub(crate) nft_generation: Option<u32>,
    pub(crate) ssh_limit: ssh::Limit,
    /// Which groups are active, as far as it has been acted on.
    pub(crate) roles: Roles,
    /// Whether a sync daemon of ours runs.
    pub(crate) syncs: bool,
    /// Whether one of `reset connections` may run.
    pub(crate) reset_daemon: bool,
    /// What vrrpd said last; `None` while it is not followed.
    pub(crate) vrrp: Option<Status>,
    /// Whether IPVS holds what is desired, but for what it refused.
    pub(crate) programmed: bool,
    pub(crate) setup: settle::Retry,
    /// Network cards as they were when `init setup` was last asked for.
    pub(crate) cards: BTreeMap<u32, String>,
    /// Whether init has read `services.json` as it is.
    pub(crate) services_read: bool,
    pub(crate) rivals: Rivals,
    pub(crate) cleared: Cleared,
}

impl State {
    /// What of the running configuration is in force.
    pub(crate) fn in_force(&self) -> Cow<'_, Config> {
        roles::in_force(&self.running.config, &self.roles)
    }

    /// Brings IPVS to what is desired, by as few steps as there are; what it refuses is left as it is, and known. Returns the steps.
    ///
    /// # Errors
    /// A sentence, when it does not answer.
    pub(crate) fn converge(&mut self, timeouts: Timeouts) -> Result<usize, String> {
        let wanted = Wanted { desired: &self.desired, timeouts };
        let done = kernel::converge(self.kernel.as_mut(), &wanted, &|_| true);
        self.programmed = done.is_ok();
        let Outcome { changes, refused } = done?;
        self.refused = refused;
        Ok(changes)
    }

    /// What of the desired services is not there; `None`: all of it. Checks in path cannot go through those.
    pub(crate) fn unserved(&self) -> Option<BTreeSet<ServiceKey>> {
        self.programmed.then(|| self.refused.keys().copied().collect())
    }

    /// What nft is asked for.
    pub(crate) fn rules(&self) -> Rules {
        Rules::new(&self.running.config, &self.roles)
    }
}

/// The running configuration, three times the same.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Grows with each change; 0 before the first.
    pub(crate) revision: u64,
    pub(crate) tree: Rc<Tree>,
    pub(crate) config: Config,
    /// Canonical text.
    pub(crate) text: String,
}

impl Running {
    pub(crate) fn new(revision: u64, tree: Tree, config: Config) -> Self {
        let text = tree.print();
        Self { revision, tree: Rc::new(tree), config, text }
    }
}

/// A line that was set aside when the configuration was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quarantined {
    /// 1-based, in the file; 0 when the line is fine and what it says is not.
    pub(crate) number: usize,
    pub(crate) text: String,
    pub(crate) why: String,
    /// Headers of the blocks around it.
    pub(crate) within: Vec<String>,
}

impl From<Rejected> for Quarantined {
    fn from(line: Rejected) -> Self {
        Self { number: line.number, text: line.text, why: line.why, within: line.within }
    }
}

impl Director {
    pub(crate) fn new(paths: Paths, kernel: Box<dyn Kernel>, resync: Duration, probes: bool) -> Self {
        let state = State {
            kernel,
            running: Rc::default(),
            balanced: Rc::default(),
            health: Health::default(),
            past: Past::default(),
            desired: Desired::default(),
            refused: BTreeMap::new(),
            drift: Drift::default(),
            settings_drift: Drift::default(),
            nft_drift: Drift::default(),
            rejected: Vec::new(),
            unloaded: false,
            notice: String::new(),
            notes: Notes::default(),
            uids: Uids::load(&if paths.run_uids().exists() { paths.run_uids() } else { paths.uids() }),
            uids_kept: None,
            sessions: Sessions::default(),
            limiter: Limiter::default(),
            nft: None,
            nft_generation: None,
            ssh_limit: ssh::Limit::default(),
            roles: Roles::default(),
            syncs: true,
            reset_daemon: false,
            vrrp: None,
            programmed: false,
            setup: settle::Retry::default(),
            cards: BTreeMap::new(),
            services_read: false,
            rivals: Rivals::default(),
            cleared: Cleared::default(),
        };
        Self {
            init: Init::new(paths.init_socket()),
            vrrpd: Vrrpd::new(paths.vrrpd_socket()),
            configured: Notify::new(),
            elected: Notify::new(),
            resync,
            probes,
            paths,
            state: RefCell::new(state),
            turns: Mutex::default(),
            medium: Arc::default(),
            flash_limit: flash::LIMIT,
            up_after: yoke_init::doubt::UP_AFTER,
            walks: Mutex::default(),
            resets: Mutex::default(),
            install: Job::default(),
            install_limit: install::LIMIT,
        }
    }

    /// The state, to look at. Not to be held over an `await`.
    pub(crate) fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    /// The state, to change. Not to be held over an `await`.
    pub(crate) fn state_mut(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Waits for those who change something now. First come, first served: a change waits, it never fails for being second.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turns.lock().await
    }

    /// The turn, if nobody has it.
    pub(crate) fn try_turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turns.try_lock().ok()
    }

    /// Waits for those who read the kernel's table of connections now.
    pub(crate) async fn walk_turn(&self) -> MutexGuard<'_, ()> {
        self.walks.lock().await
    }

    /// Waits for those who end connections now. Not a turn: that takes its time, and a change or a takeover must not wait for it.
    pub(crate) async fn reset_turn(&self) -> MutexGuard<'_, ()> {
        self.resets.lock().await
    }

    pub(crate) fn open_session(&self) -> u64 {
        self.state_mut().sessions.number()
    }

    pub(crate) fn close_session(&self, id: u64) {
        self.state_mut().sessions.close(id);
    }
}
