//! GRUB's environment block: `good=`, the slot that was last marked good; `next=` and `tries=`, the slot on trial and how often it may
//! still be started; `minutes=`, how long a trial lasts; `starts=`, how often the good slot was started since it last came up; `spare=`, the
//! slot that was good before, which alone is started when the good one does not come up. `boot/grub.cfg` reads it, takes from `tries` and
//! counts `starts`; all else is written here.
//!
//! Pure text. All variables lie in the first sector, so that a change of them is one write that a disk does whole or not at all.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// Size of the block; GRUB takes no other.
pub const BLOCK_BYTES: usize = 1024;
/// What a disk writes whole.
pub const SECTOR_BYTES: usize = 512;
const HEADER: &str = "# GRUB Environment Block\n";

/// A slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// `slot-a`.
    A,
    /// `slot-b`.
    B,
}

impl Slot {
    /// `a` or `b`.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The PARTLABEL.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::A => "slot-a",
            Self::B => "slot-b",
        }
    }

    /// The one that is not this.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Of its letter.
    #[must_use]
    pub fn from_letter(letter: &str) -> Option<Self> {
        [Self::A, Self::B].into_iter().find(|slot| slot.letter() == letter)
    }
}

/// The variables of a block; those of others are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads a block. One that is no block has no variables, as for GRUB: what is missing has a default.
    #[must_use]
    pub fn parse(block: &[u8]) -> Self {
        let text = String::from_utf8_lossy(block);
        let lines = text.strip_prefix(HEADER).unwrap_or_default().lines();
        let pairs = lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Makes a block.
    ///
    /// # Errors
    /// The variables do not fit a sector.
    pub fn block(&self) -> Result<Vec<u8>> {
        let variables: String = self.0.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let mut block = format!("{HEADER}{variables}").into_bytes();
        ensure!(
            block.len() <= SECTOR_BYTES,
            "the loader's variables have {} bytes, a sector has {SECTOR_BYTES}",
            block.len()
        );
        block.resize(BLOCK_BYTES, b'#');
        Ok(block)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        Slot::from_letter(self.0.get(name)?)
    }

    /// The slot that is started when none is tried. As in `grub.cfg`, what is not b is a.
    #[must_use]
    pub fn good(&self) -> Slot {
        self.slot("good").unwrap_or(Slot::A)
    }

    /// Whether nothing says which slot is good: the block was damaged. The loader starts slot a then, and counts nothing.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.slot("good").is_none()
    }

    /// The slot that was good before the good one, and is whole.
    #[must_use]
    pub fn spare(&self) -> Option<Slot> {
        self.slot("spare")
    }

    /// The slot on trial: to be started next, or started.
    #[must_use]
    pub fn next(&self) -> Option<Slot> {
        self.slot("next")
    }

    /// Whether the slot on trial has yet to be started.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.next().is_some() && self.0.get("tries").is_some_and(|tries| tries != "0")
    }

    /// Whether a start was counted that nobody has said to have come up.
    #[must_use]
    pub fn is_counting(&self) -> bool {
        self.0.get("starts").is_some_and(|starts| starts != "0")
    }

    /// The good slot has come up: the loader counts from the beginning.
    pub fn clear_starts(&mut self) {
        self.set("starts", "0");
    }

    /// No slot is tried.
    pub fn clear_next(&mut self) {
        self.set("next", "");
        self.set("tries", "0");
    }

    /// `slot` is good; none is tried, and the other one is nothing that could be started in its place.
    pub fn set_good(&mut self, slot: Slot) {
        self.set("good", slot.letter());
        self.set("spare", "");
        self.clear_next();
        self.clear_starts();
    }

    /// `slot` is good, and the other one was until now.
    pub fn set_good_after(&mut self, slot: Slot) {
        self.set_good(slot);
        self.set("spare", slot.other().letter());
    }

    /// `slot` is started once, and for so many minutes unless it is committed.
    pub fn try_once(&mut self, slot: Slot, minutes: u16) {
        self.set("next", slot.letter());
        self.set("tries", "1");
        self.set("minutes", &minutes.to_string());
    }

    /// `running` has come up: what was damaged is made anew for it, and what was counted ends if it is the good one. A slot that is `tried`
    /// does not become good by that: the other one is. Says whether anything has changed.
    pub fn come_up(&mut self, running: Slot, tried: bool) -> bool {
        if self.is_damaged() {
            self.set_good(if tried { running.other() } else { running });
            if tried {
                self.set("next", running.letter());
            }
            return true;
        }
        let ends = self.is_counting() && self.good() == running;
        if ends {
            self.clear_starts();
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(variables: &str) -> Vec<u8> {
        let mut block = format!("{HEADER}{variables}").into_bytes();
        block.resize(BLOCK_BYTES, b'#');
        block
    }

    #[test]
    fn a_block_as_grub_writes_it_reads_and_writes_back() {
        let mut it = Environment::parse(&block("good=b\nnext=\ntries=0\nother=x=y\nstarts=2\n"));
        assert_eq!((it.good(), it.next(), it.is_pending(), it.is_counting()), (Slot::B, None, false, true));
        it.try_once(Slot::A, 30);
        let again = Environment::parse(&it.block().expect("fits"));
        assert_eq!((again.good(), again.next(), again.is_pending()), (Slot::B, Some(Slot::A), true));
        assert_eq!(again.block().expect("fits")[SECTOR_BYTES..], [b'#'; SECTOR_BYTES]);
        assert_eq!(again.0["other"], "x=y");
        it.set_good(Slot::A);
        assert_eq!((it.good(), it.next(), it.is_pending(), it.is_counting()), (Slot::A, None, false, false));
    }

    #[test]
    fn damage_is_the_defaults() {
        for bytes in [&[0xff; BLOCK_BYTES][..], b"", b"# GRUB Environment Block\ngood=c\nnext=7\ntries"] {
            let it = Environment::parse(bytes);
            assert_eq!((it.good(), it.next(), it.is_pending(), it.spare()), (Slot::A, None, false, None));
            assert!(it.is_damaged());
        }
    }

    #[test]
    fn what_was_damaged_is_made_anew_for_the_slot_that_runs() {
        for (tried, good, next) in [(false, Slot::B, None), (true, Slot::A, Some(Slot::B))] {
            let mut it = Environment::parse(&[0xff; BLOCK_BYTES]);
            assert!(it.come_up(Slot::B, tried));
            let it = Environment::parse(&it.block().expect("fits"));
            assert_eq!((it.is_damaged(), it.good(), it.next(), it.is_pending()), (false, good, next, false));
            assert_eq!((it.spare(), it.is_counting()), (None, false));
        }
    }

    #[test]
    fn only_the_good_slot_ends_the_count() {
        let mut it = Environment::parse(&block("good=a\nstarts=2\nspare=b\n"));
        assert!(!it.come_up(Slot::B, false), "the spare one runs, and the good one has not come up");
        assert!(it.is_counting());
        assert!(it.come_up(Slot::A, false));
        assert!(!it.is_counting() && !it.come_up(Slot::A, false));
        assert_eq!(it.spare(), Some(Slot::B));
    }

    #[test]
    fn a_spare_is_what_was_good_and_nothing_else() {
        let mut it = Environment::default();
        it.set_good_after(Slot::B);
        assert_eq!((it.good(), it.spare()), (Slot::B, Some(Slot::A)));
        // Before an update is written into slot a, or it is tried.
        it.set_good(Slot::B);
        assert_eq!(it.spare(), None);
        it.try_once(Slot::A, 30);
        assert_eq!(it.spare(), None);
    }

    #[test]
    fn what_does_not_fit_a_sector_is_refused() {
        let mut it = Environment::default();
        it.set("x", &"y".repeat(SECTOR_BYTES));
        assert!(it.block().is_err());
    }
}
