//! Saving, erasing and comparing: the director's use of [`yoke_config::store`].
//!
//! A medium may take seconds, or never answer, so it is read and written on another thread ([`on_flash`]), in the order asked for, and nobody
//! waits for it longer than [`LIMIT`]. No turn is held meanwhile: changes and elections go on beside a flash that hangs.

mod faults;

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use yoke_config::model::Config;
use yoke_config::store::{Meta, Source, Store, StoreError};
use yoke_config::tree::{self, Rejected, Tree};
use yoke_director::status::{HistoryRow, RefusalKind, Reply};

use crate::clock;
use crate::director::{Director, Quarantined};
use crate::files::{self, Medium};
use crate::notes;
use crate::restart;
use crate::session::{Caller, refused};
use crate::show::firmware;

pub(crate) use faults::warnings;

/// Longest wait of a restart for its reason to be on flash, and of the question before it. Whoever restarts a box whose flash hangs wants just that.
const WORD_LIMIT: Duration = Duration::from_secs(3);

/// Leaves word for the next boot why it is. Without it the boot is one after a power cut, or after a watchdog.
pub(crate) async fn told(director: &Director, what: &str, caller: &Caller) {
    let text = format!("{what} by {} ({})\n", caller.name(), caller.place());
    let (path, mounted) = (director.paths.flash.join("restart"), director.paths.flash_is_mounted());
    if mounted {
        let word = on_flash(director, move || files::replace(&path, text.as_bytes(), 0o600, Medium::Flash));
        // Not worth a word, nor a long wait: the box goes down either way.
        let _ = tokio::time::timeout(WORD_LIMIT, word).await;
    }
}

/// Longest wait for the flash. A worn USB stick takes seconds to write a file for good.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Why there is no answer from the flash.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// It still works on what somebody asked before.
    #[error("flash: does not answer, nothing was done (waited {} s)", .0.as_secs())]
    Waiting(Duration),
    /// The kernel has it.
    #[error("flash: does not answer within {} s, it may do later what it was asked", .0.as_secs())]
    Begun(Duration),
}

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
enum NotSaved {
    /// The box is in recovery, or began without its flash: what is saved there has been left alone so far.
    #[error(
        "{0}: was not loaded and would be replaced, use first: configure replace startup-config, or lose it: write memory force"
    )]
    Unloaded(Source),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// `write memory`.
pub(crate) async fn save(director: &Director, caller: &Caller, force: bool) -> Reply {
    // What changes now is saved with it; after a factory reset nothing is.
    let turn = director.turn().await;
    if !director.paths.flash_is_mounted() {
        return refused(RefusalKind::Failed, "flash: not mounted, nothing can be saved");
    }
    let store = Store::new(&director.paths.flash);
    let (text, meta, keep, quarantine, unloaded) = {
        let state = director.state();
        let meta = Meta {
            saved: rfc3339(clock::utc().as_secs()),
            by: caller.name().to_owned(),
            from: caller.place().to_owned(),
            firmware: firmware().to_owned(),
            revision: u32::try_from(state.running.revision).unwrap_or(u32::MAX),
        };
        let keep = state.running.config.archive_maximum.unwrap_or(Config::DEFAULT_ARCHIVE);
        let quarantine: Vec<Rejected> = state.rejected.iter().cloned().map(Rejected::from).collect();
        (state.running.text.clone(), meta, keep, quarantine, state.unloaded)
    };
    drop(turn);
    // Saves are written in the order in which their text was taken: nothing is awaited between that and the queue for the flash.
    let save = move || match store.load().source {
        there if unloaded && !force && there != Source::Factory => Err(NotSaved::Unloaded(there)),
        _ => Ok(store.save(&text, &meta, keep, &quarantine, force)?),
    };
    let done = on_flash(director, save).await;
    let done = match done {
        Ok(done) => done,
        Err(stalled) => {
            unsaved(director, &stalled.to_string());
            return refused(RefusalKind::Failed, stalled.to_string());
        }
    };
    match done {
        Ok(()) => {
            director.state_mut().notes.set(notes::Source::Saving, Vec::new());
            log::info!("configuration saved by {} ({})", caller.name(), caller.place());
            settled(director);
            Reply::Done { warnings: Vec::new() }
        }
        Err(e) => {
            // A person can put a quarantine right; a flash that fails is grave.
            if !matches!(e, NotSaved::Unloaded(_) | NotSaved::Store(StoreError::Quarantine(_))) {
                unsaved(director, &e.to_string());
            }
            refused(RefusalKind::Failed, e.to_string())
        }
    }
}

/// Says so until something is saved: the operator who typed it may be a script.
fn unsaved(director: &Director, why: &str) {
    log::error!("configuration not saved: {why}");
    let sentence = format!("the last write memory failed, what was saved before is kept: {why}");
    director.state_mut().notes.set(notes::Source::Saving, vec![sentence]);
}

/// What was unusual about the load is put right once something is saved: the next boot finds a good file.
fn settled(director: &Director) {
    let revision = {
        let mut state = director.state_mut();
        state.rejected.clear();
        state.unloaded = false;
        state.notice.clear();
        state.notes.set(notes::Source::Loading, Vec::new());
        state.running.revision
    };
    if let Err(e) = restart::save(director, revision) {
        log::warn!("{e}");
    }
}

/// A whole configuration was loaded on purpose: nothing on flash is left alone any more, and the next save replaces it.
pub(crate) fn loaded(director: &Director) {
    if !std::mem::take(&mut director.state_mut().unloaded) {
        return;
    }
    let revision = director.state().running.revision;
    if let Err(e) = restart::save(director, revision) {
        log::warn!("{e}");
    }
}

/// `write erase`.
pub(crate) async fn erase(director: &Director, caller: &Caller) -> Reply {
    log::warn!("startup configuration erased by {} ({})", caller.name(), caller.place());
    let store = Store::new(&director.paths.flash);
    match try_on_flash(director, move || store.erase().map_err(|e| e.to_string())).await {
        Ok(()) => Reply::Done { warnings: Vec::new() },
        Err(why) => refused(RefusalKind::Failed, why),
    }
}

/// `format flash:`, for a flash that does not mount: it is empty afterwards, and can be saved to. What runs goes on.
pub(crate) async fn format(director: &Director, caller: &Caller) -> Reply {
    let turn = director.turn().await;
    log::warn!("flash formatted by {} ({})", caller.name(), caller.place());
    let problems = match director.init.format().await {
        Ok(problems) => problems,
        Err(e) => vec![e.to_string()],
    };
    if let Some(first) = problems.into_iter().next() {
        return refused(RefusalKind::Failed, first);
    }
    drop(turn);
    // There is nothing on it that could be lost by a save.
    loaded(director);
    keep_uids(director).await;
    Reply::Done { warnings: Vec::new() }
}

/// `factory-reset`: erases, forgets host keys, user ids and which card had which name, and has the box restarted.
pub(crate) async fn factory_reset(director: &Director, caller: &Caller) -> Reply {
    // Held over the flash's work, for [`LIMIT`] at most: what is saved by others comes before, and is erased, or never.
    let turn = director.turn().await;
    log::warn!("factory reset by {} ({})", caller.name(), caller.place());
    let (store, paths) = (Store::new(&director.paths.flash), director.paths.clone());
    let erased = try_on_flash(director, move || {
        store.erase().map_err(|e| e.to_string())?;
        let gone = absent(fs::remove_dir_all(paths.host_keys()))
            .and_then(|()| absent(fs::remove_file(paths.uids())))
            .and_then(|()| absent(fs::remove_file(paths.flash.join("cards"))))
            .and_then(|()| absent(fs::remove_file(paths.flash.join("crash"))));
        gone.map_err(|e| format!("flash: {e}"))
    });
    if let Err(why) = erased.await {
        return refused(RefusalKind::Failed, why);
    }
    told(director, "factory-reset", caller).await;
    match director.init.stop(false).await {
        Ok(()) => {
            // Never given back: until the box is down nobody may save or change anything onto the erased flash.
            std::mem::forget(turn);
            Reply::Done { warnings: Vec::new() }
        }
        Err(e) => refused(
            RefusalKind::Failed,
            format!("factory-reset: the flash is erased, but the box does not restart: {e}"),
        ),
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Runs what reads or writes the flash where it holds up nobody but its caller: on another thread, and on one only, so that a flash that
/// hangs leaves the other threads to those that hash and translate. First come, first served.
///
/// # Errors
/// When it does not answer in time. The thread goes on, and nobody else uses the flash until it ends.
pub(crate) async fn on_flash<T: Send + 'static>(
    director: &Director,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stalled> {
    let limit = director.flash_limit;
    // One limit for both waits: an operator waits for this.
    let deadline = tokio::time::Instant::now() + limit;
    let turn = tokio::time::timeout_at(deadline, Arc::clone(&director.medium).lock_owned());
    let medium = turn.await.map_err(|_| Stalled::Waiting(limit))?;
    let working = tokio::task::spawn_blocking(move || {
        // Given back by the thread, however long its caller waits.
        let _medium = medium;
        work()
    });
    let done = tokio::time::timeout_at(deadline, working).await.map_err(|_| Stalled::Begun(limit))?;
    Ok(done.expect("what is done on flash does not panic"))
}

/// [`on_flash`] of work that fails with a sentence.
async fn try_on_flash<T: Send + 'static>(
    director: &Director,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    on_flash(director, work).await.map_err(|stalled| stalled.to_string())?
}

/// The user ids, if flash has not been given this table yet: after a change, without its turn. What went wrong is a warning, and tried again
/// with [`Director::resync`].
pub(crate) async fn keep_uids(director: &Director) {
    let (uids, paths) = (director.state().uids.clone(), director.paths.clone());
    if director.state().uids_kept.as_ref() == Some(&uids) {
        return;
    }
    // Who comes after does not wait for the same.
    director.state_mut().uids_kept = Some(uids.clone());
    let save = move || match paths.flash_is_mounted() {
        true => uids.save(&paths.uids(), Medium::Flash).map(drop).map_err(|e| e.to_string()),
        false => Ok(()),
    };
    let problem = try_on_flash(director, save).await.err().map(|why| format!("user ids: {why}"));
    director.state_mut().notes.set(notes::Source::UserIds, problem.into_iter().collect());
}

/// [`keep_uids`] again, when it failed and the flash is idle.
pub(crate) async fn keep_uids_again(director: &Director) {
    if director.medium.try_lock().is_ok() && !director.state().notes.of(notes::Source::UserIds).is_empty() {
        director.state_mut().uids_kept = None;
        keep_uids(director).await;
    }
}

/// `show startup-config`.
pub(crate) async fn startup_lines(director: &Director) -> Result<Vec<String>, String> {
    let store = Store::new(&director.paths.flash);
    let read = move || store.read(Source::Startup).map_err(|e| e.to_string());
    let saved = try_on_flash(director, read).await?;
    let header = saved.meta.map(|m| {
        format!("! saved {} by {} from {} firmware {} revision {}", m.saved, m.by, m.from, m.firmware, m.revision)
    });
    Ok(header.into_iter().chain(saved.text.lines().map(str::to_owned)).collect())
}

/// What the next boot would load; an empty tree when there is nothing to load.
async fn startup(director: &Director) -> Result<Tree, String> {
    let store = Store::new(&director.paths.flash);
    let load = move || match store.read(Source::Startup) {
        // Not that file, where newer firmware has written it and something is kept for this one.
        Ok(_) => Ok(tree::load(&store.load().saved.text).0),
        Err(StoreError::Missing(_)) => Ok(Tree::default()),
        Err(e) => Err(e.to_string()),
    };
    try_on_flash(director, load).await
}

/// Whether the next boot comes up as the box is now.
pub(crate) async fn is_saved(director: &Director) -> bool {
    let saved = startup(director).await;
    let state = director.state();
    state.rejected.is_empty() && saved.is_ok_and(|tree| tree == *state.running.tree)
}

/// Whether who leaves is asked to save: not in recovery, where a yes out of habit would replace what is to be recovered, nor on a flash that
/// takes longer than [`WORD_LIMIT`] to say what it holds.
pub(crate) async fn is_unsaved(director: &Director) -> bool {
    if director.state().unloaded {
        return false;
    }
    let saved = tokio::time::timeout(WORD_LIMIT, startup(director)).await;
    matches!(saved, Ok(Ok(tree)) if tree != *director.state().running.tree)
}

/// `show configuration diff`: from startup to running.
pub(crate) async fn diff(director: &Director) -> Result<Vec<String>, String> {
    Ok(startup(director).await?.diff(&director.state().running.tree))
}

/// `show configuration history`.
pub(crate) async fn history(director: &Director) -> Result<Vec<HistoryRow>, String> {
    let store = Store::new(&director.paths.flash);
    try_on_flash(director, move || Ok(revisions(&store))).await
}

fn revisions(store: &Store) -> Vec<HistoryRow> {
    let rows = store.revisions().into_iter().map(|number| {
        let read = store.read(Source::Archive(number));
        let why = read.as_ref().err().map(ToString::to_string);
        let meta = read.ok().and_then(|saved| saved.meta).unwrap_or_default();
        HistoryRow {
            number,
            saved: why.unwrap_or(meta.saved),
            by: meta.by,
            from: meta.from,
            firmware: meta.firmware,
            revision: u64::from(meta.revision),
        }
    });
    rows.collect()
}

/// `show configuration rejected`: each line where it would have to be typed, and why it was set aside.
pub(crate) fn rejected_lines(rejected: &[Quarantined]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut within: &[String] = &[];
    for line in rejected {
        if line.within != within {
            within = &line.within;
            // A header that was rejected itself stands above already.
            let stands = |header: &String| rejected.iter().any(|other| other.text == *header);
            let headers = within.iter().enumerate().filter(|(_, header)| !stands(header));
            lines.extend(headers.map(|(depth, header)| format!("{}{header}", " ".repeat(depth))));
        }
        let indent = " ".repeat(within.len());
        let place = if line.number == 0 { String::new() } else { format!("line {}: ", line.number) };
        lines.push(format!("{indent}{}", line.text.trim_start()));
        lines.push(format!("{indent}! {place}{}", line.why));
    }
    lines
}

impl From<Quarantined> for Rejected {
    fn from(line: Quarantined) -> Self {
        Self { number: line.number, text: line.text, why: line.why, within: line.within }
    }
}

/// `2026-11-21T10:04:11Z`. Days to a date by Howard Hinnant's algorithm: years begin in March, so that the leap day is the last.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_255_451, "2026-11-21T10:04:11Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn a_rejected_line_stands_in_its_block_with_its_reason() {
        let line = |text: &str, within: &[&str], number| Quarantined {
            number,
            text: text.into(),
            why: "no".into(),
            within: within.iter().map(|&w| w.into()).collect(),
        };
        let lines = rejected_lines(&[
            line("frobnicate 7", &[], 2),
            line("  weight x", &["virtual-server v", "real-server 10.0.0.1 80"], 9),
        ]);
        let expected = [
            "frobnicate 7",
            "! line 2: no",
            "virtual-server v",
            " real-server 10.0.0.1 80",
            "  weight x",
            "  ! line 9: no",
        ];
        assert_eq!(lines, expected);
    }
}
