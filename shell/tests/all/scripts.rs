//! What scripts see: `-c`, piped standard input, exit status, JSON, standard output apart from standard error.
//!
//! `UPDATE=1` writes what the shell says now into `tests/scripts/*.txt`.
//!
//! ```text
//! # A comment.
//! ! config web            as in transcripts
//! ! user noc
//! $ -c "show version"     runs the shell with these arguments
//! < show version          a line of its standard input
//! | Yoke 9.9.9            standard output
//! 2 % Error: ...          standard error
//! = 0                     exit status
//! ```

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::fake::Director;
use crate::files::{assert_all_known, folder};

/// Splits `-c "show version"` as a shell would, without escapes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in text.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Runs the shell; standard output, standard error, status.
pub(crate) fn shell(director: &Director, arguments: &[String], input: &str) -> (String, String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shell"))
        .arg("--socket")
        .arg(&director.socket)
        .args(arguments)
        .env("SSH_CONNECTION", "192.0.2.7 40000 192.0.2.1 22")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A shell that stops at an error does not read the rest.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

struct Player {
    config: String,
    user: String,
    director: Option<Director>,
}

impl Player {
    fn run(&mut self, arguments: &str, input: &str) -> String {
        let user = &self.user;
        let director = self.director.get_or_insert_with(|| {
            let director = Director::start(&self.config);
            director.lock().ssh_user.clone_from(user);
            director
        });
        let (out, err, status) = shell(director, &words(arguments), input);
        let mut seen = String::new();
        out.lines().for_each(|line| seen.push_str(format!("| {line}\n").as_str()));
        err.lines().for_each(|line| seen.push_str(format!("2 {line}\n").as_str()));
        let _ = writeln!(seen, "= {status}");
        seen
    }
}

fn run(name: &str) {
    let path = folder("scripts").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut player = Player { config: String::new(), user: "admin".to_owned(), director: None };
    let mut played = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        match line.split_at(line.len().min(2)) {
            ("! ", directive) => {
                let (word, value) = directive.split_once(' ').unwrap();
                player.director = None;
                match word {
                    "config" => {
                        player.config =
                            std::fs::read_to_string(folder("configs").join(format!("{value}.cfg"))).unwrap();
                    }
                    "user" => value.clone_into(&mut player.user),
                    other => panic!("! {other}: no such directive"),
                }
            }
            ("$" | "$ ", arguments) => {
                let mut input = String::new();
                let _ = writeln!(played, "{line}");
                while let Some(typed) = lines.next_if(|line| line.starts_with('<')) {
                    let _ = writeln!(played, "{typed}");
                    let _ = writeln!(input, "{}", typed.get(2..).unwrap_or_default());
                }
                let mut expected = String::new();
                while let Some(seen) = lines.next_if(|line| ["| ", "2 ", "= ", "|"].iter().any(|p| line.starts_with(p)))
                {
                    let _ = writeln!(expected, "{}", if seen == "|" { "| " } else { seen });
                }
                let seen = player.run(arguments, &input);
                if std::env::var_os("UPDATE").is_none() {
                    assert_eq!(seen, expected, "{name}: {line}\n{input}");
                }
                played.push_str(&seen);
                continue;
            }
            ("" | "# " | "#", _) => {}
            _ => panic!("{name}: {line}: not understood"),
        }
        let _ = writeln!(played, "{line}");
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, played).unwrap();
    }
}

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_script_is_run() {
            assert_all_known("scripts", &[$(stringify!($name)),*]);
        }
    };
}

scripts!(commands, json, piped);

#[test]
fn a_transfer_that_breaks_off_changes_nothing_of_its_block() {
    let director = Director::start(include_str!("../configs/web.cfg"));
    // What there is of `weight 100` is a weight too.
    let (_, said, status) = shell(
        &director,
        &[],
        "configure terminal\nvirtual-server www\n no real-server 10.0.20.11 8080\n real-server 10.0.20.13 8080\n  weight 1",
    );
    assert!(said.contains("line 5:") && said.contains("the input ended within this line"), "{said}");
    assert_eq!(status, 4);
    // Half of `no virtual-server other` would be all of them.
    assert_eq!(shell(&director, &[], "configure terminal\nno virtual-server").2, 4);
    let (shown, _, status) = shell(&director, &[], "show running-config virtual-server www");
    assert!(shown.contains("10.0.20.11 8080\n  weight 3") && !shown.contains("10.0.20.13"), "{shown}");
    assert_eq!(status, 0, "a command is whole without its end of line");
}

#[test]
fn lines_of_a_refused_block_are_not_taken_for_the_open_one() {
    let director = Director::start(include_str!("../configs/web.cfg"));
    let pasted = "terminal continue-on-error\nconfigure terminal\nvirtual-server www\n scheduler rr\ninterfce eth5\n shutdown\n description \"servers\"\nend\n";
    let (_, said, status) = shell(&director, &[], pasted);
    assert_eq!(said.matches("the line it belongs to was refused").count(), 2, "{said}");
    assert_eq!(status, 2, "that of the first");
    let (shown, ..) = shell(&director, &[], "show running-config virtual-server www\n");
    assert!(shown.contains("scheduler rr") && !shown.contains("shutdown") && !shown.contains("servers"), "{shown}");
}
