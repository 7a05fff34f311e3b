//! What the configuration wants of this daemon, in the library's types. Pure.
//!
//! A unit is what moves together: a sync group, or a group alone. Members stand in the order of their names, on both boxes alike,
//! because the first decides ties.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp::auth::{Freshness, Hmac, HmacConfig, Key, Password, Rollout};
use vrrp::router::{ChecksumChoice, Preempt};
use vrrp::{AddressList, AdvertInterval, Auth, Family, Identity, Priority, Protocol, Version, Vrid};
use yoke_config::model::{Config, VrrpAddress, VrrpAuth, VrrpChecksum, VrrpGroup, VrrpRollout};
use yoke_config::value::{IfName, Name};

/// Everything wanted.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// What runs.
    pub(crate) units: Vec<WantedUnit>,
    /// Addresses of groups that take no part: nobody may hold them.
    pub(crate) absent: BTreeSet<IpAddr>,
    /// Groups that cannot run: a sentence each.
    pub(crate) problems: Vec<String>,
}

/// Groups that move together.
#[derive(Debug)]
pub(crate) struct WantedUnit {
    /// The sync group, if there is one.
    pub(crate) sync_group: Option<Name>,
    /// At least one.
    pub(crate) groups: Vec<WantedGroup>,
}

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedGroup {
    pub(crate) name: Name,
    pub(crate) interface: IfName,
    pub(crate) identity: Identity,
    pub(crate) config: vrrp::Config,
    pub(crate) auth: VrrpAuth,
    pub(crate) peers: Vec<IpAddr>,
    pub(crate) source: Option<IpAddr>,
    /// All of them, advertised or not.
    pub(crate) addresses: Vec<VrrpAddress>,
    pub(crate) vmac: bool,
    pub(crate) tracked: BTreeMap<Tracked, Option<NonZeroU8>>,
}

/// What a group may depend on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tracked {
    Interface(IfName),
    Server(Name),
    Director,
}

impl fmt::Display for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Server(name) => write!(f, "virtual-server {name}"),
            Self::Director => f.write_str("director"),
        }
    }
}

impl WantedGroup {
    /// Whether the same state machine can go on as `other`.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        self.name == other.name
            && self.identity == other.identity
            && self.interface == other.interface
            && self.vmac == other.vmac
    }
}

impl From<&Config> for Wanted {
    fn from(config: &Config) -> Self {
        let mut wanted = Self::default();
        let mut groups = BTreeMap::new();
        for (name, group) in &config.vrrp_groups {
            let all = config.addresses_of_group(name);
            let absent = all.iter().map(|address| address.net.addr).collect::<Vec<_>>();
            let made = if group.shutdown { Ok(None) } else { self::group(name, group, all) };
            match made {
                Ok(Some(made)) => drop(groups.insert(name.clone(), made)),
                Ok(None) => wanted.absent.extend(absent),
                Err(why) => {
                    wanted.absent.extend(absent);
                    wanted.problems.push(format!("vrrp group {name}: {why}"));
                }
            }
        }
        for (name, sync) in &config.vrrp_sync_groups {
            let members: Vec<WantedGroup> = sync.members.iter().filter_map(|member| groups.remove(member)).collect();
            if !members.is_empty() {
                wanted.units.push(WantedUnit { sync_group: Some(name.clone()), groups: members });
            }
        }
        wanted.units.extend(groups.into_values().map(|group| WantedUnit { sync_group: None, groups: vec![group] }));
        wanted
    }
}

/// `None` for a group without an address of its own, which is a warning of the configuration already. `all` is what moves with it.
fn group(name: &Name, group: &VrrpGroup, all: Vec<VrrpAddress>) -> Result<Option<WantedGroup>, String> {
    let (Some((vrid, interface)), false) = (&group.vrid, group.addresses.is_empty()) else { return Ok(None) };
    let text = |error: &dyn fmt::Display| error.to_string();
    let family = if group.is_ipv6() { Family::V6 } else { Family::V4 };
    let protocol = if group.version == 2 { Protocol::V2 } else { Protocol::V3(family) };
    let identity = Identity { protocol, vrid: Vrid::new(*vrid).ok_or("vrid 0 names no router")? };
    let version = if group.version == 2 { Version::V2 } else { Version::V3 };
    let interval = AdvertInterval::from_millis(version, group.advertise_ms().into()).map_err(|e| text(&e))?;
    let addresses: Vec<IpAddr> = group.addresses.iter().map(|address| address.net.addr).collect();
    let selected = AddressList::select(&addresses, family).map_err(|e| text(&e))?;
    let config = vrrp::Config {
        priority: Priority::new(group.priority).ok_or("priority 0 resigns")?,
        preempt: group.preempt.map_or(Preempt::Off, |delay| Preempt::On { delay: Duration::from_secs(delay.into()) }),
        checksum: match group.checksum {
            VrrpChecksum::PseudoHeader => ChecksumChoice::PseudoHeader,
            VrrpChecksum::Rfc9568 => ChecksumChoice::Rfc9568,
            VrrpChecksum::Heard => ChecksumChoice::Heard,
        },
        ..vrrp::Config::new(selected.advertised, interval)
    };
    let weight = |weight: Option<u8>| weight.and_then(NonZeroU8::new);
    let interfaces = group.track_interfaces.iter().map(|(name, w)| (Tracked::Interface(name.clone()), weight(*w)));
    let servers = group.track_servers.iter().map(|(name, w)| (Tracked::Server(name.clone()), weight(*w)));
    let director = group.track_director.iter().map(|w| (Tracked::Director, weight(*w)));
    auth(&group.auth)?;
    Ok(Some(WantedGroup {
        name: name.clone(),
        interface: interface.clone(),
        identity,
        config,
        auth: group.auth.clone(),
        peers: group.peers.clone(),
        source: group.source,
        addresses: all,
        vmac: group.use_vmac,
        tracked: interfaces.chain(servers).chain(director).collect(),
    }))
}

/// The library's authentication.
pub(crate) fn auth(wanted: &VrrpAuth) -> Result<Auth, String> {
    if let Some(text) = &wanted.text {
        return Ok(Auth::Text(Password::new(text)));
    }
    Ok(hmac(wanted)?.map_or(Auth::None, |config| Auth::Hmac(Box::new(Hmac::new(config)))))
}

/// The keys, if there are any.
pub(crate) fn hmac(wanted: &VrrpAuth) -> Result<Option<HmacConfig>, String> {
    let Some(lowest) = wanted.hmac_keys.keys().next() else { return Ok(None) };
    let keys: Result<Vec<Key>, _> =
        wanted.hmac_keys.iter().map(|(id, secret)| Key::new(*id, secret.as_bytes())).collect();
    let rollout = match wanted.rollout {
        VrrpRollout::ReceiveOnly => Rollout::ReceiveOnly,
        VrrpRollout::Permissive => Rollout::Permissive,
        VrrpRollout::Enforce => Rollout::Enforce,
    };
    // Nothing keeps the clocks of the boxes together yet, and boxes that refuse each other are two active routers.
    let config = HmacConfig::new(
        &keys.map_err(|e| e.to_string())?,
        wanted.hmac_use.unwrap_or(*lowest),
        rollout,
        Freshness::Monotonic,
    );
    config.map(Some).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Wanted {
        let (tree, rejected) = yoke_config::tree::load(text);
        assert_eq!(rejected, []);
        Wanted::from(&Config::try_from(&tree).expect("a valid configuration"))
    }

    #[test]
    fn a_group_alone_and_its_defaults() {
        let wanted = wanted("vrrp group a\n vrid 51 interface eth0\n address 203.0.113.10/24\n");
        let [unit] = wanted.units.as_slice() else { panic!("one unit") };
        let group = &unit.groups[0];
        assert_eq!((group.identity.protocol, group.identity.vrid.get()), (Protocol::V3(Family::V4), 51));
        assert_eq!(group.config.interval.duration(), Duration::from_millis(100));
        assert_eq!((group.config.priority.get(), group.config.preempt), (253, Preempt::Off));
        assert!(wanted.problems.is_empty() && wanted.absent.is_empty());
    }

    #[test]
    fn members_stand_in_the_order_of_their_names_and_others_alone() {
        let wanted = wanted(
            "vrrp group out\n vrid 51 interface eth0\n address 203.0.113.10/24\nvrrp group in\n vrid 52 interface eth1\n \
             address 10.0.20.1/24\nvrrp group c\n vrid 53 interface eth1\n address 10.0.20.3/24\nvrrp sync-group pair\n \
             member out\n member in\n member gone\n",
        );
        let names: Vec<Vec<&str>> =
            wanted.units.iter().map(|unit| unit.groups.iter().map(|group| group.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["in", "out"], vec!["c"]]);
    }

    #[test]
    fn who_takes_no_part_holds_nothing() {
        let wanted = wanted(
            "vrrp group a\n vrid 51 interface eth0\n address 203.0.113.10/24\n shutdown\nvrrp group b\n vrid 52 interface eth0\n",
        );
        assert!(wanted.units.is_empty());
        assert_eq!(wanted.absent, BTreeSet::from(["203.0.113.10".parse().unwrap()]));
    }

    #[test]
    fn what_is_bound_moves_too_and_is_not_advertised() {
        let wanted = wanted(
            "interface eth1\n ip address 10.2.0.2/24\nvirtual-server v\n virtual 10.2.0.9 tcp 80\n redundancy a\nvrrp group a\n \
             vrid 51 interface eth0\n address 203.0.113.10/24\n",
        );
        let group = &wanted.units[0].groups[0];
        let places: Vec<String> = group.addresses.iter().map(|address| address.net.to_string()).collect();
        assert_eq!(places, ["203.0.113.10/24", "10.2.0.9/32"]);
        assert_eq!(group.config.addresses.len(), 1);
    }

    #[test]
    fn secrets_become_keys() {
        let both = "vrrp group a\n vrid 1 interface eth0\n version 2\n address 10.0.0.9/24\n authentication text 1111\n\
                    vrrp group b\n vrid 2 interface eth0\n address 10.0.0.8/24\n authentication hmac key 7 \
                    0123456789abcdef0123456789abcdef\n";
        let wanted = wanted(both);
        assert!(matches!(auth(&wanted.units[0].groups[0].auth), Ok(Auth::Text(_))));
        assert!(matches!(auth(&wanted.units[1].groups[0].auth), Ok(Auth::Hmac(_))));
    }
}
