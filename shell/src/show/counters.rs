//! Counters and rates of virtual and real servers.

use yoke_config::value::Value;
use yoke_config::walk::option;
use yoke_director::status::{Counters, RealServerRow, VirtualServerRow};

use super::balance::{ask_real, ask_virtual};
use super::{port, print};
use crate::interrupt;
use crate::out::Out;
use crate::outcome::{Fail, Stop};
use crate::session::Shell;
use crate::table::{draw, long, right, short};

/// `show statistics [virtual-server NAME]`: totals since they were cleared.
pub(crate) fn statistics(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let only = option(values, "virtual-server").map(ToString::to_string);
    let rows = ask_virtual(shell, only.clone())?;
    let real = if only.is_some() { ask_real(shell, only.clone())? } else { Vec::new() };
    if out.is_json() {
        let all: Vec<_> =
            rows.iter().map(|row| serde_json::json!({ "name": row.name, "counters": row.counters })).collect();
        let real: Vec<_> = real
            .iter()
            .map(|row| serde_json::json!({ "address": row.address, "port": row.port, "counters": row.counters }))
            .collect();
        return out.object("statistics", &serde_json::json!({ "virtual_servers": all, "real_servers": real }));
    }
    let columns = [
        long("Name", 15, 12),
        right("Conns", 8),
        right("InPkts", 8),
        right("OutPkts", 8),
        right("InBytes", 8),
        right("OutBytes", 8),
    ];
    let cells: Vec<Vec<String>> = named(&rows, &real)
        .map(|(name, c)| {
            let numbers = [c.connections, c.in_packets, c.out_packets, c.in_bytes, c.out_bytes];
            std::iter::once(name).chain(numbers.map(short)).collect()
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

/// `show rate [virtual-server NAME] [interval S]`; of one virtual server with its real servers. Without an interval these are the kernel's own
/// estimates, over some seconds.
pub(crate) fn rate(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let only = option(values, "virtual-server").map(ToString::to_string);
    let ask = || -> Result<_, Fail> {
        let real = if only.is_some() { ask_real(shell, only.clone())? } else { Vec::new() };
        Ok((ask_virtual(shell, only.clone())?, real))
    };
    let (mut rows, mut real) = ask()?;
    if let Some(Value::Int(seconds)) = option(values, "interval") {
        let before = (rows, real);
        for _ in 0..*seconds {
            if interrupt::wait(1000) {
                return Err(Stop::Interrupted.into());
            }
        }
        (rows, real) = ask()?;
        let seconds = u64::from(*seconds);
        for row in &mut rows {
            let old = before.0.iter().find(|old| old.name == row.name).map(|old| old.counters);
            row.counters = measured(&old.unwrap_or(row.counters), &row.counters, seconds);
        }
        for row in &mut real {
            let same = |old: &&RealServerRow| (old.address, old.port) == (row.address, row.port);
            let old = before.1.iter().find(same).map(|old| old.counters);
            row.counters = measured(&old.unwrap_or(row.counters), &row.counters, seconds);
        }
    }
    if out.is_json() {
        let rates: Vec<_> = rows
            .iter()
            .map(|row| {
                let mut rates = rates(&row.counters);
                rates["name"] = row.name.as_str().into();
                if only.is_some() {
                    rates["real_servers"] = real.iter().map(of_real_server).collect();
                }
                rates
            })
            .collect();
        return out.object("rates", &rates);
    }
    let columns = [
        long("Name", 15, 12),
        right("Conns/s", 8),
        right("InPkt/s", 8),
        right("OutPkt/s", 8),
        right("InByte/s", 8),
        right("OutByte/s", 9),
    ];
    let cells: Vec<Vec<String>> = named(&rows, &real)
        .map(|(name, c)| {
            let numbers = [c.cps, c.in_pps, c.out_pps, c.in_bps, c.out_bps];
            std::iter::once(name).chain(numbers.map(short)).collect()
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

fn rates(c: &Counters) -> serde_json::Value {
    serde_json::json!({
        "cps": c.cps, "in_pps": c.in_pps, "out_pps": c.out_pps, "in_bps": c.in_bps, "out_bps": c.out_bps,
    })
}

fn of_real_server(row: &RealServerRow) -> serde_json::Value {
    let mut rates = rates(&row.counters);
    rates["address"] = row.address.to_string().into();
    rates["port"] = row.port.into();
    rates
}

/// Rates from two readings. Counters that were cleared in between count as nothing.
fn measured(old: &Counters, new: &Counters, seconds: u64) -> Counters {
    let per_second = |old: u64, new: u64| new.saturating_sub(old) / seconds.max(1);
    Counters {
        cps: per_second(old.connections, new.connections),
        in_pps: per_second(old.in_packets, new.in_packets),
        out_pps: per_second(old.out_packets, new.out_packets),
        in_bps: per_second(old.in_bytes, new.in_bytes),
        out_bps: per_second(old.out_bytes, new.out_bytes),
        ..*new
    }
}

fn named<'a>(rows: &'a [VirtualServerRow], real: &'a [RealServerRow]) -> impl Iterator<Item = (String, &'a Counters)> {
    let virtual_ = rows.iter().map(|row| (row.name.clone(), &row.counters));
    virtual_.chain(real.iter().map(|row| (format!(" {} {}", row.address, port(row.port)), &row.counters)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_difference_by_the_time() {
        let old = Counters { connections: 100, in_bytes: 1_000, ..Counters::default() };
        let new = Counters { connections: 150, in_bytes: 500, cps: 7, ..Counters::default() };
        let rate = measured(&old, &new, 5);
        assert_eq!((rate.cps, rate.in_bps), (10, 0), "counters cleared meanwhile are no rate");
    }
}
