//! The time of day, read at this edge only, in the zone of the configuration: the director links the zone's file where this looks. Without
//! one it is told in UTC. What a zone is, the crate `jiff` knows.

use jiff::fmt::strtime::format;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The zone's file (TZif, RFC 9636), that of `/etc/localtime`.
const ZONE: &str = "/run/yoke/etc/localtime";

/// The zone in which times are told.
pub(crate) fn zone() -> TimeZone {
    std::fs::read(ZONE).ok().and_then(|file| TimeZone::tzif("local", &file).ok()).unwrap_or(TimeZone::UTC)
}

/// Now.
pub(crate) fn now() -> Zoned {
    Timestamp::now().to_zoned(zone())
}

/// `10:04:11 CET Sat Nov 21 2026`, the way IOS writes it.
pub(crate) fn long(time: &Zoned) -> String {
    format("%H:%M:%S %Z %a %b %-d %Y", time).unwrap_or_else(|_| time.to_string())
}

/// `Nov 21 10:04:11.123`, for a line of the log. `unix_ms`: since 1970.
pub(crate) fn short(unix_ms: u64, zone: &TimeZone) -> String {
    let moment = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let text = moment.and_then(|moment| format("%b %e %H:%M:%S.%3f", &moment.to_zoned(zone.clone())).ok());
    text.unwrap_or_else(|| unix_ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> String {
        long(&Timestamp::from_second(second).unwrap().to_zoned(TimeZone::UTC))
    }

    #[test]
    fn known_moments() {
        assert_eq!(at(0), "00:00:00 UTC Thu Jan 1 1970");
        assert_eq!(at(951_827_696), "12:34:56 UTC Tue Feb 29 2000");
        assert_eq!(at(1_795_255_451), "10:04:11 UTC Sat Nov 21 2026");
        assert_eq!(at(4_107_542_399), "23:59:59 UTC Sun Feb 28 2100");
    }

    #[test]
    fn summer_and_winter_differ() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(short(1_795_255_451_007, &zone), "Nov 21 11:04:11.007");
        assert_eq!(short(1_782_903_600_000, &zone), "Jul  1 13:00:00.000");
        let winter = Timestamp::from_second(1_795_255_451).unwrap().to_zoned(zone);
        assert_eq!(long(&winter), "11:04:11 CET Sat Nov 21 2026");
        assert_eq!(short(u64::MAX, &TimeZone::UTC), u64::MAX.to_string());
    }
}
