//! How a command ends: its exit status and its `%` lines. No I/O: the session decides where they go.

use yoke_director::status::{Refusal, RefusalKind};

/// Exit status of the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Something failed while it was done.
    Failed = 1,
    /// Invalid, ambiguous or incomplete.
    Syntax = 2,
    /// Not privileged, wrong password, locked.
    Denied = 3,
    /// A configuration change was not applied, or rolled back.
    NotApplied = 4,
    /// Ctrl-C.
    Interrupted = 130,
}

/// Why output ends before it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ctrl-C.
    Interrupted,
    /// `q` in the pager, or enough was read (`head` at the far end of a pipe): not a failure.
    Enough,
}

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fail {
    /// The line is at fault. `at` is the byte offset the caret points at, if there is one word to blame.
    Syntax {
        /// Byte offset into the line.
        at: Option<usize>,
        /// Complete lines, `% ` included.
        lines: Vec<String>,
    },
    /// Everything else: `<object>: <what is wrong>, <what to do>`, one each, without `% Error: `.
    Refused {
        /// Which exit status.
        status: Status,
        /// Sentences.
        problems: Vec<String>,
    },
    /// What went wrong is part of the output already; only the status is left to say.
    Said(Status),
    /// Output stopped.
    Stopped(Stop),
}

impl Fail {
    /// A failure with one sentence.
    pub(crate) fn failed(problem: impl Into<String>) -> Self {
        Self::Refused { status: Status::Failed, problems: vec![problem.into()] }
    }

    /// A refusal for want of privilege.
    pub(crate) fn denied(problem: impl Into<String>) -> Self {
        Self::Refused { status: Status::Denied, problems: vec![problem.into()] }
    }

    /// `% Invalid input`, with the second line of ours if there is something to say.
    pub(crate) fn invalid(at: usize, ours: Option<String>) -> Self {
        let mut lines = vec!["% Invalid input detected at '^' marker.".to_owned()];
        lines.extend(ours.map(|text| format!("% {text}")));
        Self::Syntax { at: Some(at), lines }
    }

    /// `% Incomplete command.`
    pub(crate) fn incomplete() -> Self {
        Self::Syntax { at: None, lines: vec!["% Incomplete command.".to_owned()] }
    }

    /// The exit status; 0 for output that was simply cut short.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Syntax { .. } => Status::Syntax as u8,
            Self::Refused { status, .. } | Self::Said(status) => *status as u8,
            Self::Stopped(Stop::Interrupted) => Status::Interrupted as u8,
            Self::Stopped(Stop::Enough) => 0,
        }
    }

    /// The lines to show, without the caret.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Syntax { lines, .. } => lines.clone(),
            Self::Refused { status: Status::Denied, problems } => problems.iter().map(|p| format!("% {p}")).collect(),
            Self::Refused { problems, .. } => problems.iter().map(|p| format!("% Error: {p}")).collect(),
            Self::Said(_) | Self::Stopped(_) => Vec::new(),
        }
    }

    /// The same as one object, for `| json`.
    pub(crate) fn json(&self) -> String {
        let message = match self {
            Self::Syntax { lines, .. } => {
                lines.iter().map(|line| line.trim_start_matches("% ")).collect::<Vec<_>>().join(" ")
            }
            Self::Refused { problems, .. } => problems.join("; "),
            Self::Said(_) => String::new(),
            Self::Stopped(_) => "interrupted".to_owned(),
        };
        serde_json::json!({ "error": { "code": self.code(), "message": message } }).to_string()
    }
}

impl From<Stop> for Fail {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Failed => Status::Failed,
            RefusalKind::Syntax => Status::Syntax,
            RefusalKind::Denied => Status::Denied,
            RefusalKind::NotApplied => Status::NotApplied,
        };
        Self::Refused { status, problems: refusal.problems }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_those_of_ios() {
        assert_eq!(Fail::invalid(5, None).lines(), ["% Invalid input detected at '^' marker."]);
        assert_eq!(Fail::incomplete().lines(), ["% Incomplete command."]);
        assert_eq!(Fail::failed("web: no").lines(), ["% Error: web: no"]);
    }

    #[test]
    fn a_failure_is_one_json_object() {
        let fail = Fail::invalid(5, Some("weight: <0-65535>".to_owned()));
        let value: serde_json::Value = serde_json::from_str(&fail.json()).unwrap();
        assert_eq!(value["error"]["code"], 2);
        assert_eq!(value["error"]["message"], "Invalid input detected at '^' marker. weight: <0-65535>");
    }
}
