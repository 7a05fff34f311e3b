//! The transcript of seed 003, by our commands and with its addresses: rr alternates, wrr with weights 1 and 4 gives 2
//! and 8 of 10, sh keeps one client on one server, weight 0 drains. What is typed is a file, `transcripts/seed-003.txt`.

use anyhow::{Context, Result, bail, ensure};

use super::{SERVING_LIMIT, typed};
use crate::net::{Ns, SERVERS, addr};
use crate::runner::{Scene, World};
use crate::servers::SLOW_BYTES;
use crate::traffic::{self, Reply, tally};
use crate::vm::Machine;
use crate::wait;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("the_box_has_the_transcript's_addresses", |world| {
        let console = world.console()?;
        console.first_password(super::PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/seed.cfg")))
    })?;
    for (title, lines) in parts(include_str!("../../transcripts/seed-003.txt")) {
        scene.check(&title, |world| replay(world, &lines));
    }
    scene.check("a_drained_server_finishes_what_it_has_begun", |world| {
        let url = format!("http://{}/slow", addr::SEED_VIP);
        let slow = ["--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}"];
        let drained = SERVERS[0];
        let rows = |world: &mut World| world.console()?.json("show real-server web");
        let downloads = std::thread::scope(|scope| -> Result<Vec<String>> {
            // Two at once, by rr: one on each server.
            let both: Vec<_> = (0..2).map(|_| scope.spawn(|| traffic::curl(Ns::Client, &slow, &url))).collect();
            wait::until("both servers to have a connection", SERVING_LIMIT, || {
                let text = rows(world)?.to_string();
                ensure!(text.matches("\"active_connections\":1").count() >= 2, "{text}");
                Ok(())
            })?;
            world.console()?.ok("drain real-server 192.168.40.101")?;
            let replies = traffic::ask(4, || traffic::http(addr::SEED_VIP))?;
            ensure!(!tally(&replies).contains_key(drained.server_name()), "{:?}", tally(&replies));
            both.into_iter().map(|curl| curl.join().unwrap_or_else(|_| bail!("curl panicked"))).collect()
        })?;
        ensure!(downloads.iter().all(|bytes| *bytes == SLOW_BYTES.to_string()), "{downloads:?} of {SLOW_BYTES} bytes");
        world.console()?.ok("undrain real-server 192.168.40.101")?;
        let replies = traffic::ask(4, || traffic::http(addr::SEED_VIP))?;
        ensure!(tally(&replies).len() == 2, "{:?}", tally(&replies));
        Ok(())
    });
    Ok(())
}

/// The transcript cut at its empty lines: a name for each part, from its comment, and its lines.
fn parts(text: &str) -> Vec<(String, Vec<&str>)> {
    text.split("\n\n")
        .filter_map(|part| {
            let (comments, lines): (Vec<&str>, Vec<&str>) = part.lines().partition(|line| line.starts_with('#'));
            let (title, _) = comments.last()?.trim_start_matches(['#', ' ']).split_once(':')?;
            (!lines.is_empty()).then(|| (title.to_owned(), lines))
        })
        .collect()
}

/// Types, asks and compares; the legend is at the top of the transcript.
fn replay(world: &mut World, lines: &[&str]) -> Result<()> {
    let mut answer = String::new();
    let mut replies: Vec<Reply> = Vec::new();
    for line in lines {
        let (kind, rest) = line.split_at_checked(2).with_context(|| format!("transcript: {line:?}"))?;
        match kind {
            "> " => answer = world.console()?.ok(rest)?.text(),
            "< " => {
                let found = answer.lines().any(|row| squeezed(row).contains(&squeezed(rest)));
                ensure!(found, "`{rest}` is not in\n{answer}");
            }
            "$ " => replies = traffic::ask(rest.parse()?, || traffic::http(addr::SEED_VIP))?,
            "= " => compare(&replies, rest)?,
            _ => bail!("transcript: {line:?}"),
        }
    }
    Ok(())
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn compare(replies: &[Reply], wanted: &str) -> Result<()> {
    let counts = tally(replies);
    let good = match wanted {
        "alternates" => replies.windows(2).all(|pair| pair[0].server != pair[1].server),
        "one" => counts.len() == 1,
        numbers => {
            let numbers: Vec<usize> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            SERVERS.iter().zip(numbers).all(|(ns, n)| counts.get(ns.server_name()).copied().unwrap_or(0) == n)
        }
    };
    ensure!(good, "{wanted}? {:?}", replies.iter().map(|reply| &reply.server).collect::<Vec<_>>());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transcript_has_a_part_for_each_claim() {
        let parts = parts(include_str!("../../transcripts/seed-003.txt"));
        assert_eq!(parts.len(), 5, "{parts:?}");
        assert!(
            parts
                .iter()
                .all(|(title, lines)| !title.is_empty() && lines.iter().any(|line| line.starts_with(['=', '<'])))
        );
    }

    #[test]
    fn comparing_can_fail() {
        let reply = |server: &str| Reply {
            server: server.to_owned(),
            client: String::new(),
            local: String::new(),
            port: String::new(),
        };
        let (one, two) = (reply("lvs_real_server01"), reply("lvs_real_server02"));
        let replies = [one.clone(), two.clone(), two.clone()];
        assert!(compare(&replies, "1 2").is_ok() && compare(&replies, "2 1").is_err());
        assert!(compare(&replies, "alternates").is_err() && compare(&replies[..2], "alternates").is_ok());
        assert!(compare(&replies, "one").is_err() && compare(&replies[1..], "one").is_ok());
        assert!(compare(&[], "3 3").is_err());
    }
}
