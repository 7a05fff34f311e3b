//! Log lines on their way to terminals: kept for a while, handed out once to each session that asks.
//!
//! The process's logger is [`Tee`]: every line goes to stderr, where init tags it, and into the ring. A shell polls before its prompt; nothing
//! writes to a terminal from here.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use log::{Level, Log, Metadata, Record};
use yoke_config::model::Severity;

/// Lines kept. A session that asks less often than a busy log turns this over misses the oldest; `show logging` has them.
const LINES_MAX: usize = 200;

/// The lines of this process.
pub(crate) static RING: Mutex<Ring> = Mutex::new(Ring::new());

/// Lines with a number each, so that a session knows what it has seen.
#[derive(Debug)]
pub(crate) struct Ring {
    lines: VecDeque<(Severity, String)>,
    /// The number of the next line.
    next: u64,
}

impl Ring {
    const fn new() -> Self {
        Self { lines: VecDeque::new(), next: 0 }
    }

    fn push(&mut self, severity: Severity, text: String) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back((severity, text));
        self.next += 1;
    }

    /// Where a session starts that wants no old lines.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }

    /// Lines since `cursor` that are `least` or graver; moves the cursor behind them.
    pub(crate) fn take(&self, cursor: &mut u64, least: Severity) -> Vec<String> {
        let first = self.next - u64::try_from(self.lines.len()).expect("LINES_MAX");
        let skip = usize::try_from(cursor.saturating_sub(first)).unwrap_or(usize::MAX);
        *cursor = self.next;
        let new = self.lines.iter().skip(skip);
        new.filter(|(severity, _)| *severity <= least).map(|(_, text)| text.clone()).collect()
    }
}

/// Lines of this process since `cursor` that are `least` or graver.
pub(crate) fn take(cursor: &mut u64, least: Severity) -> Vec<String> {
    RING.lock().unwrap_or_else(PoisonError::into_inner).take(cursor, least)
}

/// Where a new session starts.
pub(crate) fn end() -> u64 {
    RING.lock().unwrap_or_else(PoisonError::into_inner).end()
}

/// A logger that also fills the ring.
pub(crate) struct Tee(env_logger::Logger);

impl Tee {
    /// Makes it the logger of the process.
    pub(crate) fn install() {
        let env = env_logger::Env::default().default_filter_or("info");
        let logger = env_logger::Builder::from_env(env)
            .format(|out, record| {
                use std::io::Write as _;
                writeln!(out, "{}: {}", record.level().as_str().to_ascii_lowercase(), record.args())
            })
            .build();
        log::set_max_level(logger.filter());
        // Fails only when there is a logger, which then does as well.
        let _ = log::set_boxed_logger(Box::new(Self(logger)));
    }
}

impl Log for Tee {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.matches(record) {
            return;
        }
        self.0.log(record);
        let severity = severity(record.level());
        RING.lock().unwrap_or_else(PoisonError::into_inner).push(severity, record.args().to_string());
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::Errors,
        Level::Warn => Severity::Warnings,
        Level::Info => Severity::Informational,
        Level::Debug | Level::Trace => Severity::Debugging,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_sees_each_line_once_and_only_grave_ones() {
        let mut ring = Ring::new();
        ring.push(Severity::Errors, "before".into());
        let mut cursor = ring.end();
        ring.push(Severity::Errors, "one".into());
        ring.push(Severity::Informational, "chatter".into());
        ring.push(Severity::Critical, "two".into());
        assert_eq!(ring.take(&mut cursor, Severity::Errors), ["one", "two"]);
        assert!(ring.take(&mut cursor, Severity::Debugging).is_empty());
    }

    #[test]
    fn a_slow_session_misses_the_oldest_and_nothing_else() {
        let mut ring = Ring::new();
        let mut cursor = ring.end();
        for n in 0..LINES_MAX + 3 {
            ring.push(Severity::Errors, n.to_string());
        }
        let lines = ring.take(&mut cursor, Severity::Errors);
        assert_eq!((lines.len(), lines[0].as_str()), (LINES_MAX, "3"));
    }
}
