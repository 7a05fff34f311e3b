//! `install`: firmware on two slots, and the box on another disk. What happens there is the director's; here are the questions, the progress
//! and the words.

use std::net::IpAddr;

use yoke_config::value::Value;
use yoke_config::walk::{has, option};
use yoke_director::status::{Adding, Data, Install, Reply, Request, Show};
use yoke_install::http::Url;
use yoke_install::report::Target;

use crate::director::unexpected;
use crate::exec::power::offer_to_save;
use crate::exec::upload::{self, Pipe};
use crate::interrupt;
use crate::outcome::{Fail, Stop};
use crate::resolve::resolve;
use crate::session::Shell;
use crate::tty;

/// How long a firmware runs that nobody commits.
const MINUTES: u16 = 30;
/// Between two looks at the progress.
const LOOK_MS: u16 = 250;

pub(super) fn add(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    let source = values.first().map(ToString::to_string).unwrap_or_default();
    if source == upload::WORD {
        return add_stdin(shell, has(values, "force"));
    }
    let url = Url::parse(&source).map_err(|e| Fail::failed(format!("install add: {e}")))?;
    let address = url.map(|url| address(url.host)).transpose()?;
    tell(shell, Install::Add { source, address, force: has(values, "force") })?;
    watch(shell)
}

/// An update that somebody pipes into `ssh BOX 'install add stdin'`.
fn add_stdin(shell: &mut Shell, force: bool) -> Result<(), Fail> {
    if !shell.stdin_is_free {
        let how = "ssh BOX 'install add stdin' < FILE";
        return Err(Fail::failed(format!("install add stdin: what is typed here are commands, use: {how}")));
    }
    let broken = |e: std::io::Error| Fail::failed(format!("install add stdin: {e}"));
    let pipe = Pipe::make().map_err(broken)?;
    tell(shell, Install::Add { source: pipe.source(), address: None, force })?;
    let sent = pipe.send(|| progress(shell).is_ok_and(|adding| adding.running) && !interrupt::wait(LOOK_MS));
    sent.map_err(broken)?;
    watch(shell)
}

pub(super) fn disk(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    let name = values.first().map(ToString::to_string).unwrap_or_default();
    let target = match shell.director.show(Show::InstallTarget { name })? {
        Data::InstallTarget(target) => target,
        other => return Err(unexpected(&Reply::Data(other))),
    };
    if !has(values, "force") {
        let name = &target.name;
        offer_to_save(shell)?;
        let (command, question) = (format!("install disk {name}"), format!("Erase {name}?"));
        shell.give_up(&command, &tty::harmless(&loss(&target)), &question)?;
    }
    tell(shell, Install::Disk { name: target.name, identity: target.identity })?;
    watch(shell)
}

/// What is lost on a disk, and what comes in its place.
fn loss(target: &Target) -> String {
    let Target { name, model, serial, identity: _, bytes, lost, configuration } = target;
    // As it is written on a disk: powers of ten.
    let size = |bytes: u64| match bytes / 1_000_000 {
        mb @ 0..1000 => format!("{mb} MB"),
        mb => format!("{}.{} GB", mb / 1000, mb / 100 % 10),
    };
    let serial = if serial.is_empty() { String::new() } else { format!(", serial {serial}") };
    let model = if model.is_empty() { String::new() } else { format!(", {model}") };
    let mut text = format!("{name}, {}{model}{serial}, will be erased, and with it:\n", size(*bytes));
    for part in lost {
        let label = if part.label.is_empty() { String::new() } else { format!(", {}", part.label) };
        text.push_str(&format!("  {}, {}{label}\n", part.name, size(part.bytes)));
    }
    if lost.is_empty() {
        text.push_str("  what is on it without partitions, if anything\n");
    }
    text.push_str(if *configuration {
        "This firmware goes there, with the saved configuration, users and keys.\n"
    } else {
        "This firmware goes there, factory-fresh: the flash here is not mounted.\n"
    });
    text
}

/// Shows the progress until the end.
fn watch(shell: &Shell) -> Result<(), Fail> {
    let mut shown = String::new();
    loop {
        let adding = progress(shell)?;
        if let Some(progress) = adding.progress.as_ref().filter(|_| shell.terminal.interactive) {
            let bar = progress.bar();
            if bar != shown {
                tty::show(&format!("\r{bar}"));
                shown = bar;
            }
        }
        if !adding.running {
            if !shown.is_empty() {
                tty::show("\n");
            }
            return ended(&adding);
        }
        if interrupt::wait(LOOK_MS) {
            tty::show("\nIt goes on. To see it: show install summary, to stop it: install abort\n");
            return Err(Stop::Interrupted.into());
        }
    }
}

fn address(host: &str) -> Result<IpAddr, Fail> {
    resolve(host)?.first().copied().ok_or_else(|| Fail::failed(format!("{host}: no such name")))
}

fn progress(shell: &Shell) -> Result<Adding, Fail> {
    match shell.director.show(Show::InstallProgress)? {
        Data::InstallProgress(adding) => Ok(adding),
        other => Err(unexpected(&Reply::Data(other))),
    }
}

fn ended(adding: &Adding) -> Result<(), Fail> {
    if adding.failed {
        return Err(Fail::failed(adding.text.clone()));
    }
    tty::show(&format!("{}\n", tty::harmless(&adding.text)));
    Ok(())
}

pub(super) fn activate(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    let minutes = match option(values, "auto-abort-timer") {
        Some(Value::Int(minutes)) => u16::try_from(*minutes).unwrap_or(MINUTES),
        _ => MINUTES,
    };
    if !has(values, "force") {
        offer_to_save(shell)?;
        shell.confirm("The box restarts into the other slot. Proceed?", "install activate")?;
    }
    leave(shell, Install::Activate { minutes })
}

pub(super) fn roll_back(shell: &mut Shell, values: &[Value]) -> Result<(), Fail> {
    if !has(values, "force") {
        offer_to_save(shell)?;
        shell.confirm("The box restarts into the other slot. Proceed?", "install rollback")?;
    }
    leave(shell, Install::Rollback)
}

pub(super) fn commit(shell: &Shell) -> Result<(), Fail> {
    tell(shell, Install::Commit)
}

pub(super) fn abort(shell: &Shell) -> Result<(), Fail> {
    tell(shell, Install::Abort)
}

/// What ends the session with the box.
fn leave(shell: &mut Shell, what: Install) -> Result<(), Fail> {
    tell(shell, what)?;
    shell.end_session();
    Ok(())
}

fn tell(shell: &Shell, what: Install) -> Result<(), Fail> {
    match shell.director.change(&Request::Install(what))? {
        Reply::Installed { text } => {
            if !text.is_empty() {
                tty::show(&format!("{text}\n"));
            }
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}
