//! What can be seen of a router (`show vrrp`), and the advertisement it makes of itself.

use super::{Conflict, Faults, Peer, Role, Router, State, Stats, Transition};
use crate::{AdvertPriority, Advertisement, ChecksumForm, Config, Identity, Priority};

impl Router {
    /// Version, family and VRID.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// As it was set last.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// State and deadlines.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// State without deadlines.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.state {
            State::Initialize => Role::Initialize,
            State::Backup { .. } => Role::Backup,
            State::Active { .. } => Role::Active,
        }
    }

    /// The last change: since when, and why.
    #[must_use]
    pub const fn last_transition(&self) -> Option<&Transition> {
        self.last.as_ref()
    }

    /// What keeps it from taking part.
    #[must_use]
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// The priority it stands with now: configured, less what tracking takes, 1..=254; the owner always 255.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.config.priority.lowered_by(self.group_penalty.unwrap_or(self.tracking.penalty))
    }

    /// The last router that was heard, whatever its priority. Never ourselves.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The last router that claimed or gave up our addresses while we were active: a second active router, or a stranger
    /// with our VRID.
    #[must_use]
    pub const fn conflict(&self) -> Option<&Conflict> {
        self.conflict.as_ref()
    }

    /// What it did and saw.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The advertisement that `Effect::Advertise`(super::Effect::Advertise) asks for.
    #[must_use]
    pub fn advertisement(&self, priority: AdvertPriority) -> Advertisement {
        let addresses = self.config.addresses.clone();
        Advertisement::new(self.identity.vrid, priority, self.config.interval, addresses)
            .expect("the configuration was checked against the identity")
    }

    /// The form of the checksum to send it with.
    #[must_use]
    pub fn checksum_form(&self) -> ChecksumForm {
        self.config.checksum.form(self.peer.map(|peer| peer.heard.checksum))
    }
}
