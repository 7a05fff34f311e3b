//! `show inventory`: what the box is made of, and how the work of its network cards is spread.

use yoke_director::status::{Data, Show};

use super::{print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{draw, left, long, pairs, right};

/// `show inventory`.
pub(crate) fn inventory(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let it = match shell.director.show(Show::Inventory)? {
        Data::Inventory(inventory) => inventory,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("inventory", &it);
    }
    let cores = if it.cores == 1 { "core" } else { "cores" };
    let named = |serial: &str| if serial.is_empty() { String::new() } else { format!(", serial {serial}") };
    let lines = pairs(&[
        ("System", format!("{} {}{}", it.vendor, it.product, named(&it.serial)).trim().to_owned()),
        ("Board", format!("{}{}", it.board, named(&it.board_serial))),
        ("Firmware", it.firmware),
        ("Processor", format!("{}, {} {cores}", it.cpu, it.cores)),
        ("Memory", format!("{} MiB", it.memory_kib / 1024)),
    ]);
    print(&lines, out)?;
    let columns = [left("Disk", 8), right("GB", 7), left("Address", 12), long("Model", 6, 18), long("Serial", 6, 18)];
    let cells: Vec<Vec<String>> = it
        .disks
        .into_iter()
        .map(|disk| {
            // As it is written on a disk: powers of ten.
            let tenths = disk.bytes / 100_000_000;
            vec![disk.name, format!("{}.{}", tenths / 10, tenths % 10), disk.address, disk.model, disk.serial]
        })
        .collect();
    print(&draw(&columns, &cells), out)?;
    let columns = [
        left("Card", 6),
        left("Driver", 10),
        left("Address", 12),
        left("MAC", 17),
        right("Rx/tx", 5),
        left("Irq cpus", 8),
        left("Rps cpus", 8),
    ];
    let cells: Vec<Vec<String>> = it
        .cards
        .into_iter()
        .map(|card| {
            let queues = format!("{}/{}", card.rx_queues, card.tx_queues);
            let (irq, rps) = (ranges(&card.interrupt_cpus), ranges(&card.rps_cpus));
            vec![card.name, card.driver, card.address, card.mac, queues, irq, rps]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

/// `0-3,8`; `-` for none.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ranges.is_empty() { "-".to_owned() } else { ranges.iter().map(text).collect::<Vec<_>>().join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_told_in_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(ranges(&[]), "-");
    }
}
