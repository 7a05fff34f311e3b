//! What is left when not all could be done.

use std::collections::BTreeMap;
use std::fmt;

use super::{Change, inverse};
use crate::Error;

/// Some of a list of requests or changes failed. What is neither in `failed` nor in `done` was not sent or, when the failure is not
/// [`Error::Refused`], may or may not have been done. Displays as the first failure.
#[derive(Debug)]
pub struct ApplyError {
    /// What failed: its place in the list, and how. At least one, in order.
    pub failed: Vec<(usize, Error)>,
    /// What is known to be done: places in the list, in order.
    pub done: Vec<usize>,
}

impl ApplyError {
    /// Nothing was sent.
    pub(crate) fn before(place: usize, error: Error) -> Self {
        Self { failed: vec![(place, error)], done: Vec::new() }
    }

    /// All before `start` is done; of the `known` places from there on, those that are not in `failed`.
    pub(crate) fn in_batch(start: usize, known: usize, failed: BTreeMap<usize, Error>) -> Self {
        let in_batch = (0..known).filter(|place| !failed.contains_key(place)).map(|place| start + place);
        let done = (0..start).chain(in_batch).collect();
        let failed = failed.into_iter().map(|(place, error)| (start + place, error)).collect();
        Self { failed, done }
    }

    /// The steps that take back what was done of those changes.
    #[must_use]
    pub fn undo(&self, changes: &[Change]) -> Vec<Change> {
        let done: Vec<Change> = self.done.iter().filter_map(|place| changes.get(*place).cloned()).collect();
        inverse(&done)
    }

    /// The first failure.
    #[must_use]
    pub fn first(&self) -> &Error {
        &self.failed.first().expect("there is no error without a failure").1
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first().fmt(f)?;
        match self.failed.len() {
            0 | 1 => Ok(()),
            more => write!(f, " (and {} more)", more - 1),
        }
    }
}

impl std::error::Error for ApplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.first())
    }
}
