//! Random valid configurations, made by walking the trie: what it can say, a test has said.
//!
//! All randomness is a list of numbers that is consumed; a shorter list is a smaller configuration, so failures shrink.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::grammar::{Act, GLOBAL, Kind, Node, Ty};
use crate::lex::quote;
use crate::tree::{Tree, load};

/// Numbers to choose by; when they are used up, every choice is the first.
pub(super) struct Choices {
    numbers: Vec<u32>,
    at: usize,
}

impl Choices {
    pub(super) fn new(numbers: Vec<u32>) -> Self {
        Self { numbers, at: 0 }
    }

    pub(super) fn left(&self) -> bool {
        self.at < self.numbers.len()
    }

    pub(super) fn number(&mut self) -> u32 {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        number
    }

    /// 0 to `n - 1`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number()).unwrap() % n.max(1)
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// A configuration that loads without a rejected line.
pub(super) fn tree() -> impl Strategy<Value = Tree> {
    text().prop_map(|text| {
        let (tree, rejected) = load(&text);
        assert_eq!(rejected, [], "the generator follows the trie:\n{text}");
        tree
    })
}

/// Text of a configuration, indented, in random order, with duplicates.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u32>(), 0..300).prop_map(|numbers| {
        let mut choices = Choices::new(numbers);
        let mut out = String::new();
        while choices.left() {
            line(&mut choices, GLOBAL, 0, &mut out);
        }
        out
    })
}

/// One line from a block, and for a header the lines of its block.
fn line(choices: &mut Choices, nodes: &'static [Node], depth: usize, out: &mut String) {
    let mut words: Vec<String> = Vec::new();
    let mut level = nodes;
    let mut last = None;
    loop {
        let usable: Vec<&'static Node> = level.iter().filter(usable).collect();
        if usable.is_empty() || (last.is_some_and(is_line) && choices.below(2) == 0) {
            break;
        }
        let node = usable[choices.below(usable.len())];
        words.push(sample(choices, node));
        last = Some(node);
        level = node.next;
    }
    writeln!(out, "{:depth$}{}", "", words.join(" ")).unwrap();
    if let Some(Node { act: Act::Block(block), .. }) = last {
        for _ in 0..choices.below(6) {
            line(choices, block.nodes, depth + 1, out);
        }
    }
}

/// A clear secret is never part of a tree.
fn usable(node: &&'static Node) -> bool {
    node.ty != Ty::Plain && !matches!(node.act, Act::Refused(_))
}

fn is_line(node: &'static Node) -> bool {
    matches!(node.act, Act::Line | Act::Block(_))
}

/// A word that is valid for the node. Few different ones, so that lines collide and names refer.
pub(super) fn sample(choices: &mut Choices, node: &'static Node) -> String {
    const V4: [&str; 4] = ["10.0.0.2", "10.0.0.11", "192.0.2.1", "203.0.113.10"];
    const V6: [&str; 3] = ["2001:db8::2", "2001:db8::11", "2001:DB8:0:0::1"];
    use crate::grammar::Family;
    let address = |choices: &mut Choices, family: Family| match family {
        Family::V4 => choices.one_of(&V4),
        Family::V6 => choices.one_of(&V6),
        Family::Any if choices.below(2) == 0 => choices.one_of(&V4),
        Family::Any => choices.one_of(&V6),
    };
    let network = |choices: &mut Choices, family: Family| match (family, choices.below(2)) {
        (Family::V4, _) | (Family::Any, 0) => {
            choices.one_of(&["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "192.0.2.7/32"])
        }
        _ => choices.one_of(&["::/0", "2001:db8::/32", "2001:db8::7/128"]),
    };
    match node.ty {
        Ty::Kw => node.word.to_owned(),
        Ty::Int(min, max) => match (choices.below(5), node.default) {
            (0, Some(default)) => default.to_owned(),
            (1, _) => max.to_string(),
            (2, _) => min.saturating_add(7).min(max).to_string(),
            _ => min.to_string(),
        },
        Ty::Addr(family) => address(choices, family).to_owned(),
        Ty::Ref(Kind::RealServer) => address(choices, Family::Any).to_owned(),
        Ty::Host => choices.one_of(&["192.0.2.1", "pool.ntp.org", "2001:db8::1"]).to_owned(),
        Ty::Net(family) => network(choices, family).to_owned(),
        Ty::NetOrHost => network(choices, Family::Any).to_owned(),
        Ty::IfAddr(family) => {
            let address = address(choices, family);
            let len =
                if address.contains(':') { choices.one_of(&["64", "128"]) } else { choices.one_of(&["24", "32"]) };
            format!("{address}/{len}")
        }
        Ty::Port => choices.one_of(&["any", "0", "80", "8080", "65535"]).to_owned(),
        Ty::Ports => choices.one_of(&["any", "80", "80-80", "8000-8100", "1-65535"]).to_owned(),
        Ty::Mask => choices.one_of(&["255.255.255.0", "24", "128"]).to_owned(),
        Ty::Netmask => "255.255.255.0".to_owned(),
        Ty::Mac => choices.one_of(&["02:00:00:00:00:01", "0200.0000.000a", "02-00-00-00-00-0B"]).to_owned(),
        Ty::If | Ty::Ref(Kind::Interface) => {
            choices.one_of(&["eth0", "eth2", "eth10", "eth0.20", "bond0", "lo"]).to_owned()
        }
        Ty::Name | Ty::Ref(_) => {
            choices.one_of(&["a", "web2", "web10", "web-1", "none", "no", "7", "A.b_c"]).to_owned()
        }
        Ty::Word => quote(choices.one_of(&["/", "/a?b=c;d|e", "x\\y", "\"", "!", "a", "größe"])).into_owned(),
        Ty::Text | Ty::Plain => {
            text_sample(choices, &["a", "two words", "a\\nb", "\"q\" \\ ?", "! no", "| x", "", " x "])
        }
        Ty::Lines => text_sample(choices, &["a", "one\ntwo\n", "\ttab", "größe ß", "\\n"]),
        Ty::Hash => choices.one_of(&["$6$a$b", "$6$rounds=5000$salt$./Az09"]).to_owned(),
        Ty::Zone => choices.one_of(&["UTC", "Europe/Madrid", "Etc/GMT+5"]).to_owned(),
        Ty::Base64 => choices.one_of(&["AAAA", "AAAB+/=="]).to_owned(),
        Ty::Url => choices.one_of(&["scp://backup@192.0.2.98/lb1", "https://h/?a=b"]).to_owned(),
        Ty::Codes => choices.one_of(&["200-299", "200,204", "404"]).to_owned(),
    }
}

/// Quoted as it is printed, or bare where a bare rest of the line says the same.
fn text_sample(choices: &mut Choices, texts: &[&str]) -> String {
    let text = choices.one_of(texts);
    let bare = text.trim() == text && !text.is_empty() && !text.starts_with('"') && !text.contains(['\n', '\t']);
    if bare && choices.below(2) == 0 { text.to_owned() } else { quote(text).into_owned() }
}
