//! What a VT100 would show of the bytes that came over a serial line: rows of text and a cursor.
//!
//! Only what the shell, the loader and firmware send is understood (the contract allows the shell no more than CR, LF,
//! BS, `ESC[K`, `ESC[J` and cursor moves). Rows are kept for ever, so that a test can look back; there is no scroll
//! region, no attribute, no character set.

use std::collections::BTreeSet;

/// Columns of a VT100. The shell assumes them on a serial line that reports no size.
pub const VT100_COLUMNS: usize = 80;

/// The rows and the cursor.
#[derive(Debug)]
pub struct Term {
    columns: usize,
    rows: Vec<Vec<char>>,
    /// Rows that only exist because the one before was full.
    wrapped: BTreeSet<usize>,
    row: usize,
    col: usize,
    state: State,
    parameters: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    Csi,
    /// After `ESC (` and its kin: one more byte belongs to the sequence.
    Charset,
}

impl Term {
    /// An empty screen of so many columns.
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            wrapped: BTreeSet::new(),
            row: 0,
            col: 0,
            state: State::default(),
            parameters: String::new(),
        }
    }

    /// Draws `bytes`.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.state {
                State::Text => self.text(byte),
                State::Escape => {
                    self.parameters.clear();
                    self.state = match byte {
                        b'[' => State::Csi,
                        b'(' | b')' | b'#' => State::Charset,
                        _ => State::Text,
                    };
                }
                State::Charset => self.state = State::Text,
                State::Csi if byte.is_ascii_digit() || matches!(byte, b';' | b'?') => self.parameters.push(byte.into()),
                State::Csi => {
                    self.state = State::Text;
                    self.csi(byte);
                }
            }
        }
    }

    /// The number of the row the cursor is on; grows as text arrives.
    pub fn row(&self) -> usize {
        self.row
    }

    /// The text on `row`, without trailing blanks; empty when there is no such row.
    pub fn line(&self, row: usize) -> String {
        let text: String = self.rows.get(row).into_iter().flatten().collect();
        text.trim_end().to_owned()
    }

    /// The cursor's row up to the cursor, and whether nothing but blanks follows it.
    pub fn before_cursor(&self) -> (String, bool) {
        let row = self.rows.get(self.row).map_or(&[][..], Vec::as_slice);
        let (before, after) = row.split_at(self.col.min(row.len()));
        (before.iter().collect(), after.iter().all(|c| *c == ' '))
    }

    /// The lines from row `first` up to the cursor's, each without trailing blanks. Rows that were too long for the
    /// terminal, and so became several, are one line again.
    pub fn lines_from(&self, first: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for row in first..=self.row {
            let text: String = self.rows.get(row).into_iter().flatten().collect();
            match lines.last_mut() {
                Some(line) if self.wrapped.contains(&row) => line.push_str(&text),
                _ => lines.push(text),
            }
        }
        lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
        lines
    }

    fn text(&mut self, byte: u8) {
        match byte {
            b'\x1b' => self.state = State::Escape,
            b'\r' => self.col = 0,
            b'\n' => self.row += 1,
            b'\x08' => self.col = self.col.saturating_sub(1),
            b'\t' => self.col = (self.col / 8 + 1) * 8,
            0..=31 | 127 => {}
            _ => {
                // The wrap happens when the next character arrives, not when the last column is filled.
                if self.col >= self.columns {
                    self.col = 0;
                    self.row += 1;
                    self.wrapped.insert(self.row);
                }
                let col = self.col;
                let row = self.row_mut();
                if row.len() <= col {
                    row.resize(col + 1, ' ');
                }
                row[col] = if byte.is_ascii() { char::from(byte) } else { '?' };
                self.col += 1;
            }
        }
    }

    fn csi(&mut self, command: u8) {
        let first = self.parameters.split(';').next().and_then(|p| p.parse::<usize>().ok());
        let count = first.unwrap_or(1).max(1);
        match command {
            b'A' => self.row = self.row.saturating_sub(count),
            b'B' => self.row += count,
            b'C' => self.col = (self.col + count).min(self.columns - 1),
            b'D' => self.col = self.col.saturating_sub(count),
            b'G' => self.col = count - 1,
            b'K' if first.unwrap_or(0) == 0 => {
                let col = self.col;
                self.row_mut().truncate(col);
            }
            b'K' => self.row_mut().clear(),
            b'J' if first.unwrap_or(0) == 0 => {
                let col = self.col;
                self.row_mut().truncate(col);
                self.rows.truncate(self.row + 1);
                self.wrapped.split_off(&(self.row + 1));
            }
            // A cleared or addressed screen (loader, firmware) starts on fresh rows: what was there stays readable.
            b'J' | b'H' | b'f' if !self.row_mut().is_empty() => {
                self.row = self.rows.len();
                self.col = 0;
            }
            b'J' | b'H' | b'f' => self.col = 0,
            _ => {}
        }
    }

    fn row_mut(&mut self) -> &mut Vec<char> {
        if self.rows.len() <= self.row {
            self.rows.resize(self.row + 1, Vec::new());
        }
        &mut self.rows[self.row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> Vec<String> {
        let mut term = Term::new(VT100_COLUMNS);
        term.feed(bytes);
        term.lines_from(0)
    }

    #[test]
    fn a_redrawn_line_shows_its_last_state() {
        assert_eq!(rows(b"yoke#sh\r\x1b[Kyoke#show\x1b[2D\x1b[C"), ["yoke#show"]);
        assert_eq!(rows(b"--More--\r        \rnext"), ["next"]);
        assert_eq!(rows(b"abc\x08\x08X\x1b[K"), ["aX"]);
    }

    #[test]
    fn the_cursor_tells_a_waiting_prompt_from_one_that_is_typed_at() {
        let mut term = Term::new(VT100_COLUMNS);
        term.feed(b"a\r\nyoke#");
        assert_eq!((term.row(), term.before_cursor()), (1, ("yoke#".to_owned(), true)));
        term.feed(b"show\r\x1b[5C");
        assert_eq!(term.before_cursor(), ("yoke#".to_owned(), false));
    }

    #[test]
    fn long_lines_wrap_as_on_a_vt100() {
        let mut term = Term::new(VT100_COLUMNS);
        term.feed("x".repeat(80).as_bytes());
        assert_eq!(term.row(), 0, "the last column does not wrap by itself");
        term.feed(b"y");
        assert_eq!((term.row(), term.line(1)), (1, "y".to_owned()));
        assert_eq!(term.lines_from(0), ["x".repeat(80) + "y"], "and is one line to whoever reads it");
        term.feed(b"\x1b[A\r\x1b[J");
        assert_eq!(term.lines_from(0), [""]);
    }

    #[test]
    fn no_bytes_break_it() {
        let all: Vec<u8> = (0..=255).chain(*b"\x1b[99999999999999999999A\x1b[;;K\x1b[").chain(0..=255).collect();
        for cut in 0..all.len() {
            rows(&all[cut..]);
        }
    }
}
