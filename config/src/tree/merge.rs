//! Two people, one configuration: a three-way merge by the identity of lines.

use std::collections::BTreeSet;

use super::{Edit, Key, Tree};

/// Applies `mine`, which was typed looking at `base`, to `theirs`, which has grown from `base` meanwhile.
///
/// # Errors
/// The lines that both changed, to different ends, each as `virtual-server www: scheduler`; nothing is merged then.
pub fn merge(base: &Tree, mine: &[Edit], theirs: &Tree) -> Result<Tree, Vec<String>> {
    let mut wanted = base.clone();
    wanted.edit_all(mine);
    let mut conflicts = BTreeSet::new();
    for edit in mine {
        for (depth, key) in edit.path.iter().enumerate() {
            // The block I work in was removed; what it said is no longer there to be changed.
            let path = &edit.path[..depth];
            if base.get(path, key).is_some() && theirs.get(path, key).is_none() {
                conflicts.insert(name(path, key));
            }
        }
        for key in touched(edit, [base, theirs]) {
            let [base, theirs, wanted] = [base, theirs, &wanted].map(|tree| tree.get(&edit.path, &key));
            let clash = if edit.negate {
                base != theirs && wanted != theirs
            } else {
                // Only what this line itself says; lines below a header are edits of their own.
                let [base, theirs, wanted] = [base, theirs, wanted].map(|entry| entry.map(|entry| &entry.values));
                base != theirs && wanted != theirs
            };
            if clash {
                conflicts.insert(name(&edit.path, &key));
            }
        }
    }
    if conflicts.is_empty() {
        let mut merged = theirs.clone();
        merged.edit_all(mine);
        Ok(merged)
    } else {
        Err(conflicts.into_iter().collect())
    }
}

/// The identities an edit is about: one, or everything under the prefix of a `no`.
fn touched(edit: &Edit, trees: [&Tree; 2]) -> BTreeSet<Key> {
    if !edit.negate {
        return BTreeSet::from([edit.key.clone()]);
    }
    let blocks = trees.into_iter().filter_map(|tree| tree.at(&edit.path));
    blocks.flat_map(|block| block.under(&edit.key).map(|(key, _)| key.clone())).collect()
}

fn name(path: &[Key], key: &Key) -> String {
    let words: Vec<String> = path.iter().chain([key]).map(ToString::to_string).collect();
    words.join(": ")
}
