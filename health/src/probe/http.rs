//! A GET over HTTP/1.1: the status, and an expression in what comes with it.
//!
//! As little HTTP as a check needs: one request a connection, no redirect followed, no decompression. The body is read only when an expression
//! is looked for, and only its first part.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use yoke_config::model::HttpCheck;

use super::{Server, Stage, Tried, quoted, read_more, read_until, tcp, tls, words};

/// How long a part of an answer waits for more before it is searched: a server may leave the connection open.
const QUIET: Duration = Duration::from_millis(100);

/// Interim answers before the one that counts. A server sends one or two, if any.
const INTERIM_MAX: usize = 8;
/// Longest interim answer: its end is looked for with each read.
const INTERIM_BYTES_MAX: usize = 8 * 1024;

pub(super) async fn ask(server: Server, check: &HttpCheck, stage: &Stage) -> Tried {
    let stream = tcp::connect(server, stage).await?;
    let server = server.address;
    let default_port = if check.tls.is_some() { 443 } else { 80 };
    let host = check.host.clone().unwrap_or_else(|| {
        // RFC 9110 §7.2: without the port of the scheme.
        if server.port() == default_port && server.is_ipv4() { server.ip().to_string() } else { server.to_string() }
    });
    match &check.tls {
        Some(how) => {
            let name = how.name.as_deref().or(check.host.as_deref().map(without_port));
            let stream = tls::connect(stream, server.ip(), name, &how.trust, stage).await?;
            exchange(stream, check, &host, stage).await
        }
        None => exchange(stream, check, &host, stage).await,
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    check: &HttpCheck,
    host: &str,
    stage: &Stage,
) -> Tried {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: yoke\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        check.path
    );
    let sent = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| format!("request: {}", words(&error)))?;
    stage.set("reply");
    let status = |answer: &[u8]| match last(answer) {
        Some(answer) => status(answer).map(|status| (status, answer.to_vec())),
        None => Some((None, answer.to_vec())),
    };
    let (status, begun) = match read_until(&mut stream, status).await? {
        Ok((Some(status), begun)) => (status, begun),
        Ok((None, answer)) => return Err(format!("no http: {}", quoted(&answer))),
        Err(answer) if answer.is_empty() => return Err("closed without a reply".to_owned()),
        Err(answer) => return Err(format!("no http: {}", quoted(&answer))),
    };
    if !check.status.contains(status) {
        return Err(format!("status {status}, expected {}", check.status));
    }
    let Some(regex) = &check.regex else { return Ok(()) };
    stage.set("whole reply");
    // It was compiled when it was typed.
    let regex = regex_lite::Regex::new(regex).map_err(|error| format!("expect regex: {error}"))?;
    let is_match = |answer: &[u8]| regex.is_match(&String::from_utf8_lossy(&unchunked(answer)));
    if search(&mut stream, begun, is_match).await? {
        Ok(())
    } else {
        Err(format!("status {status}, but the reply does not match the expression"))
    }
}

/// Whether what has come, or what comes, is found to match. A search goes over all of it, and all checks share a thread: it is made when twice as
/// much has come as for the last one, at the end, however that comes about, and when something has waited for [`QUIET`]. So a server that trickles
/// does not have it searched with each byte.
async fn search(
    stream: &mut (impl AsyncRead + Unpin),
    mut answer: Vec<u8>,
    is_match: impl Fn(&[u8]) -> bool,
) -> Result<bool, String> {
    let mut searched = 0;
    // When what has come since the last search is searched at the latest.
    let mut due = None;
    loop {
        if due.is_some_and(|at| at <= Instant::now()) || answer.len() >= 2 * searched {
            if is_match(&answer) {
                return Ok(true);
            }
            (searched, due) = (answer.len(), None);
        }
        let read = match due {
            Some(at) => timeout_at(at, read_more(stream, &mut answer)).await,
            None => Ok(read_more(stream, &mut answer).await),
        };
        if due.is_none() && answer.len() > searched {
            due = Some(Instant::now() + QUIET);
        }
        match read {
            // More, or for too long nothing.
            Ok(Ok(true)) | Err(_) => {}
            Ok(Ok(false)) => return Ok(answer.len() > searched && is_match(&answer)),
            // Whoever closes hard after its answer has given it.
            Ok(Err(why)) => return if answer.len() > searched && is_match(&answer) { Ok(true) } else { Err(why) },
        }
    }
}

/// The name in what is asked for as host: `web.example:8443`, `[2001:db8::1]:8443`. TLS knows no ports (RFC 6066 §3).
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

/// An answer without the interim ones before it (RFC 9110 §15.2), as far as it has come; `None` when one of those does not end. 101 is none:
/// nothing follows it.
fn last(mut answer: &[u8]) -> Option<&[u8]> {
    for _ in 0..INTERIM_MAX {
        if !matches!(status(answer), Some(Some(100 | 102..=199))) {
            break;
        }
        answer = match answer.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => &answer[end + 4..],
            None if answer.len() > INTERIM_BYTES_MAX => return None,
            None => &[],
        };
    }
    Some(answer)
}

/// The status of an answer: `None` when more has to come, `Some(None)` when this is no HTTP.
fn status(answer: &[u8]) -> Option<Option<u16>> {
    let line = match answer.iter().position(|byte| *byte == b'\n') {
        Some(end) => &answer[..end],
        // No status line is that long.
        None if answer.len() < 512 && could_be(answer) => return None,
        None => return Some(None),
    };
    // RFC 9112 §4: HTTP-version SP status-code SP [ reason-phrase ]
    let text = std::str::from_utf8(line).unwrap_or_default();
    let mut parts = text.trim_end().splitn(3, ' ');
    let version = parts.next().unwrap_or_default();
    let code = parts.next().filter(|code| code.len() == 3).and_then(|code| code.parse().ok());
    Some(code.filter(|code| version.starts_with("HTTP/1.") && (100..=599).contains(code)))
}

fn could_be(answer: &[u8]) -> bool {
    b"HTTP/1.".iter().zip(answer).all(|(a, b)| a == b)
}

/// Head and body without the frames of chunked transfer (RFC 9112 §7.1), as far as they have come.
fn unchunked(answer: &[u8]) -> Vec<u8> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return answer.to_vec() };
    let (head, mut body) = answer.split_at(end + 4);
    let chunked = String::from_utf8_lossy(head)
        .to_ascii_lowercase()
        .lines()
        .any(|line| line.strip_prefix("transfer-encoding:").is_some_and(|value| value.trim().ends_with("chunked")));
    if !chunked {
        return answer.to_vec();
    }
    let mut whole = head.to_vec();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&body[..end]);
        let size = size.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let Some(size) = size.filter(|size| *size > 0) else { break };
        let data = &body[end + 2..];
        whole.extend_from_slice(&data[..size.min(data.len())]);
        // Behind the data is a line end of its own.
        let Some(rest) = size.checked_add(2).and_then(|next| data.get(next..)) else { break };
        body = rest;
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statuses() {
        let table: [(&[u8], Option<Option<u16>>); 12] = [
            (b"", None),
            (b"HTTP/1.1 20", None),
            (b"HTTP/1.1 200 OK\r\n", Some(Some(200))),
            (b"HTTP/1.0 503\r\n", Some(Some(503))),
            (b"HTTP/1.1 404 Not Found\nServer", Some(Some(404))),
            (b"HTTP/2 200\r\n", Some(None)),
            (b"HTTP/1.1 2000 OK\r\n", Some(None)),
            (b"HTTP/1.1 999 x\r\n", Some(None)),
            (b"HTTP/1.1\r\n", Some(None)),
            (b"220 mail ESMTP\r\n", Some(None)),
            (b"SSH-2.0", Some(None)),
            (b"\x15\x03\x01", Some(None)),
        ];
        for (answer, expected) in table {
            assert_eq!(status(answer), expected, "{:?}", String::from_utf8_lossy(answer));
        }
        assert_eq!(status(&[b'H'; 600]), Some(None));
    }

    #[test]
    fn chunks_are_put_together() {
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nall \r\n7;x=y\r\nis well\r\n0\r\n\r\n";
        assert!(String::from_utf8_lossy(&unchunked(chunked)).ends_with("\r\n\r\nall is well"));
        let plain = b"HTTP/1.1 200 OK\r\n\r\n4\r\nall";
        assert_eq!(unchunked(plain), plain);
    }

    #[test]
    fn interim_answers_are_not_the_answer() {
        let status = |answer: &[u8]| status(last(answer).unwrap_or(b"none\n"));
        assert_eq!(status(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\n"), Some(Some(503)));
        assert_eq!(
            status(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 200 OK\r\n"),
            Some(Some(200))
        );
        assert_eq!(status(b"HTTP/1.1 100 Continue\r\nServer: a"), None, "its end has not come");
        assert_eq!(status(b"HTTP/1.1 100 Continue\r\n\r\n"), None);
        assert_eq!(status(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Some(Some(101)));
        assert_eq!(status(&b"HTTP/1.1 100 x\r\n\r\n".repeat(100)), Some(Some(100)), "a joke");
        let endless = [&b"HTTP/1.1 100 x\r\n"[..], &b"a".repeat(INTERIM_BYTES_MAX)].concat();
        assert!(last(&endless).is_none(), "its end is not waited for");
    }

    #[test]
    fn the_name_for_tls_has_no_port() {
        let table = [
            ("web.example", "web.example"),
            ("web.example:8443", "web.example"),
            ("10.0.0.1:8443", "10.0.0.1"),
            ("[2001:db8::1]:8443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ];
        for (host, name) in table {
            assert_eq!(without_port(host), name);
        }
    }

    /// A stream that gives a byte each time it is asked, and then nothing.
    struct Trickle(Vec<u8>, usize);

    impl AsyncRead for Trickle {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let Some(byte) = self.0.get(self.1).copied() else { return std::task::Poll::Pending };
            into.put_slice(&[byte]);
            self.1 += 1;
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_trickles_is_searched_now_and_then() {
        let searches = std::cell::Cell::new(0);
        let is_match = |answer: &[u8]| {
            searches.set(searches.get() + 1);
            answer.ends_with(b"well")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = [&b"x".repeat(20_000)[..], b"all is well"].concat();
        let found = runtime.block_on(search(&mut Trickle(answer, 0), Vec::new(), is_match));
        // It leaves the connection open.
        assert_eq!(found, Ok(true));
        assert!(searches.get() < 40, "{}", searches.get());
    }

    /// A search of what `play` says, from a head that does not match.
    fn found(play: impl AsyncFnOnce(tokio::net::TcpStream)) -> Result<bool, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let mut client =
                tokio::net::TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
            let (server, _) = listener.accept().await.expect("accept");
            let is_match = |answer: &[u8]| answer.windows(4).any(|four| four == b"well");
            let searching = search(&mut client, b"x".repeat(300), is_match);
            let searching = tokio::time::timeout(Duration::from_secs(5), searching);
            let (found, ()) = tokio::join!(searching, play(server));
            found.unwrap_or_else(|_| Err("in time".to_owned()))
        })
    }

    #[test]
    fn an_answer_before_a_hard_end_counts() {
        let end = async |mut server: tokio::net::TcpStream| {
            server.write_all(b"all is well").await.expect("write");
            // Within the time that a part waits for more.
            tokio::time::sleep(QUIET / 4).await;
            server.set_zero_linger().expect("linger");
        };
        assert_eq!(found(end), Ok(true));
        let end = async |mut server: tokio::net::TcpStream| {
            server.write_all(b"all is not").await.expect("write");
            tokio::time::sleep(QUIET / 4).await;
            server.set_zero_linger().expect("linger");
        };
        assert!(found(end).is_err_and(|why| why.contains("reset")));
    }

    #[test]
    fn an_answer_that_goes_on_dripping_is_searched_meanwhile() {
        let drip = async |mut server: tokio::net::TcpStream| {
            let _ = server.write_all(b"all is well").await;
            // More often than a part waits for more, for longer than anybody looks.
            for _ in 0..100 {
                tokio::time::sleep(QUIET / 2).await;
                if server.write_all(b".").await.is_err() {
                    break;
                }
            }
        };
        let begun = Instant::now();
        assert_eq!(found(drip), Ok(true));
        assert!(begun.elapsed() >= QUIET);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(any::<u8>(), 0..300), chunked: bool) {
            let head: &[u8] = if chunked { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" } else { b"" };
            let whole = [head, &answer].concat();
            let _ = (last(&whole).map(status), unchunked(&whole), quoted(&whole));
        }

        #[test]
        fn no_size_of_a_chunk_panics(size in "[0-9a-fA-F]{1,17}", rest in "[a-z\r\n]{0,40}") {
            let whole = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{rest}");
            let _ = unchunked(whole.as_bytes());
        }
    }
}
