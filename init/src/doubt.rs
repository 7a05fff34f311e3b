//! Whether a committed firmware comes up: when its director does not run, the box restarts, so that the loader's count of such starts goes on
//! and ends at the slot that was good before. Nobody has to pull the plug three times for it.
//!
//! Only a start that the loader counts, and behind which there is such a slot, is doubted (`yoke.spare`); the loader says so three times in a row
//! at most, and of the other slot never. So a box that works nowhere ends on the older firmware and stays up there, with its console. Once the
//! director has come up, which is to be ready and to stay so for a while, the doubt is over: what fails later is the supervisor's. A firmware on trial has a [`Trial`](crate::trial) instead. No I/O.

use std::time::Duration;

use crate::cmdline::Cmdline;
use crate::trial::FAILURES_MAX;

/// A firmware has come up when its director has been ready for so long: it has loaded what was saved, balances, and answers. Longer would take
/// more cuts of the power for failures of the firmware.
pub const UP_AFTER: Duration = Duration::from_secs(20);
/// How long it may take until the director is ready, from the start of the kernel.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    failed: bool,
    ready_since: Option<Duration>,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has come up: there is no doubt any more.
    Up,
    /// The box has to restart; a sentence.
    Restart(String),
}

impl Doubt {
    /// As the loader says; `None`: there is none. Who starts without the saved configuration stands at the console, and is not restarted.
    #[must_use]
    pub fn new(cmdline: &Cmdline) -> Option<Self> {
        (cmdline.has("yoke.spare") && !cmdline.has("yoke.trial") && !cmdline.has("yoke.recover"))
            .then_some(Self { failed: false, ready_since: None })
    }

    /// The director has failed so many times in a row, and is ready since then, if it is.
    pub fn handle_director(&mut self, failures: u32, ready_since: Option<Duration>) {
        self.failed |= failures >= FAILURES_MAX;
        self.ready_since = ready_since;
    }

    /// When there is a verdict, unless something happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        match self.ready_since {
            _ if self.failed => Duration::ZERO,
            Some(since) => since + UP_AFTER,
            None => READY_WITHIN,
        }
    }

    /// The verdict, once there is one.
    #[must_use]
    pub fn verdict(&self, now: Duration) -> Option<Verdict> {
        if now < self.poll_timeout() {
            return None;
        }
        let what = match self.ready_since {
            _ if self.failed => "does not run",
            Some(_) => return Some(Verdict::Up),
            None => "is not ready in time",
        };
        Some(Verdict::Restart(format!(
            "the director of this firmware {what}, the box restarts; after three such starts into the other slot"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(cmdline: &str) -> Option<Doubt> {
        Doubt::new(&Cmdline::parse(cmdline))
    }

    #[test]
    fn only_a_start_that_is_counted_towards_another_slot_is_doubted() {
        assert!(doubt("yoke.slot=b yoke.spare").is_some());
        for cmdline in ["yoke.slot=b", "yoke.slot=b yoke.trial=30 yoke.spare", "yoke.spare yoke.recover"] {
            assert_eq!(doubt(cmdline), None, "{cmdline}");
        }
    }

    fn restarts(it: &Doubt, now: Duration, why: &str) -> bool {
        matches!(it.verdict(now), Some(Verdict::Restart(text)) if text.contains(why))
    }

    #[test]
    fn it_restarts_when_the_director_keeps_failing_or_is_never_ready() {
        let mut it = doubt("yoke.spare").expect("doubted");
        it.handle_director(FAILURES_MAX - 1, None);
        assert_eq!(it.verdict(READY_WITHIN - Duration::from_millis(1)), None);
        assert!(restarts(&it, READY_WITHIN, "is not ready in time"));
        it.handle_director(FAILURES_MAX, None);
        it.handle_director(0, Some(Duration::from_secs(9)));
        assert!(restarts(&it, Duration::from_secs(9), "does not run"));
    }

    #[test]
    fn a_director_that_is_ready_and_stays_so_is_left_alone() {
        let mut it = doubt("yoke.spare").expect("doubted");
        // However late.
        let since = READY_WITHIN - Duration::from_millis(1);
        it.handle_director(2, Some(since));
        assert_eq!(it.verdict(READY_WITHIN), None);
        assert_eq!(it.verdict(since + UP_AFTER), Some(Verdict::Up));
        it.handle_director(3, None);
        assert!(restarts(&it, since + UP_AFTER, "not ready"));
    }
}
