//! The time of day, read at this edge only. Without a zone database it is told in UTC, and says so.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local(u64);

impl Local {
    /// Now. A clock before 1970 counts as 1970.
    #[expect(clippy::disallowed_methods, reason = "the edge where the time of day is read")]
    pub(crate) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub(crate) fn unix_s(self) -> u64 {
        self.0
    }
}

/// `10:04:11 UTC Sat Nov 21 2026`, the way IOS writes it.
impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        let (year, month, day) = date(days);
        let weekday = DAYS[usize::try_from(days % 7).unwrap_or(0)];
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{h:02}:{m:02}:{s:02} UTC {weekday} {} {day} {year}", MONTHS[month])
    }
}

/// Year, month (0-11) and day (1-31) of a day since 1970-01-01.
fn date(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    for (month, length) in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    unreachable!("the days of a year are those of its months")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(Local(0).to_string(), "00:00:00 UTC Thu Jan 1 1970");
        assert_eq!(Local(951_827_696).to_string(), "12:34:56 UTC Tue Feb 29 2000");
        assert_eq!(Local(1_795_255_451).to_string(), "10:04:11 UTC Sat Nov 21 2026");
        assert_eq!(Local(4_107_542_399).to_string(), "23:59:59 UTC Sun Feb 28 2100");
    }
}
