//! What the one-shot prints on its standard output, a line of JSON each: progress, and in the end what it found.

use serde::{Deserialize, Serialize};

use crate::environment::Slot;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub enum Line {
    /// `install add` is under way.
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
}

/// How far `install add` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// `writing` or `checking`.
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

/// What is on the slots and what starts next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// Slot a, then slot b.
    pub slots: Vec<SlotRow>,
    /// Whether what runs returns by itself because it is not committed.
    pub on_trial: bool,
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRow {
    /// Which.
    pub slot: Slot,
    /// `running`, `on trial` (runs, not committed), `activated` (is tried at the next start), `good` (is started otherwise), `inactive`, `empty`.
    pub state: String,
    /// Of the firmware in it; empty when there is none that is signed.
    pub version: String,
    /// Its kernel.
    pub kernel: String,
    /// Bytes of its squashfs.
    pub bytes: u64,
}
