//! Lines from standard input.
//!
//! Plain, as ipvsadm does it: lines in order; what the kernel refuses is said and gone past; a line that cannot be read ends it, and those
//! before it are done. The exit status is that of the last line. Only that requests which follow each other go to the kernel together, many in one send.
//!
//! With `--replace` the input is the whole table as it shall be: lines are first read to the end, then compared with the kernel's table, and the
//! difference is written; what cannot be written is taken back. `--dry-run` says what would be written.

use crate::socket::Transport;
use crate::wire::Request;
use crate::{Change, Client, Destination, Entry, Error, Refusal, Table, plan};

use super::line::{self, Line};
use super::refuse::{Failure, failed};
use super::run::Io;

/// Requests that are gathered before they are sent, in several sends: memory that was used once costs nothing the second time.
const TOGETHER: usize = 1024;

/// Words of a line; `ipvsadm` may come first.
fn words(text: &str) -> Vec<&str> {
    let words = text.split_ascii_whitespace();
    words.enumerate().filter(|(place, word)| *place > 0 || *word != "ipvsadm").map(|(_, word)| word).collect()
}

/// Reads and does lines.
///
/// # Errors
/// When a line cannot be read, or the last one is refused.
pub(super) fn lines<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut waiting: Vec<Request> = Vec::new();
    let mut last = None;
    let mut text = String::new();
    loop {
        text.clear();
        if io.input.read_line(&mut text)? == 0 {
            send(client, io, &mut waiting, &mut last)?;
            return last.map_or(Ok(()), Err);
        }
        let words = words(&text);
        if words.is_empty() {
            continue;
        }
        let line = match line::read(&words, io.names) {
            // Restoring within restoring is no command.
            Ok(Line::Restore { .. }) => Err(Failure::Usage),
            other => other,
        };
        if let Ok(Line::Ask(request)) = line {
            waiting.push(request);
            if waiting.len() == TOGETHER {
                send(client, io, &mut waiting, &mut last)?;
            }
            continue;
        }
        send(client, io, &mut waiting, &mut last)?;
        say(io, &mut last)?;
        match line.and_then(|line| super::run::run(client, io, &line)) {
            Err(failure @ Failure::Refused(_)) => last = Some(failure),
            other => other?,
        }
    }
}

/// Says that a line was refused, as soon as another has come after it. What is left in the end is the exit status.
fn say(io: &mut Io<'_>, last: &mut Option<Failure>) -> Result<(), Failure> {
    if let Some(failure) = last.take() {
        writeln!(io.err, "{failure}")?;
    }
    Ok(())
}

/// Sends what waits. Refusals are said, but for that of the last; what comes after them is sent all the same.
fn send<T: Transport>(
    client: &mut Client<T>,
    io: &mut Io<'_>,
    waiting: &mut Vec<Request>,
    last: &mut Option<Failure>,
) -> Result<(), Failure> {
    let mut rest = waiting.as_slice();
    if !rest.is_empty() {
        say(io, last)?;
    }
    while let Err(error) = client.execute(rest) {
        for (place, error) in &error.failed {
            say(io, last)?;
            if !matches!(error, Error::Refused { .. }) {
                return Err(failed(error));
            }
            *last = Some(failed(error));
            if place + 1 < rest.len() {
                say(io, last)?;
            }
        }
        let done = error.failed.iter().map(|(place, _)| *place).chain(error.done.iter().copied()).max();
        rest = rest.get(done.map_or(0, |done| done + 1)..).unwrap_or(&[]);
    }
    waiting.clear();
    Ok(())
}

/// Makes the table what the lines say.
///
/// # Errors
/// When a line cannot be read or contradicts those before it; nothing is written then. When the kernel refuses; what was written is taken back.
pub(super) fn replace<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>, dry_run: bool) -> Result<(), Failure> {
    let (table, others) = wanted(io)?;
    let actual = client.observe().map_err(|error| failed(&error))?;
    let changes = plan(&actual, &table);
    if dry_run {
        for change in &changes {
            writeln!(io.out, "{change}")?;
        }
        for request in &others {
            writeln!(io.out, "{request}")?;
        }
        return Ok(());
    }
    if let Err(error) = client.apply(&changes) {
        writeln!(io.err, "{error}")?;
        if let Err(error) = client.apply(&error.undo(&changes)) {
            writeln!(io.err, "and it cannot be taken back: {error}")?;
        }
        return Err(failed(error.first()));
    }
    for request in &others {
        match client.request(request) {
            Err(error) if error.refusal() != Some(Refusal::DaemonRunning) => return Err(failed(&error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The table that lines make of an empty one, and what else they ask.
fn wanted(io: &mut Io<'_>) -> Result<(Table, Vec<Request>), Failure> {
    let mut table = Table::default();
    let mut others = Vec::new();
    let mut text = String::new();
    for number in 1.. {
        text.clear();
        if io.input.read_line(&mut text)? == 0 {
            break;
        }
        let words = words(&text);
        if words.is_empty() {
            continue;
        }
        let wrong = |problem: &dyn std::fmt::Display| Failure::Wrong(format!("line {number}: {problem}"));
        match line::read(&words, io.names) {
            Ok(Line::Ask(request @ (Request::SetTimeouts(_) | Request::NewDaemon(_)))) => others.push(request),
            Ok(Line::Ask(Request::Flush)) => table = Table::default(),
            Ok(Line::Ask(request)) => match change(&request) {
                Some(change) => table.apply(&change).map_err(|refusal| wrong(&refusal))?,
                None => return Err(wrong(&"only commands that make a table can replace one")),
            },
            Ok(_) => return Err(wrong(&"only commands that make a table can replace one")),
            Err(failure) => return Err(wrong(&failure)),
        }
    }
    Ok((table, others))
}

/// A request as a change to a table. What a change remembers of before is not looked at.
fn change(request: &Request) -> Option<Change> {
    Some(match *request {
        Request::NewService(key, service) => Change::AddService { key, service },
        Request::SetService(key, to) => Change::EditService { key, from: to, to },
        Request::DelService(key) => {
            let service = crate::Service::new("none".parse().ok()?);
            Change::RemoveService { key, entry: Entry { service, destinations: [].into() } }
        }
        Request::NewDestination(service, key, destination) => Change::AddDestination { service, key, destination },
        Request::SetDestination(service, key, to) => Change::EditDestination { service, key, from: to, to },
        Request::DelDestination(service, key) => {
            Change::RemoveDestination { service, key, destination: Destination::masquerade(0) }
        }
        Request::GetService(_)
        | Request::DumpServices
        | Request::DumpDestinations(_)
        | Request::NewDaemon(_)
        | Request::DelDaemon(_)
        | Request::DumpDaemons
        | Request::SetTimeouts(_)
        | Request::GetTimeouts
        | Request::GetInfo
        | Request::Zero(_)
        | Request::Flush => return None,
    })
}
