//! `init network` and `init devices`: load the drivers of what is plugged in, network cards first.
//!
//! Two one-shots, because everything waits for the cards and nothing for the rest: a keyboard may come a second later, the
//! first answer to a client may not. Modules that no device asks for (IPVS, netfilter, VLANs) are loaded by the kernel's
//! own request when they are needed.

use std::time::Duration;

use crate::clock::{now, pause};
use crate::modprobe::{Error, Loader};
use crate::{devices, nics, say, spread, sys, watchdog};

/// How long `init devices` looks for buses that find their devices late; USB hubs need 2-3 s.
const LATE: Duration = Duration::from_secs(6);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

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
    for (from, to) in nics::plan(&nics::observe()) {
        if let Err(error) = sys::rename_interface(&from, &to) {
            problems.push(format!("interface {from}: cannot be renamed to {to}: {error}"));
        }
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
    // Drivers ask for their interrupts when a card is brought up, which was after they were loaded.
    spread::apply();
    report(&problems)
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
    fn only_network_cards_are_waited_for() {
        assert!(is_network("pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"));
        assert!(is_network("virtio:d00000001v00001AF4"));
        assert!(!is_network("virtio:d00000002v00001AF4"));
        assert!(!is_network("pci:v00008086d00007010sv00001AF4sd00001100bc01sc01i80"));
        assert!(!is_network("serio:ty06pr00id00ex00"));
    }
}
