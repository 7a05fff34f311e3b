//! Where words go when there is no log ring: the kernel's log, standard error, and the screens of a box that cannot start.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// Writes a line to the kernel's log, from where PID 1 takes it into the ring as its own.
pub fn kernel_log(text: &str) {
    // 14: facility user, severity informational; stays off the consoles.
    write_to("/dev/kmsg", &format!("<14>init: {text}\n"));
}

/// Writes one problem to standard error: that is how a one-shot reports to PID 1, a line each.
pub fn problem(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes a line to every terminal the kernel uses as a console, for a human in front of a box that does not start.
pub fn consoles(text: &str) {
    for terminal in fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default().split_ascii_whitespace() {
        write_to(&format!("/dev/{terminal}"), &format!("\r\n{text}\r\n"));
    }
}

fn write_to(path: &str, text: &str) {
    // Non-blocking: a serial line whose other end holds its flow must not hold us. Unwritable: there is nobody to tell.
    let open = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let _ = open.and_then(|mut file| file.write_all(text.as_bytes()));
}
