//! Rules that make packets with a mark come in. Their table is filled before a rule leads to it, and emptied after the last.

use super::super::table::Change;
use super::Planner;

impl Planner<'_> {
    pub(super) fn remove_rules(&mut self) {
        // What this box sends is kept from the table as long as any mark leads there.
        for rule in self.network.rules.iter().rev().filter(|rule| !self.wanted.rules.contains(rule)) {
            self.change(Change::DeleteRule(*rule));
        }
        for ipv6 in self.network.takes_in.difference(&self.wanted.takes_in()) {
            self.change(Change::TakeNothingIn { ipv6: *ipv6 });
        }
    }

    pub(super) fn add_rules(&mut self) {
        for ipv6 in self.wanted.takes_in().difference(&self.network.takes_in) {
            self.change(Change::TakeIn { ipv6: *ipv6 });
        }
        for rule in self.wanted.rules.difference(&self.network.rules) {
            self.change(Change::AddRule(*rule));
        }
    }
}
