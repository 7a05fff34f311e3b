//! Filters behind `|`: words to a filter. The shell splits the line and does the filtering.

use crate::grammar::PIPES;
use crate::lex::words;
use crate::model::Privilege;

use super::LineError;
use super::step::{Words, walk};

/// A filter of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pipe {
    /// `include RE`.
    Include(String),
    /// `exclude RE`.
    Exclude(String),
    /// `begin RE`.
    Begin(String),
    /// `section RE`.
    Section(String),
    /// `count`.
    Count,
    /// `json`.
    Json,
    /// `no-more`.
    NoMore,
}

/// Reads what stands between two `|`. Offsets of errors are bytes into `text`.
///
/// # Errors
/// As [`super::interpret`], but nothing is ever denied.
pub fn pipe(text: &str) -> Result<Pipe, LineError> {
    let words = words(text);
    let walked =
        walk(vec![PIPES], Words { line: text, words: &words }, Privilege::Admin).map_err(|stopped| stopped.error)?;
    let pattern = || walked.steps.get(1).and_then(|step| step.value.as_str()).unwrap_or_default().to_owned();
    match walked.last() {
        Some(node) if node.is_complete() => {}
        _ => return Err(super::incomplete(&walked)),
    }
    Ok(match walked.steps[0].node.word {
        "include" => Pipe::Include(pattern()),
        "exclude" => Pipe::Exclude(pattern()),
        "begin" => Pipe::Begin(pattern()),
        "section" => Pipe::Section(pattern()),
        "count" => Pipe::Count,
        "json" => Pipe::Json,
        _ => Pipe::NoMore,
    })
}
