//! The disk that `install disk` is told to write: what it is, what would be lost, and what speaks against it. Out of `/sys`; nothing is opened.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::layout;
use crate::report::{Lost, Target};

/// What `/sys/class/block` counts in, whatever the disk's own sectors are (Documentation/ABI/stable/sysfs-block).
const COUNTED_BYTES: u64 = 512;

/// Looks at the disk `name` of a box that runs from the disk `running`. `sys` is `/sys`.
///
/// # Errors
/// In words: it is none, it is a partition, the box runs from it under this name or another, it is write-protected, too small, or has sectors
/// that no loader of ours reads.
pub fn look(sys: &Path, name: &str, running: &str) -> Result<Target> {
    let plain = name.strip_prefix("/dev/").unwrap_or(name);
    let none = || format!("{name}: there is no such disk, see: show inventory");
    ensure!(!plain.is_empty() && !plain.contains(['/', '.']), none());
    // The kernel's own name for a `/` in a device's name is a `!`; disks have none.
    let path = fs::canonicalize(sys.join("class/block").join(plain)).ok().with_context(none)?;
    if path.join("partition").exists() {
        let disk = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        bail!("{name}: is a partition, use its disk: {disk}");
    }
    ensure!(path.join("device").exists(), none());
    ensure!(plain != running, "{name}: this box runs from it");
    let own = fs::canonicalize(sys.join("class/block").join(running)).unwrap_or_default();
    ensure!(!is_same(&path, &own), "{name}: is {running} under another name, this box runs from it");
    let bytes = size(&path);
    ensure!(bytes > 0, "{name}: there is no medium in it");
    ensure!(text(&path.join("ro")) != "1", "{name}: is write-protected");
    let (_, least) = layout::offsets();
    let (has, needs) = (bytes / 1_000_000, least.div_ceil(1_000_000));
    ensure!(bytes >= least, "{name}: has {has} MB, {needs} MB are needed");
    let sector = text(&path.join("queue/logical_block_size"));
    ensure!(sector == layout::SECTOR.to_string(), "{name}: has sectors of {sector} bytes, 512 are needed");
    Ok(Target {
        name: plain.to_owned(),
        model: model(&path),
        serial: serial(&path),
        identity: identity(&path),
        bytes,
        lost: partitions(&path),
        configuration: false,
    })
}

/// What the disk that was opened is, whatever its name is now: as [`Target::identity`]. `device` is its number.
#[must_use]
pub fn identity_of(sys: &Path, device: u64) -> String {
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    identity(&sys.join(format!("dev/block/{major}:{minor}")))
}

/// The kernel counts disks as they come, and gives no number twice until the next start (Documentation/ABI/stable/sysfs-block); a medium
/// that is changed counts as another.
fn identity(disk: &Path) -> String {
    [text(&disk.join("diskseq")), size(disk).to_string(), serial(disk)].join(" ")
}

/// Whether two names are ways to one disk: it says the same name of the world, or else the same serial number. A disk with neither is taken for
/// itself: no storage network has such.
fn is_same(one: &Path, other: &Path) -> bool {
    let wwid = |disk: &Path| says(disk, "wwid");
    match (wwid(one), wwid(other)) {
        (Some(one), Some(other)) => one == other,
        _ => {
            !serial(one).is_empty() && [serial, model].iter().all(|of| of(one) == of(other)) && size(one) == size(other)
        }
    }
}

/// What a disk says in the file `name`, its own or its device's: that depends on the driver.
fn says(disk: &Path, name: &str) -> Option<String> {
    [disk.join(name), disk.join("device").join(name)].iter().map(|path| text(path)).find(|text| !text.is_empty())
}

/// Empty when it does not say.
fn serial(disk: &Path) -> String {
    says(disk, "serial").unwrap_or_default()
}

fn model(disk: &Path) -> String {
    let device = disk.join("device");
    format!("{} {}", text(&device.join("vendor")), text(&device.join("model"))).trim().to_owned()
}

fn partitions(disk: &Path) -> Vec<Lost> {
    let entries = fs::read_dir(disk).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|path| Some((text(&path.join("partition")).parse().ok()?, path))).collect();
    found.sort();
    let lost = |(_, path): (u32, PathBuf)| {
        let uevent = text(&path.join("uevent"));
        let label = uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Lost { name, label: label.to_owned(), bytes: size(&path) }
    };
    found.into_iter().map(lost).collect()
}

fn size(device: &Path) -> u64 {
    text(&device.join("size")).parse::<u64>().unwrap_or_default().saturating_mul(COUNTED_BYTES)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temporary folder");
        for (path, content) in files {
            let path = dir.path().join("devices").join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            fs::write(path, content).expect("writes");
        }
        let class = dir.path().join("class/block");
        fs::create_dir_all(&class).expect("makes");
        for (name, at) in
            [("sda", "x/sda"), ("sda1", "x/sda/sda1"), ("sda12", "x/sda/sda12"), ("sdb", "x/sdb"), ("loop0", "loop0")]
        {
            symlink(format!("../../devices/{at}"), class.join(name)).expect("links");
        }
        dir
    }

    fn disk(sectors: &str, read_only: &str, sector: &str) -> tempfile::TempDir {
        machine(&[
            ("x/sda/size", sectors),
            ("x/sda/ro", read_only),
            ("x/sda/queue/logical_block_size", sector),
            ("x/sda/device/vendor", "ATA     \n"),
            ("x/sda/device/model", "QEMU HARDDISK   \n"),
            ("x/sda/sda12/partition", "12\n"),
            ("x/sda/sda12/size", "4\n"),
            ("x/sda/sda1/partition", "1\n"),
            ("x/sda/sda1/size", "2048\n"),
            ("x/sda/sda1/uevent", "DEVTYPE=partition\nPARTNAME=EFI system\n"),
            ("loop0/size", "8000000\n"),
        ])
    }

    #[test]
    fn a_disk_says_what_would_be_lost() {
        let sys = disk("8000000\n", "0\n", "512\n");
        let it = look(sys.path(), "/dev/sda", "sdb").expect("may be written");
        assert_eq!((it.name.as_str(), it.model.as_str(), it.bytes), ("sda", "ATA QEMU HARDDISK", 4_096_000_000));
        let first = Lost { name: "sda1".into(), label: "EFI system".into(), bytes: 1 << 20 };
        assert_eq!(it.lost, [first, Lost { name: "sda12".into(), label: String::new(), bytes: 2048 }]);
    }

    #[test]
    fn the_disk_that_runs_is_known_by_another_name() {
        let two = |files: &[(&str, &str)]| {
            let sys = disk("8000000\n", "0\n", "512\n");
            for (path, content) in
                [("x/sdb/size", "8000000\n"), ("x/sdb/device/model", "ATA QEMU HARDDISK\n")].iter().chain(files)
            {
                let path = sys.path().join("devices").join(path);
                fs::create_dir_all(path.parent().expect("has one")).expect("makes");
                fs::write(path, content).expect("writes");
            }
            look(sys.path(), "sda", "sdb").map_err(|error| error.to_string())
        };
        let refused = "sda: is sdb under another name, this box runs from it";
        let wwid = |name| format!("x/{name}/device/wwid");
        let (a, b) = (wwid("sda"), wwid("sdb"));
        assert_eq!(two(&[(&a, "naa.5000c5\n"), (&b, "naa.5000c5\n")]).unwrap_err(), refused);
        assert!(two(&[(&a, "naa.5000c5\n"), (&b, "naa.5000c6\n")]).is_ok());
        assert!(two(&[(&a, "naa.5000c5\n")]).is_ok());
        assert!(two(&[(&a, "\n"), (&b, "\n")]).is_ok(), "neither says anything");
        let (a, b) = ("x/sda/serial", "x/sdb/device/serial");
        assert_eq!(two(&[(a, "S1\n"), (b, "S1\n")]).unwrap_err(), refused);
        assert!(two(&[(a, "S1\n"), (b, "S2\n")]).is_ok());
        assert!(two(&[(a, "S1\n"), (b, "S1\n"), ("x/sdb/size", "8000001\n")]).is_ok(), "of another size");
    }

    #[test]
    fn another_disk_of_the_same_name_is_another() {
        let sys = disk("8000000\n", "0\n", "512\n");
        let number = sys.path().join("devices/x/sda/diskseq");
        fs::write(&number, "3\n").expect("writes");
        let asked = look(sys.path(), "sda", "sdb").expect("may be written").identity;
        fs::create_dir_all(sys.path().join("dev/block")).expect("makes");
        symlink("../../devices/x/sda", sys.path().join("dev/block/8:0")).expect("links");
        let opened = || identity_of(sys.path(), nix::sys::stat::makedev(8, 0));
        assert_eq!(opened(), asked);
        fs::write(&number, "4\n").expect("writes");
        assert_ne!(opened(), asked);
    }

    #[test]
    fn a_disk_that_must_not_be_written_is_refused_by_name() {
        let why = |sys: &tempfile::TempDir, name: &str, running: &str| {
            look(sys.path(), name, running).expect_err("refused").to_string()
        };
        let good = disk("8000000\n", "0\n", "512\n");
        assert_eq!(why(&good, "sda", "sda"), "sda: this box runs from it");
        assert_eq!(why(&good, "sda1", "sdb"), "sda1: is a partition, use its disk: sda");
        for name in ["sdz", "", "../block/sda", "..", "loop0", "/dev/", "sda/"] {
            assert!(why(&good, name, "sdb").ends_with("there is no such disk, see: show inventory"), "{name}");
        }
        assert_eq!(why(&disk("700000\n", "0\n", "512\n"), "sda", "sdb"), "sda: has 358 MB, 406 MB are needed");
        assert_eq!(why(&disk("0\n", "0\n", "512\n"), "sda", "sdb"), "sda: there is no medium in it");
        assert_eq!(why(&disk("8000000\n", "1\n", "512\n"), "sda", "sdb"), "sda: is write-protected");
        let large = why(&disk("8000000\n", "0\n", "4096\n"), "sda", "sdb");
        assert_eq!(large, "sda: has sectors of 4096 bytes, 512 are needed");
    }
}
