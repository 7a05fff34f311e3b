//! `show ipvs`: what the kernel's balancer is set to.

use yoke_director::status::{DaemonRow, Data, DefenceRow, Ipvs, Show};

use super::{print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::pairs;

/// `show ipvs`.
pub(crate) fn settings(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let ipvs = match shell.director.show(Show::Ipvs)? {
        Data::Ipvs(ipvs) => *ipvs,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("ipvs", &ipvs);
    }
    print(&pairs(&brief(&ipvs)), out)?;
    for (key, value) in &ipvs.sysctls {
        out.text(&format!("  net.ipv4.vs.{key} = {value}"))?;
    }
    Ok(())
}

fn brief(ipvs: &Ipvs) -> Vec<(&'static str, String)> {
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    let mib = |kib: u64| format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024);
    let mut lines = vec![
        ("Version", ipvs.version.clone()),
        ("Table", format!("{} virtual servers, {} real servers", ipvs.services, ipvs.destinations)),
        (
            "Connections",
            format!(
                "{}, and {} of persistence, about {}",
                ipvs.connections,
                ipvs.templates,
                mib(ipvs.connections_bytes / 1024)
            ),
        ),
        ("Buckets", buckets(ipvs)),
        (
            "Timeouts",
            format!("tcp {} s, tcpfin {} s, udp {} s", ipvs.timeout_tcp_s, ipvs.timeout_tcpfin_s, ipvs.timeout_udp_s),
        ),
        ("Tracking", on(ipvs.conntrack)),
    ];
    let sync: Vec<String> = ipvs.sync.iter().map(daemon).collect();
    lines.push(("Sync", if sync.is_empty() { "off".to_owned() } else { sync.join("; ") }));
    lines.push(("Defences", ipvs.defences.iter().map(defence).collect::<Vec<_>>().join(", ")));
    let (free, least) = (mib(ipvs.memory_free_kib), mib(ipvs.memory_threshold_kib));
    lines.push(("Memory", format!("{free} free, short below {least}")));
    lines
}

fn buckets(ipvs: &Ipvs) -> String {
    let (bits, next) = (ipvs.table_bits, ipvs.table_bits_at_reload);
    let set = if bits != 0 && next != bits { format!(", {next} after a reload") } else { String::new() };
    format!("{}, table-bits {bits}{set}", ipvs.table_buckets)
}

fn daemon(row: &DaemonRow) -> String {
    format!("{} on {}, id {}, {} port {}", row.role, row.interface, row.syncid, row.group, row.port)
}

fn defence(row: &DefenceRow) -> String {
    let active = if row.active && row.mode == "auto" { " (active)" } else { "" };
    format!("{} {}{active}", row.name, row.mode)
}
