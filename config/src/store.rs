//! The configuration on flash: which file is read at boot, and how a new one takes its place.
//!
//! At every instant of a save a valid `startup-config` exists. The directory is a parameter, the clock and the people are
//! [`Meta`]; nothing here knows `/flash`, parses a line or decides what is worth saving.

mod file;
mod flash;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::tree::Rejected;

pub use file::{Meta, Saved, VERSION};
pub use flash::{Dir, Flash};

const STARTUP: &str = "startup-config";
const BACKUP: &str = "startup-config.bak";
const NEW: &str = "startup-config.new";
const ARCHIVE: &str = "archive";

/// What a box says that nobody has configured: one administrator without a credential, so that nobody can log in from
/// afar and the console asks for the first password.
pub const FACTORY: &str = "username admin privilege 15\n";

/// Where a configuration came from, in the order they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `startup-config`.
    Startup,
    /// `startup-config.v<N>`: what was saved last in format N, before firmware that knows another format saved over it.
    Kept(u32),
    /// `startup-config.bak`: what was saved before.
    Backup,
    /// `archive:N`.
    Archive(u32),
    /// [`FACTORY`].
    Factory,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup => f.write_str(STARTUP),
            Self::Kept(format) => write!(f, "{STARTUP}.v{format}"),
            Self::Backup => f.write_str(BACKUP),
            Self::Archive(revision) => write!(f, "archive:{revision}"),
            Self::Factory => f.write_str("the factory configuration"),
        }
    }
}

/// What was found at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// From where. Anything but startup (or factory on an empty flash) has its reason in `faults`.
    pub source: Source,
    /// The text and who saved it.
    pub saved: Saved,
    /// One sentence for every file that could not be used, and one for what came instead: banner, `show warnings`, log.
    pub faults: Vec<String>,
}

/// Why a configuration was not saved or read. What the next boot reads has not changed then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Lines in quarantine would be lost.
    #[error(
        "startup-config: {0} rejected lines would be lost, see show configuration rejected, use: write memory force"
    )]
    Quarantine(usize),
    /// The flash failed or is full.
    #[error("{what}: {source}{}", advice(source))]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// What was read back is not what was written.
    #[error("{NEW}: the flash does not return what was written, replace it")]
    ReadBack,
    /// A file is there but cannot be used.
    #[error("{0}")]
    Damaged(String),
    /// No such file.
    #[error("{0} does not exist")]
    Missing(Source),
}

/// What an operator can do about a flash that says so.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "; to make room see show flash:, and use: archive maximum, with fewer",
        // EIO has no kind of its own. The kernel says one or the other, by its version, of a file system in which it has met an error.
        kind if kind == io::ErrorKind::ReadOnlyFilesystem || error.raw_os_error() == Some(EIO) => {
            "; the disk has failed, use: reload, which repairs the flash, and if it comes again another disk: install disk"
        }
        _ => "",
    }
}

/// asm-generic/errno-base.h.
const EIO: i32 = 5;

/// The files of one directory.
#[derive(Debug, Clone)]
pub struct Store<F = Dir> {
    flash: F,
    /// The format that is written, and the newest that is understood: [`VERSION`], but for tests of two firmwares on one flash.
    format: u32,
}

impl Store {
    /// The files in `directory`, which must exist when something is saved.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::over(Dir::new(directory))
    }
}

impl<F: Flash> Store<F> {
    /// The same over another file system: a test's.
    pub fn over(flash: F) -> Self {
        Self { flash, format: VERSION }
    }

    /// Finds the configuration to boot with: startup, backup, newest usable revision, factory. Never fails.
    ///
    /// A file of a format that only newer firmware knows gives way to the one that was kept for this firmware when the newer saved over
    /// it, so that an update that is taken back strands no box. Where there is none, it is used as far as it is understood.
    #[must_use]
    pub fn load(&self) -> Loaded {
        let revisions = self.revisions().into_iter().rev().map(Source::Archive);
        let mut faults = Vec::new();
        let mut missing = Vec::new();
        for source in [Source::Startup, Source::Backup].into_iter().chain(revisions) {
            match self.read(source) {
                Ok(saved) => {
                    if source != Source::Startup {
                        missing
                            .iter()
                            .for_each(|source: &Source| faults.push(StoreError::Missing(*source).to_string()));
                        faults.push(instead(source, &saved));
                    }
                    if saved.version > self.format {
                        let newer = format!(
                            "{source} is of format {}, newer than this firmware's {}",
                            saved.version, self.format
                        );
                        if let Some((kept, saved)) = self.kept() {
                            faults.extend([newer, instead(kept, &saved)]);
                            return Loaded { source: kept, saved, faults };
                        }
                        faults.push(format!("{newer}: lines unknown here are rejected"));
                    }
                    return Loaded { source, saved, faults };
                }
                Err(StoreError::Missing(source)) => missing.push(source),
                Err(error) => faults.push(error.to_string()),
            }
        }
        if !faults.is_empty() {
            faults.push(format!("{} is used instead", Source::Factory));
        }
        Loaded { source: Source::Factory, saved: Saved::bare(FACTORY), faults }
    }

    /// What was kept of a format that this firmware knows, the newest first.
    fn kept(&self) -> Option<(Source, Saved)> {
        (1..=self.format).rev().map(Source::Kept).find_map(|source| Some((source, self.read(source).ok()?)))
    }

    /// One file.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`] when its checksum is wrong or it is no text, [`StoreError::Io`].
    pub fn read(&self, source: Source) -> Result<Saved, StoreError> {
        let name = match source {
            Source::Archive(revision) => format!("{ARCHIVE}/{revision}"),
            Source::Factory => return Ok(Saved::bare(FACTORY)),
            Source::Startup | Source::Kept(_) | Source::Backup => source.to_string(),
        };
        let bytes = match self.flash.read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(source)),
            Err(error) => return Err(failed(format!("cannot read {name}"))(error)),
        };
        file::decode(&bytes, self.format).map_err(|why| StoreError::Damaged(format!("{source}: {why}")))
    }

    /// Saves `text` as startup configuration and as a revision; of those, the newest `keep` stay (`archive maximum`).
    ///
    /// # Errors
    /// [`StoreError::Quarantine`] unless `force`: the lines in `quarantine` are on flash but not in `text`. Otherwise what
    /// the flash said; the old startup configuration is then still in place.
    pub fn save(
        &self,
        text: &str,
        meta: &Meta,
        keep: u8,
        quarantine: &[Rejected],
        force: bool,
    ) -> Result<(), StoreError> {
        if !quarantine.is_empty() && !force {
            return Err(StoreError::Quarantine(quarantine.len()));
        }
        // First, so that an error here still means that nothing was saved.
        self.archive(text, meta, keep)?;
        self.write(NEW, &file::encode(text, meta, self.format))?;
        self.keep_other_format()?;
        // A damaged startup configuration must not take the place of the backup that this box may be running.
        if self.read(Source::Startup).is_ok() {
            self.remove(BACKUP)?;
            self.flash.link(STARTUP, BACKUP).map_err(failed(format!("cannot keep {BACKUP}")))?;
        }
        self.flash.rename(NEW, STARTUP).map_err(failed(format!("cannot replace {STARTUP}")))?;
        self.flash.sync("").map_err(failed("cannot sync the directory"))
    }

    /// Keeps `text` as a revision without making it the startup configuration.
    ///
    /// # Errors
    /// What the flash said.
    pub fn archive(&self, text: &str, meta: &Meta, keep: u8) -> Result<(), StoreError> {
        let name = format!("{ARCHIVE}/{}", meta.revision);
        let new = format!("{name}.new");
        self.flash.make_dir(ARCHIVE).map_err(failed(format!("cannot make {ARCHIVE}")))?;
        let bytes = file::encode(text, meta, self.format);
        match self.write(&new, &bytes) {
            // What goes after the save can go before it, all but one.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {
                self.prune(keep.saturating_sub(1).max(1))?;
                self.write(&new, &bytes)?;
            }
            other => other?,
        }
        self.flash.rename(&new, &name).map_err(failed(format!("cannot make {name}")))?;
        self.prune(keep)?;
        self.flash.sync(ARCHIVE).map_err(failed("cannot sync the directory"))
    }

    /// Removes the oldest revisions until so many are left.
    fn prune(&self, keep: u8) -> Result<(), StoreError> {
        let revisions = self.revisions();
        let surplus = revisions.len().saturating_sub(usize::from(keep));
        revisions[..surplus].iter().try_for_each(|revision| self.remove(&format!("{ARCHIVE}/{revision}")))
    }

    /// Numbers of the revisions kept, oldest first.
    #[must_use]
    pub fn revisions(&self) -> Vec<u32> {
        let names = self.flash.list(ARCHIVE).unwrap_or_default();
        let mut revisions: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        revisions.sort_unstable();
        revisions
    }

    /// The number for the next save: above every revision there is.
    #[must_use]
    pub fn next_revision(&self) -> u32 {
        let startup = self.read(Source::Startup).ok().and_then(|saved| saved.meta).map_or(0, |meta| meta.revision);
        self.revisions().last().copied().unwrap_or(0).max(startup).saturating_add(1)
    }

    /// Forgets everything, revisions included; the next boot is a first one. The startup configuration goes last, so that
    /// a power cut in between leaves the box as it was.
    ///
    /// # Errors
    /// What the flash said.
    pub fn erase(&self) -> Result<(), StoreError> {
        for name in self.flash.list(ARCHIVE).unwrap_or_default() {
            self.remove(&format!("{ARCHIVE}/{name}"))?;
        }
        let all = self.flash.list("").unwrap_or_default();
        for name in all.iter().filter(|name| name.starts_with("startup-config.")) {
            self.remove(name)?;
        }
        self.remove(STARTUP)?;
        self.flash.sync("").map_err(failed("cannot sync the directory"))
    }

    /// Writes a file, forces it to flash and reads it back. One that did not succeed is removed: on a full flash it would keep the room that
    /// the next try needs.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.flash.write(name, bytes).map_err(failed(format!("cannot write {name}")));
        let written = written.and_then(|()| match self.flash.read(name) {
            Ok(read) if read == bytes => Ok(()),
            _ => Err(StoreError::ReadBack),
        });
        if written.is_err() {
            // The first failure is the one to tell.
            let _ = self.flash.remove(name);
        }
        written
    }

    /// A startup configuration of another format stays for the firmware in the other slot, which may know no other.
    fn keep_other_format(&self) -> Result<(), StoreError> {
        match self.read(Source::Startup) {
            Ok(saved) if saved.version != self.format => {
                let name = Source::Kept(saved.version).to_string();
                self.remove(&name)?;
                self.flash.link(STARTUP, &name).map_err(failed(format!("cannot keep {name}")))
            }
            _ => Ok(()),
        }
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self.flash.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(format!("cannot remove {name}"))(error))
            }
            _ => Ok(()),
        }
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
    let what = what.into();
    move |source| StoreError::Io { what, source }
}

/// Whose text came in the place of another.
fn instead(source: Source, saved: &Saved) -> String {
    let used = format!("{source} is used instead");
    let Some(meta) = &saved.meta else { return used };
    format!("{used}, revision {} saved {} by {}", meta.revision, meta.saved, meta.by)
}
