//! What keeps a router from taking part: a set of bits, so that two faults that come and go in any order cannot leave it
//! stuck. It takes part when the set is empty.

use std::fmt;

/// One thing that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The interface is down or absent.
    Link,
    /// The interface has no address to send from.
    Source,
    /// A tracked object without a weight is down.
    Track,
    /// Another member of the sync group has a fault.
    SyncGroup,
    /// The owner waits: the box just booted, or the switch port does not forward yet.
    HoldOff,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Link, Self::Source, Self::Track, Self::SyncGroup, Self::HoldOff];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Link => "interface down",
            Self::Source => "no source address",
            Self::Track => "tracked object down",
            Self::SyncGroup => "sync-group member down",
            Self::HoldOff => "waiting for the link",
        })
    }
}

/// A set of [`Fault`]s. Displays as a comma-separated list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Faults(u8);

impl Faults {
    /// The set of one.
    #[must_use]
    pub const fn only(fault: Fault) -> Self {
        Self(fault.bit())
    }

    /// True when nothing is missing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when `fault` is in the set.
    #[must_use]
    pub const fn contains(self, fault: Fault) -> bool {
        self.0 & fault.bit() != 0
    }

    /// The set with `fault` in it or not.
    #[must_use]
    pub const fn with(self, fault: Fault, present: bool) -> Self {
        if present { Self(self.0 | fault.bit()) } else { Self(self.0 & !fault.bit()) }
    }

    /// In the order of [`Fault::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.contains(*fault))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_and_go_in_any_order() {
        let both = Faults::default().with(Fault::Link, true).with(Fault::Track, true).with(Fault::Link, true);
        assert_eq!(both.to_string(), "interface down, tracked object down");
        let one = both.with(Fault::Link, false).with(Fault::Source, false);
        assert!(one.contains(Fault::Track) && !one.is_empty());
        assert!(one.with(Fault::Track, false).is_empty());
        assert_eq!(
            Fault::ALL.into_iter().fold(Faults::default(), |set, fault| set.with(fault, true)).iter().count(),
            5
        );
    }
}
