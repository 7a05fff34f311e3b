//! Configurations as files: `tests/configs/*.cfg` and what becomes of them in `*.out`; `tests/configs/rules.txt`, small
//! ones with what is wrong in each. `UPDATE=1` writes the expectations anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use yoke_config::model::Config;
use yoke_config::tree::load;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs")
}

/// Compares with a file, or writes it.
fn hold(path: &Path, got: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, got).expect("tests can be updated");
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(got, expected, "{}", path.display());
}

/// Problems as `% Error: `, warnings as `% Warning: `, lost lines as `% Rejected: `.
fn findings(text: &str) -> String {
    let (tree, rejected) = load(text);
    let mut out = String::new();
    for lost in rejected {
        writeln!(out, "% Rejected: {lost}").expect("a String");
    }
    match Config::try_from(&tree) {
        Ok(config) => config.warnings.iter().for_each(|text| out += &format!("% Warning: {text}\n")),
        Err(problems) => problems.iter().for_each(|problem| out += &format!("% Error: {problem}\n")),
    }
    out
}

#[test]
fn configurations() {
    let mut seen = 0;
    for file in std::fs::read_dir(folder()).expect("the folder is there") {
        let path = file.expect("an entry").path();
        if path.extension().is_some_and(|ext| ext == "cfg") {
            let text = std::fs::read_to_string(&path).expect("a text");
            let (tree, _) = load(&text);
            let printed = tree.print();
            let (again, rejected) = load(&printed);
            assert!(
                rejected.is_empty() && again == tree && again.print() == printed,
                "{}: no fixed point",
                path.display()
            );
            hold(&path.with_extension("out"), &format!("{printed}{}", findings(&text)));
            seen += 1;
        }
    }
    assert!(seen >= 5);
}

/// Paragraphs: a configuration, then what is said about it, each line with a leading `%`.
#[test]
fn rules() {
    let path = folder().join("rules.txt");
    let text = std::fs::read_to_string(&path).expect("the rules are there");
    let mut got = String::new();
    for case in text.split("\n\n") {
        let lines: String =
            case.lines().filter(|line| !line.starts_with('%')).map(|line| format!("{line}\n")).collect();
        got += &format!("{lines}{}\n", findings(&lines));
    }
    hold(&path, &format!("{}\n", got.trim_end()));
}
