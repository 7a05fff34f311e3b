//! Laying down files with exact modes, whatever the builder's umask is. Owners are not set here: mksquashfs and the cpio writer
//! make everything root's.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Removes `path` and everything below it; nothing there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("{}: cannot be removed", path.display()))
}

/// An empty directory at `path`.
pub(crate) fn fresh_dir(path: &Path) -> Result<()> {
    remove(path)?;
    make_dir(path)
}

/// A directory of mode 0755, and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    fs::create_dir(path).with_context(|| format!("{}: cannot be created", path.display()))?;
    set_mode(path, 0o755)
}

/// Sets the mode; the owner's s-bits can only be lost by it.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(|| format!("{}: chmod", path.display()))
}

/// A new file with this content and mode.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    // A hard link to the base must not be written through.
    remove(path)?;
    fs::write(path, content).with_context(|| format!("{}: cannot be written", path.display()))?;
    set_mode(path, mode)
}

/// A copy, symbolic links followed; executable when the original is.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        make_dir(parent)?;
    }
    remove(to)?;
    fs::copy(from, to).with_context(|| format!("{}: cannot be copied to {}", from.display(), to.display()))?;
    let executable = fs::metadata(from)?.permissions().mode() & 0o111 != 0;
    set_mode(to, if executable { 0o755 } else { 0o644 })
}

/// A symbolic link at `path` that says `target`.
pub(crate) fn link(target: &str, path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    remove(path)?;
    symlink(target, path).with_context(|| format!("{}: cannot be linked", path.display()))
}

/// Copies a tree; symbolic links stay links. With `hard` a file is the same inode in both trees, which costs no time and obliges
/// the caller to replace files and never to write into them.
pub(crate) fn copy_tree(from: &Path, to: &Path, hard: bool) -> Result<()> {
    make_dir(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("{}: cannot be read", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target, hard)?;
        } else if kind.is_symlink() {
            remove(&target)?;
            symlink(fs::read_link(&source)?, &target).with_context(|| format!("{}", target.display()))?;
        } else if hard {
            remove(&target)?;
            fs::hard_link(&source, &target).with_context(|| format!("{}", target.display()))?;
        } else {
            copy(&source, &target)?;
        }
    }
    Ok(())
}
