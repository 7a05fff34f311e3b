//! The bytes of an update: a file of this box, or what a web server answers.
//!
//! HTTP/1.1, one request, no redirect, no TLS and no proxy: who the update is from, its signature says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// How long a server may stay silent.
const SILENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
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
        ensure!(scheme.eq_ignore_ascii_case("http"), "{text}: {scheme} is not supported, use: http://HOST/PATH");
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

/// Opens a source. `address` is that of the URL's host, where it is a name.
///
/// # Errors
/// In words that follow the name of the source.
pub fn open(text: &str, address: Option<IpAddr>) -> Result<Source> {
    let Some(url) = Url::parse(text)? else {
        ensure!(text.starts_with('/'), "{text}: use: http://HOST/PATH, or the path of a file");
        let file = File::open(text).with_context(|| text.to_owned())?;
        let length = file.metadata().with_context(|| text.to_owned())?.len();
        return Ok(Source { bytes: Box::new(file), length: Some(length) });
    };
    let address = address.or_else(|| url.host.parse().ok()).with_context(|| format!("{}: no such host", url.host))?;
    get(&url, SocketAddr::new(address, url.port)).with_context(|| text.to_owned())
}

fn get(url: &Url<'_>, server: SocketAddr) -> Result<Source> {
    let mut stream = TcpStream::connect_timeout(&server, CONNECT).context("the server does not answer")?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let (path, host) = (url.path, url.authority);
    // HTTP/1.0 in the request keeps the server from sending in chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: yoke\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = BufReader::new(stream).take(HEAD_BYTES_MAX);
    let mut status = String::new();
    head.read_line(&mut status).context("the server's answer makes no sense")?;
    let code = status.split_ascii_whitespace().nth(1).filter(|_| status.starts_with("HTTP/1."));
    match code {
        Some("200") => {}
        Some(_) => bail!("the server says {}", status.trim_end()),
        None => bail!("the server does not speak HTTP"),
    }
    let mut length = None;
    loop {
        let mut line = String::new();
        head.read_line(&mut line).context("the server's answer makes no sense")?;
        ensure!(line.ends_with('\n'), "the server's answer has no end");
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse().context("the server's answer makes no sense")?);
        }
    }
    Ok(Source { bytes: Box::new(head.into_inner()), length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn urls_are_taken_apart() {
        let url = |text| Url::parse(text).map(|url| url.map(|url| (url.host, url.port, url.path)));
        assert_eq!(url("/flash/x").unwrap(), None);
        assert_eq!(url("http://h/a/b?c").unwrap(), Some(("h", 80, "/a/b?c")));
        assert_eq!(url("HTTP://10.0.0.1:8080").unwrap(), Some(("10.0.0.1", 8080, "/")));
        assert_eq!(url("http://[2001:db8::1]:81/x").unwrap(), Some(("2001:db8::1", 81, "/x")));
        for bad in ["https://h/x", "http:///x", "http://h:x/", "http://h:99999/", "http://h/a b", "http://u@h/"] {
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
        let outcome = open(&format!("http://127.0.0.1:{port}/x"), None).and_then(|mut source| {
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
        assert!(why("SSH-2.0-dropbear\r\n").ends_with("does not speak HTTP"));
        assert!(why("HTTP/1.1 200 OK\r\nServer").ends_with("has no end"));
    }
}
