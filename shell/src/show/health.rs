//! `show health-check`: a line for each server a monitor tries, and with the monitor's name the story of each.

use yoke_config::value::Value;
use yoke_director::status::{Data, HealthCheckRow, Show};

use super::{name, port, print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{draw, left, long, pairs, right};

/// `show health-check [NAME]`.
pub(crate) fn checks(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let monitor = name(values);
    let rows = match shell.director.show(Show::HealthChecks { monitor: monitor.clone() })? {
        Data::HealthChecks(rows) => rows,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("health_checks", &rows);
    }
    if monitor.is_none() {
        return table(&rows, out);
    }
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            out.text("")?;
        }
        story(row, out)?;
    }
    Ok(())
}

fn table(rows: &[HealthCheckRow], out: &mut Out<'_>) -> Result<(), Fail> {
    let columns = [
        long("Monitor", 7, 8),
        long("Address", 10, 15),
        right("Port", 5),
        left("Way", 3),
        left("State", 7),
        right("Since", 6),
        right("Latency", 9),
        right("Failed", 6),
        long("Reason", 6, 10),
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.monitor.clone(),
                row.address.to_string(),
                if row.port == 0 { "-".to_owned() } else { port(row.port) },
                way(row),
                row.state.clone(),
                span(row.since_s),
                latency(row),
                row.failed.to_string(),
                row.reason.clone(),
            ]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

fn story(row: &HealthCheckRow, out: &mut Out<'_>) -> Result<(), Fail> {
    let at = if row.port == 0 { row.address.to_string() } else { format!("{} {}", row.address, row.port) };
    let last = match (row.last_s, row.reason.as_str()) {
        (None, _) => "none yet".to_owned(),
        (Some(ago), "") => format!("{} ago, good, {}", span(ago), latency(row)),
        (Some(ago), why) => format!("{} ago, failed, {why}", span(ago)),
    };
    let asked = match (row.via, row.aside.as_str()) {
        (None, _) => "its own address".to_owned(),
        (Some(via), "") => format!("{via}, as clients by mode {}", row.via_mode),
        (Some(via), why) => format!("its own address and not {via}, {why}"),
    };
    let lines = pairs(&[
        ("Server", at),
        ("Asked", asked),
        ("Monitor", format!("{}, type {}", row.monitor, row.type_)),
        ("State", format!("{} for {}", row.state, span(row.since_s))),
        ("Last check", last),
        ("Checks", format!("{} good, {} failed", row.good, row.failed)),
        ("Virtual servers", row.virtual_servers.join(", ")),
    ]);
    print(&lines, out)?;
    for change in row.history.iter().rev() {
        let why = if change.reason.is_empty() { String::new() } else { format!(": {}", change.reason) };
        out.text(&format!("  {:>6} ago  {}{why}", span(change.ago_s), change.state))?;
    }
    Ok(())
}

/// The mode by which the virtual address was asked; in brackets when the server's own was, though there is one.
fn way(row: &HealthCheckRow) -> String {
    match (row.via_mode.as_str(), row.aside.is_empty()) {
        ("", _) => "-".to_owned(),
        (mode, true) => mode.to_owned(),
        (mode, false) => format!("({mode})"),
    }
}

/// Of the last good attempt; a dash when the last one failed.
fn latency(row: &HealthCheckRow) -> String {
    row.latency_us.map_or_else(|| "-".to_owned(), |us| format!("{}.{} ms", us / 1000, us % 1000 / 100))
}

/// A time in its largest unit, rounded down.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
