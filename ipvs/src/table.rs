//! The table as a value, and what it takes to make one table of another.
//!
//! [`plan()`] compares and [`Change`] is a step; neither knows the kernel. A table is the whole of what the kernel holds in a network namespace:
//! it has one owner, and what the owner does not want goes. Sync daemons and timeouts are not part of it.

mod apply;
mod change;

use std::collections::BTreeMap;

pub use apply::ApplyError;
pub use change::{Change, inverse, plan};

use crate::{Destination, DestinationKey, Refusal, Service, ServiceKey};

/// Services and their destinations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Each service by its identity.
    pub services: BTreeMap<ServiceKey, Entry>,
}

/// A service with its destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its options.
    pub service: Service,
    /// Each destination by its identity.
    pub destinations: BTreeMap<DestinationKey, Destination>,
}

impl Table {
    /// Puts a service in, or changes its options and leaves its destinations. Returns the entry, to put destinations in.
    pub fn service(&mut self, key: ServiceKey, service: Service) -> &mut Entry {
        let entry = self.services.entry(key).or_insert_with(|| Entry { service, destinations: BTreeMap::new() });
        entry.service = service;
        entry
    }

    /// The same table with every option in the form in which equal behaviour is equal.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        for destination in self.services.values_mut().flat_map(|entry| entry.destinations.values_mut()) {
            *destination = destination.normalized();
        }
        self
    }

    /// What the kernel would make of a change.
    ///
    /// # Errors
    /// The kernel's refusals that follow from the table itself: what exists, what does not.
    pub fn apply(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::AddService { key, service } => {
                if self.services.contains_key(key) {
                    return Err(Refusal::ServiceExists);
                }
                self.service(*key, *service);
            }
            Change::EditService { key, to, .. } => self.entry(key)?.service = *to,
            Change::RemoveService { key, .. } => {
                self.services.remove(key).ok_or(Refusal::NoService)?;
            }
            Change::AddDestination { service, key, destination } => {
                let destinations = &mut self.entry(service)?.destinations;
                if destinations.contains_key(key) {
                    return Err(Refusal::DestinationExists);
                }
                destinations.insert(*key, *destination);
            }
            Change::EditDestination { service, key, to, .. } => {
                *self.entry(service)?.destinations.get_mut(key).ok_or(Refusal::NoDestination)? = *to;
            }
            Change::RemoveDestination { service, key, .. } => {
                self.entry(service)?.destinations.remove(key).ok_or(Refusal::NoDestination)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, key: &ServiceKey) -> Result<&mut Entry, Refusal> {
        self.services.get_mut(key).ok_or(Refusal::NoService)
    }
}

#[cfg(test)]
mod tests;
