//! What is mounted where, once, as a table: the file systems of the kernel and the memory that a read-only root needs.
//!
//! `/flash` is not here: it may be damaged, so a supervised one-shot deals with it (`flash`).

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};

/// One file system that has no disk.
struct Mount {
    target: &'static str,
    kind: &'static str,
    flags: MsFlags,
    data: &'static str,
}

const SAFE: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// What stage 1 needs, handed over to the slot.
const KERNEL: [Mount; 4] = [
    Mount { target: "/proc", kind: "proc", flags: SAFE, data: "" },
    Mount { target: "/sys", kind: "sysfs", flags: SAFE, data: "" },
    Mount { target: "/dev", kind: "devtmpfs", flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC), data: "mode=0755" },
    // Bounded: a runaway writer must not take the memory of the data path.
    Mount { target: "/run", kind: "tmpfs", flags: SAFE, data: "mode=0755,size=32m" },
];

/// What the slot adds. SSH sessions need `/dev/pts`.
const SLOT: [Mount; 4] = [
    Mount {
        target: "/dev/pts",
        kind: "devpts",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        data: "mode=0620,gid=5,ptmxmode=0666",
    },
    Mount { target: "/dev/shm", kind: "tmpfs", flags: SAFE, data: "mode=1777,size=4m" },
    Mount { target: "/tmp", kind: "tmpfs", flags: SAFE, data: "mode=1777,size=64m" },
    Mount { target: "/var", kind: "tmpfs", flags: SAFE, data: "mode=0755,size=16m" },
];

/// Directories of stage 1's mounts, for moving them onto the slot.
pub fn kernel_targets() -> impl Iterator<Item = &'static str> {
    KERNEL.iter().map(|m| m.target)
}

/// Mounts `/proc`, `/sys`, `/dev` and `/run` where they are not mounted yet; each failure is a sentence.
#[must_use]
pub fn mount_kernel() -> Vec<String> {
    mount_all(&KERNEL)
}

/// Mounts the rest; each failure is a sentence.
#[must_use]
pub fn mount_slot() -> Vec<String> {
    mount_all(&SLOT)
}

fn mount_all(table: &[Mount]) -> Vec<String> {
    table
        .iter()
        .filter_map(|m| {
            if is_mounted(m.target) {
                return None;
            }
            // Exists in the slot; in the initramfs and under /dev it may have to be made. The mount tells if it failed.
            let _ = fs::create_dir(m.target);
            let done = mount(Some(m.kind), m.target, Some(m.kind), m.flags, (!m.data.is_empty()).then_some(m.data));
            done.err().map(|errno| format!("{}: not mounted: {}", m.target, errno.desc()))
        })
        .collect()
}

/// Whether something is mounted exactly at `target`: it lies on another device than its parent. Needs no `/proc`.
#[must_use]
pub fn is_mounted(target: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let path = Path::new(target);
    let parent = path.parent().and_then(|parent| fs::metadata(parent).ok());
    matches!((fs::metadata(path), parent), (Ok(it), Some(parent)) if it.dev() != parent.dev())
}
