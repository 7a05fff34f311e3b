//! The one-shots: each ends by itself, may be asked for again, and is killed when it does not end. A state machine like
//! `supervisor`, with the same contract.
//!
//! They exist because PID 1 never waits: not for a disk to be checked, a driver to find its device, or netlink.

use std::collections::VecDeque;
use std::time::Duration;

use crate::supervisor::Exit;

/// The one-shots there are, each `init WORD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Checks and mounts `/flash`.
    Flash,
    /// Loads the drivers of network cards and names the interfaces.
    Network,
    /// Loads the other drivers: keyboards, watchdogs, late buses. Nothing waits for it.
    Devices,
    /// `init setup`: the network part of the configuration.
    Setup,
    /// Makes `/flash` anew where it does not mount: an operator has asked for it.
    Format,
}

impl Task {
    /// In the order in which they are first wanted.
    pub const ALL: [Self; 5] = [Self::Flash, Self::Network, Self::Devices, Self::Setup, Self::Format];

    /// Its word on init's command line, and its source in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Flash => "flash",
            Self::Network => "network",
            Self::Devices => "devices",
            Self::Setup => "setup",
            Self::Format => "format",
        }
    }

    /// How long it may take.
    #[must_use]
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            // 64 MiB with every block in doubt, on a worn USB stick.
            Self::Flash => 120,
            // Firmware of a 100G card takes 20 s; two such cards. Then it waits for the flash, which knows their names, as long as that may take.
            Self::Network => 60 + Self::Flash.limit().as_secs() + DYING.as_secs(),
            // It looks for late USB devices on purpose.
            Self::Devices => 60,
            // 4,000 addresses under emulation take 2 s. Less than the director's patience, so that it hears the reason.
            Self::Setup => 50,
            // 64 MiB, of which mke2fs writes a tenth, on a worn USB stick.
            Self::Format => 50,
        })
    }

    /// What must have ended before it may start: there is no use in looking for interfaces whose drivers are not loaded.
    fn after(self) -> Option<Self> {
        match self {
            Self::Flash | Self::Network | Self::Format => None,
            Self::Devices | Self::Setup => Some(Self::Network),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start it; answer with [`Tasks::handle_spawned`].
    Spawn(Task),
    /// Kill the process group of this process.
    Kill(i32),
    /// A run is over.
    Ended {
        /// Which.
        task: Task,
        /// How; a run that was killed for taking too long says so.
        exit: Exit,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum State {
    /// Does not run; whether it ever did.
    #[default]
    Idle,
    /// Wanted, and waits for another one.
    Waiting,
    /// Asked for in this very step.
    Spawning,
    /// Runs until `kill_at`, `None` once it was killed; what that does not end by `give_up_at`, `None` again, counts as ended.
    Running { pid: i32, kill_at: Option<Duration>, give_up_at: Option<Duration>, again: bool },
}

/// How long a killed one may take to end. One that waits for a disk which does not answer takes for ever, and the box has to go on without it.
const DYING: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Slot {
    state: State,
    /// It has ended at least once.
    ended: bool,
}

/// All one-shots.
#[derive(Debug, Default)]
pub struct Tasks {
    slots: [Slot; Task::ALL.len()],
    effects: VecDeque<Effect>,
}

impl Tasks {
    /// Asks for a run. While one is under way it is followed by exactly one more, however often it is asked for, because
    /// the present one may have read the configuration already. Returns how many runs must end until that one has; `None` when nobody can
    /// say, as the present one was given up and is still there.
    pub fn handle_request(&mut self, task: Task) -> Option<u8> {
        let blocked = task.after().is_some_and(|first| !self.slot(first).ended);
        let slot = self.slot(task);
        match &mut slot.state {
            State::Idle if blocked => slot.state = State::Waiting,
            State::Idle => self.spawn(task),
            State::Waiting | State::Spawning => {}
            State::Running { again, kill_at, give_up_at, .. } => {
                *again = true;
                return kill_at.or(*give_up_at).map(|_| 2);
            }
        }
        Some(1)
    }

    /// Answers [`Effect::Spawn`].
    pub fn handle_spawned(&mut self, task: Task, outcome: Result<i32, String>, now: Duration) {
        match outcome {
            Ok(pid) => {
                self.slot(task).state =
                    State::Running { pid, kill_at: Some(now + task.limit()), give_up_at: None, again: false };
            }
            Err(why) => self.ended(task, Exit::NotStarted(why), false),
        }
    }

    /// The task whose process `pid` is.
    #[must_use]
    pub fn task_of(&self, pid: i32) -> Option<Task> {
        let runs = |slot: &Slot| matches!(slot.state, State::Running { pid: p, .. } if p == pid);
        Task::ALL.into_iter().zip(&self.slots).find(|(_, slot)| runs(slot)).map(|(task, _)| task)
    }

    /// Takes note that `pid` ended. `false` when it is nobody's.
    pub fn handle_exit(&mut self, pid: i32, exit: Exit) -> bool {
        let Some(task) = self.task_of(pid) else { return false };
        // Nothing of a one-shot outlives it.
        self.effects.push_back(Effect::Kill(pid));
        let State::Running { kill_at, give_up_at, again, .. } = self.slot(task).state else { return false };
        match (kill_at, give_up_at) {
            (Some(_), _) => self.ended(task, exit, again),
            (None, Some(_)) => self.ended(task, too_long(task, "killed"), again),
            // It was said to have ended.
            (None, None) if again => self.spawn(task),
            (None, None) => self.slot(task).state = State::Idle,
        }
        true
    }

    /// Kills what takes too long, and goes on without what cannot be killed.
    pub fn handle_timeout(&mut self, now: Duration) {
        for task in Task::ALL {
            let State::Running { pid, kill_at, give_up_at, .. } = &mut self.slots[task as usize].state else {
                continue;
            };
            if kill_at.is_some_and(|at| at <= now) {
                *kill_at = None;
                *give_up_at = Some(now + DYING);
                self.effects.push_back(Effect::Kill(*pid));
            } else if give_up_at.is_some_and(|at| at <= now) {
                *give_up_at = None;
                self.over(task, too_long(task, "cannot be killed"));
            }
        }
    }

    /// Kills everything and forgets what waits: the box goes down.
    pub fn handle_shutdown(&mut self) {
        for slot in &mut self.slots {
            match &mut slot.state {
                State::Running { pid, again, .. } => {
                    *again = false;
                    self.effects.push_back(Effect::Kill(*pid));
                }
                State::Waiting => slot.state = State::Idle,
                State::Idle | State::Spawning => {}
            }
        }
    }

    /// The next thing to do, if any.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Tasks::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let deadline = |slot: &Slot| match slot.state {
            State::Running { kill_at, give_up_at, .. } => kill_at.or(give_up_at),
            State::Idle | State::Waiting | State::Spawning => None,
        };
        self.slots.iter().filter_map(deadline).min()
    }

    fn slot(&mut self, task: Task) -> &mut Slot {
        &mut self.slots[task as usize]
    }

    fn spawn(&mut self, task: Task) {
        self.slot(task).state = State::Spawning;
        self.effects.push_back(Effect::Spawn(task));
    }

    fn ended(&mut self, task: Task, exit: Exit, again: bool) {
        self.slot(task).state = State::Idle;
        self.over(task, exit);
        if again {
            self.spawn(task);
        }
    }

    /// Says that a run is over, and starts what waits for that.
    fn over(&mut self, task: Task, exit: Exit) {
        self.slot(task).ended = true;
        self.effects.push_back(Effect::Ended { task, exit });
        for other in Task::ALL {
            if other.after() == Some(task) && self.slot(other).state == State::Waiting {
                self.spawn(other);
            }
        }
    }
}

/// Of one that was killed for taking too long.
fn too_long(task: Task, what: &str) -> Exit {
    Exit::NotStarted(format!("did not end in {} s, {what}", task.limit().as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(5);

    fn effects(tasks: &mut Tasks) -> Vec<Effect> {
        std::iter::from_fn(|| tasks.poll_effect()).collect()
    }

    fn ended(task: Task, code: i32) -> Effect {
        Effect::Ended { task, exit: Exit::Code(code) }
    }

    #[test]
    fn setup_waits_for_the_network_cards() {
        let mut tasks = Tasks::default();
        tasks.handle_request(Task::Network);
        tasks.handle_request(Task::Setup);
        tasks.handle_request(Task::Setup);
        assert_eq!(effects(&mut tasks), [Effect::Spawn(Task::Network)]);
        tasks.handle_spawned(Task::Network, Ok(7), NOW);
        assert!(!tasks.handle_exit(8, Exit::Code(0)));
        assert!(tasks.handle_exit(7, Exit::Code(1)));
        // Even when it failed: what is there must work.
        assert_eq!(effects(&mut tasks), [Effect::Kill(7), ended(Task::Network, 1), Effect::Spawn(Task::Setup)]);
    }

    #[test]
    fn a_request_during_a_run_is_followed_by_one_more_run() {
        let mut tasks = Tasks::default();
        tasks.slots[Task::Network as usize].ended = true;
        assert_eq!(tasks.handle_request(Task::Setup), Some(1));
        tasks.handle_spawned(Task::Setup, Ok(7), NOW);
        assert_eq!(tasks.handle_request(Task::Setup), Some(2));
        assert_eq!(tasks.handle_request(Task::Setup), Some(2));
        effects(&mut tasks);
        tasks.handle_exit(7, Exit::Code(0));
        assert_eq!(effects(&mut tasks), [Effect::Kill(7), ended(Task::Setup, 0), Effect::Spawn(Task::Setup)]);
        tasks.handle_spawned(Task::Setup, Ok(8), NOW);
        tasks.handle_exit(8, Exit::Code(0));
        assert_eq!(effects(&mut tasks), [Effect::Kill(8), ended(Task::Setup, 0)]);
    }

    #[test]
    fn what_takes_too_long_is_killed_once_and_says_so() {
        let mut tasks = Tasks::default();
        tasks.handle_request(Task::Flash);
        tasks.handle_spawned(Task::Flash, Ok(7), NOW);
        effects(&mut tasks);
        let end = NOW + Task::Flash.limit();
        assert_eq!(tasks.poll_timeout(), Some(end));
        tasks.handle_timeout(end - Duration::from_millis(1));
        assert_eq!(effects(&mut tasks), []);
        tasks.handle_timeout(end);
        assert_eq!((effects(&mut tasks), tasks.poll_timeout()), (vec![Effect::Kill(7)], Some(end + DYING)));
        tasks.handle_exit(7, Exit::Signal(9));
        let exit = Exit::NotStarted("did not end in 120 s, killed".into());
        assert_eq!(effects(&mut tasks)[1], Effect::Ended { task: Task::Flash, exit });
    }

    #[test]
    fn one_that_cannot_be_killed_is_gone_on_without() {
        let mut tasks = Tasks::default();
        tasks.handle_request(Task::Network);
        tasks.handle_request(Task::Setup);
        tasks.handle_spawned(Task::Network, Ok(7), NOW);
        let end = NOW + Task::Network.limit();
        tasks.handle_timeout(end);
        effects(&mut tasks);
        tasks.handle_timeout(end + DYING);
        let exit = too_long(Task::Network, "cannot be killed");
        assert_eq!(
            effects(&mut tasks),
            [Effect::Ended { task: Task::Network, exit }, Effect::Spawn(Task::Setup)],
            "once, and what waits for it does so no longer"
        );
        assert_eq!(tasks.poll_timeout(), None);
        // The disk answers after all: that was said already.
        assert_eq!(tasks.handle_request(Task::Network), None);
        assert!(tasks.handle_exit(7, Exit::Signal(9)));
        assert_eq!(effects(&mut tasks), [Effect::Kill(7), Effect::Spawn(Task::Network)]);
        tasks.handle_spawned(Task::Network, Ok(8), NOW);
        tasks.handle_exit(8, Exit::Code(0));
        assert_eq!(effects(&mut tasks), [Effect::Kill(8), ended(Task::Network, 0)]);
    }

    #[test]
    fn one_that_cannot_start_has_ended() {
        let mut tasks = Tasks::default();
        tasks.handle_request(Task::Network);
        tasks.handle_request(Task::Devices);
        tasks.handle_spawned(Task::Network, Err("no memory".into()), NOW);
        let exit = Exit::NotStarted("no memory".into());
        assert_eq!(
            effects(&mut tasks),
            [Effect::Spawn(Task::Network), Effect::Ended { task: Task::Network, exit }, Effect::Spawn(Task::Devices)]
        );
    }

    #[test]
    fn nothing_follows_a_shutdown() {
        let mut tasks = Tasks::default();
        tasks.handle_request(Task::Network);
        tasks.handle_request(Task::Setup);
        tasks.handle_spawned(Task::Network, Ok(7), NOW);
        tasks.handle_request(Task::Network);
        effects(&mut tasks);
        tasks.handle_shutdown();
        tasks.handle_exit(7, Exit::Signal(9));
        assert_eq!(effects(&mut tasks)[..2], [Effect::Kill(7), Effect::Kill(7)]);
        assert_eq!(tasks.poll_effect(), None);
    }
}
