//! Why the box started: what the last kernel left in pstore when it died, or what the director left on flash when it was told to restart.
//!
//! pstore (kernel: Documentation/admin-guide/ramoops.rst, ACPI ERST, EFI variables) is small, so what is in it moves to `/flash/crash`, and
//! room is made for the next. Part of `init flash`, after `/flash` is there. ramoops is for machines with neither of the other two: memory that the
//! slot's `slot.cfg` sets aside. It outlives a warm restart only, and only where firmware neither clears memory nor the next kernel sets aside
//! another place (kernel-parameters.txt on `reserve_mem`: not guaranteed).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use crate::modprobe::Loader;
use crate::mounts;

const PSTORE: &str = "/sys/fs/pstore";
/// The log of the last kernel that died.
const CRASH: &str = "/flash/crash";
/// Why the box was told to restart; the director writes it, and it counts once.
pub const TOLD: &str = "/flash/restart";
/// For the director: one line.
pub const REASON: &str = "/run/yoke/restart-reason";
/// Lines of the crash that go to the log ring; all of them are on flash.
const LINES: usize = 60;

/// Looks, keeps what there is, and returns a problem, if any.
pub(crate) fn look() -> Option<String> {
    let records = take();
    let mut problem = None;
    let reason = if records.is_empty() {
        fs::read_to_string(TOLD).map_or_else(|_| "power on or reset".to_owned(), |text| text.trim().to_owned())
    } else {
        let log = log(&records);
        let reason = reason(&log);
        problem = Some(format!("the kernel failed before this start: {reason}"));
        tell(&log);
        match keep(&log) {
            // Only now is it in two places.
            Ok(()) => records.iter().for_each(|(name, _)| drop(fs::remove_file(Path::new(PSTORE).join(name)))),
            Err(error) => problem = Some(format!("the kernel failed before this start: {reason}; {CRASH}: {error}")),
        }
        format!("kernel failure: {reason}")
    };
    // For good, before anything else can happen: a box that dies within seconds must not say of its next start what was said of this one.
    let _ = fs::remove_file(TOLD).and_then(|()| File::open("/flash")?.sync_all());
    let _ = fs::create_dir_all("/run/yoke").and_then(|()| fs::write(REASON, reason + "\n"));
    problem
}

/// Names and texts of the records in pstore. Without a place of that kind there are none.
fn take() -> Vec<(String, String)> {
    let backend = || fs::read_to_string("/sys/module/pstore/parameters/backend").unwrap_or_default();
    if !Path::new(PSTORE).exists() {
        return Vec::new();
    }
    // One at a time, the best first: ERST is built in. A machine without the hardware refuses, which is no news.
    for module in ["efi_pstore", "ramoops"] {
        if backend().starts_with("(null)") {
            let _ = Loader::new().load(module);
        }
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if !mounts::is_mounted(PSTORE) && mount(Some("pstore"), PSTORE, Some("pstore"), flags, None::<&str>).is_err() {
        return Vec::new();
    }
    let mut records = Vec::new();
    for entry in fs::read_dir(PSTORE).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("dmesg-")
            && let Ok(bytes) = fs::read(entry.path())
        {
            records.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    records
}

/// Puts the parts of a log in order. Each begins with a line such as `Panic#2 Part1`: the second dump since its boot, and the last part of it.
fn log(records: &[(String, String)]) -> String {
    let number = |word: Option<&str>| -> u32 { word.and_then(|digits| digits.parse().ok()).unwrap_or(0) };
    let mut parts: Vec<(u32, u32, &str)> = Vec::new();
    for (_, text) in records {
        let (head, body) = text.split_once('\n').unwrap_or(("", text));
        let dump = number(head.split_once('#').and_then(|(_, rest)| rest.split(' ').next()));
        let part = number(head.split_once(" Part").map(|(_, rest)| rest));
        parts.push((dump, u32::MAX - part, body));
    }
    parts.sort_unstable();
    let mut text = String::new();
    for (_, _, body) in parts {
        text.push_str(body);
        if !body.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// What it died of, in the kernel's words.
fn reason(log: &str) -> String {
    let after = |mark: &str| log.lines().rev().find_map(|line| line.split_once(mark).map(|(_, rest)| rest.trim()));
    let why = after("Kernel panic - not syncing: ").or_else(|| after("BUG: ")).or_else(|| after("Oops: "));
    // One line of a table, and nothing that moves a cursor.
    why.unwrap_or("it left a log").chars().filter(|c| !c.is_control()).take(120).collect()
}

/// Writes the end of it to standard output, and so to the log ring, as errors.
fn tell(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let mut out = io::stdout().lock();
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        // `<4>[   12.345678] text`: the kernel's own marks of severity.
        let line = line.split_once('>').filter(|(mark, _)| mark.starts_with('<')).map_or(*line, |(_, rest)| rest);
        let _ = writeln!(out, "error: before this start: {line}");
    }
}

fn keep(log: &str) -> io::Result<()> {
    let new = format!("{CRASH}.new");
    // What a kernel says is for who may read its log.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(log.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, CRASH)?;
    File::open("/flash")?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_in_order_and_the_reason_is_found() {
        let record = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let records = [
            record(
                "dmesg-erst-3",
                "Panic#2 Part1\n<0>[   9.2] Kernel panic - not syncing: Fatal exception\n<0>[  9.3] end",
            ),
            record("dmesg-erst-1", "Oops#1 Part1\n<1>[   9.0] BUG: kernel NULL pointer dereference, address: 0\n"),
            record("dmesg-erst-2", "Panic#2 Part2\n<4>[   9.1] earlier\n"),
        ];
        let log = log(&records);
        let lines: Vec<&str> = log.lines().map(|line| &line[3..]).collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].contains("BUG") && lines[1].contains("earlier") && lines[3].contains("end"), "{log}");
        assert_eq!(reason(&log), "Fatal exception");
        assert_eq!(reason("[ 1.0] BUG: soft lockup\x1b[31m"), "soft lockup[31m");
        assert_eq!(reason("\u{fffd}"), "it left a log");
    }
}
