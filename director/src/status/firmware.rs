//! What an operator does about the firmware, and how far it is.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use yoke_install::report::Progress;

/// What an operator does about the firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Install {
    /// Writes an update into the slot that does not run. The reply comes at once; the shell watches [`super::Show::InstallProgress`].
    Add {
        /// A URL or a path.
        source: String,
        /// Of the URL's host.
        address: Option<IpAddr>,
        /// Though it is older than what runs.
        force: bool,
    },
    /// Puts the box on another disk, over all that is there. As with [`Install::Add`], the reply comes at once.
    Disk {
        /// The kernel's name, such as `sda`.
        name: String,
        /// Of the disk that the operator was told of: what has its name by now may be another.
        identity: String,
    },
    /// Restarts into the other slot, once.
    Activate {
        /// Until the box returns by itself.
        minutes: u16,
    },
    /// Keeps what runs.
    Commit,
    /// Restarts into the other slot, for good.
    Rollback,
    /// Stops adding or writing a disk, takes an activation back, or returns from a trial.
    Abort,
}

/// The `install add` or `install disk` under way, or the last one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Adding {
    /// Whether it runs.
    pub running: bool,
    /// How far it is.
    pub progress: Option<Progress>,
    /// How it ended, a sentence; empty before.
    pub text: String,
    /// Whether it failed.
    pub failed: bool,
}
