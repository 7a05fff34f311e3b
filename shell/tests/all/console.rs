//! What a transcript cannot show: long pastes, signals, timeouts, a director that is away, a reader that has enough.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fake::Director;
use crate::scripts::shell;
use crate::terminal::Terminal;

const SIZE: (u16, u16) = (24, 80);

fn web() -> Director {
    Director::start(include_str!("../configs/web.cfg"))
}

fn start(director: &Director, term: &str, arguments: &[&str]) -> Terminal {
    let mut terminal = Terminal::start(&director.socket, term, SIZE, arguments);
    if arguments.first() != Some(&"--login") {
        terminal.wait_for("a prompt", |screen| screen.text(0) == "lb1#");
    }
    terminal
}

/// A configuration of at least `lines` lines.
fn long_config(lines: usize) -> (String, usize) {
    let mut text = String::new();
    let mut servers = 0;
    while text.lines().count() < lines {
        servers += 1;
        let (a, b) = (servers / 250, servers % 250 + 1);
        text.push_str(&format!("virtual-server v{servers}\n virtual 203.0.{a}.{b} tcp 80\n scheduler wrr\n"));
        for n in 1..=5 {
            text.push_str(&format!(" real-server 10.{a}.{b}.{n} 8080\n  weight {}\n", n + 1));
        }
    }
    (text, servers)
}

/// Pastes 1,000 lines; not one may be lost, whoever reads them.
fn paste(term: &str, person: bool) {
    let director = web();
    let mut terminal = start(&director, term, &[]);
    let (text, servers) = long_config(1000);
    if person {
        terminal.send(b"c");
        terminal.wait_for("the editor", |screen| screen.text(0).ends_with("lb1#c"));
        terminal.send(b"onfigure terminal\r");
    } else {
        terminal.send(b"configure terminal\r");
    }
    terminal.wait_for("configuration mode", |screen| screen.text(0).ends_with("lb1(config)#"));
    let asked = director.lock().running_asked;
    terminal.send_long(text.replace('\n', "\r").as_bytes());
    terminal.send_long(b"end\r");
    terminal.wait_for("the end of the paste", |screen| screen.text(screen.row()) == "lb1#");
    let running = director.text();
    for line in text.lines() {
        assert!(running.contains(line), "lost: {line}");
    }
    assert_eq!(running.matches("virtual-server v").count(), servers);
    assert_eq!(running.matches("  weight ").count(), servers * 5 + 1, "each in its own real server");
    assert_eq!(director.lock().running_asked, asked, "a paste does not read the configuration again for every block");
    let shown = terminal.screen.text(0);
    assert!(!shown.contains("% Error") && !shown.contains("% Invalid"), "{shown}");
}

#[test]
fn a_script_pastes_a_thousand_lines() {
    paste("vt100", false);
}

#[test]
fn a_person_pastes_a_thousand_lines() {
    paste("vt100", true);
}

#[test]
fn a_dumb_terminal_pastes_a_thousand_lines() {
    paste("dumb", false);
}

#[test]
fn a_script_sees_no_escape_sequence() {
    let director = web();
    let mut terminal = start(&director, "vt100", &[]);
    for line in ["terminal length 0", "show running-config", "configure terminal", "interface eth0", "mtu 1400", "end"]
    {
        let row = terminal.screen.row();
        terminal.send(format!("{line}\n").as_bytes());
        terminal.wait_for(line, |screen| screen.row() > row && screen.text(screen.row()).ends_with('#'));
    }
    assert!(!terminal.screen.raw.contains(&0x1b));
    assert!(terminal.screen.raw.ends_with(b"lb1#"), "nothing stands behind a prompt");
}

#[test]
fn a_person_sees_only_what_a_vt100_knows() {
    let director = web();
    let mut terminal = start(&director, "vt100", &[]);
    terminal.send(b"s");
    terminal.wait_for("the editor", |screen| screen.text(0).ends_with("#s"));
    terminal.send(b"how pri\x01\x05\x17privilege\r");
    terminal.wait_for("the answer", |screen| screen.text(0).contains("level is 15\nlb1#"));
    let raw = String::from_utf8_lossy(&terminal.screen.raw).into_owned();
    assert!(!raw.contains("\x1b[?"), "no modes are set that simple terminals print as garbage");
}

#[test]
fn ctrl_c_stops_output_and_a_wait() {
    let director = web();
    director.lock().connections = 1_000;
    let mut terminal = start(&director, "vt100", &[]);
    terminal.send(b"drain real-server 10.0.20.11 wait\r");
    terminal.wait_for("the wait", |screen| screen.text(0).contains("connections left: "));
    terminal.send(b"\x03");
    terminal.wait_for("the prompt", |screen| screen.text(screen.row()) == "lb1#");
    assert!(director.text().contains("  drain"), "what was asked for stays done");
    terminal.send(b"show privilege\r");
    terminal.wait_for("the next command", |screen| screen.text(0).contains("level is 15"));
}

#[test]
fn a_terminal_that_hangs_up_drops_the_open_block() {
    let director = web();
    let mut terminal = start(&director, "vt100", &[]);
    terminal.send(b"configure terminal\rinterface eth0\rmtu 1400\r");
    terminal.wait_for("the open block", |screen| screen.text(0).ends_with("(config-if*)#"));
    drop(terminal);
    assert!(!director.text().contains("mtu"));
}

#[test]
fn an_idle_session_ends() {
    let director = web();
    let mut terminal = start(&director, "vt100", &["--idle", "2"]);
    terminal.send(b"configure terminal\rinterface eth0\rmtu 1400\r");
    assert_eq!(terminal.wait_end(), Some(0));
    let text = terminal.screen.text(0);
    assert!(text.contains("% Idle, this session ends soon") && text.contains("% Idle timeout"), "{text}");
    assert!(!director.text().contains("mtu"));
}

#[test]
fn an_idle_editor_ends_too() {
    let director = web();
    let mut terminal = start(&director, "vt100", &["--idle", "2"]);
    terminal.send(b"s");
    assert_eq!(terminal.wait_end(), Some(0));
}

#[test]
fn a_terminal_that_was_stopped_does_not_keep_an_idle_session() {
    let director = web();
    let mut terminal = start(&director, "dumb", &["--idle", "2"]);
    terminal.send(b"\x13");
    assert_eq!(terminal.wait_end(), Some(0));
}

#[test]
fn the_console_answers_without_a_director() {
    let director = web();
    let away = director.socket.with_file_name("away.sock");
    std::fs::rename(&director.socket, &away).unwrap();
    let mut terminal = Terminal::start(&director.socket, "vt100", SIZE, &["--login"]);
    terminal.wait_for("a word", |screen| screen.text(0).contains("waiting for the director"));
    std::fs::rename(&away, &director.socket).unwrap();
    terminal.wait_for("the login", |screen| screen.text(0).contains("login:"));
}

#[test]
fn a_session_survives_a_restart_of_the_director() {
    let mut director = web();
    let mut terminal = start(&director, "vt100", &[]);
    terminal.send(b"configure terminal\rinterface eth0\rmtu 1400\r");
    terminal.wait_for("the open block", |screen| screen.text(0).ends_with("(config-if*)#"));
    director.restart();
    terminal.send(b"exit\r");
    terminal.wait_for("the refusal", |screen| screen.text(0).contains("% Error: director: was restarted"));
    assert!(!director.text().contains("mtu"));
    terminal.send(b"exit\r");
    terminal.wait_for("the prompt", |screen| screen.text(0).ends_with("lb1(config)#"));
    assert!(director.text().contains("mtu 1400"));
    director.restart();
    terminal.send(b"hostname lb3\r");
    terminal.wait_for("a line that needs no look back", |screen| screen.text(0).ends_with("lb3(config)#"));
}

#[test]
fn a_reader_that_has_enough_ends_the_output_quietly() {
    let text = format!("username admin privilege 15\n{}", long_config(20_000).0);
    let director = Director::start(&text);
    let mut child = Command::new(env!("CARGO_BIN_EXE_shell"))
        .arg("--socket")
        .arg(&director.socket)
        .args(["-c", "show running-config"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let director = web();
    let mut terminal = start(&director, "vt100", &[]);
    terminal.send(b"show \xff\xfe privilege\r");
    terminal.wait_for("the answer", |screen| screen.text(0).contains("level is 15"));
    terminal.send(b"show clock\x00\x01\x02");
    // Ctrl-C drops what was typed ahead, so the line before it has to be there, and the one behind it has to wait for its prompt.
    terminal.wait_for("the line", |screen| screen.text(0).contains("#show clock"));
    terminal.send(b"\x03");
    terminal.wait_for("a fresh prompt", |screen| screen.text(0).ends_with("lb1#"));
    terminal.send(b"show privilege\r");
    terminal.wait_for("another answer", |screen| screen.text(0).matches("level is 15").count() == 2);
}

#[test]
#[expect(clippy::print_stdout, reason = "figures for cargo xtask bench")]
fn every_command_answers_within_fifty_milliseconds() {
    // A director of a thousand virtual servers; the time is that of a session, started and ended.
    let (text, _) = long_config(10_000);
    let director = Director::start(&text);
    let show = ["-c", "show privilege"].map(str::to_owned);
    let best = |arguments: &[String]| {
        let times = (0..5).map(|_| {
            let start = Instant::now();
            assert_eq!(shell(&director, arguments, "").2, 0);
            start.elapsed()
        });
        times.min().unwrap()
    };
    let limit = if cfg!(debug_assertions) { Duration::from_millis(500) } else { Duration::from_millis(50) };
    for command in ["show privilege", "show virtual-server v1", "show version | json"] {
        let took = best(&[show[0].clone(), command.to_owned()]);
        println!("{command}: {} ms (at most 50), 10,000 lines configured", took.as_millis());
        assert!(took < limit, "{command}: {took:?}");
    }
}
