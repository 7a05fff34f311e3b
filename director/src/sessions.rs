//! Who is connected, for `show users`.

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
        let since = self.open.get(&id).map_or(now, |(_, since)| *since);
        self.open.insert(id, (row, since));
    }

    /// The session is over.
    pub(crate) fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// Those that have logged in, oldest first.
    pub(crate) fn rows(&self, now: Instant) -> Vec<SessionRow> {
        let logged_in = self.open.values().filter(|(row, _)| !row.username.is_empty());
        logged_in
            .map(|(row, since)| SessionRow { since_s: now.saturating_duration_since(*since).as_secs(), ..row.clone() })
            .collect()
    }
}
