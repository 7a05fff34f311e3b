//! `init flash`: checks the `config` partition and mounts it at `/flash`.
//!
//! A box whose flash is broken still boots: then an empty, read-only memory file system is mounted instead, so that nothing
//! looks saved that is not, and every problem becomes a warning. What is *in* the files is the director's business.

use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};

use crate::block::{self, Found};
use crate::modprobe::Loader;
use crate::{mounts, say};

/// The one place that is written after boot.
const FLASH: &str = "/flash";
/// PARTLABEL.
const LABEL: &str = "config";
const FLAGS: MsFlags = MsFlags::MS_NOATIME.union(MsFlags::MS_NOSUID).union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);
/// After an error the rest stays readable, and nothing makes it worse.
const OPTIONS: &str = "errors=remount-ro";

/// Runs the one-shot: 0 when `/flash` is mounted as it should be.
#[must_use]
pub fn main() -> u8 {
    if mounts::is_mounted(FLASH) {
        return 0;
    }
    match check_and_mount() {
        Ok(notes) => {
            notes.iter().for_each(|note| say::problem(note));
            0
        }
        Err(problem) => {
            say::problem(&problem);
            say::problem(
                "flash: the configuration cannot be saved, the box runs without its flash until it is repaired",
            );
            let flags = FLAGS | MsFlags::MS_RDONLY;
            if let Err(errno) = mount(Some("tmpfs"), FLASH, Some("tmpfs"), flags, Some("mode=0755,size=64k")) {
                say::problem(&format!("flash: {}", errno.desc()));
            }
            1
        }
    }
}

/// Returns what an operator should know although all is well now.
fn check_and_mount() -> Result<Vec<String>, String> {
    let partitions = block::partitions();
    let disk = block::disk_under(Path::new("/")).ok();
    let partition = match block::choose(&partitions, LABEL, disk.as_deref()) {
        Found::Sure(partition) => partition,
        // The configuration of another box is worse than none.
        Found::Likely(partition) => {
            let theirs = &partition.disk;
            return Err(format!("flash: partition {LABEL} is on {theirs}, not on the disk of this system"));
        }
        Found::Nowhere => return Err(format!("flash: there is no partition {LABEL}")),
    };
    let device = format!("/dev/{}", partition.name);
    let mut notes = Vec::new();
    if let Err(error) = Loader::new().load("ext4") {
        return Err(format!("flash: {error}"));
    }
    notes.extend(check(&device));
    match mount(Some(&*device), FLASH, Some("ext4"), FLAGS, Some(OPTIONS)) {
        Ok(()) => Ok(notes),
        Err(errno) => {
            notes.push(format!("flash: {device} does not mount: {}", errno.desc().to_lowercase()));
            Err(notes.join("; "))
        }
    }
}

/// What e2fsck(8) did; `None` when there was nothing to do.
fn check(device: &str) -> Option<String> {
    let first = e2fsck("-p", device);
    // 4 and more: it wants somebody to answer questions. Nobody is there, and the configuration has its own checksums.
    let (code, how) = match first {
        Ok(code) if code & !3 != 0 => (e2fsck("-fy", device), "repaired by force, files may be missing"),
        other => (other, "errors were repaired"),
    };
    match code {
        Ok(0) => None,
        Ok(code) if code & !3 == 0 => Some(format!("flash: {device}: {how}")),
        Ok(code) => Some(format!("flash: {device}: e2fsck gave up with status {code}")),
        Err(error) => Some(format!("flash: {device} was not checked: /usr/sbin/e2fsck: {error}")),
    }
}

/// Runs it; what it prints goes to the log with our own output.
fn e2fsck(how: &str, device: &str) -> std::io::Result<i32> {
    let status = Command::new("/usr/sbin/e2fsck").args([how, device]).stderr(std::io::stdout()).status()?;
    // A signal: as if it had given up.
    Ok(status.code().unwrap_or(8))
}
