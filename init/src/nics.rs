//! Which network card is eth0: the order of bus addresses decides, not the order in which drivers find their cards.
//!
//! So a name stays with a slot whatever is loaded first. A card that is added before others shifts them, as on every box
//! that counts its ports. Cards that appear after the boot (USB) get the next free number. Pure but for [`observe`].

use std::fs;
use std::path::PathBuf;

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Card {
    /// Its device in `/sys/devices`; sorts by bus address.
    pub path: PathBuf,
    /// Port of a device that has several.
    pub port: u32,
    /// Its present name.
    pub name: String,
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
            let port =
                fs::read_to_string(entry.path().join("dev_port")).ok().and_then(|port| port.trim_end().parse().ok());
            Some(Card { path, port: port.unwrap_or(0), name })
        })
        .collect();
    cards.sort();
    cards
}

/// The N of ethN.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix("eth")?.parse().ok()
}

/// The renames, in order, that give the cards their numbers: first all out of the way, then each to its place.
#[must_use]
pub fn plan(cards: &[Card]) -> Vec<(String, String)> {
    let mut sorted: Vec<&Card> = cards.iter().collect();
    sorted.sort();
    let wrong = || {
        let wanted = (0..).zip(&sorted).map(|(n, card)| (n, &card.name, format!("eth{n}")));
        wanted.filter(|(_, is, wanted)| *is != wanted)
    };
    let away = wrong().map(|(n, is, _): (u32, _, _)| (is.clone(), format!("yoke{n}")));
    let back = wrong().map(|(n, _, wanted)| (format!("yoke{n}"), wanted));
    away.chain(back).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(path: &str, port: u32, name: &str) -> Card {
        Card { path: path.into(), port, name: name.into() }
    }

    #[test]
    fn cards_are_numbered_by_address_then_port() {
        let cards = [
            card("/sys/devices/pci0000:00/0000:00:05.0", 0, "eth0"),
            card("/sys/devices/pci0000:00/0000:00:03.0/virtio0", 0, "eth1"),
            card("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0", 1, "eth2"),
            card("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0", 0, "eth3"),
        ];
        let pairs = plan(&cards);
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
            for (from, to) in plan(&cards) {
                prop_assert!(cards.iter().all(|c| c.name != to), "{to} is taken");
                let card = cards.iter_mut().find(|c| c.name == from);
                prop_assert!(card.is_some(), "{from} does not exist");
                card.unwrap().name = to;
            }
            for (at, card) in cards.iter().enumerate() {
                prop_assert_eq!(&card.name, &format!("eth{at}"));
            }
            prop_assert_eq!(plan(&cards), vec![]);
        }
    }
}
