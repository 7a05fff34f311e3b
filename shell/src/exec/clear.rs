//! `clear`: counters to zero, caches empty. Nothing that it does interrupts traffic.

use yoke_config::value::Value;
use yoke_config::walk::option;
use yoke_director::status::{Reply, Request};

use crate::director::unexpected;
use crate::outcome::Fail;
use crate::session::Shell;

pub(super) fn statistics(shell: &Shell, values: &[Value]) -> Result<(), Fail> {
    let virtual_server = option(values, "virtual-server").map(ToString::to_string);
    clear(shell, &Request::ClearStatistics { virtual_server })
}

pub(super) fn counters(shell: &Shell, values: &[Value]) -> Result<(), Fail> {
    let interface = option(values, "interface").map(ToString::to_string);
    clear(shell, &Request::ClearCounters { interface })
}

pub(super) fn arp(shell: &Shell) -> Result<(), Fail> {
    clear(shell, &Request::ClearNeighbours)
}

pub(super) fn log(shell: &Shell) -> Result<(), Fail> {
    clear(shell, &Request::ClearLog)
}

fn clear(shell: &Shell, request: &Request) -> Result<(), Fail> {
    match shell.director.change(request)? {
        Reply::Done { warnings } => {
            shell.warn(&warnings);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}
