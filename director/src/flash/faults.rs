//! What is wrong with the flash now, by what the kernel says of it. The disk itself is not asked, and so cannot hold up who wants to know. What was
//! wrong when the box started is init's to say.

use nix::sys::statvfs::statvfs;

use crate::files::Paths;

/// Free bytes below which the flash counts as full: a large configuration twice, as revision and as startup-config.
const ROOM_MIN: u64 = 512 << 10;

/// A sentence each.
pub(crate) fn warnings(paths: &Paths) -> Vec<String> {
    let Some((device, options)) = paths.flash_mount() else { return Vec::new() };
    // Since 6.12 Linux goes on saying "rw" of what it lets nobody write to any more.
    let failed = yoke_init::flash::errors(&paths.sys, &device) > 0 || options.split(',').any(|option| option == "ro");
    let failed = failed.then(|| {
        format!(
            "flash: {device} has failed and takes nothing more, what was saved is kept; reload repairs it, and if it comes again this box can \
             be put on another disk: install disk"
        )
    });
    let full = statvfs(&paths.flash).is_ok_and(|room| room.blocks_available() * room.fragment_size() < ROOM_MIN);
    let full = full.then(|| "flash: is full, see show flash:; to keep fewer revisions use: archive maximum".to_owned());
    failed.into_iter().chain(full).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_flash_that_failed_is_told_of_until_it_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let mut paths = Paths::system();
        (paths.proc, paths.sys) = (dir.path().join("proc"), dir.path().join("sys"));
        // Of this machine, with room.
        paths.flash = dir.path().to_owned();
        fs::create_dir_all(paths.proc.join("self")).unwrap();
        fs::create_dir_all(paths.sys.join("fs/ext4/vda5")).unwrap();
        let say = |kind: &str, options: &str, errors: &str| {
            let line = format!("/dev/vda5 {} {kind} {options} 0 0\n", paths.flash.display());
            fs::write(paths.proc.join("self/mounts"), line).unwrap();
            fs::write(paths.sys.join("fs/ext4/vda5/errors_count"), errors).unwrap();
            warnings(&paths).join(" ")
        };
        assert_eq!(say("ext4", "rw,errors=remount-ro", "0\n"), "");
        assert!(say("ext4", "rw,errors=remount-ro", "1\n").starts_with("flash: /dev/vda5 has failed"));
        assert!(say("ext4", "ro,errors=remount-ro", "0\n").contains("reload repairs it"));
        assert_eq!(say("tmpfs", "ro", "0\n"), "", "that it does not mount is told by init");
    }
}
