//! A tree as JSON, for `show running-config | json`. One way only: text is the one format that is read back.

use serde_json::{Map, Value as Json, json};

use crate::grammar::{GLOBAL, Node, block_of};
use crate::value::Value;

use super::Tree;
use super::print::masked;

impl Tree {
    /// Nested objects: every identity word is a member (keywords in `snake_case`), a line without values is `true`, one
    /// value is a number or a string, several are an array, a block is an object.
    #[must_use]
    pub fn to_json(&self) -> Json {
        level(GLOBAL, self, false)
    }

    /// The same with every secret masked, as [`Tree::print_sanitized`] does.
    #[must_use]
    pub fn to_json_sanitized(&self) -> Json {
        level(GLOBAL, self, true)
    }
}

fn level(nodes: &'static [Node], tree: &Tree, sanitized: bool) -> Json {
    let mut root = Map::new();
    for (key, entry) in &tree.0 {
        let shown = if sanitized {
            masked(nodes, key, &entry.values)
        } else {
            key.words().chain(&entry.values).cloned().collect()
        };
        let (identity, values) = shown.split_at(key.words().count().min(shown.len()));
        let words: Vec<String> = identity.iter().map(member).collect();
        let content = match block_of(nodes, key) {
            Some(block) => level(block.nodes, &entry.below, sanitized),
            None => content(values),
        };
        put(&mut root, &words, content);
    }
    Json::Object(root)
}

fn put(at: &mut Map<String, Json>, words: &[String], content: Json) {
    match words {
        [] => {}
        [last] => drop(at.insert(last.clone(), content)),
        [word, rest @ ..] => {
            // A line is never a prefix of another (a lint of the trie), so what stands here already is an object.
            if let Json::Object(next) = at.entry(word.clone()).or_insert_with(|| json!({})) {
                put(next, rest, content);
            }
        }
    }
}

fn content(values: &[Value]) -> Json {
    match values {
        [] => Json::Bool(true),
        [one] => scalar(one),
        many => Json::Array(many.iter().map(scalar).collect()),
    }
}

fn member(value: &Value) -> String {
    match value {
        Value::Kw(word) => word.replace('-', "_"),
        other => plain(other),
    }
}

fn scalar(value: &Value) -> Json {
    match value {
        Value::Int(number) => json!(number),
        Value::Port(port) if *port != 0 => json!(port),
        other => Json::String(plain(other)),
    }
}

/// Without the quotes of the text form.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
