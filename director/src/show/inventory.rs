//! `show inventory`: what the box is made of, out of `/sys` and `/proc`. A file that cannot be read leaves its field empty.

use std::fs;
use std::path::Path;

use yoke_director::status::{Card, Disk, Inventory};

use crate::files::Paths;

/// Everything.
pub(crate) fn inventory(paths: &Paths) -> Inventory {
    let dmi = paths.sys.join("class/dmi/id");
    let version = super::system::version(&paths.proc);
    Inventory {
        vendor: text(&dmi.join("sys_vendor")),
        product: text(&dmi.join("product_name")),
        serial: text(&dmi.join("product_serial")),
        board: text(&dmi.join("board_name")),
        board_serial: text(&dmi.join("board_serial")),
        firmware: [text(&dmi.join("bios_vendor")), text(&dmi.join("bios_version")), text(&dmi.join("bios_date"))]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        cpu: version.cpu,
        cores: version.cores,
        memory_kib: version.memory_kib,
        disks: disks(&paths.sys),
        cards: cards(paths),
    }
}

/// Disks with a device behind them: no partitions, no loops.
fn disks(sys: &Path) -> Vec<Disk> {
    let mut disks = Vec::new();
    for name in list(&sys.join("block")) {
        let path = sys.join("block").join(&name);
        if !path.join("device").exists() {
            continue;
        }
        let device = path.join("device");
        // 512 bytes each, whatever the disk's own sectors are (Documentation/ABI/stable/sysfs-block).
        let sectors: u64 = text(&path.join("size")).parse().unwrap_or(0);
        let serial = [path.join("serial"), device.join("serial")].iter().map(|p| text(p)).find(|t| !t.is_empty());
        disks.push(Disk {
            model: [text(&device.join("vendor")), text(&device.join("model"))].join(" ").trim().to_owned(),
            serial: serial.unwrap_or_default(),
            bytes: sectors.saturating_mul(512),
            address: address(&device),
            name,
        });
    }
    disks
}

fn cards(paths: &Paths) -> Vec<Card> {
    let mut cards = Vec::new();
    for name in list(&paths.sys.join("class/net")) {
        let path = paths.sys.join("class/net").join(&name);
        let device = path.join("device");
        if !device.exists() {
            continue;
        }
        let queues = list(&path.join("queues"));
        let count =
            |kind: &str| u32::try_from(queues.iter().filter(|q| q.starts_with(kind)).count()).unwrap_or(u32::MAX);
        let driver = fs::read_link(device.join("driver")).ok();
        let hands = queues.iter().find(|queue| queue.starts_with("rx-"));
        let hands = hands.map(|queue| text(&path.join("queues").join(queue).join("rps_cpus"))).unwrap_or_default();
        cards.push(Card {
            driver: driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned())).unwrap_or_default(),
            address: address(&device),
            mac: text(&path.join("address")),
            // -1, or an error, while there is no link.
            speed_mbit: text(&path.join("speed")).parse().unwrap_or(0),
            rx_queues: count("rx-"),
            tx_queues: count("tx-"),
            interrupt_cpus: interrupts(&paths.proc, &device),
            rps_cpus: processors(&hands),
            name,
        });
    }
    cards
}

/// The address on the bus that a person can look for: of a virtio device, that of the PCI device it is on.
fn address(device: &Path) -> String {
    let Ok(path) = fs::canonicalize(device) else { return String::new() };
    let is_pci = |name: &str| name.len() == 12 && name.as_bytes()[4] == b':' && name.as_bytes()[7] == b':';
    let names = path.ancestors().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    names.into_iter().find(|name| is_pci(name)).unwrap_or_default()
}

/// Processors that take the interrupts of a card, those for no queue included.
fn interrupts(proc: &Path, device: &Path) -> Vec<u32> {
    let parent = device.join("..");
    let mut cpus = Vec::new();
    for number in [device, &parent].into_iter().flat_map(|device| list(&device.join("msi_irqs"))) {
        let at = proc.join("irq").join(number).join("effective_affinity_list");
        cpus.extend(text(&at).split([',', '-']).filter_map(|cpu| cpu.parse::<u32>().ok()));
    }
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

/// Reads the kernel's form of a set: hexadecimal words of 32 bits with commas between them.
fn processors(mask: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for (at, word) in (0..).zip(mask.split(',').rev()) {
        let bits = u32::from_str_radix(word, 16).unwrap_or(0);
        cpus.extend((0..32).filter(|bit| bits & (1 << bit) != 0).map(|bit: u32| at * 32 + bit));
    }
    cpus
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn list(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_box_is_read_out_of_sys() {
        let (_dir, paths) = crate::testing::paths();
        let put = |path: &str, text: &str| {
            let path = paths.sys.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("class/dmi/id/product_name", "PowerEdge R650\n");
        put("class/dmi/id/product_serial", "ABC123\n");
        put("devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/address", "52:54:00:59:00:00\n");
        put("devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/speed", "-1\n");
        put("devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/queues/rx-0/rps_cpus", "00000001,00000003\n");
        put("devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/queues/tx-0/xps_cpus", "0\n");
        put("devices/pci0000:00/0000:00:03.0/msi_irqs/25", "msix\n");
        put("bus/virtio/drivers/virtio_net/x", "");
        put("block/vda/size", "2048\n");
        put("block/vda/serial", "yoke\n");
        put("block/loop0/size", "0\n");
        let device = paths.sys.join("devices/pci0000:00/0000:00:03.0/virtio0");
        symlink("../..", device.join("net/eth0/device")).unwrap();
        symlink(paths.sys.join("bus/virtio/drivers/virtio_net"), device.join("driver")).unwrap();
        fs::create_dir_all(paths.sys.join("class/net/lo")).unwrap();
        symlink(device.join("net/eth0"), paths.sys.join("class/net/eth0")).unwrap();
        symlink(&device, paths.sys.join("block/vda/device")).unwrap();
        fs::create_dir_all(paths.proc.join("irq/25")).unwrap();
        fs::write(paths.proc.join("irq/25/effective_affinity_list"), "1\n").unwrap();

        let it = inventory(&paths);
        assert_eq!((it.product.as_str(), it.serial.as_str(), it.vendor.as_str()), ("PowerEdge R650", "ABC123", ""));
        let [card] = it.cards.as_slice() else { panic!("{it:?}") };
        assert_eq!(
            (card.name.as_str(), card.driver.as_str(), card.address.as_str()),
            ("eth0", "virtio_net", "0000:00:03.0")
        );
        assert_eq!((card.rx_queues, card.tx_queues, card.speed_mbit), (1, 1, 0));
        assert_eq!((card.interrupt_cpus.as_slice(), card.rps_cpus.as_slice()), ([1].as_slice(), [0, 1, 32].as_slice()));
        let [disk] = it.disks.as_slice() else { panic!("{it:?}") };
        assert_eq!((disk.bytes, disk.serial.as_str(), disk.address.as_str()), (1 << 20, "yoke", "0000:00:03.0"));
    }
}
