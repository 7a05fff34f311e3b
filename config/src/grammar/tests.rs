//! Lints of the trie.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Every node that can be reached, once, with its siblings and the words that lead to it.
fn all() -> Vec<(String, &'static [Node], &'static Node)> {
    fn visit(
        path: &str,
        level: &'static [Node],
        seen: &mut BTreeSet<*const Node>,
        found: &mut Vec<(String, &'static [Node], &'static Node)>,
    ) {
        for node in level {
            let path = format!("{path} {}", node.word);
            if seen.insert(std::ptr::from_ref(node)) {
                found.push((path.clone(), level, node));
                visit(&path, node.next, seen, found);
                if let Act::Block(block) = node.act {
                    visit(&path, block.nodes, seen, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for level in [GLOBAL, EXEC, CONTROL, PIPES] {
        visit("", level, &mut seen, &mut found);
    }
    found
}

#[test]
fn siblings_are_told_apart() {
    for (path, level, _) in all() {
        let words: Vec<&str> = level.iter().filter(|node| node.is_kw()).map(|node| node.word).collect();
        let unique: BTreeSet<&&str> = words.iter().collect();
        assert_eq!(words.len(), unique.len(), "{path}: a keyword twice");
        assert!(level.iter().filter(|node| !node.is_kw()).count() <= 1, "{path}: two arguments");
        assert!(words.iter().all(|word| !word.contains(char::is_whitespace) && *word == word.to_lowercase()), "{path}");
    }
}

#[test]
fn no_word_of_a_block_opens_an_outer_block() {
    fn opening(nodes: &'static [Node]) -> impl Iterator<Item = &'static Node> {
        fn opens(node: &Node) -> bool {
            matches!(node.act, Act::Block(_)) || node.next.iter().any(opens)
        }
        nodes.iter().filter(|node| opens(node))
    }
    fn visit(nodes: &'static [Node], outer: &BTreeSet<&'static str>) {
        for node in nodes {
            assert!(!outer.contains(node.word), "{} shadows a header", node.word);
        }
        let mut outer = outer.clone();
        outer.extend(opening(nodes).map(|node| node.word));
        for block in blocks(nodes) {
            visit(block.nodes, &outer);
        }
    }
    visit(GLOBAL, &BTreeSet::new());
}

fn blocks(nodes: &'static [Node]) -> Vec<&'static Block> {
    nodes
        .iter()
        .flat_map(|node| match node.act {
            Act::Block(block) => vec![block],
            _ => blocks(node.next),
        })
        .collect()
}

#[test]
fn control_words_shadow_nothing() {
    fn visit(nodes: &'static [Node]) {
        for node in nodes {
            assert!(CONTROL.iter().all(|control| control.word != node.word), "{}", node.word);
        }
        blocks(nodes).iter().for_each(|block| visit(block.nodes));
    }
    visit(GLOBAL);
}

#[test]
fn help_fits() {
    for (path, level, node) in all() {
        assert!(!node.help.is_empty() && node.help.is_ascii(), "{path}");
        assert!(node.help.len() <= 50, "{path}: {} characters of help", node.help.len());
        assert!(!node.help.ends_with('.'), "{path}");
        let width = level.iter().map(|node| node.word.len()).max().unwrap_or(0);
        // With a current value as long as the default and a number.
        assert!(crate::walk::help_line(node, width, Some("65535")).len() <= 79, "{path}");
    }
}

#[test]
fn identity_comes_first_and_no_line_begins_another() {
    fn visit(path: &str, level: &'static [Node], in_values: bool) {
        for node in level {
            let path = format!("{path} {}", node.word);
            assert!(!in_values || node.role == Role::Val, "{path}: identity after a value");
            if matches!(node.act, Act::Line | Act::Block(_) | Act::AskSecret) && node.role == Role::Id {
                assert!(node.next.iter().all(|next| next.role == Role::Val), "{path}: begins another line");
            }
            assert!(!node.is_rest() || node.next.is_empty(), "{path}: words after free text");
            visit(&path, node.next, node.role == Role::Val);
            if let Act::Block(block) = node.act {
                visit(&path, block.nodes, false);
            }
        }
    }
    visit("", GLOBAL, false);
}

#[test]
fn every_path_ends_somewhere() {
    for (path, _, node) in all() {
        let goes_on = !node.next.is_empty() || [NO, DO].contains(&node.word);
        assert!(goes_on || node.is_complete(), "{path}: neither complete nor continued");
    }
}

#[test]
fn defaults_are_values_of_their_word() {
    for (path, _, node) in all() {
        let Some(default) = node.default else { continue };
        if node.is_kw() {
            assert_eq!(default, node.word, "{path}");
        } else {
            let value = crate::value::parse::parse(node.ty, default);
            assert_eq!(value.map(|value| value.to_string()), Ok(default.to_owned()), "{path}");
        }
        assert_eq!(node.role, Role::Val, "{path}");
    }
}

/// Every command can be typed, and a variant without a way to type it is dead.
#[test]
fn every_command_is_in_the_trie() {
    let mut found: BTreeMap<Command, Privilege> = BTreeMap::new();
    for (path, _, node) in all() {
        if let Act::Exec(privilege, command) = node.act {
            let known = *found.entry(command).or_insert(privilege);
            assert_eq!(known, privilege, "{path}: two privileges for one command");
        }
    }
    let source = include_str!("command.rs");
    let variants = source.lines().filter(|line| line.starts_with("    ") && line.ends_with(',')).count();
    assert_eq!(found.len(), variants, "{found:?}");
}
