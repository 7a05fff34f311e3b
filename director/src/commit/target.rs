//! From what is asked for to the tree it leads to: lines become edits, passwords in clear become hashes, and what others changed since is merged.
//!
//! Nothing takes effect here, and nothing is checked beyond what a line means.

use std::net::IpAddr;

use yoke_config::model::Config;
use yoke_config::tree::{self, Tree};
use yoke_config::walk::{self, Meaning, Position};
use yoke_director::secret;
use yoke_director::status::{Refusal, RefusalKind};

use super::Change;
use crate::accounts;
use crate::director::Director;
use crate::past::Conflict;

/// The tree a change leads to, and a sentence for each `no` that had nothing to remove.
pub(super) async fn target(director: &Director, change: Change) -> Result<(Tree, Vec<String>), Refusal> {
    let refuse = |kind, problems| Err(Refusal { kind, problems });
    match change {
        Change::Lines { base, lines, force } => {
            let edits = parse(hash_secrets(lines).await?)?;
            let state = director.state();
            let mut forced = Tree::clone(&state.running.tree);
            let absent = forced.edit_all(&edits).into_iter().map(absent).collect();
            if force {
                return Ok((forced, absent));
            }
            state.past.merge(base, &edits).map(|tree| (tree, absent)).or_else(|conflict| match conflict {
                Conflict::Changed(problems) => refuse(RefusalKind::NotApplied, problems),
                Conflict::TooOld => {
                    let why =
                        "the configuration these lines were typed against is no longer known, type them again or force";
                    refuse(RefusalKind::NotApplied, vec![why.to_owned()])
                }
            })
        }
        Change::Replace { text } => {
            let lines = hash_secrets(text.lines().map(str::to_owned).collect()).await?;
            let (tree, rejected) = tree::load(&lines.join("\n"));
            if rejected.is_empty() {
                return Ok((tree, Vec::new()));
            }
            let problems =
                rejected.iter().map(|r| format!("line {}: {}: {}", r.number, shown(&r.text), r.why)).collect();
            refuse(RefusalKind::Syntax, problems)
        }
        Change::Drain { drain, address, port, virtual_server } => {
            let state = director.state();
            let lines = drain_lines(&state.running.config, drain, address, port, virtual_server.as_deref());
            if lines.is_empty() {
                let port = port.map_or_else(String::new, |port| format!(" {}", port_word(port)));
                let of = virtual_server.map_or_else(String::new, |name| format!(" in virtual-server {name}"));
                return refuse(
                    RefusalKind::Failed,
                    vec![format!("real-server {address}{port}: no such real server{of}")],
                );
            }
            let mut tree = Tree::clone(&state.running.tree);
            tree.edit_all(&parse(lines)?);
            Ok((tree, Vec::new()))
        }
        Change::First { lines } => {
            let state = director.state();
            if accounts::credential_exists(&state.running.config) {
                return refuse(RefusalKind::Denied, vec!["a credential exists, log in".to_owned()]);
            }
            let mut tree = Tree::clone(&state.running.tree);
            tree.edit_all(&parse(lines)?);
            Ok((tree, Vec::new()))
        }
    }
}

/// That there was nothing to remove is no error: who removes something twice, such as a script, has what is wanted.
fn absent(edit: &tree::Edit) -> String {
    let words: Vec<String> = edit.path.iter().chain([&edit.key]).map(ToString::to_string).collect();
    format!("no such line: {}", words.join(": "))
}

fn parse(lines: Vec<String>) -> Result<Vec<tree::Edit>, Refusal> {
    tree::parse_edits(&lines).map_err(|rejected| {
        let problem = format!("line {}: {}: {}", rejected.number, shown(&rejected.text), rejected.why);
        Refusal { kind: RefusalKind::Syntax, problems: vec![problem] }
    })
}

/// A line as a message may show it.
fn shown(line: &str) -> String {
    if walk::looks_secret(line) { "(a line with a secret)".to_owned() } else { line.trim().to_owned() }
}

/// Replaces passwords in clear by their hashes. The shell does so where they are typed; a file that is pasted may hold one all the same.
async fn hash_secrets(mut lines: Vec<String>) -> Result<Vec<String>, Refusal> {
    for line in &mut lines {
        if !walk::looks_secret(line) {
            continue;
        }
        if let Ok(Meaning::Secret { line: words, plain: Some(plain) }) = walk::interpret(&Position::CONFIG, line) {
            let hash = tokio::task::spawn_blocking(move || secret::hash(&plain)).await.expect("hashing does not panic");
            let failed = |e| Refusal { kind: RefusalKind::Failed, problems: vec![format!("{words}: {e}")] };
            *line = format!("{words} sha512 {}", hash.map_err(failed)?);
        }
    }
    Ok(lines)
}

fn drain_lines(config: &Config, drain: bool, address: IpAddr, port: Option<u16>, only: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    let word = if drain { "drain" } else { "no drain" };
    for (name, server) in &config.virtual_servers {
        if only.is_some_and(|only| name.as_str() != only) {
            continue;
        }
        let matching = server.real_servers.keys().filter(|&&(a, p)| a == address && port.is_none_or(|port| p == port));
        for (address, port) in matching {
            lines.push(format!("virtual-server {name}"));
            lines.push(format!(" real-server {address} {}", port_word(*port)));
            lines.push(format!("  {word}"));
        }
    }
    lines
}

/// A port as it is printed.
pub(crate) fn port_word(port: u16) -> String {
    if port == 0 { "any".to_owned() } else { port.to_string() }
}
