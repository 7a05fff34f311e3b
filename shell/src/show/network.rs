//! Interfaces, routes, neighbours.

use yoke_config::value::Value;
use yoke_config::walk::has;
use yoke_director::status::{Data, InterfaceRow, Show};

use super::{name, print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{draw, left, long, pairs, right, short};

/// `show interfaces [NAME] [counters]`.
pub(crate) fn interfaces(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let only = name(values);
    let rows = match shell.director.show(Show::Interfaces { name: only.clone() })? {
        Data::Interfaces(rows) => rows,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("interfaces", &rows);
    }
    if has(values, "counters") {
        return counters(&rows, out);
    }
    if let (Some(_), [row]) = (only, rows.as_slice()) {
        return detail(row, out);
    }
    let columns = [
        long("Interface", 9, 9),
        left("State", 8),
        long("Address", 18, 15),
        right("Mtu", 5),
        right("Speed", 6),
        long("Description", 11, 11),
    ];
    let mut cells = Vec::new();
    for row in &rows {
        let speed = speed(row.speed_mbps);
        let first = row.addresses.first().cloned().unwrap_or_default();
        cells.push(vec![
            row.name.clone(),
            row.state.clone(),
            first,
            row.mtu.to_string(),
            speed,
            row.description.clone(),
        ]);
        // Further addresses below the first.
        for address in row.addresses.iter().skip(1) {
            let mut line = vec![String::new(); columns.len()];
            line[2].clone_from(address);
            cells.push(line);
        }
    }
    print(&draw(&columns, &cells), out)
}

fn detail(row: &InterfaceRow, out: &mut Out<'_>) -> Result<(), Fail> {
    let lines = pairs(&[
        ("Interface", row.name.clone()),
        ("Description", row.description.clone()),
        ("State", row.state.clone()),
        ("Driver", row.driver.clone()),
        ("Hardware address", row.mac.clone()),
        ("Addresses", row.addresses.join(", ")),
        ("Mtu", format!("{} bytes", row.mtu)),
        ("Speed", if row.speed_mbps == 0 { "unknown".to_owned() } else { format!("{} Mbit/s", row.speed_mbps) }),
        ("Received", format!("{} packets, {} bytes, {} errors", row.rx_packets, row.rx_bytes, row.rx_errors)),
        ("Sent", format!("{} packets, {} bytes, {} errors", row.tx_packets, row.tx_bytes, row.tx_errors)),
    ]);
    print(&lines, out)
}

fn counters(rows: &[InterfaceRow], out: &mut Out<'_>) -> Result<(), Fail> {
    let columns = [
        long("Interface", 9, 9),
        right("RxPkts", 8),
        right("RxBytes", 8),
        right("RxErrs", 7),
        right("TxPkts", 8),
        right("TxBytes", 8),
        right("TxErrs", 7),
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let numbers = [row.rx_packets, row.rx_bytes, row.rx_errors, row.tx_packets, row.tx_bytes, row.tx_errors];
            std::iter::once(row.name.clone()).chain(numbers.map(short)).collect()
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

fn speed(mbps: u32) -> String {
    match mbps {
        0 => "-".to_owned(),
        1.. if mbps >= 1000 && mbps.is_multiple_of(1000) => format!("{}G", mbps / 1000),
        _ => format!("{mbps}M"),
    }
}

/// `show ip route`, `show ipv6 route`.
pub(crate) fn routes(shell: &Shell, ipv6: bool, out: &mut Out<'_>) -> Result<(), Fail> {
    let rows = match shell.director.show(Show::Routes { ipv6 })? {
        Data::Routes(rows) => rows,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("routes", &rows);
    }
    let columns =
        [long("Prefix", 18, 18), long("Gateway", 15, 15), left("Interface", 9), right("Metric", 6), left("Origin", 9)];
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let gateway = if row.gateway.is_empty() { "connected".to_owned() } else { row.gateway };
            vec![row.prefix, gateway, row.interface, row.metric.to_string(), row.origin]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

/// `show arp`.
pub(crate) fn neighbours(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let rows = match shell.director.show(Show::Neighbours)? {
        Data::Neighbours(rows) => rows,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("neighbours", &rows);
    }
    let columns = [long("Address", 15, 15), left("Hardware address", 17), left("Interface", 9), left("State", 10)];
    let cells: Vec<Vec<String>> =
        rows.into_iter().map(|row| vec![row.address.to_string(), row.mac, row.interface, row.state]).collect();
    print(&draw(&columns, &cells), out)
}
