//! The children of PID 1 as the kernel sees them: starting, reaping, signalling, and reading what they write.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal as Number, kill, killpg};
use nix::unistd::{Pid, pipe2, read};

use crate::log::Cutter;
use crate::supervisor::{Exit, Signal};
use crate::sys::{self, Ended, Identity, Program, Streams};
use crate::tasks::Task;

/// Bytes taken from one pipe before the others have their turn: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// What to start.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// Program and arguments.
    pub argv: &'a [String],
    /// All of its environment.
    pub env: &'a [(String, String)],
    /// The name its lines have in the log.
    pub source: &'a str,
    /// Its controlling terminal and whether to leave the line's speed alone; otherwise its output goes to the log.
    pub terminal: Option<(&'a str, bool)>,
    /// As whom.
    pub identity: Identity,
    /// What it writes to standard error are problems of this one-shot.
    pub task: Option<Task>,
    /// Who is ended first when memory is short, proc(5).
    pub oom_score_adj: i16,
}

/// A line that a child wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub source: String,
    pub text: String,
    /// It was written to standard error by this one-shot.
    pub problem_of: Option<Task>,
}

struct Child {
    pid: Pid,
    /// See [`sys::failure`].
    failures: OwnedFd,
}

struct Pipe {
    fd: OwnedFd,
    source: String,
    cutter: Cutter,
    problem_of: Option<Task>,
}

/// All children, and their pipes, which a grandchild may hold open longer.
pub(super) struct Processes {
    null: File,
    children: Vec<Child>,
    pipes: Vec<Pipe>,
}

impl Processes {
    /// # Errors
    /// When there is no `/dev/null`.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { null: File::open("/dev/null")?, children: Vec::new(), pipes: Vec::new() })
    }

    /// Starts a child. Whether it could be executed is known when it ends.
    pub(super) fn start(&mut self, start: &Start<'_>) -> Result<i32, String> {
        self.try_start(start).map_err(|error| format!("cannot be started: {error}"))
    }

    fn try_start(&mut self, start: &Start<'_>) -> io::Result<i32> {
        let text = |text: String| CString::new(text).map_err(|_| io::ErrorKind::InvalidInput);
        let program = Program {
            argv: start.argv.iter().map(|word| text(word.clone())).collect::<Result<_, _>>()?,
            env: start.env.iter().map(|(key, value)| text(format!("{key}={value}"))).collect::<Result<_, _>>()?,
        };
        let (pid, failures) = match start.terminal {
            Some((terminal, keep_speed)) => {
                let path = text(format!("/dev/{terminal}"))?;
                let speed = (!keep_speed).then_some(libc::B115200);
                sys::spawn(&program, Streams::Terminal { path: &path, speed }, start.identity)?
            }
            None => {
                let (output, child_output) = log_pipe()?;
                let (error, child_error) = log_pipe()?;
                let streams = Streams::Pipes {
                    input: self.null.as_fd(),
                    output: child_output.as_fd(),
                    error: child_error.as_fd(),
                };
                let started = sys::spawn(&program, streams, start.identity)?;
                for (fd, problem_of) in [(output, None), (error, start.task)] {
                    self.pipes.push(Pipe {
                        fd,
                        source: start.source.to_owned(),
                        cutter: Cutter::default(),
                        problem_of,
                    });
                }
                started
            }
        };
        if start.oom_score_adj != 0 {
            // One that is gone already needs none, and without it the child is as any other.
            let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), start.oom_score_adj.to_string());
        }
        self.children.push(Child { pid, failures });
        Ok(pid.as_raw())
    }

    /// Takes the next dead process: its id and its end. Orphans are taken too, and nobody asks for them.
    pub(super) fn reap(&mut self) -> Option<(i32, Exit)> {
        let (pid, exit) = match sys::reap().ok()?? {
            (pid, Ended::Code(code)) => (pid, Exit::Code(code)),
            (pid, Ended::Signal(signal)) => (pid, Exit::Signal(signal)),
        };
        let Some(index) = self.children.iter().position(|child| child.pid == pid) else {
            return Some((pid.as_raw(), exit));
        };
        let child = self.children.swap_remove(index);
        let exit = sys::failure(&child.failures).map_or(exit, Exit::NotStarted);
        Some((pid.as_raw(), exit))
    }

    /// Signals the process group of `pid`, or `pid` itself while it has not made its group yet.
    pub(super) fn signal(&self, pid: i32, signal: Signal) {
        let number = match signal {
            Signal::Abort => Number::SIGABRT,
            Signal::Term => Number::SIGTERM,
            Signal::Kill => Number::SIGKILL,
        };
        let pid = Pid::from_raw(pid);
        // The process alone is signalled only while it is ours and not reaped: otherwise its number may be another's.
        if killpg(pid, number) == Err(Errno::ESRCH) && self.children.iter().any(|child| child.pid == pid) {
            let _ = kill(pid, number);
        }
    }

    /// The pipes to poll; the index of each is what [`Processes::read`] wants.
    pub(super) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|pipe| pipe.fd.as_fd())
    }

    /// Reads from a pipe what is there; a pipe that was closed is forgotten with [`Processes::forget_closed`].
    pub(super) fn read(&mut self, index: usize) -> Vec<Line> {
        self.pipes.get_mut(index).map(Pipe::read).unwrap_or_default()
    }

    /// Reads what a one-shot has left in its pipes when it ended.
    pub(super) fn read_task(&mut self, task: Task) -> Vec<Line> {
        let of_task = self.pipes.iter_mut().filter(|pipe| pipe.source == task.word());
        let lines = of_task.flat_map(Pipe::read).collect();
        self.forget_closed();
        lines
    }

    /// Forgets the pipes whose last writer is gone. Indices change.
    pub(super) fn forget_closed(&mut self) {
        self.pipes.retain(|pipe| !pipe.closed());
    }
}

impl Pipe {
    fn read(&mut self) -> Vec<Line> {
        let mut bytes = vec![0; READ_BYTES];
        let lines = match read(&self.fd, &mut bytes) {
            Ok(0) => self.cutter.finish().into_iter().collect(),
            Ok(length) => self.cutter.push(&bytes[..length]),
            Err(_) => Vec::new(),
        };
        let line = |text| Line { source: self.source.clone(), text, problem_of: self.problem_of };
        lines.into_iter().map(line).collect()
    }

    /// Nobody can write any more and nothing is left to read.
    fn closed(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        let hung_up = |fds: &[PollFd<'_>]| {
            fds[0].revents().is_some_and(|e| e.contains(PollFlags::POLLHUP) && !e.contains(PollFlags::POLLIN))
        };
        poll(&mut fds, PollTimeout::ZERO).is_ok() && hung_up(&fds)
    }
}

/// A pipe that never makes us wait, and blocks the child that writes faster than we read.
fn log_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}
