//! Connection sync: which of the kernel's two sync daemons run, with what, and what keeps strangers away from them.
//!
//! The receiving one (the kernel's "backup") always runs, the sending one ("master") while the group is active: a takeover is one netlink request,
//! after the addresses have moved, and nothing that is on its way to this box is lost between a stop and a start. A box that is not active
//! forwards nothing and so would have nothing to send; it goes on sending for some seconds, so that the connections of its last moment arrive. `net.ipv4.vs.backup_only` stays 0: with both
//! daemons it would stop the balancing.
//!
//! The protocol has no authentication: [`crate::nft`] lets only the peer reach the daemon. The kernel sends no table to a box that has just
//! come up; it learns each connection when that speaks again, within 10 s of each other for as long as it lives.

use std::net::IpAddr;

use ipvs::{Daemon, SyncRole};
use yoke_config::model::{Config, ConnectionSync};
use yoke_director::status::ConnectionSyncRow;

use crate::director::Director;
use crate::kernel::Kernel;
use crate::notes::Source;
use crate::roles::Roles;
use crate::{reset, sysctl};

/// What has to be there for a daemon, and is.
fn complete(config: &Config) -> Option<(&ConnectionSync, &yoke_config::value::IfName, u8)> {
    let sync = &config.connection_sync;
    let (interface, group) = (sync.interface.as_ref()?, sync.group.as_ref()?);
    let (vrid, _) = config.vrrp_groups.get(group)?.vrid.as_ref()?;
    Some((sync, interface, sync.syncid.unwrap_or(*vrid)))
}

/// The daemons that should run.
pub(crate) fn desired(config: &Config, roles: &Roles) -> Vec<Daemon> {
    // The kernel would refuse the daemon as invalid; a warning of the configuration says why.
    if config.mixes_families().is_some() {
        return Vec::new();
    }
    let Some((sync, interface, sync_id)) = complete(config) else { return Vec::new() };
    let Ok(interface) = interface.as_str().parse() else { return Vec::new() };
    // What is waiting to be sent when it ends to be active is thrown away with the daemon, so it goes later.
    let active = sync.group.as_ref().is_some_and(|group| roles.is_active(group) || roles.is_settling(group));
    let daemon = |role| Daemon {
        role,
        interface,
        sync_id,
        max_length: None,
        group: Some(sync.multicast),
        port: Some(sync.port),
        ttl: None,
    };
    let sends = active.then(|| daemon(SyncRole::Master));
    std::iter::once(daemon(SyncRole::Backup)).chain(sends).collect()
}

/// Whether the kernel's daemon is the wanted one, as far as that is ours to say.
fn same(actual: &Daemon, wanted: &Daemon) -> bool {
    let default = IpAddr::from(ConnectionSync::MULTICAST);
    (actual.role, actual.interface, actual.sync_id) == (wanted.role, wanted.interface, wanted.sync_id)
        && actual.group.unwrap_or(default) == wanted.group.unwrap_or(default)
        && actual.port.unwrap_or(ConnectionSync::PORT) == wanted.port.unwrap_or(ConnectionSync::PORT)
}

/// Brings the kernel to these daemons; how many were started or stopped. `spared` are somebody's who needs them as long as none is wanted.
pub(crate) fn converge(
    kernel: &mut dyn Kernel,
    wanted: &[Daemon],
    spared: &dyn Fn(&Daemon) -> bool,
) -> Result<usize, String> {
    let failed = |e: ipvs::Error| format!("connection-sync: {e}");
    let mut actual = kernel.daemons().map_err(failed)?;
    actual.retain(|daemon| !(wanted.is_empty() && spared(daemon)));
    let mut changes = 0;
    for daemon in actual.iter().filter(|actual| !wanted.iter().any(|wanted| same(actual, wanted))) {
        kernel.stop_daemon(daemon.role).map_err(failed)?;
        changes += 1;
    }
    for daemon in wanted.iter().filter(|wanted| !actual.iter().any(|actual| same(actual, wanted))) {
        kernel.start_daemon(*daemon).map_err(|e| format!("connection-sync interface {}: {e}", daemon.interface))?;
        changes += 1;
    }
    Ok(changes)
}

/// Sees to it that the daemons run that should. A failure is a warning, and tried again with the next look at the kernel.
pub(crate) fn run(director: &Director) {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let wanted = desired(&state.running.config, &state.roles);
    // A box that balances nothing yet has not loaded IPVS.
    if wanted.is_empty() && !state.syncs {
        return;
    }
    let mut problems = Vec::new();
    if !wanted.is_empty() {
        // The module is there once somebody has asked for it.
        let _ = state.kernel.info();
        problems = sysctl::synchronize(&director.paths.proc);
    }
    let spared = |daemon: &Daemon| state.reset_daemon && reset::is_own(daemon);
    match converge(state.kernel.as_mut(), &wanted, &spared) {
        Ok(changes) => {
            state.syncs = !wanted.is_empty();
            if changes > 0 {
                let roles: Vec<String> = wanted.iter().map(|daemon| daemon.role.to_string()).collect();
                log::info!("connection-sync: {}", if roles.is_empty() { "off".to_owned() } else { roles.join(", ") });
            }
        }
        Err(why) => problems.push(why),
    }
    state.notes.set(Source::Sync, problems);
}

/// Whether the kernel tells the peer of connections.
pub(crate) fn is_sending(director: &Director) -> bool {
    let state = director.state();
    desired(&state.running.config, &state.roles).iter().any(|daemon| daemon.role == SyncRole::Master)
}

/// `show connection-sync`; nothing when it is not configured.
pub(crate) fn show(director: &Director) -> Result<Option<ConnectionSyncRow>, String> {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let config = &state.running.config;
    let Some((sync, interface, sync_id)) = complete(config) else { return Ok(None) };
    let running = state.kernel.daemons().map_err(|e| format!("connection-sync: {e}"))?;
    let runs = |role| running.iter().any(|daemon| daemon.role == role);
    let fullnat = config
        .virtual_servers
        .iter()
        .filter(|(_, server)| server.real_servers.values().any(|real| real.mode == yoke_config::model::Mode::Fullnat));
    Ok(Some(ConnectionSyncRow {
        interface: interface.to_string(),
        group: sync.group.as_ref().map(ToString::to_string).unwrap_or_default(),
        syncid: sync_id,
        multicast: sync.multicast,
        port: sync.port,
        peers: config.sync_peers(),
        sends: runs(SyncRole::Master),
        receives: runs(SyncRole::Backup),
        not_carried: fullnat.map(|(name, _)| name.to_string()).collect(),
    }))
}
