//! The configuration as a session last saw it: for names, current values, and as the base of what is typed.

use std::rc::Rc;

use yoke_config::model::Config;
use yoke_config::tree::{Edit, Tree, load};
use yoke_director::status::{Reply, Request};

use crate::block::{Base, Open};
use crate::director::{Director, unexpected};
use crate::outcome::Fail;
use crate::session::Shell;

/// The configuration as this session last saw it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Which one it is.
    pub(crate) base: Base,
    /// It.
    pub(crate) tree: Rc<Tree>,
}

impl Shell {
    /// The configuration, read anew when this session has not seen it or the director was restarted.
    ///
    /// # Errors
    /// Those of the director.
    pub(crate) fn known(&mut self) -> Result<Known, Fail> {
        match &self.known {
            Some(known) if known.base.generation == self.director.generation() => Ok(known.clone()),
            _ => self.refresh(),
        }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// Those of the director.
    pub(crate) fn refresh(&mut self) -> Result<Known, Fail> {
        let known = running(&self.director)?;
        self.set_known(known.clone());
        Ok(known)
    }

    /// Remembers the configuration.
    pub(crate) fn set_known(&mut self, known: Known) {
        self.hostname = hostname(&known.tree);
        self.known = Some(known);
    }

    /// The configuration after `edits` made it `revision`. Where nobody else changed it the edits say what it is now;
    /// reading it all again for each block of a long paste would take the square of its length.
    pub(crate) fn grown(&mut self, revision: u64, edits: &[Edit]) {
        let generation = self.director.generation();
        match self.known.take() {
            Some(mut known) if known.base.generation == generation && revision <= known.base.revision + 1 => {
                Rc::make_mut(&mut known.tree).edit_all(edits);
                known.base.revision = revision;
                self.set_known(known);
            }
            // It is read when it is needed next.
            _ => self.known = None,
        }
    }
}

/// Reads the running configuration.
pub(crate) fn running(director: &Director) -> Result<Known, Fail> {
    match director.ask(&Request::Running)? {
        Reply::Running { revision, text } => {
            let generation = director.generation();
            Ok(Known { base: Base { revision, generation }, tree: Rc::new(load(&text).0) })
        }
        other => Err(unexpected(&other)),
    }
}

/// The configuration as it would be with the open block applied.
pub(crate) fn preview(tree: &Tree, open: &Open) -> Tree {
    let mut tree = tree.clone();
    tree.edit_all(&open.edits());
    tree
}

/// What the box is called.
fn hostname(tree: &Tree) -> String {
    let line = tree.lines().find(|(key, _)| key.kind() == "hostname");
    let name = line.and_then(|(_, entry)| entry.values().first()).and_then(|value| value.as_str());
    name.unwrap_or(Config::DEFAULT_HOSTNAME).to_owned()
}
