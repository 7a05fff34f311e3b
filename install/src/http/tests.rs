//! Servers that are right, wrong, and broken.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;

/// Who is asked for a certificate.
const NAME: &str = "updates.example.net";

#[test]
fn urls_are_taken_apart() {
    let url = |text| Url::parse(text).map(|url| url.map(|url| (url.secure, url.host, url.port, url.path)));
    assert_eq!(url("/flash/x").unwrap(), None);
    assert_eq!(url("http://h/a/b?c").unwrap(), Some((false, "h", 80, "/a/b?c")));
    assert_eq!(url("https://h/x").unwrap(), Some((true, "h", 443, "/x")));
    assert_eq!(url("HTTPS://h:8443").unwrap(), Some((true, "h", 8443, "/")));
    assert_eq!(url("HTTP://10.0.0.1:8080").unwrap(), Some((false, "10.0.0.1", 8080, "/")));
    assert_eq!(url("http://[2001:db8::1]:81/x").unwrap(), Some((false, "2001:db8::1", 81, "/x")));
    for bad in ["http:///x", "https:///x", "http://h:x/", "http://h:99999/", "http://h/a b", "http://u@h/", "ftp://h/x"]
    {
        assert!(url(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_redirect_is_followed_within_its_host_and_never_out_of_https() {
    let (plain, secure) = ("http://h:81/a/b", "https://h/a/b");
    let to = |from, to| follow(&Url::parse(from).unwrap().unwrap(), to).map_err(|error| format!("{error:#}"));
    assert_eq!(to(plain, "https://h/c").unwrap(), "https://h/c");
    assert_eq!(to(plain, "/c").unwrap(), "http://h:81/c");
    assert_eq!(to(secure, "https://H:8443/c").unwrap(), "https://H:8443/c");
    assert_eq!(
        to(secure, "http://h/c").unwrap_err(),
        "the server redirects from https to http://h/c, which is not followed"
    );
    assert_eq!(to(plain, "https://cdn/y").unwrap_err(), "the server says it is at https://cdn/y, use that");
    for bad in ["//cdn/y", "c", "", "ftp://h/c", "https://h/a b"] {
        assert!(to(plain, bad).is_err(), "{bad}");
    }
}

#[test]
fn a_server_that_keeps_the_connection_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        hear(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody").unwrap();
        // Ends with the sender: the answer was read while the connection was open.
        let _ = wait.recv();
    });
    let got = body(get(&format!("http://127.0.0.1:{port}/x"), None, &Trust::Public)).unwrap();
    assert_eq!(got, (Some(4), "body".to_owned()));
    drop(done);
    server.join().unwrap();
}

/// Reads a request to its end.
fn hear(stream: &mut impl Read) {
    let mut last = [0; 4];
    while last != *b"\r\n\r\n" {
        last.rotate_left(1);
        if !matches!(stream.read(&mut last[3..]), Ok(1)) {
            return;
        }
    }
}

/// What one gets from a server that answers so, each time it is asked.
fn answer(answers: &[&str]) -> Result<(Option<u64>, String)> {
    let answers: Vec<String> = answers.iter().map(|&text| text.to_owned()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for text in answers {
            let (mut stream, _) = listener.accept().unwrap();
            hear(&mut stream);
            let _ = stream.write_all(text.replace("PORT", &port.to_string()).as_bytes());
        }
    });
    body(get(&format!("http://127.0.0.1:{port}/x"), None, &Trust::Public))
}

fn body(source: Result<Source>) -> Result<(Option<u64>, String)> {
    let mut source = source?;
    let mut body = String::new();
    source.bytes.read_to_string(&mut body)?;
    Ok((source.length, body))
}

#[test]
fn a_server_is_heard_and_not_believed() {
    let good = answer(&["HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 4\r\n\r\nbody"]).unwrap();
    assert_eq!(good, (Some(4), "body".to_owned()));
    let more = answer(&["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody, and more of it"]).unwrap();
    assert_eq!(more, (Some(4), "body".to_owned()));
    let why = |answers: &[&str]| format!("{:#}", answer(answers).expect_err("refused"));
    assert_eq!(why(&["HTTP/1.1 404 Not Found\r\n\r\n"]), "the server says HTTP/1.1 404 Not Found");
    let moved = "HTTP/1.1 302 Found\r\nLocation: https://cdn.example/y\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(why(&[moved]), "the server says it is at https://cdn.example/y, use that");
    assert_eq!(why(&["HTTP/1.1 302 Found\r\n\r\n"]), "the server says HTTP/1.1 302 Found");
    assert_eq!(why(&["SSH-2.0-dropbear\r\n"]), "the server does not speak HTTP");
    assert_eq!(why(&["HTTP/1.1 200 OK\r\nServer"]), "the server's answer has no end");
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    assert_eq!(why(&[chunks]), "the server sends chunked, which it was not asked for");
    let lie = why(&["HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody"]);
    assert!(lie.starts_with(NO_SENSE), "{lie}");
}

#[test]
fn redirects_have_an_end() {
    let on = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:PORT/y\r\n\r\n";
    assert_eq!(answer(&[on, "HTTP/1.1 200 OK\r\n\r\nbody"]).unwrap(), (None, "body".to_owned()));
    let error = answer(&[on; 5]).expect_err("a circle").to_string();
    assert!(error.starts_with("the server redirects again and again"), "{error}");
}

#[test]
fn a_head_without_end_has_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        hear(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-Yoke: is there an end to this?\r\n").is_ok() {}
    });
    let error = get(&format!("http://127.0.0.1:{port}/x"), None, &Trust::Public).err().expect("refused").to_string();
    assert_eq!(error, "the server's answer has no end");
    server.join().unwrap();
}

/// Who signs.
struct Authority {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    fn trust(&self) -> Trust {
        Trust::Authority(self.der.clone())
    }

    /// A server for one connection, with a certificate for that name from and to the beginning of a year. It tells nobody that it has ended.
    fn serve(&self, name: &str, years: (i32, i32)) -> u16 {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            hear(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
        });
        port
    }
}

const VALID: (i32, i32) = (2020, 4000);

#[test]
fn a_certificate_is_taken_or_refused_with_the_reason() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let ask = |by: &Authority, name: &str, years, trust: &Trust| {
        let url = format!("https://{NAME}:{}/x", by.serve(name, years));
        body(get(&url, Some([127, 0, 0, 1].into()), trust)).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(ask(&ours, NAME, VALID, &ours.trust()).unwrap(), (Some(4), "body".to_owned()));
    let other = ask(&ours, "www.example.net", VALID, &ours.trust()).unwrap_err();
    assert_eq!(other, "tls: the certificate is for another name");
    let unknown = "tls: the certificate is not signed by a trusted authority; for one of your own use: install trust ca, in configuration mode";
    assert_eq!(ask(&theirs, NAME, VALID, &ours.trust()).unwrap_err(), unknown);
    assert_eq!(ask(&ours, NAME, VALID, &Trust::Public).unwrap_err(), unknown);
    let year = clock()[..4].to_owned();
    for (years, why) in [((2020, 2021), "has expired"), ((3999, 4000), "is not valid yet")] {
        let said = ask(&ours, NAME, years, &ours.trust()).unwrap_err();
        let begin = format!("tls: the certificate {why}; the clock of this box says {year}-");
        assert!(said.starts_with(&begin) && said.ends_with("Z, if that is wrong use: ntp server"), "{said}");
    }
    let said = ask(&ours, NAME, VALID, &Trust::Authority(b"0 nonsense".to_vec())).unwrap_err();
    assert!(said.starts_with("install trust ca: "), "{said}");
}

#[test]
fn what_speaks_no_tls_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(text.as_bytes());
        }
    });
    let why =
        || format!("{:#}", get(&format!("https://127.0.0.1:{port}/x"), None, &Trust::Public).err().expect("refused"));
    assert_eq!(why(), "tls: the server does not speak tls");
    assert_eq!(why(), "tls: the server has ended the connection");
}
