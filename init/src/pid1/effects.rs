//! What the machines of PID 1, supervisor and one-shots, want done: processes started and signalled, and what follows from their end.
//!
//! When something is wanted is theirs to say.

use super::clients::ClientId;
use super::processes::Start;
use super::{DEVICES_AFTER_SETUP, INIT, Init, interfaces};
use crate::clock::now;
use crate::request::Reply;
use crate::supervisor::{self, Exit, Signal, Step};
use crate::sys::Identity;
use crate::tasks::{self, Task};
use crate::{capability, notify};

/// What a command that runs before a service may do: make files and directories, and give them away.
const BEFORE_CAPABILITIES: [&str; 3] = ["chown", "dac_override", "fowner"];

fn preparing() -> Result<Identity, String> {
    let capabilities = capability::set(&BEFORE_CAPABILITIES.map(str::to_owned))?;
    Ok(Identity { ids: Some((0, 0)), capabilities: Some(capabilities), processes: None })
}

impl Init {
    /// Does what the machines want until they want nothing.
    pub(super) fn carry_out(&mut self) {
        loop {
            if let Some(effect) = self.supervisor.poll_effect() {
                match effect {
                    supervisor::Effect::Spawn { name, step } => self.spawn_service(&name, step),
                    supervisor::Effect::Signal { pid, signal } => self.processes.signal(pid, signal),
                    supervisor::Effect::Log(text) => self.note(&text),
                    supervisor::Effect::AllStopped => self.stopped = true,
                }
            } else if let Some(effect) = self.tasks.poll_effect() {
                match effect {
                    tasks::Effect::Spawn(task) => self.spawn_task(task),
                    tasks::Effect::Kill(pid) => self.processes.signal(pid, Signal::Kill),
                    tasks::Effect::Ended { task, exit } => self.task_ended(task, &exit),
                }
            } else {
                return;
            }
        }
    }

    fn spawn_service(&mut self, name: &str, step: Step) {
        let Some(service) = self.supervisor.service(name).cloned() else { return };
        let spec = &service.spec;
        let mut env = spec.env.clone();
        let kept = || {
            let capabilities = spec.capabilities.as_deref().map(capability::set).transpose();
            capabilities.map(|capabilities| Identity { ids: spec.ids, capabilities, processes: spec.processes })
        };
        let (argv, identity, terminal) = match step {
            Step::Before(at) => (spec.before[at].clone(), preparing(), None),
            Step::Release => (spec.release.clone(), kept(), None),
            Step::Main => {
                if service.notify {
                    env.push(("NOTIFY_SOCKET".to_owned(), notify::SOCKET.to_owned()));
                }
                if let Some(period) = service.watchdog {
                    env.push(("WATCHDOG_USEC".to_owned(), period.as_micros().to_string()));
                }
                (spec.argv.clone(), kept(), service.terminal.as_deref())
            }
        };
        let terminal = terminal.map(|name| (name, self.kernel_consoles.split_ascii_whitespace().any(|c| c == name)));
        let outcome = identity.and_then(|identity| {
            let oom_score_adj = spec.oom_score_adj;
            self.processes.start(&Start {
                argv: &argv,
                env: &env,
                source: name,
                terminal,
                identity,
                task: None,
                oom_score_adj,
            })
        });
        self.supervisor.handle_spawned(name, outcome, now());
    }

    fn spawn_task(&mut self, task: Task) {
        self.problems.remove(&task);
        let outcome = self.processes.start(&Start {
            argv: &[INIT.to_owned(), task.word().to_owned()],
            env: &[],
            source: task.word(),
            terminal: None,
            identity: Identity::default(),
            task: Some(task),
            oom_score_adj: 0,
        });
        self.tasks.handle_spawned(task, outcome, now());
    }

    fn task_ended(&mut self, task: Task, exit: &Exit) {
        let left = self.processes.read_task(task);
        self.take_lines(left);
        self.note(&format!("{}: {exit}", task.word()));
        let mut problems = self.problems.remove(&task).unwrap_or_default();
        match exit {
            Exit::Code(0) => {}
            // It says no more than the lines do.
            Exit::Code(1) if !problems.is_empty() => {}
            Exit::Code(_) | Exit::Signal(_) | Exit::NotStarted(_) => {
                problems.push(format!("init {}: {exit}", task.word()));
            }
        }
        match task {
            Task::Flash => {
                self.warn(problems);
                self.supervisor.handle_release("director", now());
            }
            Task::Network => self.warn(problems),
            Task::Devices => {
                self.warn(problems);
                self.arm_watchdogs();
                if self.watchdogs.as_ref().is_some_and(|watchdogs| !watchdogs.any()) {
                    self.warn(vec![
                        "watchdog: this box has none, and does not restart by itself when it hangs".to_owned(),
                    ]);
                }
                // A card on a late bus (USB) is there now, and wants its addresses.
                if interfaces() != self.interfaces && self.end.is_none() {
                    self.tasks.handle_request(Task::Setup);
                }
            }
            Task::Format => {
                if problems.is_empty() {
                    // What was said of the old one.
                    self.warnings.retain(|warning| !warning.starts_with("flash:"));
                }
                let waiters = std::mem::take(&mut self.format_waiters);
                self.format_waiters = self.tell(waiters, &problems);
            }
            Task::Setup => {
                let waiters = std::mem::take(&mut self.setup_waiters);
                self.setup_waiters = self.tell(waiters, &problems);
                self.devices_at = self.devices_at.map(|at| at.min(now() + DEVICES_AFTER_SETUP));
            }
        }
    }

    /// Answers who waits for the run that has ended; returns who waits for a later one.
    fn tell(&mut self, waiters: Vec<(ClientId, u8)>, problems: &[String]) -> Vec<(ClientId, u8)> {
        let mut waiting = Vec::new();
        for (client, runs) in waiters {
            match runs {
                0 | 1 => self.clients.reply(client, &Reply::Setup { problems: problems.to_vec() }),
                more => waiting.push((client, more - 1)),
            }
        }
        waiting
    }
}
