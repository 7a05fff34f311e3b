//! What is probed: one server's port by one monitor, however many virtual servers share the answer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use yoke_config::model::{Config, HealthCheck, Monitor, RealServer, VirtualServer};
use yoke_config::value::Name;

use crate::path::{self, Path};

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
    pub via: Option<IpAddr>,
}

/// `10.0.0.1 80 web`, `10.0.0.1 80 web through 203.0.113.10`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, monitor, via } = self;
        if *port == 0 {
            write!(f, "{address} {monitor}")?
        } else {
            write!(f, "{address} {port} {monitor}")?
        }
        via.map_or(Ok(()), |via| write!(f, " through {via}"))
    }
}

/// What judges a real server; `None` when nothing does: `health-check none`, none where there is nothing to connect to, a monitor that does not
/// exist, or one that has no port to try.
#[must_use]
pub fn target_of(config: &Config, server: &VirtualServer, key: (IpAddr, u16), real: &RealServer) -> Option<Target> {
    let (target, _, way) = aim(config, server, key, real)?;
    Some(Target { via: way.map(|(via, _)| via), ..target })
}

/// Whom to ask, how, and the way of clients, if there is one.
type Aim<'c> = (Target, &'c Monitor, Option<(IpAddr, Path)>);

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
    /// The packet mark of a target that has a way of clients.
    pub mark: Option<u32>,
}

/// Every target of a configuration, once. What is shut down is not probed.
#[must_use]
pub fn targets(config: &Config) -> BTreeMap<Target, Probe> {
    let marks = marks(config);
    let mut shared = BTreeMap::<Name, Arc<Monitor>>::new();
    let probe = |(target, monitor, way): Aim<'_>| {
        let monitor = shared.entry(target.monitor.clone()).or_insert_with(|| Arc::new(monitor.clone())).clone();
        let mark = way.and_then(|(_, path)| marks.get(&path).copied());
        (Target { via: way.map(|(via, _)| via), ..target }, Probe { monitor, mark })
    };
    aims(config).map(probe).collect()
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
        let found: Vec<String> = targets(&config).keys().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1 ping", "10.0.0.1 80 web", "10.0.0.4 81 p"]);
        assert!(targets(&config).values().all(|probe| probe.mark.is_none()));
    }
}
