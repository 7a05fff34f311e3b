//! The reference manual, `docs/cli.md`, printed from the trie: it cannot drift from what the box accepts.
//!
//! The manual's own words are here; everything about a command comes from its node.

use std::fmt::Write as _;

use crate::grammar::{Act, Block, CONTROL, DO, EXEC, GLOBAL, NO, Node, PIPES, Role, Ty};
use crate::model::Privilege;

/// The whole manual as Markdown. A test holds `docs/cli.md` to it; `UPDATE=1 cargo test -p yoke-config` writes it anew.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    section(&mut out, "At `yoke>` and `yoke#`", EXEC);
    section(&mut out, "After `|`", PIPES);
    out.push_str(CONFIGURATION);
    section(&mut out, "In configuration mode, anywhere", CONTROL);
    section(&mut out, "Global lines", GLOBAL);
    blocks(&mut out, "", GLOBAL);
    out
}

const INTRODUCTION: &str = "\
# Commands

<!-- Generated from config/src/grammar by `UPDATE=1 cargo test -p yoke-config reference`. Do not edit. -->

Keywords may be abbreviated while they are unambiguous. `?` lists what may follow, Tab completes, `show ... | include RE`
filters. In this page `{a | b}` is a choice, `[a]` may be left out, `[a | b]...` are options in any order, CAPITALS and
`<ranges>` stand for values. Commands marked **15** need privilege 15 (`enable`).

A NAME is up to 63 letters, digits and `.` `_` `-`, the first a letter or digit. An IFNAME is `ethN`, `bondN`, either with
`.VLAN`, or `lo`. A PORT is 1-65535 or `any`, PORTS may be a range `N-M`. A MASK is a netmask or a number of bits. A LINE
is the rest of the line; in quotes `\\\"` `\\\\` and, in banners, `\\n` are understood.
";

const CONFIGURATION: &str = "
## Configuration

`configure terminal` enters configuration mode. A line outside of blocks applies at once; a block (`interface`,
`virtual-server` with its real servers, ...) applies as a whole when it is left. `write memory` saves.

- `no` and the beginning of a line removes every line that begins so; removing what is not there is only a warning.
- A default is never printed: setting it removes the line. `show running-config all` prints defaults as comments.
- A line of an outer mode leaves the block, if it is complete and its first word means nothing in the block or is spelled in
  full. A line indented by fewer spaces than blocks are open belongs to the block at that depth.
- *Later* marks lines that are accepted, checked and kept, but have no function in this release; `show warnings` lists them.
";

fn section(out: &mut String, title: &str, nodes: &'static [Node]) {
    writeln!(out, "\n## {title}\n").expect("a String");
    for node in nodes {
        rows(out, "", node, false);
    }
}

/// A section for every block, in order, each with its own blocks.
fn blocks(out: &mut String, path: &str, nodes: &'static [Node]) {
    for node in nodes {
        let path = format!("{path} {}", name(node));
        match node.act {
            Act::Block(Block { prompt, nodes }) => {
                section(out, &format!("In `{}`, prompt `({prompt})#`", path.trim()), nodes);
                blocks(out, &format!("{path}:"), nodes);
            }
            Act::Exec(..) => {}
            _ => blocks(out, &path, node.next),
        }
    }
}

/// One row, or one for each kind of line that begins with the node.
fn rows(out: &mut String, prefix: &str, node: &'static Node, later: bool) {
    let later = later || node.later;
    let splits = |next: &&Node| next.role == Role::Id && (next.is_kw() || next.next.iter().any(is_word_of_key));
    if node.role == Role::Id && node.next.iter().any(|next| splits(&next)) {
        let prefix = format!("{prefix}{} ", name(node));
        let (apart, inline): (Vec<&Node>, Vec<&Node>) = node.next.iter().partition(splits);
        if node.is_complete() || !inline.is_empty() {
            let choice = group(node.is_complete(), &inline.iter().map(|next| syntax(next, &[])).collect::<Vec<_>>());
            row(out, format!("{prefix}{choice}").trim_end(), node, later);
        }
        for next in apart {
            rows(out, &prefix, next, later);
        }
        return;
    }
    row(out, &format!("{prefix}{}", syntax(node, &[])), node, later);
}

/// A keyword that says which line this is.
fn is_word_of_key(node: &Node) -> bool {
    node.is_kw() && node.role == Role::Id
}

/// A word as the manual writes it: a form with alternatives would read like a choice of keywords.
fn name(node: &Node) -> &'static str {
    match node.ty {
        Ty::Port => "PORT",
        Ty::Ports => "PORTS",
        Ty::Mask => "MASK",
        _ => node.word,
    }
}

fn row(out: &mut String, syntax: &str, node: &'static Node, later: bool) {
    if matches!(node.act, Act::Refused(_)) {
        return;
    }
    let mut notes = Vec::new();
    if privilege(node) == Some(Privilege::Admin) {
        notes.push("**15**".to_owned());
    }
    if later {
        notes.push("*later*".to_owned());
    }
    if let Some(default) = node.next.iter().find_map(|next| next.default) {
        notes.push(format!("default `{default}`"));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    writeln!(out, "- `{syntax}`: {}{notes}", node.help).expect("a String");
    let choices: Vec<&Node> = node.next.iter().filter(|next| next.is_kw() && next.role == Role::Val).collect();
    if choices.len() > 1 {
        for choice in choices {
            let later = if choice.later { " (*later*)" } else { "" };
            writeln!(out, "  - `{}`: {}{later}", choice.word, choice.help).expect("a String");
        }
    }
}

/// The lowest privilege that reaches a command from here.
fn privilege(node: &'static Node) -> Option<Privilege> {
    match node.act {
        Act::Exec(privilege, _) => Some(privilege),
        _ => node.next.iter().filter_map(privilege).min(),
    }
}

/// A word and what may follow it. `open` are the sibling sets being written: one that comes again is a loop.
fn syntax(node: &'static Node, open: &[*const Node]) -> String {
    let next = node.next;
    let known: Vec<&'static Node> = next.iter().filter(|next| !matches!(next.act, Act::Refused(_))).collect();
    if [NO, DO].contains(&node.word) && known.is_empty() {
        return format!("{} LINE", name(node));
    }
    if known.is_empty() || open.contains(&next.as_ptr()) {
        return name(node).to_owned();
    }
    let inner = [open, &[next.as_ptr()]].concat();
    let words: Vec<String> = known.iter().map(|next| syntax(next, &inner)).collect();
    let more = if next.iter().any(|node| returns(node, next.as_ptr())) { "..." } else { "" };
    format!("{} {}{more}", name(node), group(node.is_complete(), &words))
}

/// Whether the options at `set` come again after this word.
fn returns(node: &'static Node, set: *const Node) -> bool {
    node.next.as_ptr() == set && !node.next.is_empty()
        || (!matches!(node.act, Act::Exec(..)) && node.next.iter().any(|next| returns(next, set)))
}

fn group(optional: bool, words: &[String]) -> String {
    match (optional, words) {
        (_, []) => String::new(),
        (true, words) => format!("[{}]", words.join(" | ")),
        (false, [one]) => one.clone(),
        (false, words) => format!("{{{}}}", words.join(" | ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_are_what_the_trie_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let manual = reference();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &manual).expect("docs can be written");
        }
        let found = std::fs::read_to_string(path).expect("docs/cli.md is there");
        assert!(found == manual, "docs/cli.md is not what the trie says, use: UPDATE=1 cargo test -p yoke-config");
    }
}
