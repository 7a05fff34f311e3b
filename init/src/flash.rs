//! `init flash`: checks the `config` partition and mounts it at `/flash`.
//!
//! A box whose flash is broken still boots: then an empty, read-only memory file system is mounted instead, so that nothing
//! looks saved that is not, and every problem becomes a warning. What is *in* the files is the director's business.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount, umount};

use crate::block::{self, Found};
use crate::modprobe::Loader;
use crate::{crash, mounts, say};

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
    let status = mount_flash();
    crash::look().inspect(|problem| say::problem(problem));
    status
}

fn mount_flash() -> u8 {
    match check_and_mount() {
        Ok(notes) => {
            notes.iter().for_each(|note| say::problem(note));
            0
        }
        Err(problem) => {
            say::problem(&problem);
            say::problem(
                "flash: the configuration cannot be saved, the box runs without its flash until it is repaired, use: format flash:",
            );
            let flags = FLAGS | MsFlags::MS_RDONLY;
            if let Err(errno) = mount(Some("tmpfs"), FLASH, Some("tmpfs"), flags, Some("mode=0755,size=64k")) {
                say::problem(&format!("flash: {}", errno.desc()));
            }
            1
        }
    }
}

/// Runs `init format`: 0 when `/flash` is new, empty and mounted. What works is not touched, and nothing is mounted away from who uses it.
#[must_use]
pub fn format_main() -> u8 {
    match format() {
        Ok(()) => mount_flash(),
        Err(problem) => {
            say::problem(&problem);
            1
        }
    }
}

fn format() -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|e| format!("flash: /proc/self/mounts: {e}"))?;
    let device = find()?;
    match usage(&mounts, &device, errors(Path::new("/sys"), &device)) {
        Usage::Unused => {}
        Usage::Works => return Err("flash: it is mounted, to erase it use: factory-reset".to_owned()),
        // The kernel has found an error in it, and writes no more.
        Usage::ReadOnly => umount(FLASH).map_err(|errno| {
            format!(
                "flash: it is read-only after an error and in use ({}), use first: reload",
                errno.desc().to_lowercase()
            )
        })?,
    }
    let mut words = FORMAT.to_vec();
    words.push(&device);
    let made = Command::new("/usr/sbin/mke2fs").args(words).stderr(std::io::stdout()).status();
    match made {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("flash: {device}: mke2fs: {status}, the disk may be at its end")),
        Err(error) => return Err(format!("flash: /usr/sbin/mke2fs: {error}")),
    }
    // What stood in for it is empty and read-only.
    if mounts::is_mounted(FLASH) {
        umount(FLASH).map_err(|errno| format!("flash: {}", errno.desc().to_lowercase()))?;
    }
    Ok(())
}

/// How many errors the kernel has found in the ext4 file system on `device` since it was last repaired, by what `sys` (`/sys`) says; 0 also where
/// nothing of it is mounted. The disk is not asked.
#[must_use]
pub fn errors(sys: &Path, device: &str) -> u64 {
    let name = Path::new(device).file_name().unwrap_or_default();
    let count = fs::read_to_string(sys.join("fs/ext4").join(name).join("errors_count")).unwrap_or_default();
    count.trim().parse().unwrap_or(0)
}

/// How a device is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    Unused,
    Works,
    ReadOnly,
}

/// What `mounts` (`/proc/self/mounts`) says of `device`. Since 6.12 Linux goes on saying "rw" of a file system in which it has found an error
/// and that it lets nobody write to any more: `errors` is how many.
fn usage(mounts: &str, device: &str, errors: u64) -> Usage {
    let mut mounted = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[0] == device);
    match mounted.next().as_deref() {
        None => Usage::Unused,
        Some(_) if errors > 0 => Usage::ReadOnly,
        Some([_, _, _, options, ..]) if options.split(',').any(|option| option == "ro") => Usage::ReadOnly,
        Some(_) => Usage::Works,
    }
}

/// As `image/src/disk.rs` makes it, and for its reasons: with copies of the superblock, and without a thread that initialises it later.
const FORMAT: [&str; 16] = [
    "-q",
    "-F",
    "-t",
    "ext4",
    "-b",
    "1024",
    "-m",
    "0",
    "-L",
    LABEL,
    "-J",
    "size=4",
    "-O",
    "metadata_csum",
    "-E",
    "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard",
];

/// The partition that is to be `/flash`, as a device.
fn find() -> Result<String, String> {
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
    Ok(format!("/dev/{}", partition.name))
}

/// Returns what an operator should know although all is well now.
fn check_and_mount() -> Result<Vec<String>, String> {
    let device = find()?;
    let mut notes = Vec::new();
    if let Err(error) = Loader::new().load("ext4") {
        return Err(format!("flash: {error}"));
    }
    let attach = || mount(Some(&*device), FLASH, Some("ext4"), FLAGS, Some(OPTIONS));
    // The kernel replays the journal as e2fsck would, in a third of the time. What a journal holds may be the news of an
    // error, which is known only afterwards.
    if is_sound(&device) && attach().is_ok() {
        if is_sound(&device) {
            return Ok(notes);
        }
        umount(FLASH).map_err(|errno| format!("flash: {device}: {}", errno.desc().to_lowercase()))?;
    }
    notes.extend(check(&device));
    match attach() {
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

/// Where ext4 keeps its superblock, and how much of it is there (linux/fs/ext4/ext4.h, struct ext4_super_block).
const SUPERBLOCK_AT: u64 = 1024;
const SUPERBLOCK_BYTES: usize = 1024;

/// Whether the kernel has seen no error in the file system on `device`. A power cut is none.
fn is_sound(device: &str) -> bool {
    let mut superblock = [0; SUPERBLOCK_BYTES];
    let read = File::open(device).and_then(|file| file.read_exact_at(&mut superblock, SUPERBLOCK_AT));
    read.is_ok() && has_no_error(&superblock)
}

/// The kernel's own marks: all that `e2fsck -p` looks at, once it has replayed the journal, before it says "clean".
fn has_no_error(superblock: &[u8; SUPERBLOCK_BYTES]) -> bool {
    let u16_at = |at: usize| u16::from_le_bytes([superblock[at], superblock[at + 1]]);
    const VALID_WITHOUT_ERRORS: u16 = 1;
    u16_at(0x38) == 0xef53 && u16_at(0x3a) == VALID_WITHOUT_ERRORS
}

/// Runs it; what it prints goes to the log with our own output.
fn e2fsck(how: &str, device: &str) -> std::io::Result<i32> {
    let status = Command::new("/usr/sbin/e2fsck").args([how, device]).stderr(std::io::stdout()).status()?;
    // A signal: as if it had given up.
    Ok(status.code().unwrap_or(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flash_that_takes_no_more_writes_may_be_made_anew() {
        let mounts = "/dev/vda3 / squashfs ro 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vda5 /flash ext4 OPTIONS 0 0\n";
        for (options, errors, expected) in [
            ("rw,nosuid,errors=remount-ro", 0, Usage::Works),
            ("ro,nosuid,errors=remount-ro", 0, Usage::ReadOnly),
            ("rw,nosuid,errors=remount-ro", 1, Usage::ReadOnly),
            ("rw,noatime", 0, Usage::Works),
        ] {
            assert_eq!(usage(&mounts.replace("OPTIONS", options), "/dev/vda5", errors), expected, "{options}");
        }
        assert_eq!(usage(mounts, "/dev/vda", 0), Usage::Unused);
        assert_eq!(usage("", "/dev/vda5", 0), Usage::Unused);
    }

    #[test]
    fn a_power_cut_is_no_error_and_an_error_is() {
        let superblock = |magic: u16, state: u8, incompatible: u8| {
            let mut bytes = [0; SUPERBLOCK_BYTES];
            bytes[0x38..0x3a].copy_from_slice(&magic.to_le_bytes());
            bytes[0x3a] = state;
            // 0xc2: the features of a fresh file system, none of which is of interest.
            bytes[0x60] = 0xc2 | incompatible;
            bytes
        };
        assert!(has_no_error(&superblock(0xef53, 1, 0)));
        assert!(has_no_error(&superblock(0xef53, 1, 4)), "a power cut: the kernel replays the journal");
        assert!(!has_no_error(&superblock(0xef53, 0, 0)), "without a journal, mounted when the power went");
        assert!(!has_no_error(&superblock(0xef53, 3, 0)), "errors were seen");
        assert!(!has_no_error(&superblock(0, 1, 0)), "no ext4");
    }
}
