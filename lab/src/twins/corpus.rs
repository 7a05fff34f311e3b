//! Command lines of ipvsadm, made from a number: the same number, the same lines.
//!
//! Most are what people type, on few addresses, so that what exists is added again and what does not is edited. The rest is wrong in one of
//! the ways a line can be: a value out of its range, a name nobody knows, an option that does not belong, one too many, one without its value.
//! It knows no rules of the program: what becomes of a line is for the original to say.

use std::fmt;

use super::random::Random;

/// Lines a program plays from an empty table to an empty table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// In order.
    pub lines: Vec<Line>,
}

/// One command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// After the program's name.
    pub words: Vec<String>,
    /// Standard input.
    pub input: String,
}

impl Line {
    /// Of words with spaces between them.
    pub fn words(text: &str) -> Self {
        Self { words: text.split_whitespace().map(str::to_owned).collect(), input: String::new() }
    }

    /// Whether its output is a text that each program has of its own.
    pub fn is_own_text(&self) -> bool {
        self.words.first().is_some_and(|word| ["-h", "--help", "-v", "--version"].contains(&word.as_str()))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.words.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            let quote = if word.is_empty() || word.contains(' ') { "'" } else { "" };
            write!(f, "{space}{quote}{word}{quote}")?;
        }
        if !self.input.is_empty() {
            write!(f, " @{}", self.input.replace('\n', "\\n"))?;
        }
        Ok(())
    }
}

/// Lines of a block; a difference in one cannot spoil the next.
const BLOCK: usize = 40;

/// At least `lines` lines, in blocks.
pub fn blocks(seed: u64, lines: usize) -> Vec<Block> {
    let mut random = Random(seed);
    (0..lines.div_ceil(BLOCK)).map(|_| block(&mut random)).collect()
}

fn block(random: &mut Random) -> Block {
    // Few services, so that lines meet.
    let services: Vec<Service> = (0..5).map(|_| Service::any(random)).collect();
    let mut lines: Vec<Line> = services.iter().take(4).map(|service| line(add_service(random, service))).collect();
    for service in services.iter().take(4) {
        lines.push(line(add_server(random, service)));
    }
    while lines.len() < BLOCK {
        let service = random.pick(&services).clone();
        lines.push(any_line(random, &service));
    }
    Block { lines }
}

fn line(words: Vec<String>) -> Line {
    Line { words, input: String::new() }
}

fn any_line(random: &mut Random, service: &Service) -> Line {
    let mut words = match random.below(100) {
        0..12 => add_service(random, service),
        12..22 => edit_service(random, service),
        22..25 => with_service(random, &["-D", "--delete-service"], service),
        25..46 => add_server(random, service),
        46..57 => edit_server(random, service),
        57..61 => delete_server(random, service),
        61..79 => list(random, service),
        79..83 => spelled(random, &["-S", "--save"], &["-n", "--numeric"]),
        83..86 if random.chance(50) => with_service(random, &["-Z", "--zero"], service),
        83..86 => vec![random.word(&["-Z", "--zero"])],
        86..89 => set(random),
        89..94 => daemon(random),
        94..98 => return restore(random, service),
        98 => vec![random.word(&["-C", "--clear", "-h", "--help", "-v", "--version"])],
        _ => vec![random.word(&["--bogus", "-Q", "-", "--", "-n", "junk", "-A", "-a", "", "--zero=1", "-t", "--set"])],
    };
    if random.chance(8) {
        spoil(random, &mut words);
    }
    line(words)
}

/// Breaks a line in one of the ways it can be broken.
fn spoil(random: &mut Random, words: &mut Vec<String>) {
    let place = random.below(words.len() + 1);
    match random.below(6) {
        0 => drop(words.pop()),
        1 if place < words.len() => drop(words.remove(place)),
        2 if place < words.len() => words.push(words[place].clone()),
        3 => words.push(random.word(&["junk", "--bogus", "-Q", "--tun-type", "-w", "-x", "--syncid"])),
        4 => {
            let (flag, value) = random.one(EVERY_OPTION);
            words.push(flag.into());
            words.extend(value.map(str::to_owned));
        }
        _ => words.insert(place.min(words.len()), random.word(&["-n", "--sort", "--exact", "-m", "-6", "-o", "-A"])),
    }
}

const EVERY_OPTION: &[(&str, Option<&str>)] = &[
    ("-t", Some("10.0.0.1:80")),
    ("-u", Some("10.0.0.1:53")),
    ("--sctp-service", Some("10.0.0.1:5000")),
    ("-f", Some("1")),
    ("-6", None),
    ("-s", Some("rr")),
    ("-p", Some("60")),
    ("-M", Some("255.255.0.0")),
    ("--pe", Some("sip")),
    ("-b", Some("sh-port")),
    ("-o", None),
    ("-r", Some("10.1.1.1:80")),
    ("-g", None),
    ("-i", None),
    ("-m", None),
    ("--tun-type", Some("gue")),
    ("--tun-port", Some("6080")),
    ("--tun-nocsum", None),
    ("--tun-csum", None),
    ("--tun-remcsum", None),
    ("-w", Some("5")),
    ("-x", Some("100")),
    ("-y", Some("50")),
    ("-c", None),
    ("--timeout", None),
    ("--daemon", None),
    ("--stats", None),
    ("--rate", None),
    ("--exact", None),
    ("--thresholds", None),
    ("--persistent-conn", None),
    ("--tun-info", None),
    ("--sort", None),
    ("--nosort", None),
    ("-n", None),
    ("--syncid", Some("7")),
    ("--sync-maxlen", Some("1000")),
    ("--mcast-interface", Some("eth0")),
    ("--mcast-group", Some("224.0.1.1")),
    ("--mcast-port", Some("8849")),
    ("--mcast-ttl", Some("2")),
];

/// A service, as it is found again.
#[derive(Debug, Clone)]
struct Service {
    short: Option<&'static str>,
    long: &'static str,
    value: String,
    mark6: bool,
    v6: bool,
}

impl Service {
    fn any(random: &mut Random) -> Self {
        let (short, long) = random.one(&[
            (Some("-t"), "--tcp-service"),
            (Some("-t"), "--tcp-service"),
            (Some("-u"), "--udp-service"),
            (None, "--sctp-service"),
            (Some("-f"), "--fwmark-service"),
        ]);
        let v6 = random.chance(30);
        if short == Some("-f") {
            let value = random.word(&["1", "2", "7", "2147483647", "4294967295"]);
            return Self { short, long, value, mark6: v6, v6 };
        }
        let value = match v6 {
            true => random.word(&["[fd00::1]:80", "[fd00::2]:53", "fd00::3", "[fd00::1]:https", "[::1.2.3.4]:5060"]),
            false => random.word(&[
                "10.0.0.1:80",
                "10.0.0.2:443",
                "10.0.0.2:53",
                "10.0.0.4",
                "vip:80",
                "vip:domain",
                "255.1.2.3:5000",
                "10.0.0.9:0",
                "0x0a000003:8080",
            ]),
        };
        Self { short, long, value, mark6: false, v6 }
    }

    /// How it is typed, sometimes wrong.
    fn typed(&self, random: &mut Random) -> Vec<String> {
        let value = match random.below(100) {
            0..3 if self.short == Some("-f") => random.word(&["0", "-1", "abc", "4294967296", "0x10", ""]),
            0..3 => random.word(&["10.0.0.300:80", "nosuchhost:80", "10.0.0.1:99999", "10.0.0.1:abc", ":80", ""]),
            _ => self.value.clone(),
        };
        let mut words = option(random, self.short, self.long, &value);
        if self.mark6 {
            words.push(random.word(&["-6", "--ipv6"]));
        }
        words
    }
}

/// An option in one of its spellings.
fn option(random: &mut Random, short: Option<&str>, long: &str, value: &str) -> Vec<String> {
    match (random.below(10), short) {
        (0..5, Some(short)) => vec![short.into(), value.into()],
        (5, Some(short)) => vec![format!("{short}{value}")],
        (6, Some(short)) => vec![format!("{short}={value}")],
        (7, _) => vec![format!("{long}={value}")],
        _ => vec![long.into(), value.into()],
    }
}

/// A command and a flag, apart or, both being short, in one word.
fn spelled(random: &mut Random, command: &[&str], flag: &[&str]) -> Vec<String> {
    match random.below(4) {
        0 => vec![random.word(command)],
        1 => vec![format!("{}{}", command[0], flag[0].trim_start_matches('-'))],
        _ => vec![random.word(command), random.word(flag)],
    }
}

fn with_service(random: &mut Random, command: &[&str], service: &Service) -> Vec<String> {
    let mut words = vec![random.word(command)];
    words.extend(service.typed(random));
    words
}

/// Puts options behind a command, in any order.
fn assemble(random: &mut Random, command: String, mut options: Vec<Vec<String>>) -> Vec<String> {
    if random.chance(40) {
        random.shuffle(&mut options);
    }
    let mut words = vec![command];
    words.extend(options.into_iter().flatten());
    words
}

fn add_service(random: &mut Random, service: &Service) -> Vec<String> {
    let command = random.word(&["-A", "--add-service"]);
    service_line(random, command, service)
}

fn edit_service(random: &mut Random, service: &Service) -> Vec<String> {
    let command = random.word(&["-E", "--edit-service"]);
    service_line(random, command, service)
}

fn service_line(random: &mut Random, command: String, service: &Service) -> Vec<String> {
    const SCHEDULERS: &[&str] =
        &["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos", "none"];
    let mut options = vec![service.typed(random)];
    if random.chance(75) {
        let scheduler = if random.chance(4) {
            random.word(&["nosuch", "", "averyveryverylongname"])
        } else {
            random.word(SCHEDULERS)
        };
        let hashed = ["sh", "mh"].contains(&scheduler.as_str());
        options.push(option(random, Some("-s"), "--scheduler", &scheduler));
        if random.chance(if hashed { 70 } else { 3 }) {
            let flags = random.word(&[
                "sh-port",
                "sh-fallback",
                "sh-fallback,sh-port",
                "mh-port",
                "mh-fallback,mh-port",
                "flag-1",
                "flag-1,flag-2,flag-3",
                "nonsense",
            ]);
            options.push(option(random, Some("-b"), "--sched-flags", &flags));
        }
    }
    if random.chance(45) {
        options.push(match random.below(5) {
            0 => vec![random.word(&["-p", "--persistent"])],
            1 => vec![random.word(&["-p", "--persistent"]), random.word(&["0", "-5", "abc", "2678401"])],
            _ => {
                let seconds = random.word(&["1", "60", "3600", "2678400"]);
                option(random, Some("-p"), "--persistent", &seconds)
            }
        });
    }
    if random.chance(30) {
        let mask = match service.v6 {
            true => random.word(&["64", "128", "1", "0", "129", "abc"]),
            false => random.word(&["255.255.255.0", "255.0.0.0", "255.255.255.255", "0.0.0.0", "300.0.0.0", "24"]),
        };
        options.push(option(random, Some("-M"), "--netmask", &mask));
    }
    if random.chance(if service.short == Some("-u") { 30 } else { 5 }) {
        options.push(vec![random.word(&["-o", "--ops"])]);
    }
    if random.chance(12) {
        let engine = random.word(&["sip", "sip", "sip", "nosuch"]);
        options.push(option(random, None, "--pe", &engine));
    }
    assemble(random, command, options)
}

fn add_server(random: &mut Random, service: &Service) -> Vec<String> {
    let command = random.word(&["-a", "--add-server"]);
    server_line(random, command, service)
}

fn edit_server(random: &mut Random, service: &Service) -> Vec<String> {
    let command = random.word(&["-e", "--edit-server"]);
    server_line(random, command, service)
}

fn server_of(random: &mut Random, service: &Service) -> Vec<String> {
    let server = match random.below(20) {
        0 => random.word(&["10.1.1.300", "nosuch", "224.0.0.1:80", "255.255.255.255", "10.1.1.1:99999", "0.0.0.0", ""]),
        1..4 => random.word(&["10.1.1.1", "fd00:1::1"]),
        _ if service.v6 => random.word(&["[fd00:1::1]:80", "[fd00:1::2]:8080", "fd00:1::3", "[fe80::1]:80"]),
        _ => random.word(&["10.1.1.1:80", "10.1.1.2:8080", "10.1.1.3", "rs1:http", "10.1.1.1:80", "127.0.0.1:80"]),
    };
    option(random, Some("-r"), "--real-server", &server)
}

fn server_line(random: &mut Random, command: String, service: &Service) -> Vec<String> {
    let mut options = vec![service.typed(random), server_of(random, service)];
    match random.below(12) {
        0..2 => {}
        2..5 => options.push(vec![random.word(&["-g", "--gatewaying"])]),
        5..8 => options.push(vec![random.word(&["-m", "--masquerading"])]),
        _ => {
            options.push(vec![random.word(&["-i", "--ipip"])]);
            if random.chance(70) {
                options.extend(tunnel(random));
            }
        }
    }
    for (short, long, percent) in [("-w", "--weight", 60), ("-x", "--u-threshold", 25), ("-y", "--l-threshold", 20)] {
        if random.chance(percent) {
            let value = match random.below(15) {
                0 => random.word(&["-1", "abc", "2147483648", "", "1.5"]),
                1 => random.word(&["65535", "65536", "2147483647"]),
                _ => random.word(&["0", "1", "2", "5", "10", "100", "1000"]),
            };
            options.push(option(random, Some(short), long, &value));
        }
    }
    assemble(random, command, options)
}

fn tunnel(random: &mut Random) -> Vec<Vec<String>> {
    let kind = random.word(&["ipip", "gue", "gue", "gre", "gre", "vxlan"]);
    let mut options = vec![option(random, None, "--tun-type", &kind)];
    if random.chance(if kind == "gue" { 85 } else { 8 }) {
        let port = random.word(&["6080", "1", "65535", "0", "65536", "abc"]);
        options.push(option(random, None, "--tun-port", &port));
    }
    if random.chance(50) {
        options.push(vec![random.word(&["--tun-nocsum", "--tun-csum", "--tun-remcsum"])]);
    }
    options
}

fn delete_server(random: &mut Random, service: &Service) -> Vec<String> {
    let mut words = with_service(random, &["-d", "--delete-server"], service);
    words.extend(server_of(random, service));
    words
}

fn list(random: &mut Random, service: &Service) -> Vec<String> {
    let mut words = spelled(random, &["-L", "-l", "--list"], &["-n", "--numeric"]);
    let columns = ["--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info"];
    match random.below(10) {
        0 => words.push(random.word(&["-c", "--connection"])),
        1 => words.push("--timeout".into()),
        2 => words.push("--daemon".into()),
        3..5 => words.extend(service.typed(random)),
        _ => {}
    }
    for (words_of, percent) in [
        (&columns[..], 55),
        (&columns, 6),
        (&["--exact"], 20),
        (&["--sort"], 10),
        (&["--nosort"], 12),
        (&["--numeric"], 10),
    ] {
        if random.chance(percent) {
            words.push(random.word(words_of));
        }
    }
    words
}

fn set(random: &mut Random) -> Vec<String> {
    let count = if random.chance(85) { 3 } else { random.below(5) };
    let mut words = vec!["--set".to_owned()];
    words.extend((0..count).map(|_| random.word(&["0", "1", "60", "300", "900", "28800", "2678400", "2678401", "x"])));
    words
}

fn daemon(random: &mut Random) -> Vec<String> {
    let start = random.chance(65);
    let role = random.word(&["master", "master", "backup", "backup", "nobody"]);
    let command = if start { "--start-daemon" } else { "--stop-daemon" };
    let mut words = option(random, None, command, &role);
    for (long, values, percent) in [
        ("--mcast-interface", &["eth0", "dummy0", "nosuch", "averyveryverylongname"][..], 60),
        ("--syncid", &["0", "7", "255", "256", "-1"], 50),
        ("--sync-maxlen", &["1000", "1472", "0", "65507", "65508"], 35),
        ("--mcast-group", &["224.0.1.2", "239.1.1.1", "ff05::1", "10.0.0.1"], 35),
        ("--mcast-port", &["8849", "1", "0", "65536"], 35),
        ("--mcast-ttl", &["1", "255", "0", "256"], 35),
    ] {
        if random.chance(if start { percent } else { percent / 6 }) {
            let value = random.word(values);
            words.extend(option(random, None, long, &value));
        }
    }
    words
}

/// Lines on standard input, some of which may be refused or wrong.
fn restore(random: &mut Random, service: &Service) -> Line {
    let mut input = String::new();
    for _ in 0..2 + random.below(7) {
        let words = match random.below(10) {
            0..2 => add_service(random, service),
            2..7 => add_server(random, service),
            7 => edit_server(random, service),
            8 => list(random, service),
            _ => vec![random.word(&["", "-R", "-C", "junk", "ipvsadm -L", "--set 1 2 3", "-A", "# no comment"])],
        };
        // A word with a space or nothing in it cannot be said on standard input.
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        input += &(words.join(" ") + "\n");
    }
    Line { words: vec![random.word(&["-R", "--restore"])], input }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_always_makes_the_same_lines_and_another_makes_others() {
        assert_eq!(blocks(1, 100), blocks(1, 100));
        assert_ne!(blocks(1, 100), blocks(2, 100));
        assert!(blocks(1, 100).iter().map(|block| block.lines.len()).sum::<usize>() >= 100);
    }

    #[test]
    fn every_command_and_option_is_among_them() {
        let text: String =
            blocks(1, 600).iter().flat_map(|block| &block.lines).map(|line| format!("{line} ")).collect();
        let commands = ["-A", "-E", "-D", "-a", "-e", "-d", "-L", "-l", "-S", "-R", "-Z", "-C", "--set"];
        let options = EVERY_OPTION.iter().map(|(word, _)| *word);
        for word in commands.into_iter().chain(["--start-daemon", "--stop-daemon"]).chain(options) {
            assert!(text.contains(&format!("{word} ")) || text.contains(&format!("{word}=")), "{word}");
        }
    }
}
