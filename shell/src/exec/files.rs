//! Configurations as wholes: shown, compared, saved, replaced; and what is pending in the open block.

use std::rc::Rc;

use yoke_config::value::Value;
use yoke_config::walk::has;
use yoke_director::status::{Data, Reply, Request, Show};

use crate::director::unexpected;
use crate::known::preview;
use crate::out::Out;
use crate::outcome::{Fail, Stop};
use crate::session::Shell;
use crate::table::{draw, left, long, right};
use crate::tty;

/// `show running-config [all|diff|sanitized|SECTION]`. An open block is never part of it.
pub(super) fn show_running(shell: &mut Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    if has(values, "diff") {
        return show_diff(shell, out);
    }
    let tree = shell.refresh()?.tree;
    let text = if has(values, "all") {
        tree.print_all()
    } else if has(values, "sanitized") {
        tree.print_sanitized()
    } else if values.is_empty() {
        tree.print()
    } else {
        let words = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let section = tree.section(&words).ok_or_else(|| Fail::failed(format!("{words}: does not exist")))?;
        if out.is_json() {
            return out.object("lines", &section.lines().collect::<Vec<_>>());
        }
        return Ok(out.text(section.trim_end())?);
    };
    if out.is_json() {
        let json = if has(values, "sanitized") { tree.to_json_sanitized() } else { tree.to_json() };
        return out.object("running_config", &json);
    }
    // Three lines that tools for IOS drop, and that stay out of the way of a paste.
    out.text("! Building configuration...")?;
    out.text(&format!("! Current configuration : {} bytes", text.len()))?;
    out.text("!")?;
    if !text.is_empty() {
        out.text(text.trim_end())?;
    }
    Ok(out.text("end")?)
}

pub(super) fn show_startup(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let lines = shell.director.lines(Show::Startup)?;
    if out.is_json() {
        return out.object("lines", &lines);
    }
    if lines.is_empty() {
        return Ok(out.text("startup-config is not present")?);
    }
    print(&lines, out)
}

/// `show configuration diff`. It says so when there is more than it shows.
pub(super) fn show_diff(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let lines = shell.director.lines(Show::Diff)?;
    let open = shell.open.as_ref().filter(|open| open.has_changes());
    if out.is_json() {
        let diff = serde_json::json!({ "lines": lines, "open_block": open.map(|open| open.pending()) });
        return out.object("diff", &diff);
    }
    print(&lines, out)?;
    if let Some(open) = open {
        out.text("! A block is open in this session, these lines are not applied:")?;
        open.pending().iter().try_for_each(|line| out.text(&format!("! {line}")))?;
    }
    Ok(())
}

pub(super) fn show_history(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let rows = match shell.director.show(Show::History)? {
        Data::History(rows) => rows,
        other => return Err(unexpected(&Reply::Data(other))),
    };
    if out.is_json() {
        return out.object("history", &rows);
    }
    let columns = [
        right("No", 2),
        left("Saved", 20),
        left("By", 5),
        long("From", 5, 8),
        left("Firmware", 8),
        right("Revision", 8),
    ];
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| vec![row.number.to_string(), row.saved, row.by, row.from, row.firmware, row.revision.to_string()])
        .collect();
    print(&draw(&columns, &cells), out)
}

pub(super) fn show_rejected(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let lines = shell.director.lines(Show::Rejected)?;
    if out.is_json() {
        return out.object("lines", &lines);
    }
    print(&lines, out)
}

/// `configure terminal`.
pub(super) fn configure(shell: &mut Shell) -> Result<(), Fail> {
    shell.enter_configuration()?;
    if shell.terminal.interactive {
        tty::show("Enter configuration commands, one per line. End with CNTL/Z.\n");
    }
    Ok(())
}

/// `configure replace SOURCE [force]`: shows what would change, asks, and makes it so.
pub(super) fn replace(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    // The commands that lead back are the diff turned around; the director alone has both texts at one moment.
    let changes = shell.director.lines(Show::Diff)?;
    if changes.is_empty() {
        return Ok(());
    }
    if !has(values, "force") {
        if shell.terminal.interactive {
            let lines: String = changes.iter().map(|line| format!("{line}\n")).collect();
            tty::show(&format!("These unsaved changes will be undone:\n{lines}"));
        }
        shell.confirm("Proceed?", "configure replace startup-config")?;
    }
    discard(shell)
}

/// Makes the running configuration the saved one again.
fn discard(shell: &mut Shell) -> Result<(), Fail> {
    let lines = shell.director.lines(Show::Startup)?;
    if lines.is_empty() {
        return Err(Fail::failed("startup-config: is not present, nothing to go back to"));
    }
    let text = lines.iter().map(|line| format!("{line}\n")).collect();
    match shell.director.change(&Request::Replace { text })? {
        Reply::Applied { warnings, .. } => {
            shell.known = None;
            shell.warn(&warnings);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) fn write_memory(shell: &mut Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    out.text("Building configuration...")?;
    save(shell, has(values, "force"))?;
    Ok(out.text("[OK]")?)
}

/// Saves the running configuration.
pub(super) fn save(shell: &mut Shell, force: bool) -> Result<(), Fail> {
    match shell.director.change(&Request::Save { force })? {
        Reply::Done { warnings } => {
            shell.changed = false;
            shell.warn(&warnings);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) fn write_erase(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    if !has(values, "force") {
        shell.confirm("The saved configuration will be removed. Continue?", "write erase")?;
    }
    match shell.director.change(&Request::Erase)? {
        Reply::Done { warnings } => {
            shell.changed = true;
            shell.warn(&warnings);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) fn copy(shell: &mut Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    if values.first().is_some_and(|value| value.is_kw("running-config")) {
        write_memory(shell, &[], out)
    } else {
        discard(shell)
    }
}

/// `commit` in a block: applies it and stays.
pub(super) fn commit(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    shell.commit_block(has(values, "force"))
}

pub(super) fn show_pending(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let lines = shell.open.as_ref().filter(|open| open.has_changes()).map(|open| open.pending()).unwrap_or_default();
    if out.is_json() {
        return out.object("lines", &lines);
    }
    print(&lines, out)
}

pub(super) fn show_block_diff(shell: &mut Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let known = shell.known()?;
    let lines = match &shell.open {
        Some(open) => known.tree.diff(&preview(&known.tree, &Rc::clone(open))),
        None => Vec::new(),
    };
    if out.is_json() {
        return out.object("lines", &lines);
    }
    print(&lines, out)
}

fn print(lines: &[String], out: &mut Out<'_>) -> Result<(), Fail> {
    lines.iter().try_for_each(|line| out.text(line)).map_err(Stop::into)
}
