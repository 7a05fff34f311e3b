//! Transcripts: files of what is typed and what the screen shows, played on a real pty against the fake director.
//!
//! `UPDATE=1 cargo test -p yoke-shell` writes what the shell shows now into the files; read the difference before it is committed.
//!
//! ```text
//! # A comment.
//! ! config web            the director's configuration, tests/configs/web.cfg; none: factory-fresh
//! ! term dumb             TERM, else vt100
//! ! size 10 80            rows and columns, else 24 80
//! ! user noc              whom an SSH session belongs to, else admin
//! ! enable SECRET         what enable needs
//! ! start --login         starts the shell with these arguments
//! > show version<Enter>   typed at once, as scripts do
//! ~ show ver<Tab>         typed key by key, as people do
//! | lb1#show version      what the screen shows from the line of the cursor on
//! ! other LINE; LINE      another administrator applies lines
//! ! also USER, LINE, FROM USER is in configuration mode too
//! ! configuring true      whether the director was told that the session is in configuration mode
//! ! message TEXT          the director has a message for terminals
//! ! exit 0                the shell has ended with this status
//! ```

use std::fmt::Write;
use std::time::{Duration, Instant};

use yoke_director::status::SessionRow;

use crate::fake::Director;
use crate::files::{assert_all_known, folder};
use crate::terminal::{DEADLINE, Terminal};

/// When updating, this long without output is taken as the end of an answer.
const QUIET: Duration = Duration::from_millis(700);

/// A line of the file with the rows below it.
struct Step {
    line: String,
    rows: Vec<String>,
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix('|') {
            Some(row) => {
                let row = row.strip_prefix(' ').unwrap_or(row);
                steps.last_mut().expect("a row follows a step").rows.push(row.to_owned());
            }
            None => steps.push(Step { line: line.to_owned(), rows: Vec::new() }),
        }
    }
    steps
}

/// `<Enter>` and its kin as bytes.
fn keys(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|after| after.split_once('>'));
        let (key, after) = match named {
            Some(("Enter", after)) => (b"\r".to_vec(), after),
            Some(("Tab", after)) => (b"\t".to_vec(), after),
            Some(("BS", after)) => (b"\x7f".to_vec(), after),
            Some(("Up", after)) => (b"\x1b[A".to_vec(), after),
            Some(("Left", after)) => (b"\x1b[D".to_vec(), after),
            Some((name, after)) if name.starts_with("C-") => (vec![name.as_bytes()[2] & 0x1f], after),
            _ => (rest.as_bytes()[..c.len_utf8()].to_vec(), &rest[c.len_utf8()..]),
        };
        bytes.extend(key);
        rest = after;
    }
    bytes
}

struct Player {
    director: Option<Director>,
    terminal: Option<Terminal>,
    config: String,
    term: String,
    size: (u16, u16),
    user: String,
    enable: Option<String>,
    /// A key has been typed alone, and the editor draws since.
    person: bool,
    /// Row of the cursor when the last step ended.
    from: usize,
}

impl Player {
    fn play(&mut self, step: &Step, update: bool) -> Vec<String> {
        let (kind, text) = step.line.split_at(step.line.len().min(2));
        match kind.trim() {
            "!" => self.direct(text),
            ">" => self.terminal.as_mut().unwrap().send(&keys(text)),
            "~" => self.type_slowly(&keys(text)),
            _ => return Vec::new(),
        }
        let Some(terminal) = &mut self.terminal else { return Vec::new() };
        if update {
            while terminal.pump(QUIET) {}
        } else {
            let wanted = step.rows.join("\n");
            let deadline = Instant::now() + DEADLINE;
            while terminal.screen.text(self.from) != wanted && Instant::now() < deadline {
                // A shell that has ended says no more.
                if step.rows.is_empty() || (!terminal.pump(Duration::from_millis(200)) && Instant::now() > deadline) {
                    break;
                }
            }
        }
        if step.rows.is_empty() && !update {
            return Vec::new();
        }
        let shown: Vec<String> = terminal.screen.text(self.from).split('\n').map(str::to_owned).collect();
        self.from = terminal.screen.row();
        if kind.trim() == "!" && !text.starts_with("start") { Vec::new() } else { shown }
    }

    fn direct(&mut self, text: &str) {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "config" => {
                let path = folder("configs").join(format!("{rest}.cfg"));
                self.config = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            }
            "term" => rest.clone_into(&mut self.term),
            "size" => {
                let mut numbers = rest.split(' ').map(|n| n.parse().unwrap());
                self.size = (numbers.next().unwrap(), numbers.next().unwrap());
            }
            "user" => rest.clone_into(&mut self.user),
            "enable" => self.enable = Some(rest.to_owned()),
            "start" => {
                let director = Director::start(&self.config);
                director.lock().ssh_user.clone_from(&self.user);
                director.lock().enable.clone_from(&self.enable);
                let arguments: Vec<&str> = rest.split_whitespace().collect();
                self.terminal = Some(Terminal::start(&director.socket, &self.term, self.size, &arguments));
                (self.director, self.from, self.person) = (Some(director), 0, false);
            }
            "other" => {
                let lines: Vec<&str> = rest.split(';').map(str::trim).collect();
                self.director.as_ref().unwrap().other_admin(&lines);
            }
            "also" => {
                let words: Vec<&str> = rest.split(',').map(str::trim).collect();
                let [username, line, from] = words[..] else { panic!("! also USER, LINE, FROM") };
                let [username, line, from] = [username, line, from].map(str::to_owned);
                let row = SessionRow { username, line, from, privilege: 15, since_s: 72, configuring: true };
                self.director.as_ref().unwrap().lock().others.push(row);
            }
            "configuring" => {
                let known = self.director.as_ref().unwrap().lock().configuring;
                assert_eq!(known.to_string(), rest, "whether the director was told");
            }
            "message" => self.director.as_ref().unwrap().lock().messages.push(rest.to_owned()),
            "exit" => {
                let status = self.terminal.as_mut().unwrap().wait_end();
                assert_eq!(status.map(|code| code.to_string()).as_deref(), Some(rest), "exit status");
            }
            "stopped" => {
                assert_eq!(self.director.as_ref().unwrap().lock().stopped.as_deref(), Some(rest));
            }
            other => panic!("! {other}: no such directive"),
        }
    }

    /// The first key has to be seen to arrive alone; from then on the editor draws, however fast the keys come.
    fn type_slowly(&mut self, bytes: &[u8]) {
        let from = self.from;
        let terminal = self.terminal.as_mut().unwrap();
        let (first, rest) = bytes.split_at(if std::mem::replace(&mut self.person, true) { 0 } else { 1 });
        if !first.is_empty() {
            let before = terminal.screen.text(from);
            terminal.send(first);
            terminal.wait_for("the first key", |screen| screen.text(from) != before);
        }
        terminal.send(rest);
    }
}

fn run(name: &str) {
    let path = folder("transcripts").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let update = std::env::var_os("UPDATE").is_some();
    let mut player = Player {
        director: None,
        terminal: None,
        config: String::new(),
        term: "vt100".to_owned(),
        size: (24, 80),
        user: "admin".to_owned(),
        enable: None,
        person: false,
        from: 0,
    };
    let mut played = String::new();
    for step in parse(&text) {
        let shown = player.play(&step, update);
        let _ = writeln!(played, "{}", step.line);
        for row in &shown {
            let _ = writeln!(played, "{}", format!("| {row}").trim_end_matches('\n'));
        }
        if !update && !step.rows.is_empty() {
            assert_eq!(shown.join("\n"), step.rows.join("\n"), "{name}: after {}", step.line);
        }
    }
    if update {
        std::fs::write(&path, played).unwrap();
    }
}

macro_rules! transcripts {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_transcript_is_played() {
            assert_all_known("transcripts", &[$(stringify!($name)),*]);
        }
    };
}

transcripts!(
    blocks,
    conflict,
    dumb,
    editing,
    errors,
    first_password,
    help,
    login,
    messages,
    netmiko,
    paging,
    power,
    privilege,
    setup,
    show,
    two_operators,
    walk_up
);
