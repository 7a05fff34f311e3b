//! vrrpd: the redundancy protocol of a Yoke. Reads `/run/yoke/running-config` and nothing else, and goes on when all else is dead.
//!
//! ```text
//! main thread (tokio)         engine (SCHED_FIFO 50)                worker (SCHED_FIFO 40)
//! socket, signals, log  --->  timers, state machines, packets  ---> addresses, gratuitous ARP, unsolicited NA
//!                      <---   transitions, problems            <--- problems, answers to who waits for a change
//!                                                                  opener (SCHED_FIFO 40)
//!                                                             ---> sockets opened and closed, dumps
//!                                                             <--- sockets, dumps
//! ```
//! Only the engine is on the path of an advertisement, and it waits for nothing: it neither logs nor asks the kernel to change anything,
//! nor does it wait for who does.
//! All memory is locked. A realtime thread that does not sleep is ended by the kernel, and the process with it. Killed and started again it
//! goes on holding what it still holds; `vrrpd --release` lets go of everything instead.

mod clock;
mod engine;
mod group;
mod links;
mod netlink;
mod opener;
mod port;
mod serve;
mod sys;
mod vmac;
mod wanted;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use tokio::sync::mpsc;
use yoke_config::model::Config;

use engine::{Engine, Event, Handle};
use opener::{Opener, asks};
use wanted::Wanted;
use worker::{Waiting, Worker, jobs};

/// What is configured; written by director.
const CONFIG: &str = "/run/yoke/running-config";
/// Stacks are locked in memory: ours are shallow.
const STACK_BYTES: usize = 512 << 10;
/// Processor time in microseconds that a realtime thread may use without ever waiting, before the kernel ends this process and init starts
/// it anew. Nothing we do takes a hundredth; a thread that spins would take the whole box along.
const REALTIME_LIMIT_US: u64 = 5_000_000;

/// The words of the command line. Those with a path are for tests.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) config: PathBuf,
    pub(crate) socket: PathBuf,
    release: bool,
}

fn main() -> anyhow::Result<()> {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).format_timestamp(None).format_target(false).init();
    let options = options(std::env::args().skip(1))?;
    // Before there are threads, so that all of them leave these to the main thread.
    let signals = signals();
    signals.thread_block()?;
    if options.release {
        return release(&options);
    }
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        log::warn!("lock memory: {error}, failovers may come late when memory is short");
    }
    setrlimit(Resource::RLIMIT_RTTIME, REALTIME_LIMIT_US, REALTIME_LIMIT_US).context("limit the realtime threads")?;
    let (threads, events) = Threads::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve::run(&options, &threads.handle, events, serve::signals(signals)?));
    threads.end();
    served
}

fn options(words: impl Iterator<Item = String>) -> anyhow::Result<Options> {
    let mut options = Options { config: CONFIG.into(), socket: vrrp::status::SOCKET.into(), release: false };
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let mut path = || words.next().map(PathBuf::from).with_context(|| format!("{word}: a path is missing"));
        match word.as_str() {
            "--release" => options.release = true,
            "--config" => options.config = path()?,
            "--socket" => options.socket = path()?,
            _ => bail!("{word}: use vrrpd [--release] [--config PATH] [--socket PATH]"),
        }
    }
    Ok(options)
}

/// What ends this daemon orderly, and what makes it read its configuration again.
fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect()
}

/// The configuration as it stands; none is an empty one.
pub(crate) fn read_config(path: &Path) -> anyhow::Result<Wanted> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let (tree, rejected) = yoke_config::tree::load(&text);
    for line in rejected {
        log::warn!("{}: {line}", path.display());
    }
    match Config::try_from(&tree) {
        Ok(config) => Ok(Wanted::from(&config)),
        Err(problems) => bail!("{}: {}", path.display(), problems.first().map_or("invalid", |p| p.0.as_str())),
    }
}

/// The realtime threads.
struct Threads {
    handle: Handle,
    engine: JoinHandle<()>,
    /// The worker, the opener.
    helpers: [JoinHandle<()>; 2],
}

impl Threads {
    fn start() -> anyhow::Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let (events, told) = mpsc::unbounded_channel();
        let ((jobs, waiting), (asks, opener)) = (jobs(), asks().context("sockets")?);
        let (engine, handle) = Engine::new(channel(), jobs, asks, events.clone()).context("sockets")?;
        let helpers = help(waiting, opener, events, true)?;
        let engine = thread("engine", move || engine.run(true))?;
        Ok((Self { handle, engine, helpers }, told))
    }

    /// After the engine was told to stop. The others end when nobody can give them anything to do any more.
    fn end(self) {
        drop(self.handle);
        let _ = self.engine.join();
        for helper in self.helpers {
            let _ = helper.join();
        }
    }
}

/// Starts the two that the engine gives to do what may take time.
fn help(jobs: Waiting, opener: Opener, events: engine::Events, realtime: bool) -> anyhow::Result<[JoinHandle<()>; 2]> {
    let worker = Worker::new(jobs, events).context("sockets")?;
    Ok([thread("worker", move || worker.run(realtime))?, thread("opener", move || opener.run(realtime))?])
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run)
}

/// Lets go of every group that an earlier life of this daemon left behind: resigns, removes the addresses. For init, when vrrpd does not
/// stay alive; the other box can take over then.
fn release(options: &Options) -> anyhow::Result<()> {
    let (events, mut told) = mpsc::unbounded_channel();
    let wanted = read_config(&options.config)?;
    let ((jobs, waiting), (asks, opener)) = (jobs(), asks().context("sockets")?);
    let (mut engine, _handle) = Engine::new(channel(), jobs, asks, events.clone()).context("sockets")?;
    let helpers = help(waiting, opener, events, false)?;
    engine.release(wanted);
    drop(engine);
    for helper in helpers {
        let _ = helper.join();
    }
    while let Ok(event) = told.try_recv() {
        serve::tell(&event);
    }
    Ok(())
}
