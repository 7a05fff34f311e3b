//! Which check judges which real server of one configuration: worked out once for it, and not for each verdict.
//!
//! Pure. A verdict then costs what concerns it: its virtual servers, and not all there are.

use std::collections::BTreeMap;
use std::rc::Rc;

use yoke_config::model::Config;
use yoke_config::value::Name;
use yoke_health::pool::Key;
use yoke_health::{Target, target_of};

/// Of one configuration.
#[derive(Debug, Default)]
pub(super) struct Concern {
    of: Rc<Config>,
    /// Real servers that are judged, by virtual server. What is shut down is not here.
    judged: BTreeMap<Name, BTreeMap<Key, Target>>,
    concerned: BTreeMap<Target, Vec<(Name, Key)>>,
}

impl Concern {
    /// Of `config`: this one, if it is that already.
    pub(super) fn renewed(self, config: &Rc<Config>) -> Self {
        if Rc::ptr_eq(&self.of, config) {
            return self;
        }
        let (mut judged, mut concerned) = (BTreeMap::new(), BTreeMap::<Target, Vec<(Name, Key)>>::new());
        for (name, server) in config.virtual_servers.iter().filter(|(_, server)| !server.shutdown) {
            let mut of_server = BTreeMap::new();
            for (&key, real) in &server.real_servers {
                if let Some(target) = target_of(config, server, key, real) {
                    concerned.entry(target.clone()).or_default().push((name.clone(), key));
                    of_server.insert(key, target);
                }
            }
            judged.insert(name.clone(), of_server);
        }
        Self { of: config.clone(), judged, concerned }
    }

    /// What judges a real server, as [`target_of`] says.
    pub(super) fn target(&self, server: &Name, key: Key) -> Option<&Target> {
        self.judged.get(server)?.get(&key)
    }

    /// Whom a check concerns.
    pub(super) fn concerned(&self, target: &Target) -> &[(Name, Key)] {
        self.concerned.get(target).map_or(&[], Vec::as_slice)
    }
}
