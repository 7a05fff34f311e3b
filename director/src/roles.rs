//! Which vrrp groups are active on this box, and what of the configuration is in force because of it. Pure.
//!
//! A virtual server with an address needs nothing of this: IPVS balances what arrives at an address of the box, and the address is vrrpd's to
//! move; its service stays in the table of the backup too, where synchronised connections find their real servers. One with a firewall mark
//! takes packets to addresses that are on no interface: bound to a group, it and its marks exist only while the group is active.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vrrp::status::Status;
use yoke_config::model::{Config, Virtual, VirtualServer};
use yoke_config::value::Name;

/// The groups that are active, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Roles {
    active: BTreeSet<String>,
    /// Those that were not a moment ago, and those that were: connections of the last seconds are still on their way between the boxes.
    #[serde(skip)]
    settling: BTreeSet<String>,
}

impl From<&Status> for Roles {
    fn from(status: &Status) -> Self {
        let active = status.groups.iter().filter(|group| group.state == "active");
        Self { active: active.map(|group| group.name.clone()).collect(), settling: BTreeSet::new() }
    }
}

impl Roles {
    /// Those of groups that `config` still has.
    pub(crate) fn of(mut self, config: &Config) -> Self {
        let exists = |group: &String| config.vrrp_groups.keys().any(|name| name.as_str() == group);
        self.active.retain(exists);
        self.settling.retain(exists);
        self
    }

    /// These, after `before`: what differs is settling.
    pub(crate) fn after(mut self, before: &Self) -> Self {
        let changed = self.active.symmetric_difference(&before.active);
        self.settling = changed.chain(&before.settling).cloned().collect();
        self
    }

    /// The same once everything has settled.
    pub(crate) fn settled(mut self) -> Self {
        self.settling.clear();
        self
    }

    /// Whether it has become active, or has ceased to be, within the last seconds.
    pub(crate) fn is_settling(&self, group: &Name) -> bool {
        self.settling.contains(group.as_str())
    }

    pub(crate) fn is_active(&self, group: &Name) -> bool {
        self.active.contains(group.as_str())
    }

    /// Whether the peer serves this virtual server, as far as a group decides that.
    pub(crate) fn is_elsewhere(&self, config: &Config, server: &VirtualServer) -> bool {
        config.group_of(server).is_some_and(|group| !self.is_active(group))
    }
}

/// The configuration without the marks, and what is balanced by them, that belong to groups which are not active here.
pub(crate) fn in_force<'c>(config: &'c Config, roles: &Roles) -> Cow<'c, Config> {
    let away = |server: &VirtualServer| {
        matches!(server.virtual_, Virtual::Fwmark { .. }) && !server.shutdown && roles.is_elsewhere(config, server)
    };
    let names: Vec<&Name> = config.virtual_servers.iter().filter(|(_, server)| away(server)).map(|(n, _)| n).collect();
    if names.is_empty() {
        return Cow::Borrowed(config);
    }
    let mut rest = config.clone();
    for name in names {
        let Some(server) = rest.virtual_servers.get_mut(name) else { continue };
        server.shutdown = true;
        if let Virtual::Fwmark { mark, ipv6 } = server.virtual_ {
            rest.firewall_marks.retain(|line| line.mark != mark || line.prefix.addr.is_ipv6() != ipv6);
        }
    }
    Cow::Owned(rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::nft::{self, Rules};
    use crate::reconcile;
    use crate::testing::config;

    const CONFIG: &str = "firewall-mark 7 192.0.2.0/24 tcp 80\nfirewall-mark 7 2001:db8::/32 tcp 80\nfirewall-mark 8 198.51.100.0/24 tcp 80\n\
        interface eth0\n ip address 10.1.0.2/24\n\
        virtual-server a\n virtual 10.1.0.9 tcp 80\n real-server 10.1.0.11 80\n\
        virtual-server m\n virtual fwmark 7\n redundancy g\n real-server 10.1.0.11 any\n\
        virtual-server n\n virtual fwmark 8\n real-server 10.1.0.11 any\n\
        vrrp group g\n vrid 1 interface eth0\n address 10.1.0.9/24\n";

    fn roles(active: &[&str]) -> Roles {
        Roles { active: active.iter().map(|name| (*name).to_owned()).collect(), settling: BTreeSet::new() }
    }

    #[test]
    fn a_mark_that_is_bound_is_there_only_while_its_group_is_active() {
        let config = config(CONFIG);
        let parts = |roles: &Roles| {
            let in_force = in_force(&config, roles);
            let table = reconcile::desired(&in_force, &BTreeMap::new()).table.services.len();
            (table, nft::render(&Rules::new(&config, roles)))
        };
        let (services, script) = parts(&roles(&["g"]));
        assert!(services == 3 && script.contains("192.0.2.0/24"), "{script}");
        let (services, script) = parts(&roles(&["other"]));
        assert_eq!(services, 2, "that of an address stays, for connections that are synchronised");
        assert!(!script.contains("192.0.2.0/24") && script.contains("198.51.100.0/24"), "{script}");
        assert!(script.contains("2001:db8::/32"), "that family is another virtual server's");
        let elsewhere = |name: &str| {
            let (_, server) = config.virtual_servers.iter().find(|(n, _)| n.as_str() == name).unwrap();
            roles(&[]).is_elsewhere(&config, server)
        };
        assert_eq!([elsewhere("a"), elsewhere("m"), elsewhere("n")], [true, true, false]);
    }
}
