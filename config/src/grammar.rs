//! The one static trie: every word an operator can say, with its type, its help and what it does.
//!
//! Execution, Tab, `?`, the caret, loading, defaults and `docs/cli.md` read it through the one walker ([`crate::walk`]).
//! Tables only; nothing here parses or acts.

mod command;
mod control;
mod exec;
mod global;
mod interface;
mod monitor;
mod pipe;
mod show;
#[cfg(test)]
mod tests;
mod virtual_server;
mod vrrp;

use std::fmt;
use std::net::IpAddr;

use crate::model::Privilege;
use crate::tree::Key;
use crate::value::Value;

pub use command::Command;
pub use control::CONTROL;
pub(crate) use control::{DO, NO};
pub use exec::EXEC;
pub use global::GLOBAL;
pub use pipe::PIPES;

/// What a word may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ty {
    /// The keyword itself, in any case, abbreviated while unambiguous.
    Kw,
    /// A decimal number, both ends inclusive.
    Int(u32, u32),
    /// An address.
    Addr(Family),
    /// An address or a name to resolve.
    Host,
    /// A prefix, host bits zero; IPv4 also as address and netmask.
    Net(Family),
    /// A prefix, or an address that stands for itself.
    NetOrHost,
    /// An interface address, host bits kept; IPv4 also as address and netmask.
    IfAddr(Family),
    /// 1-65535 or `any` (0 is accepted for it).
    Port,
    /// `any`, a port or a range.
    Ports,
    /// A netmask or 1-128.
    Mask,
    /// A netmask: the second word of an IOS style prefix.
    Netmask,
    /// A hardware address.
    Mac,
    /// The name of a new or existing object.
    Name,
    /// The name of an object that exists elsewhere; may dangle.
    Ref(Kind),
    /// The name of an interface.
    If,
    /// One word without spaces.
    Word,
    /// The rest of the line; in quotes when it needs escapes.
    Text,
    /// The same, and `\n` inside quotes is a new line.
    Lines,
    /// A secret in clear text, the rest of the line: never stored, hashed where it is typed.
    Plain,
    /// A hashed secret.
    Hash,
    /// A zone of the zone database.
    Zone,
    /// Base64 text.
    Base64,
    /// `SCHEME://REST`.
    Url,
    /// HTTP status codes, `200-299,304`.
    Codes,
}

/// Address families a word may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Either.
    Any,
}

impl Family {
    /// Whether `address` is of this family.
    #[must_use]
    pub fn has(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Any => true,
        }
    }
}

/// Kinds of objects a word may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `virtual-server NAME`.
    VirtualServer,
    /// The address of a real server, in any virtual server.
    RealServer,
    /// `health-monitor NAME`.
    Monitor,
    /// `ip nat pool NAME`.
    Pool,
    /// `vrrp group NAME`.
    VrrpGroup,
    /// `vrrp sync-group NAME`.
    SyncGroup,
    /// `interface NAME`.
    Interface,
}

/// Identity words say which line, value words say what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Part of the key. In an EXEC command: not an argument.
    Id,
    /// Part of the value. In an EXEC command: an argument.
    Val,
}

/// A block opened by a header line.
pub struct Block {
    /// Between the parentheses of the prompt: `config-vs`.
    pub prompt: &'static str,
    /// Its lines.
    pub nodes: &'static [Node],
}

/// Prints the prompt only; the trie has cycles.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({})", self.prompt)
    }
}

/// What a complete line does.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Not complete here.
    Incomplete,
    /// A configuration line.
    Line,
    /// The header of a block.
    Block(&'static Block),
    /// A line that lacks its secret: the shell asks for it without echo.
    AskSecret,
    /// Something to do now.
    Exec(Privilege, Command),
    /// Known, but refused for a reason that the operator is told.
    Refused(&'static str),
}

/// One word of the trie.
#[derive(Clone, Copy)]
pub struct Node {
    /// Keyword, or the name of the argument in help.
    pub word: &'static str,
    /// Type.
    pub ty: Ty,
    /// Role.
    pub role: Role,
    /// At most 50 characters.
    pub help: &'static str,
    /// What a line that ends here does.
    pub act: Act,
    /// What may follow.
    pub next: &'static [Node],
    /// The text of this word that means the same as leaving it out. Not printed in a configuration.
    pub default: Option<&'static str>,
    /// Whether the word is a secret: masked in sanitized text, its line kept out of history and logs.
    pub secret: bool,
    /// Whether the line has no function in this release and is accepted with a warning.
    pub later: bool,
}

/// Prints the word only; the trie has cycles.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.word)
    }
}

impl Node {
    /// Whether a line may end here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !matches!(self.act, Act::Incomplete)
    }

    /// Whether this is a keyword (an argument otherwise).
    #[must_use]
    pub fn is_kw(&self) -> bool {
        self.ty == Ty::Kw
    }

    /// Whether the argument takes the rest of the line.
    #[must_use]
    pub fn is_rest(&self) -> bool {
        matches!(self.ty, Ty::Text | Ty::Lines | Ty::Plain)
    }

    const fn new(word: &'static str, ty: Ty, help: &'static str) -> Self {
        let (act, role) = (Act::Incomplete, Role::Id);
        Self { word, ty, role, help, act, next: &[], default: None, secret: false, later: false }
    }

    const fn then(mut self, next: &'static [Self]) -> Self {
        self.next = next;
        self
    }

    const fn val(mut self) -> Self {
        self.role = Role::Val;
        self
    }

    const fn line(mut self) -> Self {
        self.act = Act::Line;
        self
    }

    const fn block(mut self, block: &'static Block) -> Self {
        self.act = Act::Block(block);
        self
    }

    /// An EXEC command of privilege 1.
    const fn run(mut self, command: Command) -> Self {
        self.act = Act::Exec(Privilege::User, command);
        self
    }

    /// An EXEC command of privilege 15.
    const fn admin(mut self, command: Command) -> Self {
        self.act = Act::Exec(Privilege::Admin, command);
        self
    }

    const fn act(mut self, act: Act) -> Self {
        self.act = act;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn later(mut self) -> Self {
        self.later = true;
        self
    }
}

/// A keyword.
const fn kw(word: &'static str, help: &'static str) -> Node {
    Node::new(word, Ty::Kw, help)
}

/// An argument.
const fn arg(word: &'static str, ty: Ty, help: &'static str) -> Node {
    Node::new(word, ty, help)
}

/// A configuration line that is one keyword.
const fn flag(word: &'static str, help: &'static str) -> Node {
    kw(word, help).line()
}

/// A choice among keywords that ends a configuration line.
const fn choice(word: &'static str, help: &'static str) -> Node {
    kw(word, help).val().line()
}

/// A value that ends a configuration line.
const fn value(word: &'static str, ty: Ty, help: &'static str) -> Node {
    arg(word, ty, help).val().line()
}

const DESCRIPTION: Node =
    kw("description", "What this is for").then(&[value("LINE", Ty::Text, "Text, in quotes when it holds spaces")]);

/// The nodes a line consists of, starting from the lines of its block; `None` when it is not of this trie.
pub(crate) fn nodes_of(nodes: &'static [Node], key: &Key, values: &[Value]) -> Option<Vec<&'static Node>> {
    let mut level = nodes;
    let mut found = Vec::with_capacity(key.0.len() + values.len());
    for (index, _) in &key.0 {
        let node = level.get(usize::from(*index))?;
        found.push(node);
        level = node.next;
    }
    for value in values {
        let node = level.iter().find(|node| match value {
            Value::Kw(word) => node.is_kw() && node.word == *word,
            _ => !node.is_kw(),
        })?;
        found.push(node);
        level = node.next;
    }
    Some(found)
}

/// The block a header's key opens.
pub(crate) fn block_of(nodes: &'static [Node], key: &Key) -> Option<&'static Block> {
    match nodes_of(nodes, key, &[])?.last()?.act {
        Act::Block(block) => Some(block),
        _ => None,
    }
}

/// The lines of the block at `path` (the global lines for an empty one).
pub(crate) fn nodes_at(path: &[Key]) -> Option<&'static [Node]> {
    path.iter().try_fold(GLOBAL, |nodes, key| Some(block_of(nodes, key)?.nodes))
}
