//! What PID 1 answers to whom, and how the box goes down.

use std::fs;

use anyhow::Context as _;

use super::Init;
use super::clients::ClientId;
use super::end::How;
use crate::clock::now;
use crate::doubt::Verdict;
use crate::request::{Reply, Request, ServiceSpec};
use crate::say;
use crate::tasks::Task;

/// Where the director says which services the configuration needs.
const SERVICES: &str = "/run/yoke/services.json";

impl Init {
    pub(super) fn answer(&mut self, client: ClientId, request: Request) {
        let reply = match request {
            Request::Setup => match self.tasks.handle_request(Task::Setup) {
                Some(runs) => {
                    self.setup_waiters.push((client, runs));
                    return;
                }
                None => stuck("network: init setup"),
            },
            Request::Format => match self.tasks.handle_request(Task::Format) {
                Some(runs) => {
                    self.format_waiters.push((client, runs));
                    return;
                }
                None => stuck("flash: init format"),
            },
            Request::Services => match read_services() {
                Ok(specs) => {
                    self.supervisor.handle_configured(&specs, now());
                    Reply::Done
                }
                Err(error) => Reply::Failed { why: format!("{error:#}") },
            },
            Request::Restart { name } => match self.supervisor.handle_restart(&name, now()) {
                Ok(()) => Reply::Done,
                Err(why) => Reply::Failed { why },
            },
            Request::Status => {
                let trial = self.trial.as_ref().map(|trial| trial.sentence(now()));
                let warnings = self.warnings.iter().cloned().chain(self.supervisor.warnings()).chain(trial).collect();
                Reply::Status { services: self.supervisor.status(now()), warnings }
            }
            Request::ClearLog => {
                self.ring.clear();
                Reply::Done
            }
            Request::Follow { follower, confirmed } => {
                match self.ring.follow(&follower, confirmed) {
                    Some(lines) => self.clients.reply(client, &Reply::Followed(lines)),
                    None => {
                        if let Some(earlier) = self.followers.insert(follower, client) {
                            self.clients.reply(earlier, &Reply::Failed { why: "another one follows now".to_owned() });
                        }
                    }
                }
                return;
            }
            Request::Log { lines } => Reply::Log { lines: self.ring.last(lines) },
            Request::Healthy => {
                if let Some(trial) = &mut self.trial {
                    trial.handle_healthy(now());
                }
                Reply::Done
            }
            Request::Unhealthy { why } => {
                if let Some(trial) = &mut self.trial {
                    trial.handle_unhealthy(why);
                }
                Reply::Done
            }
            Request::TrialOver => {
                self.trial = None;
                Reply::Done
            }
            Request::Reboot => self.go_down(How::Restart),
            Request::PowerOff => self.go_down(How::PowerOff),
        };
        self.clients.reply(client, &reply);
    }

    /// Gives who waits for the log what came in this turn.
    pub(super) fn answer_followers(&mut self) {
        for (follower, client) in std::mem::take(&mut self.followers) {
            let reply = if self.clients.is_there(client) {
                self.ring.follow(&follower, None).map(Reply::Followed)
            } else {
                Some(Reply::Failed { why: "gone".to_owned() })
            };
            match reply {
                Some(reply) => self.clients.reply(client, &reply),
                None => drop(self.followers.insert(follower, client)),
            }
        }
    }

    /// Restarts the box when its firmware is not to be kept.
    pub(super) fn judge_firmware(&mut self) {
        let failures = self.supervisor.failures("director");
        let mut verdict = None;
        if let Some(trial) = &mut self.trial {
            trial.handle_failures(failures);
            verdict = trial.verdict(now());
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.handle_director(failures, self.supervisor.ready_since("director"));
            match doubt.verdict(now()) {
                None => {}
                Some(Verdict::Up) => self.doubt = None,
                Some(Verdict::Restart(why)) => verdict = Some(why),
            }
        }
        if let Some(why) = verdict {
            (self.trial, self.doubt) = (None, None);
            self.note(&why);
            say::consoles(&format!("yoke: {why}"));
            self.go_down(How::Restart);
        }
    }

    pub(super) fn go_down(&mut self, how: How) -> Reply {
        if self.end.is_none() {
            self.end = Some(how);
            self.note(match how {
                How::Restart => "restarting",
                How::PowerOff => "switching off",
            });
            self.tasks.handle_shutdown();
            self.supervisor.handle_shutdown(now());
        }
        Reply::Done
    }
}

/// The answer of a one-shot whose last run can neither end nor be killed: who asks would wait for as long as that takes.
fn stuck(what: &str) -> Reply {
    Reply::Setup {
        problems: vec![format!(
            "{what}: its last run cannot be killed, it waits for a disk or the kernel, use: reload"
        )],
    }
}

fn read_services() -> anyhow::Result<Vec<ServiceSpec>> {
    let text = fs::read_to_string(SERVICES).context(SERVICES)?;
    let specs: Vec<ServiceSpec> = serde_json::from_str(&text).context(SERVICES)?;
    for spec in &specs {
        let program = spec.argv.first().map_or("", String::as_str);
        for program in [program].into_iter().chain(spec.release.first().map(String::as_str)) {
            anyhow::ensure!(program.starts_with('/'), "service {}: {program:?}: not an absolute path", spec.name);
        }
    }
    Ok(specs)
}
