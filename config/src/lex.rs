//! Words of a line: bare or quoted, with their byte offsets; quoting for print; pipes.
//!
//! Inside quotes `\"`, `\\`, `\n` and `\t` stand for the obvious; a bare word is literal. No word is judged here.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use nom::branch::alt;
use nom::bytes::complete::{take_till1, take_while1};
use nom::character::complete::{anychar, char};
use nom::combinator::{map, opt, recognize};
use nom::multi::fold_many0;
use nom::sequence::preceded;
use nom::{IResult, Parser};

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// Where it begins, in bytes; for a quoted word, the quote.
    pub offset: usize,
    /// Where it ends.
    pub end: usize,
    /// Its text, quotes and escapes resolved.
    pub text: Cow<'a, str>,
    /// Written in quotes, so never a keyword.
    pub quoted: bool,
    /// A quote that is never closed; the word goes to the end of the line.
    pub open: bool,
}

/// Splits a line. Never fails: a quote that is not closed is marked [`Word::open`].
#[must_use]
pub fn words(line: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let offset = line.len() - rest.len();
        let Ok((after, (text, quoted, open))) = word(rest) else { break };
        found.push(Word { offset, end: line.len() - after.len(), text, quoted, open });
        rest = after.trim_start();
    }
    found
}

/// Text, quoted, open.
type Parsed<'a> = (Cow<'a, str>, bool, bool);

fn word(input: &str) -> IResult<&str, Parsed<'_>> {
    alt((quoted, map(take_till1(char::is_whitespace), |text| (Cow::Borrowed(text), false, false)))).parse(input)
}

fn quoted(input: &str) -> IResult<&str, Parsed<'_>> {
    let escape = preceded(char('\\'), anychar).map(|c| match c {
        'n' => '\n',
        't' => '\t',
        other => other,
    });
    let plain = nom::character::complete::none_of("\"\\");
    let body = fold_many0(alt((escape, plain)), String::new, |mut text, c| {
        text.push(c);
        text
    });
    let (rest, text) = preceded(char('"'), body).parse(input)?;
    // A backslash at the very end leaves itself unread; it belongs to the open word.
    let (rest, _) = opt(char('\\')).parse(rest)?;
    let (rest, close) = opt(char('"')).parse(rest)?;
    Ok((rest, (Cow::Owned(text), true, close.is_none())))
}

/// Whether a quote is open at the end of `line`: there `?` and `|` are text.
#[must_use]
pub fn in_quotes(line: &str) -> bool {
    words(line).last().is_some_and(|word| word.open)
}

/// Text as one printable word: bare when that is unambiguous, else in quotes.
#[must_use]
pub fn quote(text: &str) -> Cow<'_, str> {
    // What a shell might take for itself (help, pipe, next command) or a reader for a comment is quoted.
    let safe = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '?' | '|' | ';' | '!');
    if !text.is_empty() && text.chars().all(safe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    Cow::Owned(out)
}

/// Splits a line at each `|` that stands outside of quotes: byte offset and text of every part, not trimmed.
#[must_use]
pub fn split_pipes(line: &str) -> Vec<(usize, &str)> {
    split_outside_quotes(line, '|')
}

/// Splits at each `;` that stands outside of quotes, as `-c` does: byte offset and text of every part, not trimmed.
#[must_use]
pub fn split_commands(line: &str) -> Vec<(usize, &str)> {
    split_outside_quotes(line, ';')
}

fn split_outside_quotes(line: &str, separator: char) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    // A quote opens only where a word begins; inside a bare word it is a letter like any other.
    let mut word_begins = true;
    while at < line.len() {
        let rest = &line[at..];
        if word_begins && rest.starts_with('"') {
            at += recognize(quoted).parse(rest).map_or(rest.len(), |(_, text)| text.len());
            word_begins = false;
        } else if rest.starts_with(separator) {
            parts.push((start, &line[start..at]));
            at += separator.len_utf8();
            start = at;
            word_begins = true;
        } else if let Ok((after, _)) = space(rest) {
            at = line.len() - after.len();
            word_begins = true;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            word_begins = false;
        }
    }
    parts.push((start, &line[start..]));
    parts
}

fn space(input: &str) -> IResult<&str, &str> {
    take_while1(char::is_whitespace).parse(input)
}
