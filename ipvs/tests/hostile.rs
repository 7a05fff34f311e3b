//! What nobody would send, and nothing may panic at: netlink messages that are well formed and make no sense, texts for `-R`, lines of the
//! connection table, datagrams of sync.
//!
//! `PROPTEST_CASES` says how many of each: 256 in every run, a million (`cargo test --release -p ipvs --test hostile`) when a parser changes.
//! Coverage-guided fuzzing was weighed: these formats have no magic numbers or checksums that blind generation would not get past, since the
//! messages made here are right in length and nesting and wrong in everything else; and it would need a compiler that the project does not use.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use ipvs::ipvsadm::{self, Io, Names};
use ipvs::sync::{Ending, emit};
use ipvs::wire::{Body, Request, messages};
use ipvs::{Client, Daemon, Family, Info, ObservedDestination, ObservedService, Timeouts, connections};
use proptest::collection::vec;
use proptest::prelude::*;
use support::fake::Fake;

/// Attributes in attributes: of numbers that are used and some that are not, of lengths that are usual and some that are not.
fn attributes() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => vec(any::<u8>(), 0..5),
        2 => vec(any::<u8>(), 16..=16),
        2 => "[a-z]{0,17}\0?".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..70),
    ];
    let leaf = (0u16..24, any::<bool>(), payload).prop_map(|(kind, flag, payload)| attribute(kind, flag, &payload));
    leaf.prop_recursive(3, 48, 14, |inner| {
        (0u16..24, any::<bool>(), vec(inner, 0..14))
            .prop_map(|(kind, flag, inner)| attribute(kind, flag, &inner.concat()))
    })
}

fn attribute(kind: u16, nested: bool, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend((if nested { kind | 0x8000 } else { kind }).to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message of some family, with the header of generic netlink.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![Just(2u16), Just(3), Just(0x23), any::<u16>()];
    (kind, any::<u16>(), any::<u8>(), vec(attributes(), 0..4)).prop_map(|(kind, flags, command, attributes)| {
        let body = attributes.concat();
        let mut bytes = u32::try_from(20 + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0, command, 1, 0, 0]);
        bytes.extend(body);
        bytes
    })
}

/// A word of ipvsadm's, or of nobody's.
fn word() -> impl Strategy<Value = String> {
    let flags = vec![
        "-A",
        "-E",
        "-D",
        "-a",
        "-e",
        "-d",
        "-C",
        "-R",
        "-S",
        "-Z",
        "-L",
        "-t",
        "-u",
        "-f",
        "-s",
        "-p",
        "-M",
        "-r",
        "-g",
        "-i",
        "-m",
        "-w",
        "-x",
        "-y",
        "-o",
        "-b",
        "-n",
        "-6",
        "--set",
        "--pe",
        "--sctp-service",
        "--start-daemon",
        "--stop-daemon",
        "--syncid",
        "--mcast-interface",
        "--mcast-group",
        "--tun-type",
        "--tun-port",
        "--tun-csum",
        "--",
        "-",
    ];
    let values = vec![
        "10.0.0.1:80",
        "10.1.1.1",
        "[fd00::1]:53",
        "[",
        "]:",
        ":",
        "0",
        "1",
        "-1",
        "65535",
        "65536",
        "4294967295",
        "99999999999999999999",
        "rr",
        "mh",
        "sip",
        "gue",
        "master",
        "255.255.255.0",
        "128",
        "",
        "\u{e9}",
        "\0",
    ];
    prop_oneof![
        6 => prop::sample::select(flags).prop_map(str::to_owned),
        6 => prop::sample::select(values).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "-[a-zA-Z]{1,6}",
        1 => "--[a-z-]{1,16}(=[0-9a-z:.]{0,8})?",
    ]
}

/// Lines that are right.
const RIGHT: [&str; 8] = [
    "-A -t 10.0.0.1:80 -s rr -p 60 -M 255.255.255.0",
    "-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 3 -x 100 -y 50",
    "-a -t 10.0.0.1:80 -r 10.1.1.2 -i --tun-type gue --tun-port 6080",
    "-A -f 7 -6 -s mh -b mh-port",
    "-a -f 7 -6 -r [fd00::1]:0 -g",
    "-E -t 10.0.0.1:80 -s wlc -o",
    "-e -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 0",
    "--set 28800 60 300",
];

/// A line that is right, or was but for a word or two, or never was.
fn line() -> impl Strategy<Value = String> {
    let spoiled = (prop::sample::select(RIGHT.to_vec()), vec((any::<prop::sample::Index>(), word()), 0..3));
    let spoiled = spoiled.prop_map(|(right, changes)| {
        let mut words: Vec<String> = right.split(' ').map(str::to_owned).collect();
        for (place, word) in changes {
            let place = place.index(words.len());
            words[place] = word;
        }
        words.join(" ")
    });
    prop_oneof![3 => spoiled, 1 => vec(word(), 0..9).prop_map(|words| words.join(" "))]
}

fn play(kernel: &mut Fake, words: &[&str], text: &str) {
    let Ok(line) = ipvsadm::read(words, &Names::default()) else { return };
    let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), text.as_bytes());
    let names = Names::default();
    let mut io =
        Io { input: &mut input, out: &mut out, err: &mut err, names: &names, connections: Path::new("/nonexistent") };
    let mut client = Client::with_transport(kernel).unwrap();
    let _ = ipvsadm::run(&mut client, &mut io, &line);
}

proptest! {
    #[test]
    fn messages_that_make_no_sense_are_errors_or_values(sent in vec(message(), 1..4)) {
        for message in messages(&sent.concat()).flatten() {
            if let Body::Family { attributes, .. } = message.body {
                let _ = ObservedService::parse(attributes);
                let _ = ObservedDestination::parse(attributes, Family::V4);
                let _ = ObservedDestination::parse(attributes, Family::V6);
                let _ = Daemon::parse(attributes);
                let _ = Timeouts::parse(attributes);
                let _ = Info::parse(attributes);
            }
        }
        for message in &sent {
            let _ = Request::parse(message);
        }
    }

    #[test]
    fn texts_to_restore_are_refused_or_done(lines in vec(line(), 0..8), how in 0usize..3) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let how: &[&str] = [&["-R"][..], &["-R", "--replace"], &["-R", "--replace", "--dry-run"]][how];
        let mut kernel = Fake::default();
        play(&mut kernel, how, &text);
        // What it made of it can be saved, and is the same when it is restored.
        let mut out = Vec::new();
        let line = ipvsadm::read(&["-S", "-n", "--full"], &Names::default()).unwrap();
        let names = Names::default();
        let mut io = Io {
            input: &mut std::io::empty(),
            out: &mut out,
            err: &mut Vec::new(),
            names: &names,
            connections: Path::new("/nonexistent"),
        };
        ipvsadm::run(&mut Client::with_transport(&mut kernel).unwrap(), &mut io, &line).unwrap();
        let mut again = Fake::default();
        play(&mut again, &["-R"], std::str::from_utf8(&out).unwrap());
        prop_assert_eq!(again.table, kernel.table);
    }

    #[test]
    fn words_of_a_command_line_are_refused_or_done(words in vec(word(), 0..9)) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        play(&mut Fake::default(), &words, "");
    }

    #[test]
    fn lines_of_connections_are_bytes(line in vec(any::<u8>(), 0..120), words in "(TCP|UDP|IP)( [0-9A-F:]{0,39}){0,8}( [a-z ]{0,9})?") {
        let _ = connections::parse_line(&line);
        if let Ok(Some(connection)) = connections::parse_line(&words)
            && let Some(ending) = Ending::of(&connection)
        {
            let mut datagram = Vec::new();
            prop_assert_eq!(emit(1, &[ending], 1472, &mut datagram), 1);
            prop_assert_eq!(usize::from(u16::from_be_bytes([datagram[2], datagram[3]])), datagram.len());
        }
    }
}
