//! Kernel values as ipvsadm's text, or as JSON where a [`List`] says so. Pure: nothing is read but the arguments.
//!
//! Each function takes what its listing needs in whole and sorts it as the original does. Text goes to `out` in large pieces: a table has many
//! short words, and each would be a call.

use std::io::{self, BufRead, Write};

use super::line::{List, What};
use super::list::{self, Style};
use super::order::{self, merge_sort};
use super::text::Names;
use super::{Columns, json, save};
use crate::connections::parse_line;
use crate::{Daemon, Info, ObservedDestination, ObservedService, Timeouts};

/// A service and its destinations, as [`Client::statistics`](crate::Client::statistics) lists them.
pub type Observed = (ObservedService, Vec<ObservedDestination>);

/// `-L`: the table, or the one service of it that was asked for.
///
/// # Errors
/// Those of `out`.
pub fn table(out: &mut dyn Write, list: &List, names: &Names, info: &Info, services: &[Observed]) -> io::Result<()> {
    let (whole, columns) = match list.what {
        What::Services(which, columns) => (which.is_none(), columns),
        What::Connections { .. } | What::Timeouts | What::Daemons => (true, Columns::Usual),
    };
    let services = in_order(services, !list.unsorted);
    if list.json {
        return writeln!(out, "{}", json::table(info, &services));
    }
    let style = Style { names, numeric: list.numeric, exact: list.exact };
    let mut text = Vec::new();
    if whole {
        list::title(&mut text, info)?;
    }
    list::head(&mut text, columns)?;
    for (service, destinations) in &services {
        list::service(&mut text, &style, columns, service, destinations)?;
        flush_full(out, &mut text)?;
    }
    out.write_all(&text)
}

/// `-L -c`: the lines of `/proc/net/ip_vs_conn`, at most `rows` of them. Returns how many more there are. A line that cannot be read is left
/// out, as by ipvsadm.
///
/// # Errors
/// Those of `lines` and `out`.
pub fn connections(
    out: &mut dyn Write,
    list: &List,
    names: &Names,
    lines: &mut dyn BufRead,
    rows: usize,
) -> io::Result<usize> {
    let engine = matches!(list.what, What::Connections { engine: true });
    let style = Style { names, numeric: list.numeric, exact: list.exact };
    let mut text = Vec::new();
    if !list.json {
        list::connections_head(&mut text, engine)?;
    }
    let mut line = Vec::new();
    let (mut printed, mut more) = (0, 0);
    while {
        line.clear();
        lines.read_until(b'\n', &mut line)? > 0
    } {
        let Ok(Some(connection)) = parse_line(&line) else { continue };
        if printed == rows {
            more += 1;
            continue;
        }
        printed += 1;
        if list.json {
            writeln!(text, "{}", json::connection(&connection))?;
        } else {
            list::connection(&mut text, &style, engine, &connection)?;
        }
        flush_full(out, &mut text)?;
    }
    out.write_all(&text)?;
    Ok(more)
}

/// `-L --timeout`.
///
/// # Errors
/// Those of `out`.
pub fn timeouts(out: &mut dyn Write, list: &List, timeouts: &Timeouts) -> io::Result<()> {
    if list.json {
        return writeln!(out, "{}", json::timeouts(timeouts));
    }
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    writeln!(out, "Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}")
}

/// `-L --daemon`.
///
/// # Errors
/// Those of `out`.
pub fn daemons(out: &mut dyn Write, list: &List, daemons: &[Daemon]) -> io::Result<()> {
    if list.json {
        return writeln!(out, "{}", json::daemons(daemons));
    }
    daemons.iter().try_for_each(|daemon| list::daemon(out, daemon))
}

/// What `-S --full` writes besides the table, for [`save`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// Sync daemons that run.
    pub daemons: Vec<Daemon>,
}

/// `-S`: the table as command lines that make it anew. Without `full` to the byte what ipvsadm writes, which forgets thresholds; with it,
/// everything.
///
/// # Errors
/// Those of `out`.
pub fn save(
    out: &mut dyn Write,
    names: &Names,
    numeric: bool,
    full: Option<&Settings>,
    services: &[Observed],
) -> io::Result<()> {
    let mut text = Vec::new();
    if let Some(Settings { timeouts, daemons }) = full {
        save::settings(&mut text, timeouts, daemons)?;
    }
    let style = save::Style { names, numeric, full: full.is_some() };
    for (service, destinations) in in_order(services, true) {
        save::service(&mut text, &style, service, &destinations)?;
        flush_full(out, &mut text)?;
    }
    out.write_all(&text)
}

/// How much is gathered before it goes out.
const GATHERED_BYTES: usize = 32 << 10;

fn flush_full(out: &mut dyn Write, text: &mut Vec<u8>) -> io::Result<()> {
    if text.len() >= GATHERED_BYTES {
        out.write_all(text)?;
        text.clear();
    }
    Ok(())
}

/// A service and its destinations, where they are.
pub(super) type Row<'a> = (&'a ObservedService, Vec<&'a ObservedDestination>);

/// In ipvsadm's order, or as they came.
fn in_order(services: &[Observed], sorted: bool) -> Vec<Row<'_>> {
    let all = services.iter().map(|(service, destinations)| (service, destinations.as_slice()));
    let mut all: Vec<(&ObservedService, &[ObservedDestination])> = all.collect();
    if sorted {
        all = merge_sort(&all, &|(a, _), (b, _)| order::services(&a.key, &b.key));
    }
    all.into_iter()
        .map(|(service, destinations)| {
            let destinations: Vec<&ObservedDestination> = destinations.iter().collect();
            if !sorted {
                return (service, destinations);
            }
            (service, merge_sort(&destinations, &|a, b| order::destinations(&a.key, &b.key)))
        })
        .collect()
}
