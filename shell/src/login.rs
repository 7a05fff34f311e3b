//! The console before a session: who sits there? Run by init as root on a terminal that it has made the controlling one.
//!
//! The director decides; this asks, and then gives up root for good. Nothing is executed, so there is no environment to
//! prepare: what follows in this very process is the session.

use nix::sys::prctl;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
use yoke_director::status::{Request, Session};

use crate::director::{Director, Place};
use crate::editor::Editor;
use crate::outcome::Fail;
use crate::{secret, tty};

/// How long to wait for the director before saying so, in steps of [`STEP_MS`].
const SILENT_STEPS: u32 = 5_000 / STEP_MS as u32;
/// Between two looks for its socket. Somebody waits, and a look costs some ten microseconds.
const STEP_MS: u16 = 20;

/// Connects, waiting for the director as long as it takes. The terminal answers meanwhile. `None`: the terminal is gone.
pub(crate) fn connect(path: &std::path::Path, place: &Place, editor: &mut Editor) -> Option<Result<Director, Fail>> {
    let mut steps = 0;
    loop {
        match Director::open(path, place.clone()) {
            Err(Fail::Refused { status: crate::outcome::Status::Failed, .. }) => {}
            outcome => return Some(outcome),
        }
        steps += 1;
        let asked = editor.wait_enter(STEP_MS);
        if editor.is_gone() {
            return None;
        }
        if steps == SILENT_STEPS || (asked && steps > SILENT_STEPS) {
            tty::show("waiting for the director\n");
        }
    }
}

/// Prints what a console begins with.
pub(crate) fn greet(session: &Session, tty_name: &str) {
    let mut parts = vec![session.firmware.clone()];
    if tty_name.starts_with("ttyS") {
        parts.push(format!("{tty_name} {} 8N1", session.speed));
    } else if tty_name.starts_with("tty") {
        parts.push(tty_name.to_owned());
    }
    if !session.notice.is_empty() {
        parts.push(session.notice.clone());
    }
    tty::show(&format!("\n{}\n\n", parts.join("   ")));
    if !session.banner_login.is_empty() {
        tty::show(&format!("{}\n\n", session.banner_login.trim_end()));
    }
}

/// Asks until somebody is logged in; `None`: the terminal is gone.
///
/// # Errors
/// The director went away or refuses for another reason than a wrong answer: begin again.
pub(crate) fn log_in(director: &Director, editor: &mut Editor) -> Result<Option<Session>, Fail> {
    loop {
        let request = if director.session().first_password { first_password(editor) } else { credentials(editor) };
        if editor.is_gone() {
            return Ok(None);
        }
        // Ctrl-C, or an empty name: ask again.
        let Some(request) = request else { continue };
        let first = matches!(request, Request::FirstPassword { .. });
        match director.renew(&request) {
            Ok(session) if !session.username.is_empty() => return Ok(Some(session)),
            Ok(_) => {}
            Err(fail @ Fail::Refused { status: crate::outcome::Status::Denied, .. }) if !first => {
                // What exactly was wrong helps only those who guess. That there were too many guesses helps everybody.
                let limited = fail.lines().iter().any(|line| line.contains("too many"));
                tty::show(if limited { "% Too many attempts, wait a minute\n\n" } else { "% Login invalid\n\n" });
            }
            Err(fail) => return Err(fail),
        }
    }
}

fn first_password(editor: &mut Editor) -> Option<Request> {
    secret::ask_twice(editor, "Password for user admin (new): ", "Again: ")
        .map(|password| Request::FirstPassword { password })
}

fn credentials(editor: &mut Editor) -> Option<Request> {
    let username = editor.ask("login: ")?.trim().to_owned();
    if username.is_empty() {
        return None;
    }
    let password = editor.ask_secret("Password: ")?;
    Some(Request::Login { username, password })
}

/// Becomes the user of the session. There is no way back.
///
/// # Errors
/// The director named no user, or the kernel refused; the session must not begin then.
pub(crate) fn become_user(session: &Session) -> Result<(), Fail> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(session.ids.0), Gid::from_raw(session.ids.1));
    if uid.is_root() || gid.as_raw() == 0 {
        return Err(Fail::denied(format!("login: user {} has no user id of its own", session.username)));
    }
    setgroups(&[gid])
        .and_then(|()| setresgid(gid, gid, gid))
        .and_then(|()| setresuid(uid, uid, uid))
        .and_then(|()| prctl::set_no_new_privs())
        .map_err(|e| Fail::denied(format!("login: cannot become {}: {e}", session.username)))
}
