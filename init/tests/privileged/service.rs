//! A service for the tests of PID 1. What it does is the word in its first argument or, for the director, in
//! `/etc/behaviour`, which the test writes. It leaves a line in `/trace` for everything that happens to it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Between two words or looks.
const BEAT: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let name = arguments[0].rsplit('/').next().unwrap_or_default().to_owned();
    let behaviour = match arguments.get(1) {
        Some(word) => word.clone(),
        None => fs::read_to_string("/etc/behaviour").unwrap_or_default().trim().to_owned(),
    };
    let _ = writeln!(std::io::stderr(), "{name} does: {behaviour}");
    match behaviour.as_str() {
        "die" => return ExitCode::from(3),
        "touch" => {
            trace("touched");
            return ExitCode::SUCCESS;
        }
        // Started by `orphans`: leaves a child behind that ends a moment later.
        "abandon" => {
            spawn(&["linger"]);
            return ExitCode::SUCCESS;
        }
        "linger" => {
            pause(BEAT);
            return ExitCode::SUCCESS;
        }
        "orphans" => (0..5).for_each(|_| spawn(&["abandon"])),
        "identity" => {
            let wanted = ["Uid:", "Gid:", "Groups:", "CapEff:", "CapBnd:", "NoNewPrivs:"];
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            for line in status.lines().filter(|line| wanted.iter().any(|word| line.starts_with(word))) {
                let _ = writeln!(std::io::stderr(), "{}", line.replace('\t', " "));
            }
            let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
            let words: Vec<&str> = limits.split_whitespace().collect();
            let most = words.windows(3).find(|words| words[..2] == ["Max", "processes"]).map_or("", |words| words[2]);
            let _ = writeln!(std::io::stderr(), "processes {most}");
            let mut env: Vec<String> = std::env::vars().map(|(key, value)| format!("{key}={value}")).collect();
            env.sort();
            let _ = writeln!(std::io::stderr(), "env {}", env.join(" "));
        }
        "late" => {
            while !Path::new("/etc/go").exists() {
                pause(BEAT);
            }
        }
        _ => {}
    }
    serve(&name, &behaviour)
}

/// Lives until it is told to end, or for ever when it is stubborn.
fn serve(name: &str, behaviour: &str) -> ExitCode {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.thread_block().expect("blocking a signal cannot fail");
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK).expect("a descriptor is free");
    say("READY=1\nSTATUS=well");
    loop {
        if let Ok(Some(_)) = signals.read_signal() {
            trace(&format!("{name} told to end"));
            if behaviour != "stubborn" {
                return ExitCode::SUCCESS;
            }
        }
        if behaviour != "silent" {
            say("WATCHDOG=1");
        }
        pause(BEAT);
    }
}

fn say(text: &str) {
    if let (Some(path), Ok(socket)) = (std::env::var_os("NOTIFY_SOCKET"), UnixDatagram::unbound()) {
        let _ = socket.send_to(text.as_bytes(), path);
    }
}

fn trace(line: &str) {
    let file = OpenOptions::new().create(true).append(true).open("/trace");
    let _ = file.and_then(|mut file| writeln!(file, "{line}"));
}

fn spawn(arguments: &[&str]) {
    let program = std::env::current_exe().expect("/proc is mounted");
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn();
    // `abandon` ends at once and is waited for; what it leaves behind becomes PID 1's.
    if let (Ok(mut child), Some(&"abandon")) = (child, arguments.first()) {
        let _ = child.wait();
    }
}

fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a service of a test; nothing waits for it without a deadline")]
    std::thread::sleep(time);
}
