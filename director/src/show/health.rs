//! `show health-check`, and what `show warnings` says of servers that are down.
//!
//! The rows are the prober's, joined with the configuration: what a target is part of, and what type its monitor is.

use std::collections::BTreeMap;

use yoke_director::status::{HealthChange, HealthCheckRow};
use yoke_health::{Report, State as Verdicts, Target, Time, target_of};

use crate::clock;
use crate::director::{Director, Running, State};
use crate::health;

/// Real servers a warning names.
const NAMED_MAX: usize = 3;

/// Rows of all targets, or of those of one monitor.
///
/// # Errors
/// When there is no such monitor.
pub(crate) async fn rows(director: &Director, monitor: Option<&str>) -> Result<Vec<HealthCheckRow>, String> {
    let (running, prober) = {
        let state = director.state();
        (state.running.clone(), state.health.prober.clone())
    };
    if let Some(name) = monitor
        && name.parse().ok().and_then(|name| running.config.monitor(&name)).is_none()
    {
        return Err(format!("health-monitor {name}: no such monitor"));
    }
    let reports = match prober {
        Some(prober) => prober.reports().await,
        None => Vec::new(),
    };
    let users = users(&running);
    let now = clock::monotonic();
    let wanted = reports.into_iter().filter(|r| monitor.is_none_or(|name| r.target.monitor.as_str() == name));
    Ok(wanted.map(|report| row(report, &running, &users, now)).collect())
}

fn users(running: &Running) -> BTreeMap<Target, Vec<String>> {
    let mut users = BTreeMap::<Target, Vec<String>>::new();
    for (name, server) in &running.config.virtual_servers {
        for (&key, real) in &server.real_servers {
            if let Some(target) = target_of(&running.config, server, key, real) {
                users.entry(target).or_default().push(name.to_string());
            }
        }
    }
    for names in users.values_mut() {
        // Real servers that differ in their port only may share a target.
        names.dedup();
    }
    users
}

fn row(report: Report, running: &Running, users: &BTreeMap<Target, Vec<String>>, now: Time) -> HealthCheckRow {
    let ago = |at: Time| now.saturating_sub(at).as_secs();
    let (last_s, last) = report.last.map_or((None, None), |(at, outcome)| (Some(ago(at)), Some(outcome)));
    let reason = match &last {
        Some(Err(why)) => why.clone(),
        _ => String::new(),
    };
    let latency_us = last.and_then(Result::ok).map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let monitor = running.config.monitor(&report.target.monitor);
    let history = report.history.into_iter().map(|past| HealthChange {
        ago_s: ago(past.at),
        state: word(past.state).to_owned(),
        reason: past.reason,
    });
    HealthCheckRow {
        virtual_servers: users.get(&report.target).cloned().unwrap_or_default(),
        address: report.target.address,
        port: report.target.port,
        via: report.target.via.map(|way| way.virtual_),
        via_mode: report.target.via.map_or("", |way| way.mode().word()).to_owned(),
        aside: report.aside.unwrap_or_default(),
        monitor: report.target.monitor.to_string(),
        type_: monitor.map_or("", |monitor| monitor.check.word()).to_owned(),
        state: word(report.verdict.state).to_owned(),
        since_s: ago(report.verdict.since),
        reason,
        last_s,
        latency_us,
        good: report.good,
        failed: report.failed,
        history: history.collect(),
    }
}

fn word(state: Verdicts) -> &'static str {
    match state {
        Verdicts::Unknown => "unknown",
        Verdicts::Up => "up",
        Verdicts::Down => "down",
    }
}

/// One sentence for each virtual server that is not as well as it could be.
pub(crate) fn warnings(state: &State) -> Vec<String> {
    let config = &state.running.config;
    let servers = config.virtual_servers.iter().filter(|(_, server)| !server.shutdown);
    let warning = |(name, server): (&yoke_config::value::Name, &yoke_config::model::VirtualServer)| {
        let down: Vec<String> = server
            .real_servers
            .iter()
            .filter(|(_, real)| !real.shutdown)
            .filter_map(|(&key, _)| {
                let verdict = state.health.verdict(config, server, key)?;
                let port = crate::commit::port_word(key.1);
                let why = state.health.reason(config, server, key);
                (verdict.state == Verdicts::Down).then(|| format!("{} {port} ({why})", key.0))
            })
            .collect();
        let pool = state.health.pools.get(name)?;
        if down.is_empty() {
            // Real servers that are drained, or too few of them.
            let lost = pool.quorum == Some(false);
            let sorry = if pool.sorry.is_some() { ", clients go to the sorry server" } else { "" };
            return lost.then(|| format!("virtual-server {name}: no real server is down, but quorum is lost{sorry}"));
        }
        let named = down.get(..NAMED_MAX.min(down.len())).unwrap_or_default().join(", ");
        let more = if down.len() > NAMED_MAX { format!(" and {} more", down.len() - NAMED_MAX) } else { String::new() };
        let consequence = if pool.sorry.is_some() {
            ", clients go to the sorry server"
        } else if pool.open {
            ", it balances as if none had failed"
        } else if health::counts(pool).0 == 0 {
            ", no real server is left"
        } else {
            ""
        };
        let all = pool.places.len();
        Some(format!("virtual-server {name}: {} of {all} real servers down: {named}{more}{consequence}", down.len()))
    };
    servers.filter_map(warning).collect()
}
