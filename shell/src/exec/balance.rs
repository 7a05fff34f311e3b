//! Acts on what is balanced: drain and its opposite, connections that are to end.

use std::net::IpAddr;

use yoke_config::value::Value;
use yoke_config::walk::{has, option};
use yoke_director::status::{ConnectionFilter, Data, RealServerRow, Reply, Request, Show};

use crate::director::unexpected;
use crate::interrupt;
use crate::out::Out;
use crate::outcome::{Fail, Status, Stop};
use crate::session::Shell;
use crate::show::{connections, port};

/// `reset connections ...`: their clients connect again, to whom the scheduler then chooses.
pub(super) fn reset_connections(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let text = |word: &str| option(values, word).map(ToString::to_string);
    let (real_server, real_port) = match values {
        [_, Value::Addr(address), Value::Port(port)] => (Some(*address), Some(*port).filter(|port| *port != 0)),
        [_, Value::Addr(address)] => (Some(*address), None),
        _ => (None, None),
    };
    let filter = ConnectionFilter {
        virtual_server: text("virtual-server"),
        client: text("client"),
        real_server,
        real_port,
        open: true,
        ..ConnectionFilter::default()
    };
    reset(shell, filter, ("connections", "are still there, type it again"), out)
}

/// `reset persistence [NAME]`: clients are bound anew with their next connection, but for those who have one open.
pub(super) fn reset_persistence(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let virtual_server = values.first().map(ToString::to_string);
    let filter = ConnectionFilter { virtual_server, templates: true, ..ConnectionFilter::default() };
    reset(shell, filter, ("clients", "keep their server while they have connections"), out)
}

/// `what` is ended, and what to say of those that are left.
fn reset(
    shell: &Shell,
    filter: ConnectionFilter,
    (what, of_left): (&str, &str),
    out: &mut Out<'_>,
) -> Result<(), Fail> {
    let (ended, left, never) = match shell.director.change(&Request::Reset(filter))? {
        Reply::Reset { ended, left, never } => (ended, left, never),
        other => return Err(unexpected(&other)),
    };
    if out.is_json() {
        out.object("reset", &serde_json::json!({ "ended": ended, "left": left, "never": never }))?;
    } else {
        out.text(&format!("{ended} {what} reset"))?;
        if left > 0 {
            out.text(&format!("{left} {what} {of_left}"))?;
        }
        if never > 0 {
            out.text(&format!("{never} {what} cannot be reset: client and real server are of two address families"))?;
        }
    }
    // A script has to know, too.
    if left + never > 0 { Err(Fail::Said(Status::Failed)) } else { Ok(()) }
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

/// Seconds between two looks at the table of connections while a real server drains: it may hold a million.
const LOOK_S: u32 = 5;

/// Waits for the last connection to end, looking once a second; says how many are left when that changes.
///
/// The kernel counts a connection for two minutes after its end. So once none carries data, the table itself says which are still open, such as
/// one whose client has sent all and still receives.
fn wait(shell: &Shell, target: &Target, timeout: Option<u32>, out: &mut Out<'_>) -> Result<(), Fail> {
    let (mut seconds, mut looked) = (0, None);
    let mut said = None;
    loop {
        let rows = match shell.director.show(Show::RealServers { virtual_server: target.virtual_server.clone() })? {
            Data::RealServers(rows) => rows,
            other => return Err(unexpected(&Reply::Data(other))),
        };
        let counted = counted(target, &rows)?;
        let left = match (counted, looked) {
            (Counted { active: 1.., .. } | Counted { inactive: 0, .. }, _) => counted.active + counted.inactive,
            (_, Some((at, open))) if seconds < at + LOOK_S => open,
            _ => {
                let open = open(shell, target)?;
                looked = Some((seconds, open));
                open
            }
        };
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

/// How many connections of the target are open, by the table of connections.
fn open(shell: &Shell, target: &Target) -> Result<u64, Fail> {
    let filter = ConnectionFilter {
        virtual_server: target.virtual_server.clone(),
        real_server: Some(target.address),
        // One for all ports has connections to any.
        real_port: target.port.filter(|port| *port != 0),
        open: true,
        count: true,
        ..ConnectionFilter::default()
    };
    Ok(connections::ask(shell, filter)?.count)
}

/// Connections as the kernel counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counted {
    active: u64,
    inactive: u64,
}

/// The connections of the target. A row without a connection means something only while the real server is seen in the kernel and drains: what
/// somebody else did meanwhile, or a kernel that did not answer, is not the end of the last connection.
fn counted(target: &Target, rows: &[RealServerRow]) -> Result<Counted, Fail> {
    let mut counted: Option<Counted> = None;
    for row in rows.iter().filter(|row| target.has(row)) {
        let what = || format!("virtual-server {}: real-server {} {}", row.virtual_server, row.address, port(row.port));
        match row.state.as_str() {
            "up" => {
                return Err(Fail::failed(format!("{}: takes connections again, somebody has undrained it", what())));
            }
            "absent" => return Err(Fail::failed(format!("{}: not seen: {}", what(), row.reason))),
            // drain, or shutdown, which has ended its connections.
            _ => {}
        }
        let counted = counted.get_or_insert_default();
        counted.active += u64::from(row.active_connections);
        counted.inactive += u64::from(row.inactive_connections);
    }
    counted.ok_or_else(|| Fail::failed(format!("real-server {}: removed by somebody while it drained", target.address)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use yoke_director::status::Counters;

    fn row(port: u16, state: &str, active: u32, inactive: u32) -> RealServerRow {
        RealServerRow {
            virtual_server: "www".to_owned(),
            address: [10, 0, 0, 1].into(),
            port,
            mode: "nat".to_owned(),
            weight: 0,
            configured_weight: 1,
            state: state.to_owned(),
            reason: "the kernel did not answer".to_owned(),
            upper_threshold: 0,
            lower_threshold: 0,
            active_connections: active,
            inactive_connections: inactive,
            persistent_connections: 0,
            description: String::new(),
            counters: Counters::default(),
        }
    }

    #[test]
    fn no_connection_counts_as_drained_only_while_it_drains() {
        let all = Target { address: [10, 0, 0, 1].into(), port: None, virtual_server: None };
        let one = Target { port: Some(80), ..all.clone() };
        let rows = [row(80, "drain", 2, 1), row(443, "drain", 4, 0)];
        assert_eq!(counted(&all, &rows).unwrap(), Counted { active: 6, inactive: 1 });
        assert_eq!(counted(&one, &rows).unwrap(), Counted { active: 2, inactive: 1 });
        assert_eq!(counted(&all, &[row(80, "shutdown", 0, 0)]).unwrap(), Counted::default());
        let said = |rows: &[RealServerRow]| counted(&all, rows).unwrap_err().lines().join("\n");
        assert!(said(&[row(80, "up", 0, 0)]).contains("real-server 10.0.0.1 80: takes connections again"));
        assert!(said(&[row(80, "absent", 0, 0)]).contains("not seen: the kernel did not answer"));
        assert!(said(&[]).contains("removed by somebody"));
    }
}
