//! Restarting, switching off, starting anew: what cannot be undone is asked about.

use yoke_config::value::Value;
use yoke_config::walk::has;
use yoke_director::status::{Reply, Request};

use crate::director::unexpected;
use crate::exec::{account, files};
use crate::outcome::{Fail, Stop};
use crate::session::Shell;
use crate::tty;

pub(super) fn reload(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    if !has(values, "force") {
        offer_to_save(shell)?;
        shell.confirm("Proceed with reload?", "reload")?;
    }
    leave(shell, &Request::Reload { power_off: false }, "The box restarts.")
}

pub(super) fn power_off(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    if !has(values, "force") {
        offer_to_save(shell)?;
        shell.confirm("Proceed with power-off?", "poweroff")?;
    }
    leave(shell, &Request::Reload { power_off: true }, "The box stops.")
}

pub(super) fn factory_reset(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    if !has(values, "force") {
        let loss = "Configuration, users, keys and earlier revisions will be erased, then the box restarts.\n";
        shell.give_up("factory-reset", loss, "Erase everything?")?;
    }
    leave(shell, &Request::FactoryReset, "Everything is erased. The box restarts.")
}

pub(super) fn format_flash(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    if !has(values, "force") {
        let loss = "Whatever could still be read of it will be gone. What runs goes on.\n";
        shell.give_up("format flash:", loss, "Format flash?")?;
    }
    match shell.director.change(&Request::Format)? {
        Reply::Done { warnings } => {
            shell.warn(&warnings);
            if shell.terminal.interactive {
                tty::show("The flash is empty. To save what runs: write memory\n");
            }
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// What IOS asks before `reload`. Without anybody to ask, `reload` itself is refused next.
pub(super) fn offer_to_save(shell: &mut Shell) -> Result<(), Fail> {
    if !shell.terminal.interactive || !account::is_modified(shell) {
        return Ok(());
    }
    match shell.yes_or_no("System configuration has been modified. Save?") {
        Some(true) => files::save(shell, false),
        Some(false) => Ok(()),
        None => Err(Stop::Enough.into()),
    }
}

/// Asks for the end of the box; with it the session ends.
fn leave(shell: &mut Shell, request: &Request, words: &str) -> Result<(), Fail> {
    match shell.director.change(request)? {
        Reply::Done { warnings } => {
            shell.warn(&warnings);
            if shell.terminal.interactive {
                tty::show(&format!("{words}\n"));
            }
            shell.end_session();
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}
