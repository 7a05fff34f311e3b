//! `show ipvs`: what the kernel's balancer is set to now, read from the kernel and not from the configuration.
//!
//! A file that cannot be read leaves its field empty or 0: a `show` tells what there is to tell.

use std::fs;
use std::path::Path;

use yoke_director::status::{DaemonRow, DefenceRow, Ipvs};

use crate::director::State;
use crate::files::Paths;
use crate::sysctl;

/// Memory of one connection: 296 bytes, 320 with what the allocator adds. Connection tracking takes as much again.
const CONNECTION_BYTES: u64 = 320;

/// Asks the kernel.
///
/// # Errors
/// A sentence, when the kernel has no IPVS.
pub(crate) fn settings(state: &mut State, paths: &Paths) -> Result<Ipvs, String> {
    let failed = |e: ipvs::Error| format!("ipvs: {e}");
    let kernel = &mut state.kernel;
    let info = kernel.info().map_err(failed)?;
    let timeouts = kernel.timeouts().map_err(failed)?;
    let daemons = kernel.daemons().map_err(failed)?;
    let table = kernel.statistics().map_err(failed)?;
    let destinations = || table.iter().flat_map(|(_, destinations)| destinations);
    let connections = destinations().map(|d| u64::from(d.active) + u64::from(d.inactive)).sum();
    let templates = destinations().map(|d| u64::from(d.persistent)).sum();

    let sysctls = sysctl::balancer_now(&paths.proc);
    let number = |key: &str| sysctls.get(key).and_then(|value| value.parse().ok()).unwrap_or(0);
    let conntrack = number("conntrack") == 1;
    let each = if conntrack { CONNECTION_BYTES * 2 } else { CONNECTION_BYTES };
    let (major, minor, patch) = info.version;
    Ok(Ipvs {
        version: format!("{major}.{minor}.{patch}"),
        services: table.len().try_into().unwrap_or(u32::MAX),
        destinations: destinations().count().try_into().unwrap_or(u32::MAX),
        connections,
        templates,
        connections_bytes: (connections + templates) * each,
        table_buckets: info.table_size,
        table_bits: parameter(&paths.sys, "conn_tab_bits"),
        table_bits_at_reload: sysctl::table_bits(&state.running.config.ipvs, sysctl::memory_bytes(&paths.proc)),
        timeout_tcp_s: timeouts.tcp,
        timeout_tcpfin_s: timeouts.tcp_fin,
        timeout_udp_s: timeouts.udp,
        conntrack,
        sync: daemons.iter().map(daemon).collect(),
        defences: ["drop_entry", "drop_packet", "secure_tcp"].map(|key| defence(key, number(key))).into(),
        memory_threshold_kib: number("amemthresh") * sysctl::PAGE_BYTES / 1024,
        memory_free_kib: free_kib(&paths.proc),
        sysctls,
    })
}

/// 1 is "while memory is short", 2 is 1 while it is, 3 is always (ip_vs_ctl.c, update_defense_level).
fn defence(key: &str, value: u64) -> DefenceRow {
    let (mode, active) = match value {
        0 => ("off", false),
        1 => ("auto", false),
        2 => ("auto", true),
        _ => ("always", true),
    };
    DefenceRow { name: key.replace('_', "-"), mode: mode.to_owned(), active }
}

fn daemon(daemon: &ipvs::Daemon) -> DaemonRow {
    DaemonRow {
        role: daemon.role.to_string(),
        interface: daemon.interface.to_string(),
        syncid: daemon.sync_id,
        group: daemon.group.map(|group| group.to_string()).unwrap_or_default(),
        port: daemon.port.unwrap_or(0),
    }
}

/// A parameter of the module, which it got when it was loaded; 0 when there is none.
fn parameter(sys: &Path, name: &str) -> u32 {
    let text = fs::read_to_string(sys.join("module/ip_vs/parameters").join(name)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Free memory as the defences count it: what only caches files is not free to them.
fn free_kib(proc: &Path) -> u64 {
    let text = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
    let kib = |key: &str| -> u64 {
        let rest = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        rest.trim().trim_end_matches(" kB").parse().unwrap_or(0)
    };
    kib("MemFree:") + kib("Buffers:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_a_defence_are_the_kernels() {
        let rows: Vec<_> = (0..4).map(|value| defence("drop_entry", value)).collect();
        let brief: Vec<_> = rows.iter().map(|row| (row.mode.as_str(), row.active)).collect();
        assert_eq!(brief, [("off", false), ("auto", false), ("auto", true), ("always", true)]);
        assert_eq!(rows[0].name, "drop-entry");
    }
}
