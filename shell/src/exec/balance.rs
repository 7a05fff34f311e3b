//! Acts on what is balanced: drain and its opposite, counters to zero.

use std::net::IpAddr;

use yoke_config::value::Value;
use yoke_config::walk::{has, option};
use yoke_director::status::{Data, RealServerRow, Reply, Request, Show};

use crate::director::unexpected;
use crate::interrupt;
use crate::out::Out;
use crate::outcome::{Fail, Stop};
use crate::session::Shell;

pub(super) fn clear_statistics(shell: &Shell, values: &[Value]) -> Result<(), Fail> {
    let virtual_server = option(values, "virtual-server").map(ToString::to_string);
    match shell.director.change(&Request::ClearStatistics { virtual_server })? {
        Reply::Done { warnings } => {
            shell.warn(&warnings);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// Which real servers a `drain` means.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    address: IpAddr,
    port: Option<u16>,
    virtual_server: Option<String>,
}

impl Target {
    fn of(values: &[Value]) -> Result<Self, Fail> {
        let Some(Value::Addr(address)) = values.first() else {
            return Err(Fail::incomplete());
        };
        let port = match values.get(1) {
            Some(Value::Port(port)) => Some(*port),
            _ => None,
        };
        let virtual_server = option(values, "virtual-server").map(ToString::to_string);
        Ok(Self { address: *address, port, virtual_server })
    }

    fn has(&self, row: &RealServerRow) -> bool {
        row.address == self.address && self.port.is_none_or(|port| port == row.port)
    }
}

pub(super) fn undrain(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    set(shell, &Target::of(values)?, false)
}

pub(super) fn drain(shell: &mut Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let target = Target::of(values)?;
    set(shell, &target, true)?;
    if !has(values, "wait") {
        return Ok(());
    }
    let timeout = match option(values, "timeout") {
        Some(Value::Int(seconds)) => Some(*seconds),
        _ => None,
    };
    wait(shell, &target, timeout, out)
}

fn set(shell: &mut Shell, target: &Target, drain: bool) -> Result<(), Fail> {
    let Target { address, port, virtual_server } = target.clone();
    match shell.director.change(&Request::Drain { drain, address, port, virtual_server })? {
        Reply::Applied { warnings, .. } | Reply::Done { warnings } => {
            (shell.known, shell.changed) = (None, true);
            shell.warn(&warnings);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// Waits for the last connection to end, looking once a second; says how many are left when that changes.
fn wait(shell: &Shell, target: &Target, timeout: Option<u32>, out: &mut Out<'_>) -> Result<(), Fail> {
    let mut seconds = 0;
    let mut said = None;
    loop {
        let rows = match shell.director.show(Show::RealServers { virtual_server: target.virtual_server.clone() })? {
            Data::RealServers(rows) => rows,
            other => return Err(unexpected(&Reply::Data(other))),
        };
        let left: u64 = rows
            .iter()
            .filter(|row| target.has(row))
            .map(|row| u64::from(row.active_connections) + u64::from(row.inactive_connections))
            .sum();
        if left == 0 {
            return finish(seconds, left, out);
        }
        if timeout.is_some_and(|timeout| seconds >= timeout) {
            finish(seconds, left, out)?;
            let address = target.address;
            return Err(Fail::failed(format!(
                "real-server {address}: not drained after {seconds} s, connections left: {left}"
            )));
        }
        if said != Some(left) && !out.is_json() {
            out.text(&format!("connections left: {left}"))?;
            said = Some(left);
        }
        if interrupt::wait(1000) {
            return Err(Stop::Interrupted.into());
        }
        seconds += 1;
    }
}

fn finish(seconds: u32, left: u64, out: &mut Out<'_>) -> Result<(), Fail> {
    if out.is_json() && left == 0 {
        return out.object("drain", &serde_json::json!({ "connections": left, "waited_s": seconds }));
    }
    if left == 0 {
        out.text("drained")?;
    }
    Ok(())
}
