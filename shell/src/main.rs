//! The operator's command line: login on a console, login shell over SSH, commands from a script.
//!
//! It owns nothing and decides nothing: it reads lines, knows what they mean, and asks the director. It cannot execute
//! another program. How it was started is told apart here; the rest is in [`session`].

mod block;
mod clock;
mod configure;
mod director;
mod editor;
mod exec;
mod help;
mod idle;
mod input;
mod interrupt;
mod known;
mod line;
mod login;
mod out;
mod outcome;
mod pager;
mod ping;
mod pipes;
mod question;
mod report;
mod resolve;
mod rich;
mod script;
mod secret;
mod session;
mod show;
mod sys;
mod table;
mod traceroute;
mod tty;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use yoke_config::lex::split_commands;
use yoke_director::status::{LineKind, SOCKET};

use crate::director::{Director, Place};
use crate::editor::Editor;
use crate::idle::Idle;
use crate::outcome::Fail;
use crate::script::Next;
use crate::session::Shell;

/// How often a director that is being restarted is looked for, 100 ms apart, before an SSH session gives up.
const ATTEMPTS: u32 = 50;

/// How the shell was started.
#[derive(Debug, Default)]
struct Arguments {
    /// `--login`: on a console, by init.
    login: bool,
    /// `-c COMMANDS`: by sshd, for `ssh box COMMANDS`.
    commands: Option<String>,
    /// `--socket PATH`: a director elsewhere, for tests.
    socket: Option<PathBuf>,
    /// `--idle SECONDS`: an exec-timeout shorter than a minute, for tests.
    idle: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            complain(&Fail::failed(format!("shell: {why}, use: shell [--login | -c COMMANDS]")));
            return ExitCode::from(2);
        }
    };
    if let Err(e) = interrupt::install() {
        complain(&Fail::failed(format!("shell: signals: {e}")));
        return ExitCode::FAILURE;
    }
    let code = match run(&arguments) {
        Ok(code) => code,
        Err(fail) => {
            complain(&fail);
            fail.code()
        }
    };
    tty::restore();
    ExitCode::from(code)
}

fn run(arguments: &Arguments) -> Result<u8, Fail> {
    if let Some(commands) = &arguments.commands {
        refuse_file_transfer(commands)?;
    }
    let path = arguments.socket.clone().unwrap_or_else(|| SOCKET.into());
    let idle = Idle::default();
    if arguments.login {
        return console(arguments, &path, &idle);
    }
    let interactive = arguments.commands.is_none() && tty::is_interactive();
    let director = connect(&path)?;
    if !interactive {
        limit(arguments, &director, &idle);
        let mut shell = Shell::new(director, Editor::piped(idle), false);
        return Ok(match &arguments.commands {
            Some(commands) => {
                shell.stdin_is_free = true;
                let mut lines = commands.lines().flat_map(split_commands).map(|(_, line)| line.trim().to_owned());
                shell.run_script(|| lines.next().map_or(Next::End, Next::Line))
            }
            None => shell.run_piped(),
        });
    }
    enter_session()?;
    let mut editor = Editor::plain(idle.clone());
    editor.may_draw();
    serve(arguments, director, editor, idle);
    Ok(0)
}

/// A console: login, then a session.
fn console(arguments: &Arguments, path: &std::path::Path, idle: &Idle) -> Result<u8, Fail> {
    if !tty::is_interactive() {
        return Err(Fail::failed("shell --login: needs a terminal"));
    }
    let place = Place { line: LineKind::Console, tty: tty_name(), from: String::new() };
    // Whatever the session before left behind, this one begins sane, and is given back so.
    let _ = tty::make_sane();
    enter_session()?;
    let mut editor = Editor::plain(idle.clone());
    let Some(director) = login::connect(path, &place, &mut editor) else { return Ok(0) };
    let director = director?;
    let session = director.session();
    if place.tty.starts_with("ttyS") {
        tty::apply_speed(session.speed);
    }
    tty::apply_size(session.length, session.width);
    login::greet(&session, &place.tty);
    let Some(session) = login::log_in(&director, &mut editor)? else { return Ok(0) };
    login::become_user(&session)?;
    editor.may_draw();
    serve(arguments, director, editor, idle.clone());
    Ok(0)
}

fn serve(arguments: &Arguments, director: Director, editor: Editor, idle: Idle) {
    limit(arguments, &director, &idle);
    Shell::new(director, editor, true).interact();
}

/// Sets how long the session may wait for input, on a terminal or not.
fn limit(arguments: &Arguments, director: &Director, idle: &Idle) {
    let minutes = director.session().exec_timeout_min;
    let configured = (minutes > 0).then(|| Duration::from_mins(minutes.into()));
    idle.set_limit(arguments.idle.map(Duration::from_secs).or(configured));
}

/// Connects for a user whom the kernel knows already.
fn connect(path: &std::path::Path) -> Result<Director, Fail> {
    let from = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let from = from.split(' ').next().unwrap_or_default().to_owned();
    let place = Place { line: LineKind::Vty, tty: tty_name(), from };
    let mut attempt = 0;
    loop {
        match Director::open(path, place.clone()) {
            Err(Fail::Refused { status: outcome::Status::Failed, .. })
                if attempt < ATTEMPTS && !interrupt::wait(100) =>
            {
                attempt += 1;
            }
            Ok(director) if director.session().username.is_empty() => {
                return Err(Fail::denied("shell: root has no session here, use: shell --login"));
            }
            outcome => return outcome,
        }
    }
}

fn enter_session() -> Result<(), Fail> {
    tty::enter_session().map_err(|e| Fail::failed(format!("shell: terminal: {e}")))
}

/// Such as `ttyS0` or `pts/3`; empty without a terminal.
fn tty_name() -> String {
    let path = std::fs::read_link("/proc/self/fd/0").unwrap_or_default();
    path.to_str()
        .and_then(|path| path.strip_prefix("/dev/"))
        .filter(|name| *name != "null")
        .unwrap_or_default()
        .to_owned()
}

/// What scp and sftp clients ask a login shell for.
fn refuse_file_transfer(commands: &str) -> Result<(), Fail> {
    let program = commands.split_whitespace().next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    if matches!(program, "scp" | "sftp-server" | "rsync" | "internal-sftp") {
        return Err(Fail::failed(format!(
            "{program}: files are not transferred here, use: ssh BOX \"show running-config\", or paste; firmware: ssh BOX \"install add stdin\" < FILE"
        )));
    }
    Ok(())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument}: needs a value"));
        match argument.as_str() {
            "--login" => parsed.login = true,
            "-c" => parsed.commands = Some(value()?),
            "--socket" => parsed.socket = Some(value()?.into()),
            "--idle" => parsed.idle = Some(value()?.parse().map_err(|_| format!("{argument}: needs seconds"))?),
            other => return Err(format!("{other}: unknown")),
        }
    }
    Ok(parsed)
}

fn complain(fail: &Fail) {
    let text: String = fail.lines().iter().map(|line| format!("{line}\n")).collect();
    // Nobody can be told that standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_refused_and_commands_are_not() {
        for line in ["scp -t /flash", "/usr/lib/sftp-server", "rsync --server"] {
            assert!(refuse_file_transfer(line).is_err(), "{line}");
        }
        assert!(refuse_file_transfer("show version").is_ok());
    }

    #[test]
    fn arguments() {
        let parse = |words: &[&str]| parse(words.iter().map(|w| (*w).to_owned()));
        assert_eq!(parse(&["-c", "show version"]).unwrap().commands.as_deref(), Some("show version"));
        assert!(parse(&["--login"]).unwrap().login);
        assert!(parse(&["-c"]).is_err());
        assert!(parse(&["-i"]).is_err());
    }
}
