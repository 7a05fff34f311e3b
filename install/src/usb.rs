//! `usb:FILE`: the file on the one USB stick that has it, in a FAT32 on a partition or on the whole stick; on several, nobody says which is meant.
//! The disk that runs is left out, since a box may run from a stick. What is read and how is [`crate::fat`]'s.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::fat::Fat;
use crate::fetch::Source;

/// How such a source begins.
pub const PREFIX: &str = "usb:";

/// Opens the file `name`. `sys` is `/sys`, `running` the disk that is left out.
///
/// # Errors
/// No stick has it, and each that was looked at says why; or several have.
pub fn open(sys: &Path, name: &str, running: &str) -> Result<Source> {
    only(devices(sys, running).into_iter().map(|device| {
        let source = file(&Path::new("/dev").join(&device), name);
        (device, source)
    }))
}

/// What the one has that has it.
fn only<T>(looked_at: impl Iterator<Item = (String, Result<T>)>) -> Result<T> {
    let (mut have, mut said) = (Vec::new(), Vec::new());
    for (device, source) in looked_at {
        match source {
            Ok(source) => have.push((device, source)),
            Err(error) => said.push(format!("{device} {error:#}")),
        }
    }
    match (have.len(), have.pop()) {
        (1, Some((_, source))) => Ok(source),
        (0, _) if said.is_empty() => bail!("there is no USB stick in this box"),
        (0, _) => bail!("no USB stick has it in a FAT32: {}", said.join("; ")),
        (_, last) => {
            let names: Vec<String> = have.into_iter().chain(last).map(|(device, _)| device).collect();
            bail!("is on several, leave one of them in the box: {}", names.join(", "))
        }
    }
}

fn file(device: &Path, name: &str) -> Result<Source> {
    let fat = Fat::open(Box::new(File::open(device).context("cannot be read")?))?;
    let file = fat.file(name)?;
    Ok(Source { length: Some(u64::from(file.size)), bytes: Box::new(fat.read(file)) })
}

/// Disks on USB and their partitions, in the order of names.
fn devices(sys: &Path, running: &str) -> Vec<String> {
    let entries = fs::read_dir(sys.join("class/block")).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let path = fs::canonicalize(entry.path()).ok()?;
            let on_usb = path.iter().any(|part| part.to_string_lossy().starts_with("usb"));
            let runs = path.iter().any(|part| part == running);
            (on_usb && !runs).then(|| entry.file_name().into_string().ok()).flatten()
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn sticks_are_told_from_other_disks() {
        let sys = tempfile::tempdir().expect("temporary folder");
        let class = sys.path().join("class/block");
        fs::create_dir_all(&class).expect("makes");
        let pci = "devices/pci0000:00/0000:00:04.0";
        for at in [
            format!("{pci}/ata1/host0/block/sda/sda1"),
            format!("{pci}/usb2/2-1/2-1:1.0/host3/block/sdb/sdb1"),
            format!("{pci}/usb2/2-2/2-2:1.0/host4/block/sdc/sdc1"),
        ] {
            let path = sys.path().join(at);
            fs::create_dir_all(&path).expect("makes");
            for device in [path.as_path(), path.parent().expect("a disk")] {
                symlink(device, class.join(device.file_name().expect("a name"))).expect("links");
            }
        }
        assert_eq!(devices(sys.path(), "sdc"), ["sdb", "sdb1"]);
        assert_eq!(devices(sys.path(), "sda"), ["sdb", "sdb1", "sdc", "sdc1"]);
        let none = open(Path::new("/nonexistent"), "x", "sda").err().expect("refused").to_string();
        assert_eq!(none, "there is no USB stick in this box");
    }

    #[test]
    fn the_one_stick_that_has_it_is_read_and_of_several_none() {
        let has = |device: &str| (device.to_owned(), Ok(device.to_owned()));
        let lacks = |device: &str| (device.to_owned(), Err(anyhow::anyhow!("has no x")));
        let said = |found: Vec<_>| only(found.into_iter()).map_err(|error| error.to_string());
        assert_eq!(said(vec![lacks("sda"), has("sda1"), lacks("sdb1")]).unwrap(), "sda1");
        assert_eq!(
            said(vec![has("sda1"), lacks("sdb"), has("sdc1")]).unwrap_err(),
            "is on several, leave one of them in the box: sda1, sdc1"
        );
        assert_eq!(
            said(vec![lacks("sda"), lacks("sdb1")]).unwrap_err(),
            "no USB stick has it in a FAT32: sda has no x; sdb1 has no x"
        );
    }
}
