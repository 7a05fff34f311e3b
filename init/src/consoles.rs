//! On which terminals an operator gets a shell.
//!
//! Always the screen and the first serial line, where they exist, and every console of the kernel. Each shell is a service
//! of its own, so a terminal that fails (or is no UART at all) harms nobody.

use std::fs;

use crate::request::ServiceSpec;
use crate::supervisor::Service;

/// What a console runs.
const SHELL: [&str; 2] = ["/usr/bin/shell", "--login"];
/// What it needs of root: to become the user who logs in.
const CAPABILITIES: [&str; 2] = ["setgid", "setuid"];

/// The terminals to serve, out of the kernel's consoles (`/sys/class/tty/console/active`) and those of its command line;
/// `exists` tells whether a terminal is there.
#[must_use]
pub fn terminals(active: &str, command_line: &[&str], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // The last of the active ones is /dev/console: where the box talks, and where somebody most likely sits.
    let named = active.split_ascii_whitespace().rev().chain(command_line.iter().copied());
    for name in named.chain(["ttyS0", "tty1"]) {
        // tty0 is whichever screen is shown, which never changes here.
        let name = if name == "tty0" { "tty1" } else { name };
        if exists(name) && !found.iter().any(|other| other == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// Whether there is such a terminal. Serial lines have a device file even where there is no UART; then their type is 0.
#[must_use]
pub fn exists(terminal: &str) -> bool {
    let class = format!("/sys/class/tty/{terminal}");
    let uart = fs::read_to_string(format!("{class}/type")).map_or(true, |kind| kind.trim_end() != "0");
    uart && fs::metadata(&class).is_ok()
}

/// The service for one terminal.
#[must_use]
pub fn service(terminal: &str) -> Service {
    let screen = terminal.strip_prefix("tty").is_some_and(|number| number.parse::<u8>().is_ok());
    let variable = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Service {
        spec: ServiceSpec {
            name: format!("console-{terminal}"),
            argv: SHELL.map(str::to_owned).to_vec(),
            ids: Some((0, 0)),
            capabilities: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            oom_score_adj: ServiceSpec::ENDED_FIRST,
            env: vec![
                variable("TERM", if screen { "linux" } else { "vt100" }),
                variable("PATH", "/usr/bin:/usr/sbin"),
                variable("HOME", "/root"),
            ],
            ..ServiceSpec::default()
        },
        terminal: Some(terminal.to_owned()),
        ..Service::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_console_gets_one_shell() {
        let all = |_: &str| true;
        assert_eq!(terminals("tty0 ttyS0\n", &["tty0", "ttyS0"], all), ["ttyS0", "tty1"]);
        assert_eq!(terminals("ttyS1 tty0\n", &[], all), ["tty1", "ttyS1", "ttyS0"]);
        assert_eq!(terminals("", &["hvc0"], |name| name != "ttyS0"), ["hvc0", "tty1"], "no UART");
        assert_eq!(terminals("", &[], |_| false), Vec::<String>::new());
    }

    #[test]
    fn a_screen_is_no_vt100() {
        let term = |terminal: &str| service(terminal).spec.env[0].1.clone();
        assert_eq!((term("tty1").as_str(), term("ttyS0").as_str()), ("linux", "vt100"));
        assert_eq!(service("ttyS0").spec.name, "console-ttyS0");
    }
}
