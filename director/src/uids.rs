//! Which user id belongs to which name, for good: `/flash/uids`, a line `NAME UID` each.
//!
//! An id is never given to a second name, not even after its user is gone: a process or a file of the old one would become the new one's.
//! Pure but for [`Uids::load`] and [`Uids::save`].

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::files::{self, Medium};

/// The first id given out; below are root and what a distribution reserves.
const FIRST: u32 = 1001;
/// The last: above, 65534 is `nobody` and 65535 means "no id" to 16-bit interfaces.
const LAST: u32 = 60_000;

/// Names and their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Uids(BTreeMap<String, u32>);

impl Uids {
    /// Reads the file; lines that mean nothing are dropped. A missing file is an empty table.
    pub(crate) fn load(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut uids = Self::default();
        for line in text.lines() {
            let Some((name, uid)) = line.split_once(' ') else { continue };
            let Ok(uid) = uid.parse() else { continue };
            // Two names with one id would be one user: the first line wins.
            if (FIRST..=LAST).contains(&uid) && !uids.0.values().any(|&u| u == uid) {
                uids.0.entry(name.to_owned()).or_insert(uid);
            }
        }
        uids
    }

    fn print(&self) -> String {
        self.0.iter().map(|(name, uid)| format!("{name} {uid}\n")).collect()
    }

    /// Writes the file, if it does not say so already.
    ///
    /// # Errors
    /// Those of the file system: ids of new users may differ after the next boot.
    pub(crate) fn save(&self, path: &Path, medium: Medium) -> io::Result<bool> {
        if self.0.is_empty() && !path.exists() {
            return Ok(false);
        }
        files::replace(path, self.print().as_bytes(), 0o600, medium)
    }

    /// The id of `name`, a new one if it has none; `None` when all are given out.
    pub(crate) fn assign(&mut self, name: &str) -> Option<u32> {
        if let Some(&uid) = self.0.get(name) {
            return Some(uid);
        }
        let next = self.0.values().max().map_or(FIRST, |uid| uid + 1);
        (next <= LAST).then(|| *self.0.entry(name.to_owned()).or_insert(next))
    }

    /// The id of `name`.
    pub(crate) fn uid(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    /// Whose id it is. The user may be gone from the configuration.
    pub(crate) fn name(&self, uid: u32) -> Option<&str> {
        self.0.iter().find(|&(_, &u)| u == uid).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_given_twice() {
        let mut uids = Uids::default();
        assert_eq!(uids.assign("admin"), Some(1001));
        assert_eq!(uids.assign("noc"), Some(1002));
        assert_eq!(uids.assign("admin"), Some(1001));
        assert_eq!(uids.name(1002), Some("noc"));
        assert_eq!(uids.name(0), None);
        let mut again = Uids::parse(&uids.print());
        assert_eq!(again, uids);
        assert_eq!(again.assign("ana"), Some(1003));
    }

    #[test]
    fn a_damaged_file_gives_nobody_roots_id_and_no_two_the_same() {
        let uids = Uids::parse("root 0\nx\n\na 1001\nb 1001\nc -1\nd 99999999999\n");
        assert_eq!(uids.print(), "a 1001\n");
    }

    #[test]
    fn ids_run_out() {
        let mut uids = Uids::parse("a 60000\n");
        assert_eq!(uids.assign("b"), None);
    }

    #[test]
    fn the_file_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("uids");
        assert_eq!(Uids::load(&path), Uids::default());
        let mut uids = Uids::default();
        assert!(!uids.save(&path, Medium::Flash).unwrap(), "nobody is not worth a file");
        uids.assign("admin");
        assert!(uids.save(&path, Medium::Flash).unwrap());
        assert!(!uids.save(&path, Medium::Flash).unwrap());
        assert_eq!(Uids::load(&path), uids);
    }
}
