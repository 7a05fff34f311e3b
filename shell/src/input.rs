//! Bytes from standard input, whatever it is: buffered here, so that no reader keeps what the next one needs.
//!
//! It waits for input and Ctrl-C together. It knows no lines and no keys.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use crate::interrupt;

/// What waiting brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// A byte is there.
    Bytes,
    /// Ctrl-C. What was typed before it is gone, as the terminal driver does it.
    Interrupt,
    /// End of file, or the line hung up.
    End,
    /// Nothing in time.
    Nothing,
}

/// Buffered standard input.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: VecDeque<u8>,
}

impl Input {
    /// Waits until a byte is there, at most `timeout_ms`; `None` waits for ever.
    ///
    /// # Errors
    /// Those of poll(2) and read(2).
    pub(crate) fn wait(&mut self, timeout_ms: Option<u16>) -> io::Result<Got> {
        if interrupt::pending() {
            self.bytes.clear();
            return Ok(Got::Interrupt);
        }
        if !self.bytes.is_empty() {
            return Ok(Got::Bytes);
        }
        let stdin = io::stdin();
        loop {
            let mut fds = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            fds.extend(interrupt::fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, timeout_ms.map_or(PollTimeout::NONE, PollTimeout::from)) {
                Ok(0) => return Ok(Got::Nothing),
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
                Ok(_) => {}
            }
            if interrupt::pending() {
                return Ok(Got::Interrupt);
            }
            let mut chunk = [0; 4096];
            match read(&stdin, &mut chunk) {
                // EIO is how a terminal says that its other side is gone.
                Ok(0) | Err(Errno::EIO) => return Ok(Got::End),
                Ok(n) => {
                    self.bytes.extend(&chunk[..n]);
                    return Ok(Got::Bytes);
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Takes the next byte that is already there.
    pub(crate) fn next(&mut self) -> Option<u8> {
        self.bytes.pop_front()
    }
}
