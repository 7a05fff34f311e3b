//! The trial of a firmware that was started once: the loader says for how long (`yoke.trial`), and when nobody has committed it by then,
//! or when it was not healthy for five minutes, from its start on or later, the box restarts, which brings the other slot back.
//!
//! Whether it is healthy the director says, again and again; it never commits by that. PID 1 keeps the time, so that a director which does
//! not run, or hangs, cannot keep a box on a firmware that does not work. No I/O.

use std::time::Duration;

/// How long a firmware may not be healthy, the first time from the start of the kernel.
const HEALTHY_WITHIN: Duration = Duration::from_secs(300);
/// So many failures of the director in a row are no accident: with the supervisor's waits between them they take 8 seconds at least.
pub const FAILURES_MAX: u32 = 5;
/// When the loader says nothing sensible.
const MINUTES: u64 = 30;

/// What is known of the trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    ends: Duration,
    /// When it was healthy last; at first the start of the kernel.
    healthy_at: Duration,
    /// Why it is not, when it is not.
    why: Option<String>,
    failed: bool,
}

impl Trial {
    /// A trial of so many minutes from the start of the kernel, as the loader says it.
    #[must_use]
    pub fn new(minutes: &str) -> Self {
        let minutes = minutes.parse().ok().filter(|minutes| *minutes > 0).unwrap_or(MINUTES);
        Self {
            ends: Duration::from_secs(minutes.saturating_mul(60)),
            healthy_at: Duration::ZERO,
            why: Some("it is starting".to_owned()),
            failed: false,
        }
    }

    /// The director finds that all is as it should be.
    pub fn handle_healthy(&mut self, now: Duration) {
        self.healthy_at = now;
        self.why = None;
    }

    /// The director finds that something is not.
    pub fn handle_unhealthy(&mut self, why: String) {
        self.why = Some(why);
    }

    /// The director has failed so many times in a row. A program that is damaged will not come up, however long it is waited for.
    pub fn handle_failures(&mut self, failures: u32) {
        self.failed |= failures >= FAILURES_MAX;
    }

    /// When it is over, unless the director says once more that all is well.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        if self.failed { Duration::ZERO } else { self.ends.min(self.healthy_at + HEALTHY_WITHIN) }
    }

    /// For `show warnings`.
    #[must_use]
    pub fn sentence(&self, now: Duration) -> String {
        let (end, but) = match &self.why {
            None => (self.ends, String::new()),
            Some(why) => (self.poll_timeout(), format!(" and does not count as healthy ({why})")),
        };
        let minutes = end.saturating_sub(now).as_secs().div_ceil(60);
        format!(
            "install: this firmware is on trial{but}, the box returns in {minutes} minutes, to keep it: install commit"
        )
    }

    /// Why the box has to return, once it has to.
    #[must_use]
    pub fn verdict(&self, now: Duration) -> Option<String> {
        if now < self.poll_timeout() {
            return None;
        }
        let returns = "the box returns to the other slot";
        Some(match &self.why {
            _ if self.failed => format!("the director of this firmware does not run, {returns}"),
            _ if now >= self.ends => format!("this firmware was not committed in time, {returns}"),
            Some(why) => format!("this firmware is not healthy ({why}), {returns}"),
            None => format!("the director of this firmware says nothing any more, {returns}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn said(trial: &Trial, at: u64) -> String {
        trial.verdict(minutes(at)).unwrap_or_default()
    }

    #[test]
    fn it_ends_when_nobody_commits() {
        let mut trial = Trial::new("10");
        trial.handle_healthy(minutes(9));
        assert_eq!((trial.poll_timeout(), said(&trial, 9)), (minutes(10), String::new()));
        assert!(trial.sentence(minutes(2)).contains("on trial, the box returns in 8 minutes"));
        assert!(said(&trial, 10).contains("not committed"));
    }

    #[test]
    fn it_ends_earlier_when_it_is_not_healthy() {
        assert_eq!(Trial::new("30").poll_timeout(), minutes(5));
        assert_eq!(Trial::new("2").poll_timeout(), minutes(2));
        let mut trial = Trial::new("30");
        trial.handle_unhealthy("interface eth3: no such device".to_owned());
        assert!(trial.sentence(minutes(2)).contains("healthy (interface eth3: no such device), the box returns in 3"));
        assert!(said(&trial, 5).contains("not healthy (interface eth3"));
    }

    #[test]
    fn what_was_healthy_once_has_to_stay_so() {
        let mut trial = Trial::new("30");
        trial.handle_healthy(minutes(1));
        trial.handle_unhealthy("service vrrpd: backoff".to_owned());
        assert_eq!(trial.poll_timeout(), minutes(6));
        trial.handle_healthy(minutes(4));
        assert_eq!((trial.poll_timeout(), said(&trial, 8)), (minutes(9), String::new()));
        assert!(said(&trial, 9).contains("says nothing any more"));
    }

    #[test]
    fn it_ends_at_once_when_the_director_keeps_failing() {
        let mut trial = Trial::new("30");
        trial.handle_failures(FAILURES_MAX - 1);
        assert_eq!(trial.verdict(minutes(1)), None);
        trial.handle_failures(FAILURES_MAX);
        trial.handle_failures(0);
        assert!(said(&trial, 1).contains("does not run"));
    }

    #[test]
    fn a_loader_without_sense_means_the_usual() {
        for text in ["", "0", "-1", "soon"] {
            let mut trial = Trial::new(text);
            trial.handle_healthy(minutes(28));
            assert_eq!(trial.poll_timeout(), minutes(30), "{text}");
        }
    }
}
