//! Which real servers get traffic, and why: monitors that judge servers, and pools that draw the consequence.
//!
//! The core is pure. [`Machine`] judges one server by the outcomes of its attempts; [`Checks`] has one machine for each [`Target`] and says
//! what is to be tried next; [`pool`] turns verdicts into what each real server of a virtual server gets. Time is a parameter everywhere:
//! monotonic, as [`Time`]. Nothing here knows IPVS or a configuration file; the director brings both together.

mod checks;
mod half_open;
mod machine;
mod path;
pub mod pool;
pub mod probe;
mod prober;
pub mod programs;
mod source;
mod target;

use std::time::Duration;

pub use checks::{Checks, Job, Noted, Past, Report, Verdict};
pub use machine::{Change, Machine, Outcome, State, Timing};
pub use path::{Passage, Path, Way, tunnel_text};
pub use prober::{News, Prober, Wanted};
pub use source::{SOURCE_PORTS, SourcePorts};
pub use target::{Probe, Target, marks, target_of, targets};

/// A point on the monotonic clock (CLOCK_MONOTONIC): time since boot. It survives a restart of the process, not of the machine.
pub type Time = Duration;
