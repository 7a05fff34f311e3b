//! What the one-shot prints on its standard output, a line of JSON each: progress, and in the end what it found.

use serde::{Deserialize, Serialize};

use crate::environment::Slot;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub enum Line {
    /// `install add` or `install disk` is under way.
    Progress(Progress),
    /// Done; a sentence.
    Done {
        /// Such as `version 1.2.0 is in slot b, to start it: install activate`.
        text: String,
    },
    /// Refused or failed; a sentence.
    Failed {
        /// Names the object and what to do.
        why: String,
    },
    /// Answer to `install show`.
    Slots(Slots),
    /// Answer to `install look`: the disk may be written.
    Target(Target),
}

/// How far `install add` or `install disk` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// `writing` or `checking` a slot; `loader` or `config`, of a whole disk.
    pub step: String,
    /// Bytes done.
    pub done: u64,
    /// Of so many.
    pub all: u64,
}

impl Progress {
    /// A line for a person, always as long.
    #[must_use]
    pub fn bar(&self) -> String {
        const CELLS: u64 = 30;
        let part = |of: u64| (self.done.min(self.all) * of).checked_div(self.all).unwrap_or_default();
        let full = usize::try_from(part(CELLS)).unwrap_or_default();
        format!("{:<8} [{:<30}] {:>3}% of {} MiB", self.step, "#".repeat(full), part(100), self.all.div_ceil(1 << 20))
    }
}

/// A disk that is none of ours yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The kernel's name, such as `sda`.
    pub name: String,
    /// Vendor and model; empty when it does not say.
    pub model: String,
    /// Empty when it does not say.
    pub serial: String,
    /// What tells it from every other disk that may have its name in a moment: to be said again with the order to write it.
    pub identity: String,
    /// Its size.
    pub bytes: u64,
    /// What is on it.
    pub lost: Vec<Lost>,
    /// Whether the saved configuration goes along: not where the flash of this box does not mount.
    pub configuration: bool,
}

/// A partition that is lost when its disk is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The kernel's name, such as `sda1`.
    pub name: String,
    /// `PARTLABEL`; empty when it has none.
    pub label: String,
    /// Its size.
    pub bytes: u64,
}

/// What is on the slots and what starts next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// Slot a, then slot b.
    pub slots: Vec<SlotRow>,
    /// Whether what runs returns by itself because it is not committed.
    pub on_trial: bool,
    /// Whether the loader's variables say nothing of which slot is good: it starts slot a.
    #[serde(default)]
    pub damaged: bool,
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRow {
    /// Which.
    pub slot: Slot,
    /// `running`, `on trial` (runs, not committed), `activated` (is tried at the next start), `good` (is started otherwise), `spare` (was good before, and is
    /// started when the good one does not come up), `inactive`, `empty`, `passed over` (is the good
    /// one, and another runs).
    pub state: String,
    /// Of the firmware in it; empty when there is none that is signed.
    pub version: String,
    /// Its kernel.
    pub kernel: String,
    /// Bytes of its squashfs.
    pub bytes: u64,
}
