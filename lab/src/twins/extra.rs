//! What the original lacks: `-S --full`, `--json`, `-R --replace [--dry-run]`. Whether they do what they say, the original is asked.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::corpus::Line;
use super::play::Program;
use crate::runner::say;

/// A table with everything that the original's `-S` forgets, in its `-S -n` form but for that.
const TABLE: &str = "\
--set 28800 60 250
--start-daemon master --mcast-interface dummy0 --syncid 7 --mcast-group 224.0.1.2 --mcast-port 8849 --mcast-ttl 3
-A -t 10.0.0.1:80 -s sh -p 60 -M 255.255.255.0 -b sh-port
-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 3 -x 100 -y 50
-a -t 10.0.0.1:80 -r 10.1.1.2:80 -i -w 0 --tun-type gue --tun-port 6080 --tun-csum
-A -u [fd00::1]:53 -s mh -o
-a -u [fd00::1]:53 -r [fd00:1::1]:53 -g -w 2 -x 7
-A -f 4 -6 -s wrr
";

/// Another one: of the former the first service has another weight, one server less, and there are two other services.
const OTHER: &str = "\
-A -t 10.0.0.1:80 -s sh -p 60 -M 255.255.255.0 -b sh-port
-a -t 10.0.0.1:80 -r 10.1.1.1:8080 -m -w 4 -x 100 -y 50
-A --sctp-service 10.0.0.3:5000 -s rr
-A -t 10.0.0.4:443 -s rr
";

/// Checks all of it.
///
/// # Errors
/// What does not hold.
pub(super) fn check(original: &Program, ours: &Program) -> Result<()> {
    original.ok("-R", TABLE)?;
    let whole = original.everything()?;

    let full = ours.ok("-S -n --full", "")?;
    for how in ["-R", "-R --replace"] {
        original.reset()?;
        if how != "-R" {
            original.ok("-R", OTHER)?;
        }
        ours.ok(how, &full)?;
        let restored = original.everything()?;
        ensure!(restored == whole, "{how} of\n{full}made\n{restored}of\n{whole}");
    }
    say("-S --full keeps thresholds, timeouts and daemons");

    // Its two scripts, by whose names ours goes too.
    let (save, restore) = (ours.named("ipvsadm-save"), ours.named("ipvsadm-restore"));
    let saved = save.ok("-n", "")?;
    ensure!(saved == original.ok("-S -n", "")?, "ipvsadm-save -n says\n{saved}");
    original.reset()?;
    restore.ok("", &saved)?;
    ensure!(original.ok("-S -n", "")? == saved, "ipvsadm-restore made another table of\n{saved}");
    original.reset()?;
    original.ok("-R", TABLE)?;
    say("ipvsadm-save and ipvsadm-restore are there");

    json(ours)?;
    say("--json is there for every list");

    let dry = ours.ok("-R --replace --dry-run", OTHER)?;
    ensure!(original.everything()? == whole, "a dry run has changed the table");
    for line in [
        "add service 10.0.0.3:5000/sctp",
        "add service 10.0.0.4:443/tcp",
        "edit destination 10.1.1.1:8080 of 10.0.0.1:80/tcp",
        "remove destination 10.1.1.2:80 from 10.0.0.1:80/tcp",
        "remove service [fd00::1]:53/udp",
        "remove service mark 4 ipv6",
    ] {
        ensure!(dry.lines().any(|planned| planned == line), "`{line}` is not planned:\n{dry}");
    }
    ensure!(dry.lines().count() == 6, "six changes lead there:\n{dry}");

    // Refused in its middle, nothing of it is left.
    let bad = format!("{OTHER}-A -t 10.0.0.5:80 -s nosuch\n");
    let line = Line { input: bad, ..Line::words("-R --replace") };
    let refused = ours.run(&line)?;
    ensure!(refused.status == 255 && refused.err.contains("10.0.0.5:80/tcp"), "{refused:?}");
    ensure!(original.everything()? == whole, "a refused plan has left something behind");

    ours.ok("-R --replace", OTHER)?;
    let dry = ours.ok("-R --replace --dry-run", OTHER)?;
    ensure!(dry.is_empty(), "there is nothing more to do:\n{dry}");
    let replaced = original.ok("-S -n", "")?;
    original.reset()?;
    original.ok("-R", OTHER)?;
    let wanted = original.ok("-S -n", "")?;
    ensure!(sorted(&replaced) == sorted(&wanted), "{replaced}is not\n{wanted}");
    say("-R --replace plans, says so with --dry-run, and is all or nothing");
    Ok(())
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn json(ours: &Program) -> Result<()> {
    let read = |words: &str| -> Result<Value> {
        let text = ours.ok(words, "")?;
        serde_json::from_str(&text).with_context(|| format!("{words}: {text}"))
    };
    for columns in ["", " -n", " --stats", " --rate", " --thresholds", " --persistent-conn", " --tun-info --exact"] {
        let table = read(&format!("-L --json{columns}"))?;
        let services = table["services"].as_array().with_context(|| format!("no services in {table}"))?;
        ensure!(services.len() == 3, "{columns}: {table}");
    }
    let web = read("-L --json -t 10.0.0.1:80")?;
    let server = &web["services"][0]["destinations"][0];
    ensure!(server["upper_threshold"] == 100 && server["lower_threshold"] == 50, "{web}");
    let timeouts = read("-L --timeout --json")?;
    ensure!(timeouts["tcp"] == 28800 && timeouts["tcp_fin"] == 60 && timeouts["udp"] == 250, "{timeouts}");
    let daemons = read("-L --daemon --json")?;
    ensure!(daemons[0]["sync_id"] == 7 && daemons[0]["interface"] == "dummy0", "{daemons}");
    Ok(())
}
