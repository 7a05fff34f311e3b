//! How the running configuration comes to be: from `/run` when the director is started again, from flash at boot.
//!
//! Nothing here fails. A file that cannot be used has a successor, a line that cannot be used is set aside and kept, and both are said loudly.

use yoke_config::convert::Problem;
use yoke_config::model::Config;
use yoke_config::store::{FACTORY, Source, Store};
use yoke_config::tree::{self, Tree};

use crate::director::{Quarantined, Running};
use crate::files::Paths;
use crate::restart;
use crate::roles::Roles;
use crate::show::system::cmdline;

/// What was loaded.
#[derive(Debug)]
pub(crate) struct Boot {
    pub(crate) running: Running,
    /// Lines set aside.
    pub(crate) rejected: Vec<Quarantined>,
    /// For the console and each session: what is unusual, in a few words; empty when nothing is.
    pub(crate) notice: String,
    /// For `show warnings` and the log.
    pub(crate) faults: Vec<String>,
    /// Which groups were active when the last director ended; none at boot.
    pub(crate) roles: Roles,
    /// Whether the flash may hold a configuration that was not read: in recovery, or since it was not mounted.
    pub(crate) unloaded: bool,
    /// Whether this is a new start of the director on a box that is up.
    pub(crate) again: bool,
}

/// Loads the configuration.
pub(crate) fn load(paths: &Paths) -> Boot {
    if let Some(boot) = again(paths) {
        return boot;
    }
    let store = Store::new(&paths.flash);
    if cmdline(&paths.proc, "yoke.recover").is_some() {
        let why = "recovery: startup-config was not loaded, it is kept".to_owned();
        let boot = from_text(FACTORY, u64::from(store.next_revision()), why.clone(), vec![why]);
        return Boot { unloaded: true, ..boot };
    }
    let mut loaded = store.load();
    let mut notice = match loaded.source {
        Source::Factory if loaded.faults.is_empty() => "no configuration on flash".to_owned(),
        _ => loaded.faults.first().cloned().unwrap_or_default(),
    };
    let mounted = paths.flash_is_mounted();
    if !mounted {
        notice = "flash is not mounted, nothing can be saved".to_owned();
        loaded.faults.push(format!("flash: {} is not mounted, nothing can be saved", paths.flash.display()));
    }
    let next = u64::from(store.next_revision());
    let revision = match (loaded.source, loaded.saved.meta) {
        (Source::Startup, Some(meta)) => u64::from(meta.revision),
        // The first of a new box; or an older text under a new number, because the numbers above it are taken.
        _ => next,
    };
    let mut boot = from_text(&loaded.saved.text, revision, notice, loaded.faults);
    // A disk that takes minutes may be there later, with a configuration that nobody has looked at.
    boot.unloaded = !mounted;
    if !boot.rejected.is_empty() {
        // This is not what was saved under that number; to save it must not take the revision that still holds the rejected lines.
        boot.running.revision = next;
    }
    boot
}

/// The configuration that was running when the last director ended.
fn again(paths: &Paths) -> Option<Boot> {
    let memo = restart::load(paths)?;
    let text = std::fs::read_to_string(paths.running_config()).ok()?;
    let mut boot = from_text(&text, memo.revision, memo.notice, memo.faults);
    // What was running has been checked; should it not pass now, the lines go where the others are.
    boot.rejected.splice(0..0, memo.rejected);
    boot.roles = memo.roles.of(&boot.running.config);
    boot.unloaded = memo.unloaded;
    boot.again = true;
    Some(boot)
}

fn from_text(text: &str, revision: u64, notice: String, faults: Vec<String>) -> Boot {
    let (tree, rejected) = tree::load(text);
    let mut rejected: Vec<Quarantined> = rejected.into_iter().map(Quarantined::from).collect();
    let (tree, config) = accept(tree, &mut rejected);
    let mut boot = Boot {
        running: Running::new(revision, tree, config),
        rejected,
        notice,
        faults,
        roles: Roles::default(),
        unloaded: false,
        again: false,
    };
    if !boot.rejected.is_empty() {
        let count = boot.rejected.len();
        let sentence = format!("configuration: {count} lines were rejected, see show configuration rejected");
        if boot.notice.is_empty() {
            boot.notice.clone_from(&sentence);
        }
        if !boot.faults.contains(&sentence) {
            boot.faults.push(sentence);
        }
    }
    boot
}

/// Checks of the whole configuration that are spent on blocks which are wrong when they stand alone. They may be right in company (a VLAN
/// and its port), but a file with hundreds of them must not hold up the boot: the console waits for it.
const DOUBTS_MAX: usize = 128;

/// The largest part of a tree, from its beginning, that is a valid configuration; the rest is set aside, block by block.
fn accept(tree: Tree, rejected: &mut Vec<Quarantined>) -> (Tree, Config) {
    match Config::try_from(&tree) {
        Ok(config) => return (tree, config),
        Err(problems) => problems.iter().for_each(|problem| log::error!("configuration: {problem}")),
    }
    let (sound, doubtful): (Vec<Tree>, Vec<Tree>) = tree.pieces().partition(|piece| Config::try_from(piece).is_ok());
    let mut good = Tree::default();
    let (mut without_end, mut checks) = (usize::MAX, DOUBTS_MAX);
    keep(&mut good, &sound, &mut without_end, rejected);
    keep(&mut good, &doubtful, &mut checks, rejected);
    let config = Config::try_from(&good).unwrap_or_default();
    (good, config)
}

/// Adds the pieces to `good` that are valid together with it. Halves what is not, so that one bad block in a thousand costs ten checks. What is
/// left when `checks` are used up is set aside.
fn keep(good: &mut Tree, pieces: &[Tree], checks: &mut usize, rejected: &mut Vec<Quarantined>) {
    if pieces.is_empty() {
        return;
    }
    if *checks == 0 {
        for piece in pieces {
            set_aside(piece, Config::try_from(piece).err(), rejected);
        }
        return;
    }
    *checks -= 1;
    let mut both = good.clone();
    pieces.iter().for_each(|piece| both.put(piece));
    match (Config::try_from(&both), pieces) {
        (Ok(_), _) => *good = both,
        (Err(problems), [bad]) => set_aside(bad, Some(problems), rejected),
        (Err(_), _) => {
            let (first, second) = pieces.split_at(pieces.len() / 2);
            keep(good, first, checks, rejected);
            keep(good, second, checks, rejected);
        }
    }
}

fn set_aside(piece: &Tree, problems: Option<Vec<Problem>>, rejected: &mut Vec<Quarantined>) {
    let mut within = Vec::<String>::new();
    let mut why = problems.and_then(|problems| problems.first().map(ToString::to_string)).unwrap_or_default();
    for line in piece.print().lines().filter(|line| !line.starts_with('!')) {
        let depth = line.len() - line.trim_start().len();
        within.truncate(depth);
        rejected.push(Quarantined { number: 0, text: line.trim_start().to_owned(), why, within: within.clone() });
        why = "its block was rejected".to_owned();
        within.push(line.trim_start().to_owned());
    }
}

#[cfg(test)]
mod tests;
