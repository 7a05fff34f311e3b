//! Hands addresses over to the peer and takes them back.

use yoke_config::value::Value;
use yoke_config::walk::option;
use yoke_director::status::{Reply, Request, VrrpCommand};

use crate::director::unexpected;
use crate::outcome::Fail;
use crate::session::Shell;

/// `hand-over vrrp`, `hand-back vrrp`, `reset vrrp`.
pub(super) fn tell(shell: &Shell, command: VrrpCommand, values: &[Value]) -> Result<(), Fail> {
    let group = option(values, "group").map(ToString::to_string);
    match shell.director.change(&Request::Vrrp { command, group })? {
        Reply::Done { warnings } => {
            shell.warn(&warnings);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}
