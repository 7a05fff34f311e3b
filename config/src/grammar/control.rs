//! Words of configuration mode that are no lines: they act on the session or on the open block.

use super::{Command, Node, kw};

/// Negates the line that follows. The walker handles it once, for every line.
pub(crate) const NO: &str = "no";
/// Runs the EXEC command that follows.
pub(crate) const DO: &str = "do";

/// Valid in every block and at the top of configuration mode, beside the lines.
pub static CONTROL: &[Node] = &[
    kw("abort", "Drop the lines of this block").run(Command::Abort),
    kw("commit", "Apply this block and stay in it").run(Command::Commit).then(&[kw(
        "force",
        "In spite of changes by others",
    )
    .val()
    .run(Command::Commit)]),
    kw(DO, "Run an EXEC command"),
    kw("end", "Apply and leave configuration mode").run(Command::End),
    kw("exit", "Apply this block and leave it").run(Command::Exit),
    kw(NO, "Remove a line"),
    kw("show", "What this block would change").then(&[
        kw("diff", "As commands against the running configuration").run(Command::ShowDiff),
        kw("pending", "The lines not applied yet").run(Command::ShowPending),
    ]),
];
