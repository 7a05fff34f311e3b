//! Which network card is eth0: the one that was it before; where none is known, the order of bus addresses decides, not the order in which
//! drivers find their cards.
//!
//! A card that is added, before the others even, takes the lowest number that is free. One that replaces another, in its slot, takes its name
//! over. A box of other cards altogether, whose disk this one was, counts them anew. Cards that appear after the boot (USB) get the next
//! free number, and are not remembered. Pure but for [`observe`]; `drivers` reads and keeps [`Known`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Card {
    /// Its device in `/sys/devices`; sorts by bus address.
    pub path: PathBuf,
    /// Port of a device that has several.
    pub port: u32,
    /// Its present name.
    pub name: String,
    /// Its address; empty where it has none of its own, but another one at each start.
    pub mac: String,
}

/// Cards by their names, those too that are not there: as `/flash/cards` keeps them, `NAME MAC PORT PATH` a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known(BTreeMap<String, (String, u32, PathBuf)>);

impl Known {
    /// Reads the file; a line that is none says nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let mut words = line.splitn(4, ' ');
            let (name, mac, port, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
            number(name)?;
            let mac = if mac == "-" { "" } else { mac };
            Some((name.to_owned(), (mac.to_owned(), port.parse().ok()?, PathBuf::from(path))))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    /// Where in `/sys/devices` the card of this name is, or was.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<&Path> {
        self.0.get(name).map(|(.., path)| path.as_path())
    }

    /// With these cards, by the names that they have now.
    #[must_use]
    pub fn with(mut self, cards: &[Card]) -> Self {
        // Who has another name now has lost the one of before.
        self.0.retain(|_, (mac, ..)| mac.is_empty() || cards.iter().all(|card| card.mac != *mac));
        self.0.extend(cards.iter().map(|c| (c.name.clone(), (c.mac.clone(), c.port, c.path.clone()))));
        self
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, (mac, port, path))| {
            let mac = if mac.is_empty() { "-" } else { mac };
            writeln!(f, "{name} {mac} {port} {}", path.display())
        })
    }
}

/// Lists the cards that the kernel has named ethN. Interfaces without a device (bonds, VLANs) are no cards.
#[must_use]
pub fn observe() -> Vec<Card> {
    let mut cards: Vec<Card> = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            number(&name)?;
            let path = fs::canonicalize(entry.path().join("device")).ok()?;
            let word = |file: &str| {
                fs::read_to_string(entry.path().join(file)).map(|text| text.trim_end().to_owned()).unwrap_or_default()
            };
            // 0: the card's own (NET_ADDR_PERM, linux/netdevice.h).
            let mac = if word("addr_assign_type") == "0" { word("address") } else { String::new() };
            Some(Card { path, port: word("dev_port").parse().unwrap_or(0), name, mac })
        })
        .collect();
    cards.sort();
    cards
}

/// The N of ethN.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix("eth")?.parse().ok()
}

/// The name of each card, in the order of `cards`.
fn names(cards: &[Card], known: &Known) -> Vec<String> {
    let mut names: Vec<Option<String>> = vec![None; cards.len()];
    // Who it is counts for more than where it is.
    for by_mac in [true, false] {
        for (name, (mac, port, path)) in &known.0 {
            if names.iter().flatten().any(|taken| taken == name) {
                continue;
            }
            let is = |card: &Card| {
                if by_mac { !mac.is_empty() && card.mac == *mac } else { (card.port, &card.path) == (*port, path) }
            };
            if let Some(at) = (0..cards.len()).find(|at| names[*at].is_none() && is(&cards[*at])) {
                names[at] = Some(name.clone());
            }
        }
    }
    let mut order: Vec<usize> = (0..cards.len()).filter(|at| names[*at].is_none()).collect();
    order.sort_by_key(|at| &cards[*at]);
    let taken: BTreeSet<String> = names.iter().flatten().cloned().collect();
    let mut free = (0..).map(|n: u32| format!("eth{n}")).filter(|name| !taken.contains(name));
    for at in order {
        names[at] = free.next();
    }
    names.into_iter().flatten().collect()
}

/// The renames, in order, that give the cards their names: first all out of the way, then each to its place.
#[must_use]
pub fn plan(cards: &[Card], known: &Known) -> Vec<(String, String)> {
    let mut cards = cards.to_vec();
    cards.sort();
    let names = names(&cards, known);
    let wrong = || cards.iter().zip(&names).enumerate().filter(|(_, (card, wanted))| card.name != **wanted);
    let away = wrong().map(|(n, (card, _))| (card.name.clone(), format!("yoke{n}")));
    let back = wrong().map(|(n, (_, wanted))| (format!("yoke{n}"), wanted.clone()));
    away.chain(back).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(path: &str, port: u32, name: &str) -> Card {
        Card { path: path.into(), port, name: name.into(), mac: String::new() }
    }

    fn named(path: &str, name: &str, mac: &str) -> Card {
        Card { mac: mac.into(), ..card(path, 0, name) }
    }

    /// What the cards are called at the next start, when the kernel counts them in this order.
    fn next(known: &Known, cards: &[(&str, &str)]) -> Vec<String> {
        let cards: Vec<Card> =
            cards.iter().enumerate().map(|(n, (path, mac))| named(path, &format!("eth{n}"), mac)).collect();
        names(&cards, known)
    }

    #[test]
    fn a_card_keeps_its_name_whatever_is_put_in_or_taken_out() {
        let known = Known::default().with(&[named("/3", "eth0", "a"), named("/4", "eth1", "b")]);
        assert_eq!(Known::parse(&known.to_string()), known);
        assert_eq!(next(&known, &[("/2", "c"), ("/3", "a"), ("/4", "b")]), ["eth2", "eth0", "eth1"], "one before them");
        assert_eq!(next(&known, &[("/4", "a"), ("/5", "b")]), ["eth0", "eth1"], "slots that are counted otherwise");
        assert_eq!(next(&known, &[("/4", "b")]), ["eth1"], "the first is gone");
        assert_eq!(next(&known, &[("/3", "x"), ("/4", "b")]), ["eth0", "eth1"], "another in the place of the first");
        assert_eq!(next(&known, &[("/8", "x"), ("/9", "y")]), ["eth0", "eth1"], "another box");
        assert_eq!(next(&known, &[("/3", "b"), ("/4", "a")]), ["eth1", "eth0"], "swapped");
        assert_eq!(next(&known, &[("/3", ""), ("/4", "")]), ["eth0", "eth1"], "without addresses of their own");
    }

    #[test]
    fn one_that_comes_back_has_its_name_unless_another_has_it() {
        let known = Known::default().with(&[named("/3", "eth0", "a"), named("/4", "eth1", "b")]);
        let without = known.clone().with(&[named("/4", "eth1", "b")]);
        assert_eq!(next(&without, &[("/3", "a"), ("/4", "b")]), ["eth0", "eth1"]);
        let replaced = known.with(&[named("/3", "eth0", "x"), named("/4", "eth1", "b")]);
        assert_eq!(next(&replaced, &[("/3", "x"), ("/4", "b"), ("/5", "a")]), ["eth0", "eth1", "eth2"]);
    }

    #[test]
    fn a_file_that_is_none_says_nothing() {
        for text in ["", "eth0", "eth0 a b c", "wlan0 a 0 /3", "\u{0}\u{0}"] {
            assert_eq!(Known::parse(text), Known::default(), "{text:?}");
        }
    }

    #[test]
    fn cards_are_numbered_by_address_then_port() {
        let cards = [
            card("/sys/devices/pci0000:00/0000:00:05.0", 0, "eth0"),
            card("/sys/devices/pci0000:00/0000:00:03.0/virtio0", 0, "eth1"),
            card("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0", 1, "eth2"),
            card("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0", 0, "eth3"),
        ];
        let pairs = plan(&cards, &Known::default());
        let expected = [
            ("eth1", "yoke0"),
            ("eth0", "yoke1"),
            ("eth3", "yoke2"),
            ("eth2", "yoke3"),
            ("yoke0", "eth0"),
            ("yoke1", "eth1"),
            ("yoke2", "eth2"),
            ("yoke3", "eth3"),
        ];
        assert_eq!(pairs, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    }

    proptest! {
        /// Whatever the kernel called them, the renames never collide and end in order; doing it again changes nothing.
        #[test]
        fn any_start_ends_in_order(order in Just((0..6u32).collect::<Vec<_>>()).prop_shuffle(), gap in 0..3u32) {
            let mut cards: Vec<Card> =
                (0..6u32).zip(&order).map(|(at, n)| card(&format!("/sys/{at}"), 0, &format!("eth{}", n + gap))).collect();
            for (from, to) in plan(&cards, &Known::default()) {
                prop_assert!(cards.iter().all(|c| c.name != to), "{to} is taken");
                let card = cards.iter_mut().find(|c| c.name == from);
                prop_assert!(card.is_some(), "{from} does not exist");
                card.unwrap().name = to;
            }
            for (at, card) in cards.iter().enumerate() {
                prop_assert_eq!(&card.name, &format!("eth{at}"));
            }
            prop_assert_eq!(plan(&cards, &Known::default()), vec![]);
        }
    }
}
