//! Reading without drawing: pipes, dumb terminals, and scripts on terminals that could do more.
//!
//! On a dumb terminal each key is echoed as it comes. A script's line is echoed as a whole when it is complete, since a
//! line that does not come whole is a person's, and the editor that draws shows it then.

use std::rc::Rc;

use super::{Assist, Editor, Style, TYPING_MS, Typed};
use crate::input::Got;
use crate::line::{Effect, LINE_BYTES_MAX, too_long};
use crate::tty;

impl Editor {
    pub(super) fn read_piped(&mut self) -> Typed {
        let mut bytes = Vec::new();
        let mut cut = false;
        loop {
            match self.input.wait(None) {
                Ok(Got::Interrupt) => return Typed::Interrupted,
                Ok(Got::Bytes) => {}
                Ok(Got::End | Got::Nothing) | Err(_) if bytes.is_empty() => return Typed::EndOfFile,
                Ok(Got::End | Got::Nothing) | Err(_) => {
                    cut = true;
                    break;
                }
            }
            match self.input.next() {
                Some(b'\n') => break,
                Some(byte) if bytes.len() <= LINE_BYTES_MAX => bytes.push(byte),
                Some(_) | None => {}
            }
        }
        if bytes.len() > LINE_BYTES_MAX {
            return Typed::Line(too_long());
        }
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end_matches('\r').to_owned();
        if cut { Typed::Cut(line) } else { Typed::Line(line) }
    }

    pub(super) fn read_plain(&mut self, prompt: &str, initial: (&str, &str), assist: Option<&Rc<dyn Assist>>) -> Typed {
        let draws = self.style == Style::Script;
        let initial = format!("{}{}", initial.0, initial.1);
        tty::show(prompt);
        self.line.set(&initial);
        if !initial.is_empty() && !draws {
            tty::show(&initial);
        }
        loop {
            let patience = (draws && !self.line.text().is_empty()).then_some(TYPING_MS);
            match self.input.wait(patience) {
                Ok(Got::Bytes) => self.idle.touch(),
                Ok(Got::Nothing) => return self.hand_over(prompt, assist),
                Ok(Got::Interrupt) => {
                    self.line.take();
                    tty::show("\n");
                    return Typed::Interrupted;
                }
                Ok(Got::End) | Err(_) => {
                    self.gone = true;
                    return Typed::Gone;
                }
            }
            let Some(byte) = self.input.next() else { continue };
            let shown = if draws { self.line.text().to_owned() } else { String::new() };
            match (self.line.handle_byte(byte), assist) {
                (Effect::Echo(text), _) if !draws => self.echo(&text),
                (Effect::Echo(_) | Effect::Nothing, _) => {}
                (Effect::Submit, _) => {
                    self.echo(&format!("{shown}\n"));
                    return Typed::Line(self.line.take());
                }
                (Effect::End, _) => {
                    self.echo(&format!("{shown}\n"));
                    return Typed::End(self.line.take());
                }
                (Effect::Interrupt, _) => {
                    self.line.take();
                    self.echo(&format!("{shown}\n"));
                    return Typed::Interrupted;
                }
                (Effect::EndOfFile, _) => {
                    self.echo("\n");
                    return Typed::EndOfFile;
                }
                (Effect::Help, Some(_)) => {
                    self.echo(&format!("{shown}\n"));
                    let line = self.line.take();
                    return Typed::Help { at: line.len(), line };
                }
                (Effect::Help, None) => {
                    let text = format!("{}?", self.line.text());
                    self.line.set(&text);
                    self.echo(if draws { "" } else { "?" });
                }
                (Effect::Complete, Some(assist)) => self.complete(prompt, assist.as_ref(), draws),
                (Effect::Previous, Some(_)) if draws => {
                    let last = self.history.back().cloned().unwrap_or_default();
                    self.line.set(&last);
                    return self.hand_over(prompt, assist);
                }
                (Effect::Edit, _) if draws => return self.hand_over(prompt, assist),
                (Effect::Complete | Effect::Previous | Effect::Edit, _) => {}
            }
        }
    }

    /// A person types: the editor draws from here on.
    fn hand_over(&mut self, prompt: &str, assist: Option<&Rc<dyn Assist>>) -> Typed {
        let text = self.line.take();
        self.read_rich(prompt, (&text, ""), assist.cloned())
    }

    /// Tab: completes what is unique, else lists.
    fn complete(&mut self, prompt: &str, assist: &dyn Assist, draws: bool) {
        let text = self.line.text().to_owned();
        let found = assist.complete(&text);
        let head = text.get(..found.offset).unwrap_or_default();
        let longer = match found.words.as_slice() {
            [] => return,
            [only] => format!("{head}{only} "),
            several => format!("{head}{}", common_prefix(several)),
        };
        if longer.len() > text.len() {
            if !draws {
                self.echo(longer.get(text.len()..).unwrap_or_default());
            }
            self.line.set(&longer);
        } else {
            let shown = if draws { text.as_str() } else { "" };
            let again = if draws { "" } else { text.as_str() };
            self.echo(&format!("{shown}\n{}\n{prompt}{again}", found.words.join("  ")));
        }
    }

    pub(super) fn read_plain_secret(&mut self, question: &str) -> Option<String> {
        tty::show(question);
        self.line.take();
        let secret = loop {
            match self.input.wait(None) {
                Ok(Got::Bytes) => self.idle.touch(),
                Ok(Got::End) | Err(_) => {
                    self.gone = true;
                    break None;
                }
                Ok(Got::Interrupt | Got::Nothing) => break None,
            }
            let Some(byte) = self.input.next() else { continue };
            match self.line.handle_byte(byte) {
                Effect::Submit => break Some(self.line.take()),
                Effect::Interrupt | Effect::EndOfFile | Effect::End => break None,
                Effect::Help => {
                    let text = format!("{}?", self.line.text());
                    self.line.set(&text);
                }
                _ => {}
            }
        };
        self.line.take();
        tty::show("\n");
        secret
    }

    fn echo(&self, text: &str) {
        if self.echo {
            tty::show(text);
        }
    }
}

/// What all the words begin with.
fn common_prefix(words: &[String]) -> &str {
    let Some(first) = words.first() else { return "" };
    let end = first
        .char_indices()
        .map(|(at, c)| (at, at + c.len_utf8()))
        .take_while(|(at, end)| words.iter().all(|word| word.get(*at..*end) == first.get(*at..*end)))
        .last()
        .map_or(0, |(_, end)| end);
    &first[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_share_what_they_begin_with() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(common_prefix(&words(&["version", "virtual-server"])), "v");
        assert_eq!(common_prefix(&words(&["año", "añil"])), "añ");
        assert_eq!(common_prefix(&words(&["a", "b"])), "");
        assert_eq!(common_prefix(&[]), "");
    }
}
