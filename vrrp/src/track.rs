//! What a router depends on besides its own interface: other interfaces, virtual servers, the director. Each either costs
//! priority while it is down or, without a weight, makes the router give up. Who watches them is not in here.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

/// The sum of what is tracked, for [`Router::handle_tracking`](crate::Router::handle_tracking).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tracking {
    /// Something without a weight is down.
    pub failed: bool,
    /// The weights of all that is down, added up.
    pub penalty: u16,
}

/// The tracked objects of one router, by names of the caller's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracker<K> {
    objects: BTreeMap<K, Object>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Object {
    weight: Option<NonZeroU8>,
    up: bool,
}

impl<K: Ord> Default for Tracker<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new() }
    }
}

impl<K: Ord> Tracker<K> {
    /// Tracks exactly these objects, each with its weight or none. What was tracked before keeps its state; what is new
    /// counts as up until somebody says otherwise.
    #[must_use]
    pub fn set(&mut self, objects: impl IntoIterator<Item = (K, Option<NonZeroU8>)>) -> Tracking {
        let before = std::mem::take(&mut self.objects);
        for (name, weight) in objects {
            let up = before.get(&name).is_none_or(|object| object.up);
            self.objects.insert(name, Object { weight, up });
        }
        self.sum()
    }

    /// An object went up or down. One that is not tracked changes nothing.
    #[must_use]
    pub fn handle(&mut self, name: &K, up: bool) -> Tracking {
        if let Some(object) = self.objects.get_mut(name) {
            object.up = up;
        }
        self.sum()
    }

    /// What is down.
    pub fn down(&self) -> impl Iterator<Item = &K> {
        self.objects.iter().filter(|(_, object)| !object.up).map(|(name, _)| name)
    }

    fn sum(&self) -> Tracking {
        let down = self.objects.values().filter(|object| !object.up);
        down.fold(Tracking::default(), |sum, object| match object.weight {
            None => Tracking { failed: true, ..sum },
            Some(weight) => Tracking { penalty: sum.penalty.saturating_add(weight.get().into()), ..sum },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_and_their_absence_gives_up() {
        let mut tracker = Tracker::default();
        let objects = [("eth1", NonZeroU8::new(20)), ("web", NonZeroU8::new(30)), ("director", None)];
        assert_eq!(tracker.set(objects), Tracking::default());
        assert_eq!(tracker.handle(&"eth1", false), Tracking { failed: false, penalty: 20 });
        assert_eq!(tracker.handle(&"web", false), Tracking { failed: false, penalty: 50 });
        assert_eq!(tracker.handle(&"director", false), Tracking { failed: true, penalty: 50 });
        assert_eq!(tracker.handle(&"nobody", false), Tracking { failed: true, penalty: 50 });
        assert!(tracker.down().eq([&"director", &"eth1", &"web"]));
        assert_eq!(tracker.handle(&"director", true), Tracking { failed: false, penalty: 50 });
    }

    #[test]
    fn a_new_configuration_keeps_what_is_known() {
        let mut tracker = Tracker::default();
        let _ = tracker.set([("eth1", NonZeroU8::new(20)), ("eth2", None)]);
        let _ = tracker.handle(&"eth1", false);
        assert_eq!(tracker.set([("eth1", NonZeroU8::new(5)), ("eth3", None)]), Tracking { failed: false, penalty: 5 });
        assert_eq!(tracker.set([]), Tracking::default());
    }
}
