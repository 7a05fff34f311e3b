//! Laws over random trees, and every line of the trie once. What a single module promises is tested beside it.

mod generate;
mod laws;
mod speed;
mod whole_trie;
