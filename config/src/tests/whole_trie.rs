//! Every line of the trie once: each node is reached, each line has its place in the typed configuration.

use super::generate::{Choices, sample};
use crate::grammar::{Act, GLOBAL, Node, Ty};
use crate::model::Config;
use crate::tree::load;

/// One text for every complete line below `level`, with the headers it needs.
fn every_line(within: &[String], words: &[String], level: &'static [Node], found: &mut Vec<String>) {
    for node in level.iter().filter(|node| node.ty != Ty::Plain && !matches!(node.act, Act::Refused(_))) {
        let mut words = words.to_vec();
        // The third choice is an IPv4 address and no default.
        words.push(sample(&mut Choices::new(vec![2; 4]), node));
        let line = format!("{:1$}{2}", "", within.len(), words.join(" "));
        match node.act {
            Act::Line => found.push([within, &[line]].concat().join("\n")),
            Act::Block(block) => {
                let within = [within, &[line]].concat();
                found.push(within.join("\n"));
                every_line(&within, &[], block.nodes, found);
            }
            _ => {}
        }
        every_line(within, &words, node.next, found);
    }
}

fn all() -> Vec<String> {
    let mut found = Vec::new();
    every_line(&[], &[], GLOBAL, &mut found);
    found
}

#[test]
fn every_line_has_its_place_in_the_typed_configuration() {
    let all = all();
    assert!(all.len() > 150, "{} lines", all.len());
    for text in all {
        let (tree, rejected) = load(&text);
        assert_eq!(rejected, [], "{text}");
        if let Err(problems) = Config::try_from(&tree) {
            assert!(
                problems.iter().all(|problem| !problem.0.contains("fault of the firmware")),
                "{text}\n{problems:?}"
            );
        }
    }
}

/// What a block needs to be valid at all, so that the effect of one more line shows.
fn context(header: &str) -> &'static str {
    match header.split_whitespace().next() {
        Some("virtual-server") => " virtual 10.0.0.11 udp 80\n persistence timeout 7\n",
        Some("health-monitor") => " type https\n",
        Some("vrrp") => " vrid 7 interface eth0\n address 10.0.0.11/24\n",
        _ => "",
    }
}

/// A field that no line can set, or a line that sets none, is a mistake: whatever is not for later changes the typed
/// configuration.
#[test]
fn every_line_changes_the_typed_configuration_or_is_for_later() {
    let mut tested = 0;
    let mut invalid = Vec::new();
    for text in all() {
        let (headers, line) = text.rsplit_once('\n').unwrap_or(("", &text));
        let first = headers.lines().next().unwrap_or_default();
        let (rest, context) = (headers.get(first.len()..).unwrap_or_default(), context(first));
        let before = format!("{first}\n{context}{}\n", rest.trim_start_matches('\n'));
        let (with, _) = load(&format!("{before}{line}\n"));
        let (without, _) = load(&before);
        let is_header = with.diff(&without).iter().any(|line| line.starts_with("no line "));
        // A default says what its absence says; so does the mode of the virtual server.
        let inherited = line.trim() == "mode nat";
        if with == without || is_header || inherited {
            continue;
        }
        match (Config::try_from(&with), Config::try_from(&without)) {
            (Ok(with), Ok(without)) => {
                tested += 1;
                assert_ne!(with, without, "{text}");
            }
            (Ok(_), Err(_)) => {}
            (Err(_), _) => invalid.push(line.trim().to_owned()),
        }
    }
    // The others need more around them, and are tested one by one.
    assert!(tested > 120 && invalid.len() < 30, "{tested} tested, not valid alone: {invalid:#?}");
}
