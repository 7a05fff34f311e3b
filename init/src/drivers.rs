//! `init network` and `init devices`: load the drivers of what is plugged in, network cards first.
//!
//! Two one-shots, because everything waits for the cards and nothing for the rest: a keyboard may come a second later, the
//! first answer to a client may not. Modules that no device asks for (IPVS, netfilter, VLANs) are loaded by the kernel's
//! own request when they are needed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::clock::{now, pause};
use crate::modprobe::{Error, Loader};
use crate::nics::Known;
use crate::tasks::Task;
use crate::{devices, mounts, nics, say, spread, sys, watchdog};

/// How long `init devices` looks for buses that find their devices late; USB hubs need 2-3 s.
const LATE: Duration = Duration::from_secs(6);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Which card had which name, as it was kept.
const KEPT: &str = "/flash/cards";
/// The same, as it is to be kept. In memory: the flash is written when everything runs.
const SEEN: &str = "/run/yoke/cards";
/// Between two looks at it.
const GLANCE: Duration = Duration::from_millis(20);

/// Runs `init network`: 0 when every driver loaded.
#[must_use]
pub fn network_main() -> u8 {
    // On one processor the flash comes first, and with it the director and the console: the network's turn is after them,
    // and while they wait for the disk.
    sys::yield_to_others(10);
    let mut loader = Loader::new();
    let mut seen = Vec::new();
    let mut problems = Vec::new();
    while load_fresh(&mut loader, &mut seen, &mut problems, is_network) {}
    // Nobody is kept waiting: what gives interfaces their addresses waits for the flash too, which may be under repair.
    let end = now() + Task::Flash.limit();
    while !mounts::is_mounted("/flash") && now() < end {
        pause(GLANCE);
    }
    // A flash that comes later still must not have its names replaced by those that were given without it.
    let flash = mounts::is_mounted("/flash");
    let known = Known::parse(&fs::read_to_string(KEPT).unwrap_or_default());
    for (from, to) in nics::plan(&nics::observe(), &known) {
        if let Err(error) = sys::rename_interface(&from, &to) {
            problems.push(format!("interface {from}: cannot be renamed to {to}: {error}"));
        }
    }
    // Now, while each has its own address: a bond gives its members another.
    if flash && let Err(error) = fs::write(SEEN, known.with(&nics::observe()).to_string()) {
        problems.push(format!("interfaces: {SEEN}: {error}"));
    }
    spread::apply();
    report(&problems)
}

/// Runs `init devices`: 0 when every driver loaded.
#[must_use]
pub fn devices_main() -> u8 {
    sys::yield_to_others(19);
    let mut loader = Loader::new();
    let mut seen = Vec::new();
    let mut problems = Vec::new();
    let end = now() + LATE;
    while now() < end {
        if !load_fresh(&mut loader, &mut seen, &mut problems, |_| true) {
            pause(LOOK);
        }
    }
    problems.extend(watchdog::load_last_resort(&mut loader));
    if let Err(error) = keep(Path::new(SEEN), Path::new(KEPT)) {
        problems.push(format!("interfaces: their names are not kept, {KEPT}: {error}"));
    }
    // Drivers ask for their interrupts when a card is brought up, which was after they were loaded.
    spread::apply();
    report(&problems)
}

/// Copies the names to the flash, where they differ: whole or not at all. A box without its flash has none to keep them on, and says so already.
fn keep(seen: &Path, kept: &Path) -> io::Result<()> {
    let text = match fs::read(seen) {
        Ok(text) => text,
        // The names were given without the flash.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if fs::read(kept).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let new = kept.with_extension("new");
    let written = File::create(&new).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    match written.and_then(|()| fs::rename(&new, kept)) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other,
    }
}

fn report(problems: &[String]) -> u8 {
    problems.iter().for_each(|problem| say::problem(problem));
    u8::from(!problems.is_empty())
}

/// Loads the drivers of devices that were not seen before, in the order of bus addresses. `false` when there are none.
fn load_fresh(
    loader: &mut Loader,
    seen: &mut Vec<String>,
    problems: &mut Vec<String>,
    wanted: impl Fn(&str) -> bool,
) -> bool {
    let mut fresh: Vec<String> = Vec::new();
    for device in devices::list() {
        if wanted(&device.modalias) && !seen.contains(&device.modalias) && !fresh.contains(&device.modalias) {
            fresh.push(device.modalias);
        }
    }
    let aliases: Vec<&str> = fresh.iter().map(String::as_str).collect();
    for (device, modules) in loader.index.wanted_by(&aliases) {
        for module in modules {
            match loader.load_module(&module) {
                // Several drivers may say that a device is theirs, and all but one then find that it is not.
                Ok(()) | Err(Error::Refused { errno: nix::errno::Errno::ENODEV, .. }) => {}
                Err(error) => problems.push(format!("{error}, for device {device}")),
            }
        }
    }
    let any = !fresh.is_empty();
    seen.extend(fresh);
    any
}

/// Whether a device is a network card: PCI class 2, or the network device of a hypervisor's bus.
fn is_network(modalias: &str) -> bool {
    (modalias.starts_with("pci:") && modalias.contains("bc02"))
        || modalias.starts_with("virtio:d00000001v")
        // The network GUID of Hyper-V (linux/hyperv.h, HV_NIC_GUID).
        || modalias.starts_with("vmbus:635161f83edfc546913ff2d2f965ed0e")
        || modalias.starts_with("xen:vif")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_whole_and_only_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let (seen, kept) = (dir.path().join("seen"), dir.path().join("kept"));
        fs::write(&seen, "eth0 a 0 /3\n").unwrap();
        fs::write(dir.path().join("kept.new"), "left by a power cut").unwrap();
        keep(&seen, &kept).unwrap();
        assert_eq!(fs::read(&kept).unwrap(), fs::read(&seen).unwrap());
        assert!(!dir.path().join("kept.new").exists());
        fs::rename(&seen, dir.path().join("away")).unwrap();
        keep(&seen, &kept).unwrap();
        assert!(kept.exists(), "names that were given without the flash are not kept");
        fs::rename(dir.path().join("away"), &seen).unwrap();
        let before = fs::metadata(&kept).unwrap().modified().unwrap();
        keep(&seen, &kept).unwrap();
        assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn only_network_cards_are_waited_for() {
        assert!(is_network("pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"));
        assert!(is_network("virtio:d00000001v00001AF4"));
        assert!(!is_network("virtio:d00000002v00001AF4"));
        assert!(!is_network("pci:v00008086d00007010sv00001AF4sd00001100bc01sc01i80"));
        assert!(!is_network("serio:ty06pr00id00ex00"));
    }
}
