//! ` --More-- `: output a screen at a time.
//!
//! It is erased with carriage returns and spaces, no escape sequence is sent. It reads keys from a [`Keys`], not from the
//! terminal, so that its behaviour is a test.

use crate::out::Sink;
use crate::outcome::Stop;

const PROMPT: &str = " --More-- ";

/// Where the pager's keys come from and its prompt goes to.
pub(crate) trait Keys {
    /// Waits for a key. `None`: Ctrl-C, or nobody is there any more.
    fn key(&mut self) -> Option<u8>;
    /// Shows text that is not output.
    fn show(&mut self, text: &str);
}

/// Pages what goes through it.
pub(crate) struct Pager<'a> {
    next: Box<dyn Sink + 'a>,
    keys: Box<dyn Keys + 'a>,
    rows: usize,
    columns: usize,
    /// Rows that may still be written before the next stop; `None` once the rest may run through.
    left: Option<usize>,
    /// Skip until a line holds this.
    search: Option<String>,
}

impl<'a> Pager<'a> {
    /// `rows` and `columns` of the terminal, not zero.
    pub(crate) fn new(next: Box<dyn Sink + 'a>, keys: Box<dyn Keys + 'a>, rows: usize, columns: usize) -> Self {
        let rows = rows.max(2);
        Self { next, keys, rows, columns: columns.max(1), left: Some(rows - 1), search: None }
    }

    fn height(&self, line: &str) -> usize {
        line.chars().count().div_ceil(self.columns).max(1)
    }

    fn stop(&mut self) -> Result<(), Stop> {
        self.keys.show(PROMPT);
        let outcome = loop {
            match self.keys.key() {
                None => break Err(Stop::Interrupted),
                Some(b'q' | b'Q') => break Err(Stop::Enough),
                Some(0x03) => break Err(Stop::Interrupted),
                Some(b' ') => {
                    self.left = Some(self.rows - 1);
                    break Ok(());
                }
                Some(b'\r' | b'\n') => {
                    self.left = Some(1);
                    break Ok(());
                }
                Some(b'g' | b'G') => {
                    self.left = None;
                    break Ok(());
                }
                Some(b'/') => {
                    if let Some(text) = self.read_search() {
                        self.search = Some(text);
                        self.left = Some(self.rows - 1);
                        break Ok(());
                    }
                }
                Some(_) => {}
            }
        };
        self.erase(PROMPT.len());
        outcome
    }

    /// Reads what follows `/` up to Enter; `None` when it was rubbed out.
    fn read_search(&mut self) -> Option<String> {
        self.erase(PROMPT.len());
        self.keys.show("/");
        let mut text = String::new();
        let found = loop {
            match self.keys.key() {
                Some(b'\r' | b'\n') if !text.is_empty() => break true,
                None | Some(b'\r' | b'\n' | 0x03) => break false,
                Some(0x08 | 0x7f) => {
                    if text.pop().is_none() {
                        break false;
                    }
                    self.keys.show("\u{8} \u{8}");
                }
                Some(byte) if byte.is_ascii_graphic() || byte == b' ' => {
                    text.push(char::from(byte));
                    self.keys.show(&char::from(byte).to_string());
                }
                Some(_) => {}
            }
        };
        self.erase(text.len() + 1);
        if !found {
            self.keys.show(PROMPT);
        }
        found.then_some(text)
    }

    fn erase(&mut self, width: usize) {
        self.keys.show(&format!("\r{:width$}\r", ""));
    }
}

impl Sink for Pager<'_> {
    fn line(&mut self, line: &str) -> Result<(), Stop> {
        if let Some(text) = &self.search {
            if !line.contains(text) {
                return Ok(());
            }
            self.search = None;
        }
        let height = self.height(line);
        if self.left.is_some_and(|left| left < height.min(self.rows - 1)) {
            self.stop()?;
            if self.search.is_some() {
                return self.line(line);
            }
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(height);
        }
        self.next.line(line)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        if let Some(text) = self.search.take() {
            self.next.line(&format!("% not found: {text}"))?;
        }
        self.next.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;

    use super::*;

    #[derive(Default, Clone)]
    struct Screen(Rc<RefCell<String>>, Rc<RefCell<VecDeque<u8>>>);

    impl Keys for Screen {
        fn key(&mut self) -> Option<u8> {
            self.1.borrow_mut().pop_front()
        }

        fn show(&mut self, text: &str) {
            self.0.borrow_mut().push_str(text);
        }
    }

    impl Sink for Screen {
        fn line(&mut self, line: &str) -> Result<(), Stop> {
            self.0.borrow_mut().push_str(&format!("{line}\n"));
            Ok(())
        }

        fn finish(&mut self) -> Result<(), Stop> {
            Ok(())
        }
    }

    /// Pages the lines 1 to `lines` at 5 rows of 10 columns; what was shown, erased prompts as `#`, and how it ended.
    fn page(lines: usize, keys: &str) -> (String, Result<(), Stop>) {
        let screen = Screen::default();
        screen.1.borrow_mut().extend(keys.bytes());
        let mut pager = Pager::new(Box::new(screen.clone()), Box::new(screen.clone()), 5, 10);
        let end = (1..=lines).try_for_each(|n| pager.line(&format!("line {n}"))).and_then(|()| pager.finish());
        let erased = format!("{PROMPT}\r{:1$}\r", "", PROMPT.len());
        let shown = screen.0.borrow().replace(&erased, "#").replace("line ", "").replace('\n', " ");
        (shown, end)
    }

    #[test]
    fn what_fits_is_not_paged() {
        assert_eq!(page(4, ""), ("1 2 3 4 ".to_owned(), Ok(())));
    }

    #[test]
    fn space_enter_q_and_g() {
        assert_eq!(page(6, " "), ("1 2 3 4 #5 6 ".to_owned(), Ok(())));
        assert_eq!(page(6, "\rq"), ("1 2 3 4 #5 #".to_owned(), Err(Stop::Enough)));
        assert_eq!(page(99, "q").1, Err(Stop::Enough));
        assert!(page(99, "g").0.ends_with("98 99 "));
        assert_eq!(page(9, "x\x03").1, Err(Stop::Interrupted));
        assert_eq!(page(9, "").1, Err(Stop::Interrupted), "a terminal that is gone ends it");
    }

    #[test]
    fn a_search_skips_to_the_match() {
        let (shown, end) = page(50, "/4\u{8}42\rq");
        assert!(shown.contains("42 43 44 45 #"), "{shown}");
        assert!(!shown.contains(" 41 "));
        assert_eq!(end, Err(Stop::Enough));
        assert!(page(9, "/zz\r").0.ends_with("% not found: zz "));
    }

    #[test]
    fn a_long_line_takes_its_rows() {
        let screen = Screen::default();
        screen.1.borrow_mut().push_back(b'q');
        let mut pager = Pager::new(Box::new(screen.clone()), Box::new(screen.clone()), 5, 10);
        pager.line(&"x".repeat(35)).unwrap();
        assert_eq!(pager.line("y"), Err(Stop::Enough), "four rows are full");
    }
}
