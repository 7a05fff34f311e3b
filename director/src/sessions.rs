//! Who is connected, for `show users`, and who of them is in configuration mode.

use std::collections::BTreeMap;
use std::time::Instant;

use yoke_director::status::SessionRow;

/// Open sessions by number.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    next: u64,
    open: BTreeMap<u64, (SessionRow, Instant)>,
}

impl Sessions {
    /// A number nobody had before.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Says who a session is; the first time is its beginning.
    pub(crate) fn describe(&mut self, id: u64, row: SessionRow, now: Instant) {
        let (since, configuring) = self.open.get(&id).map_or((now, false), |(old, since)| (*since, old.configuring));
        self.open.insert(id, (SessionRow { configuring, ..row }, since));
    }

    /// Notes whether a session is in configuration mode.
    pub(crate) fn configure(&mut self, id: u64, active: bool) {
        if let Some((row, _)) = self.open.get_mut(&id) {
            row.configuring = active;
        }
    }

    /// Who is in configuration mode beside `id`, oldest first.
    pub(crate) fn configuring_beside(&self, id: u64, now: Instant) -> Vec<SessionRow> {
        let others = self.open.iter().filter(|(other, (row, _))| **other != id && row.configuring);
        others.map(|(_, open)| row(open, now)).collect()
    }

    /// The session is over.
    pub(crate) fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// Those that have logged in, oldest first.
    pub(crate) fn rows(&self, now: Instant) -> Vec<SessionRow> {
        self.open.values().filter(|(row, _)| !row.username.is_empty()).map(|open| row(open, now)).collect()
    }
}

fn row((row, since): &(SessionRow, Instant), now: Instant) -> SessionRow {
    SessionRow { since_s: now.saturating_duration_since(*since).as_secs(), ..row.clone() }
}
