//! Where the director's files are, and how one is replaced so that a reader never sees half of it.
//!
//! Everything the daemon touches outside its own memory hangs off [`Paths`]: a test gives it a temporary directory and runs unprivileged.
//! What the files say is decided elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Roots of everything outside the process.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// `/run/yoke`.
    pub(crate) run: PathBuf,
    /// `/flash`, the one place that survives a power cut.
    pub(crate) flash: PathBuf,
    /// `/proc`.
    pub(crate) proc: PathBuf,
    /// `/sys`.
    pub(crate) sys: PathBuf,
    /// The nft program.
    pub(crate) nft: PathBuf,
    /// The busybox program, for its arping.
    pub(crate) busybox: PathBuf,
    /// The chronyc program.
    pub(crate) chronyc: PathBuf,
    /// The dropbearkey program.
    pub(crate) dropbearkey: PathBuf,
    /// The one-shot that writes slots.
    pub(crate) install: PathBuf,
}

impl Paths {
    /// Those of the box.
    pub(crate) fn system() -> Self {
        Self {
            run: "/run/yoke".into(),
            flash: "/flash".into(),
            proc: "/proc".into(),
            sys: "/sys".into(),
            nft: "/usr/sbin/nft".into(),
            busybox: "/usr/bin/busybox".into(),
            chronyc: "/usr/bin/chronyc".into(),
            dropbearkey: "/usr/bin/dropbearkey".into(),
            install: "/usr/sbin/install".into(),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.run.join("director.sock")
    }

    pub(crate) fn init_socket(&self) -> PathBuf {
        self.run.join("init.sock")
    }

    pub(crate) fn vrrpd_socket(&self) -> PathBuf {
        self.run.join("vrrpd.sock")
    }

    pub(crate) fn running_config(&self) -> PathBuf {
        self.run.join("running-config")
    }

    /// What a director that is started again has to know beside the configuration.
    pub(crate) fn state(&self) -> PathBuf {
        self.run.join("director.json")
    }

    /// What is known of real servers.
    pub(crate) fn health(&self) -> PathBuf {
        self.run.join("health.json")
    }

    pub(crate) fn services(&self) -> PathBuf {
        self.run.join("services.json")
    }

    /// Module parameters, `yoke_init`'s `modprobe::OPTIONS_FILE`.
    pub(crate) fn module_options(&self) -> PathBuf {
        self.run.join("modprobe.conf")
    }

    /// Which card has which name, `yoke_init`'s `nics::Known`.
    pub(crate) fn cards(&self) -> PathBuf {
        self.run.join("cards")
    }

    pub(crate) fn etc(&self) -> PathBuf {
        self.run.join("etc")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.run.join("home")
    }

    pub(crate) fn run_uids(&self) -> PathBuf {
        self.run.join("uids")
    }

    pub(crate) fn uids(&self) -> PathBuf {
        self.flash.join("uids")
    }

    /// Host keys; without a flash they live as long as the box is up.
    pub(crate) fn host_keys(&self) -> PathBuf {
        if self.flash_is_mounted() { self.flash.join("ssh") } else { self.run.join("ssh") }
    }

    /// Whether `/flash` is a partition: not the empty directory below it, and not the memory that init mounts there when the partition is
    /// broken.
    pub(crate) fn flash_is_mounted(&self) -> bool {
        self.flash_mount().is_some()
    }

    /// The device of that partition, and the options it is mounted with.
    pub(crate) fn flash_mount(&self) -> Option<(String, String)> {
        let mounts = fs::read_to_string(self.proc.join("self/mounts")).unwrap_or_default();
        mounts.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [device, at, kind, ref more @ ..] if Path::new(at) == self.flash && kind != "tmpfs" => {
                    Some((device.to_owned(), more.first().copied().unwrap_or_default().to_owned()))
                }
                _ => None,
            }
        })
    }
}

/// Whether a file has to be on the medium, or in memory only, before it takes the place of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// A tmpfs: gone at a power cut anyway.
    Memory,
    /// Flash: synced, and its directory too.
    Flash,
}

/// Gives `path` the content `bytes` and the permission bits `mode` in one step. A file that says the same already is left alone.
///
/// # Errors
/// Those of the file system; the old file is whole then.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32, medium: Medium) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // A leftover of a run that was killed may have other permission bits, which `open` would keep.
    if let Err(e) = fs::remove_file(&new)
        && e.kind() != io::ErrorKind::NotFound
    {
        return Err(e);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    if medium == Medium::Flash {
        file.sync_all()?;
    }
    drop(file);
    fs::rename(&new, path)?;
    if medium == Medium::Flash
        && let Some(directory) = path.parent()
    {
        File::open(directory)?.sync_all()?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_only_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shadow");
        fs::write(dir.path().join("shadow.new"), "left by a killed run").unwrap();
        assert!(replace(&path, b"a", 0o600, Medium::Memory).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!replace(&path, b"a", 0o600, Medium::Memory).unwrap());
        assert!(replace(&path, b"b", 0o600, Medium::Flash).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"b");
        assert!(!dir.path().join("shadow.new").exists());
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(replace(&dir.path().join("no/file"), b"", 0o644, Medium::Memory).is_err());
    }
}
