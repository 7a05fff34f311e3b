//! Work of network cards on several processors: which one takes the interrupts of a queue, which ones packets are handed to (RPS), and which
//! queue each one sends by (XPS); kernel: Documentation/networking/scaling.rst. Done once the cards are there. Pure but for [`observe`] and
//! [`apply`].
//!
//! How many queues a card has is its driver's to say: all that matter here make as many as there are processors, if the card can. On one
//! processor there is nothing to spread.

use std::fs;
use std::path::Path;

use crate::nics;

/// A network card, as far as work can be spread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Card {
    /// Such as `eth0`.
    pub name: String,
    /// Receive queues.
    pub rx: usize,
    /// Transmit queues.
    pub tx: usize,
    /// Its interrupts: the number, and what the driver calls it, such as `virtio0-input.0` or `eth0-TxRx-3`.
    pub interrupts: Vec<(u32, String)>,
}

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Path.
    pub path: String,
    /// Text.
    pub value: String,
}

/// What to write for `cards` on `cpus` processors.
///
/// - Interrupts: those of queue N of card M go to processor M+N, so that the first queues of two cards do not meet on one.
/// - RPS: a card with fewer queues than processors hands packets to all of them, by a hash over addresses and ports. One with enough queues has
///   done that itself.
/// - XPS: each processor sends by a queue of its own, as far as they go.
#[must_use]
pub fn plan(cards: &[Card], cpus: usize) -> Vec<Setting> {
    let mut settings = Vec::new();
    if cpus < 2 {
        return settings;
    }
    for (at, card) in cards.iter().enumerate() {
        for (number, name) in &card.interrupts {
            if let Some(queue) = queue(name) {
                let cpu = (at + queue) % cpus;
                settings
                    .push(Setting { path: format!("/proc/irq/{number}/smp_affinity_list"), value: cpu.to_string() });
            }
        }
        let queues = format!("/sys/class/net/{}/queues", card.name);
        let all = mask(0..cpus);
        for rx in 0..card.rx {
            let value = if card.rx < cpus { all.clone() } else { mask(0..0) };
            settings.push(Setting { path: format!("{queues}/rx-{rx}/rps_cpus"), value });
        }
        // A lone queue takes everything; the kernel has nothing to choose.
        for tx in (0..card.tx).filter(|_| card.tx > 1) {
            let value = mask((0..cpus).filter(|cpu| cpu % card.tx == tx));
            settings.push(Setting { path: format!("{queues}/tx-{tx}/xps_cpus"), value });
        }
    }
    settings
}

/// The queue an interrupt is for: the last number of its name; `None` for those that are for no queue. Mellanox puts the device behind an `@`.
fn queue(name: &str) -> Option<usize> {
    let name = name.split('@').next().unwrap_or(name);
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    if name.contains("config") || name.contains("async") || name.contains("ctrl") {
        return None;
    }
    name[name.len() - digits..].parse().ok()
}

/// A set of processors as the kernel reads it: hexadecimal, in words of 32 bits with commas between them.
fn mask(cpus: impl IntoIterator<Item = usize>) -> String {
    let mut words = vec![0_u32];
    for cpu in cpus {
        if cpu / 32 >= words.len() {
            words.resize(cpu / 32 + 1, 0);
        }
        words[cpu / 32] |= 1 << (cpu % 32);
    }
    let words: Vec<String> = words.iter().rev().map(|word| format!("{word:08x}")).collect();
    words.join(",")
}

/// Looks at the cards, in the order of their names' numbers.
#[must_use]
pub fn observe() -> Vec<Card> {
    let list = |path: &Path| -> Vec<String> {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let card = |card: nics::Card| {
        let queues = list(&Path::new("/sys/class/net").join(&card.name).join("queues"));
        let count = |kind: &str| queues.iter().filter(|queue| queue.starts_with(kind)).count();
        // A virtio card's are its parent's.
        let devices = [Some(card.path.as_path()), card.path.parent()];
        let mut numbers: Vec<u32> = devices
            .into_iter()
            .flatten()
            .flat_map(|device| list(&device.join("msi_irqs")))
            .filter_map(|number| number.parse().ok())
            .collect();
        numbers.sort_unstable();
        let interrupts = numbers.iter().flat_map(|number| {
            // Each handler of an interrupt is a directory.
            list(Path::new(&format!("/proc/irq/{number}"))).into_iter().map(|name| (*number, name))
        });
        let is_handler = |(number, name): &(u32, String)| Path::new(&format!("/proc/irq/{number}/{name}")).is_dir();
        Card {
            rx: count("rx-"),
            tx: count("tx-"),
            interrupts: interrupts.filter(is_handler).collect(),
            name: card.name,
        }
    };
    nics::observe().into_iter().map(card).collect()
}

/// Writes them. A driver that places its interrupts itself refuses, and knows better.
pub fn apply() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for setting in plan(&observe(), cpus) {
        let _ = fs::write(&setting.path, &setting.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, queues: usize, interrupts: &[(u32, &str)]) -> Card {
        let interrupts = interrupts.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
        Card { name: name.into(), rx: queues, tx: queues, interrupts }
    }

    fn value<'a>(settings: &'a [Setting], path: &str) -> Option<&'a str> {
        settings.iter().find(|setting| setting.path == path).map(|setting| setting.value.as_str())
    }

    #[test]
    fn two_cards_with_one_queue_share_four_processors() {
        let cards = [
            card("eth0", 1, &[(24, "virtio0-config"), (25, "virtio0-input.0"), (26, "virtio0-output.0")]),
            card("eth1", 1, &[(28, "eth1")]),
        ];
        let settings = plan(&cards, 4);
        assert_eq!(value(&settings, "/proc/irq/24/smp_affinity_list"), None);
        assert_eq!(value(&settings, "/proc/irq/25/smp_affinity_list"), Some("0"));
        // Its own number is the last in its name, and the second card begins one further.
        assert_eq!(value(&settings, "/proc/irq/28/smp_affinity_list"), Some("2"));
        assert_eq!(value(&settings, "/sys/class/net/eth1/queues/rx-0/rps_cpus"), Some("0000000f"));
        assert!(settings.iter().all(|setting| !setting.path.contains("xps")));
        assert_eq!(plan(&cards, 1), []);
    }

    #[test]
    fn a_card_with_enough_queues_spreads_by_itself() {
        let names: Vec<String> = (0..4).map(|n| format!("mlx5_comp{n}@pci:0000:01:00.0")).collect();
        let interrupts: Vec<(u32, &str)> = (40..).zip(names.iter().map(String::as_str)).collect();
        let settings = plan(&[card("eth0", 4, &interrupts)], 4);
        let cpus: Vec<_> =
            (40..44).filter_map(|n| value(&settings, &format!("/proc/irq/{n}/smp_affinity_list"))).collect();
        assert_eq!(cpus, ["0", "1", "2", "3"]);
        assert_eq!(value(&settings, "/sys/class/net/eth0/queues/rx-3/rps_cpus"), Some("00000000"));
        assert_eq!(value(&settings, "/sys/class/net/eth0/queues/tx-2/xps_cpus"), Some("00000004"));
    }

    #[test]
    fn masks_are_the_kernels() {
        assert_eq!(mask(0..33), "00000001,ffffffff");
        assert_eq!(mask([]), "00000000");
        assert_eq!(queue("i40e-eth0-TxRx-12"), Some(12));
        assert_eq!(queue("mlx5_async0@pci:0000:01:00.0"), None);
        assert_eq!(queue("ahci"), None);
    }
}
