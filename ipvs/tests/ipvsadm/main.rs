//! What the original printed, line by line: `tests/ipvsadm/*.transcript`, recorded in a virtual machine with Debian's ipvsadm 1.31 and
//! Linux 6.12, against this program on a kernel made of a table.
//!
//! Its recorder is `record.sh` there. `### line` is a command line, `rc=` its exit status, `o|` and `e|` what it printed. ` @` in a line begins its standard input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

mod counters;
mod ours;

use std::io::Write as _;

use ipvs::Client;
use ipvs::ipvsadm::{self, Io, Names};

use self::support::fake::Fake;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ipvsadm")
}

fn read(name: &str) -> String {
    let path = directory().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words as a shell splits them, as far as the transcripts need: quotes, no escapes.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// `printf %b`, as far as the transcripts need.
fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
}

/// Runs a line and says what happened, in a transcript's form.
fn run_line(kernel: &mut Fake, names: &Names, connections: &Path, line: &str) -> String {
    let (words, input) = line.split_once(" @").unwrap_or((line, ""));
    let words = if words == "(none)" { Vec::new() } else { shell_words(words) };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let input = unescaped(input);
    let mut input = input.as_bytes();
    let mut io = Io { input: &mut input, out: &mut out, err: &mut err, names, connections };
    let mut client = Client::with_transport(kernel).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = ipvsadm::read(&words, names).and_then(|line| ipvsadm::run(&mut client, &mut io, &line));
    let status = match done {
        Ok(()) => 0,
        Err(failure) => {
            writeln!(err, "{failure}").unwrap();
            failure.status()
        }
    };
    let mut said = format!("rc={status}\n");
    for (mark, text) in [("o|", out), ("e|", err)] {
        for line in String::from_utf8(text).unwrap().lines() {
            said += &format!("{mark}{line}\n");
        }
    }
    said
}

/// `connections` is what the kernel's connection table reads as.
fn replay(name: &str, connections: &str) {
    let names = Names::parse(&read("hosts"), &read("services"));
    let connections = directory().join(connections);
    let mut kernel = Fake::default();
    let text = read(name);
    let mut wrong = Vec::new();
    let mut count = 0;
    for step in text.split("### ").skip(1) {
        let (line, expected) = step.split_once('\n').unwrap();
        let said = run_line(&mut kernel, &names, &connections, line);
        count += 1;
        if said != expected {
            wrong.push(format!("### {line}\n--- ipvsadm\n{expected}--- here\n{said}"));
        }
    }
    assert!(count > 0, "{name} is empty");
    assert!(wrong.is_empty(), "{} of {count} lines of {name} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn services() {
    replay("services.transcript", "no_ip_vs_conn.txt");
}

#[test]
fn servers_lists_and_restore() {
    replay("servers.transcript", "no_ip_vs_conn.txt");
}

#[test]
fn every_option_with_every_command() {
    replay("rules.transcript", "no_ip_vs_conn.txt");
}

#[test]
fn values_at_their_limits() {
    replay("values.transcript", "no_ip_vs_conn.txt");
}

#[test]
fn generated_lines() {
    replay("generated.transcript", "no_ip_vs_conn.txt");
}

#[test]
fn what_is_judged_when() {
    replay("order.transcript", "no_ip_vs_conn.txt");
}

#[test]
fn connections() {
    replay("connections.transcript", "ip_vs_conn.txt");
}
