//! What the pages for operators say works: every block marked `yoke` is a whole configuration, every line of a block marked `exec` a command.

use std::path::Path;

use yoke_config::model::{Config, Privilege};
use yoke_config::tree::load;
use yoke_config::walk::{Meaning, Position, interpret};

/// Texts of the fenced blocks of one kind in all pages, each with the place to look at.
fn blocks(kind: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")).expect("the pages are there") {
        let path = file.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let mut open: Option<(String, String)> = None;
        for (number, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(name)) if name == kind => {
                    open = Some((format!("{}:{}", path.display(), number + 1), String::new()))
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some((_, block)), None) => *block += &format!("{line}\n"),
                (None, _) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", path.display());
    }
    found
}

#[test]
fn every_configuration_loads_and_says_nothing() {
    let blocks = blocks("yoke");
    assert!(blocks.len() >= 7);
    for (place, text) in blocks {
        let (tree, rejected) = load(&text);
        assert!(rejected.is_empty(), "{place}: {rejected:?}");
        match Config::try_from(&tree) {
            Ok(config) => assert_eq!(config.warnings, Vec::<String>::new(), "{place}"),
            Err(problems) => panic!("{place}: {problems:?}"),
        }
    }
}

#[test]
fn every_command_is_one() {
    let blocks = blocks("exec");
    assert!(blocks.len() >= 4);
    for (place, text) in blocks {
        for line in text.lines() {
            let meaning = interpret(&Position::Exec(Privilege::Admin), line);
            assert!(matches!(meaning, Ok(Meaning::Run { .. })), "{place}: `{line}`: {meaning:?}");
        }
    }
}
