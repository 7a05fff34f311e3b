//! What `show warnings` says: sentences by where they come from, each source replacing its own.
//!
//! A source that is well again hands in nothing, and its sentences are gone. "New with this change" is the difference of two lists.

use std::collections::BTreeMap;

/// Where a sentence comes from, in the order they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Another slot runs than the one that should.
    Firmware,
    /// How the configuration came to be at boot.
    Loading,
    /// The last `write memory`, which failed.
    Saving,
    /// The configuration itself: dangling names, words without a function yet.
    Configuration,
    /// What the configuration asks for and IPVS does not do.
    Reconcile,
    /// Real servers that nobody judges.
    Unjudged,
    /// Probing itself.
    Health,
    /// The kernel's refusals.
    Kernel,
    /// Somebody else changed the kernel's table.
    Drift,
    /// Others answer for a virtual address.
    Rivals,
    /// Settings of the kernel.
    Sysctl,
    /// Our nft table.
    Nft,
    /// User accounts and their files.
    Accounts,
    /// Their numbers, on flash.
    UserIds,
    /// SSH.
    Services,
    /// What vrrpd could not have.
    Vrrp,
    /// Connection sync.
    Sync,
    /// `init setup`.
    Network,
}

/// All sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Notes(BTreeMap<Source, Vec<String>>);

impl Notes {
    /// Replaces the sentences of one source.
    pub(crate) fn set(&mut self, source: Source, sentences: Vec<String>) {
        self.0.insert(source, sentences);
    }

    /// The sentences of one source.
    pub(crate) fn of(&self, source: Source) -> Vec<String> {
        self.0.get(&source).cloned().unwrap_or_default()
    }

    /// Every sentence once, in the order of sources.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut all = Vec::<String>::new();
        for sentence in self.0.values().flatten() {
            if !all.contains(sentence) {
                all.push(sentence.clone());
            }
        }
        all
    }

    /// What is in `self` and was not in `before`.
    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        let before = before.all();
        self.all().into_iter().filter(|sentence| !before.contains(sentence)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_replaces_its_own_and_only_news_is_new() {
        let mut notes = Notes::default();
        notes.set(Source::Network, vec!["interface eth3: no such device".into()]);
        let before = notes.clone();
        notes.set(Source::Configuration, vec!["a".into(), "interface eth3: no such device".into()]);
        assert_eq!(notes.since(&before), ["a"]);
        assert_eq!(notes.all().len(), 2);
        notes.set(Source::Configuration, Vec::new());
        notes.set(Source::Network, Vec::new());
        assert!(notes.all().is_empty());
    }
}
