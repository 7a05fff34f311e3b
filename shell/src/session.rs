//! A session: where the operator is, what is typed there, and how each line ends.
//!
//! It reads, has the walker say what a line means, hands commands to [`crate::exec`] and lines of configuration to
//! [`crate::configure`], and reports failures the way the kind of session wants them.

use std::cell::RefCell;
use std::rc::Rc;

use yoke_config::lex;
use yoke_config::model::Privilege;
use yoke_config::tree::indent;
use yoke_config::walk::{Meaning, Pipe, Position, interpret, looks_secret};
use yoke_director::status::{LineKind, Reply, Request};

use crate::block::Open;
use crate::director::Director;
use crate::editor::{Editor, Typed};
use crate::help::Assistant;
use crate::known::{Known, preview, running};
use crate::out::{Out, Sink, Stdout};
use crate::outcome::{Fail, Status, Stop};
use crate::pager::{Keys, Pager};
use crate::report::{Origin, report, syntax};
use crate::{exec, pipes, tty};

/// What `terminal` sets, for this session only.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    /// Somebody sits there.
    pub(crate) interactive: bool,
    /// Rows, 0 for no paging; `None`: what the terminal says.
    pub(crate) length: Option<u16>,
    /// Columns; `None`: what the terminal says.
    pub(crate) width: Option<u16>,
    /// Whether log messages are shown before a prompt.
    pub(crate) monitor: bool,
    /// Whether a script goes on after a line that fails.
    pub(crate) continue_on_error: bool,
}

impl Terminal {
    /// Rows and columns in effect; rows 0 means no paging.
    pub(crate) fn size(&self) -> (u16, u16) {
        let (rows, columns) = tty::size();
        let default = tty::DEFAULT_SIZE;
        (self.length.or(rows).unwrap_or(default.0), self.width.or(columns).unwrap_or(default.1))
    }
}

/// A session.
pub(crate) struct Shell {
    pub(crate) director: Director,
    pub(crate) editor: Rc<RefCell<Editor>>,
    pub(crate) terminal: Terminal,
    pub(crate) position: Position,
    /// The block whose lines are collected.
    pub(crate) open: Option<Rc<Open>>,
    pub(crate) known: Option<Known>,
    /// For the prompt.
    pub(crate) hostname: String,
    /// Whether this session changed the running configuration since it was saved.
    pub(crate) changed: bool,
    /// Whether standard input holds no commands, as with `-c`: then a command may read it.
    pub(crate) stdin_is_free: bool,
    /// Whether it ends after the line that runs now.
    pub(crate) ended: bool,
    /// Indentation of a line of configuration that was refused: deeper ones behind it are of its block.
    refused: Option<usize>,
}

impl Shell {
    /// A session on an open connection. `interactive`: a terminal is there, and in session mode.
    pub(crate) fn new(director: Director, editor: Editor, interactive: bool) -> Self {
        let session = director.session();
        let terminal = Terminal {
            interactive,
            length: session.length,
            width: session.width,
            monitor: director.place().line == LineKind::Console,
            continue_on_error: false,
        };
        let editor = Rc::new(RefCell::new(editor));
        let position = exec_position(session.privilege);
        let hostname = session.hostname;
        let (open, known, changed, ended, refused) = (None, None, false, false, None);
        let stdin_is_free = false;
        Self { director, editor, terminal, position, open, known, hostname, changed, stdin_is_free, ended, refused }
    }

    /// Serves a terminal until the session ends.
    pub(crate) fn interact(&mut self) {
        let session = self.director.session();
        if !session.banner_motd.is_empty() {
            tty::show(&format!("{}\n", session.banner_motd.trim_end()));
        }
        let mut initial = (String::new(), String::new());
        while !self.ended {
            if initial == (String::new(), String::new()) {
                self.show_messages();
            }
            let prompt = self.prompt();
            let assistant = Rc::new(self.assistant());
            let assist: Rc<dyn crate::editor::Assist> = Rc::clone(&assistant) as _;
            let typed = self.editor.borrow_mut().read(&prompt, (&initial.0, &initial.1), &assist);
            initial = (String::new(), String::new());
            if let Typed::Help { line, at } = typed {
                let (left, right) = line.split_at(at.min(line.len()));
                self.show_help(&assistant, left);
                initial = (left.to_owned(), right.to_owned());
                continue;
            }
            // What they hold of the configuration and the block would have to be copied when those change.
            drop((assistant, assist));
            let origin = Origin::Prompt(prompt.chars().count());
            match typed {
                Typed::Line(line) => drop(self.serve(&line, origin)),
                Typed::End(line) => {
                    self.serve(&line, origin);
                    if matches!(self.position, Position::Config(_)) {
                        self.serve("end", origin);
                    }
                }
                Typed::Help { .. } | Typed::Interrupted | Typed::Cut(_) => {}
                Typed::EndOfFile => drop(self.serve("exit", origin)),
                // The open block goes with the session.
                Typed::Gone => break,
            }
        }
    }

    /// Ends the session after the line that runs now.
    pub(crate) fn end_session(&mut self) {
        self.ended = true;
    }

    /// What the operator sees before the cursor.
    pub(crate) fn prompt(&self) -> String {
        let host = &self.hostname;
        match self.position.prompt() {
            None if self.director.privilege() >= 15 => format!("{host}#"),
            None => format!("{host}>"),
            Some(mode) => {
                let star = if self.open.as_ref().is_some_and(|open| open.is_dirty()) { "*" } else { "" };
                format!("{host}({mode}{star})#")
            }
        }
    }

    /// Back to `yoke#`, with the privilege the session has now.
    pub(crate) fn return_to_exec(&mut self) {
        self.open = None;
        if matches!(self.position, Position::Config(_)) {
            // A director that is away has forgotten it already.
            let _ = self.director.configure(false);
        }
        self.position = exec_position(self.director.privilege());
    }

    pub(crate) fn assistant(&self) -> Assistant {
        let director = self.director.clone();
        match (&self.position, &self.known) {
            (Position::Config(_), Some(known)) => {
                let (tree, open) = (Rc::clone(&known.tree), self.open.clone());
                let preview = move || match &open {
                    Some(open) => Rc::new(preview(&tree, open)),
                    None => Rc::clone(&tree),
                };
                Assistant::new(self.position.clone(), Box::new(preview))
            }
            // Without a director there is still help, only without names.
            (position, _) => Assistant::new(
                position.clone(),
                Box::new(move || running(&director).map(|known| known.tree).unwrap_or_default()),
            ),
        }
    }

    fn show_messages(&mut self) {
        if !self.terminal.monitor {
            return;
        }
        // A director that is away is reported when it is needed, not at every prompt.
        if let Ok(Reply::Messages { lines }) = self.director.ask(&Request::Messages) {
            lines.iter().for_each(|line| tty::show(&format!("{}\n", tty::harmless(line))));
        }
    }

    fn show_help(&mut self, assistant: &Assistant, line: &str) {
        let mut out = self.out(&[]);
        let lines = assistant.help(line);
        if lines.iter().try_for_each(|line| out.text(line)).is_ok() {
            let _ = out.finish();
        }
    }

    /// Runs one line and reports how it ended; its exit status.
    pub(crate) fn serve(&mut self, line: &str, origin: Origin) -> u8 {
        let configuring = matches!(self.position, Position::Config(_));
        let (outcome, json) = match self.orphan(line) {
            Some(fail) => (Err(fail), false),
            None => self.run_line(line, matches!(origin, Origin::Prompt(_))),
        };
        let Err(fail) = outcome else { return 0 };
        if configuring && self.refused.is_none() {
            self.refused = Some(indent(line));
        }
        if json && !matches!(fail, Fail::Said(_) | Fail::Stopped(Stop::Enough)) {
            let _ = Stdout::new(true).line(&fail.json());
        } else {
            report(&fail, line, origin);
        }
        if !self.terminal.interactive && fail.code() == Status::NotApplied as u8 && self.open.take().is_some() {
            self.position = Position::CONFIG;
        }
        fail.code()
    }

    /// The refusal of a line that belongs to one that was refused: whoever pastes a configuration means it for that block, and in the block that
    /// is open it would say something else.
    fn orphan(&mut self, line: &str) -> Option<Fail> {
        let at = self.refused?;
        if line.trim().is_empty() {
            return None;
        }
        if indent(line) > at && matches!(self.position, Position::Config(_)) {
            let why = "the line it belongs to was refused, so it is not taken either";
            return Some(Fail::Refused { status: Status::Syntax, problems: vec![why.to_owned()] });
        }
        self.refused = None;
        None
    }

    fn run_line(&mut self, line: &str, typed: bool) -> (Result<(), Fail>, bool) {
        let (command, pipes, meaning) = match self.interpret(line) {
            Ok(read) => read,
            Err(fail) => {
                if typed && !line.trim().is_empty() && !looks_secret(line) {
                    self.editor.borrow_mut().remember(line.trim());
                }
                let json = pipes::split(line).is_ok_and(|piped| piped.pipes.contains(&Pipe::Json));
                return (Err(fail), json);
            }
        };
        if typed && !meaning.is_secret() && !matches!(meaning, Meaning::Nothing | Meaning::Help { .. }) {
            self.editor.borrow_mut().remember(line.trim());
        }
        let json = pipes.contains(&Pipe::Json);
        let outcome = match meaning {
            Meaning::Nothing => Ok(()),
            Meaning::Help { upto } => {
                let assistant = self.assistant();
                self.show_help(&assistant, command.get(..upto).unwrap_or_default());
                Ok(())
            }
            Meaning::Run { command, values } => {
                let mut out = self.out(&pipes);
                exec::run(self, command, &values, &mut out).and_then(|()| Ok(out.finish()?))
            }
            Meaning::Edit { edit, leave, opens } => self.edit(edit, leave, opens),
            Meaning::Secret { line, plain } => self.secret(&line, plain),
        };
        (outcome, json)
    }

    /// What a line means, and the filters behind it. Only commands have output; elsewhere `|` is a letter.
    fn interpret<'l>(&self, line: &'l str) -> Result<(&'l str, Vec<Pipe>, Meaning), Fail> {
        let position = self.effective();
        let command = lex::split_pipes(line).first().map_or(line, |(_, text)| *text);
        if command.len() == line.len() {
            return interpret(&position, line).map(|meaning| (line, Vec::new(), meaning)).map_err(|e| syntax(&e, line));
        }
        // Help on a filter is help on the whole line.
        if let Ok(Meaning::Help { upto }) = interpret(&position, line) {
            return Ok((line, Vec::new(), Meaning::Help { upto }));
        }
        let meaning = match (interpret(&position, command), &position) {
            (Ok(meaning @ Meaning::Run { .. }), _) => meaning,
            (Err(error), Position::Exec(_)) => return Err(syntax(&error, line)),
            _ => return interpret(&position, line).map(|m| (line, Vec::new(), m)).map_err(|e| syntax(&e, line)),
        };
        let piped = pipes::split(line).map_err(|error| error.fail(line))?;
        Ok((piped.command, piped.pipes, meaning))
    }

    /// The position with the privilege of this moment.
    fn effective(&self) -> Position {
        match &self.position {
            Position::Exec(_) => exec_position(self.director.privilege()),
            config @ Position::Config(_) => config.clone(),
        }
    }

    /// Where the output of a command goes: filters, pager, standard output.
    pub(crate) fn out(&self, pipes: &[Pipe]) -> Out<'static> {
        let stdout = Box::new(Stdout::new(self.terminal.interactive));
        let (rows, columns) = self.terminal.size();
        let pages = self.terminal.interactive && rows > 0 && !pipes.contains(&Pipe::NoMore);
        let sink: Box<dyn Sink> = if pages {
            let keys = Box::new(PagerKeys(Rc::clone(&self.editor)));
            Box::new(Pager::new(stdout, keys, rows.into(), columns.into()))
        } else {
            stdout
        };
        Out::new(pipes::chain(pipes, sink), pipes.contains(&Pipe::Json))
    }
}

struct PagerKeys(Rc<RefCell<Editor>>);

impl Keys for PagerKeys {
    fn key(&mut self) -> Option<u8> {
        self.0.borrow_mut().key()
    }

    fn show(&mut self, text: &str) {
        tty::show(text);
    }
}

fn exec_position(privilege: u8) -> Position {
    Position::Exec(if privilege >= 15 { Privilege::Admin } else { Privilege::User })
}
