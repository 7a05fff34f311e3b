//! Two ipvsadms side by side: Debian's, and the one in the image, on one kernel, and whatever differs between them.
//!
//! `yoke-lab twins compare|seeds|flawed|live|extra` runs inside the lab's machine ([`main`]); the scenario `ipvsadm` carries it there. A namespace
//! of its own keeps the director's hands off the table. It is one namespace and not two, because the kernel's hash of services depends on it,
//! and with the hash the order of a list: so both programs play a block of lines one after the other, each from an empty table.
//!
//! | module | is |
//! |---|---|
//! | [`corpus`] | command lines made from a number, none of them written by hand |
//! | [`play`] | a program plays lines; what it said, what it left in the kernel, and what differs |
//! | [`live`] | readings of a table with real connections, whose numbers move |
//! | [`extra`] | what the original lacks, judged by the original |
//!
//! The texts of `-h` and `-v` are our own and not compared.

pub mod corpus;
pub mod extra;
pub mod live;
pub mod play;
mod random;

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};

use crate::runner::say;
use crate::wait;
use corpus::{Block, Line};
use play::{Program, differences};

const USAGE: &str = "yoke-lab twins compare SEED LINES | seeds | flawed | live | extra";

/// Debian's, where the lab's initrd puts it.
const ORIGINAL: &str = "/usr/sbin/ipvsadm";
/// Ours, out of the slot as PID 1 sees it.
const OURS: &str = "/proc/1/root/usr/sbin/ipvsadm";

/// Names both programs know: of the recorded transcripts.
const HOSTS: &str = include_str!("../../ipvs/tests/ipvsadm/hosts");
const SERVICES: &str = include_str!("../../ipvs/tests/ipvsadm/services");
/// The original asks the C library, and that shall ask nobody else.
const SWITCH: &str = "hosts: files\nservices: files\n";

/// What the seeds type.
const SEEDS: &str = include_str!("../transcripts/seed-ipvsadm.txt");

/// So many differences are printed in full; the rest is counted.
const SHOWN: usize = 20;

/// Runs one command line, inside the machine.
///
/// # Errors
/// What could not be run; and when the programs differ, how many times.
pub fn main(words: &[&str]) -> Result<()> {
    prepare().context("a namespace to compare in")?;
    let (original, ours) = (Program::new(ORIGINAL), Program::new(OURS));
    match words {
        ["compare", seed, lines] => {
            let blocks = corpus::blocks(seed.parse()?, lines.parse()?);
            let start = wait::now();
            let mut wrong = Vec::new();
            for block in &blocks {
                wrong.extend(compare(&original, &ours, block, block)?);
            }
            let count: usize = blocks.iter().map(|block| block.lines.len()).sum();
            let refused = original.refused.get();
            let took = wait::now() - start;
            say(&format!("{count} lines, {refused} of them refused, seed {seed}, {:.1} s", took.as_secs_f32()));
            ensure!(refused * 5 > count && refused * 3 < count * 2, "{refused} refusals are no fair share of {count}");
            report(&wrong)
        }
        ["seeds"] => {
            let blocks = written(SEEDS);
            let mut wrong = Vec::new();
            for block in &blocks {
                wrong.extend(compare(&original, &ours, block, block)?);
            }
            let count: usize = blocks.iter().map(|block| block.lines.len()).sum();
            say(&format!("{count} lines of the seeds, {} of them refused", original.refused.get()));
            report(&wrong)
        }
        ["flawed"] => flawed(&original),
        ["live"] => {
            let (readings, wrong) = live::compare(&original, &ours)?;
            say(&format!("{readings} readings of a table in use"));
            report(&wrong)
        }
        ["extra"] => extra::check(&original, &ours),
        _ => bail!("use: {USAGE}"),
    }
}

/// Blocks as they are written: the legend is at the top of the file.
fn written(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block = Block { lines: Vec::new() };
    for line in text.lines().chain([""]).filter(|line| !line.starts_with('#')) {
        match (line.strip_prefix("< "), block.lines.last_mut()) {
            (Some(input), Some(last)) => {
                last.input.push_str(input);
                last.input.push('\n');
            }
            (None, Some(_)) if line.is_empty() => {
                blocks.push(std::mem::replace(&mut block, Block { lines: Vec::new() }));
            }
            _ if line.is_empty() => {}
            _ => block.lines.push(Line::words(line)),
        }
    }
    blocks
}

fn report(wrong: &[String]) -> Result<()> {
    wrong.iter().take(SHOWN).for_each(|text| say(text));
    ensure!(wrong.is_empty(), "the programs differ on {} lines", wrong.len());
    Ok(())
}

/// A network namespace with what sync daemons need, and the files with the names.
fn prepare() -> Result<()> {
    std::fs::create_dir_all("/etc")?;
    for (file, text) in [("hosts", HOSTS), ("services", SERVICES), ("nsswitch.conf", SWITCH)] {
        std::fs::write(format!("/etc/{file}"), text)?;
    }
    unshare(CloneFlags::CLONE_NEWNET)?;
    for line in [
        "link set lo up",
        // Without --mcast-interface a daemon is on eth0.
        "link add eth0 type dummy",
        "link add dummy0 type dummy",
        "addr add 10.0.0.1/24 dev eth0",
        "addr add fd00::1/64 dev eth0 nodad",
        "addr add 10.9.0.1/24 dev dummy0",
        "link set eth0 up multicast on",
        "link set dummy0 up multicast on",
    ] {
        let words = line.split(' ').filter(|word| *word != "nodad");
        let done = Command::new("ip").args(words).output()?;
        ensure!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

/// Both play a block (`theirs` and `same` are equal but in a test of this comparison); returns what differs.
fn compare(original: &Program, ours: &Program, theirs: &Block, same: &Block) -> Result<Vec<String>> {
    let expected = original.play(original, theirs)?;
    let found = ours.play(original, same)?;
    Ok(differences(&expected, &found))
}

/// The comparison finds what it is there for: one program plays a block, and the same one plays it with three lines changed.
fn flawed(original: &Program) -> Result<()> {
    let right = ["-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.1.1.1 -g -w 3", "-D -f 7", "-L -n", "-S -n"];
    let mut wrong = right;
    // The table alone; then also a status and a message; then a list.
    wrong[1] = "-a -t 10.0.0.1:80 -r 10.1.1.1 -g -w 4";
    wrong[2] = "-D -f 7 -s rr";
    wrong[3] = "-L -n --rate";
    let block = |lines: [&str; 5]| Block { lines: lines.iter().map(|line| Line::words(line)).collect() };
    let found = compare(original, original, &block(right), &block(wrong))?;
    ensure!(!found.is_empty(), "three wrong lines were not noticed");
    for line in [right[1], right[2], right[3], right[4]] {
        ensure!(
            found.iter().any(|text| text.starts_with(&format!("### {line}\n"))),
            "`{line}` is not among\n{}",
            found.join("\n")
        );
    }
    ensure!(!found.iter().any(|text| text.starts_with(&format!("### {}\n", right[0]))), "what is equal differs");
    let none = compare(original, original, &block(right), &block(right))?;
    ensure!(none.is_empty(), "what is equal differs: {none:?}");
    say(&format!("{} lines were found to differ", found.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_lines_are_in_blocks_with_their_input() {
        let blocks = written(SEEDS);
        assert_eq!(blocks.len(), 8);
        let lines = || blocks.iter().flat_map(|block| &block.lines);
        let restored = lines().find(|line| line.words == ["-R"]).unwrap();
        assert_eq!(restored.input.lines().count(), 3);
        assert!(lines().all(|line| line.words.iter().all(|word| !word.is_empty() && !word.starts_with('<'))));
    }
}
