//! The open block: what was typed in it and is not applied yet. Pure.

use yoke_config::tree::{Edit, Key};

/// A configuration that lines were typed against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base {
    /// Its revision.
    pub(crate) revision: u64,
    /// The connection it was read on: a director that was restarted counts anew.
    pub(crate) generation: u64,
}

/// Lines of a block that take effect together when it is left.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    /// What they were typed against.
    pub(crate) base: Base,
    /// In the order typed, and whether the line enters a block; the first is the header, unless it was applied before.
    edits: Vec<(Edit, bool)>,
    /// Something was typed behind the header.
    dirty: bool,
    /// The header names a block that does not exist yet.
    new: bool,
}

impl Open {
    /// A block that has just been entered. `new`: its header alone already changes something.
    pub(crate) fn new(base: Base, header: Edit, new: bool) -> Self {
        Self { base, edits: vec![(header, true)], dirty: false, new }
    }

    /// Adds a line; `opens`: it enters a block in this one.
    pub(crate) fn push(&mut self, edit: Edit, opens: bool) {
        self.edits.push((edit, opens));
        self.dirty = true;
    }

    /// Enters a block that exists already, which changes nothing.
    pub(crate) fn enter(&mut self, header: Edit) {
        self.edits.push((header, true));
    }

    /// What the `*` in the prompt says.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether leaving has something to apply.
    pub(crate) fn has_changes(&self) -> bool {
        self.dirty || self.new
    }

    /// All lines as edits.
    pub(crate) fn edits(&self) -> Vec<Edit> {
        self.edits.iter().map(|(edit, _)| edit.clone()).collect()
    }

    /// They are applied, as `revision`; the block stays open.
    pub(crate) fn applied(&mut self, revision: u64) {
        let base = Base { revision, ..self.base };
        *self = Self { base, edits: Vec::new(), dirty: false, new: false };
    }

    /// The lines to send: from the top of the configuration, each block left by `exit`.
    pub(crate) fn batch(&self) -> Vec<String> {
        batch(&self.edits).into_iter().map(|(_, line)| line).collect()
    }

    /// The lines to show, indented as they would be printed.
    pub(crate) fn pending(&self) -> Vec<String> {
        let lines = batch(&self.edits).into_iter().filter(|(_, line)| line != "exit");
        lines.map(|(depth, line)| format!("{:depth$}{line}", "")).collect()
    }
}

/// Edits with absolute paths as lines that can be typed one after the other, each with the depth it stands at.
fn batch(edits: &[(Edit, bool)]) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut at: Vec<&Key> = Vec::new();
    for (edit, opens) in edits {
        let common = at.iter().zip(&edit.path).take_while(|(a, b)| **a == *b).count();
        while at.len() > common {
            at.pop();
            lines.push((at.len(), "exit".to_owned()));
        }
        for key in &edit.path[common..] {
            lines.push((at.len(), key.to_string()));
            at.push(key);
        }
        lines.push((at.len(), edit.to_string()));
        if *opens {
            at.push(&edit.key);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use yoke_config::tree::{Tree, load, parse_edits};
    use yoke_config::walk::{Meaning, Position, interpret};

    use super::*;

    /// Types lines as a session does.
    fn type_in(lines: &[&str]) -> Open {
        let mut position = Position::CONFIG;
        let mut open: Option<Open> = None;
        for line in lines {
            if *line == "exit" {
                let Position::Config(blocks) = &mut position else { unreachable!() };
                blocks.pop();
                continue;
            }
            let meaning = interpret(&position, line).unwrap_or_else(|e| panic!("{line}: {e:?}"));
            position = position.after(&meaning);
            let Meaning::Edit { edit, opens, .. } = meaning else { panic!("{line}") };
            match &mut open {
                None => open = Some(Open::new(Base { revision: 1, generation: 0 }, edit, true)),
                Some(open) => open.push(edit, opens.is_some()),
            }
        }
        open.unwrap()
    }

    const TYPED: [&str; 9] = [
        "virtual-server www",
        "virtual 203.0.113.10 tcp 80",
        "real-server 10.0.20.11 8080",
        "weight 3",
        "exit",
        "description web",
        "real-server 10.0.20.12 8080",
        "description two",
        "mode nat",
    ];

    #[test]
    fn a_batch_means_what_was_typed() {
        let open = type_in(&TYPED);
        let edits = parse_edits(&open.batch()).unwrap();
        assert_eq!(edits, open.edits());
        let mut tree = Tree::default();
        tree.edit_all(&edits);
        let (expected, rejected) = load(
            "virtual-server www\n description web\n virtual 203.0.113.10 tcp 80\n real-server 10.0.20.11 8080\n  weight 3\n \
             real-server 10.0.20.12 8080\n  description two\n  mode nat\n",
        );
        assert!(rejected.is_empty());
        assert_eq!(tree.print(), expected.print());
    }

    #[test]
    fn after_commit_a_block_goes_on_where_it_was() {
        let mut open = type_in(&TYPED[..3]);
        let last = open.edits().pop().unwrap();
        open.applied(2);
        assert!(!open.is_dirty() && open.batch().is_empty());
        let mut path = last.path.clone();
        path.push(last.key.clone());
        let position_edit =
            parse_edits(&["virtual-server www", "real-server 10.0.20.11 8080", "drain"].map(str::to_owned));
        let drain = position_edit.unwrap().pop().unwrap();
        assert_eq!(drain.path, path);
        open.push(drain, false);
        assert_eq!(open.batch(), ["virtual-server www", "real-server 10.0.20.11 8080", "drain"]);
        assert_eq!(open.pending(), ["virtual-server www", " real-server 10.0.20.11 8080", "  drain"]);
    }
}
