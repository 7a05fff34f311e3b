//! The bytes of an update: a file of this box, of a USB stick, what an operator pipes into the shell, or what a web server answers
//! ([`crate::http`]). Whichever it is may be slow, but neither silent nor slow without end: nobody else can write a slot meanwhile.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use yoke_config::model::Trust;

use crate::http::{self, Url};
use crate::usb;

/// How the pipe is named into which the shell puts what an operator pipes into it.
const PIPE: &str = "stdin:";
/// How long a source may stay silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// How long one may take to begin.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// In each of these a source has to send this much: 1 KiB/s, of which 30 MiB take eight hours. Slower is broken, or meant to hold the box up.
pub(crate) const PACE: (Duration, usize) = (Duration::from_secs(60), 60 << 10);

/// An update on its way.
pub struct Source {
    /// What comes.
    pub bytes: Box<dyn Read>,
    /// How much will come, where that is known.
    pub length: Option<u64>,
}

/// What a source is called in sentences: an operator knows nothing of a pipe.
#[must_use]
pub fn named(text: &str) -> &str {
    if text.starts_with(PIPE) { "stdin" } else { text }
}

/// Opens a source. `address` is that of the URL's host, where it is a name; `trust` says whose certificate a web server may show. `running` is
/// the disk that the box runs from.
///
/// # Errors
/// In words that begin with the name of the source.
pub fn open(text: &str, address: Option<IpAddr>, trust: &Trust, running: &str) -> Result<Source> {
    if Url::parse(text)?.is_some() {
        return http::get(text, address, trust).with_context(|| text.to_owned());
    }
    let (length, bytes) = if let Some(name) = text.strip_prefix(usb::PREFIX) {
        let source = usb::open(Path::new("/sys"), name, running).with_context(|| text.to_owned())?;
        (source.length, source.bytes)
    } else if let Some(path) = text.strip_prefix(PIPE) {
        let pipe = Pipe::open(path, CONNECT, SILENCE).context("stdin")?;
        (None, Box::new(pipe) as Box<dyn Read>)
    } else {
        ensure!(
            text.starts_with('/'),
            "{text}: use: https://HOST/PATH, http://HOST/PATH, usb:FILE, stdin, or the path of a file"
        );
        let file = File::open(text).with_context(|| text.to_owned())?;
        let about = file.metadata().with_context(|| text.to_owned())?;
        (Some(about.len()), Box::new(file) as Box<dyn Read>)
    };
    Ok(Source { bytes: Box::new(Paced::new(bytes, PACE)), length })
}

/// A pipe into which somebody has begun to write.
struct Pipe {
    file: File,
    silence: Duration,
}

impl Pipe {
    /// Waits `begin` for the first byte; later ones may be `silence` apart.
    fn open(path: &str, begin: Duration, silence: Duration) -> Result<Self> {
        // Opened in the usual way it would wait for ever for a shell that has died.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let pipe = Self { file, silence };
        pipe.wait(begin)?;
        Ok(pipe)
    }

    /// Until there is something to read, or nobody writes any more.
    fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut wait = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wait, PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX))? {
            0 => Err(nothing_comes(limit)),
            _ => Ok(()),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.wait(self.silence)?;
        self.file.read(bytes)
    }
}

fn nothing_comes(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("nothing comes (waited {} s)", limit.as_secs()))
}

/// A reader that fails when less than a number of bytes comes in a time. What is written passes.
#[derive(Debug)]
pub(crate) struct Paced<R> {
    inner: R,
    pace: (Duration, usize),
    since: Instant,
    got: usize,
}

#[expect(clippy::disallowed_methods, reason = "a one-shot that reads from a network")]
fn now() -> Instant {
    Instant::now()
}

impl<R> Paced<R> {
    pub(crate) fn new(inner: R, pace: (Duration, usize)) -> Self {
        Self { inner, pace, since: now(), got: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = match self.inner.read(bytes) {
            // How a socket says that its time for a read is over.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(nothing_comes(SILENCE)),
            other => other?,
        };
        self.got += length;
        // The time that the disk takes to write what came is in it; such a pace any disk has.
        let (window, least) = self.pace;
        if now() - self.since >= window {
            // The end may come at any time.
            if self.got < least && length > 0 {
                let (kib, seconds) = (least >> 10, window.as_secs());
                let why = format!("comes too slowly: less than {kib} KiB in {seconds} s");
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            (self.since, self.got) = (now(), 0);
        }
        Ok(length)
    }
}

impl<S: Write> Write for Paced<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_read_to_its_end_and_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let name = path.to_str().unwrap();
        let brief = Duration::from_millis(50);
        let error = Pipe::open(name, brief, brief).err().expect("nobody writes").to_string();
        assert_eq!(error, "nothing comes (waited 0 s)");
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut file = File::options().write(true).open(path).unwrap();
                for _ in 0..3 {
                    file.write_all(&[7; 100_000]).unwrap();
                }
            }
        });
        let mut source = open(&format!("stdin:{name}"), None, &Trust::Public, "vda").unwrap();
        assert_eq!(source.bytes.read_to_end(&mut Vec::new()).unwrap(), 300_000);
        writer.join().unwrap();
        // Whoever has begun and stalls is not waited for without end either.
        let mut writer = File::options().read(true).write(true).open(&path).unwrap();
        writer.write_all(b"begun").unwrap();
        let mut pipe = Pipe::open(name, brief, brief).unwrap();
        let mut got = Vec::new();
        assert_eq!(pipe.read_to_end(&mut got).unwrap_err().to_string(), "nothing comes (waited 0 s)");
        assert_eq!(got, b"begun");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a server that is slow")]
    fn a_trickle_has_an_end_and_what_is_steady_has_none() {
        let slow = |bytes: usize, pause: u64| {
            struct Slow(usize, u64);
            impl Read for Slow {
                fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                    std::thread::sleep(Duration::from_millis(self.1));
                    bytes[..self.0].fill(0);
                    Ok(self.0)
                }
            }
            Slow(bytes, pause)
        };
        let window = Duration::from_millis(100);
        let read = |source, bytes| io::copy(&mut Paced::new(source, (window, 2048)).take(bytes), &mut io::sink());
        let error = read(slow(1, 2), 100_000).expect_err("a byte every 2 ms");
        assert_eq!(error.to_string(), "comes too slowly: less than 2 KiB in 0 s");
        assert_eq!(read(slow(1000, 2), 200_000).expect("a kilobyte every 2 ms"), 200_000);
    }
}
