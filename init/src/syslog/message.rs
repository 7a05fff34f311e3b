//! A line of the log as a message of RFC 5424. Pure.

use std::fmt::Write as _;

use crate::request::LogLine;

/// Longest HOSTNAME and APP-NAME (§6).
const HOSTNAME_MAX: usize = 255;
const APP_NAME_MAX: usize = 48;
/// After this number comes 1 again (§7.3.1).
const SEQUENCE_MAX: u64 = 2_147_483_647;

/// What turns a time since boot into a date.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// When the box booted, in milliseconds since 1970 by the clock as it stands now: lines from before it was set right get the right date
    /// too.
    pub at_boot: i128,
    /// Whether somebody keeps it right.
    pub synchronised: bool,
}

/// What is the same in all messages.
#[derive(Debug)]
pub(super) struct Header {
    facility: u8,
    hostname: String,
}

impl Header {
    pub(super) fn new(facility: u8, hostname: &str) -> Self {
        Self { facility, hostname: name(hostname, HOSTNAME_MAX) }
    }

    /// The message, without framing. `count` is how many it is, from 1.
    pub(super) fn message(&self, count: u64, line: &LogLine, clock: Clock) -> String {
        let priority = u32::from(self.facility) * 8 + u32::from(line.severity);
        let date = i64::try_from(clock.at_boot + i128::from(line.uptime_ms))
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
            .map_or_else(|| "-".to_owned(), |date| format!("{date:.3}"));
        let app = name(&line.source, APP_NAME_MAX);
        let mut text = format!("<{priority}>1 {date} {} {app} - - ", self.hostname);
        let synchronised = u8::from(clock.synchronised);
        let sequence = (count - 1) % SEQUENCE_MAX + 1;
        // sysUpTime is in hundredths of a second (§7.3.3).
        let uptime = line.uptime_ms / 10;
        let _ = write!(text, "[timeQuality tzKnown=\"1\" isSynced=\"{synchronised}\"]");
        let _ = write!(text, "[meta sequenceId=\"{sequence}\" sysUpTime=\"{uptime}\"] ");
        if !line.text.is_ascii() {
            // Says that it is UTF-8 (§6.4).
            text.push('\u{feff}');
        }
        text + &line.text
    }
}

/// Printable ASCII without spaces, at most so long; `-` for nothing.
fn name(text: &str, max: usize) -> String {
    let name: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(max).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// Framing of TCP: octet counting (RFC 6587 §3.4.1).
pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = format!("{} ", message.len()).into_bytes();
    frame.extend_from_slice(message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: &str, text: &str) -> LogLine {
        LogLine { uptime_ms: 61_007, severity: 4, source: source.into(), text: text.into() }
    }

    const CLOCK: Clock = Clock { at_boot: 1_795_255_451_000, synchronised: true };

    #[test]
    fn a_message_as_the_standard_wants_it() {
        let header = Header::new(23, "lb1");
        assert_eq!(
            header.message(7, &line("director", "real-server web: down"), CLOCK),
            "<188>1 2026-11-21T10:05:12.007Z lb1 director - - [timeQuality tzKnown=\"1\" isSynced=\"1\"]\
             [meta sequenceId=\"7\" sysUpTime=\"6100\"] real-server web: down"
        );
        assert!(header.message(1, &line("a", "\u{e9}"), CLOCK).ends_with("] \u{feff}\u{e9}"));
    }

    #[test]
    fn names_are_names_and_numbers_go_round() {
        let header = Header::new(3, "");
        let message = header.message(
            SEQUENCE_MAX + 1,
            &line("a b\u{e9}", ""),
            Clock { at_boot: i128::MAX / 2, synchronised: false },
        );
        assert!(
            message.starts_with("<28>1 - - a_b_ - - [timeQuality tzKnown=\"1\" isSynced=\"0\"][meta sequenceId=\"1\""),
            "{message}"
        );
        assert_eq!(name(&"x".repeat(99), APP_NAME_MAX).len(), APP_NAME_MAX);
    }

    #[test]
    fn a_frame_counts_octets() {
        assert_eq!(frame("\u{e9}x".as_bytes()), b"3 \xc3\xa9x");
    }
}
