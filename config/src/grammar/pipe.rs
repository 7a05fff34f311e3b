//! What may follow `|`. The shell splits the line ([`crate::lex::split_pipes`]) and walks each part over this.

use super::{Node, Ty, arg, kw};

/// Filters of a `show` command's output. Not configuration lines; [`crate::walk::pipe`] reads them.
pub static PIPES: &[Node] = &[
    kw("begin", "From the first line that matches").then(PATTERN),
    kw("count", "Number of lines").line(),
    kw("exclude", "Lines that do not match").then(PATTERN),
    kw("include", "Lines that match").then(PATTERN),
    kw("json", "As one JSON object").line(),
    kw("no-more", "Without paging").line(),
    kw("section", "Sections whose header matches").then(PATTERN),
];

const PATTERN: &[Node] = &[arg("LINE", Ty::Text, "Regular expression").val().line()];
