//! PID 1 of the running box: one thread, one poll(2) over signals, words of services, requests, the kernel's log and what
//! children write.
//!
//! It decides nothing itself: `supervisor` and `tasks` do, and this loop carries their effects out. It never waits, not for
//! a child, not for netlink, not for the flash. If it dies the kernel panics and restarts the box, which is intended.

mod clients;
mod effects;
mod end;
mod processes;
mod requests;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use self::clients::{ClientId, Clients};
use self::end::How;
pub use self::end::unmount_main;
use self::processes::{Line, Processes};
use crate::clock::now;
use crate::cmdline::Cmdline;
use crate::doubt::Doubt;
use crate::log::{self, Ring};
use crate::request::{self, ServiceSpec};
use crate::supervisor::{Service, Supervisor};
use crate::tasks::{Task, Tasks};
use crate::trial::Trial;
use crate::watchdog::Watchdogs;
use crate::{consoles, kmsg, mounts, notify, say, sysctl};

/// This program, for the one-shots.
const INIT: &str = "/sbin/init";
/// Longest silence of the director. It programs 10,000 real servers in one step, 2 s under emulation.
const DIRECTOR_WATCHDOG: Duration = Duration::from_secs(15);
/// What the director may do beyond what root may with root's own files: IPVS, nftables, addresses and the kernel's network settings (net_admin);
/// ping, ARP and checks on raw sockets (net_raw); check programs as nobody (setgid, setuid), ended with all they have started (kill) and, once they
/// are nobody's, told to be ended first when memory is short; chrony's socket is chrony's (dac_override). It loads no module, mounts nothing, sees no
/// other process' memory, sets no clock.
const DIRECTOR_CAPABILITIES: [&str; 6] = ["net_admin", "net_raw", "setgid", "setuid", "kill", "dac_override"];
/// File descriptors a child may ask for: those of the director's probes under way.
const DESCRIPTORS: u64 = 65_536;
/// How long the drivers nobody waits for (keyboards, watchdogs, an unused IDE controller) leave the machine to the
/// director's start, when the network is not set up earlier. A keyboard is there before a human has read the screen.
const DEVICES_DELAY: Duration = Duration::from_secs(8);
/// And how long when it is: the director fills the IPVS table meanwhile.
const DEVICES_AFTER_SETUP: Duration = Duration::from_secs(2);
/// Records taken from the kernel's log before everything else has its turn: at boot there are a thousand.
const KMSG_TURN: usize = 32;
/// Words of services taken before everything else has its turn. The kernel queues 10 or so (`net.unix.max_dgram_qlen`).
const NOTIFY_TURN: usize = 32;
/// Longest record of `/dev/kmsg`.
const KMSG_BYTES: usize = 8192;

struct Init {
    supervisor: Supervisor,
    tasks: Tasks,
    processes: Processes,
    clients: Clients,
    ring: Ring,
    /// What went wrong at boot, for `show warnings`.
    warnings: Vec<String>,
    /// What each one-shot has complained about in its present run.
    problems: BTreeMap<Task, Vec<String>>,
    /// Callers that wait for the network, and how many runs of setup must end before their reply.
    setup_waiters: Vec<(ClientId, u8)>,
    /// The same for the flash.
    format_waiters: Vec<(ClientId, u8)>,
    /// Callers that wait for the next line of the log, by their name.
    followers: BTreeMap<String, ClientId>,
    /// When to load the drivers nobody waits for, unless the network is done earlier.
    devices_at: Option<Duration>,
    /// How many interfaces there were before that.
    interfaces: usize,
    kernel_consoles: String,
    /// Of a firmware that was started once.
    trial: Option<Trial>,
    /// Of a committed one that has not come up yet.
    doubt: Option<Doubt>,
    /// `None` when the command line says that they are not ours.
    watchdogs: Option<Watchdogs>,
    end: Option<How>,
    stopped: bool,
}

/// Runs the box; comes back only when it cannot even begin.
#[must_use]
pub fn main() -> u8 {
    std::panic::set_hook(Box::new(|panic| {
        say::kernel_log(&format!("{panic}"));
        say::consoles(&format!("yoke: init failed, restarting: {panic}"));
    }));
    let Err(error) = run();
    say::kernel_log(&format!("cannot run: {error:#}"));
    say::consoles(&format!("yoke: init cannot run: {error:#}"));
    1
}

fn run() -> anyhow::Result<std::convert::Infallible> {
    let mut warnings: Vec<String> = mounts::mount_kernel().into_iter().chain(mounts::mount_slot()).collect();
    // Ctrl-Alt-Del becomes a signal that nobody listens to. Refused in a container, where there is no such key.
    let _ = nix::sys::reboot::set_cad_enabled(false);
    warnings.extend(sysctl::apply_at_boot());

    let mut mask = SigSet::empty();
    for signal in [Number::SIGCHLD, Number::SIGTERM, Number::SIGPWR, Number::SIGINT] {
        mask.add(signal);
    }
    mask.thread_block()?;
    // The hard limit is for children without the privilege to raise it. A failure costs probes, and the director says so.
    let _ = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| setrlimit(Resource::RLIMIT_NOFILE, soft, hard.max(DESCRIPTORS)));
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    fs::create_dir_all("/run/yoke").context("/run/yoke")?;
    let notify = notify::Socket::bind(Path::new(notify::SOCKET)).context(notify::SOCKET)?;
    let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let (watchdogs, problem) = Watchdogs::new(&cmdline, now());
    warnings.extend(problem);
    let mut init = Init {
        supervisor: Supervisor::default(),
        tasks: Tasks::default(),
        processes: Processes::new().context("/dev/null")?,
        clients: Clients::bind(Path::new(request::SOCKET)).context(request::SOCKET)?,
        ring: Ring::default(),
        warnings,
        problems: BTreeMap::new(),
        setup_waiters: Vec::new(),
        format_waiters: Vec::new(),
        followers: BTreeMap::new(),
        devices_at: Some(now() + DEVICES_DELAY),
        interfaces: 0,
        kernel_consoles: fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default(),
        trial: cmdline.value("yoke.trial").map(Trial::new),
        doubt: Doubt::new(&cmdline),
        watchdogs,
        end: None,
        stopped: false,
    };
    for warning in init.warnings.clone() {
        init.note(&warning);
    }
    // The one that stage 1 has armed runs already.
    init.arm_watchdogs();
    init.start_fixed(&cmdline);
    let kernel_log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok();
    loop {
        init.carry_out();
        if init.stopped {
            return Err(end::finish(init.end.unwrap_or(How::Restart)));
        }
        init.turn(&signals, &notify, kernel_log.as_ref())?;
    }
}

impl Init {
    /// The services every box has, consoles first: somebody is waiting in front of them.
    fn start_fixed(&mut self, cmdline: &Cmdline) {
        let now = now();
        let director = Service {
            spec: ServiceSpec {
                name: "director".to_owned(),
                argv: vec!["/usr/sbin/director".to_owned()],
                // Root, whose files it writes.
                ids: Some((0, 0)),
                capabilities: Some(DIRECTOR_CAPABILITIES.map(str::to_owned).to_vec()),
                env: vec![("PATH".to_owned(), "/usr/sbin:/usr/bin".to_owned())],
                oom_score_adj: ServiceSpec::ENDED_LAST,
                ..ServiceSpec::default()
            },
            notify: true,
            watchdog: Some(DIRECTOR_WATCHDOG),
            terminal: None,
        };
        // Added first, since services stop in reverse order.
        self.supervisor.handle_add(director, Some("waits for /flash"), now);
        let named: Vec<&str> = cmdline.consoles().collect();
        for terminal in consoles::terminals(&self.kernel_consoles, &named, consoles::exists) {
            self.supervisor.handle_add(consoles::service(&terminal), None, now);
        }
        for task in [Task::Flash, Task::Network] {
            self.tasks.handle_request(task);
        }
    }

    /// Waits for the next event and handles everything that has happened.
    fn turn(&mut self, signals: &SignalFd, notify: &notify::Socket, kernel_log: Option<&File>) -> anyhow::Result<()> {
        let deadlines = [
            self.supervisor.poll_timeout(),
            self.tasks.poll_timeout(),
            self.devices_at,
            self.trial_ends(),
            self.doubt.as_ref().map(Doubt::poll_timeout),
            self.hungry_at(),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        let mut fds = vec![
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(notify.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.clients.listener(), self.clients.listener_events()),
        ];
        let callers = fds.len();
        let polled: Vec<usize> = self.clients.pollable().map(|(index, ..)| index).collect();
        fds.extend(self.clients.pollable().map(|(_, fd, events)| PollFd::new(fd, events)));
        let pipes = fds.len();
        fds.extend(self.processes.pipes().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let kernel = fds.len();
        fds.extend(kernel_log.map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout(deadline)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll"),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(fds);

        // Words before deaths: a service that says something and ends has said it.
        if ready[1] {
            // Everybody may write there, and faster than this reads: the rest has to wait for its turn.
            for (pid, notices) in std::iter::from_fn(|| notify.receive()).take(NOTIFY_TURN) {
                for notice in notices {
                    self.supervisor.handle_notice(pid, notice, now());
                }
            }
        }
        for index in (pipes..kernel).filter(|index| ready[*index]) {
            let lines = self.processes.read(index - pipes);
            self.take_lines(lines);
        }
        if ready[0] {
            while let Ok(Some(signal)) = signals.read_signal() {
                self.take_signal(signal.ssi_signo);
            }
        }
        for (index, _) in polled.into_iter().zip(&ready[callers..pipes]).filter(|(_, ready)| **ready) {
            for (client, request) in self.clients.serve(index) {
                self.answer(client, request);
                self.carry_out();
            }
        }
        if ready[2] {
            self.clients.accept();
        }
        if let Some(file) = kernel_log.filter(|_| ready.get(kernel) == Some(&true)) {
            self.take_kernel_log(file);
        }
        self.answer_followers();
        self.processes.forget_closed();
        self.clients.forget_finished();
        self.supervisor.handle_timeout(now());
        self.tasks.handle_timeout(now());
        if self.devices_at.is_some_and(|at| at <= now()) {
            self.load_devices();
        }
        self.feed_watchdogs();
        self.judge_firmware();
        Ok(())
    }

    fn hungry_at(&self) -> Option<Duration> {
        self.watchdogs.as_ref().and_then(Watchdogs::poll_timeout)
    }

    fn feed_watchdogs(&mut self) {
        if self.hungry_at().is_some_and(|at| at <= now()) {
            let works = self.supervisor.is_running("director");
            if let Some(problem) = self.watchdogs.as_mut().and_then(|watchdogs| watchdogs.feed(works, now())) {
                self.note(&problem);
                say::consoles(&format!("yoke: {problem}"));
            }
        }
    }

    fn arm_watchdogs(&mut self) {
        for sentence in self.watchdogs.as_mut().map(|watchdogs| watchdogs.arm(now())).unwrap_or_default() {
            match sentence {
                Ok(sentence) => self.note(&sentence),
                Err(problem) => self.warn(vec![problem]),
            }
        }
    }

    fn trial_ends(&self) -> Option<Duration> {
        self.trial.as_ref().map(Trial::poll_timeout)
    }

    /// Loads the rest of the drivers, once.
    fn load_devices(&mut self) {
        if self.devices_at.take().is_some() && self.end.is_none() {
            self.interfaces = interfaces();
            self.tasks.handle_request(Task::Devices);
        }
    }

    fn take_signal(&mut self, number: u32) {
        match i32::try_from(number).ok().and_then(|number| Number::try_from(number).ok()) {
            Some(Number::SIGCHLD) => {
                while let Some((pid, exit)) = self.processes.reap() {
                    if !self.supervisor.handle_exit(pid, &exit, now()) {
                        self.tasks.handle_exit(pid, exit);
                    }
                    self.carry_out();
                }
            }
            // What other inits mean by them; an orderly end for who has no other way to ask.
            Some(Number::SIGTERM) => drop(self.go_down(How::Restart)),
            Some(Number::SIGPWR) => drop(self.go_down(How::PowerOff)),
            _ => {}
        }
    }

    fn take_lines(&mut self, lines: Vec<Line>) {
        for line in lines {
            let (severity, text) = match line.problem_of {
                Some(_) => (log::WARNING, line.text.as_str()),
                None => log::severity(&line.text),
            };
            self.ring.push(now(), &line.source, severity, text);
            if let Some(task) = line.problem_of {
                self.problems.entry(task).or_default().push(line.text);
            }
        }
    }

    fn take_kernel_log(&mut self, mut file: &File) {
        let mut record = [0; KMSG_BYTES];
        for _ in 0..KMSG_TURN {
            match file.read(&mut record) {
                Ok(length) => {
                    if let Some(record) = kmsg::parse(&record[..length]) {
                        self.ring.push(record.at, record.source, record.severity, &record.text);
                    }
                }
                // Some were overwritten before they could be read; the next read goes on with the oldest that is left.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(_) => return,
            }
        }
    }

    /// Keeps warnings for the operator, each once: two one-shots may fail at the same driver.
    fn warn(&mut self, problems: Vec<String>) {
        for problem in problems {
            if !self.warnings.contains(&problem) {
                self.warnings.push(problem);
            }
        }
    }

    fn note(&mut self, text: &str) {
        self.ring.push(now(), "init", log::INFORMATIONAL, text);
    }
}

/// What poll(2) is to wait, rounded up so that a deadline has passed when it wakes.
fn timeout(deadline: Option<Duration>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_sub(now()).as_millis() + 1;
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

/// How many network interfaces there are.
fn interfaces() -> usize {
    fs::read_dir("/sys/class/net").map_or(0, Iterator::count)
}
