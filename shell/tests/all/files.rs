//! The folders of test files, and the check that none of them is forgotten. What a file says is its reader's business.

use std::path::{Path, PathBuf};

/// A folder below `shell/tests`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Fails unless `known` are just the files of a folder, without their extensions.
pub(crate) fn assert_all_known(name: &str, known: &[&str]) {
    let mut files: Vec<String> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut known = known.to_vec();
    known.sort_unstable();
    assert_eq!(files, known);
}
