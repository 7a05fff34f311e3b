//! Answers to `show`: which source a question goes to, and nothing of how its table is drawn, which is the shell's.

mod balancer;
pub(crate) mod connections;
mod health;
pub(crate) mod interfaces;
mod inventory;
mod ipvsadm;
mod routes;
pub(crate) mod rtnetlink;
mod servers;
pub(crate) mod system;
pub(crate) mod walk;

use std::rc::Rc;
use std::time::Duration;

use yoke_config::model::Config;
use yoke_director::status::{Data, RefusalKind, Reply, Show};

use crate::director::{Director, State};
use crate::kernel::Observed;
use crate::session::refused;
use crate::{clock, flash, install, ntp, reconcile, ssh, sync};

pub(crate) use system::firmware;

/// Answers one `show`.
pub(crate) async fn answer(director: &Rc<Director>, what: Show) -> Reply {
    match data(director, what).await {
        Ok(data) => Reply::Data(data),
        Err(why) => refused(RefusalKind::Failed, why),
    }
}

async fn data(director: &Rc<Director>, what: Show) -> Result<Data, String> {
    Ok(match what {
        Show::VirtualServers { name } => {
            exists(director, name.as_deref())?;
            let mut state = director.state_mut();
            let (observed, failure) = observe(&mut state);
            let view = servers::View::new(&state, &observed, failure.as_deref());
            Data::VirtualServers(servers::virtual_servers(&state.running.config, &view, name.as_deref()))
        }
        Show::RealServers { virtual_server } => {
            exists(director, virtual_server.as_deref())?;
            let mut state = director.state_mut();
            let (observed, failure) = observe(&mut state);
            let view = servers::View::new(&state, &observed, failure.as_deref());
            Data::RealServers(servers::real_servers(&state.running.config, &view, virtual_server.as_deref()))
        }
        Show::HealthChecks { monitor } => Data::HealthChecks(health::rows(director, monitor.as_deref()).await?),
        Show::Connections(filter) => Data::Connections(connections::list(director, filter).await?),
        Show::Interfaces { name } => {
            let state = director.state();
            let rows = interfaces::rows(&state.running.config, &director.paths.sys, name.as_deref());
            let mut rows = rows.map_err(|e| format!("interfaces: {e}"))?;
            state.cleared.subtract(&mut rows);
            if let (Some(name), []) = (&name, rows.as_slice()) {
                return Err(format!("interface {name}: no such interface"));
            }
            Data::Interfaces(rows)
        }
        Show::Routes { ipv6 } => Data::Routes(routes::routes(ipv6).map_err(|e| format!("routes: {e}"))?),
        Show::Neighbours => Data::Neighbours(routes::neighbours().map_err(|e| format!("neighbours: {e}"))?),
        Show::Version => Data::Version(version(director).await),
        Show::Warnings => Data::Warnings(warnings(director).await),
        Show::Startup => Data::Lines(flash::startup_lines(director).await?),
        Show::Rejected => Data::Lines(flash::rejected_lines(&director.state().rejected)),
        Show::Diff => Data::Lines(flash::diff(director).await?),
        Show::Unsaved => Data::Unsaved(flash::is_unsaved(director).await),
        Show::History => Data::History(flash::history(director).await?),
        Show::Sessions => Data::Sessions(director.state().sessions.rows(clock::now())),
        Show::Inventory => Data::Inventory(inventory::inventory(&director.paths)),
        Show::Ntp => {
            if director.state().running.config.ntp_servers.is_empty() {
                return Ok(Data::Ntp(None));
            }
            let chronyc = director.paths.chronyc.clone();
            let asked = tokio::task::spawn_blocking(move || ntp::show(&chronyc)).await;
            Data::Ntp(Some(asked.map_err(|e| format!("ntp: {e}"))??))
        }
        Show::Ssh => Data::Ssh(ssh::show(director).await?),
        Show::Log { tail } => {
            let lines = director.init.log(tail).await.map_err(|e| e.to_string())?;
            let (services, _) = director.init.status().await.map_err(|e| e.to_string())?;
            let at_boot = clock::utc().saturating_sub(clock::monotonic());
            let at_boot = u64::try_from(at_boot.as_millis()).unwrap_or_default();
            Data::Log(system::log(lines, at_boot, &director.state().running.config.logging, &services))
        }
        Show::ConnectionSync => Data::ConnectionSync(sync::show(director)?),
        Show::Vrrp { group } => {
            if director.state().running.config.vrrp_groups.is_empty() {
                return Ok(Data::Vrrp(vrrp::status::Status::default()));
            }
            let mut status = director.vrrpd.status().await.map_err(|e| e.to_string())?;
            if let Some(name) = group {
                status.groups.retain(|group| group.name == name);
                if status.groups.is_empty() {
                    return Err(format!("vrrp group {name}: does not exist, or takes no part"));
                }
            }
            Data::Vrrp(status)
        }
        Show::Processes => {
            let (services, _) = director.init.status().await.map_err(|e| e.to_string())?;
            Data::Processes(system::processes(&director.paths.proc, services))
        }
        Show::Memory => Data::Memory(system::memory(&director.paths.proc)),
        Show::Flash => {
            let paths = director.paths.clone();
            let files = flash::on_flash(director, move || system::flash(&paths)).await.map_err(|e| e.to_string())?;
            Data::Flash(files.map_err(|e| format!("flash: {e}"))?)
        }
        Show::Install => Data::Install(install::slots(director).await?),
        Show::InstallProgress => Data::InstallProgress(director.install.progress()),
        Show::InstallTarget { name } => Data::InstallTarget(install::target(director, &name).await?),
        Show::Ipvs => {
            let mut state = director.state_mut();
            Data::Ipvs(Box::new(balancer::settings(&mut state, &director.paths)?))
        }
        Show::Ipvsadm { arguments } => Data::Lines(ipvsadm::lines(director, &arguments).await?),
    })
}

/// A virtual server that is asked for by name has to exist: an empty answer would read as "nothing there".
fn exists(director: &Director, name: Option<&str>) -> Result<(), String> {
    let Some(name) = name else { return Ok(()) };
    let state = director.state();
    let known = state.running.config.virtual_servers.keys().any(|n| n.as_str() == name);
    if known { Ok(()) } else { Err(format!("virtual-server {name}: no such virtual server")) }
}

/// The kernel's table with counters; nothing, and why, when the kernel does not answer.
fn observe(state: &mut State) -> (Vec<Observed>, Option<String>) {
    match state.kernel.statistics() {
        Ok(observed) => (observed, None),
        Err(e) => (Vec::new(), Some(e.to_string())),
    }
}

async fn version(director: &Director) -> yoke_director::status::Version {
    let mut version = system::version(&director.paths.proc);
    let saved = flash::is_saved(director).await;
    let mut state = director.state_mut();
    if let Ok(info) = state.kernel.info() {
        let (major, minor, patch) = info.version;
        version.ipvs = format!("{major}.{minor}.{patch}");
    }
    version.hostname = state.running.config.hostname().to_owned();
    version.restart =
        std::fs::read_to_string(director.paths.run.join("restart-reason")).unwrap_or_default().trim().to_owned();
    version.revision = state.running.revision;
    version.saved = saved;
    version
}

/// `show warnings`: our own, and init's about the boot and about services that fail.
async fn warnings(director: &Director) -> Vec<String> {
    let mut sentences = director.state().notes.all();
    sentences.extend(install::twins(director).await);
    sentences.extend(flash::warnings(&director.paths));
    sentences.extend(health::warnings(&director.state()));
    // Asked now, not remembered: cables come and go without a change of the configuration.
    match interfaces::without_carrier(&director.state().running.config, &director.paths.sys) {
        Ok(dark) => sentences.extend(dark),
        Err(e) => sentences.push(format!("interfaces: {e}")),
    }
    if !director.state().running.config.vrrp_groups.is_empty() {
        match director.vrrpd.status().await {
            Ok(status) => sentences.extend(status.warnings),
            Err(e) => sentences.push(e.to_string()),
        }
    }
    match director.init.status().await {
        Ok((_, warnings)) => {
            let idle = servers_without_interface(&director.state().running.config);
            sentences.extend(warnings.into_iter().filter(|said| !idle.iter().any(|name| said.starts_with(name))));
        }
        Err(e) => sentences.push(e.to_string()),
    }
    sentences
}

/// How init begins a sentence about an SSH server whose interface is missing: `init setup` has said so, and the server starts when a late
/// card turns up.
fn servers_without_interface(config: &Config) -> Vec<String> {
    let Ok(names) = interfaces::names() else { return Vec::new() };
    let absent = config.interfaces.iter().filter(|(name, _)| !names.values().any(|there| there == name.as_str()));
    absent.flat_map(|(_, it)| it.addresses.iter().map(|net| format!("service ssh-{}:", net.addr))).collect()
}

/// The kernel adds the counters of its processors up once in this time, service by service (`ip_vs.h`, `IPVS_EST_TICK`), and clears only
/// what it has added up; a little longer, since its thread has no priority.
const ADDED_UP: Duration = Duration::from_millis(2_200);

/// `clear statistics`. Twice, so that nothing is left of what was before the command: what the kernel had not added up yet would appear later. Of
/// what happens before the answer is given, some is counted.
pub(crate) async fn clear(director: &Director, name: Option<&str>) -> Reply {
    if let Err(why) = zero(director, name) {
        return refused(RefusalKind::Failed, why);
    }
    tokio::time::sleep(ADDED_UP).await;
    match zero(director, name) {
        Ok(()) => Reply::Done { warnings: Vec::new() },
        Err(why) => refused(RefusalKind::Failed, why),
    }
}

fn zero(director: &Director, name: Option<&str>) -> Result<(), String> {
    exists(director, name)?;
    let mut state = director.state_mut();
    let server = state.running.config.virtual_servers.iter().find(|(n, _)| Some(n.as_str()) == name);
    let key = server.and_then(|(_, server)| reconcile::key(server.virtual_));
    match name {
        Some(name) if key.is_none() => Err(format!("virtual-server {name}: has no counters, give it: virtual")),
        _ => state.kernel.zero(key).map_err(|e| format!("clear statistics: {e}")),
    }
}
