//! Stage 1: PID 1 of the initramfs. Finds the slot the boot loader chose, mounts it read-only and becomes its `/sbin/init`.
//!
//! No services, no shell, no network. When it fails it says so on every console and restarts the box after `READ`, so
//! that the loader can count and choose the other slot.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

use crate::block::{self, Found, Partition};
use crate::clock::{now, pause};
use crate::cmdline::Cmdline;
use crate::modprobe::Loader;
use crate::{devices, mounts, say, watchdog};

/// From the failure to the restart: long enough to read a sentence, short enough for an unattended box.
const READ: Duration = Duration::from_secs(10);
/// How long the slot may take to appear. USB disks need 2-5 s; a RAID controller that spins up its disks up to 30 s.
const SLOT_WAIT: Duration = Duration::from_secs(40);
/// How long to wait for the very disk the loader named while another one with the label is there.
const BOOT_DISK_WAIT: Duration = Duration::from_secs(8);
/// Between two looks into `/sys`: well under what anybody notices, and costs nothing.
const LOOK: Duration = Duration::from_millis(20);

/// Where the slot is mounted before it becomes the root.
const SLOT: &str = "/slot";

/// Runs stage 1; comes back only as the end of the process, which is a panic of the kernel.
pub fn main() -> u8 {
    let Err(error) = boot();
    // Not by a panic of the kernel, whose trace would push the sentence off a screen of 25 lines.
    say::consoles(&format!("yoke: cannot start: {error:#}\r\nyoke: restarting in {} s", READ.as_secs()));
    pause(READ);
    let Err(errno) = reboot(RebootMode::RB_AUTOBOOT);
    say::consoles(&format!("yoke: cannot restart: {}", errno.desc()));
    let _ = fs::write("/proc/sys/kernel/panic", "1");
    1
}

fn boot() -> anyhow::Result<std::convert::Infallible> {
    if let Some(problem) = mounts::mount_kernel().into_iter().next() {
        bail!(problem);
    }
    let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").context("/proc/cmdline")?);
    let label = match cmdline.value("yoke.slot") {
        Some(slot @ ("a" | "b")) => format!("slot-{slot}"),
        Some(other) => bail!("yoke.slot={other} on the kernel's command line: no such slot, use: a or b"),
        None => "slot-a".to_owned(),
    };
    let mut loader = Loader::new();
    // Before anything of the slot is read: a firmware that hangs from here on is left again.
    if let Some(watchdogs) = watchdog::arm_early(&cmdline, &mut loader, now()) {
        watchdog::feed_beside(watchdogs, watchdog::STAGE1_LIMIT);
    }
    let slot = find(&label, cmdline.value("yoke.boot"), &mut loader)?;
    say::kernel_log(&format!("root is {label} on /dev/{}", slot.name));
    loader.load("squashfs")?;
    let device = format!("/dev/{}", slot.name);
    fs::create_dir_all(SLOT).context(SLOT)?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(&*device), SLOT, Some("squashfs"), flags, None::<&str>)
        .with_context(|| format!("{label} on {device}: not a readable squashfs"))?;
    Err(switch_root().into())
}

/// Loads drivers and looks for the partition until it is there.
fn find(label: &str, boot_guid: Option<&str>, loader: &mut Loader) -> anyhow::Result<Partition> {
    let start = now();
    let mut seen: Vec<String> = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    // First only what a box most likely boots from: probing an unused IDE controller costs more than all the rest.
    let mut all = false;
    loop {
        let fresh: Vec<String> = devices::list()
            .into_iter()
            .map(|device| device.modalias)
            .filter(|modalias| (all || is_quick(modalias)) && !seen.contains(modalias))
            .collect();
        for (device, modules) in loader.index.wanted_by(&fresh.iter().map(String::as_str).collect::<Vec<_>>()) {
            for module in modules {
                // A driver that refuses its device is a fault only if the slot does not appear.
                problems.extend(loader.load_module(&module).err().map(|error| format!("{error} ({device})")));
            }
        }
        let progress = !fresh.is_empty();
        seen.extend(fresh);
        let partitions = block::partitions();
        let boot_disk = boot_guid.and_then(|guid| block::disk_of_guid(&partitions, guid));
        let waited = now().saturating_sub(start);
        match block::choose(&partitions, label, boot_disk.as_deref()) {
            Found::Sure(partition) => return Ok(partition.clone()),
            Found::Likely(partition) if all && !progress && (boot_guid.is_none() || waited > BOOT_DISK_WAIT) => {
                return Ok(partition.clone());
            }
            Found::Likely(_) | Found::Nowhere => {}
        }
        match (progress, all) {
            (true, _) => {}
            (false, false) => all = true,
            (false, true) if waited > SLOT_WAIT => {
                let drivers = if problems.is_empty() { String::new() } else { format!(" ({})", problems.join("; ")) };
                return Err(anyhow!("no partition {label} on any disk after {} s{drivers}", SLOT_WAIT.as_secs()));
            }
            (false, true) => pause(LOOK),
        }
    }
}

/// Whether a device is a fast bus or disk that virtual and modern machines boot from: virtio, NVMe.
fn is_quick(modalias: &str) -> bool {
    modalias.starts_with("virtio:")
        || modalias.starts_with("pci:v00001AF4")
        || (modalias.starts_with("pci:") && modalias.contains("bc01sc08"))
}

/// Makes the slot the root, frees the initramfs and executes stage 2. Returns only the reason why it could not.
fn switch_root() -> io::Error {
    let moved = || -> io::Result<()> {
        for target in mounts::kernel_targets() {
            mount(Some(target), &*format!("{SLOT}{target}"), None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
        }
        let ram = fs::metadata("/")?.dev();
        std::env::set_current_dir(SLOT)?;
        clear(Path::new("/"), ram);
        mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
        nix::unistd::chroot(".")?;
        std::env::set_current_dir("/")
    };
    match moved() {
        Ok(()) => Command::new("/sbin/init").env_clear().exec(),
        Err(error) => error,
    }
}

/// Removes everything on the device `ram` below `dir`: its memory is not given back otherwise. What cannot be removed stays.
fn clear(dir: &Path, ram: u64) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::symlink_metadata(&path) {
            Ok(it) if it.dev() != ram => {}
            Ok(it) if it.is_dir() => {
                clear(&path, ram);
                let _ = fs::remove_dir(&path);
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fast_buses_are_probed_first() {
        assert!(is_quick("virtio:d00000002v00001AF4"));
        assert!(is_quick("pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00"));
        assert!(is_quick("pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02"));
        assert!(!is_quick("pci:v00008086d00007010sv00001AF4sd00001100bc01sc01i80"));
        assert!(!is_quick("usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00"));
    }
}
