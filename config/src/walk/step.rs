//! One walk: words over the trie from given sibling sets, as far as they go.
//!
//! Knows neither positions nor `no`, `do` and walk-up: that is [`super`].

use crate::grammar::{Act, Node, Role, Ty};
use crate::lex::Word;
use crate::model::Privilege;
use crate::value::{Mask, Value, parse};

use super::LineError;

/// One word that was understood.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) node: &'static Node,
    /// Position among its siblings: the schema order.
    pub(super) index: u16,
    pub(super) value: Value,
    /// Where the word begins in the line.
    pub(super) offset: usize,
}

/// What may follow the words walked so far.
#[derive(Debug, Clone)]
pub(super) struct Walked {
    pub(super) steps: Vec<Step>,
    /// Sibling sets of the next word.
    pub(super) sets: Vec<&'static [Node]>,
}

/// A walk that ended early.
#[derive(Debug)]
pub(super) struct Stopped {
    /// As far as it went.
    pub(super) walked: Walked,
    pub(super) error: LineError,
}

/// The words of a line from `first` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) line: &'a str,
    pub(super) words: &'a [Word<'a>],
}

impl Walked {
    pub(super) fn last(&self) -> Option<&'static Node> {
        self.steps.last().map(|step| step.node)
    }

    /// The nodes that may come next, each option of a loop once.
    pub(super) fn candidates(&self) -> impl Iterator<Item = (u16, &'static Node)> + '_ {
        let numbered = self.sets.iter().flat_map(|set| (0u16..).zip(set.iter()));
        numbered.filter(|(_, node)| !node.is_kw() || !self.steps.iter().any(|step| std::ptr::eq(step.node, *node)))
    }

    /// The last keyword: what an error or the current value is about.
    pub(super) fn subject(&self) -> Option<&'static str> {
        self.steps.iter().rev().find(|step| step.node.is_kw()).map(|step| step.node.word)
    }
}

/// Walks every word. Ends at the first that means nothing; whether the line is complete is for the caller to judge.
pub(super) fn walk(sets: Vec<&'static [Node]>, input: Words<'_>, privilege: Privilege) -> Result<Walked, Box<Stopped>> {
    let mut walked = Walked { steps: Vec::with_capacity(input.words.len()), sets };
    let mut at = 0;
    while let Some(word) = input.words.get(at) {
        match step(&walked, input, at, privilege) {
            Ok((index, node, value, used)) => {
                walked.steps.push(Step { node, index, value, offset: word.offset });
                walked.sets = vec![node.next];
                at += used;
            }
            Err(error) => return Err(Box::new(Stopped { walked, error })),
        }
    }
    Ok(walked)
}

/// Finds the meaning of one word: exact keyword, value, abbreviated keyword, in this order. A value beats an abbreviation
/// so that an object may be called `d` though `detail` exists; the other order would make names change their meaning
/// whenever a keyword is added.
fn step(
    walked: &Walked,
    input: Words<'_>,
    at: usize,
    privilege: Privilege,
) -> Result<(u16, &'static Node, Value, usize), LineError> {
    let word = &input.words[at];
    if !word.quoted
        && let Some((index, node)) = walked.candidates().find(|(_, node)| node.is_kw() && node.word == word.text)
    {
        return Ok((index, node, Value::Kw(node.word), 1));
    }
    let mut why = None;
    if let Some((index, node)) = walked.candidates().find(|(_, node)| !node.is_kw()) {
        match argument(node, input, at) {
            Ok((value, used)) => return Ok((index, node, value, used)),
            Err(Mismatch::Why(reason)) => why = reason,
            Err(Mismatch::Error(error)) => return Err(error),
        }
    }
    let mut matches: Vec<(u16, &'static Node)> = Vec::new();
    if !word.quoted {
        matches.extend(walked.candidates().filter(|(_, node)| abbreviates(&word.text, node)));
        if matches.len() > 1 && matches.iter().any(|(_, node)| allowed(node, privilege)) {
            // What the operator may not do is no reason to ask which was meant.
            matches.retain(|(_, node)| allowed(node, privilege));
        }
    }
    match matches[..] {
        [(index, node)] => Ok((index, node, Value::Kw(node.word), 1)),
        [] => Err(LineError::Invalid {
            offset: word.offset,
            expected: walked.candidates().map(|(_, node)| node).filter(|n| !matches!(n.act, Act::Refused(_))).collect(),
            subject: walked.subject(),
            complete: walked.last().is_some_and(Node::is_complete),
            why,
        }),
        _ => Err(LineError::Ambiguous {
            offset: word.offset,
            candidates: matches.iter().map(|(_, node)| node.word).collect(),
        }),
    }
}

/// Whether `word` is a beginning of the keyword, in any case.
pub(super) fn abbreviates(word: &str, node: &Node) -> bool {
    node.is_kw() && node.word.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

enum Mismatch {
    Why(Option<String>),
    Error(LineError),
}

/// Reads an argument; returns how many words it took.
fn argument(node: &'static Node, input: Words<'_>, at: usize) -> Result<(Value, usize), Mismatch> {
    let word = &input.words[at];
    if node.is_rest() {
        return rest(node, input, at);
    }
    if word.open {
        return Err(Mismatch::Why(Some("the closing quote is missing".to_owned())));
    }
    match parse::parse(node.ty, &word.text) {
        Ok(value) => Ok((value, 1)),
        Err(why) => address_and_mask(node, input, at).unwrap_or(Err(Mismatch::Why(why))),
    }
}

/// `10.0.0.1 255.255.255.0`, as IOS writes a prefix.
fn address_and_mask(node: &Node, input: Words<'_>, at: usize) -> Option<Result<(Value, usize), Mismatch>> {
    let word = &input.words[at];
    let takes = matches!(node.ty, Ty::Net(family) | Ty::IfAddr(family) if family != crate::grammar::Family::V6);
    if !takes || word.text.parse::<std::net::Ipv4Addr>().is_err() {
        return None;
    }
    let Some(second) = input.words.get(at + 1) else {
        return Some(Err(Mismatch::Error(LineError::Incomplete { expected: vec![&NETMASK] })));
    };
    let Some(Mask { prefix_len, .. }) = Mask::dotted(&second.text) else {
        return Some(Err(Mismatch::Error(LineError::Invalid {
            offset: second.offset,
            expected: vec![&NETMASK],
            subject: Some("mask"),
            complete: false,
            why: None,
        })));
    };
    let joined = parse::parse(node.ty, &format!("{}/{prefix_len}", word.text));
    Some(joined.map(|value| (value, 2)).map_err(Mismatch::Why))
}

/// The second word of an IOS style prefix, for help.
pub(super) static NETMASK: Node = Node {
    word: "NETMASK",
    ty: Ty::Netmask,
    role: Role::Id,
    help: "Such as 255.255.255.0; shorter: address/length",
    act: Act::Incomplete,
    next: &[],
    default: None,
    secret: false,
    later: false,
};

/// Free text: quoted as one word, or everything up to the end of the line as it stands.
fn rest(node: &Node, input: Words<'_>, at: usize) -> Result<(Value, usize), Mismatch> {
    let word = &input.words[at];
    let left = input.words.len() - at;
    if word.open {
        return Err(Mismatch::Why(Some("the closing quote is missing".to_owned())));
    }
    if word.quoted && left > 1 {
        let offset = input.words[at + 1].offset;
        let why = Some("nothing may follow the closing quote".to_owned());
        let error = LineError::Invalid { offset, expected: vec![], subject: None, complete: true, why };
        return Err(Mismatch::Error(error));
    }
    let text = if word.quoted { &*word.text } else { input.line[word.offset..].trim_end() };
    parse::parse(node.ty, text).map(|value| (value, left)).map_err(Mismatch::Why)
}

/// Whether anything that begins with this word is open to `privilege`.
pub(super) fn allowed(node: &'static Node, privilege: Privilege) -> bool {
    fn reaches(node: &'static Node, privilege: Privilege, seen: &mut Vec<*const Node>) -> bool {
        if seen.contains(&std::ptr::from_ref(node)) {
            return false;
        }
        seen.push(node);
        let here = match node.act {
            Act::Incomplete => false,
            Act::Exec(needed, _) => needed <= privilege,
            Act::Line | Act::Block(_) | Act::AskSecret | Act::Refused(_) => true,
        };
        here || node.next.iter().any(|next| reaches(next, privilege, seen))
    }
    privilege == Privilege::Admin || reaches(node, privilege, &mut Vec::new())
}
