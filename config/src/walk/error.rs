//! Why a line means nothing, and the text of the contract for it.

use crate::grammar::Node;

/// Why a line means nothing. Offsets are bytes into the line.
#[derive(Debug, Clone)]
pub enum LineError {
    /// No such word, or no such value.
    Invalid {
        /// Where.
        offset: usize,
        /// What could stand there.
        expected: Vec<&'static Node>,
        /// The keyword it belongs to, if any.
        subject: Option<&'static str>,
        /// Whether the line could have ended before it.
        complete: bool,
        /// A sentence, where the expected form does not say it all.
        why: Option<String>,
    },
    /// Several words begin so.
    Ambiguous {
        /// Where.
        offset: usize,
        /// The candidates.
        candidates: Vec<&'static str>,
    },
    /// More is needed.
    Incomplete {
        /// What could follow.
        expected: Vec<&'static Node>,
    },
    /// Known, but refused: a whole message without `% Error: `.
    Refused {
        /// Where.
        offset: usize,
        /// `<object>: <what is wrong>, <what to do>`.
        message: String,
    },
    /// Privilege 15 needed.
    Denied,
}

/// More alternatives than this are for `?`, not for an error.
const EXPECTED_MAX: usize = 6;

/// Spaces that put the caret under `line[offset]`, and the caret. `prompt_width` is in columns; so is the result, for text
/// of single-width characters.
#[must_use]
pub fn caret(prompt_width: usize, line: &str, offset: usize) -> String {
    let before = line.get(..offset).unwrap_or(line).chars().count();
    format!("{:1$}^", "", prompt_width + before)
}

impl LineError {
    /// Where the walk stopped; the end of the line for what is only incomplete. Walk-up reports the furthest.
    #[must_use]
    pub fn offset(&self, line: &str) -> usize {
        match self {
            Self::Invalid { offset, .. } | Self::Ambiguous { offset, .. } | Self::Refused { offset, .. } => *offset,
            Self::Incomplete { .. } => line.len(),
            Self::Denied => 0,
        }
    }

    /// The lines to print, without line ends; the first is the one IOS prints. `line` was typed behind a prompt of
    /// `prompt_width` columns (0 when it is echoed as `line N: TEXT`, whose width is then the caller's to add).
    #[must_use]
    pub fn render(&self, line: &str, prompt_width: usize) -> Vec<String> {
        match self {
            Self::Invalid { offset, .. } => {
                let mut lines =
                    vec![caret(prompt_width, line, *offset), "% Invalid input detected at '^' marker.".to_owned()];
                lines.extend(self.hint().map(|hint| format!("% {hint}")));
                lines
            }
            Self::Ambiguous { candidates, .. } => vec![
                format!("% Ambiguous command:  \"{}\"", line.trim()),
                format!("% could be: {}", candidates.join(", ")),
            ],
            Self::Incomplete { .. } => vec!["% Incomplete command.".to_owned()],
            Self::Refused { message, .. } => vec![format!("% Error: {message}")],
            Self::Denied => vec!["% Permission denied: privilege 15 needed".to_owned()],
        }
    }

    /// One sentence without a caret, for logs, `show configuration rejected` and JSON. It quotes no secret.
    #[must_use]
    pub fn sentence(&self, line: &str) -> String {
        match self {
            // The sentence goes into logs.
            Self::Invalid { .. } if super::looks_secret(line) => match self.hint() {
                Some(hint) => format!("invalid input ({hint})"),
                None => "invalid input".to_owned(),
            },
            Self::Invalid { offset, .. } => {
                let word = line.get(*offset..).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
                let hint = self.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("invalid input at \"{word}\"{hint}")
            }
            Self::Ambiguous { candidates, .. } => format!("ambiguous, could be: {}", candidates.join(", ")),
            Self::Incomplete { .. } => "incomplete".to_owned(),
            Self::Refused { message, .. } => message.clone(),
            Self::Denied => "permission denied: privilege 15 needed".to_owned(),
        }
    }

    /// `weight: <0-65535>`: what was expected, when that is short enough to say.
    fn hint(&self) -> Option<String> {
        let Self::Invalid { expected, subject, complete, why, .. } = self else { return None };
        let about = |text: &str| match subject {
            Some(subject) => format!("{subject}: {text}"),
            None => text.to_owned(),
        };
        if let Some(why) = why {
            return Some(about(why));
        }
        let mut words: Vec<&str> = expected.iter().map(|node| node.word).collect();
        if *complete {
            words.push("<cr>");
        }
        // At the top of a mode there is no subject, and `?` is the answer.
        (subject.is_some() && words.len() <= EXPECTED_MAX).then(|| about(&words.join(", ")))
    }
}
