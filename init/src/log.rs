//! The log ring, and the cutting of what processes write into its lines. Pure; nothing is ever written to flash.

use std::collections::VecDeque;
use std::time::Duration;

use crate::request::LogLine;

/// Bytes of text the ring holds: some 10,000 lines, 1 MiB of the 80 MiB an idle box may use.
pub const RING_BYTES: usize = 1 << 20;
/// Longest line kept; the rest of it is dropped. A panic message with its location fits, a dumped table does not.
pub const LINE_BYTES: usize = 1024;
/// What a line costs besides its text, so that empty lines are bounded too.
const OVERHEAD: usize = size_of::<LogLine>();

/// The latest lines of everybody.
#[derive(Debug, Default)]
pub struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Ring {
    /// Adds a line, written `at` (since boot) by `source`, and forgets the oldest ones that no longer fit.
    pub fn push(&mut self, at: Duration, source: &str, text: &str) {
        let mut end = text.len().min(LINE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let uptime_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.bytes += OVERHEAD + source.len() + end;
        self.lines.push_back(LogLine { uptime_ms, source: source.to_owned(), text: text[..end].to_owned() });
        while self.bytes > RING_BYTES
            && let Some(old) = self.lines.pop_front()
        {
            self.bytes -= OVERHEAD + old.source.len() + old.text.len();
        }
    }

    /// The last `count` lines (0: all) in the order of time: lines of the kernel arrive late.
    #[must_use]
    pub fn last(&self, count: u32) -> Vec<LogLine> {
        let mut lines: Vec<LogLine> = self.lines.iter().cloned().collect();
        lines.sort_by_key(|line| line.uptime_ms);
        if count > 0 {
            let surplus = lines.len().saturating_sub(count as usize);
            lines.drain(..surplus);
        }
        lines
    }
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
        ring.push(Duration::from_millis(30), "init", "later");
        ring.push(Duration::from_millis(10), "kernel", "earlier");
        let texts: Vec<String> = ring.last(0).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["earlier", "later"]);
        assert_eq!(ring.last(1)[0].text, "later");

        let line = "x".repeat(LINE_BYTES * 2);
        for at in 0..5_000 {
            ring.push(Duration::from_millis(at), "a", &line);
        }
        let kept = ring.last(0);
        assert!(ring.bytes <= RING_BYTES && kept.len() > 900, "{} lines in {} bytes", kept.len(), ring.bytes);
        assert_eq!(kept.last().map(|line| (line.uptime_ms, line.text.len())), Some((4_999, LINE_BYTES)));
        let empty = (0..100_000).map(|_| ring.push(Duration::ZERO, "", "")).count();
        assert!(ring.lines.len() < empty, "empty lines are bounded too");
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
                ring.push(Duration::ZERO, "a", &line);
            }
            prop_assert!(ring.last(0).iter().all(|line| line.text.len() <= LINE_BYTES));
        }
    }
}
