//! Editing on a terminal that can draw: rustyline with our keys.
//!
//! `?` and Ctrl-Z end the line like Enter does and leave a note which of them it was. A secret is read behind rustyline's
//! back: its keys are taken away before they reach the line, so that nothing is drawn and nothing enters the kill ring.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::completion::{Completer, Pair};
use rustyline::config::{BellStyle, Configurer};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, EditMode, Event, EventContext,
    EventHandler, Helper, KeyCode, KeyEvent, Modifiers, RepeatCount,
};
use yoke_config::lex;

use crate::editor::{Assist, Typed};
use crate::idle::Idle;

/// The editor.
pub(crate) struct Rich {
    editor: rustyline::Editor<Assisted, MemHistory>,
    keys: Arc<Mutex<Pressed>>,
    assist: Rc<RefCell<Option<Rc<dyn Assist>>>>,
}

/// What the key handler knows that the line does not say.
#[derive(Debug, Default)]
struct Pressed {
    /// Whether `?` and Ctrl-Z mean something here.
    commands: bool,
    /// `?` was pressed with the cursor there.
    help_at: Option<usize>,
    /// Ctrl-Z was pressed.
    end: bool,
    /// A secret is being typed: this much of it.
    secret: Option<String>,
}

impl Rich {
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn new(idle: Idle, history: usize) -> rustyline::Result<Self> {
        let mut config = Config::builder()
            .history_ignore_dups(true)?
            .max_history_size(history)?
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .edit_mode(EditMode::Emacs)
            .bell_style(BellStyle::None)
            .color_mode(ColorMode::Disabled)
            .bracketed_paste(false)
            .auto_add_history(false);
        config.enable_synchronized_output(false);
        let config = config.build();
        let history = MemHistory::with_config(&config);
        let mut editor = rustyline::Editor::with_history(config, history)?;
        let assist = Rc::new(RefCell::new(None));
        editor.set_helper(Some(Assisted(Rc::clone(&assist))));
        let keys = Arc::new(Mutex::new(Pressed::default()));
        // One handler for every key: a binding of its own for a key would hide the key from this one.
        let handler = KeyHandler { keys: Arc::clone(&keys), idle };
        editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(handler)));
        Ok(Self { editor, keys, assist })
    }

    /// Reads a line. `assist`: it is a command, and this helps with it; otherwise it is the answer to a question.
    pub(crate) fn read(&mut self, prompt: &str, initial: (&str, &str), assist: Option<Rc<dyn Assist>>) -> Typed {
        *self.lock() = Pressed { commands: assist.is_some(), ..Pressed::default() };
        *self.assist.borrow_mut() = assist;
        let read = self.editor.readline_with_initial(prompt, initial);
        *self.assist.borrow_mut() = None;
        let pressed = std::mem::take(&mut *self.lock());
        match read {
            Ok(line) if pressed.end => Typed::End(line),
            Ok(line) => match pressed.help_at {
                Some(at) => Typed::Help { line, at },
                None => Typed::Line(line),
            },
            Err(ReadlineError::Eof) => Typed::EndOfFile,
            Err(ReadlineError::Io(e)) if e.kind() != std::io::ErrorKind::InvalidData => Typed::Gone,
            // Ctrl-C, or bytes that are no text: the line is dropped.
            Err(_) => Typed::Interrupted,
        }
    }

    /// Reads a line that is not shown; `None` for Ctrl-C, Ctrl-D or a terminal that is gone.
    pub(crate) fn read_secret(&mut self, prompt: &str) -> Option<String> {
        *self.lock() = Pressed { secret: Some(String::new()), ..Pressed::default() };
        *self.assist.borrow_mut() = None;
        let read = self.editor.readline(prompt);
        let pressed = std::mem::take(&mut *self.lock());
        read.ok().and(pressed.secret)
    }

    /// Remembers a line.
    pub(crate) fn remember(&mut self, line: &str) {
        // It only fails for histories on disk.
        let _ = self.editor.add_history_entry(line);
    }

    fn lock(&self) -> MutexGuard<'_, Pressed> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct KeyHandler {
    keys: Arc<Mutex<Pressed>>,
    idle: Idle,
}

impl ConditionalEventHandler for KeyHandler {
    fn handle(&self, event: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        self.idle.touch();
        let key = event.get(0)?;
        let mut pressed = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &mut pressed.secret {
            return secret_key(secret, *key);
        }
        match *key {
            KeyEvent(KeyCode::Char('?'), Modifiers::NONE) if pressed.commands => {
                let before = context.line().get(..context.pos()).unwrap_or_default();
                if lex::in_quotes(before) {
                    return None;
                }
                pressed.help_at = Some(context.pos());
                Some(Cmd::AcceptLine)
            }
            KeyEvent(KeyCode::Char('Z'), Modifiers::CTRL) => {
                pressed.end = true;
                Some(Cmd::AcceptLine)
            }
            // The byte 0, which the terminal's disabled keys would give a meaning: Suspend.
            KeyEvent(KeyCode::Char('@'), Modifiers::CTRL) => Some(Cmd::Noop),
            _ => None,
        }
    }
}

fn secret_key(secret: &mut String, key: KeyEvent) -> Option<Cmd> {
    match key {
        KeyEvent(KeyCode::Enter, _) | KeyEvent(KeyCode::Char('J' | 'M'), Modifiers::CTRL) => {
            return Some(Cmd::AcceptLine);
        }
        // Ctrl-C and Ctrl-D mean what they mean.
        KeyEvent(KeyCode::Char('C' | 'D'), Modifiers::CTRL) => return None,
        KeyEvent(KeyCode::Backspace, _) | KeyEvent(KeyCode::Char('H'), Modifiers::CTRL) => drop(secret.pop()),
        KeyEvent(KeyCode::Char('U'), Modifiers::CTRL) => secret.clear(),
        KeyEvent(KeyCode::Char(c), Modifiers::NONE | Modifiers::SHIFT) => secret.push(c),
        _ => {}
    }
    Some(Cmd::Noop)
}

/// The completer rustyline asks.
struct Assisted(Rc<RefCell<Option<Rc<dyn Assist>>>>);

impl Completer for Assisted {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(assist) = self.0.borrow().clone() else { return Ok((at, Vec::new())) };
        let found = assist.complete(line.get(..at).unwrap_or_default());
        let single = found.words.len() == 1;
        let pairs = found
            .words
            .into_iter()
            .map(|word| Pair { replacement: if single { format!("{word} ") } else { word.clone() }, display: word });
        Ok((found.offset, pairs.collect()))
    }
}

impl rustyline::hint::Hinter for Assisted {
    type Hint = String;
}
impl rustyline::highlight::Highlighter for Assisted {}
impl rustyline::validate::Validator for Assisted {}
impl Helper for Assisted {}
