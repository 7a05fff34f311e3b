//! The system calls that no library wraps safely: making a child what it is to be, and renaming a network interface.
//!
//! A child is forked and not spawned by the standard library, because PID 1 must not wait until the program was read from
//! a disk: how the execution went comes through a pipe, later. Nothing here decides anything.

#![allow(unsafe_code, reason = "the one audited file of this crate")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use crate::capability;

/// A program, its arguments and all of its environment.
#[derive(Debug)]
pub struct Program {
    /// Path first.
    pub argv: Vec<CString>,
    /// `KEY=value`.
    pub env: Vec<CString>,
}

/// What a child has as standard input, output and error.
#[derive(Debug, Clone, Copy)]
pub enum Streams<'a> {
    /// `/dev/null`, and two pipes.
    Pipes {
        /// Open on `/dev/null`.
        input: BorrowedFd<'a>,
        /// Standard output.
        output: BorrowedFd<'a>,
        /// Standard error.
        error: BorrowedFd<'a>,
    },
    /// A terminal, which becomes the controlling one.
    Terminal {
        /// Such as `/dev/ttyS0`.
        path: &'a CStr,
        /// A constant such as `B115200`; `None` leaves the line as the kernel's console set it.
        speed: Option<libc::speed_t>,
    },
}

/// As whom a child runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity {
    /// User and group; no further groups. `None`: root.
    pub ids: Option<(u32, u32)>,
    /// Capabilities to keep, one bit each, and never more by any program it executes. `None`: all.
    pub capabilities: Option<u64>,
    /// Processes and threads that a user other than root may have who descends from it (RLIMIT_NPROC). `None`: as many as PID 1's own
    /// limit says.
    pub processes: Option<u64>,
}

/// What a child was doing when it failed to become the program; the number crosses the pipe.
const STEPS: [&str; 4] = ["session", "terminal", "identity", "cannot be executed"];

/// Status of a child that did not become its program; what happened is in the pipe.
const NOT_EXECUTED: i32 = 127;

/// Starts a child in a session and process group of its own, without open files but its streams, with default signals.
///
/// The pipe that is returned is empty and closed once the program runs, see [`failure`].
///
/// # Errors
/// Those of fork(2) and pipe(2).
pub fn spawn(program: &Program, streams: Streams<'_>, identity: Identity) -> io::Result<(Pid, OwnedFd)> {
    // Everything that allocates is done before the fork.
    let argv = pointers(&program.argv);
    let env = pointers(&program.env);
    let Some(path) = program.argv.first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let (failures, report) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the child calls only async-signal-safe functions until execve or _exit, and touches no lock or allocator.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok((child, failures)),
        ForkResult::Child => {
            let (step, errno) = become_program(path, &argv, &env, streams, identity);
            let [e0, e1, e2, e3] = (errno as i32).to_ne_bytes();
            let message = [step, e0, e1, e2, e3];
            // SAFETY: `report` is open and `message` is as long as said; _exit ends the child without running
            // anything of the parent's (destructors, buffered output).
            unsafe {
                libc::write(report.as_raw_fd(), message.as_ptr().cast(), message.len());
                libc::_exit(NOT_EXECUTED)
            }
        }
    }
}

/// Reads from the pipe of [`spawn`], after the child has ended, why it never became its program; `None` if it did.
#[must_use]
pub fn failure(pipe: &OwnedFd) -> Option<String> {
    let mut message = [0; 5];
    match nix::unistd::read(pipe, &mut message) {
        Ok(5) => {
            let [step, e0, e1, e2, e3] = message;
            let errno = Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3]));
            let step = STEPS.get(usize::from(step)).unwrap_or(&"start");
            Some(format!("{step}: {}", errno.desc().to_lowercase()))
        }
        _ => None,
    }
}

/// A null-terminated array for execve(2); valid as long as `words` is.
fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Runs in the child. Returns the step that failed, and why.
fn become_program(
    path: &CStr,
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    streams: Streams<'_>,
    identity: Identity,
) -> (u8, Errno) {
    if let Err(errno) = own_session() {
        return (0, errno);
    }
    let open = match streams {
        Streams::Pipes { input, output, error } => attach([input, output, error]),
        Streams::Terminal { path, speed } => attach_terminal(path, speed),
    };
    if let Err(errno) = open {
        return (1, errno);
    }
    if let Err(errno) = take_identity(identity) {
        return (2, errno);
    }
    // SAFETY: close_range with CLOEXEC only marks descriptors; `path`, `argv` and `env` are null-terminated and live in the
    // caller's frame.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr());
    }
    (3, Errno::last())
}

/// Undoes what is PID 1's own: blocked signals, an ignored SIGPIPE, its session, its file mode mask.
fn own_session() -> Result<(), Errno> {
    // SAFETY: plain system calls on values of this frame.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        Errno::result(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()))?;
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::umask(0o022);
        Errno::result(libc::chdir(c"/".as_ptr()))?;
        Errno::result(libc::setsid()).map(drop)
    }
}

fn attach(streams: [BorrowedFd<'_>; 3]) -> Result<(), Errno> {
    for (target, stream) in (0..).zip(streams) {
        // SAFETY: both are open, and the sources are above 2 because PID 1 keeps 0 to 2 open itself.
        Errno::result(unsafe { libc::dup2(stream.as_raw_fd(), target) })?;
    }
    Ok(())
}

/// Opens a terminal without waiting for a carrier, makes it the controlling one and sets it as a login expects.
fn attach_terminal(path: &CStr, speed: Option<libc::speed_t>) -> Result<(), Errno> {
    // SAFETY: system calls on a descriptor opened here and a termios of this frame.
    unsafe {
        let fd = Errno::result(libc::open(path.as_ptr(), libc::O_RDWR | libc::O_NONBLOCK))?;
        let mut set: libc::termios = std::mem::zeroed();
        // The kernel's own calls, whose termios is a prefix of the library's: a static build has no other way to set a
        // speed. A UART that is not there has a device file all the same; this is where it says EIO.
        Errno::result(libc::ioctl(fd, libc::TCGETS, &raw mut set))?;
        // 1: take it from a session that has it, such as a dead shell's.
        Errno::result(libc::ioctl(fd, libc::TIOCSCTTY, 1))?;
        set.c_iflag = libc::ICRNL | libc::IXON;
        set.c_oflag = libc::OPOST | libc::ONLCR;
        set.c_cflag =
            (set.c_cflag & !(libc::CSIZE | libc::PARENB | libc::CSTOPB)) | libc::CS8 | libc::CREAD | libc::CLOCAL;
        set.c_lflag = libc::ISIG
            | libc::ICANON
            | libc::IEXTEN
            | libc::ECHO
            | libc::ECHOE
            | libc::ECHOK
            | libc::ECHOCTL
            | libc::ECHOKE;
        if let Some(speed) = speed {
            set.c_cflag = (set.c_cflag & !libc::CBAUD) | speed;
        }
        Errno::result(libc::ioctl(fd, libc::TCSETS, &raw const set))?;
        Errno::result(libc::fcntl(fd, libc::F_SETFL, libc::O_RDWR))?;
        for target in 0..=2 {
            Errno::result(libc::dup2(fd, target))?;
        }
        if fd > 2 {
            libc::close(fd);
        }
    }
    Ok(())
}

/// Version 3 of capset(2): two 32-bit halves.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn take_identity(identity: Identity) -> Result<(), Errno> {
    // SAFETY: system calls on values of this frame, in the order that capabilities(7) needs: the bounding set while still
    // privileged, then the user, then what is kept, last the ambient set that survives execve for a user.
    unsafe {
        if let Some(keep) = identity.capabilities {
            for number in 0..capability::COUNT {
                if keep & (1 << number) == 0 {
                    // EINVAL: this kernel does not know the capability, so nobody can have it.
                    let done = Errno::result(libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0));
                    if done.is_err_and(|errno| errno != Errno::EINVAL) {
                        return Err(Errno::last());
                    }
                }
            }
            Errno::result(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        }
        if let Some(most) = identity.processes {
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            Errno::result(libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit))?;
        }
        if let Some((uid, gid)) = identity.ids {
            Errno::result(libc::setgroups(0, std::ptr::null()))?;
            Errno::result(libc::setresgid(gid, gid, gid))?;
            Errno::result(libc::setresuid(uid, uid, uid))?;
        }
        if let Some(keep) = identity.capabilities {
            let bytes = keep.to_le_bytes();
            let half = |at: usize| {
                let set = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
                CapabilityHalf { effective: set, permitted: set, inheritable: set }
            };
            let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
            let halves = [half(0), half(4)];
            Errno::result(libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()))?;
            for number in (0..capability::COUNT).filter(|number| keep & (1 << number) != 0) {
                Errno::result(libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0))?;
            }
        }
        if identity.ids.is_some() || identity.capabilities.is_some() {
            Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        }
    }
    Ok(())
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Code(i32),
    /// By this signal, any of 1 to 64.
    Signal(i32),
}

/// Takes a process that has ended, ours or an orphan; `None` when none has.
///
/// The library's waitpid takes the process and then knows no real-time signals: who died of one would be gone, and nobody told.
///
/// # Errors
/// `ECHILD`: there is nobody left to end.
pub fn reap() -> nix::Result<Option<(Pid, Ended)>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is an int of this frame for the kernel to fill.
        match Errno::result(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) }) {
            Ok(0) => return Ok(None),
            Ok(pid) if libc::WIFEXITED(status) => {
                return Ok(Some((Pid::from_raw(pid), Ended::Code(libc::WEXITSTATUS(status)))));
            }
            Ok(pid) if libc::WIFSIGNALED(status) => {
                return Ok(Some((Pid::from_raw(pid), Ended::Signal(libc::WTERMSIG(status)))));
            }
            // Stopped or continued: not asked for.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Lets others run first. `by` as in nice(2): 10 leaves a tenth of a busy processor, 19 a seventieth.
pub fn yield_to_others(by: i32) {
    // SAFETY: a plain system call; a refusal costs speed only.
    unsafe { libc::nice(by) };
}

/// Whether somebody keeps the clock right, as the kernel was told (adjtimex(2)).
#[must_use]
pub fn clock_is_synchronised() -> bool {
    // SAFETY: a timex of zeros is valid and asks for nothing to be changed; the kernel fills it.
    unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut state) != libc::TIME_ERROR
    }
}

/// Renames a network interface that is down.
///
/// # Errors
/// Those of netdevice(7): `EBUSY` when it is up, `EEXIST` when the name is taken; `EINVAL` when a name is too long.
pub fn rename_interface(from: &str, to: &str) -> io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: an ifreq of zeros is valid, and the copies below leave a zero at the end of each name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if from.len() >= libc::IFNAMSIZ || to.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (at, byte) in request.ifr_name.iter_mut().zip(from.bytes()) {
        *at = byte.cast_signed();
    }
    // SAFETY: ifru_newname is plain bytes; writing a union's field is always defined for such.
    let name = unsafe { &mut request.ifr_ifru.ifru_newname };
    for (at, byte) in name.iter_mut().zip(to.bytes()) {
        *at = byte.cast_signed();
    }
    // SAFETY: SIOCSIFNAME reads one ifreq.
    Errno::result(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFNAME, &raw const request) })?;
    Ok(())
}
/// Sets the time of a watchdog in seconds; the driver may take another, which it tells nobody here.
///
/// # Errors
/// The driver's: it has one time only.
pub fn set_watchdog(watchdog: impl AsFd, seconds: u32) -> Result<(), Errno> {
    // _IOWR('W', 6, int), linux/watchdog.h.
    const WDIOC_SETTIMEOUT: libc::c_ulong = 0xc004_5706;
    let mut seconds = libc::c_int::try_from(seconds).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the request reads and writes one int, which lives in this frame.
    Errno::result(unsafe { libc::ioctl(watchdog.as_fd().as_raw_fd(), WDIOC_SETTIMEOUT, &raw mut seconds) })?;
    Ok(())
}

/// Bytes that were written to a TCP connection and that its other end has not acknowledged.
///
/// # Errors
/// It is no such socket.
pub fn unacknowledged(socket: impl AsFd) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (tcp(7), by its other name TIOCOUTQ) writes one int, which lives in this frame.
    Errno::result(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}
