//! Virtual and real servers: state and thresholds; and the kernel's table in the words of ipvsadm.

use yoke_config::value::Value;
use yoke_config::walk::has;
use yoke_director::status::{Data, RealServerRow, Show, VirtualServerRow};

use super::{name, port, print, recipe, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{Column, draw, left, long, pairs, right, short};

/// `show virtual-server [NAME] [detail]`.
pub(crate) fn virtual_servers(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let rows = ask_virtual(shell, name(values))?;
    if out.is_json() {
        return out.object("virtual_servers", &rows);
    }
    if has(values, "detail") {
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                out.text("")?;
            }
            detail(shell, row, out)?;
        }
        return Ok(());
    }
    let columns = [
        long("Name", 5, 8),
        long("Virtual", 21, 16),
        left("Sched", 5),
        left("Mode", 4),
        left("State", 5),
        right("Up/All", 6),
        right("Conns", 7),
        right("Cps", 6),
    ];
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            // Flags of a scheduler are in the detail.
            let scheduler = row.scheduler.split(' ').next().unwrap_or_default().to_owned();
            let up = format!("{}/{}", row.up, row.all);
            let connections = short(row.active_connections);
            vec![row.name, row.virtual_, scheduler, row.mode, row.state, up, connections, short(row.counters.cps)]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

fn detail(shell: &Shell, row: &VirtualServerRow, out: &mut Out<'_>) -> Result<(), Fail> {
    let persistence = match row.persistence_timeout {
        0 => "off".to_owned(),
        seconds => format!("{seconds} s"),
    };
    let counters = &row.counters;
    let lines = pairs(&[
        ("Virtual server", row.name.clone()),
        ("Description", row.description.clone()),
        ("Virtual", row.virtual_.clone()),
        ("State", format!("{}, {} of {} real servers up", row.state, row.up, row.all)),
        ("Scheduler", row.scheduler.clone()),
        ("Mode", row.mode.clone()),
        ("Persistence", persistence),
        ("Connections", format!("{} active, {} inactive", row.active_connections, row.inactive_connections)),
        ("Total", format!("{} connections", counters.connections)),
        (
            "In",
            format!("{} packets, {} bytes, {} bit/s", counters.in_packets, counters.in_bytes, bits(counters.in_bps)),
        ),
        (
            "Out",
            format!("{} packets, {} bytes, {} bit/s", counters.out_packets, counters.out_bytes, bits(counters.out_bps)),
        ),
    ]);
    print(&lines, out)?;
    let rows = ask_real(shell, Some(row.name.clone()))?;
    real_table(&rows, false, out)
}

/// `show real-server [NAME [ADDR PORT]] [setup [SYSTEM]]`.
pub(crate) fn real_servers(shell: &mut Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let wanted = match values {
        [_, Value::Addr(address), Value::Port(port), ..] => Some((*address, *port)),
        _ => None,
    };
    let mut rows = ask_real(shell, name(values))?;
    rows.retain(|row| wanted.is_none_or(|(address, port)| row.address == address && row.port == port));
    if let (Some((address, number)), true) = (wanted, rows.is_empty()) {
        let of = name(values).unwrap_or_default();
        return Err(Fail::failed(format!(
            "virtual-server {of}: real-server {address} {}: does not exist",
            port(number)
        )));
    }
    if has(values, "setup") {
        return recipe::show(shell, &rows, values, out);
    }
    if out.is_json() {
        return out.object("real_servers", &rows);
    }
    real_table(&rows, name(values).is_none(), out)?;
    // One row leaves room for what a table has no column for.
    if let ([row], true) = (rows.as_slice(), wanted.is_some()) {
        real_detail(row, out)?;
    }
    Ok(())
}

fn real_table(rows: &[RealServerRow], with_owner: bool, out: &mut Out<'_>) -> Result<(), Fail> {
    let mut columns: Vec<Column> = Vec::new();
    if with_owner {
        columns.push(long("Virtual", 7, 8));
    }
    columns.extend([
        long("Address", 15, 15),
        right("Port", 5),
        left("Mode", 4),
        left("State", 8),
        right("Weight", 6),
        right("Active", 6),
        right("Inact", 6),
        right("Cps", 6),
    ]);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let owner = with_owner.then(|| row.virtual_server.clone());
            let weight = if row.weight == row.configured_weight {
                row.weight.to_string()
            } else {
                format!("{}/{}", row.weight, row.configured_weight)
            };
            let rest = [
                row.address.to_string(),
                port(row.port),
                row.mode.clone(),
                row.state.clone(),
                weight,
                short(row.active_connections.into()),
                short(row.inactive_connections.into()),
                short(row.counters.cps),
            ];
            owner.into_iter().chain(rest).collect()
        })
        .collect();
    print(&draw(&columns, &cells), out)?;
    for row in rows.iter().filter(|row| !row.reason.is_empty()) {
        out.text(&format!("{} {}: {}", row.address, port(row.port), row.reason))?;
    }
    Ok(())
}

fn real_detail(row: &RealServerRow, out: &mut Out<'_>) -> Result<(), Fail> {
    let threshold = match (row.upper_threshold, row.lower_threshold) {
        (0, _) => "none".to_owned(),
        (upper, lower) => format!("no new connections above {upper}, again below {lower}"),
    };
    let counters = &row.counters;
    let lines = pairs(&[
        ("Description", row.description.clone()),
        ("Threshold", threshold),
        ("Persistent", format!("{} clients", row.persistent_connections)),
        ("Total", format!("{} connections", counters.connections)),
        ("In", format!("{} packets, {} bytes", counters.in_packets, counters.in_bytes)),
        ("Out", format!("{} packets, {} bytes", counters.out_packets, counters.out_bytes)),
    ]);
    print(&lines, out)
}

/// `show thresholds`: real servers that have one, and how near they are.
pub(crate) fn thresholds(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let mut rows = ask_real(shell, None)?;
    rows.retain(|row| row.upper_threshold > 0);
    if out.is_json() {
        return out.object("real_servers", &rows);
    }
    let columns = [
        long("Virtual", 7, 8),
        long("Address", 15, 15),
        right("Port", 5),
        right("Upper", 6),
        right("Lower", 6),
        right("Conns", 6),
        right("Used", 5),
    ];
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            // What the kernel compares with the threshold.
            let connections = u64::from(row.active_connections) + u64::from(row.inactive_connections);
            vec![
                row.virtual_server,
                row.address.to_string(),
                port(row.port),
                row.upper_threshold.to_string(),
                row.lower_threshold.to_string(),
                short(connections),
                format!("{}%", connections * 100 / u64::from(row.upper_threshold)),
            ]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

/// `ipvsadm [ARGUMENTS]`: the kernel's table in the words of that tool.
pub(crate) fn ipvsadm(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let text = values.first().and_then(|value| value.as_str()).unwrap_or("-Ln");
    let arguments = text.split_whitespace().map(str::to_owned).collect();
    let lines = shell.director.lines(Show::Ipvsadm { arguments })?;
    if out.is_json() {
        return out.object("lines", &lines);
    }
    print(&lines, out)
}

pub(super) fn ask_virtual(shell: &Shell, name: Option<String>) -> Result<Vec<VirtualServerRow>, Fail> {
    match shell.director.show(Show::VirtualServers { name })? {
        Data::VirtualServers(rows) => Ok(rows),
        other => Err(wrong(other)),
    }
}

pub(super) fn ask_real(shell: &Shell, virtual_server: Option<String>) -> Result<Vec<RealServerRow>, Fail> {
    match shell.director.show(Show::RealServers { virtual_server })? {
        Data::RealServers(rows) => Ok(rows),
        other => Err(wrong(other)),
    }
}

/// Bytes per second as bits per second.
fn bits(bytes: u64) -> u64 {
    bytes.saturating_mul(8)
}
