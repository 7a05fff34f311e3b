//! The one static trie.
use crate::model::Privilege;
/// What a word may be. (kinds: Kw, Int(min,max), Ip, Net, IfAddr, Port, Ports, Name, If, Word, Text, Mask, Mac, Enum, Ref(Kind) ...)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ty {
    /// The keyword itself.
    Kw,
}
/// Identity words say which line, value words say what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Part of the key.
    Id,
    /// Part of the value.
    Val,
}
/// A block opened by a header line.
#[derive(Debug)]
pub struct Block {
    /// `config-vs`.
    pub prompt: &'static str,
    /// Its lines.
    pub nodes: &'static [Node],
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
    /// Something to do now.
    Exec(Privilege, Command),
}
/// Every EXEC command (also exit, end, abort, commit ... of configuration mode). Arguments are the values of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "stub")]
pub enum Command {
    Exit,
}
/// One word of the trie.
#[derive(Debug)]
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
}
