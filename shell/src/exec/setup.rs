//! `setup`: six questions for a new box. It teaches the command line: what it makes are lines, shown before they are applied.

use std::net::IpAddr;

use yoke_config::model::Config;
use yoke_config::walk::{Meaning, Position, interpret};

use crate::outcome::{Fail, Stop};
use crate::session::Shell;
use crate::{secret, tty};

/// A question, the line its answer becomes, and what Enter means.
struct Question {
    text: &'static str,
    /// `{}` stands for the answer; several lines are blocks.
    lines: &'static [&'static str],
}

const QUESTIONS: [Question; 4] = [
    Question { text: "Name of this box", lines: &["hostname {}"] },
    Question { text: "Address of eth0, as 192.0.2.2/24", lines: &["interface eth0", "ip address {}"] },
    Question { text: "Gateway", lines: &["ip route 0.0.0.0/0 {}"] },
    Question { text: "Name server", lines: &["ip name-server {}"] },
];

pub(super) fn setup(shell: &mut Shell) -> Result<(), Fail> {
    if !shell.terminal.interactive {
        return Err(Fail::failed("setup: asks questions, needs a terminal"));
    }
    tty::show("Six questions; Enter leaves a thing as it is, Ctrl-C stops.\n\n");
    let mut lines: Vec<String> = Vec::new();
    for question in &QUESTIONS {
        lines.extend(ask(shell, question)?);
    }
    let user = shell.director.session().username;
    let mut shown = lines.clone();
    if shell.yes_or_no("New password for you?").ok_or(Stop::Interrupted)? {
        let plain =
            secret::ask_twice(&mut shell.editor.borrow_mut(), "Password: ", "Again: ").ok_or(Stop::Interrupted)?;
        lines.push(format!("username {user} secret sha512 {}", secret::hash(&plain)?));
        shown.push(format!("username {user} secret ..."));
    }
    let question = Question { text: "Public SSH key, as ssh-ed25519 AAAA... you@host", lines: &[] };
    if let Some(key) = answer(shell, &question, |key| valid(&[format!("username {user} ssh-key {key}")]))? {
        lines.push(format!("username {user} ssh-key {key}"));
        shown.push(format!("username {user} ssh-key {key}"));
    }
    if lines.is_empty() {
        return Ok(());
    }
    tty::show("\nThese lines will be applied:\n\n");
    shown.iter().for_each(|line| tty::show(&format!("{line}\n")));
    tty::show("\n");
    if !shell.yes_or_no("Apply them?").ok_or(Stop::Interrupted)? {
        return Ok(());
    }
    let base = shell.refresh()?.base;
    if shell.apply(&lines, base, &[], false)?.is_none() {
        return Err(Fail::failed("director: was restarted meanwhile, nothing was applied, use: setup"));
    }
    shell.refresh()?;
    tty::show("Applied. \"write memory\" keeps them over a restart.\n");
    Ok(())
}

/// The lines an answer becomes; asks again until they mean something.
fn ask(shell: &mut Shell, question: &Question) -> Result<Vec<String>, Fail> {
    let fill = |answer: &str| -> Vec<String> {
        let answer = answer.trim();
        let v6 = answer.split('/').next().and_then(|a| a.parse::<IpAddr>().ok()).is_some_and(|a| a.is_ipv6());
        let lines = question.lines.iter().map(|line| line.replace("{}", answer));
        // The same question serves both families; their lines differ in the first words.
        let family = |line: String| {
            if v6 {
                line.replace("ip address", "ipv6 address").replace("ip route 0.0.0.0/0", "ipv6 route ::/0")
            } else {
                line
            }
        };
        lines.map(family).collect()
    };
    Ok(answer(shell, question, |answer| valid(&fill(answer)))?.map(|answer| fill(&answer)).unwrap_or_default())
}

/// Asks until the answer is good or empty.
fn answer(
    shell: &mut Shell,
    question: &Question,
    good: impl Fn(&str) -> Result<(), String>,
) -> Result<Option<String>, Fail> {
    loop {
        let typed = shell.editor.borrow_mut().ask(&format!("{}: ", question.text)).ok_or(Stop::Interrupted)?;
        if typed.trim().is_empty() {
            return Ok(None);
        }
        match good(&typed) {
            Ok(()) => return Ok(Some(typed.trim().to_owned())),
            Err(why) => tty::show(&format!("% {why}\n")),
        }
    }
}

/// Whether lines mean something one after the other.
fn valid(lines: &[String]) -> Result<(), String> {
    let mut position = Position::CONFIG;
    for line in lines {
        match interpret(&position, line) {
            Ok(meaning @ Meaning::Edit { .. }) => position = position.after(&meaning),
            Ok(_) => return Err(format!("{line}: not a line of {}", Config::DEFAULT_HOSTNAME)),
            Err(error) => return Err(error.sentence(line)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_makes_lines_that_mean_something() {
        let answers = ["lb1", "192.0.2.2/24", "192.0.2.1", "192.0.2.53"];
        for (question, answer) in QUESTIONS.iter().zip(answers) {
            let lines: Vec<String> = question.lines.iter().map(|line| line.replace("{}", answer)).collect();
            assert_eq!(valid(&lines), Ok(()), "{}", question.text);
        }
        assert!(valid(&["ip route 0.0.0.0/0 nowhere".to_owned()]).is_err());
        assert_eq!(
            valid(&["username admin ssh-key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK ana@noc".to_owned()]),
            Ok(())
        );
    }
}
