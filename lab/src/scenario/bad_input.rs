//! What an operator types wrong: the contract's rows, and nothing changed. Wrong single lines are a file,
//! `transcripts/bad-lines.txt`; here are blocks that cannot be applied, and bytes nobody types.

use anyhow::{Context, Result, bail, ensure};

use crate::console::COMMAND_LIMIT;
use crate::net::addr;
use crate::runner::{Scene, World};
use crate::traffic;
use crate::vm::Machine;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("the_box_serves", super::serve_nat)?;
    let mut before = String::new();
    scene.must("its_configuration_is_known", |world| {
        before = running(world)?;
        Ok(())
    })?;
    let parts = include_str!("../../transcripts/bad-lines.txt").split("\n\n").filter(|part| !part.starts_with('#'));
    for (number, part) in parts.enumerate() {
        scene.check(&format!("wrong_lines_{}", number + 1), |world| {
            replay(world, part)?;
            unchanged(world, &before)
        });
    }
    scene.check("a_block_that_cannot_be_applied_does_not_close", |world| {
        let console = world.console()?;
        for line in ["configure terminal", "virtual-server web", "virtual 10.0.20.100 tcp 80", "mode dr"] {
            console.ok(line)?;
        }
        console.ok("real-server 10.0.20.12 8080")?;
        console.ok("exit")?;
        let refused = console.run("exit")?;
        let wanted =
            "% Error: virtual-server web: real-server 10.0.20.12 8080: mode dr cannot change the port, use: 80";
        ensure!(refused.lines == [wanted], "{}", refused.text());
        ensure!(refused.prompt == "lb1(config-vs*)#", "the prompt is {}", refused.prompt);
        let refused = console.run("end")?;
        ensure!(!refused.errors().is_empty() && refused.prompt == "lb1(config-vs*)#", "{refused:?}");
        ensure!(!console.ok("do show running-config")?.text().contains("virtual-server web"), "an open block is shown");
        ensure!(console.ok("abort")?.prompt == "lb1(config)#", "abort stays in the block");
        console.ok("end")?;
        unchanged(world, &before)
    });
    scene.check("a_wrong_line_in_a_block_leaves_the_others_to_be_applied", |world| {
        let console = world.console()?;
        for line in ["configure terminal", "virtual-server www", "scheduler wrr"] {
            console.ok(line)?;
        }
        ensure!(!console.run("scheduler fastest")?.errors().is_empty(), "a wrong line is accepted");
        ensure!(console.ok("exit")?.prompt == "lb1(config)#");
        console.ok("end")?;
        ensure!(running(world)?.contains("scheduler wrr"), "{}", running(world)?);
        world.console()?.configure(&["virtual-server www", "scheduler rr"])?;
        unchanged(world, &before)
    });
    scene.check("bytes_nobody_types_do_no_harm", |world| {
        let console = world.console()?;
        // No control characters that mean something: a line of noise, quotes left open, and a very long line.
        let noise: String = (0_u8..=255).filter(|byte| byte.is_ascii_graphic()).map(char::from).collect();
        for line in [noise, "show \"version".to_owned(), "\u{e4}\u{f6}\u{fc}".to_owned(), "x".repeat(3000)] {
            console.interrupt()?;
            console.run(&line).with_context(|| format!("a line of {} bytes", line.len()))?;
        }
        console.recover()?;
        unchanged(world, &before)
    });
    scene.check("it_still_serves", |_| traffic::http(addr::VIP_NAT).map(drop));
    Ok(())
}

/// The running configuration, without the lines that hold secrets.
fn running(world: &mut World) -> Result<String> {
    Ok(world.console()?.ok("show running-config")?.text())
}

fn unchanged(world: &mut World, before: &str) -> Result<()> {
    let after = running(world)?;
    ensure!(after == before, "the configuration was\n{before}\nand is\n{after}");
    Ok(())
}

/// Types the lines of a part and compares row by row; the legend is at the top of the file.
fn replay(world: &mut World, part: &str) -> Result<()> {
    let (mut typed, mut prompt) = ("", String::new());
    let mut rows = Vec::new().into_iter();
    for line in part.lines() {
        let (kind, rest) = line.split_at_checked(2).with_context(|| format!("transcript: {line:?}"))?;
        let console = world.console()?;
        match kind {
            "! " => {
                console.ok(rest)?;
            }
            "> " => {
                prompt = console.wait_prompt(COMMAND_LIMIT)?.0;
                let answer = console.run(rest)?;
                ensure!(answer.prompt == prompt, "after `{rest}` the prompt is {}, not {prompt}", answer.prompt);
                ensure!(!answer.lines.is_empty(), "`{rest}` is accepted");
                rows = answer.lines.into_iter();
                typed = rest;
            }
            "^ " => {
                let row = rows.next().with_context(|| format!("`{typed}`: no caret"))?;
                let word = typed.rfind(rest).with_context(|| format!("transcript: {rest:?} is not in {typed:?}"))?;
                let column = prompt.len() + word;
                ensure!(row == " ".repeat(column) + "^", "`{typed}`: the caret is not at {column}: `{row}`");
            }
            "< " => {
                let row = rows.next().with_context(|| format!("`{typed}`: no row `{rest}`"))?;
                let good = rest.strip_suffix("...").map_or(row == rest, |start| row.starts_with(start));
                ensure!(good, "`{typed}` is answered by `{row}`, not by `{rest}`");
            }
            _ => bail!("transcript: {line:?}"),
        }
    }
    Ok(())
}
