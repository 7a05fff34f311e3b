//! What an operator can say.
//!
//! A configuration is a tree of canonical lines ([`tree::Tree`]). One static trie ([`grammar`]) and one walker
//! ([`walk`]) serve execution, Tab, `?`, the caret, loading and the reference manual; nom parses words and typed values
//! ([`lex`], [`value`]), not commands. [`model::Config`] is the same configuration as typed data, checked as a whole
//! ([`convert`]). No I/O here but [`store`], which keeps the text on flash.

pub mod convert;
pub mod grammar;
pub mod lex;
pub mod model;
mod reference;
pub mod store;
pub mod tree;
pub mod value;
pub mod walk;

pub use reference::reference;

#[cfg(test)]
mod tests;
