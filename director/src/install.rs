//! `install`: has the one-shot of that name do what an operator says, and takes the box down in order where a slot is to start.
//!
//! The one-shot alone touches disks. `install add` and `install disk` run beside everything else, one at a time, and are watched through
//! [`Show::InstallProgress`]; the others take a moment.
//!
//! [`Show::InstallProgress`]: yoke_director::status::Show::InstallProgress

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::mpsc::unbounded_channel;
use yoke_director::status::{Adding, Install, RefusalKind, Reply};
use yoke_install::report::{Line, Slots, Target};
use yoke_install::slot::hex;
use yoke_install::twin;

use crate::director::Director;
use crate::flash;
use crate::notes::Source;
use crate::session::{Caller, refused};
use crate::vrrpd;

/// Longest wait for a command that takes a moment. A disk that works writes a sector within a second; one that hangs may never.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Between two looks whether a one-shot that was killed has ended.
const LOOK: Duration = Duration::from_millis(10);
/// Longest look at the disks: somebody waits for what it finds.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// The `install add` or `install disk` that runs, or the last one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Job {
    state: Arc<Mutex<State>>,
    /// Held by the thread that waits for a command that takes a moment.
    moment: Arc<tokio::sync::Mutex<()>>,
    /// Held by the thread that looks at the disks.
    look: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// While it runs.
    pid: Option<Pid>,
    adding: Adding,
    /// The disk that it overwrites, if it is an `install disk`.
    disk: Option<String>,
    /// What runs was committed since the director was started.
    committed: bool,
    /// What the last look at the disks has found.
    twins: Option<String>,
}

impl Job {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Adding {
        self.state().adding.clone()
    }

    fn start(&self, program: &Path, words: &[String]) -> Result<(), String> {
        let mut state = self.state();
        if state.pid.is_some() {
            return Err(format!("install {}: another one is under way, see show install summary", words[0]));
        }
        let mut child = spawn(program, words)?;
        state.pid = Some(Pid::from_raw(child.id().cast_signed()));
        state.adding = Adding { running: true, ..Adding::default() };
        state.disk = (words[0] == "disk").then(|| words[1].clone());
        drop(state);
        let job = self.clone();
        std::thread::spawn(move || {
            let last = read(&mut child, |progress| job.state().adding.progress = Some(progress));
            let mut state = job.state();
            // Under the lock, so that nobody signals a number that is another's by now.
            let _ = child.wait();
            state.pid = None;
            state.adding.running = false;
            (state.adding.text, state.adding.failed) = match last {
                Line::Done { text } => (text, false),
                Line::Failed { why } => (why, true),
                Line::Progress(_) | Line::Slots(_) | Line::Target(_) => {
                    ("install: ended without a word".to_owned(), true)
                }
            };
            log::warn!("{}", state.adding.text);
        });
        Ok(())
    }

    /// Stops it, and what it has started itself. Says whether there was one; it has ended when [`Job::progress`] says so.
    fn stop(&self) -> bool {
        let state = self.state();
        state.pid.is_some_and(|pid| killpg(pid, Signal::SIGKILL).is_ok())
    }

    /// Whether the trial of this firmware is over for good.
    pub(crate) fn is_committed(&self) -> bool {
        self.state().committed
    }
}

fn spawn(program: &Path, words: &[String]) -> Result<Child, String> {
    let mut command = Command::new(program);
    command.env_clear().args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own, which can be stopped as a whole.
    command.process_group(0);
    command.spawn().map_err(|e| format!("install: {}: {e}", program.display()))
}

/// Its last line; what it says on the way goes to `report`.
fn read(child: &mut Child, mut report: impl FnMut(yoke_install::report::Progress)) -> Line {
    let mut last = Line::Failed { why: "install: was stopped".to_owned() };
    for text in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
        match serde_json::from_str(&text) {
            Ok(Line::Progress(progress)) => report(progress),
            Ok(line) => last = line,
            Err(e) => log::error!("install: {text}: {e}"),
        }
    }
    last
}

/// Runs a command that takes a moment: one at a time, on a thread of its own, since a disk that hangs must not keep those from their work that
/// hash and translate. Nobody waits longer than [`LIMIT`] for it to get any further (a slot is read before it is started, which takes a slow disk
/// a minute); who comes meanwhile waits for the one before.
async fn run(director: &Director, words: &[&str]) -> Result<Line, String> {
    let (limit, what) = (director.install_limit, words[0].to_owned());
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let program = director.paths.install.clone();
    let deadline = tokio::time::Instant::now() + limit;
    let moment = director.install.moment.clone().lock_owned();
    let moment = tokio::time::timeout_at(deadline, moment).await.map_err(|_| {
        format!(
            "install {what}: the disk does not answer to what was asked before, nothing was done (waited {} s)",
            limit.as_secs()
        )
    })?;
    let (tell, mut told) = unbounded_channel();
    std::thread::spawn(move || {
        // Given back by the thread, however long its caller waits.
        let _moment = moment;
        let done = spawn(&program, &words).and_then(|mut child| {
            let last = read(&mut child, |_| drop(tell.send(None)));
            child.wait().map_err(|e| format!("install: {e}"))?;
            Ok(last)
        });
        // Nobody waits any more: nobody is told.
        let _ = tell.send(Some(done));
    });
    let done = loop {
        let news = tokio::time::timeout(limit, told.recv()).await.map_err(|_| {
            format!(
                "install {what}: the disk does not answer within {} s, it may do later what it was asked",
                limit.as_secs()
            )
        })?;
        if let Some(done) = news.ok_or_else(|| format!("install {what}: ended without a word"))? {
            break done?;
        }
    };
    match done {
        Line::Failed { why } => Err(why),
        line => Ok(line),
    }
}

/// Runs a command that ends with a sentence.
async fn done(director: &Director, words: &[&str]) -> Result<String, String> {
    match run(director, words).await? {
        Line::Done { text } => Ok(text),
        other => Err(senseless(&other)),
    }
}

fn senseless(line: &Line) -> String {
    format!("install: {line:?}: makes no sense")
}

/// `show install summary`.
pub(crate) async fn slots(director: &Director) -> Result<Slots, String> {
    match run(director, &["show"]).await? {
        Line::Slots(slots) => Ok(slots),
        other => Err(senseless(&other)),
    }
}

/// What `show warnings` says of disks that cannot be told apart.
pub(crate) async fn twins(director: &Director) -> Option<String> {
    let job = &director.install;
    // Disks are read, and one of them may hang: one look at a time, on a thread of its own.
    if let Ok(turn) = Arc::clone(&job.look).try_lock_owned() {
        let job = job.clone();
        std::thread::spawn(move || {
            let found = twin::look();
            job.state().twins = found;
            drop(turn);
        });
    }
    // Of a look that takes longer, what the one before has found.
    let _ = tokio::time::timeout(LOOK_LIMIT, job.look.lock()).await;
    job.state().twins.clone()
}

/// Longest wait between tries to tell the loader. The first is [`yoke_init::doubt::UP_AFTER`]: an `install add` that is under way takes minutes, and
/// a disk that cannot be written stays so.
const UP_AGAIN_MAX: Duration = Duration::from_secs(600);

/// Tells the loader that this firmware has come up, until it is written down, and the operator when it is not the one that should run. A director
/// that dies before has its successor begin anew, so that one which keeps dying does not count.
pub(crate) async fn up(director: Rc<Director>) {
    twins(&director).await.inspect(|sentence| log::error!("{sentence}"));
    tokio::time::sleep(director.up_after).await;
    let mut again = director.up_after;
    let mut said = Vec::new();
    loop {
        let (sentences, told) = match done(&director, &["up"]).await {
            Ok(text) if text.is_empty() => (Vec::new(), true),
            Ok(text) => (vec![text], true),
            Err(why) => (
                vec![format!("the loader is not told that this firmware has come up, and counts its starts on: {why}")],
                false,
            ),
        };
        if sentences != said {
            sentences.iter().for_each(|sentence| log::error!("{sentence}"));
            director.state_mut().notes.set(Source::Firmware, sentences.clone());
            said = sentences;
        }
        if told {
            return;
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(UP_AGAIN_MAX);
    }
}

/// Tells the loader that this firmware has come up, before the box restarts at somebody's word: who can be asked to restart it has. The loader
/// would count such a start as one that did not.
pub(crate) async fn up_at_last(director: &Director) {
    let told = tokio::time::timeout(LOOK_LIMIT, done(director, &["up"])).await;
    if let Ok(Err(why)) = told {
        log::warn!("{why}");
    }
}

/// What a disk is that is to be overwritten.
pub(crate) async fn target(director: &Director, name: &str) -> Result<Target, String> {
    match run(director, &["look", name]).await? {
        Line::Target(target) => Ok(target),
        other => Err(senseless(&other)),
    }
}

/// Does what the operator says.
pub(crate) async fn answer(director: &Director, caller: &Caller, what: Install) -> Reply {
    log::warn!("{} by {} ({})", word(&what), caller.name(), caller.place());
    let done = match what {
        Install::Add { source, address, force } => add(director, source, address, force),
        Install::Disk { name, identity } => director
            .install
            .start(&director.paths.install, &["disk".to_owned(), name, identity])
            .map(|()| String::new()),
        Install::Activate { minutes } => leave(director, caller, &["activate", &minutes.to_string()]).await,
        Install::Rollback => leave(director, caller, &["rollback"]).await,
        Install::Commit => commit(director).await,
        Install::Abort => abort(director, caller).await,
    };
    match done {
        Ok(text) => Reply::Installed { text },
        Err(why) => refused(RefusalKind::Failed, why),
    }
}

/// A source as the log may show it: in a URL's query and before its host may be a password.
fn shown(source: &str) -> String {
    let (source, query) = source.split_once('?').map_or((source, ""), |(source, _)| (source, "?..."));
    let Some((scheme, rest)) = source.split_once("://") else { return format!("{source}{query}") };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or_else(|| authority.to_owned(), |(_, host)| format!("...@{host}"));
    format!("{scheme}://{host}{path}{query}")
}

fn word(what: &Install) -> String {
    match what {
        Install::Add { source, .. } => format!("install add {}", shown(source)),
        Install::Disk { name, .. } => format!("install disk {name}"),
        Install::Activate { minutes } => format!("install activate, for {minutes} minutes,"),
        Install::Commit => "install commit".to_owned(),
        Install::Rollback => "install rollback".to_owned(),
        Install::Abort => "install abort".to_owned(),
    }
}

fn add(director: &Director, source: String, address: Option<IpAddr>, force: bool) -> Result<String, String> {
    let mut words = vec!["add".to_owned(), source];
    words.extend(address.map(|address| address.to_string()));
    words.extend(director.state().running.config.install_authority.as_deref().map(|der| format!("ca={}", hex(der))));
    words.extend(force.then(|| "force".to_owned()));
    director.install.start(&director.paths.install, &words)?;
    Ok(String::new())
}

/// Says which slot starts, hands over and restarts the box.
async fn leave(director: &Director, caller: &Caller, words: &[&str]) -> Result<String, String> {
    // The one-shots keep each other out as well; this says it before anything is handed over.
    if director.install.progress().running {
        return Err("install: an install add or disk is under way, wait for it or use: install abort".to_owned());
    }
    let text = done(director, words).await?;
    flash::told(director, &format!("install {}", words[0]), caller).await;
    vrrpd::leave(director).await;
    director.init.stop(false).await.map_err(|e| format!("{text}, but the box does not restart: {e}"))?;
    Ok(format!("{text}. The box restarts."))
}

async fn commit(director: &Director) -> Result<String, String> {
    let text = done(director, &["commit"]).await?;
    director.install.state().committed = true;
    director.state_mut().notes.set(Source::Firmware, Vec::new());
    director.init.trial_over().await.map_err(|e| format!("{text}, but the box will restart once more: {e}"))?;
    Ok(format!("{text}."))
}

/// What an `install add` has left that was stopped: before its first write nothing has changed, and after its last everything is there.
fn stopped(found: &Slots) -> String {
    let target = found.slots.iter().find(|row| !matches!(row.state.as_str(), "running" | "on trial"));
    match target {
        Some(row) if row.version.is_empty() => {
            format!("The install add is stopped, slot {} is empty.", row.slot.letter())
        }
        Some(row) => {
            format!("The install add is stopped, slot {} holds version {}.", row.slot.letter(), row.version)
        }
        None => "The install add is stopped.".to_owned(),
    }
}

async fn abort(director: &Director, caller: &Caller) -> Result<String, String> {
    if director.install.stop() {
        let limit = director.install_limit;
        let ended = async {
            while director.install.progress().running {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(limit, ended).await.is_err() {
            let seconds = limit.as_secs();
            return Err(format!(
                "install abort: the disk does not answer within {seconds} s, it is stopped once it does"
            ));
        }
        let last = director.install.progress();
        if !last.failed {
            return Ok(format!("It had ended before it was stopped: {}", last.text));
        }
        let disk = director.install.state().disk.clone();
        if let Some(disk) = disk {
            let begun = director.install.progress().progress.is_some();
            let what = if begun { format!("{disk} does not start") } else { format!("nothing was written to {disk}") };
            return Ok(format!("The install disk is stopped, {what}."));
        }
        return Ok(match slots(director).await {
            Ok(found) => stopped(&found),
            Err(why) => format!("The install add is stopped. What its slot holds is not known: {why}"),
        });
    }
    if slots(director).await?.on_trial {
        return leave(director, caller, &["abort"]).await;
    }
    Ok(format!("{}.", done(director, &["abort"]).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_reaches_the_log() {
        for (source, expected) in [
            ("https://h.example/yoke.upd", "https://h.example/yoke.upd"),
            (
                "https://me:secret@h.example:8443/a@b/yoke.upd?token=secret",
                "https://...@h.example:8443/a@b/yoke.upd?...",
            ),
            ("scp://backup@192.0.2.98/yoke.upd", "scp://...@192.0.2.98/yoke.upd"),
            ("http://h?secret", "http://h?..."),
            ("/flash/yoke.upd", "/flash/yoke.upd"),
        ] {
            assert_eq!(shown(source), expected);
        }
    }
}
