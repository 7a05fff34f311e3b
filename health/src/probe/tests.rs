//! Probes against real servers of this machine: good ones, and every kind of bad one there is a sentence for.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use yoke_config::model::{HttpCheck, Statuses, Tls, Trust};

use super::*;

/// A server on a port of its own; each connection is given to `serve`.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// One that reads a request and answers with these bytes.
fn answers(bytes: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(bytes);
    })
}

fn target(server: SocketAddr) -> Target {
    Target { address: server.ip(), port: server.port(), monitor: "m".parse().expect("a name"), via: None }
}

fn attempt_at(server: SocketAddr, check: Check) -> Outcome {
    let monitor = Monitor { check, timeout_s: 1, ..Monitor::default() };
    let probe = Probe { monitor: monitor.into(), passage: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let attempt = runtime.block_on(attempt(&target(server), &probe, "lb1", || Duration::ZERO));
    assert_eq!(attempt.aside, None);
    attempt.outcome
}

fn http(status: &[(u16, u16)], regex: Option<&str>) -> Check {
    Check::Http(HttpCheck {
        path: "/healthz".into(),
        host: None,
        status: Statuses(status.to_vec()),
        regex: regex.map(str::to_owned),
        tls: None,
    })
}

fn https() -> Check {
    let Check::Http(http) = http(&[(200, 299)], None) else { unreachable!("it is") };
    Check::Http(HttpCheck { tls: Some(Tls::default()), ..http })
}

#[track_caller]
fn fails(outcome: Outcome, why: &str) {
    assert_eq!(outcome, Err(why.to_owned()));
}

/// A port nobody listens on.
fn closed() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port")
}

const TCP: Check = Check::Tcp { connect: true };

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall is well";

#[test]
fn good_servers_are_good() {
    assert!(attempt_at(answers(b""), TCP).is_ok());
    assert!(attempt_at(answers(GOOD), http(&[(200, 299)], None)).is_ok());
    assert!(attempt_at(answers(GOOD), http(&[(200, 299)], Some("is w.ll$"))).is_ok());
    let mail = server(|mut stream| {
        let _ = stream.write_all(b"220-hello\r\n220 mail ESMTP\r\n");
        let mut line = [0; 100];
        let length = stream.read(&mut line).unwrap_or_default();
        assert_eq!(&line[..length], b"EHLO lb1\r\n");
        let _ = stream.write_all(b"250-mail\r\n250 SIZE\r\n");
        let _ = stream.read(&mut line);
    });
    assert!(attempt_at(mail, Check::Smtp { host: None }).is_ok());
}

#[test]
fn an_echo_needs_the_setting_that_init_makes() {
    let outcome = attempt_at((Ipv4Addr::LOCALHOST, 0).into(), Check::Icmp);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").expect("proc");
    let range: Vec<u32> = range.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if (range[0]..=range[1]).contains(&nix::unistd::getegid().as_raw()) {
        assert_eq!(outcome, Ok(Duration::ZERO));
    } else {
        fails(outcome, "socket: permission denied");
    }
}

#[test]
fn the_request_is_what_was_configured() {
    let (told, asked) = std::sync::mpsc::channel();
    let server = server(move |mut stream| {
        let mut request = [0; 2048];
        let length = stream.read(&mut request).unwrap_or_default();
        let _ = told.send(String::from_utf8_lossy(&request[..length]).into_owned());
        let _ = stream.write_all(GOOD);
    });
    let Check::Http(check) = http(&[(200, 200)], None) else { unreachable!("it is") };
    let check = Check::Http(HttpCheck { host: Some("www.example.net".into()), ..check });
    assert!(attempt_at(server, check).is_ok());
    let request = asked.recv().expect("it was asked");
    assert!(request.starts_with("GET /healthz HTTP/1.1\r\nHost: www.example.net\r\n"), "{request}");
    assert!(request.ends_with("Connection: close\r\n\r\n"), "{request}");
}

#[test]
fn bad_servers_have_a_reason() {
    fails(attempt_at(closed(), TCP), "connect: refused");
    fails(attempt_at(closed(), http(&[(200, 299)], None)), "connect: refused");
    let busy = answers(b"HTTP/1.1 503 Busy\r\n\r\n");
    fails(attempt_at(busy, http(&[(200, 299), (304, 304)], None)), "status 503, expected 200-299,304");
    let wrong = answers(GOOD);
    let why = "status 200, but the reply does not match the expression";
    fails(attempt_at(wrong, http(&[(200, 299)], Some("unwell"))), why);
    let ssh = server(|mut stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n")));
    fails(attempt_at(ssh, http(&[(200, 299)], None)), "no http: \"SSH-2.0-OpenSSH_9.9\"");
    fails(attempt_at(ssh, Check::Smtp { host: None }), "no smtp: \"SSH-2.0-OpenSSH_9.9\"");
    let full = server(|mut stream| drop(stream.write_all(b"421 too busy\r\n")));
    fails(attempt_at(full, Check::Smtp { host: None }), "greeting: 421, expected 220");
}

#[test]
fn servers_that_say_nothing_run_into_the_timeout() {
    let silent = server(|stream| drop(thread::spawn(move || drop((&stream).read_to_end(&mut Vec::new())))));
    assert!(attempt_at(silent, TCP).is_ok());
    fails(attempt_at(silent, http(&[(200, 299)], None)), "no reply in 1.0 s");
    fails(attempt_at(silent, https()), "no tls handshake in 1.0 s");
    fails(attempt_at(silent, Check::Smtp { host: None }), "no greeting in 1.0 s");
    let hole = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| Ok((socket.local_addr()?, socket)));
    let (hole, _kept) = hole.expect("a port");
    fails(attempt_at(hole, Check::Dns { name: None }), "no reply in 1.0 s");
    fails(attempt_at(hole, Check::Udp { payload: "ping".into(), regex: Some("pong".into()) }), "no reply in 1.0 s");
    assert!(attempt_at(hole, Check::Udp { payload: "ping".into(), regex: None }).is_ok(), "nobody refuses");
}

#[test]
fn a_mail_server_that_says_nothing_to_a_good_bye_is_good() {
    let mail = server(|mut stream| {
        thread::spawn(move || {
            let _ = stream.write_all(b"220 mail ESMTP\r\n");
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(b"250 mail\r\n");
            // QUIT, and whatever follows until the client is gone.
            while stream.read(&mut [0; 2048]).is_ok_and(|read| read > 0) {}
        });
    });
    assert!(attempt_at(mail, Check::Smtp { host: None }).is_ok());
}

#[test]
fn servers_that_trickle_run_into_the_timeout() {
    let trickle = server(|mut stream| {
        drop(thread::spawn(move || {
            for byte in GOOD.iter().cycle() {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
                // A byte every 40 ms: the head takes longer than the timeout.
                thread::park_timeout(Duration::from_millis(40));
            }
        }));
    });
    fails(attempt_at(trickle, http(&[(200, 299)], Some("never"))), "no whole reply in 1.0 s");
}

#[test]
fn a_server_that_sends_without_end_costs_what_one_answer_costs() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = sent.clone();
    let flood = server(move |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let page = [b'x'; 65_536];
        // 100 MB.
        for _ in 0..1_600 {
            if stream.write_all(&page).is_err() {
                break;
            }
            count.fetch_add(page.len(), std::sync::atomic::Ordering::SeqCst);
        }
    });
    assert!(attempt_at(flood, http(&[(200, 299)], None)).is_ok());
    let why = "status 200, but the reply does not match the expression";
    fails(attempt_at(flood, http(&[(200, 299)], Some("never"))), why);
    // What the sockets hold at most, of two connections, and no more.
    assert!(sent.load(std::sync::atomic::Ordering::SeqCst) < 32 << 20);
    let endless = server(|mut stream| while stream.write_all(&[b'x'; 65_536]).is_ok() {});
    let Err(why) = attempt_at(endless, http(&[(200, 299)], None)) else { panic!("this is no http") };
    assert!(why.starts_with("no http: \"xxx"), "{why}");
}

#[test]
fn servers_that_close_at_once_are_named() {
    let closes = server(drop);
    let Err(why) = attempt_at(closes, http(&[(200, 299)], None)) else { panic!("it closes") };
    // Which of them depends on who is faster.
    assert!(
        ["closed without a reply", "reply: reset", "request: reset", "connect: reset"].contains(&why.as_str()),
        "{why}"
    );
    let resets = server(|stream| {
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    });
    let Err(why) = attempt_at(resets, https()) else { panic!("it resets") };
    assert!(["connect: reset", "tls: reset", "tls: closed", "tls: tls handshake eof"].contains(&why.as_str()), "{why}");
    let plain = answers(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    fails(attempt_at(plain, https()), "tls: the server does not speak tls");
}

#[test]
fn datagrams() {
    let echo = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = echo.local_addr().expect("bound");
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = echo.recv_from(&mut datagram) {
            // As an answer to a query, its response bit set; as an echo otherwise.
            if length > 12 {
                datagram[2] |= 0x80;
            }
            let _ = echo.send_to(&datagram[..length], from);
        }
    });
    let udp = |regex: Option<&str>| Check::Udp { payload: "pong".into(), regex: regex.map(str::to_owned) };
    assert!(attempt_at(address, udp(None)).is_ok());
    assert!(attempt_at(address, udp(Some("^pong$"))).is_ok());
    fails(attempt_at(address, udp(Some("ping"))), "the reply \"pong\" does not match the expression");
    assert!(attempt_at(address, Check::Dns { name: Some("www.example.net".into()) }).is_ok());
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port");
    fails(attempt_at(closed, udp(None)), "reply: refused");
    fails(attempt_at(closed, Check::Dns { name: None }), "reply: refused");
}

fn program_at(directory: &std::path::Path, name: &str, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(directory.join(name));
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
}

#[test]
fn programs_say_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = |name: &str, text: &str| program_at(directory.path(), name, text);
    program("good", "#!/bin/sh\n[ \"$1 $2\" = \"127.0.0.1 80\" ]\n");
    program("bad", "#!/bin/sh\necho replication is 90 s behind\nexit 3\n");
    program("who", "#!/bin/sh\necho $(id -u) $(id -g)\nexit 1\n");
    // As under /usr/lib, others may look.
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    program("flood", "#!/bin/sh\nexec yes\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let run = |name: &str| runtime.block_on(external::run(directory.path(), server, name));
    assert_eq!(run("good"), Ok(()));
    assert_eq!(run("bad"), Err("program bad: exit status 3, \"replication is 90 s behind\"".to_owned()));
    assert_eq!(run("gone"), Err("program gone: no such file or directory".to_owned()));
    if nix::unistd::geteuid().is_root() {
        assert_eq!(run("who"), Err("program who: exit status 1, \"65534 65534\"".to_owned()));
    }
    assert_eq!(run("flood"), Err("program flood: killed by a signal".to_owned()), "nobody reads all of it");
}

/// Processes whose command line holds this.
fn running(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("proc").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(word)).count()
}

#[track_caller]
fn until_gone(word: &str) {
    let (_open, never) = std::sync::mpsc::channel::<()>();
    for _ in 0..2_000 {
        if running(word) == 0 {
            return;
        }
        let _ = never.recv_timeout(Duration::from_millis(10));
    }
    panic!("{} of {word} are left", running(word));
}

#[test]
fn what_a_program_has_started_ends_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    program_at(directory.path(), "leaves", "#!/bin/sh\nsleep 86391 &\necho gone\nexit 1\n");
    program_at(directory.path(), "hangs", "#!/bin/sh\nsleep 86392 &\nsleep 86392\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let run = |name: &'static str, timeout: Duration| {
        let attempt = external::run(directory.path(), server, name);
        runtime.block_on(async { tokio::time::timeout(timeout, attempt).await })
    };
    // What it has left holds its output open, and nobody waits for that.
    let left = run("leaves", Duration::from_secs(20));
    assert_eq!(left, Ok(Err("program leaves: exit status 1, \"gone\"".to_owned())));
    until_gone("86391");
    assert!(run("hangs", Duration::from_secs(1)).is_err());
    until_gone("86392");
}

#[test]
fn what_has_left_the_group_of_a_program_ends_with_it_and_is_reaped() {
    if !nix::unistd::geteuid().is_root() {
        // Whose user is not another than ours cannot be told apart; the image's director is root.
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    program_at(directory.path(), "leaves", "#!/bin/sh\nsetsid sleep 86393 &\n(setsid sleep 86394 &)\nexit 0\n");
    // Only what is killed at the timeout orphans these.
    program_at(
        directory.path(),
        "hangs",
        "#!/bin/sh\nsetsid sh -c 'setsid sleep 86395 & sleep 86395' &\nsleep 86396\n",
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let run = |name: &'static str, timeout: Duration| {
        let attempt = external::run(directory.path(), server, name);
        // As long again as the last look for strays.
        let after = async { tokio::time::sleep(Duration::from_millis(1_500)).await };
        runtime.block_on(async { (tokio::time::timeout(timeout, attempt).await, after.await).0 })
    };
    assert_eq!(run("leaves", Duration::from_secs(20)), Ok(Ok(())));
    until_gone("86393");
    until_gone("86394");
    assert!(run("hangs", Duration::from_secs(1)).is_err());
    until_gone("86395");
    until_gone("86396");
    let zombies = || {
        let processes = std::fs::read_dir("/proc").expect("proc").flatten();
        let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
        let own = format!(" Z {} ", std::process::id());
        stats.filter(|stat| stat.contains(&own) && stat.contains("(sleep)")).count()
    };
    assert_eq!(zombies(), 0);
}

#[test]
fn a_program_that_waits_for_its_turn_has_not_failed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let check = Check::External { program: "none-of-this-name".into() };
    let probe = Probe { monitor: Monitor { check, timeout_s: 1, ..Monitor::default() }.into(), passage: None };
    let target = target((Ipv4Addr::LOCALHOST, 80).into());
    runtime.block_on(async {
        let others = external::turns(external::PROGRAMS_MAX).await;
        let mut attempt = std::pin::pin!(attempt(&target, &probe, "lb1", || Duration::ZERO));
        let waited = tokio::time::timeout(Duration::from_millis(1_300), &mut attempt).await;
        assert!(waited.is_err(), "{waited:?}");
        drop(others);
        let outcome = attempt.await.outcome;
        assert_eq!(outcome, Err("program none-of-this-name: no such file or directory".to_owned()));
    });
}

/// Descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc").count()
}

#[test]
fn no_descriptor_is_left_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let silent = server(|stream| drop(thread::spawn(move || drop((&stream).read_to_end(&mut Vec::new())))));
    let bad = [(closed(), TCP), (answers(b"x"), https()), (silent, TCP), (answers(GOOD), http(&[(1, 9)], None))];
    let monitor = |check: &Check| Monitor { check: check.clone(), timeout_s: 1, ..Monitor::default() };
    let round = |times: u32| {
        for _ in 0..times {
            for (server, check) in &bad {
                let probe = Probe { monitor: monitor(check).into(), passage: None };
                let _ = runtime.block_on(attempt(&target(*server), &probe, "lb1", || Duration::ZERO));
            }
        }
    };
    round(10);
    let before = descriptors();
    round(500);
    // Servers of other tests have some too, for a moment.
    assert!(descriptors() < before + 100, "{before} before, {} after 2,000 probes", descriptors());
}

#[test]
fn trust_is_what_is_checked() {
    // No authority's certificate at all: said as such, and not taken for a failure of the server.
    let Check::Http(check) = https() else { unreachable!("it is") };
    let tls = Tls { name: Some("www.example.net".into()), trust: Trust::Authority(vec![0x30, 3, 2, 1, 1]) };
    let outcome = attempt_at(answers(GOOD), Check::Http(HttpCheck { tls: Some(tls), ..check }));
    assert!(outcome.as_ref().is_err_and(|why| why.starts_with("tls trust ca: ")), "{outcome:?}");
}

mod tls;
