//! Health checks that could not see what they are for.

use std::collections::BTreeSet;

use crate::model::{Check, Config, HealthCheck, Mode, Monitor, Transport, Virtual};
use crate::value::Name;

use super::super::Findings;

pub(super) fn check(config: &Config, out: &mut Findings) {
    let (mut portless, mut deaf) = (BTreeSet::new(), BTreeSet::new());
    for (name, server) in &config.virtual_servers {
        for (&key, real) in &server.real_servers {
            let Some(HealthCheck::Monitor(of)) = server.health_check_of(key, real) else { continue };
            let Some(monitor) = config.monitor(of) else { continue };
            if key.1 == 0 && monitor.port.is_none() && monitor.check.has_port() {
                portless.insert((name, of));
            }
            if matches!(real.mode, Mode::Dr | Mode::Tun) && hears_nothing(server.virtual_, monitor) {
                deaf.insert((name, of));
            }
        }
    }
    for (name, monitor) in portless {
        out.warning(format!(
            "virtual-server {name}: health-monitor {monitor} has no port to try, real servers of port any count as \
             healthy, use: port PORT"
        ));
    }
    for (name, monitor) in deaf {
        out.warning(unseen(name, monitor));
    }
}

/// Whether silence is good: then a machine that drops what it is sent, for want of the virtual address, is good too.
fn hears_nothing(virtual_: Virtual, monitor: &Monitor) -> bool {
    matches!(virtual_, Virtual::Address(_, Transport::Udp, _))
        && matches!(monitor.check, Check::Udp { regex: None, .. })
}

fn unseen(name: &Name, monitor: &Name) -> String {
    format!(
        "virtual-server {name}: health-monitor {monitor} expects no reply, so a real server of mode dr or tun that lacks the \
         virtual address counts as healthy, use: expect regex"
    )
}

/// Why an operator may not have that mark.
pub(super) fn reserved() -> String {
    let (first, last) = (Config::PROBE_MARKS.start(), Config::PROBE_MARKS.end());
    format!("marks {first}-{last} are those of health checks, use another")
}
