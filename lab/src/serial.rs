//! One serial port of a guest: QEMU on one end of a unix socket, this file on the other.
//!
//! A thread draws what arrives on a [`Term`] and appends it to the transcript as it came; everything else waits on
//! what is drawn. What the text means (prompts, logins) is the business of `console` and `labshell`.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::term::Term;
use crate::wait;

/// Rows of the terminal shown with a failure.
const TAIL_ROWS: usize = 25;

/// A listening end, made before QEMU starts so that not a byte of the boot is lost.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
}

/// A connected port.
#[derive(Debug)]
pub struct Serial {
    name: String,
    stream: UnixStream,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    screen: Mutex<Screen>,
    changed: Condvar,
}

/// What has arrived so far.
#[derive(Debug)]
pub struct Screen {
    /// Drawn.
    pub term: Term,
    /// Bytes received.
    pub bytes: usize,
    /// The other end is gone: nothing more will arrive.
    pub closed: bool,
}

impl Listener {
    /// Listens at `path`.
    ///
    /// # Errors
    /// Those of bind(2), such as a path of more than 107 bytes.
    pub fn bind(path: &Path) -> Result<Self> {
        let socket = UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Waits for QEMU to connect.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub fn accept(&self, limit: Duration) -> Result<UnixStream> {
        let (stream, _) = wait::until("QEMU to connect", limit, || Ok(self.socket.accept()?))?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// As [`Listener::accept`], and starts to read; all that arrives goes to the file `transcript` too. The terminal on
    /// this end has so many `columns`.
    ///
    /// # Errors
    /// As [`Listener::accept`], or when the transcript cannot be created.
    pub fn open(&self, name: &str, columns: usize, transcript: &Path, limit: Duration) -> Result<Serial> {
        let stream = self.accept(limit)?;
        let log = File::options().create(true).append(true).open(transcript)?;
        let screen = Screen { term: Term::new(columns), bytes: 0, closed: false };
        let shared = Arc::new(Shared { screen: Mutex::new(screen), changed: Condvar::new() });
        let (reader, sink) = (stream.try_clone()?, shared.clone());
        std::thread::Builder::new().name(format!("read {name}")).spawn(move || read(reader, &sink, log))?;
        Ok(Serial { name: name.to_owned(), stream, shared })
    }
}

/// Runs until the other end closes.
fn read(mut stream: UnixStream, shared: &Shared, mut log: File) {
    let mut buffer = [0; 4096];
    loop {
        let bytes = match stream.read(&mut buffer) {
            Ok(n @ 1..) => &buffer[..n],
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => &[],
        };
        // A full disk must not stop the test; the screen still has the bytes.
        let _ = log.write_all(bytes);
        let mut screen = shared.lock();
        screen.term.feed(bytes);
        screen.bytes += bytes.len();
        screen.closed = bytes.is_empty();
        shared.changed.notify_all();
        if screen.closed {
            return;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serial {
    /// Types `text`. Blocks while the guest's port takes no more, as a real line with flow control would.
    ///
    /// # Errors
    /// When the guest is gone.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes()).with_context(|| format!("{}: type", self.name))
    }

    /// Looks at what has arrived.
    pub fn look<T>(&self, look: impl FnOnce(&Screen) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Waits until `look` sees what it wants; returns that and when it was there.
    ///
    /// # Errors
    /// After `limit`, or when the guest is gone, with the end of the screen.
    pub fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Screen) -> Option<T>,
    ) -> Result<(T, Instant)> {
        let deadline = wait::now() + limit;
        let mut screen = self.shared.lock();
        loop {
            if let Some(found) = look(&screen) {
                return Ok((found, wait::now()));
            }
            let left = wait::left(deadline);
            if left.is_zero() || screen.closed {
                let why = if screen.closed { "the machine is off".to_owned() } else { format!("not within {limit:?}") };
                let tail = tail(&screen.term);
                drop(screen);
                bail!("{}: {what}: {why}; the screen ends with\n{tail}", self.name);
            }
            screen = self.shared.changed.wait_timeout(screen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a row from `first` on that contains `text`.
    ///
    /// # Errors
    /// As [`Serial::wait`].
    pub fn wait_text(&self, first: usize, text: &str, limit: Duration) -> Result<Instant> {
        let seen = |screen: &Screen| screen.term.lines_from(first).iter().any(|l| l.contains(text)).then_some(());
        Ok(self.wait(&format!("wait for `{text}`"), limit, seen)?.1)
    }

    /// The end of what is on the screen.
    pub fn tail(&self) -> String {
        self.look(|screen| tail(&screen.term))
    }
}

fn tail(term: &Term) -> String {
    let rows = term.lines_from(term.row().saturating_sub(TAIL_ROWS));
    rows.iter().filter(|row| !row.is_empty()).map(|row| format!("  | {row}\n")).collect()
}
