//! The client's side: many short connections, or a few with much in them, to one address. Whatever is not answered whole is an error; nothing is
//! tried again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::net::Ns;

/// How many requests are under way at a time: the box has always something to do.
const TOGETHER: usize = 16;
/// How many downloads are.
const DOWNLOADS: usize = 4;
/// An emulated proxy with all its neighbours waiting.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// `count` requests, each with a connection of its own and an answer of some 200 bytes; `count` is a multiple of [`TOGETHER`].
///
/// # Errors
/// When one is not answered.
pub(super) fn connections(to: SocketAddr, count: usize) -> Result<()> {
    at_once(TOGETHER, || {
        for _ in 0..count / TOGETHER {
            let (start, bytes) = get(to, "/")?;
            ensure!(start.starts_with(b"HTTP/1.1 200"), "{to} answers {bytes} bytes that are no answer");
        }
        Ok(())
    })
}

/// Downloads `/bulk`, of `size` bytes, several times at once, and all that `times` times; returns how many bytes came in all.
///
/// # Errors
/// When one is not whole.
pub(super) fn bulk(to: SocketAddr, size: u64, times: usize) -> Result<u64> {
    at_once(DOWNLOADS, || {
        for _ in 0..times {
            let (_, bytes) = get(to, "/bulk")?;
            ensure!(bytes >= size, "{bytes} of {size} bytes came from {to}");
        }
        Ok(())
    })?;
    Ok(size * (DOWNLOADS * times) as u64)
}

/// Runs `work` on so many threads of the client.
fn at_once(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    Ns::Client.enter(|| {
        std::thread::scope(|scope| {
            // A thread is where its parent is.
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
            running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("the client panicked")))
        })
    })
}

/// One request on a connection of its own, until the server ends it: how the answer starts, and its length with the header.
fn get(to: SocketAddr, path: &str) -> Result<(Vec<u8>, u64)> {
    let mut stream = TcpStream::connect(to).with_context(|| format!("connect to {to}"))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut buffer = vec![0; 256 << 10];
    let (mut start, mut bytes) = (Vec::new(), 0);
    loop {
        let n = stream.read(&mut buffer).with_context(|| format!("{path} of {to}, after {bytes} bytes"))?;
        if n == 0 {
            return Ok((start, bytes));
        }
        if start.is_empty() {
            start = buffer[..n.min(16)].to_vec();
        }
        bytes += n as u64;
    }
}
