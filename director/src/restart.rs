//! What a director that is started again must know beside the running configuration: its number, what the load from flash set
//! aside or left alone, and the roles of its groups.
//!
//! Kept under `/run`, so a reboot forgets it, as it should.

use serde::{Deserialize, Serialize};

use crate::director::{Director, Quarantined};
use crate::files::{self, Medium, Paths};
use crate::notes::Source;
use crate::roles::Roles;

/// The content of `director.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Memo {
    /// Of the running configuration.
    pub(crate) revision: u64,
    /// How the configuration came to be.
    pub(crate) notice: String,
    /// Lines set aside.
    pub(crate) rejected: Vec<Quarantined>,
    /// Whether what is on flash was left alone, and still is.
    #[serde(default)]
    pub(crate) unloaded: bool,
    /// What `show warnings` says of it.
    pub(crate) faults: Vec<String>,
    /// Which groups are active, as far as it has been acted on: what the kernel holds goes by it.
    #[serde(default)]
    pub(crate) roles: Roles,
}

/// Writes the memo for `revision`.
///
/// # Errors
/// A sentence, when `/run` cannot be written.
pub(crate) fn save(director: &Director, revision: u64) -> Result<(), String> {
    let state = director.state();
    let memo = Memo {
        revision,
        notice: state.notice.clone(),
        rejected: state.rejected.clone(),
        unloaded: state.unloaded,
        faults: state.notes.of(Source::Loading),
        roles: state.roles.clone(),
    };
    let path = director.paths.state();
    let json = serde_json::to_vec(&memo).map_err(std::io::Error::from);
    let written = json.and_then(|json| files::replace(&path, &json, 0o600, Medium::Memory));
    written.map(drop).map_err(|e| format!("{}: {e}", path.display()))
}

/// Reads the memo; `None` at boot.
pub(crate) fn load(paths: &Paths) -> Option<Memo> {
    serde_json::from_slice(&std::fs::read(paths.state()).ok()?).ok()
}
