//! Thousands of connections that are established and idle, and that speak again when they are told: either end first.
//!
//! [`Host`] is the server of one namespace, [`Crowd`] the clients of one address: a process each (`yoke-lab crowd`), since not every machine
//! gives one process so many descriptors. Which end of a connection speaks first is known to both by the client's port.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::net::Ns;
use crate::runner::say;

/// Where hosts listen.
pub const PORT: u16 = 7000;
/// How long a byte may take through emulated machines of which one has just gone: the sixth repetition of a segment comes after 13 s, the
/// seventh after 25.
const BYTE_LIMIT: Duration = Duration::from_secs(60);
/// Clients that speak at the same time.
const THREADS: usize = 8;
/// Between two first words of a host.
const PACE: Duration = Duration::from_micros(300);
/// What a client says and hears back.
const QUESTION: u8 = b'c';
/// What a host says by itself.
const WORD: u8 = b's';
/// What is typed to either, and what a host or a client says when it is through.
const SPEAK: &str = "speak";
const DONE: &str = "done";

/// Whether the host of the connection from this port speaks first.
const fn host_begins(port: u16) -> bool {
    port % 2 == 1
}

/// One of the processes, in its namespace.
#[derive(Debug)]
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it, and waits until it is ready.
    fn start(ns: Ns, words: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = ns.command(program.to_str().context("the lab's path is no text")?);
        command.arg("crowd").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("start a crowd")?;
        let (input, output) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        let mut program = Self { child, input, output: BufReader::new(output) };
        let said = program.until_done()?;
        ensure!(said.is_empty(), "{words:?}: {said:?}");
        Ok(program)
    }

    fn say(&mut self) -> Result<()> {
        Ok(writeln!(self.input, "{SPEAK}")?)
    }

    /// The lines before it is through.
    fn until_done(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "it has ended: {lines:?}");
            match line.trim() {
                DONE => return Ok(lines),
                line => lines.push(line.to_owned()),
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers every byte with the same, on [`PORT`] of every address of a namespace.
#[derive(Debug)]
pub struct Host(Program);

impl Host {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(ns: Ns) -> Result<Self> {
        Program::start(ns, &["host"]).map(Self)
    }

    /// Speaks on every connection on which it is the one to begin. Does not wait for that.
    ///
    /// # Errors
    /// When it has ended.
    pub fn speak(&mut self) -> Result<()> {
        self.0.say()
    }
}

/// Connections of the client to one address, idle until they are told.
#[derive(Debug)]
pub struct Crowd(Program);

impl Crowd {
    /// Opens `count` connections to `vip`, each of which has been answered once.
    ///
    /// # Errors
    /// That of the first that could not be had.
    pub fn gather(vip: &str, count: usize) -> Result<Self> {
        Program::start(Ns::Client, &["clients", vip, &count.to_string()]).map(Self)
    }

    /// Has all of them speak, and hears the hosts where those [begin](Host::speak); then once more, the client first. Why each that was lost
    /// was.
    ///
    /// # Errors
    /// When it has ended.
    pub fn speak(&mut self) -> Result<Vec<String>> {
        self.0.say()?;
        self.0.until_done()
    }
}

/// `yoke-lab crowd host`, `yoke-lab crowd clients ADDR COUNT`.
///
/// # Errors
/// What did not work.
pub fn main(words: &[&str]) -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("more descriptors")?;
    match words {
        ["host"] => serve(),
        ["clients", vip, count] => {
            let streams = gather(vip, count.parse()?)?;
            told(|| speak(&streams).iter().for_each(|lost| say(lost)))
        }
        _ => bail!("use: yoke-lab crowd host | clients ADDR COUNT"),
    }
}

/// Says that it is ready; does `act` each time it is told, until nobody can tell it any more.
fn told(mut act: impl FnMut()) -> Result<()> {
    say(DONE);
    for line in std::io::stdin().lines() {
        ensure!(line? == SPEAK, "use: {SPEAK}");
        act();
        say(DONE);
    }
    Ok(())
}

type Streams = BTreeMap<u64, TcpStream>;

/// One thread answers, this one begins.
fn serve() -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).context("a port for many connections")?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let streams = Arc::<Mutex<Streams>>::default();
    let all = streams.clone();
    std::thread::spawn(move || {
        let mut ready = [EpollEvent::empty(); 256];
        loop {
            let count = epoll.wait(&mut ready, EpollTimeout::NONE).unwrap_or(0);
            let mut streams = lock(&all);
            for event in &ready[..count] {
                match event.data() {
                    0 => accept(&listener, &epoll, &mut streams),
                    number => echo(number, &mut streams),
                }
            }
        }
    });
    told(|| {
        let numbers: Vec<u64> = lock(&streams).keys().copied().collect();
        for number in numbers {
            if let Some(mut stream) = lock(&streams).get(&number)
                && stream.peer_addr().is_ok_and(|peer| host_begins(peer.port()))
            {
                // One that is closed is a loss that the client notices.
                let _ = stream.write_all(&[WORD]);
            }
            std::thread::park_timeout(PACE);
        }
    })
}

fn lock(streams: &Mutex<Streams>) -> MutexGuard<'_, Streams> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, epoll: &Epoll, streams: &mut Streams) {
    while let Ok((stream, _)) = listener.accept() {
        let number = u64::try_from(stream.as_raw_fd()).expect("a descriptor is positive");
        let added = stream.set_nonblocking(true).is_ok()
            && epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number)).is_ok();
        if added {
            streams.insert(number, stream);
        }
    }
}

fn echo(number: u64, streams: &mut Streams) {
    let Some(stream) = streams.get_mut(&number) else { return };
    let mut bytes = [0; 64];
    let goes_on = match stream.read(&mut bytes) {
        Ok(0) => false,
        Ok(length) => stream.write_all(&bytes[..length]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    if !goes_on {
        streams.remove(&number);
    }
}

fn gather(vip: &str, count: usize) -> Result<Vec<TcpStream>> {
    let to: SocketAddr = format!("{vip}:{PORT}").parse()?;
    let one = || -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&to, BYTE_LIMIT)?;
        stream.set_read_timeout(Some(BYTE_LIMIT))?;
        stream.set_nodelay(true)?;
        ask(&stream)?;
        Ok(stream)
    };
    let share = |thread: usize| count / THREADS + usize::from(thread < count % THREADS);
    std::thread::scope(|scope| {
        let part = |thread| (0..share(thread)).map(|_| one()).collect::<Result<Vec<_>>>();
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || part(thread))).collect();
        let parts = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("it panicked")));
        Ok(parts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

fn speak(streams: &[TcpStream]) -> Vec<String> {
    let one = |stream: &TcpStream| -> Result<()> {
        if host_begins(stream.local_addr()?.port()) {
            hear(stream, WORD).context("the host's first word")?;
        }
        ask(stream)
    };
    let lost = |part: &[TcpStream]| -> Vec<String> {
        let port = |stream: &TcpStream| stream.local_addr().map_or(0, |address| address.port());
        let lost = part.iter().filter_map(|stream| Some((port(stream), one(stream).err()?)));
        lost.map(|(port, error)| format!("from port {port}: {error:#}")).collect()
    };
    std::thread::scope(|scope| {
        let parts = streams.chunks(streams.len().div_ceil(THREADS).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || lost(part))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.flat_map(|part| part.unwrap_or_else(|_| vec!["a thread panicked".to_owned()])).collect()
    })
}

/// A byte there and back.
fn ask(mut stream: &TcpStream) -> Result<()> {
    stream.write_all(&[QUESTION]).context("say a word")?;
    hear(stream, QUESTION).context("the answer")
}

fn hear(mut stream: &TcpStream, what: u8) -> Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    ensure!(byte == [what], "{byte:?} instead of {what}");
    Ok(())
}
