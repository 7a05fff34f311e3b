//! Ctrl-C as something to ask for, not something that happens.
//!
//! SIGINT is blocked in the whole process and read from a signalfd: whoever waits polls it too, whoever produces output
//! asks between two lines. No handler runs at any time. While rustyline reads, the terminal sends no signal at all and
//! Ctrl-C is a key.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

static SIGNALS: OnceLock<SignalFd> = OnceLock::new();

/// Blocks SIGINT for this thread and those it starts later: call it before any other thread exists.
///
/// # Errors
/// Those of sigprocmask(2) and signalfd(2).
pub(crate) fn install() -> nix::Result<()> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    // A login shell has nobody who would continue it.
    set.add(Signal::SIGTSTP);
    set.add(Signal::SIGQUIT);
    set.thread_block()?;
    let mut read = SigSet::empty();
    read.add(Signal::SIGINT);
    let fd = SignalFd::with_flags(&read, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let _ = SIGNALS.set(fd);
    Ok(())
}

/// Whether Ctrl-C was pressed since the last time this was asked.
pub(crate) fn pending() -> bool {
    let mut seen = false;
    if let Some(signals) = SIGNALS.get() {
        while let Ok(Some(_)) = signals.read_signal() {
            seen = true;
        }
    }
    seen
}

/// Waits for Ctrl-C, at most so long; whether it came.
pub(crate) fn wait(timeout_ms: u16) -> bool {
    if let Some(fd) = fd() {
        // Interrupted or failed: what counts is whether Ctrl-C is there now.
        let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::from(timeout_ms));
    }
    pending()
}

/// To poll beside what is waited for.
pub(crate) fn fd() -> Option<BorrowedFd<'static>> {
    SIGNALS.get().map(AsFd::as_fd)
}
