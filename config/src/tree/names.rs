//! What the tree knows about a place in a line: names to complete, and what is configured there now.

use std::collections::BTreeSet;

use crate::grammar::{Kind, Ty};
use crate::value::Value;
use crate::walk::Next;

use super::Tree;

impl Tree {
    /// The objects of a kind, in their order, as they are typed.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let header = match kind {
            Kind::VirtualServer | Kind::RealServer => "virtual-server",
            Kind::Monitor => "health-monitor",
            Kind::Pool => "ip nat pool",
            Kind::VrrpGroup => "vrrp group",
            Kind::SyncGroup => "vrrp sync-group",
            Kind::Interface => "interface",
        };
        let found = self.lines().filter(|(key, _)| key.kind() == header);
        let names: BTreeSet<&Value> = match kind {
            Kind::RealServer => found
                .flat_map(|(_, entry)| entry.below.lines())
                .filter(|(key, _)| key.kind() == "real-server")
                .filter_map(|(key, _)| key.args().next())
                .collect(),
            _ => found.filter_map(|(key, _)| key.args().next()).collect(),
        };
        names.into_iter().map(ToString::to_string).collect()
    }

    /// Values that may complete the word at `next`, whatever is typed of it: names of objects, and for identity words what
    /// exists there already. In natural order, each once.
    #[must_use]
    pub fn suggestions(&self, next: &Next) -> Vec<String> {
        let mut found = Vec::new();
        for node in next.nodes.iter().filter(|node| !node.is_kw()) {
            match node.ty {
                Ty::Ref(kind) => found.extend(self.names(kind)),
                Ty::If => found.extend(self.names(Kind::Interface)),
                Ty::Port | Ty::Ports => found.push("any".to_owned()),
                _ => {}
            }
        }
        if next.filled == Some(0)
            && let Some(block) = self.at(&next.path)
        {
            let at = next.key.0.len();
            let existing = block.under(&next.key).filter_map(|(key, _)| key.0.get(at)).map(|(_, value)| value);
            found.extend(existing.filter(|value| !matches!(value, Value::Kw(_))).map(Value::to_string));
        }
        let mut seen = BTreeSet::new();
        found.retain(|word| seen.insert(word.clone()));
        found
    }

    /// What the line at `next` says now in the place of the next word, for `?`.
    #[must_use]
    pub fn current(&self, next: &Next) -> Option<String> {
        let entry = self.get(&next.path, &next.key)?;
        entry.values.get(next.filled?).map(ToString::to_string)
    }
}
