//! The bytes of an update: a file of this box, of a USB stick, what an operator pipes into the shell, or what a web server answers.
//!
//! HTTP/1.1, one request, no TLS and no proxy: who the update is from, its signature says, whoever is on the way. A redirect is not followed but
//! told, since names are resolved by the shell. A source may be slow, but not without end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::usb;

/// How the pipe is named into which the shell puts what an operator pipes into it.
const PIPE: &str = "stdin:";
/// How long a server may stay silent.
const SILENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
/// In each of these a server has to send this much: 1 KiB/s, of which 30 MiB take eight hours. Slower is broken, or meant to hold the box up.
const PACE: (Duration, usize) = (Duration::from_secs(60), 60 << 10);
/// Longest answer before the content.
const HEAD_BYTES_MAX: u64 = 16 << 10;

/// An update on its way.
pub struct Source {
    /// What comes.
    pub bytes: Box<dyn Read>,
    /// How much will come, where that is known.
    pub length: Option<u64>,
}

/// The parts of `http://HOST[:PORT]/PATH`.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'u> {
    /// A name or an address, without the brackets of IPv6.
    pub host: &'u str,
    /// 80 unless it says otherwise.
    pub port: u16,
    /// With its leading `/`.
    pub path: &'u str,
    /// As the request has to name it.
    authority: &'u str,
}

impl<'u> Url<'u> {
    /// Takes a URL apart; `None` when it is none of HTTP.
    ///
    /// # Errors
    /// It is one, and makes no sense.
    pub fn parse(text: &'u str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        ensure!(
            scheme.eq_ignore_ascii_case("http"),
            "{text}: {scheme} is not supported, use: http://HOST/PATH (the update's signature is what counts)"
        );
        ensure!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}: a character that no URL has");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(80), str::parse).ok().with_context(|| format!("{text}: no such port"))?;
        ensure!(!host.is_empty() && !host.contains('@'), "{text}: use: http://HOST/PATH");
        Ok(Some(Self { host, port, path: if path.is_empty() { "/" } else { path }, authority }))
    }
}

/// What a source is called in sentences: an operator knows nothing of a pipe.
#[must_use]
pub fn named(text: &str) -> &str {
    if text.starts_with(PIPE) { "stdin" } else { text }
}

/// Opens a source. `address` is that of the URL's host, where it is a name. `running` is the disk that the box runs from.
///
/// # Errors
/// In words that follow the name of the source.
pub fn open(text: &str, address: Option<IpAddr>, running: &str) -> Result<Source> {
    let Some(url) = Url::parse(text)? else {
        if let Some(name) = text.strip_prefix(usb::PREFIX) {
            return usb::open(Path::new("/sys"), name, running).with_context(|| text.to_owned());
        }
        if let Some(path) = text.strip_prefix(PIPE) {
            return Ok(Source { bytes: Box::new(pipe(path, CONNECT).context("stdin")?), length: None });
        }
        ensure!(text.starts_with('/'), "{text}: use: http://HOST/PATH, usb:FILE, stdin, or the path of a file");
        let file = File::open(text).with_context(|| text.to_owned())?;
        let about = file.metadata().with_context(|| text.to_owned())?;
        return Ok(Source { bytes: Box::new(file), length: Some(about.len()) });
    };
    let address = address.or_else(|| url.host.parse().ok()).with_context(|| format!("{}: no such host", url.host))?;
    get(&url, SocketAddr::new(address, url.port)).with_context(|| text.to_owned())
}

/// A pipe into which somebody has begun to write.
fn pipe(path: &str, limit: Duration) -> Result<File> {
    // Opened in the usual way it would wait for ever for a shell that has died.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut wait = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    let came = poll(&mut wait, PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX))?;
    ensure!(came > 0, "nothing comes");
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

fn get(url: &Url<'_>, server: SocketAddr) -> Result<Source> {
    let mut stream = TcpStream::connect_timeout(&server, CONNECT).context("the server does not answer")?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let (path, host) = (url.path, url.authority);
    // HTTP/1.0 in the request keeps the server from sending in chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: yoke\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = BufReader::new(Paced::new(stream, PACE)).take(HEAD_BYTES_MAX);
    let mut status = String::new();
    head.read_line(&mut status).context("the server's answer makes no sense")?;
    let code = status.split_ascii_whitespace().nth(1).filter(|_| status.starts_with("HTTP/1."));
    let code = code.context("the server does not speak HTTP")?;
    let (mut length, mut location) = (None, None);
    loop {
        let mut line = String::new();
        head.read_line(&mut line).context("the server's answer makes no sense")?;
        ensure!(line.ends_with('\n'), "the server's answer has no end");
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse().context("the server's answer makes no sense")?);
        }
        if name.eq_ignore_ascii_case("location") {
            location = Some(value.trim().to_owned());
        }
    }
    match (code, location) {
        ("200", _) => {}
        ("301" | "302" | "303" | "307" | "308", Some(place)) => bail!("the server says it is at {place}, use that"),
        _ => bail!("the server says {}", status.trim_end()),
    }
    Ok(Source { bytes: Box::new(head.into_inner()), length })
}

/// A reader that fails when less than a number of bytes comes in a time.
struct Paced<R> {
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
    fn new(inner: R, pace: (Duration, usize)) -> Self {
        Self { inner, pace, since: now(), got: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(bytes)?;
        self.got += length;
        // The time that the disk takes to write what came is in it; such a pace any disk has.
        let (window, least) = self.pace;
        if now() - self.since >= window {
            if self.got < least {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server sends too slowly"));
            }
            (self.since, self.got) = (now(), 0);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_pipe_is_read_to_its_end_and_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let name = path.to_str().unwrap();
        assert_eq!(pipe(name, Duration::from_millis(50)).unwrap_err().to_string(), "nothing comes");
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut file = File::options().write(true).open(path).unwrap();
                for _ in 0..3 {
                    file.write_all(&[7; 100_000]).unwrap();
                }
            }
        });
        let mut source = open(&format!("stdin:{name}"), None, "vda").unwrap();
        assert_eq!(source.bytes.read_to_end(&mut Vec::new()).unwrap(), 300_000);
        writer.join().unwrap();
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
        let read = |source, bytes| io::copy(&mut Paced::new(source, (window, 100)).take(bytes), &mut io::sink());
        let error = read(slow(1, 2), 100_000).expect_err("a byte every 2 ms");
        assert_eq!(error.to_string(), "the server sends too slowly");
        assert_eq!(read(slow(1000, 2), 200_000).expect("a kilobyte every 2 ms"), 200_000);
    }

    #[test]
    fn urls_are_taken_apart() {
        let url = |text| Url::parse(text).map(|url| url.map(|url| (url.host, url.port, url.path)));
        assert_eq!(url("/flash/x").unwrap(), None);
        assert_eq!(url("http://h/a/b?c").unwrap(), Some(("h", 80, "/a/b?c")));
        assert_eq!(url("HTTP://10.0.0.1:8080").unwrap(), Some(("10.0.0.1", 8080, "/")));
        assert_eq!(url("http://[2001:db8::1]:81/x").unwrap(), Some(("2001:db8::1", 81, "/x")));
        for bad in
            ["https://h/x", "http:///x", "http://h:x/", "http://h:99999/", "http://h/a b", "http://u@h/", "ftp://h/x"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    fn answer(text: &'static str) -> Result<(Option<u64>, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                request.read_line(&mut line).unwrap();
            }
            let _ = stream.write_all(text.as_bytes());
        });
        let outcome = open(&format!("http://127.0.0.1:{port}/x"), None, "vda").and_then(|mut source| {
            let mut body = String::new();
            source.bytes.read_to_string(&mut body)?;
            Ok((source.length, body))
        });
        server.join().unwrap();
        outcome
    }

    #[test]
    fn a_server_is_heard_and_not_believed() {
        let good = answer("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 4\r\n\r\nbody").unwrap();
        assert_eq!(good, (Some(4), "body".to_owned()));
        let why = |text| format!("{:#}", answer(text).expect_err("refused"));
        assert!(why("HTTP/1.1 404 Not Found\r\n\r\n").ends_with("the server says HTTP/1.1 404 Not Found"));
        let moved = "HTTP/1.1 302 Found\r\nLocation: https://cdn.example/y\r\nContent-Length: 0\r\n\r\n";
        assert!(why(moved).ends_with("the server says it is at https://cdn.example/y, use that"), "{}", why(moved));
        assert!(why("HTTP/1.1 302 Found\r\n\r\n").ends_with("the server says HTTP/1.1 302 Found"));
        assert!(why("SSH-2.0-dropbear\r\n").ends_with("does not speak HTTP"));
        assert!(why("HTTP/1.1 200 OK\r\nServer").ends_with("has no end"));
    }
}
