//! What is probed: one server's port by one monitor, however many virtual servers share the answer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use yoke_config::model::{Check, Config, HealthCheck, Monitor, RealServer, VirtualServer};
use yoke_config::value::Name;

use crate::path::{self, Passage, Path, Way};
use crate::source::SourcePorts;

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Of the real server.
    pub address: IpAddr,
    /// The monitor's port, or the real server's; 0 where the monitor knows no ports.
    pub port: u16,
    /// Which monitor.
    pub monitor: Name,
    /// The virtual address that is asked in its place, the way of clients: modes dr and tun ([`crate::Path`]).
    pub via: Option<Way>,
}

/// `10.0.0.1 80 web`, `10.0.0.1 80 web through 203.0.113.10 by dr`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, monitor, via } = self;
        if *port == 0 {
            write!(f, "{address} {monitor}")?
        } else {
            write!(f, "{address} {port} {monitor}")?
        }
        via.map_or(Ok(()), |way| write!(f, " through {} by {}", way.virtual_, path::tunnel_text(way.tunnel)))
    }
}

/// What judges a real server; `None` when nothing does: `health-check none`, none where there is nothing to connect to, a monitor that does not
/// exist, or one that has no port to try.
#[must_use]
pub fn target_of(config: &Config, server: &VirtualServer, key: (IpAddr, u16), real: &RealServer) -> Option<Target> {
    let (target, _, way) = aim(config, server, key, real)?;
    Some(Target { via: way.map(|(way, _)| way), ..target })
}

/// Whom to ask, how, and the way of clients, if there is one.
type Aim<'c> = (Target, &'c Monitor, Option<(Way, Path)>);

fn aim<'c>(config: &'c Config, server: &'c VirtualServer, key: (IpAddr, u16), real: &'c RealServer) -> Option<Aim<'c>> {
    let Some(HealthCheck::Monitor(name)) = server.health_check_of(key, real) else { return None };
    let monitor = config.monitor(name)?;
    let (address, own) = key;
    let port = if monitor.check.has_port() { Some(monitor.port.unwrap_or(own)).filter(|port| *port != 0)? } else { 0 };
    let way = path::of(server, (address, real), monitor, port);
    Some((Target { address, port, monitor: name.clone(), via: None }, monitor, way))
}

fn aims(config: &Config) -> impl Iterator<Item = Aim<'_>> {
    let servers = config.virtual_servers.values().filter(|server| !server.shutdown);
    let real = servers.flat_map(|server| server.real_servers.iter().map(move |(&key, real)| (server, key, real)));
    real.filter(|(_, _, real)| !real.shutdown).filter_map(|(server, key, real)| aim(config, server, key, real))
}

/// Every way of clients that a check of this configuration takes, and its mark: a service of IPVS each, which is the director's to program.
#[must_use]
pub fn marks(config: &Config) -> BTreeMap<Path, u32> {
    path::marks(aims(config).filter_map(|(_, _, way)| way).map(|(_, path)| path).collect())
}

/// How a target is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub monitor: Arc<Monitor>,
    /// How it gets there the way of clients. `None` though the target has a way: it cannot go there now, and the server's own address is asked.
    pub passage: Option<Passage>,
}

/// Every target of a configuration, once. What is shut down is not probed. `is_served` says whether IPVS has the service of a path and its mark: a
/// probe with a mark that it has not would be balanced like a client, and say something of anybody.
#[must_use]
pub fn targets(
    config: &Config,
    ports: &mut SourcePorts,
    is_served: impl Fn(&Path, u32) -> bool,
) -> BTreeMap<Target, Probe> {
    let marks = marks(config);
    let aims: Vec<Aim<'_>> = aims(config)
        .map(|(target, monitor, way)| (Target { via: way.map(|(way, _)| way), ..target }, monitor, way))
        .collect();
    let connects = |monitor: &Monitor| matches!(monitor.check, Check::Tcp { .. } | Check::Http(_) | Check::Smtp { .. });
    ports.settle(
        &aims.iter().filter(|(_, monitor, way)| way.is_some() && connects(monitor)).map(|(t, ..)| t.clone()).collect(),
    );
    let mut shared = BTreeMap::<Name, Arc<Monitor>>::new();
    let probe = |(target, monitor, way): Aim<'_>| {
        let passage = way.and_then(|(_, path)| {
            let mark = marks.get(&path).copied().filter(|mark| is_served(&path, *mark))?;
            let port = ports.of(&target);
            (port.is_some() || !connects(monitor)).then(|| Passage { mark, port, hops: path::hops(config, &path) })
        });
        let monitor = shared.entry(target.monitor.clone()).or_insert_with(|| Arc::new(monitor.clone())).clone();
        (target, Probe { monitor, passage })
    };
    aims.into_iter().map(probe).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn config(text: &str) -> Config {
        let (tree, rejected) = yoke_config::tree::load(text);
        assert_eq!(rejected, []);
        Config::try_from(&tree).expect("valid")
    }

    #[test]
    fn virtual_servers_share_a_probe() {
        let config = config(
            "health-monitor web\n type http\nhealth-monitor ping\n type icmp\nhealth-monitor p\n port 81\n\
             virtual-server a\n virtual 192.0.2.10 tcp 80\n health-check web\n real-server 10.0.0.1 80\n real-server 10.0.0.2 80\n  \
             health-check none\n real-server 10.0.0.3 80\n  shutdown\n real-server 10.0.0.4 80\n  health-check p\n\
             virtual-server b\n virtual 192.0.2.11 tcp 80\n health-check web\n real-server 10.0.0.1 80\n  weight 7\n\
             virtual-server c\n virtual 192.0.2.12 tcp any\n persistence timeout 60\n health-check ping\n real-server 10.0.0.1 any\n \
             real-server 10.0.0.1 80\n real-server 10.0.0.2 any\n  health-check web\n real-server 10.0.0.3 any\n  health-check gone\n\
             virtual-server d\n virtual 192.0.2.13 tcp 80\n health-check web\n shutdown\n real-server 10.0.0.9 80\n",
        );
        let targets = targets(&config, &mut SourcePorts::default(), |_, _| true);
        let found: Vec<String> = targets.keys().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1 ping", "10.0.0.1 80 web", "10.0.0.4 81 p"]);
        assert!(targets.values().all(|probe| probe.passage.is_none()));
    }

    const BY_DR: &str = "virtual-server a\n virtual 192.0.2.10 tcp 80\n mode dr\n real-server 10.0.0.1 80\n";

    fn only(text: &str, is_served: bool) -> (Target, Probe) {
        let all = targets(&config(text), &mut SourcePorts::default(), |_, _| is_served);
        assert_eq!(all.len(), 1);
        all.into_iter().next().expect("one")
    }

    #[test]
    fn another_mode_or_tunnel_is_another_target() {
        let tun = BY_DR.replace("dr", "tun");
        let keys: Vec<Target> =
            [BY_DR, &tun, &tun.replace("tun\n", "tun\n tunnel gue 6080\n"), &BY_DR.replace("dr", "nat")]
                .map(|text| only(text, true).0)
                .into();
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(key), "{key}");
        }
    }

    #[test]
    fn a_probe_goes_where_ipvs_has_a_service_for_it_and_no_further() {
        let (target, probe) = only(BY_DR, true);
        assert!(target.via.is_some());
        let passage = probe.passage.expect("it is served");
        assert!(Config::PROBE_MARKS.contains(&passage.mark) && passage.port.is_some());
        assert_eq!(passage.hops, Some(2), "a real server of mode dr is a neighbour");
        let (target, probe) = only(BY_DR, false);
        assert!(target.via.is_some() && probe.passage.is_none(), "{probe:?}");
    }

    #[test]
    fn a_tunnel_may_be_long() {
        let tun = BY_DR.replace("dr", "tun");
        let hops = |text: &str| only(text, true).1.passage.expect("it is served").hops;
        assert_eq!(hops(&tun), None, "who knows");
        let near = format!("{tun}interface eth0\n ip address 10.0.0.9/24\n");
        assert_eq!(hops(&near), Some(2));
        let default = "ip route 0.0.0.0/0 10.0.0.254\n";
        assert_eq!(hops(&format!("{near}{default}")), Some(2));
        assert_eq!(hops(&format!("{near}ip route 10.0.0.0/28 10.0.0.254\n")), None, "behind a router all the same");
    }
}
