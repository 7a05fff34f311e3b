//! Sessions as an operator sees them, replayed: `tests/transcripts/*.txt`. `UPDATE=1` writes them anew.
//!
//! A line that begins with a prompt is typed; what follows is the expected answer. The session here only walks and edits a
//! tree: a command prints its name and arguments in brackets, an edit what it changes. A trailing `?` is the help key,
//! a trailing `<Tab>` the tab key.

use std::fmt::Write as _;
use std::path::Path;

use yoke_config::grammar::Command;
use yoke_config::model::Privilege;
use yoke_config::tree::Tree;
use yoke_config::walk::{LineError, Meaning, Position, help_line, interpret, next};

struct Session {
    position: Position,
    tree: Tree,
}

impl Session {
    fn prompt(&self) -> String {
        match (&self.position, self.position.prompt()) {
            (_, Some(mode)) => format!("yoke({mode})#"),
            (Position::Exec(Privilege::User), _) => "yoke>".to_owned(),
            _ => "yoke#".to_owned(),
        }
    }

    fn type_line(&mut self, line: &str, out: &mut String) {
        let width = self.prompt().chars().count();
        let answer = if let Some(before) = line.strip_suffix("<Tab>") {
            self.tab(before)
        } else if line.ends_with('?') && !yoke_config::lex::in_quotes(line) {
            Ok(self.help(&line[..line.len() - 1]))
        } else {
            self.run(line)
        };
        match answer {
            Ok(text) => out.push_str(&text),
            Err(error) => out.extend(error.render(line, width).into_iter().map(|line| line + "\n")),
        }
    }

    fn run(&mut self, line: &str) -> Result<String, LineError> {
        let meaning = interpret(&self.position, line)?;
        let secret = if meaning.is_secret() { " (secret)" } else { "" };
        let to = self.position.after(&meaning);
        let text = match &meaning {
            Meaning::Nothing | Meaning::Help { .. } => String::new(),
            Meaning::Secret { line, plain } => {
                format!("[ask for {line}, {}]\n", plain.as_deref().unwrap_or("without echo"))
            }
            Meaning::Run { command, values } => {
                let words: String = values.iter().map(|value| format!(" {value}")).collect();
                self.control(*command);
                return Ok(format!("[{command:?}{words}]\n"));
            }
            Meaning::Edit { edit, .. } => {
                let path: String = edit.path.iter().map(|key| format!("{key}: ")).collect();
                let default = if edit.is_default { " (default)" } else { "" };
                let done = self.tree.edit(edit);
                let warning = if done { String::new() } else { format!("% Warning: no such line: {}\n", edit.key) };
                format!("{warning}[{path}{edit}{default}{secret}]\n")
            }
        };
        self.position = to;
        Ok(text)
    }

    fn control(&mut self, command: Command) {
        match (&mut self.position, command) {
            (Position::Config(_), Command::End) => self.position = Position::Exec(Privilege::Admin),
            (Position::Config(blocks), Command::Exit) if !blocks.is_empty() => drop(blocks.pop()),
            (Position::Config(_), Command::Exit) => self.position = Position::Exec(Privilege::Admin),
            (Position::Exec(_), Command::Configure) => self.position = Position::CONFIG,
            (Position::Exec(_), Command::Enable) => self.position = Position::Exec(Privilege::Admin),
            (Position::Exec(_), Command::Disable) => self.position = Position::Exec(Privilege::User),
            _ => {}
        }
    }

    fn help(&self, line: &str) -> String {
        let Ok(found) = next(&self.position, line) else { return "% Unrecognized command\n".to_owned() };
        if found.nodes.is_empty() && !found.complete {
            return "% Unrecognized command\n".to_owned();
        }
        if !line.is_empty() && !line.ends_with(' ') {
            let words: Vec<&str> = found.nodes.iter().map(|node| node.word).collect();
            return words.join("  ") + "\n";
        }
        let width = found.nodes.iter().map(|node| node.word.len()).max().unwrap_or(0);
        let now = self.tree.current(&found);
        let mut text: String = found.nodes.iter().map(|node| help_line(node, width, now.as_deref()) + "\n").collect();
        if found.complete {
            text.push_str("  <cr>\n");
        }
        text
    }

    fn tab(&self, line: &str) -> Result<String, LineError> {
        let found = next(&self.position, line)?;
        let typed = &line[found.offset..];
        let mut words: Vec<String> =
            found.nodes.iter().filter(|node| node.is_kw()).map(|node| node.word.to_owned()).collect();
        words.extend(self.tree.suggestions(&found).into_iter().filter(|word| word.starts_with(typed)));
        Ok(words.join("  ") + "\n")
    }
}

fn typed<'t>(session: &Session, line: &'t str) -> Option<&'t str> {
    let prompt = session.prompt();
    if line.starts_with("yoke") && !line.starts_with(&prompt) && line.contains(['#', '>']) {
        panic!("the session is at {prompt}, the transcript at {line}");
    }
    line.strip_prefix(&prompt)
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let update = std::env::var_os("UPDATE").is_some();
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let expected = std::fs::read_to_string(&path).unwrap();
        let mut session = Session { position: Position::Exec(Privilege::User), tree: Tree::default() };
        let mut got = String::new();
        for line in expected.lines() {
            if line.starts_with("##") {
                writeln!(got, "{line}").unwrap();
            } else if let Some(line) = typed(&session, line) {
                writeln!(got, "{}{line}", session.prompt()).unwrap();
                session.type_line(line, &mut got);
            }
        }
        if update {
            std::fs::write(&path, &got).unwrap();
            continue;
        }
        assert_eq!(got, expected, "{}", path.display());
        seen += 1;
    }
    assert!(update || seen >= 4, "the transcripts are there");
}
