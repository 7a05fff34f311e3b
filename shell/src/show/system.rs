//! The box: version, clock, processes, memory, flash, log, warnings, sessions.

use jiff::tz::TimeZone;
use yoke_config::value::Value;
use yoke_config::walk::option;
use yoke_director::status::{Data, LogRow, Show};

use super::{print, wrong};
use crate::clock;
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{draw, duration, left, long, pairs, right};

/// `show version`.
pub(crate) fn version(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let version = match shell.director.show(Show::Version)? {
        Data::Version(version) => version,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("version", &version);
    }
    let ipvs = if version.ipvs.is_empty() { "not loaded".to_owned() } else { version.ipvs };
    out.text(&format!("Yoke {}, director of virtual servers", version.firmware))?;
    out.text(&format!("{} uptime is {}", version.hostname, duration(version.uptime_s)))?;
    let saved = if version.saved { "saved" } else { "not saved" };
    let lines = pairs(&[
        ("Kernel", version.kernel),
        ("IPVS", ipvs),
        ("Slot", version.slot),
        ("Last restart", version.restart),
        (
            "Processor",
            format!("{}, {} {}", version.cpu, version.cores, if version.cores == 1 { "core" } else { "cores" }),
        ),
        ("Memory", format!("{} MiB", version.memory_kib / 1024)),
        ("Configuration", format!("revision {}, {saved}", version.revision)),
    ]);
    print(&lines, out)
}

/// `show clock`.
pub(crate) fn date(out: &mut Out<'_>) -> Result<(), Fail> {
    let now = clock::now();
    if out.is_json() {
        let seconds = now.timestamp().as_second();
        let utc = clock::long(&now.with_time_zone(TimeZone::UTC));
        return out.object("clock", &serde_json::json!({ "unix_s": seconds, "utc": utc, "local": clock::long(&now) }));
    }
    Ok(out.text(&clock::long(&now))?)
}

/// `show users`, `who`.
pub(crate) fn users(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let rows = match shell.director.show(Show::Sessions)? {
        Data::Sessions(rows) => rows,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("sessions", &rows);
    }
    let columns = [
        long("User", 8, 8),
        left("Line", 14),
        long("From", 15, 15),
        right("Privilege", 9),
        right("Since", 8),
        left("Mode", 6),
    ];
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let mode = if row.configuring { "config" } else { "exec" }.to_owned();
            vec![row.username, row.line, row.from, row.privilege.to_string(), duration(row.since_s), mode]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

/// `show install summary`.
pub(crate) fn install(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let slots = match shell.director.show(Show::Install)? {
        Data::Install(slots) => slots,
        other => return Err(wrong(other)),
    };
    let adding = match shell.director.show(Show::InstallProgress)? {
        Data::InstallProgress(adding) => adding,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object(
            "install",
            &serde_json::json!({
                "slots": slots.slots, "on_trial": slots.on_trial, "damaged": slots.damaged, "adding": adding
            }),
        );
    }
    let columns =
        [left("Slot", 4), left("State", 14), long("Version", 18, 18), long("Kernel", 20, 20), right("MiB", 4)];
    let cells: Vec<Vec<String>> = slots
        .slots
        .into_iter()
        .map(|row| {
            let size = if row.bytes == 0 { String::new() } else { row.bytes.div_ceil(1024 * 1024).to_string() };
            vec![row.slot.letter().to_owned(), row.state, row.version, row.kernel, size]
        })
        .collect();
    print(&draw(&columns, &cells), out)?;
    if slots.damaged {
        out.text("The loader's variables are damaged: it starts slot a, until they are made anew")?;
    }
    match (adding.progress, adding.running) {
        (Some(progress), true) => out.text(&format!("Under way: {}", progress.bar()))?,
        (None, true) => out.text("Under way: begins")?,
        (_, false) if !adding.text.is_empty() => out.text(&format!("Last install: {}", adding.text))?,
        _ => {}
    }
    Ok(())
}

/// `show processes`.
pub(crate) fn processes(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let rows = match shell.director.show(Show::Processes)? {
        Data::Processes(rows) => rows,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("processes", &rows);
    }
    let columns = [
        long("Name", 10, 10),
        right("Pid", 6),
        left("State", 8),
        right("Since", 8),
        right("Restarts", 8),
        right("KiB", 7),
        long("Why", 3, 10),
    ];
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let pid = if row.pid == 0 { "-".to_owned() } else { row.pid.to_string() };
            let numbers = (row.restarts.to_string(), row.memory_kib.to_string());
            vec![row.name, pid, row.state, duration(row.since_s), numbers.0, numbers.1, row.why]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

/// `show memory`.
pub(crate) fn memory(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let memory = match shell.director.show(Show::Memory)? {
        Data::Memory(memory) => memory,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("memory", &memory);
    }
    let mib = |kib: u64| format!("{:>7} MiB", kib / 1024);
    let lines = pairs(&[
        ("Total", mib(memory.total_kib)),
        ("Used", mib(memory.used_kib)),
        ("Available", mib(memory.available_kib)),
    ]);
    print(&lines, out)
}

/// `show flash:`.
pub(crate) fn flash(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let flash = match shell.director.show(Show::Flash)? {
        Data::Flash(flash) => flash,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("flash", &flash);
    }
    if !flash.mounted {
        return Err(Fail::failed("flash: is not mounted, what is written now is lost with the power"));
    }
    let cells: Vec<Vec<String>> = flash.files.into_iter().map(|file| vec![file.bytes.to_string(), file.name]).collect();
    print(&draw(&[right("Bytes", 10), long("Name", 4, 20)], &cells), out)?;
    Ok(out.text(&format!("{} bytes total, {} bytes free", flash.total_bytes, flash.free_bytes))?)
}

/// `show logging [tail N]`.
pub(crate) fn logging(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let tail = match option(values, "tail") {
        Some(Value::Int(tail)) => *tail,
        _ => 0,
    };
    let log = match shell.director.show(Show::Log { tail })? {
        Data::Log(log) => log,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        let members = serde_json::json!({ "log": log.lines, "hosts": log.hosts });
        return out.members(members);
    }
    for host in &log.hosts {
        out.text(&format!("Logging to {} {} {}: {}", host.address, host.transport, host.port, host.status))?;
    }
    let zone = clock::zone();
    log.lines.iter().try_for_each(|row| out.text(&log_line(row, &zone))).map_err(Into::into)
}

/// What is a warning or graver says so.
fn log_line(row: &LogRow, zone: &TimeZone) -> String {
    const GRAVE: [&str; 5] = ["emergency: ", "alert: ", "critical: ", "error: ", "warning: "];
    let grave = GRAVE.get(usize::from(row.severity)).copied().unwrap_or_default();
    format!("{} {}: {grave}{}", clock::short(row.unix_ms, zone), row.source, row.text)
}

/// `show warnings`.
pub(crate) fn warnings(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let lines = shell.director.lines(Show::Warnings)?;
    if out.is_json() {
        return out.object("warnings", &lines);
    }
    print(&lines, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_has_its_date_and_says_when_it_is_grave() {
        let mut row = LogRow {
            uptime_ms: 61_007,
            unix_ms: 61_007,
            severity: 6,
            source: "init".to_owned(),
            text: "ready".to_owned(),
        };
        assert_eq!(log_line(&row, &TimeZone::UTC), "Jan  1 00:01:01.007 init: ready");
        row.severity = 3;
        assert_eq!(log_line(&row, &TimeZone::UTC), "Jan  1 00:01:01.007 init: error: ready");
    }
}
