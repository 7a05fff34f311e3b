//! Whether and how others can be reached: ping, traceroute, resolve.

use yoke_config::value::Value;
use yoke_config::walk::{has, option};

use crate::out::Out;
use crate::outcome::{Fail, Status, Stop};
use crate::ping::{Options, ping as send};
use crate::resolve::resolve as look_up;
use crate::session::Shell;
use crate::traceroute::traceroute as trace;

/// Requests of a ping that does not say how many, as IOS has it.
const COUNT: u32 = 5;
/// Bytes of data of a ping that does not say, as ping(8) has it.
const SIZE: u32 = 56;

pub(super) fn ping(_: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let number = |word: &str, default: u32| match option(values, word) {
        Some(Value::Int(number)) => *number,
        _ => default,
    };
    let source = match option(values, "source") {
        Some(Value::Addr(address)) => Some(*address),
        _ => None,
    };
    let host = host(values);
    let found = look_up(&host)?;
    // Of the addresses of a name, one the source can reach.
    let target = found.iter().find(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()));
    let Some(&target) = target.or(found.first()) else { return Err(Fail::failed(format!("{host}: no such name"))) };
    let size = usize::try_from(number("size", SIZE)).unwrap_or_default();
    let report = send(&Options { target, count: number("count", COUNT), source, size, df: has(values, "df") })?;
    if out.is_json() {
        let rtt = report.rtt_ms();
        let rtt = rtt.map(|[min, mean, max]| serde_json::json!({ "min_ms": min, "mean_ms": mean, "max_ms": max }));
        let ping = serde_json::json!({
            "target": target, "sent": report.sent, "received": report.received, "loss_percent": report.loss(), "rtt": rtt,
        });
        out.object("ping", &ping)?;
    } else {
        out.text(&report.to_string())?;
    }
    match (report.interrupted, report.received) {
        (true, _) => Err(Stop::Interrupted.into()),
        // The report says it all.
        (false, 0) => Err(Fail::Said(Status::Failed)),
        _ => Ok(()),
    }
}

pub(super) fn traceroute(_: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    if out.is_json() {
        return Err(Fail::failed("traceroute: is text only"));
    }
    let host = host(values);
    match look_up(&host)?.first() {
        Some(&target) => trace(target, out),
        None => Err(Fail::failed(format!("{host}: no such name"))),
    }
}

pub(super) fn resolve(values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let host = host(values);
    let found = look_up(&host)?;
    if out.is_json() {
        return out.object("addresses", &found);
    }
    found.iter().try_for_each(|address| out.text(&address.to_string())).map_err(Into::into)
}

fn host(values: &[Value]) -> String {
    values.first().map(ToString::to_string).unwrap_or_default()
}
