//! When to let more packets come before they are taken in. Pure: the engine waits.
//!
//! An active box sends the advertisements of all its groups one after the other, and a backup that wakes for each of 255 spends more on
//! waking than on reading. What is late by it are only answers: every timer runs from the kernel's time of reception.

use std::time::Duration;

use vrrp::Instant;

/// Packets closer together than this are a burst.
const CLOSE: Duration = Duration::from_micros(100);
/// How long more are let come: a dozen; and less than the 0.3 ms that a take-over may be above RFC 9568.
const PAUSE: Duration = Duration::from_micros(200);

/// What is remembered of the last packets.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// When the last were taken in.
    last: Option<Instant>,
}

impl Burst {
    /// Packets are there, `now`, and a timer runs out at `deadline`. Until when to wait before they are taken in; `None`: not at all.
    pub(super) fn pause(&self, now: Instant, deadline: Option<Instant>) -> Option<Instant> {
        let until = now + PAUSE;
        let close = self.last.is_some_and(|last| now.since(last) < CLOSE);
        (close && deadline.is_none_or(|deadline| deadline > until)).then_some(until)
    }

    /// All that was there has been taken in.
    pub(super) fn taken(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1000)
    }

    /// One every 15 microseconds, as measured, each taken in within 5.
    #[test]
    fn a_burst_of_255_wakes_a_few_times() {
        let mut burst = Burst::default();
        let (mut wakes, mut now) = (0, at(0));
        for packet in (0..255).map(|number| at(15 * number)) {
            if packet < now {
                continue;
            }
            wakes += 1;
            now = burst.pause(packet, Some(at(300_000))).unwrap_or(packet) + Duration::from_micros(5);
            burst.taken(now);
        }
        assert!(wakes < 25, "{wakes}");
    }

    #[test]
    fn a_packet_alone_and_a_deadline_do_not_wait() {
        let mut burst = Burst::default();
        assert_eq!(burst.pause(at(1000), None), None);
        burst.taken(at(1005));
        assert_eq!(burst.pause(at(1105), None), None, "not close");
        assert_eq!(burst.pause(at(1104), None), Some(at(1304)));
        assert_eq!(burst.pause(at(1104), Some(at(1304))), None, "a timer would be late");
    }
}
