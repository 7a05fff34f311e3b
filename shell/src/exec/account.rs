//! The session itself: privilege, its terminal, its end.

use yoke_config::value::Value;
use yoke_config::walk::Position;
use yoke_director::status::{Data, LineKind, Request, Show};

use crate::exec::{files, number};
use crate::out::Out;
use crate::outcome::{Fail, Stop};
use crate::session::Shell;
use crate::{sys, tty};

/// Wrong answers after which `enable` gives up, as IOS does.
const ENABLE_TRIES: u32 = 3;

/// What `terminal width 0` is taken as: rustyline and the kernel need a number.
const WIDTH_UNLIMITED: u16 = 512;

pub(super) fn enable(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    match number(values) {
        None | Some(15) => {}
        Some(1) => return disable(shell),
        Some(level) => return Err(Fail::failed(format!("enable {level}: there are two levels, use: 1 or 15"))),
    }
    if shell.director.privilege() >= 15 {
        return Ok(());
    }
    if shell.director.renew(&Request::Enable { password: String::new() })?.privilege >= 15 {
        return Ok(());
    }
    if !shell.terminal.interactive {
        return Err(Fail::denied("enable: nobody to ask for the password"));
    }
    for _ in 0..ENABLE_TRIES {
        let password = shell.editor.borrow_mut().ask_secret("Password: ").ok_or(Stop::Interrupted)?;
        if password.is_empty() {
            continue;
        }
        match shell.director.renew(&Request::Enable { password }) {
            Ok(_) => return Ok(()),
            Err(Fail::Refused { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Err(Fail::denied("Bad secrets"))
}

pub(super) fn disable(shell: &mut Shell) -> Result<(), Fail> {
    shell.director.renew(&Request::Disable)?;
    if shell.director.privilege() < 15 && matches!(shell.position, Position::Config(_)) {
        // Typed behind `do`: there is no configuration mode without the privilege.
        shell.return_to_exec();
    }
    Ok(())
}

/// `exit`: one level up; at the top the end.
pub(super) fn exit(shell: &mut Shell) -> Result<(), Fail> {
    match shell.position {
        Position::Config(_) => shell.leave_level(),
        Position::Exec(_) => logout(shell),
    }
}

pub(super) fn logout(shell: &mut Shell) -> Result<(), Fail> {
    // It asks the one who made the change; a script has said all it wanted to say.
    if shell.terminal.interactive && shell.changed && is_modified(shell) {
        match shell.yes_or_no("System configuration has been modified. Save?") {
            Some(true) => files::save(shell, false)?,
            Some(false) => {}
            None => return Err(Stop::Enough.into()),
        }
    }
    shell.end_session();
    Ok(())
}

/// Whether the running configuration is not saved, and should be. Whoever may not know is not asked about it.
pub(super) fn is_modified(shell: &Shell) -> bool {
    matches!(shell.director.show(Show::Unsaved), Ok(Data::Unsaved(true)))
}

pub(super) fn help(out: &mut Out<'_>) -> Result<(), Fail> {
    out.text(
        "Words may be shortened while they are unique. Press\n\
         \x20 ?        for what may come next; after a letter, for the words that begin so\n\
         \x20 Tab      to complete a word\n\
         \x20 Up Down  or Ctrl-P Ctrl-N for earlier lines, Ctrl-R to search in them\n\
         \x20 Ctrl-A E for the begin and the end of the line, Ctrl-U to erase it\n\
         \x20 Ctrl-C   to drop the line, or to stop what runs\n\
         \x20 Ctrl-Z   to end configuration mode, Ctrl-D to leave one level\n\
         Lines of a block (interface, virtual-server, ...) take effect together when the\n\
         block is left; * in the prompt says that there are some, abort drops them.\n\
         Output can be filtered: | include RE, exclude, begin, section, count, json.",
    )?;
    Ok(())
}

pub(super) fn terminal_length(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    shell.terminal.length = number(values).and_then(|n| u16::try_from(n).ok());
    Ok(())
}

pub(super) fn terminal_width(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    let width = number(values).and_then(|n| u16::try_from(n).ok()).map(|n| if n == 0 { WIDTH_UNLIMITED } else { n });
    shell.terminal.width = width;
    if let (true, Some(width)) = (shell.terminal.interactive, width) {
        let (rows, _) = tty::size();
        // The editor wraps where the terminal says it ends; one that cannot be told wraps as before.
        let _ = sys::set_window_size(&std::io::stdout(), rows.unwrap_or(tty::DEFAULT_SIZE.0), width);
    }
    Ok(())
}

pub(super) fn terminal_monitor(shell: &mut Shell, on: bool) -> Result<(), Fail> {
    shell.terminal.monitor = on;
    Ok(())
}

pub(super) fn terminal_history(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    let lines = number(values).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    shell.editor.borrow_mut().set_history_max(lines);
    Ok(())
}

pub(super) fn continue_on_error(shell: &mut Shell) -> Result<(), Fail> {
    shell.terminal.continue_on_error = true;
    Ok(())
}

pub(super) fn show_history(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let lines: Vec<String> = shell.editor.borrow().history().map(str::to_owned).collect();
    if out.is_json() {
        return out.object("lines", &lines);
    }
    lines.iter().try_for_each(|line| out.text(&format!("  {line}")))?;
    Ok(())
}

pub(super) fn show_privilege(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let privilege = shell.director.privilege();
    if out.is_json() {
        return out.object("privilege", &privilege);
    }
    Ok(out.text(&format!("Current privilege level is {privilege}"))?)
}

pub(super) fn show_terminal(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let (length, width) = shell.terminal.size();
    let session = shell.director.session();
    let place = shell.director.place();
    if out.is_json() {
        let terminal = serde_json::json!({
            "tty": place.tty, "from": place.from, "length": length, "width": width, "monitor": shell.terminal.monitor,
            "exec_timeout_s": u32::from(session.exec_timeout_min) * 60,
        });
        return out.object("terminal", &terminal);
    }
    let timeout = match session.exec_timeout_min {
        0 => "never".to_owned(),
        minutes => format!("{minutes} minutes"),
    };
    let line = match place.line {
        LineKind::Console => format!("console {}", place.tty),
        LineKind::Vty => "vty".to_owned(),
    };
    let pairs = [
        ("Line", line),
        ("Length", if length == 0 { "0 (no paging)".to_owned() } else { format!("{length} lines") }),
        ("Width", format!("{width} columns")),
        ("Exec timeout", timeout),
        ("Messages", if shell.terminal.monitor { "shown" } else { "not shown" }.to_owned()),
    ];
    crate::table::pairs(&pairs).iter().try_for_each(|line| out.text(line))?;
    Ok(())
}
