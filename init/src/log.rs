//! The log ring, and the cutting of what processes write into its lines. Pure; nothing is ever written to flash.
//!
//! The ring is also the queue of remote syslog: who sends asks for the lines after the last it has sent, and a line that was pushed out
//! before its turn is one that is missing in the numbers. So nothing is copied for a slow receiver, and PID 1 waits for none.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::request::{Followed, LogLine};

/// Bytes of text the ring holds: some 10,000 lines, 1 MiB of the 80 MiB an idle box may use.
pub const RING_BYTES: usize = 1 << 20;
/// Longest line kept; the rest of it is dropped. A panic message with its location fits, a dumped table does not.
pub const LINE_BYTES: usize = 1024;
/// RFC 5424 §6.2.1.
pub const WARNING: u8 = 4;
/// RFC 5424 §6.2.1.
pub const INFORMATIONAL: u8 = 6;
/// Lines in one answer to who follows the log: at most 64 KiB of text in a buffer of PID 1.
pub const FOLLOW_LINES: usize = 64;
/// Followers whose place is kept. There are as many as `logging host` lines, the places of former ones included.
const FOLLOWERS_MAX: usize = 64;
/// What a line costs besides its text, so that empty lines are bounded too.
const OVERHEAD: usize = size_of::<LogLine>();

/// The latest lines of everybody.
#[derive(Debug, Default)]
pub struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// The number of the next line.
    next: u64,
    /// Lines before it were cleared: not shown any more, but sent.
    cleared: u64,
    /// Where each follower is: the number of the first line that it has not confirmed.
    places: BTreeMap<String, u64>,
}

impl Ring {
    /// Adds a line of this severity (0-7), written `at` (since boot) by `source`, and forgets the oldest ones that no longer fit.
    pub fn push(&mut self, at: Duration, source: &str, severity: u8, text: &str) {
        let mut end = text.len().min(LINE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let uptime_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.bytes += OVERHEAD + source.len() + end;
        self.lines.push_back(LogLine { uptime_ms, severity, source: source.to_owned(), text: text[..end].to_owned() });
        self.next += 1;
        while self.bytes > RING_BYTES
            && let Some(old) = self.lines.pop_front()
        {
            self.bytes -= OVERHEAD + old.source.len() + old.text.len();
        }
    }

    /// The last `count` lines (0: all) in the order of time: lines of the kernel arrive late.
    #[must_use]
    pub fn last(&self, count: u32) -> Vec<LogLine> {
        let cleared = usize::try_from(self.cleared.saturating_sub(self.first())).unwrap_or(usize::MAX);
        let mut lines: Vec<LogLine> = self.lines.iter().skip(cleared).cloned().collect();
        lines.sort_by_key(|line| line.uptime_ms);
        if count > 0 {
            let surplus = lines.len().saturating_sub(count as usize);
            lines.drain(..surplus);
        }
        lines
    }

    /// Shows no line any more that is there now. They stay for who follows.
    pub fn clear(&mut self) {
        self.cleared = self.next;
    }

    /// The lines after those that `follower` has confirmed, `None` when there are none yet. `confirmed` is the number it got with its
    /// last lines; a follower that has just begun has none, and goes on where one of its name was, or with the oldest line.
    pub fn follow(&mut self, follower: &str, confirmed: Option<u64>) -> Option<Followed> {
        if !self.places.contains_key(follower) && self.places.len() == FOLLOWERS_MAX {
            // Who is furthest behind is who is not there any more.
            let last = self.places.iter().min_by_key(|(_, place)| **place).map(|(name, _)| name.clone());
            last.map(|name| self.places.remove(&name));
        }
        let first = self.first();
        let place = self.places.entry(follower.to_owned()).or_insert(first);
        *place = confirmed.unwrap_or(*place).min(self.next);
        let lost = first.saturating_sub(*place);
        let from = (*place).max(first);
        let skip = usize::try_from(from - first).unwrap_or(usize::MAX);
        let lines: Vec<LogLine> = self.lines.iter().skip(skip).take(FOLLOW_LINES).cloned().collect();
        (!lines.is_empty()).then(|| Followed { next: from + lines.len() as u64, lines, lost })
    }

    /// The number of the oldest line.
    fn first(&self) -> u64 {
        self.next - self.lines.len() as u64
    }
}

/// The severity that a daemon has put in front of its line, as `env_logger` does (`info: text` or `[INFO ] text`), and the text.
#[must_use]
pub fn severity(line: &str) -> (u8, &str) {
    let named = match line.strip_prefix('[') {
        Some(line) => line.split_once("] "),
        None => line.split_once(": "),
    };
    let Some((word, text)) = named else { return (INFORMATIONAL, line) };
    let severity = match word.trim_end() {
        "error" | "ERROR" => 3,
        "warn" | "WARN" => WARNING,
        "info" | "INFO" => INFORMATIONAL,
        "debug" | "DEBUG" | "trace" | "TRACE" => 7,
        _ => return (INFORMATIONAL, line),
    };
    (severity, text)
}

/// Cuts the stream of one process into lines.
#[derive(Debug, Default)]
pub struct Cutter(Vec<u8>);

impl Cutter {
    /// Takes `bytes`, gives the lines that are complete. Bytes that are no UTF-8 or would move a cursor are replaced.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.keep(&rest[..end]);
            lines.extend(self.finish());
            rest = &rest[end + 1..];
        }
        self.keep(rest);
        lines
    }

    /// The line that was left open at the end of the stream, unless it is empty.
    pub fn finish(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.0);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end().replace(|c: char| c.is_control() && c != '\t', "?");
        (!text.is_empty()).then_some(text)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_come_in_the_order_of_time_and_the_oldest_go() {
        let mut ring = Ring::default();
        ring.push(Duration::from_millis(30), "init", 6, "later");
        ring.push(Duration::from_millis(10), "kernel", 6, "earlier");
        let texts: Vec<String> = ring.last(0).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["earlier", "later"]);
        assert_eq!(ring.last(1)[0].text, "later");

        let line = "x".repeat(LINE_BYTES * 2);
        for at in 0..5_000 {
            ring.push(Duration::from_millis(at), "a", 6, &line);
        }
        let kept = ring.last(0);
        assert!(ring.bytes <= RING_BYTES && kept.len() > 900, "{} lines in {} bytes", kept.len(), ring.bytes);
        assert_eq!(kept.last().map(|line| (line.uptime_ms, line.text.len())), Some((4_999, LINE_BYTES)));
        let empty = (0..100_000).map(|_| ring.push(Duration::ZERO, "", 6, "")).count();
        assert!(ring.lines.len() < empty, "empty lines are bounded too");
    }

    #[test]
    fn a_follower_gets_each_line_once_and_hears_of_those_it_missed() {
        let mut ring = Ring::default();
        assert_eq!(ring.follow("a", None), None);
        let text = |n: u64| format!("{n}");
        (0..100).for_each(|n| ring.push(Duration::ZERO, "x", 6, &text(n)));
        let first = ring.follow("a", None).unwrap();
        assert_eq!((first.lines.len(), first.next, first.lost), (FOLLOW_LINES, 64, 0));
        // It died without having confirmed them; its successor gets the same.
        assert_eq!(ring.follow("a", None), Some(first));
        let rest = ring.follow("a", Some(64)).unwrap();
        assert_eq!((rest.lines[0].text.as_str(), rest.next), ("64", 100));
        ring.clear();
        assert!(ring.last(0).is_empty());
        assert_eq!(ring.follow("a", Some(100)), None);
        assert_eq!(ring.follow("b", None).map(|b| b.next), Some(64), "another follower, and what was cleared is sent");
        // More than the ring holds.
        let long = "x".repeat(LINE_BYTES);
        (0..2_000).for_each(|_| ring.push(Duration::ZERO, "x", 6, &long));
        let kept = ring.lines.len() as u64;
        let late = ring.follow("a", None).unwrap();
        assert_eq!((late.lost, late.next), (2_000 - kept, 2_100 - kept + 64));
        assert_eq!(ring.last(0).len() as u64, kept, "what came after it was cleared is shown");
        assert!(ring.follow("a", Some(u64::MAX)).is_none(), "a number that never was");
        for n in 0..200 {
            let _ = ring.follow(&text(n), None);
        }
        assert_eq!(ring.places.len(), FOLLOWERS_MAX);
    }

    #[test]
    fn severities_as_daemons_write_them() {
        assert_eq!(severity("error: disk: full"), (3, "disk: full"));
        assert_eq!(severity("[WARN ] group a: late"), (4, "group a: late"));
        assert_eq!(severity("[77] Nov 28 05:05:30 Exit before auth"), (6, "[77] Nov 28 05:05:30 Exit before auth"));
        assert_eq!(severity("real-server web: down"), (6, "real-server web: down"));
        assert_eq!(severity("debug: x"), (7, "x"));
        assert_eq!(severity(""), (6, ""));
    }

    #[test]
    fn a_stream_is_cut_wherever_the_reads_fall() {
        let text = "one\r\n\ntwo \x1b[31mred\nthr\u{e9}e";
        for cut in 0..text.len() {
            let mut cutter = Cutter::default();
            let mut lines = cutter.push(&text.as_bytes()[..cut]);
            lines.extend(cutter.push(&text.as_bytes()[cut..]));
            lines.extend(cutter.finish());
            assert_eq!(lines, ["one", "two ?[31mred", "thr\u{e9}e"], "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_stream_makes_a_long_or_empty_line(bytes in proptest::collection::vec(any::<u8>(), 0..5_000)) {
            let mut cutter = Cutter::default();
            let mut ring = Ring::default();
            for line in cutter.push(&bytes).into_iter().chain(cutter.finish()) {
                prop_assert!(!line.is_empty() && !line.contains('\n'));
                ring.push(Duration::ZERO, "a", 6, &line);
            }
            prop_assert!(ring.last(0).iter().all(|line| line.text.len() <= LINE_BYTES));
        }
    }
}
