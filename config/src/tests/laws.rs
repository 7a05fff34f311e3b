//! The laws of trees, as properties.

use proptest::prelude::*;

use super::generate::{Choices, text, tree};
use crate::grammar::{CONTROL, Node, nodes_at, nodes_of};
use crate::model::{Config, Privilege};
use crate::tree::{Edit, Entry, Key, Tree, load, merge, parse_edits};
use crate::value::{Value, parse};
use crate::walk::{Meaning, Position, interpret, next, pipe};

fn apply(tree: &Tree, lines: &[String]) -> Tree {
    let mut tree = tree.clone();
    let edits = parse_edits(lines).expect("the lines are commands");
    tree.edit_all(&edits);
    tree
}

fn flat(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim_start_matches(' ').to_owned()).filter(|line| !line.starts_with('!')).collect()
}

/// Every line of a tree with the blocks it stands in.
fn lines(tree: &Tree) -> Vec<(Vec<Key>, &Key, &Entry)> {
    fn visit<'t>(path: &[Key], tree: &'t Tree, found: &mut Vec<(Vec<Key>, &'t Key, &'t Entry)>) {
        for (key, entry) in tree.lines() {
            found.push((path.to_vec(), key, entry));
            visit(&[path, std::slice::from_ref(key)].concat(), entry.below(), found);
        }
    }
    let mut found = Vec::new();
    visit(&[], tree, &mut found);
    found
}

/// The position inside the blocks of a path.
fn position(path: &[Key]) -> Position {
    path.iter().fold(Position::CONFIG, |position, key| {
        let meaning = interpret(&position, &key.to_string()).expect("a header is a line");
        position.after(&meaning)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_loads_as_it_was(tree in tree()) {
        let printed = tree.print();
        let (again, rejected) = load(&printed);
        prop_assert_eq!(rejected, []);
        prop_assert_eq!(&again, &tree);
        prop_assert_eq!(again.print(), printed);
        // Comments are comments.
        let (again, rejected) = load(&tree.print_all());
        prop_assert_eq!(rejected, []);
        prop_assert_eq!(&again, &tree);
    }

    #[test]
    fn order_of_input_is_forgotten(text in text()) {
        // Global lines first, then blocks: one tree, unless a later line replaces an earlier one.
        let (tree, _) = load(&text);
        let printed = tree.print();
        let mut blocks: Vec<&str> = printed.split("!\n").collect();
        blocks.reverse();
        prop_assert_eq!(load(&blocks.join("!\n")).0, tree);
    }

    #[test]
    fn a_flat_paste_is_the_same(tree in tree()) {
        let lines = flat(&tree.print());
        prop_assert_eq!(apply(&Tree::default(), &lines), tree.clone());
        let (loaded, rejected) = load(&lines.join("\n"));
        prop_assert_eq!(rejected, []);
        prop_assert_eq!(loaded, tree);
    }

    #[test]
    fn a_diff_leads_there(a in tree(), b in tree()) {
        let diff = a.diff(&b);
        prop_assert_eq!(apply(&a, &diff), b.clone(), "{:#?}", diff);
        prop_assert_eq!(apply(&a, &flat(&diff.join("\n"))), b, "{:#?}", diff);
        prop_assert_eq!(a.diff(&a), Vec::<String>::new());
        // What one is told to remove is there.
        let edits = parse_edits(&diff).expect("the lines are commands");
        prop_assert_eq!(a.clone().edit_all(&edits), Vec::<&Edit>::new());
    }

    #[test]
    fn no_of_every_line_empties_the_tree(tree in tree()) {
        let mut left = tree.clone();
        for (path, key, entry) in lines(&tree).into_iter().rev() {
            let line = Edit { path: vec![], negate: false, is_default: false, key: key.clone(), values: entry.values().to_vec() };
            let Ok(Meaning::Edit { edit, leave, .. }) = interpret(&position(&path), &format!("no {line}")) else {
                return Err(TestCaseError::fail(format!("no {line}")));
            };
            prop_assert_eq!(leave, 0);
            prop_assert!(left.edit(&edit), "no {} removes nothing", line);
            prop_assert!(!left.edit(&edit), "no {} removes twice", line);
        }
        prop_assert_eq!(left, Tree::default());
    }

    #[test]
    fn abbreviations_mean_the_same(tree in tree(), numbers in prop::collection::vec(any::<u32>(), 200)) {
        let mut choices = Choices::new(numbers);
        for (path, key, entry) in lines(&tree) {
            let position = position(&path);
            let block = nodes_at(&path).expect("the path is of the trie");
            let nodes = nodes_of(block, key, entry.values()).expect("the line is of the trie");
            let mut level: Vec<&'static Node> = block.iter().chain(CONTROL).collect();
            let mut words = Vec::new();
            for (node, value) in nodes.iter().zip(key.words().chain(entry.values())) {
                words.push(abbreviate(&level, node, value, &mut choices));
                level = node.next.iter().collect();
            }
            let line = words.join(" ");
            let Ok(Meaning::Edit { edit, leave: 0, .. }) = interpret(&position, &line) else {
                return Err(TestCaseError::fail(format!("{line}: not understood")));
            };
            prop_assert_eq!((&edit.path, &edit.key, edit.values.as_slice()), (&path, key, entry.values()), "{}", line);
        }
    }

    #[test]
    fn a_typed_tree_never_breaks_the_conversion(tree in tree()) {
        match Config::try_from(&tree) {
            Ok(_) => {}
            Err(problems) => for problem in problems {
                prop_assert!(!problem.0.contains("fault of the firmware"), "{}", problem);
            }
        }
    }

    #[test]
    fn sections_and_json_hold_every_line(tree in tree()) {
        let json = tree.to_json();
        for (key, _) in tree.lines() {
            let section = tree.section(&key.to_string()).expect("the line is there");
            prop_assert!(tree.print().contains(&section));
        }
        prop_assert_eq!(json.as_object().is_none_or(serde_json::Map::is_empty), tree.is_empty());
    }

    #[test]
    fn sanitized_text_holds_no_secret(tree in tree()) {
        let text = tree.print_sanitized();
        prop_assert!(!text.contains("$6$"));
        prop_assert_eq!(text.lines().count(), tree.print().lines().count());
        for (path, key, entry) in lines(&tree) {
            let edit = Edit { path, negate: false, is_default: false, key: key.clone(), values: entry.values().to_vec() };
            let text = edit.to_string();
            let holds = ["$6$", "snmp-server ", "authentication text ", "authentication hmac key "];
            prop_assert_eq!(edit.is_secret(), holds.iter().any(|word| text.contains(word)));
        }
    }

    #[test]
    fn merging_with_nothing_changes_nothing(base in tree(), mine in tree(), theirs in tree()) {
        let edits = parse_edits(&base.diff(&mine)).expect("the lines are commands");
        prop_assert_eq!(merge(&base, &edits, &base), Ok(mine.clone()));
        prop_assert_eq!(merge(&base, &edits, &mine), Ok(mine));
        prop_assert_eq!(merge(&base, &[], &theirs), Ok(theirs));
    }

    #[test]
    fn text_of_any_kind_never_panics(line in any_line(), at in any::<prop::sample::Index>()) {
        let (tree, rejected) = load(&line);
        for lost in rejected {
            prop_assert!(lost.number >= 1 && !lost.why.is_empty());
        }
        prop_assert_eq!(&load(&tree.print()).0, &tree);
        let cut: String = line.chars().take(at.index(line.chars().count() + 1)).collect();
        let _ = pipe(&line);
        let _ = crate::lex::split_pipes(&line);
        for position in positions() {
            for line in line.lines().chain([cut.as_str()]) {
                match interpret(&position, line) {
                    Ok(meaning) => drop(position.after(&meaning)),
                    Err(error) => {
                        prop_assert!(line.is_char_boundary(error.offset(line)));
                        prop_assert!(!error.render(line, 10).is_empty() && !error.sentence(line).is_empty());
                    }
                }
                if let Ok(next) = next(&position, line) {
                    prop_assert!(line.is_char_boundary(next.offset));
                    let _ = (tree.suggestions(&next), tree.current(&next));
                }
            }
        }
    }

    /// Tab completes to what executes: a full line is complete for `?` as well, and each of its beginnings has a next word.
    #[test]
    fn help_and_execution_agree(tree in tree()) {
        for (path, key, entry) in lines(&tree) {
            let position = position(&path);
            let line = Edit { path, negate: false, is_default: false, key: key.clone(), values: entry.values().to_vec() }.to_string();
            let at_end = next(&position, &line).expect("the line is valid");
            prop_assert!(at_end.complete, "{}", line);
            for (at, _) in line.match_indices(' ') {
                if !crate::lex::in_quotes(&line[..at]) {
                    let found = next(&position, &line[..=at]).expect("a beginning of a valid line");
                    prop_assert!(!found.nodes.is_empty(), "{}", &line[..=at]);
                }
            }
        }
    }
}

/// A random beginning of a keyword that can mean nothing else here; the keyword itself if there is none.
fn abbreviate(level: &[&'static Node], node: &'static Node, value: &Value, choices: &mut Choices) -> String {
    if !node.is_kw() {
        return value.to_string();
    }
    let word = &node.word[..1 + choices.below(node.word.len())];
    let unique = level.iter().filter(|other| other.is_kw() && other.word.starts_with(word)).count() == 1;
    let no_value = level.iter().all(|other| other.is_kw() || parse::parse(other.ty, word).is_err());
    if unique && no_value { word.to_owned() } else { node.word.to_owned() }
}

fn positions() -> Vec<Position> {
    let paths = ["interface eth0", "virtual-server a", "health-monitor m", "vrrp group g", "line vty"];
    let inside = paths.map(|header| position_of(&[header]));
    let mut all = vec![Position::Exec(Privilege::User), Position::Exec(Privilege::Admin), Position::CONFIG];
    all.extend(inside);
    all.push(position_of(&["virtual-server a", "real-server 10.0.0.2 80"]));
    all
}

fn position_of(headers: &[&str]) -> Position {
    headers.iter().fold(Position::CONFIG, |position, header| {
        let meaning = interpret(&position, header).expect("a header");
        position.after(&meaning)
    })
}

/// Noise, and words of the trie in the wrong order.
fn any_line() -> impl Strategy<Value = String> {
    const WORDS: [&str; 24] = [
        "no",
        "do",
        "show",
        "interface",
        "eth0",
        "ip",
        "address",
        "10.0.0.1",
        "255.255.255.0",
        "virtual-server",
        "web",
        "virtual",
        "tcp",
        "any",
        "real-server",
        "\"",
        "\\",
        "!",
        "\n",
        " ",
        "?",
        "description",
        "10.0.0.0/8",
        "route",
    ];
    let word = prop_oneof![3 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => ".{0,6}"];
    let noise =
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    prop_oneof![3 => prop::collection::vec(word, 0..12).prop_map(|words| words.join(" ")), 1 => noise]
}
