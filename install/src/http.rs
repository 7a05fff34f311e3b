//! An update out of a web server: `http://` and `https://`.
//!
//! One request at a time, no proxy, nothing in chunks. Who an update is from, its signature says, whoever is on the way; TLS is for those whose
//! servers or rules know nothing else, and keeps to itself who asked for what. Names are resolved by the shell, so a redirect is followed only
//! within its host; another place is told, for the operator to say. It never leads from `https` to `http`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Error, StreamOwned};
use yoke_config::model::Trust;

use crate::fetch::{CONNECT, PACE, Paced, SILENCE, Source};

/// Longest answer before the content.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// Redirects in a row that are followed: `http` to `https`, to a mirror's folder, to a version.
const REDIRECTS_MAX: usize = 4;
const NO_SENSE: &str = "the server's answer makes no sense";

/// The parts of `http://HOST[:PORT]/PATH` and `https://HOST[:PORT]/PATH`.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'u> {
    /// Whether it is `https`.
    pub secure: bool,
    /// A name or an address, without the brackets of IPv6.
    pub host: &'u str,
    /// 80, or 443, unless it says otherwise.
    pub port: u16,
    /// With its leading `/`.
    pub path: &'u str,
    /// As the request has to name it.
    authority: &'u str,
}

impl<'u> Url<'u> {
    /// Takes a URL apart; `None` when it is none.
    ///
    /// # Errors
    /// It is one, and makes no sense.
    pub fn parse(text: &'u str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        let secure = scheme.eq_ignore_ascii_case("https");
        ensure!(
            secure || scheme.eq_ignore_ascii_case("http"),
            "{text}: {scheme} is not supported, use: https://HOST/PATH, or http://HOST/PATH"
        );
        ensure!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}: a character that no URL has");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let usual = if secure { 443 } else { 80 };
        let port = port.map_or(Ok(usual), str::parse).ok().with_context(|| format!("{text}: no such port"))?;
        ensure!(!host.is_empty() && !host.contains('@'), "{text}: use: {scheme}://HOST/PATH");
        Ok(Some(Self { secure, host, port, path: if path.is_empty() { "/" } else { path }, authority }))
    }
}

/// Asks for `text`, a URL. `address` is that of its host, where that is a name.
///
/// # Errors
/// In words that follow the URL.
pub(crate) fn get(text: &str, address: Option<IpAddr>, trust: &Trust) -> Result<Source> {
    let mut place = text.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let url = Url::parse(&place)?.context(NO_SENSE)?;
        let host = url.host;
        let address = host.parse().ok().or(address).with_context(|| format!("{host}: no such host"))?;
        match ask(&url, SocketAddr::new(address, url.port), trust)? {
            Answer::Content(source) => return Ok(source),
            Answer::Elsewhere(to) => place = follow(&url, &to)?,
        }
    }
    bail!("the server redirects again and again, at last to {place}")
}

/// Where a redirect leads, if it is to be followed.
fn follow(from: &Url<'_>, to: &str) -> Result<String> {
    let scheme = if from.secure { "https" } else { "http" };
    let full = if to.starts_with('/') && !to.starts_with("//") {
        format!("{scheme}://{}{to}", from.authority)
    } else {
        to.to_owned()
    };
    let url = Url::parse(&full).context("the server redirects")?;
    let url = url.with_context(|| format!("the server redirects to {to}, which is no URL"))?;
    ensure!(url.secure || !from.secure, "the server redirects from https to {to}, which is not followed");
    ensure!(url.host.eq_ignore_ascii_case(from.host), "the server says it is at {to}, use that");
    Ok(full)
}

enum Answer {
    Content(Source),
    Elsewhere(String),
}

fn ask(url: &Url<'_>, server: SocketAddr, trust: &Trust) -> Result<Answer> {
    let stream = TcpStream::connect_timeout(&server, CONNECT).context("the server does not answer")?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    // Under TLS, so that a handshake has an end too.
    let stream = Paced::new(stream, PACE);
    if url.secure { request(url, shake_hands(url, stream, trust)?) } else { request(url, stream) }
}

fn shake_hands(
    url: &Url<'_>,
    mut stream: Paced<TcpStream>,
    trust: &Trust,
) -> Result<StreamOwned<ClientConnection, Paced<TcpStream>>> {
    let client = yoke_tls::client(trust).map_err(|why| anyhow!("install trust ca: {why}"))?;
    let name = ServerName::try_from(url.host.to_owned()).with_context(|| format!("{}: is no server name", url.host))?;
    let mut connection = ClientConnection::new(client, name)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| anyhow!("tls: {}", refusal(&error)))?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// Why there is no connection, and what to do.
fn refusal(error: &io::Error) -> String {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server has ended the connection".to_owned(),
            _ => error.to_string(),
        };
    };
    let why = yoke_tls::reason(inner);
    if yoke_tls::is_of_time(inner) {
        let clock = clock();
        return format!("{why}; the clock of this box says {clock}, if that is wrong use: ntp server");
    }
    match inner {
        Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature) => {
            format!("{why}; for one of your own use: install trust ca, in configuration mode")
        }
        _ => why,
    }
}

#[expect(clippy::disallowed_methods, reason = "a one-shot that says what time it is")]
fn clock() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    now.map_or_else(|| "nothing that makes sense".to_owned(), |now| now.to_string())
}

fn request(url: &Url<'_>, mut stream: impl Read + Write + 'static) -> Result<Answer> {
    let (path, host) = (url.path, url.authority);
    // HTTP/1.0 in the request keeps the server from sending in chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: yoke\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut head = BufReader::new(Content(stream)).take(HEAD_BYTES_MAX);
    let mut status = String::new();
    head.read_line(&mut status).context(NO_SENSE)?;
    let code = status.split_ascii_whitespace().nth(1).filter(|_| status.starts_with("HTTP/1."));
    let code = code.context("the server does not speak HTTP")?;
    let (mut length, mut location) = (None, None);
    loop {
        let mut line = String::new();
        head.read_line(&mut line).context(NO_SENSE)?;
        ensure!(line.ends_with('\n'), "the server's answer has no end");
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse().context(NO_SENSE)?);
        }
        if name.eq_ignore_ascii_case("location") {
            location = Some(value.to_owned());
        }
        let encoded = name.eq_ignore_ascii_case("transfer-encoding") && !value.eq_ignore_ascii_case("identity");
        ensure!(!encoded, "the server sends {value}, which it was not asked for");
    }
    match (code, location) {
        ("200", _) => {
            // A server may keep the connection, and say nothing more.
            let bytes = head.into_inner().take(length.unwrap_or(u64::MAX));
            Ok(Answer::Content(Source { bytes: Box::new(bytes), length }))
        }
        ("301" | "302" | "303" | "307" | "308", Some(place)) => Ok(Answer::Elsewhere(place)),
        _ => bail!("the server says {}", status.trim_end()),
    }
}

/// What ends without TLS's word for it has ended: whether it is whole, its size and its hash say.
struct Content<R>(R);

impl<R: Read> Read for Content<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.0.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
