//! Steps from one table to another: found by comparison, each with its way back.

use std::fmt;

use super::{Entry, Table};
use crate::wire::Request;
use crate::{Destination, DestinationKey, Service, ServiceKey};

/// A step: one message to the kernel. Carries what was there before, so that it can be undone. Displays as its request does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A service appears, without destinations.
    AddService {
        /// Which.
        key: ServiceKey,
        /// Its options.
        service: Service,
    },
    /// Options of a service change; no connection notices.
    EditService {
        /// Which.
        key: ServiceKey,
        /// Its options before.
        from: Service,
        /// Its options after.
        to: Service,
    },
    /// A service goes, and with it its destinations.
    RemoveService {
        /// Which.
        key: ServiceKey,
        /// What it was.
        entry: Entry,
    },
    /// A destination appears.
    AddDestination {
        /// In which service.
        service: ServiceKey,
        /// Which.
        key: DestinationKey,
        /// Its options.
        destination: Destination,
    },
    /// Options of a destination change; no connection notices.
    EditDestination {
        /// In which service.
        service: ServiceKey,
        /// Which.
        key: DestinationKey,
        /// Its options before.
        from: Destination,
        /// Its options after.
        to: Destination,
    },
    /// A destination goes. What happens to its connections is `net.ipv4.vs.expire_nodest_conn`'s to say.
    RemoveDestination {
        /// From which service.
        service: ServiceKey,
        /// Which.
        key: DestinationKey,
        /// Its options.
        destination: Destination,
    },
}

impl Change {
    /// The message.
    #[must_use]
    pub fn request(&self) -> Request {
        match *self {
            Self::AddService { key, service } => Request::NewService(key, service),
            Self::EditService { key, to, .. } => Request::SetService(key, to),
            Self::RemoveService { key, .. } => Request::DelService(key),
            Self::AddDestination { service, key, destination } => Request::NewDestination(service, key, destination),
            Self::EditDestination { service, key, to, .. } => Request::SetDestination(service, key, to),
            Self::RemoveDestination { service, key, .. } => Request::DelDestination(service, key),
        }
    }

    /// The service it is about.
    #[must_use]
    pub fn service(&self) -> ServiceKey {
        match *self {
            Self::AddService { key, .. } | Self::EditService { key, .. } | Self::RemoveService { key, .. } => key,
            Self::AddDestination { service, .. }
            | Self::EditDestination { service, .. }
            | Self::RemoveDestination { service, .. } => service,
        }
    }

    fn undo(&self, into: &mut Vec<Self>) {
        match *self {
            Self::AddService { key, service } => {
                into.push(Self::RemoveService { key, entry: Entry { service, destinations: [].into() } });
            }
            Self::EditService { key, from, to } => into.push(Self::EditService { key, from: to, to: from }),
            Self::RemoveService { key, ref entry } => add_service(key, entry, into),
            Self::AddDestination { service, key, destination } => {
                into.push(Self::RemoveDestination { service, key, destination });
            }
            Self::EditDestination { service, key, from, to } => {
                into.push(Self::EditDestination { service, key, from: to, to: from });
            }
            Self::RemoveDestination { service, key, destination } => {
                into.push(Self::AddDestination { service, key, destination });
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request().fmt(f)
    }
}

fn add_service(key: ServiceKey, entry: &Entry, into: &mut Vec<Change>) {
    into.push(Change::AddService { key, service: entry.service });
    add_destinations(key, entry, into);
}

fn add_destinations(service: ServiceKey, entry: &Entry, into: &mut Vec<Change>) {
    let all = entry.destinations.iter();
    into.extend(all.map(|(&key, &destination)| Change::AddDestination { service, key, destination }));
}

/// The steps that lead from what is to what is wanted, as few as there are: what can be edited is edited, what is equal is left alone.
///
/// In this order, so that clients always find somebody: services added, destinations added, edits, destinations removed, services removed; each
/// in the order of their identities, removals in reverse. A service takes its destinations along when it goes: one step for all.
#[must_use]
pub fn plan(actual: &Table, desired: &Table) -> Vec<Change> {
    let mut services = Vec::new();
    let mut destinations = Vec::new();
    let mut edits = Vec::new();
    let mut removals = Vec::new();

    for (&key, entry) in &actual.services {
        if !desired.services.contains_key(&key) {
            removals.push(Change::RemoveService { key, entry: entry.clone() });
        }
    }
    for (&key, wanted) in &desired.services {
        match actual.services.get(&key) {
            None => {
                services.push(Change::AddService { key, service: wanted.service });
                add_destinations(key, wanted, &mut destinations);
            }
            Some(found) => compare(key, found, wanted, &mut destinations, &mut edits, &mut removals),
        }
    }
    services.append(&mut destinations);
    services.append(&mut edits);
    services.extend(removals.into_iter().rev());
    services
}

fn compare(
    key: ServiceKey,
    found: &Entry,
    wanted: &Entry,
    additions: &mut Vec<Change>,
    edits: &mut Vec<Change>,
    removals: &mut Vec<Change>,
) {
    if found.service != wanted.service {
        edits.push(Change::EditService { key, from: found.service, to: wanted.service });
    }
    let service = key;
    for (&key, &to) in &wanted.destinations {
        match found.destinations.get(&key) {
            None => additions.push(Change::AddDestination { service, key, destination: to }),
            Some(&from) if from.normalized() != to.normalized() => {
                edits.push(Change::EditDestination { service, key, from, to });
            }
            Some(_) => {}
        }
    }
    for (&key, &destination) in &found.destinations {
        if !wanted.destinations.contains_key(&key) {
            removals.push(Change::RemoveDestination { service, key, destination });
        }
    }
}

/// The steps back, in order.
#[must_use]
pub fn inverse(changes: &[Change]) -> Vec<Change> {
    let mut back = Vec::with_capacity(changes.len());
    for change in changes.iter().rev() {
        change.undo(&mut back);
    }
    back
}
