//! The scenarios, in the order they run: what the others rest on comes first.

mod instruments;

use crate::runner::{Rung, Scenario};

/// All of them.
pub const ALL: &[Scenario] = &[Scenario { rung: Rung::Namespaces, name: "instruments", run: instruments::run }];
