//! docs/vrrp.md is held to the code: what it names exists, and every receive check and deadline it should name is named.
#![expect(clippy::unwrap_used, reason = "a page that cannot be read fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vrrp::Discard;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vrrp.md")).unwrap()
}

/// Every source file below `vrrp`, by the names it goes by in the page: its stem, and for `x/tests.rs` also `x`.
fn sources() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join("src"), root.join("tests")];
    let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.entry(name(&path)).or_default().push(fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

fn name(path: &Path) -> String {
    let named_by = if path.ends_with("tests.rs") { path.parent().map(Path::to_path_buf) } else { Some(path.into()) };
    let stem = named_by.as_ref().and_then(|path: &PathBuf| path.file_stem());
    stem.unwrap().to_str().unwrap().to_owned()
}

/// The `file::name` in backticks of one line or cell.
fn citations(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::")).collect()
}

/// True when a file called `file` defines a function `name`; as a test, if it has to be one.
fn defines(sources: &BTreeMap<String, Vec<String>>, file: &str, name: &str, as_test: bool) -> bool {
    let definition = format!("fn {name}");
    sources.get(file).is_some_and(|texts| {
        texts.iter().any(|text| {
            text.match_indices(&definition).any(|(at, _)| {
                let (before, behind) = (text[..at].trim_end(), &text[at + definition.len()..]);
                behind.starts_with(['(', '<']) && (!as_test || before.ends_with("#[test]"))
            })
        })
    })
}

#[test]
fn every_function_and_test_that_is_named_exists() {
    let (page, sources) = (page(), sources());
    let mut cited = 0;
    for line in page.lines() {
        // In tables the last cell holds tests; in prose everything named is a test.
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        for (index, cell) in cells.iter().enumerate() {
            let as_test = index + 1 == cells.len();
            for (file, name) in citations(cell) {
                assert!(defines(&sources, file, name, as_test), "docs/vrrp.md names {file}::{name}");
                cited += 1;
            }
        }
    }
    assert!(cited > 100, "the page was read: {cited}");
}

/// Every clause of the two state machines and of the receive checks has a row with a function and a test.
#[test]
fn every_clause_has_a_row() {
    let page = page();
    let clauses =
        ["§5.2.4", "§5.2.5", "§5.2.6", "§5.2.8", "§5.2.9", "§6.1", "§6.4.1", "§6.4.2", "§6.4.3", "§7.1", "§7.3"];
    for clause in clauses {
        let row = |line: &&str| line.starts_with("| 9568") && line.contains(clause) && citations(line).len() >= 2;
        assert!(page.lines().any(|line| row(&line)), "docs/vrrp.md has no row for {clause}");
    }
    for erratum in ["7947", "7949", "8298", "8299", "8300", "8301"] {
        assert!(page.contains(erratum), "docs/vrrp.md does not mention erratum {erratum}");
    }
}

/// The reasons to discard are distinct words, for `show vrrp`.
#[test]
fn reasons_to_discard_have_words_of_their_own() {
    let mut words: Vec<_> = Discard::ALL.iter().map(ToString::to_string).collect();
    words.sort();
    words.dedup();
    assert_eq!(words.len(), Discard::ALL.len());
}
