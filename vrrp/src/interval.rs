//! The advertisement interval as a type, and the timers that RFC 9568 §6.1 and RFC 3768 §6.1 derive from it.
//!
//! Version 2 counts seconds and version 3 centiseconds; a bare integer would lose which. All arithmetic is in nanoseconds:
//! in whole centiseconds the skew of every priority is 0 at short intervals, and priority would no longer order an election.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use crate::{Priority, Version};

/// Time between two advertisements of the active router, in the unit of its protocol version. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AdvertInterval(Unit);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    /// Version 2, 1..=255 s.
    Seconds(NonZeroU8),
    /// Version 3, 1..=4095 cs: 12 bits.
    Centis(NonZeroU16),
}

/// An interval that the protocol cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Zero. A backup would take over at once and flood the link (RFC 9568 erratum 8301).
    #[error("an advertisement interval of 0 is refused")]
    Zero,
    /// Longer than the field can say.
    #[error("an advertisement interval of version 3 is at most 40950 ms")]
    TooLong,
    /// Not a multiple of the unit.
    #[error("the advertisement interval of version {} is a multiple of {unit_ms} ms", version.number())]
    NotAMultiple {
        /// The version that was asked for.
        version: Version,
        /// Its unit in milliseconds.
        unit_ms: u32,
    },
}

impl AdvertInterval {
    /// Longest of version 3: all ones in 12 bits, 40.95 s.
    pub const CENTIS_MAX: u16 = 4095;

    /// Version 2: whole seconds, 1..=255.
    ///
    /// # Errors
    /// [`IntervalError::Zero`].
    pub const fn seconds(seconds: u8) -> Result<Self, IntervalError> {
        match NonZeroU8::new(seconds) {
            Some(seconds) => Ok(Self(Unit::Seconds(seconds))),
            None => Err(IntervalError::Zero),
        }
    }

    /// Version 3: centiseconds, 1..=4095.
    ///
    /// # Errors
    /// [`IntervalError::Zero`], [`IntervalError::TooLong`].
    pub const fn centis(centis: u16) -> Result<Self, IntervalError> {
        match NonZeroU16::new(centis) {
            Some(_) if centis > Self::CENTIS_MAX => Err(IntervalError::TooLong),
            Some(centis) => Ok(Self(Unit::Centis(centis))),
            None => Err(IntervalError::Zero),
        }
    }

    /// From the milliseconds of a configuration. Nothing is rounded: 400 ms in version 2 is refused, not made 0 or 1 s.
    ///
    /// # Errors
    /// Every [`IntervalError`].
    pub fn from_millis(version: Version, millis: u32) -> Result<Self, IntervalError> {
        let unit_ms = match version {
            Version::V2 => 1000,
            Version::V3 => 10,
        };
        if !millis.is_multiple_of(unit_ms) {
            return Err(IntervalError::NotAMultiple { version, unit_ms });
        }
        let units = millis / unit_ms;
        match version {
            Version::V2 => Self::seconds(u8::try_from(units).map_err(|_| IntervalError::TooLong)?),
            Version::V3 => Self::centis(u16::try_from(units).map_err(|_| IntervalError::TooLong)?),
        }
    }

    /// The version whose unit this is.
    #[must_use]
    pub const fn version(self) -> Version {
        match self.0 {
            Unit::Seconds(_) => Version::V2,
            Unit::Centis(_) => Version::V3,
        }
    }

    /// The number in the packet: seconds of version 2, centiseconds of version 3.
    #[must_use]
    pub const fn field(self) -> u16 {
        match self.0 {
            Unit::Seconds(seconds) => seconds.get() as u16,
            Unit::Centis(centis) => centis.get(),
        }
    }

    /// As a span of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self.0 {
            Unit::Seconds(seconds) => Duration::from_secs(seconds.get() as u64),
            Unit::Centis(centis) => Duration::from_millis(centis.get() as u64 * 10),
        }
    }

    /// `Skew_Time`: the higher the priority, the sooner a backup acts.
    ///
    /// Version 3 scales it with the interval (RFC 9568 §6.1); version 2 has 256ths of a second (RFC 3768 §6.1), which is
    /// why a version 2 hand-over to priority 100 cannot be faster than 609 ms.
    #[must_use]
    pub fn skew(self, priority: Priority) -> Duration {
        let whole = match self.0 {
            Unit::Seconds(_) => Duration::from_secs(1),
            Unit::Centis(_) => self.duration(),
        };
        whole * (256 - u32::from(priority.get())) / 256
    }

    /// `Active_Down_Interval`: silence after which a backup of `priority` takes over. RFC 9568 §6.1, RFC 3768 §6.1.
    #[must_use]
    pub fn active_down(self, priority: Priority) -> Duration {
        self.duration() * 3 + self.skew(priority)
    }
}

impl fmt::Display for AdvertInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unit::Seconds(seconds) => write!(f, "{seconds} s"),
            Unit::Centis(_) => write!(f, "{} ms", self.duration().as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(number: u8) -> Priority {
        Priority::new(number).unwrap()
    }

    /// RFC 9568 §6.1: Skew_Time = ((256 - Priority) * Active_Adver_Interval) / 256, and what measuring gave for it.
    #[test]
    fn skew_keeps_its_nanoseconds() {
        let second = AdvertInterval::centis(100).unwrap();
        assert_eq!(second.skew(priority(100)), Duration::from_nanos(609_375_000));
        assert_eq!(second.active_down(priority(100)), Duration::from_nanos(3_609_375_000));
        let tenth = AdvertInterval::centis(10).unwrap();
        assert_eq!(tenth.skew(priority(253)), Duration::from_nanos(1_171_875));
        let shortest = AdvertInterval::centis(1).unwrap();
        assert_eq!(shortest.skew(priority(254)), Duration::from_nanos(78_125));
        assert_eq!(shortest.active_down(priority(255)), Duration::from_nanos(30_039_062));
    }

    /// RFC 3768 §6.1: Skew_Time = (256 - Priority) / 256 seconds, whatever the interval.
    #[test]
    fn version_2_skew_does_not_scale_with_the_interval() {
        let one = AdvertInterval::seconds(1).unwrap();
        let three = AdvertInterval::seconds(3).unwrap();
        assert_eq!(one.skew(priority(254)), Duration::from_nanos(7_812_500));
        assert_eq!(three.skew(priority(254)), one.skew(priority(254)));
        assert_eq!(three.active_down(priority(100)), Duration::from_nanos(9_609_375_000));
    }

    /// Every priority must order the election at every interval, also at the shortest.
    #[test]
    fn a_higher_priority_always_waits_less() {
        for interval in [AdvertInterval::seconds(1), AdvertInterval::centis(1), AdvertInterval::centis(4095)] {
            let interval = interval.unwrap();
            for number in 1..=254 {
                assert!(interval.active_down(priority(number)) > interval.active_down(priority(number + 1)));
            }
        }
    }

    /// RFC 9568 §6.1 with erratum 8301: 1-4095 centiseconds.
    #[test]
    fn intervals_outside_the_field_are_refused() {
        assert_eq!(AdvertInterval::centis(0), Err(IntervalError::Zero));
        assert_eq!(AdvertInterval::seconds(0), Err(IntervalError::Zero));
        assert_eq!(AdvertInterval::centis(4096), Err(IntervalError::TooLong));
        assert_eq!(AdvertInterval::centis(4095).unwrap().duration(), Duration::from_millis(40_950));
    }

    #[test]
    fn milliseconds_are_never_rounded() {
        let v2 = |millis| AdvertInterval::from_millis(Version::V2, millis);
        let v3 = |millis| AdvertInterval::from_millis(Version::V3, millis);
        assert_eq!(v2(400), Err(IntervalError::NotAMultiple { version: Version::V2, unit_ms: 1000 }));
        assert_eq!(v2(2000), AdvertInterval::seconds(2));
        assert_eq!(v2(256_000), Err(IntervalError::TooLong));
        assert_eq!(v3(15), Err(IntervalError::NotAMultiple { version: Version::V3, unit_ms: 10 }));
        assert_eq!(v3(100), AdvertInterval::centis(10));
        assert_eq!(v3(0), Err(IntervalError::Zero));
        assert_eq!(v3(40_960), Err(IntervalError::TooLong));
        assert_eq!(v3(100).unwrap().to_string(), "100 ms");
    }
}
