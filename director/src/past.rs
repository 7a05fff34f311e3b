//! Earlier running configurations: what a block that was opened then is compared with now.
//!
//! Kept in memory only and bounded; what an operator saved is on flash.

use std::collections::VecDeque;
use std::rc::Rc;

use yoke_config::tree::{Edit, Tree, merge};

/// Revisions kept.
const REVISIONS_MAX: usize = 64;
/// Lines kept in all revisions together; a line is some 300 bytes. The newest revision is kept whatever its size.
const LINES_MAX: usize = 50_000;

/// Newest last.
#[derive(Debug, Default)]
pub(crate) struct Past {
    revisions: VecDeque<Revision>,
}

#[derive(Debug)]
struct Revision {
    number: u64,
    tree: Rc<Tree>,
    /// Who made it.
    by: String,
    lines: usize,
}

/// Why typed lines do not fit the running configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The configuration they were typed against is not kept any more.
    TooOld,
    /// Sentences, one for each line that somebody else changed.
    Changed(Vec<String>),
}

impl Past {
    /// Adds the configuration that is running now.
    pub(crate) fn push(&mut self, number: u64, tree: Rc<Tree>, by: &str) {
        let lines = tree.len();
        self.revisions.push_back(Revision { number, tree, by: by.to_owned(), lines });
        let mut lines: usize = self.revisions.iter().map(|revision| revision.lines).sum();
        while self.revisions.len() > 1 && (self.revisions.len() > REVISIONS_MAX || lines > LINES_MAX) {
            lines -= self.revisions.pop_front().map_or(0, |revision| revision.lines);
        }
    }

    /// Joins `edits`, typed against revision `base`, with what is running.
    pub(crate) fn merge(&self, base: u64, edits: &[Edit]) -> Result<Tree, Conflict> {
        let at = self.revisions.iter().position(|revision| revision.number == base).ok_or(Conflict::TooOld)?;
        let base = &self.revisions[at].tree;
        let newest = self.revisions.back().ok_or(Conflict::TooOld)?;
        let lines = match merge(base, edits, &newest.tree) {
            Ok(tree) => return Ok(tree),
            Err(lines) => lines,
        };
        let sentence = |line: String| {
            let who = self.author(at, edits, &line);
            format!("changed by {who} since you started: {line}")
        };
        Err(Conflict::Changed(lines.into_iter().map(sentence).collect()))
    }

    /// Who made the first revision after `at` that clashes with `edits` in `line`.
    fn author(&self, at: usize, edits: &[Edit], line: &String) -> &str {
        let base = &self.revisions[at].tree;
        let clashes =
            |revision: &&Revision| merge(base, edits, &revision.tree).is_err_and(|lines| lines.contains(line));
        self.revisions.iter().skip(at + 1).find(clashes).map_or("somebody", |revision| revision.by.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yoke_config::tree::{load, parse_edits};

    fn tree(text: &str) -> Rc<Tree> {
        let (tree, rejected) = load(text);
        assert_eq!(rejected, []);
        Rc::new(tree)
    }

    fn edits(lines: &[&str]) -> Vec<Edit> {
        parse_edits(&lines.iter().map(|&l| l.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    const BASE: &str = "virtual-server www\n virtual 192.0.2.1 tcp 80\n scheduler rr\n";

    #[test]
    fn another_line_merges_and_the_same_one_names_who_changed_it() {
        let mut past = Past::default();
        past.push(1, tree(BASE), "boot");
        past.push(2, tree(&format!("{BASE}hostname lb1\n")), "bob");
        past.push(3, tree("hostname lb1\nvirtual-server www\n virtual 192.0.2.1 tcp 80\n scheduler lc\n"), "ana");
        let merged = past.merge(1, &edits(&["virtual-server www", "mode dr"])).unwrap();
        assert_eq!(
            merged,
            *tree("hostname lb1\nvirtual-server www\n virtual 192.0.2.1 tcp 80\n scheduler lc\n mode dr\n")
        );
        assert_eq!(
            past.merge(1, &edits(&["virtual-server www", "scheduler sh"])),
            Err(Conflict::Changed(vec!["changed by ana since you started: virtual-server www: scheduler".into()]))
        );
        assert_eq!(
            past.merge(1, &edits(&["hostname x"])),
            Err(Conflict::Changed(vec!["changed by bob since you started: hostname".into()]))
        );
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut past = Past::default();
        for number in 0..100 {
            past.push(number, tree(BASE), "x");
        }
        assert_eq!(past.revisions.len(), REVISIONS_MAX);
        assert_eq!(past.merge(3, &[]), Err(Conflict::TooOld));
        assert!(past.merge(99, &[]).is_ok());
    }
}
