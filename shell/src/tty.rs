//! The terminal under a session: its modes, its size, its speed.
//!
//! A session never runs in the kernel's canonical mode. Between two prompts input is neither echoed nor cut into lines,
//! so that nothing typed ahead is echoed into another command's output or lost at the 4,095th byte; Ctrl-C still signals.
//! It draws nothing: that is done by those who write.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, InputFlags, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices, Termios,
    tcflush, tcgetattr, tcsetattr,
};

use crate::sys;

/// Size to assume when the terminal does not say (`line console`, `line vty`).
pub(crate) const DEFAULT_SIZE: (u16, u16) = (24, 80);

/// How the terminal was when the session began, for [`restore`].
static ORIGINAL: Mutex<Option<Termios>> = Mutex::new(None);

/// Whether somebody sits there: stdin and stdout are terminals.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether the terminal echoed when the session began. One that does not (a buffer of an editor) does it itself.
pub(crate) fn echoed() -> bool {
    original().as_ref().is_none_or(|termios| termios.local_flags.contains(LocalFlags::ECHO))
}

/// Whether rustyline can draw on it, which asks `TERM` the same question.
pub(crate) fn is_capable() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    !["", "dumb", "cons25", "emacs", "unknown"].contains(&term.as_str())
}

/// Takes the terminal for a session.
///
/// # Errors
/// Those of tcsetattr(3).
pub(crate) fn enter_session() -> io::Result<()> {
    let found = tcgetattr(io::stdin())?;
    let mut termios = found.clone();
    // A line that was left raw by the one before has no echo; a console begins sane whatever happened on it.
    termios.input_flags.remove(InputFlags::ICRNL | InputFlags::INLCR | InputFlags::IGNCR | InputFlags::ISTRIP);
    termios.output_flags.insert(OutputFlags::OPOST | OutputFlags::ONLCR);
    termios.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::IEXTEN);
    termios.local_flags.insert(LocalFlags::ISIG);
    termios.control_chars[SpecialCharacterIndices::VINTR as usize] = CTRL_C;
    termios.control_chars[SpecialCharacterIndices::VEOF as usize] = CTRL_D;
    // No job control: Ctrl-Z and Ctrl-\ are plain bytes.
    termios.control_chars[SpecialCharacterIndices::VSUSP as usize] = DISABLED;
    termios.control_chars[SpecialCharacterIndices::VQUIT as usize] = DISABLED;
    termios.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    termios.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    tcsetattr(io::stdin(), SetArg::TCSADRAIN, &termios)?;
    original().get_or_insert(found);
    Ok(())
}

/// Gives the terminal back as it was found. Harmless without one.
pub(crate) fn restore() {
    if let Some(termios) = original().as_ref() {
        // It may have hung up, and then nobody minds.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, termios);
    }
}

/// Makes the terminal take output again, and forgets what it has not taken: after Ctrl-S, or when nobody reads at the other end, whoever
/// writes or waits for the output would wait for ever.
pub(crate) fn unblock() {
    // It may have hung up, and then nothing blocks.
    let _ = tcflush(io::stdout(), FlushArg::TCOFLUSH);
    if let Ok(mut termios) = tcgetattr(io::stdout()) {
        // What tcflow(3) starts is only what it has stopped itself; without IXON there is no Ctrl-S.
        termios.input_flags.remove(InputFlags::IXON);
        let _ = tcsetattr(io::stdout(), SetArg::TCSANOW, &termios);
    }
}

/// Whether output would be taken now.
pub(crate) fn takes_output() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Makes a console sane before `login:`, whatever the session before left behind.
///
/// # Errors
/// Those of tcsetattr(3).
pub(crate) fn make_sane() -> io::Result<()> {
    let mut termios = tcgetattr(io::stdin())?;
    termios.input_flags.insert(InputFlags::ICRNL | InputFlags::IXON | InputFlags::BRKINT);
    termios.output_flags.insert(OutputFlags::OPOST | OutputFlags::ONLCR);
    termios.local_flags.insert(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ECHOE | LocalFlags::ISIG);
    tcsetattr(io::stdin(), SetArg::TCSADRAIN, &termios)?;
    Ok(())
}

/// Rows and columns, `None` where the terminal does not know (serial lines report 0).
pub(crate) fn size() -> (Option<u16>, Option<u16>) {
    let (rows, columns) = sys::window_size(&io::stdout()).unwrap_or((0, 0));
    ((rows > 0).then_some(rows), (columns > 0).then_some(columns))
}

/// Tells the terminal its size where the configuration knows it or nobody does; what it says itself is kept.
pub(crate) fn apply_size(length: Option<u16>, width: Option<u16>) {
    let (rows, columns) = size();
    // `length 0` means no paging, not a terminal without rows.
    let rows = length.filter(|&l| l > 0).or(rows).unwrap_or(DEFAULT_SIZE.0);
    let columns = width.or(columns).unwrap_or(DEFAULT_SIZE.1);
    // It is a convenience: a terminal that refuses is drawn on at its own size.
    let _ = sys::set_window_size(&io::stdout(), rows, columns);
}

/// Sets the speed of a serial console, in bits per second. Of no effect on other terminals, or for a speed that does not exist.
pub(crate) fn apply_speed(bits_per_second: u32) {
    let Some(rate) = baud_rate(bits_per_second) else { return };
    let Ok(mut termios) = tcgetattr(io::stdin()) else { return };
    // Not cfsetspeed(3): the libc crate names one version of that symbol, which a static binary has not.
    termios.control_flags.remove(ControlFlags::CBAUD);
    termios.control_flags.insert(ControlFlags::from_bits_retain(rate as u32));
    // Draining first keeps what was written legible.
    let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &termios);
}

/// Writes to the terminal as a whole; a terminal that is gone is noticed by the next read.
pub(crate) fn show(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// The text without what a terminal would obey: some of it comes from the network, such as what a web server says.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().any(obeyed) {
        Cow::Owned(text.chars().map(|c| if obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters of ASCII and of Latin-1 (C1, which begin sequences too). A tab only moves, and a newline ends a line.
fn obeyed(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n')
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
/// `_POSIX_VDISABLE` of Linux.
const DISABLED: u8 = 0;

fn original() -> std::sync::MutexGuard<'static, Option<Termios>> {
    ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn baud_rate(bits_per_second: u32) -> Option<BaudRate> {
    Some(match bits_per_second {
        1_200 => BaudRate::B1200,
        2_400 => BaudRate::B2400,
        4_800 => BaudRate::B4800,
        9_600 => BaudRate::B9600,
        19_200 => BaudRate::B19200,
        38_400 => BaudRate::B38400,
        57_600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        460_800 => BaudRate::B460800,
        921_600 => BaudRate::B921600,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_obeys_what_is_shown() {
        assert_eq!(harmless("404 \u{1b}]52;c;YQ==\u{7}\u{9b}31m"), "404 \u{fffd}]52;c;YQ==\u{fffd}\u{fffd}31m");
        assert!(matches!(harmless("a\tb\nß 中"), Cow::Borrowed(_)));
    }
}
