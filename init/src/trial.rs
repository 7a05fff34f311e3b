//! The trial of a firmware that was started once: the loader says for how long (`yoke.trial`), and when nobody has committed it by then,
//! or when it is not healthy after five minutes, the box restarts, which brings the other slot back.
//!
//! Whether it is healthy the director says; it never commits by that. PID 1 keeps the time, so that a director which does not run, or hangs,
//! cannot keep a box on a firmware that does not work. No I/O.

use std::time::Duration;

/// How long a firmware has to come up, from the start of the kernel.
const HEALTHY_WITHIN: Duration = Duration::from_secs(300);
/// So many failures of the director in a row are no accident: with the supervisor's waits between them they take 8 seconds at least.
const FAILURES_MAX: u32 = 5;
/// When the loader says nothing sensible.
const MINUTES: u64 = 30;

/// What is known of the trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    ends: Duration,
    healthy: bool,
    failed: bool,
}

impl Trial {
    /// A trial of so many minutes from the start of the kernel, as the loader says it.
    #[must_use]
    pub fn new(minutes: &str) -> Self {
        let minutes = minutes.parse().ok().filter(|minutes| *minutes > 0).unwrap_or(MINUTES);
        Self { ends: Duration::from_secs(minutes.saturating_mul(60)), healthy: false, failed: false }
    }

    /// The director has loaded all of the configuration.
    pub fn handle_healthy(&mut self) {
        self.healthy = true;
    }

    /// The director has failed so many times in a row. A program that is damaged will not come up, however long it is waited for.
    pub fn handle_failures(&mut self, failures: u32) {
        self.failed |= failures >= FAILURES_MAX;
    }

    /// When it is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        if self.failed {
            return Duration::ZERO;
        }
        if self.healthy { self.ends } else { self.ends.min(HEALTHY_WITHIN) }
    }

    /// For `show warnings`.
    #[must_use]
    pub fn sentence(&self, now: Duration) -> String {
        let minutes = self.poll_timeout().saturating_sub(now).as_secs().div_ceil(60);
        let healthy = if self.healthy { "" } else { " and does not count as healthy yet" };
        format!(
            "install: this firmware is on trial{healthy}, the box returns in {minutes} minutes, to keep it: install commit"
        )
    }

    /// Why the box has to return, once it has to.
    #[must_use]
    pub fn verdict(&self, now: Duration) -> Option<&'static str> {
        (now >= self.poll_timeout()).then_some(if self.failed {
            "the director of this firmware does not run, the box returns to the other slot"
        } else if self.healthy {
            "this firmware was not committed in time, the box returns to the other slot"
        } else {
            "this firmware did not come up healthy, the box returns to the other slot"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn it_ends_when_nobody_commits() {
        let mut trial = Trial::new("10");
        trial.handle_healthy();
        assert_eq!((trial.poll_timeout(), trial.verdict(minutes(9))), (minutes(10), None));
        assert!(trial.verdict(minutes(10)).is_some_and(|why| why.contains("not committed")));
    }

    #[test]
    fn it_ends_earlier_when_it_is_not_healthy() {
        assert_eq!(Trial::new("30").poll_timeout(), minutes(5));
        assert_eq!(Trial::new("2").poll_timeout(), minutes(2));
        assert!(Trial::new("30").verdict(minutes(5)).is_some_and(|why| why.contains("healthy")));
    }

    #[test]
    fn it_ends_at_once_when_the_director_keeps_failing() {
        let mut trial = Trial::new("30");
        trial.handle_failures(FAILURES_MAX - 1);
        assert_eq!(trial.verdict(minutes(1)), None);
        trial.handle_failures(FAILURES_MAX);
        trial.handle_failures(0);
        assert!(trial.verdict(minutes(1)).is_some_and(|why| why.contains("does not run")));
    }

    #[test]
    fn a_loader_without_sense_means_the_usual() {
        for text in ["", "0", "-1", "soon"] {
            let mut trial = Trial::new(text);
            trial.handle_healthy();
            assert_eq!(trial.poll_timeout(), minutes(30), "{text}");
        }
    }
}
