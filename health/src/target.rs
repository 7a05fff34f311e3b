//! What is probed: one server's port by one monitor, however many virtual servers share the answer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use yoke_config::model::{Config, HealthCheck, Monitor, RealServer, VirtualServer};
use yoke_config::value::Name;

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Of the real server.
    pub address: IpAddr,
    /// The monitor's port, or the real server's; 0 where the monitor knows no ports.
    pub port: u16,
    /// Which monitor.
    pub monitor: Name,
}

/// `10.0.0.1 80 web`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, monitor } = self;
        if *port == 0 { write!(f, "{address} {monitor}") } else { write!(f, "{address} {port} {monitor}") }
    }
}

/// What judges a real server; `None` when nothing does: no `health-check`, `none`, a monitor that does not exist, or one that has no port to try.
#[must_use]
pub fn target_of(config: &Config, server: &VirtualServer, key: (IpAddr, u16), real: &RealServer) -> Option<Target> {
    let Some(HealthCheck::Monitor(name)) = server.health_check_of(real) else { return None };
    let monitor = config.monitors.get(name)?;
    let (address, own) = key;
    let port = if monitor.check.has_port() { Some(monitor.port.unwrap_or(own)).filter(|port| *port != 0)? } else { 0 };
    Some(Target { address, port, monitor: name.clone() })
}

/// Every target of a configuration, once. What is shut down is not probed.
#[must_use]
pub fn targets(config: &Config) -> BTreeMap<Target, Arc<Monitor>> {
    let shared: BTreeMap<&Name, Arc<Monitor>> =
        config.monitors.iter().map(|(name, monitor)| (name, Arc::new(monitor.clone()))).collect();
    let mut targets = BTreeMap::new();
    for server in config.virtual_servers.values().filter(|server| !server.shutdown) {
        for (&key, real) in server.real_servers.iter().filter(|(_, real)| !real.shutdown) {
            if let Some(target) = target_of(config, server, key, real)
                && let Some(monitor) = shared.get(&target.monitor)
            {
                targets.insert(target, monitor.clone());
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
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
    }
}
