//! Readings of a table that is in use: connections, counters and rates that are not zero, and that move.
//!
//! Client, director and real servers are one namespace. The original reads before and after ours; what moves in between is no difference as
//! long as ours says what one of them says.

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::corpus::Line;
use super::play::Program;

/// One persistent service, one that spreads datagrams, one of the other family, one with nobody behind it.
const TABLE: &str = "\
-A -t 10.0.0.1:80 -s rr -p 600 -M 255.255.255.0
-a -t 10.0.0.1:80 -r 10.0.0.9:80 -m -w 1 -x 1000 -y 10
-a -t 10.0.0.1:80 -r 10.0.0.8:8080 -m -w 1
-A -u 10.0.0.1:53 -s wrr
-a -u 10.0.0.1:53 -r 10.0.0.9:53 -m -w 3
-a -u 10.0.0.1:53 -r 10.0.0.8:53 -m -w 1
-A -t [fd00::1]:443 -s sh -b sh-port
-a -t [fd00::1]:443 -r [fd00::9]:443 -m -w 1
-A -f 3 -s wlc
";

/// Everything that shows a number which is not configured.
const READINGS: [&str; 20] = [
    "-L",
    "-L -n",
    "-Ln --stats",
    "-Ln --stats --exact",
    "-L --stats --nosort",
    "-Ln --rate",
    "-Ln --rate --exact",
    "-L --rate",
    "-Ln --thresholds",
    "-Ln --persistent-conn",
    "-L --persistent-conn --nosort",
    "-Ln --tun-info",
    "-Lnc",
    "-Lc",
    "-L -c --nosort -n",
    "-Lnc --persistent-conn",
    "-Ln -t 10.0.0.1:80 --stats",
    "-Ln -u 10.0.0.1:53 --rate --exact",
    "-L -t [fd00::1]:443 --persistent-conn",
    "-S",
];

/// Times a reading is tried again when something moved twice while it was taken.
const ATTEMPTS: usize = 8;
/// Datagrams of this size: few of them make a number that is shortened.
const DATAGRAM: usize = 60_000;
const DATAGRAMS: usize = 240;
const LIMIT: Duration = Duration::from_secs(10);

/// Makes the table and its traffic; returns how many readings were compared, and those that differ.
///
/// # Errors
/// When there is no traffic, or a program cannot be started.
pub(super) fn compare(original: &Program, ours: &Program) -> Result<(usize, Vec<String>)> {
    for address in ["10.0.0.8/24", "10.0.0.9/24", "fd00::9/64"] {
        let done = Command::new("ip").args(["addr", "add", address, "dev", "eth0"]).status()?;
        ensure!(done.success(), "ip addr add {address}");
    }
    original.ok("-R", TABLE)?;
    let _open = Traffic::new()?;
    let connections = original.ok("-Lnc", "")?;
    for word in ["ESTABLISHED", "UDP", "ASSURED", "[fd00::1]:443"] {
        ensure!(connections.contains(word), "no {word} in\n{connections}");
    }
    let counters = original.ok("-Ln --stats", "")?;
    ensure!(counters.contains('M'), "no number was shortened in\n{counters}");

    let objects = ours.ok("-L -c --json", "")?;
    ensure!(objects.lines().count() + 2 == connections.lines().count(), "{objects}is not\n{connections}");
    for object in objects.lines() {
        let object: serde_json::Value = serde_json::from_str(object).with_context(|| object.to_owned())?;
        ensure!(object["state"].is_string() && object["expires"].is_u64(), "{object}");
    }

    let mut wrong = Vec::new();
    for reading in READINGS {
        let line = Line::words(reading);
        let mut before = original.run(&line)?;
        let mut found = ours.run(&line)?;
        for _ in 0..ATTEMPTS {
            let after = original.run(&line)?;
            if found == before || found == after {
                break;
            }
            found = ours.run(&line)?;
            before = after;
        }
        if found != before && found != original.run(&line)? {
            wrong.push(format!("### {reading}\n--- original\n{}--- ours\n{}{}", before.out, found.out, found.err));
        }
    }
    Ok((READINGS.len(), wrong))
}

/// Connections through the table, open as long as this.
struct Traffic {
    _servers: Vec<TcpListener>,
    _clients: Vec<TcpStream>,
}

impl Traffic {
    fn new() -> Result<Self> {
        let v4 = |last, port| SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), port));
        let v6 = |last, port| SocketAddr::from((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last), port));
        let servers = [v4(9, 80), v4(8, 8080), v6(9, 443)];
        let _servers = servers
            .iter()
            .map(|at| TcpListener::bind(at).with_context(|| format!("listen on {at}")))
            .collect::<Result<Vec<_>>>()?;
        let mut clients = Vec::new();
        for to in [v4(1, 80), v4(1, 80), v4(1, 80), v6(1, 443), v6(1, 443)] {
            let mut stream = TcpStream::connect_timeout(&to, LIMIT).with_context(|| format!("connect to {to}"))?;
            stream.write_all(b"hello")?;
            clients.push(stream);
        }
        // Nobody listens: what counts is what passes the director.
        let client = UdpSocket::bind(v4(1, 0))?;
        for _ in 0..DATAGRAMS {
            // A refusal by the server comes back as an error of the next send.
            let _ = client.send_to(&[b'x'; DATAGRAM], v4(1, 53));
        }
        Ok(Self { _servers, _clients: clients })
    }
}
