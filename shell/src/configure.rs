//! Configuration mode: lines are collected while a block is open and applied as one when it is left.
//!
//! The director decides whether a batch is good. Here is only what was typed, where, and against which revision.

use std::rc::Rc;

use yoke_config::grammar::Block;
use yoke_config::tree::Edit;
use yoke_config::walk::{LineError, Meaning, Position, interpret};
use yoke_director::status::{Reply, Request, SessionRow};

use crate::block::{Base, Open};
use crate::director::unexpected;
use crate::outcome::{Fail, Status, Stop};
use crate::report::syntax;
use crate::session::Shell;
use crate::{secret, tty};

impl Shell {
    /// `configure terminal`.
    ///
    /// # Errors
    /// Those of the director.
    pub(crate) fn enter_configuration(&mut self) -> Result<(), Fail> {
        self.refresh()?;
        let others = self.director.configure(true)?;
        self.position = Position::CONFIG;
        let notes: Vec<String> = others.iter().map(also).collect();
        self.say(&notes);
        Ok(())
    }

    /// A line of configuration: applied at once outside of blocks, collected inside.
    ///
    /// # Errors
    /// The director refused the line, or the block that had to be left for it; the block is still open then.
    pub(crate) fn edit(&mut self, edit: Edit, leave: usize, opens: Option<&'static Block>) -> Result<(), Fail> {
        let Position::Config(blocks) = &self.position else { return Ok(()) };
        let meaning = Meaning::Edit { edit: edit.clone(), leave, opens };
        let after = self.position.after(&meaning);
        if leave >= blocks.len() {
            self.close_block()?;
            // The block is left even if the line that led out of it is refused.
            self.position = Position::CONFIG;
            match opens {
                None => {
                    let (line, edits) = ([edit.to_string()], std::slice::from_ref(&edit));
                    let base = self.known()?.base;
                    if self.apply(&line, base, edits, false)?.is_none() {
                        // What was typed just now was not typed against anything older.
                        let base = self.refresh()?.base;
                        self.apply(&line, base, edits, false)?;
                    }
                }
                Some(_) => {
                    let known = self.known()?;
                    let new = known.tree.get(&[], &edit.key).is_none();
                    self.open = Some(Rc::new(Open::new(known.base, edit, new)));
                }
            }
        } else if self.open.is_some() {
            let before = opens.is_some() && self.known()?.tree.get(&edit.path, &edit.key).is_some();
            let Some(open) = &mut self.open else { return Ok(()) };
            // The header of a block that is there says nothing new.
            let counts = opens.is_none() || !before;
            let open = Rc::make_mut(open);
            if counts { open.push(edit, opens.is_some()) } else { open.enter(edit) }
        }
        self.position = after;
        Ok(())
    }

    /// Applies the open block and closes it.
    ///
    /// # Errors
    /// The director refused; the block stays open.
    pub(crate) fn close_block(&mut self) -> Result<(), Fail> {
        self.commit_block(false)?;
        self.open = None;
        Ok(())
    }

    /// Applies the open block and stays in it; `force`: in spite of what others changed meanwhile.
    ///
    /// # Errors
    /// The director refused; nothing of the block was applied.
    pub(crate) fn commit_block(&mut self, force: bool) -> Result<(), Fail> {
        let Some(open) = self.open.clone() else { return Ok(()) };
        if !open.has_changes() {
            return Ok(());
        }
        let applied = self.apply(&open.batch(), open.base, &open.edits(), force)?;
        let base = if applied.is_none() { self.refresh()?.base } else { open.base };
        let Some(open) = &mut self.open else { return Ok(()) };
        let open = Rc::make_mut(open);
        match applied {
            Some(revision) => {
                open.applied(revision);
                Ok(())
            }
            None => {
                open.base = base;
                let problem = "director: was restarted since this block was opened, look at \"show diff\" and repeat";
                Err(Fail::Refused { status: Status::NotApplied, problems: vec![problem.to_owned()] })
            }
        }
    }

    /// Drops the open block.
    pub(crate) fn abort_block(&mut self) {
        self.open = None;
        self.position = Position::CONFIG;
    }

    /// `exit` in configuration mode: one level up. Leaving the outermost block applies it.
    ///
    /// # Errors
    /// As [`Shell::close_block`].
    pub(crate) fn leave_level(&mut self) -> Result<(), Fail> {
        let Position::Config(blocks) = &self.position else { return Ok(()) };
        match blocks.len() {
            0 => self.return_to_exec(),
            1 => {
                self.close_block()?;
                self.position = Position::CONFIG;
            }
            _ => {
                let mut blocks = blocks.clone();
                blocks.pop();
                self.position = Position::Config(blocks);
            }
        }
        Ok(())
    }

    /// `end`.
    ///
    /// # Errors
    /// As [`Shell::close_block`].
    pub(crate) fn leave_configuration(&mut self) -> Result<(), Fail> {
        self.close_block()?;
        self.return_to_exec();
        Ok(())
    }

    /// A line that sets a secret: asks for it if need be, hashes it, and takes the line with the hash in its place.
    ///
    /// # Errors
    /// Nobody to ask, or what the line with the hash ends with.
    pub(crate) fn secret(&mut self, line: &str, plain: Option<String>) -> Result<(), Fail> {
        let plain = match plain {
            Some(plain) => plain,
            None if self.terminal.interactive => {
                secret::ask_twice(&mut self.editor.borrow_mut(), "Password: ", "Again: ").ok_or(Stop::Interrupted)?
            }
            None => return Err(Fail::incomplete()),
        };
        let hashed = format!("{line} sha512 {}", secret::hash(&plain)?);
        match interpret(&self.position, &hashed) {
            Ok(Meaning::Edit { edit, leave, opens }) => self.edit(edit, leave, opens),
            Ok(_) => Err(syntax(&LineError::Incomplete { expected: Vec::new() }, &hashed)),
            Err(error) => Err(syntax(&error, &hashed)),
        }
    }

    /// Has the director apply lines, as one; the new revision. `None`: it was restarted since `base`, nothing was done.
    ///
    /// # Errors
    /// It refused.
    pub(crate) fn apply(
        &mut self,
        lines: &[String],
        base: Base,
        edits: &[Edit],
        force: bool,
    ) -> Result<Option<u64>, Fail> {
        let request = Request::Apply { base: base.revision, lines: lines.to_vec(), force };
        match self.director.change_on(base.generation, &request)? {
            None => Ok(None),
            Some(Reply::Applied { revision, warnings }) => {
                self.warn(&warnings);
                self.changed = true;
                self.grown(revision, edits);
                Ok(Some(revision))
            }
            Some(other) => Err(unexpected(&other)),
        }
    }

    /// Prints sentences that deserve attention.
    pub(crate) fn warn(&self, warnings: &[String]) {
        let lines: Vec<String> = warnings.iter().map(|warning| format!("% Warning: {warning}")).collect();
        self.say(&lines);
    }

    fn say(&self, lines: &[String]) {
        use std::io::Write;
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        if self.terminal.interactive {
            tty::show(&text);
        } else {
            // Standard output is for results.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

/// The note of another session in configuration mode.
fn also(row: &SessionRow) -> String {
    let place = if row.from.is_empty() { row.line.clone() } else { format!("ssh {}", row.from) };
    format!("% Note: {} ({place}) is also configuring", row.username)
}
