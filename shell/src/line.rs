//! A line of input, byte by byte, without a terminal that can draw. Pure: bytes in, what happened and what to echo out.
//!
//! It serves dumb terminals, scripts and pasted text. A person at a capable terminal edits with rustyline instead, which
//! draws with escape sequences that scripts stumble over; this does not know them, it only knows how to skip them.

/// Longest line in bytes: longer than any that means something, a key or a banner. What comes in endlessly must not take the memory of the box.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 10;

/// What stands for a line that was too long. It means nothing, and says why; half of such a line might mean something else.
pub(crate) fn too_long() -> String {
    format!("(a line of more than {LINE_BYTES_MAX} bytes)")
}

/// What a byte did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing that shows.
    Nothing,
    /// Echo this.
    Echo(String),
    /// Enter: the line is complete.
    Submit,
    /// `?` outside quotes.
    Help,
    /// Tab.
    Complete,
    /// Ctrl-Z: run the line, then `end`.
    End,
    /// Ctrl-D on an empty line.
    EndOfFile,
    /// Ctrl-C, where it comes as a byte.
    Interrupt,
    /// Arrow up or Ctrl-P.
    Previous,
    /// A key that only the editor knows.
    Edit,
}

/// The line as far as it was typed.
#[derive(Debug, Default)]
pub(crate) struct Line {
    text: String,
    /// Bytes of an unfinished UTF-8 sequence.
    partial: Vec<u8>,
    escape: Escape,
    /// Ctrl-V: the next byte is text.
    literal: bool,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// Inside a CSI or SS3 sequence, up to its final byte.
    Sequence,
}

impl Line {
    /// The text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Takes the text and begins a new line. Whether an LF still belongs to the last CR is kept.
    pub(crate) fn take(&mut self) -> String {
        self.partial.clear();
        self.escape = Escape::None;
        self.literal = false;
        let text = std::mem::take(&mut self.text);
        if text.len() > LINE_BYTES_MAX { too_long() } else { text }
    }

    /// Replaces the text: completion, or a line to go on with.
    pub(crate) fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
    }

    /// Takes in one byte.
    pub(crate) fn handle_byte(&mut self, byte: u8) -> Effect {
        let after_cr = std::mem::take(&mut self.after_cr);
        if self.escape != Escape::None {
            return self.handle_escaped(byte);
        }
        if std::mem::take(&mut self.literal) && byte.is_ascii_graphic() {
            return self.insert(byte);
        }
        match byte {
            b'\n' if after_cr => Effect::Nothing,
            b'\r' | b'\n' => {
                self.after_cr = byte == b'\r';
                Effect::Submit
            }
            b'?' if !is_quoted(&self.text) => Effect::Help,
            b'\t' => Effect::Complete,
            0x03 => Effect::Interrupt,
            0x04 if self.text.is_empty() => Effect::EndOfFile,
            0x08 | 0x7f => self.erase(|text| text.char_indices().next_back().map_or(0, |(at, _)| at)),
            0x10 => Effect::Previous,
            0x15 => self.erase(|_| 0),
            0x16 => {
                self.literal = true;
                Effect::Nothing
            }
            0x17 => self.erase(|text| text.trim_end().rfind(' ').map_or(0, |at| at + 1)),
            0x1a => Effect::End,
            0x1b => {
                self.escape = Escape::Begun;
                Effect::Nothing
            }
            0x00 => Effect::Nothing,
            0x01..0x20 => Effect::Edit,
            _ => self.insert(byte),
        }
    }

    fn handle_escaped(&mut self, byte: u8) -> Effect {
        match (&self.escape, byte) {
            (Escape::Begun, b'[' | b'O') => {
                self.escape = Escape::Sequence;
                Effect::Nothing
            }
            (Escape::Sequence, 0x20..=0x3f) => Effect::Nothing,
            (Escape::Sequence, b'A') => {
                self.escape = Escape::None;
                Effect::Previous
            }
            _ => {
                self.escape = Escape::None;
                Effect::Edit
            }
        }
    }

    fn insert(&mut self, byte: u8) -> Effect {
        if self.text.len() > LINE_BYTES_MAX {
            return Effect::Nothing;
        }
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                let text = text.to_owned();
                self.partial.clear();
                self.text.push_str(&text);
                Effect::Echo(text)
            }
            // The sequence may still be completed.
            Err(e) if e.error_len().is_none() => Effect::Nothing,
            Err(_) => {
                self.partial.clear();
                Effect::Nothing
            }
        }
    }

    /// Cuts the text at what `keep` says, and rubs out what showed of it.
    fn erase(&mut self, keep: impl Fn(&str) -> usize) -> Effect {
        let cut = self.text.split_off(keep(&self.text));
        Effect::Echo("\u{8} \u{8}".repeat(cut.chars().count()))
    }
}

/// Whether the end of `text` lies inside a double quote, where `?` and `|` are literal.
pub(crate) fn is_quoted(text: &str) -> bool {
    let mut quoted = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                bytes.next();
            }
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(line: &mut Line, bytes: &[u8]) -> Vec<Effect> {
        bytes.iter().map(|&b| line.handle_byte(b)).collect()
    }

    #[test]
    fn cr_lf_and_crlf_end_one_line_each() {
        for end in [&b"\r"[..], b"\n", b"\r\n"] {
            let mut line = Line::default();
            type_in(&mut line, b"end");
            assert_eq!(type_in(&mut line, end)[0], Effect::Submit);
            assert_eq!(line.take(), "end");
            assert!(type_in(&mut line, b"x\n").contains(&Effect::Submit));
            assert_eq!(line.take(), "x", "after {end:?}");
        }
        let mut line = Line::default();
        assert_eq!(type_in(&mut line, b"\r\n\n"), [Effect::Submit, Effect::Nothing, Effect::Submit]);
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_means_nothing() {
        let mut line = Line::default();
        for _ in 0..LINE_BYTES_MAX * 2 {
            line.handle_byte(b'x');
        }
        assert!(line.text().len() <= LINE_BYTES_MAX + 1);
        assert_eq!(line.take(), too_long());
        line.handle_byte(b'y');
        assert_eq!(line.take(), "y");
    }

    #[test]
    fn a_question_mark_is_help_unless_quoted_or_literal() {
        let mut line = Line::default();
        assert_eq!(type_in(&mut line, b"sh?").pop(), Some(Effect::Help));
        assert_eq!(line.text(), "sh");
        let mut line = Line::default();
        type_in(&mut line, b"description \"why?\" \x16?");
        assert_eq!(line.take(), "description \"why?\" ?");
    }

    #[test]
    fn rubbing_out_rubs_out_whole_characters() {
        let mut line = Line::default();
        type_in(&mut line, "dañ".as_bytes());
        assert_eq!(line.handle_byte(0x7f), Effect::Echo("\u{8} \u{8}".to_owned()));
        assert_eq!(line.text(), "da");
        type_in(&mut line, b" show ver\x17");
        assert_eq!(line.text(), "da show ");
        type_in(&mut line, b"\x15");
        assert_eq!(line.text(), "");
        assert_eq!(line.handle_byte(0x7f), Effect::Echo(String::new()));
    }

    #[test]
    fn escape_sequences_leave_no_text() {
        let mut line = Line::default();
        let seen = type_in(&mut line, b"\x1b[A\x1b[1;5D\x1bOA\x1bbshow");
        assert_eq!(line.text(), "show");
        assert_eq!(seen.iter().filter(|e| **e == Effect::Previous).count(), 2);
    }

    #[test]
    fn bytes_that_are_no_text_are_dropped() {
        let mut line = Line::default();
        type_in(&mut line, b"a\xff\xc3b\x00c");
        assert_eq!(line.take(), "abc".replace('b', ""), "an unfinished sequence takes the byte that broke it along");
        type_in(&mut line, &[0xc3]);
        type_in(&mut line, &[0xb1]);
        assert_eq!(line.text(), "ñ");
    }

    #[test]
    fn control_keys_do_what_they_say() {
        let mut line = Line::default();
        assert_eq!(line.handle_byte(4), Effect::EndOfFile);
        type_in(&mut line, b"x");
        assert_eq!(line.handle_byte(4), Effect::Edit);
        assert_eq!(line.handle_byte(0x1a), Effect::End);
        assert_eq!(line.handle_byte(9), Effect::Complete);
        assert_eq!(line.handle_byte(3), Effect::Interrupt);
        assert_eq!(line.handle_byte(0x12), Effect::Edit);
    }
}
