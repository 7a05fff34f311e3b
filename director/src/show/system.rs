//! `show version`, `show memory`, `show flash:` and `show processes`: facts about the box, out of `/proc` and the flash.
//!
//! A file that cannot be read leaves its field empty: a `show` tells what there is to tell.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use nix::sys::statvfs::statvfs;
use yoke_config::model::{Logging, Transport};
use yoke_director::status::{Flash, FlashFile, Log, LogHostRow, LogRow, Memory, ProcessRow, Version};
use yoke_init::request::{LogLine, ServiceStatus};

use crate::files::Paths;
use crate::services;

/// What the image says of itself, its version among it.
const RELEASE: &str = "/etc/yoke-release";

/// The version of this firmware, the one that its update file has: of the image, or outside of one of this program.
pub(crate) fn firmware() -> &'static str {
    static FIRMWARE: OnceLock<String> = OnceLock::new();
    FIRMWARE.get_or_init(|| {
        let release = fs::read_to_string(RELEASE).unwrap_or_default();
        let version = release.lines().find_map(|line| line.strip_prefix("VERSION="));
        version.unwrap_or(env!("CARGO_PKG_VERSION")).to_owned()
    })
}

/// Everything of `show version` that `/proc` knows; the rest is empty.
pub(crate) fn version(proc: &Path) -> Version {
    let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
    let cpuinfo = read("cpuinfo");
    Version {
        firmware: firmware().to_owned(),
        kernel: read("sys/kernel/osrelease").trim().to_owned(),
        ipvs: String::new(),
        slot: cmdline(proc, "yoke.slot").unwrap_or_default(),
        uptime_s: uptime_s(&read("uptime")),
        restart: String::new(),
        hostname: String::new(),
        cpu: cpu(&cpuinfo),
        cores: cores(&cpuinfo),
        memory_kib: memory(proc).total_kib,
        revision: 0,
        saved: false,
    }
}

/// The value of `word` on the kernel's command line; empty for a word without one.
pub(crate) fn cmdline(proc: &Path, word: &str) -> Option<String> {
    let line = fs::read_to_string(proc.join("cmdline")).ok()?;
    line.split_whitespace().find_map(|part| match part.split_once('=') {
        Some((key, value)) => (key == word).then(|| value.to_owned()),
        None => (part == word).then(String::new),
    })
}

fn uptime_s(text: &str) -> u64 {
    text.split('.').next().and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0)
}

fn cpu(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned()).unwrap_or_default()
}

fn cores(cpuinfo: &str) -> u32 {
    let count = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// `show memory`.
pub(crate) fn memory(proc: &Path) -> Memory {
    let text = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
    let total_kib = kib(&text, "MemTotal:");
    let available_kib = kib(&text, "MemAvailable:");
    Memory { total_kib, available_kib, used_kib: total_kib.saturating_sub(available_kib) }
}

/// The number after `key` in text such as `/proc/meminfo`.
fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Services with the memory each holds.
pub(crate) fn processes(proc: &Path, services: Vec<ServiceStatus>) -> Vec<ProcessRow> {
    let memory = |pid: i32| {
        let status = fs::read_to_string(proc.join(pid.to_string()).join("status")).unwrap_or_default();
        kib(&status, "VmRSS:")
    };
    let rows = services.into_iter().map(|service| ProcessRow {
        memory_kib: if service.pid > 0 { memory(service.pid) } else { 0 },
        name: service.name,
        pid: service.pid,
        state: service.state,
        why: service.why,
        restarts: service.restarts,
        since_s: service.since_s,
    });
    rows.collect()
}

/// `show logging`.
/// `at_boot`: when it booted, in milliseconds since 1970.
pub(crate) fn log(lines: Vec<LogLine>, at_boot: u64, logging: &Logging, services: &[ServiceStatus]) -> Log {
    let row = |line: LogLine| LogRow {
        uptime_ms: line.uptime_ms,
        unix_ms: at_boot + line.uptime_ms,
        severity: line.severity,
        source: line.source,
        text: line.text,
    };
    let hosts = logging.hosts.iter().map(|(address, (transport, port))| {
        let name = services::log_sender(*address);
        let status = match services.iter().find(|service| service.name == name) {
            Some(service) if service.why.is_empty() => service.status.clone(),
            Some(service) => service.why.clone(),
            None => "not started".to_owned(),
        };
        let transport = if *transport == Transport::Tcp { "tcp" } else { "udp" };
        LogHostRow { address: *address, transport: transport.to_owned(), port: *port, status }
    });
    Log { lines: lines.into_iter().map(row).collect(), hosts: hosts.collect() }
}

/// `show flash:`: room, and files by their path below `/flash`.
pub(crate) fn flash(paths: &Paths) -> io::Result<Flash> {
    let mut files = Vec::new();
    list(&paths.flash, "", &mut files)?;
    let room = statvfs(&paths.flash)?;
    Ok(Flash {
        mounted: paths.flash_is_mounted(),
        total_bytes: room.blocks().saturating_mul(room.fragment_size()),
        // What is reserved for root is not free to an operator.
        free_bytes: room.blocks_available().saturating_mul(room.fragment_size()),
        files,
    })
}

fn list(directory: &Path, prefix: &str, files: &mut Vec<FlashFile>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            // ext4's own, unreadable for a reason.
            if name != "lost+found" {
                list(&entry.path(), &format!("{name}/"), files)?;
            }
        } else if kind.is_file() {
            files.push(FlashFile { name, bytes: entry.metadata()?.len() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn a_version_is_read_out_of_proc() {
        let dir = proc(&[
            ("sys/kernel/osrelease", "6.12.107+deb13-amd64\n"),
            ("cmdline", "console=ttyS0 yoke.slot=b yoke.recover\n"),
            ("uptime", "1234.56 99.0\n"),
            ("cpuinfo", "processor\t: 0\nmodel name\t: QEMU Virtual CPU\nprocessor\t: 1\nmodel name\t: x\n"),
            ("meminfo", "MemTotal:         524288 kB\nMemFree: 1 kB\nMemAvailable:     424288 kB\n"),
        ]);
        let version = version(dir.path());
        assert_eq!((version.kernel.as_str(), version.slot.as_str()), ("6.12.107+deb13-amd64", "b"));
        assert_eq!((version.cpu.as_str(), version.cores, version.uptime_s), ("QEMU Virtual CPU", 2, 1234));
        assert_eq!(memory(dir.path()), Memory { total_kib: 524_288, available_kib: 424_288, used_kib: 100_000 });
        assert_eq!(cmdline(dir.path(), "yoke.recover"), Some(String::new()));
        assert_eq!(cmdline(dir.path(), "yoke"), None);
    }

    #[test]
    fn nothing_to_read_is_nothing_said() {
        let dir = proc(&[]);
        assert_eq!(version(dir.path()).memory_kib, 0);
    }

    #[test]
    fn a_receiver_of_the_log_says_how_it_goes() {
        let config =
            crate::testing::config("logging host 192.0.2.1\nlogging host 192.0.2.2 tcp\nlogging host 192.0.2.3\n");
        let service = |name: &str, why: &str, status: &str| ServiceStatus {
            name: name.into(),
            pid: 1,
            state: String::new(),
            why: why.into(),
            restarts: 0,
            since_s: 0,
            status: status.into(),
        };
        let services =
            [service("syslog-192.0.2.1", "", "7 sent, 0 lost"), service("syslog-192.0.2.2", "exit status 1", "old")];
        let log = log(Vec::new(), 0, &config.logging, &services);
        let status: Vec<_> = log.hosts.iter().map(|host| (host.transport.as_str(), host.status.as_str())).collect();
        assert_eq!(status, [("udp", "7 sent, 0 lost"), ("tcp", "exit status 1"), ("udp", "not started")]);
    }

    #[test]
    fn flash_lists_files_by_their_path() {
        let dir = proc(&[("startup-config", "12345"), ("archive/2", ""), ("lost+found/x", "")]);
        let paths = Paths { flash: dir.path().into(), ..Paths::system() };
        let flash = flash(&paths).unwrap();
        let names: Vec<_> = flash.files.iter().map(|f| (f.name.as_str(), f.bytes)).collect();
        assert_eq!(names, [("archive/2", 0), ("startup-config", 5)]);
        assert!(flash.total_bytes > 0 && !flash.mounted);
    }
}
