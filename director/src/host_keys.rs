//! SSH host keys: `director host-keys DIRECTORY` makes those that are missing, before init starts an SSH server.
//!
//! A process of its own, because a key needs randomness, and a machine that has just been switched on may have none for minutes. dropbearkey
//! makes the keys; a key that exists is never touched.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// The word after the program's name.
pub(crate) const COMMAND: &str = "host-keys";
/// Key types and the file of each. Both are made in milliseconds, and every client since 2014 knows one of them.
pub(crate) const KEYS: [(&str, &str); 2] =
    [("ed25519", "dropbear_ed25519_host_key"), ("ecdsa", "dropbear_ecdsa_host_key")];

/// Makes what is missing in `directory`.
///
/// # Errors
/// What the file system or dropbearkey said.
pub(crate) fn make(program: &Path, directory: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| directory.display().to_string())?;
    for (kind, file) in KEYS {
        let path = directory.join(file);
        if path.exists() {
            continue;
        }
        // It writes and syncs a temporary file, then links it into place.
        let output = Command::new(program).env_clear().args(["-t", kind, "-f"]).arg(&path).output();
        let output = output.with_context(|| program.display().to_string())?;
        // Another server's start may have made the same key meanwhile.
        if !output.status.success() && !path.exists() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("host key {kind}: {}", said.lines().next_back().unwrap_or("failed without a word").trim());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::program;

    #[test]
    fn missing_keys_are_made_and_others_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (made, keys) = (dir.path().join("dropbearkey"), dir.path().join("flash/ssh"));
        program(&made, "echo \"$1 $2\" > \"$4\"");
        make(&made, &keys).unwrap();
        assert_eq!(fs::read_to_string(keys.join("dropbear_ecdsa_host_key")).unwrap(), "-t ecdsa\n");
        fs::write(keys.join("dropbear_ecdsa_host_key"), "old").unwrap();
        fs::remove_file(keys.join("dropbear_ed25519_host_key")).unwrap();
        make(&made, &keys).unwrap();
        assert_eq!(fs::read_to_string(keys.join("dropbear_ecdsa_host_key")).unwrap(), "old");
        assert_eq!(fs::read_to_string(keys.join("dropbear_ed25519_host_key")).unwrap(), "-t ed25519\n");
    }

    #[test]
    fn a_failure_says_what_dropbearkey_said() {
        let dir = tempfile::tempdir().unwrap();
        let bad = dir.path().join("dropbearkey");
        program(&bad, "echo Generating; echo 'No space left' >&2; exit 1");
        let error = make(&bad, &dir.path().join("ssh")).unwrap_err();
        assert_eq!(error.to_string(), "host key ed25519: No space left");
    }
}
