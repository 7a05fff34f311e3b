//! The log ring on its way to a receiver: each line once, whatever dies, as RFC 5424 has it.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use yoke_init::request::ServiceStatus;

use crate::boxed::{Boxed, wait_for};

const SOON: Duration = Duration::from_secs(20);

/// The fields of a message, or a panic with what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    priority: u8,
    app: String,
    sequence: u64,
    text: String,
}

/// RFC 5424 §6, as strict as it is: single spaces, no PRI with leading zeros, the date of RFC 3339 with at most six decimals.
fn parse(message: &str) -> Message {
    let wrong = &format!("a message of RFC 5424: {message:?}");
    let (priority, rest) = message.strip_prefix('<').and_then(|m| m.split_once(">1 ")).expect(wrong);
    let number: u8 = priority.parse().expect(wrong);
    assert!(number <= 191 && number.to_string() == priority, "{message}");
    let mut fields = rest.splitn(6, ' ');
    let mut field = |max: usize| {
        let field = fields.next().expect(wrong).to_owned();
        assert!((1..=max).contains(&field.len()) && field.bytes().all(|b| b.is_ascii_graphic()), "{message}");
        field
    };
    let (date, host, app, process, id) = (field(32), field(255), field(48), field(128), field(32));
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{message}");
    assert_eq!((host.as_str(), process.as_str(), id.as_str()), ("lb1", "-", "-"));
    let data = message.strip_prefix(&format!("<{priority}>1 {date} {host} {app} - - ")).unwrap();
    let (data, text) = data.split_once("] ").expect(wrong);
    let (quality, meta) = data.split_once("][").expect(wrong);
    assert!(quality.starts_with("[timeQuality tzKnown=\"1\" isSynced=\""), "{message}");
    let meta = meta.strip_prefix("meta sequenceId=\"").expect(wrong);
    let (sequence, uptime) = meta.split_once("\" sysUpTime=\"").expect(wrong);
    assert!(uptime.strip_suffix('"').is_some_and(|n| n.parse::<u64>().is_ok()), "{message}");
    Message { priority: number, app, sequence: sequence.parse().unwrap(), text: text.to_owned() }
}

/// Runs in the network of the box, on a thread of its own.
fn within<T: Send>(it: &Boxed, work: impl FnOnce() -> T + Send) -> T {
    let pid = it.pid.to_string();
    let lo = Command::new("nsenter").args(["-t", &pid, "-n", "ip", "link", "set", "lo", "up"]).status();
    assert!(lo.unwrap().success());
    let network = std::fs::File::open(format!("/proc/{}/ns/net", it.pid)).unwrap();
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(&network, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap()
    })
}

fn sender(transport: &str) -> String {
    format!(
        r#"[{{"name": "syslog", "argv": ["/sbin/init", "syslog", "127.0.0.1", "{transport}", "514", "23", "6", "lb1"],
             "ids": [0, 0], "capabilities": ["setgid", "setuid"], "notify": true}}]"#
    )
}

fn says(it: &Boxed, text: &str) -> ServiceStatus {
    it.wait_service("syslog", SOON, |service| service.status.contains(text))
}

/// Has the box write a line of its own: a service that cannot be started.
fn mark(it: &Boxed, transport: &str, name: &str) {
    let other = format!(r#", {{"name": "{name}", "argv": ["/usr/bin/service", "ready"]}}]"#);
    it.configure(&(sender(transport).trim_end_matches(']').to_owned() + &other));
    it.wait_log(name, "does: ready");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn datagrams_carry_each_line_once() {
    let it = Boxed::start("ready");
    it.wait_state("director", "running");
    let receiver = within(&it, || UdpSocket::bind("127.0.0.1:514").unwrap());
    receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    it.configure(&sender("udp"));
    let first = says(&it, " sent, 0 lost");
    // Nobody in particular, with nothing left.
    let status = std::fs::read_to_string(format!("/proc/{}/status", it.outer(first.pid))).unwrap();
    for line in ["Uid:\t901\t901\t901\t901", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(status.contains(line), "{line} not in {status}");
    }
    mark(&it, "udp", "mark1");
    kill(Pid::from_raw(it.outer(first.pid)), Signal::SIGKILL).unwrap();
    it.wait_service("syslog", SOON, |s| s.state == "running" && s.pid != first.pid);
    mark(&it, "udp", "mark2");
    let mut heard = Vec::new();
    let mut datagram = [0; 2048];
    while let Ok(length) = receiver.recv(&mut datagram) {
        heard.push(parse(std::str::from_utf8(&datagram[..length]).unwrap()));
    }
    for (app, text) in [
        ("director", "does: ready"),
        ("mark1", "does: ready"),
        ("mark2", "does: ready"),
        ("init", "syslog: killed by SIGKILL"),
    ] {
        let count = heard.iter().filter(|message| message.app == app && message.text.contains(text)).count();
        assert_eq!(count, 1, "{app}: {text}: {heard:#?}");
    }
    assert!(heard.iter().all(|message| message.priority == 23 * 8 + 6 || message.priority == 23 * 8 + 4), "{heard:#?}");
    let sequence: Vec<u64> = heard.iter().map(|message| message.sequence).collect();
    let restart = sequence.iter().skip(1).position(|number| *number == 1).expect("a second sender") + 1;
    assert!(sequence[..restart].iter().copied().eq(1..=restart as u64), "{sequence:?}");
    assert!(sequence[restart..].iter().copied().eq(1..=(sequence.len() - restart) as u64), "{sequence:?}");
}

#[test]
#[ignore = "needs root; cargo xtask lab runs it"]
fn a_connection_that_breaks_is_made_anew_and_the_box_goes_on_meanwhile() {
    let it = Boxed::start("ready");
    it.wait_state("director", "running");
    let listener = within(&it, || TcpListener::bind("127.0.0.1:514").unwrap());
    it.configure(&sender("tcp"));
    let (mut stream, _) = listener.accept().unwrap();
    says(&it, " sent, 0 lost");
    let mut heard = frames(&mut stream);
    drop((stream, listener));
    mark(&it, "tcp", "while-it-is-gone");
    says(&it, "sent, 0 lost, ");
    it.wait_log("syslog", "logging host 127.0.0.1 tcp 514: ");
    let listener = within(&it, || TcpListener::bind("127.0.0.1:514").unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    it.wait_log("syslog", "reached again");
    wait_for("the line of the meantime", SOON, || {
        heard.extend(frames(&mut stream));
        heard.iter().any(|message| message.text.ends_with("reached again")).then_some(())
    });
    for app in ["director", "while-it-is-gone"] {
        let of = |message: &&Message| message.app == app && message.text.contains("does: ready");
        let count = heard.iter().filter(of).count();
        assert_eq!(count, 1, "{app}: {heard:#?}");
    }
}

/// What has come, by octet counting (RFC 6587 §3.4.1).
fn frames(stream: &mut TcpStream) -> Vec<Message> {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut bytes = Vec::new();
    let mut some = [0; 4096];
    while let Ok(length) = stream.read(&mut some) {
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&some[..length]);
    }
    let mut messages = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        messages.push(parse(std::str::from_utf8(&rest[space + 1..space + 1 + length]).unwrap()));
        rest = &rest[space + 1 + length..];
    }
    messages
}
