//! A terminal for tests: a pty with the shell on it, and the screen it draws.
//!
//! The screen understands what rustyline sends to a VT100 and nothing else: an unknown sequence fails the test that met it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};

/// How long anything may take. Debug builds on two busy cores are slow.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The shell on a pty.
pub(crate) struct Terminal {
    master: File,
    child: Child,
    pub(crate) screen: Screen,
}

impl Terminal {
    /// Starts the shell as init or sshd would: with a session and a controlling terminal of its own.
    pub(crate) fn start(socket: &Path, term: &str, (rows, columns): (u16, u16), arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_shell"), "--socket"])
            .arg(socket)
            .args(arguments)
            .env("TERM", term)
            .env_remove("SSH_CONNECTION")
            .stdin(slave(&pty.slave))
            .stdout(slave(&pty.slave))
            .stderr(slave(&pty.slave))
            .spawn()
            .expect("setsid of util-linux starts the shell");
        Self { master: pty.master.into(), child, screen: Screen::new(columns.into()) }
    }

    /// Types bytes, all at once.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.master.write_all(bytes).unwrap();
    }

    /// Types bytes while reading what comes back: more than the pty can hold.
    pub(crate) fn send_long(&mut self, mut bytes: &[u8]) {
        let deadline = Instant::now() + 3 * DEADLINE;
        while !bytes.is_empty() {
            assert!(Instant::now() < deadline, "the shell does not take its input");
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::from(100u16)).unwrap();
            let ready = fds[0].revents().unwrap();
            if ready.contains(PollFlags::POLLOUT) {
                let chunk = bytes.len().min(256);
                let written = self.master.write(&bytes[..chunk]).unwrap();
                bytes = &bytes[written..];
            }
            if ready.contains(PollFlags::POLLIN) {
                self.read();
            }
        }
    }

    /// Reads what there is, waiting at most `wait`; whether the terminal is still open and something came.
    pub(crate) fn pump(&mut self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        let wait = u16::try_from(wait.as_millis()).unwrap();
        poll(&mut fds, PollTimeout::from(wait)).unwrap() > 0 && self.read()
    }

    fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.master.read(&mut chunk) {
            Ok(n @ 1..) => {
                self.screen.feed(&chunk[..n]);
                true
            }
            // EIO: the shell has ended and closed its side.
            _ => false,
        }
    }

    /// Reads until the screen is as wanted.
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !wanted(&self.screen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: not seen within {DEADLINE:?}, the screen is:\n{}", self.screen.text(0));
            self.pump(left.min(Duration::from_millis(100)));
        }
    }

    /// Waits for the shell to end; its exit status.
    pub(crate) fn wait_end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                while self.pump(Duration::ZERO) {}
                return status.code();
            }
            assert!(Instant::now() < deadline, "the shell does not end, the screen is:\n{}", self.screen.text(0));
            self.pump(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a VT100 of endless length shows.
pub(crate) struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    width: usize,
    pending: Vec<u8>,
    /// Everything received, as it came.
    pub(crate) raw: Vec<u8>,
}

impl Screen {
    fn new(width: usize) -> Self {
        Self { rows: vec![Vec::new()], row: 0, column: 0, width, pending: Vec::new(), raw: Vec::new() }
    }

    /// The row of the cursor.
    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// Rows from `from` on, without trailing spaces but where the cursor stands behind them.
    pub(crate) fn text(&self, from: usize) -> String {
        let rows = self.rows.iter().enumerate().skip(from).take(self.row + 1 - from.min(self.row));
        let rows = rows.map(|(at, row)| {
            let text: String = row.iter().collect();
            let text = text.trim_end();
            let width = if at == self.row { self.column } else { 0 };
            format!("{text:width$}")
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.pending.extend_from_slice(bytes);
        loop {
            let taken = self.step();
            if taken == 0 {
                return;
            }
            self.pending.drain(..taken);
        }
    }

    /// Takes one character or sequence; how many bytes it was, 0 for an unfinished one.
    fn step(&mut self) -> usize {
        let Some(&first) = self.pending.first() else { return 0 };
        match first {
            b'\r' => self.column = 0,
            b'\n' => self.down(),
            0x08 => self.column = self.column.saturating_sub(1),
            0x1b => return self.sequence(),
            0x20..=0x7e => self.put(char::from(first)),
            0x80.. => {
                let length = match first {
                    0xf0.. => 4,
                    0xe0.. => 3,
                    _ => 2,
                };
                let Some(bytes) = self.pending.get(..length) else { return 0 };
                let text = String::from_utf8_lossy(bytes).into_owned();
                text.chars().for_each(|c| self.put(c));
                return length;
            }
            other => panic!("the shell sent the control byte {other:#04x}"),
        }
        1
    }

    fn sequence(&mut self) -> usize {
        let Some(end) = self.pending.iter().skip(2).position(|b| (0x40..=0x7e).contains(b)) else { return 0 };
        let body = String::from_utf8_lossy(&self.pending[1..end + 3]).into_owned();
        let number = body[1..body.len() - 1].parse::<usize>().unwrap_or(1);
        match (body.chars().next(), body.chars().last()) {
            (Some('['), Some('K')) => {
                let column = self.column;
                self.rows[self.row].truncate(column);
            }
            (Some('['), Some('C')) => self.column += number,
            (Some('['), Some('D')) => self.column = self.column.saturating_sub(number),
            (Some('['), Some('A')) => self.row = self.row.saturating_sub(number),
            (Some('['), Some('B')) => (0..number).for_each(|_| self.down()),
            _ => panic!("the shell sent the sequence ESC {body}"),
        }
        end + 3
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(Vec::new());
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.width {
            self.column = 0;
            self.down();
        }
        let row = &mut self.rows[self.row];
        if row.len() <= self.column {
            row.resize(self.column + 1, ' ');
        }
        row[self.column] = c;
        self.column += 1;
    }
}
