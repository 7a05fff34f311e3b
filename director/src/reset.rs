//! `reset connections` and `reset persistence`: ends entries of the kernel's connection table before their time.
//!
//! The kernel has no message for that. It takes connection sync, though: told by a datagram that a connection is closed, for one second more,
//! it forgets it a second later, and the next packet of the client is answered with a reset. The datagrams go to a backup daemon on `lo` that
//! runs only meanwhile and that nobody else can reach, or to the one that runs already.
//!
//! A connection that is busy is kept by each of its packets. Those that are still there after the first round are cut first, in an nft table of
//! its own whose entries end by themselves, should we: the client's next segment is answered with a reset, and so is the server's next one, by
//! the client, whose resets pass. Datagrams are dropped, both ways.
//!
//! Who is idle is not told: a client learns it with its next segment, a real server has its own timeouts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ipvs::connections::parse_line;
use ipvs::sync::Ending;
use ipvs::{Daemon, SyncRole};
use yoke_director::status::{ConnectionFilter, RefusalKind, Reply};

use crate::director::Director;
use crate::nft;
use crate::session::refused;
use crate::show::connections::Filter;
use crate::show::walk;

/// Connections of one reset, some 10 MB; who has more types it again.
const ENDINGS_MAX: usize = 100_000;
/// Busy connections of one round: two entries each in a set of nft.
const BUSY_MAX: usize = 2_000;
/// Rounds after the first. Whoever is still there then is kept by something else.
const ROUNDS_MAX: u32 = 8;
/// Connections between two pauses: the daemon's socket holds some 200 KB, and counts a short datagram as 2 KB at least.
const BURST: usize = 2_000;
/// Time for the daemon to read them.
const PAUSE: Duration = Duration::from_millis(10);
/// From the last datagram until what it ends is gone: its second, a tick, and time for the daemon.
const GONE: Duration = Duration::from_millis(1_300);
/// From the cut to the end: who is busy has sent something by then.
const CUT: Duration = Duration::from_millis(1_000);
/// Nobody uses it: the daemon hears only this box.
const SYNC_ID: u8 = 255;

/// What to end.
#[derive(Debug, Default)]
struct Found {
    endings: BTreeSet<Ending>,
    /// Closed connections, remembered by the kernel, which keep templates among `endings` from ending.
    closed: Vec<Ending>,
    /// More than these: the next reset's.
    more: u64,
    /// Those that a datagram has no words for.
    never: u64,
}

/// Ends what `filter` takes. One reset at a time; it takes no turn, since it lasts as long as connections are busy.
pub(crate) async fn run(director: &Rc<Director>, by: &str, filter: &ConnectionFilter) -> Reply {
    let _turn = director.reset_turn().await;
    reset(director, by, filter).await.unwrap_or_else(|why| refused(RefusalKind::Failed, why))
}

async fn reset(director: &Director, by: &str, filter: &ConnectionFilter) -> Result<Reply, String> {
    let filter = Filter::new(&director.state().running.config, filter)?;
    let Found { endings, closed, more, never } = walk::run(director, move |path| find(path, &filter)).await?;
    if endings.is_empty() {
        return Ok(Reply::Reset { ended: 0, left: more, never });
    }
    let done = rounds(director, by, endings.clone(), closed).await;
    stop(director)?;
    let left = done?;
    Ok(Reply::Reset { ended: count(endings.len() - left), left: count(left) + more, never })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn find(path: &Path, filter: &Filter) -> Result<Found, String> {
    let mut found = Found::default();
    let why = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = walk::open(path).map_err(why)?;
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).map_err(why)? > 0 {
        if let Ok(Some(connection)) = parse_line(&line)
            && filter.takes(&connection)
        {
            match Ending::of(&connection) {
                Some(ending) if found.endings.len() < ENDINGS_MAX => drop(found.endings.insert(ending)),
                Some(_) => found.more += 1,
                None => found.never += 1,
            }
        } else if let Ok(Some(connection)) = parse_line(&line)
            && filter.takes_template_of(&connection)
            && found.closed.len() < ENDINGS_MAX
        {
            found.closed.extend(Ending::of(&connection));
        }
        line.clear();
    }
    Ok(found)
}

/// Those of `wanted` that are still in the table, open or not.
fn remaining(path: &Path, wanted: &BTreeSet<Ending>) -> Result<BTreeSet<Ending>, String> {
    let why = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = walk::open(path).map_err(why)?;
    let mut line = Vec::new();
    let mut left = BTreeSet::new();
    while file.read_until(b'\n', &mut line).map_err(why)? > 0 {
        let ending = parse_line(&line).ok().flatten().and_then(|connection| Ending::of(&connection));
        left.extend(ending.filter(|ending| wanted.contains(ending)));
        line.clear();
    }
    Ok(left)
}

/// Whether it is the one that a reset starts.
pub(crate) fn is_own(daemon: &Daemon) -> bool {
    daemon.role == SyncRole::Backup && *daemon.interface == *"lo" && daemon.sync_id == SYNC_ID
}

/// The backup daemon to tell, as it is now: that of connection sync may have come since, or gone. Started if there is none.
fn backup(director: &Director) -> Result<Daemon, String> {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    let running = state.kernel.daemons().map_err(|e| format!("ipvs: {e}"))?;
    if let Some(daemon) = running.into_iter().find(|daemon| daemon.role == SyncRole::Backup) {
        return Ok(daemon);
    }
    if let Some(name) = state.running.config.mixes_families() {
        return Err(format!(
            "virtual-server {name}: has real servers of both address families, beside which the kernel cannot end \
             connections, use: drain, or one virtual server for each family"
        ));
    }
    let interface = "lo".parse().expect("a name of two letters");
    let daemon = Daemon {
        role: SyncRole::Backup,
        interface,
        sync_id: SYNC_ID,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    state.kernel.start_daemon(daemon).map_err(|e| format!("connection-sync: the daemon of reset: {e}"))?;
    state.reset_daemon = true;
    Ok(daemon)
}

/// Stops what [`backup`] has started, unless connection sync has taken its place.
fn stop(director: &Director) -> Result<(), String> {
    let mut guard = director.state_mut();
    let state = &mut *guard;
    if !std::mem::take(&mut state.reset_daemon) {
        return Ok(());
    }
    let stopped = match state.kernel.daemons() {
        Ok(running) if running.iter().any(is_own) => state.kernel.stop_daemon(SyncRole::Backup),
        other => other.map(drop),
    };
    // If it did not: nobody's daemon now, the next look at the kernel ends it.
    stopped.map_err(|e| format!("connection-sync: the daemon of reset is still there: {e}"))
}

/// Returns how many are left.
async fn rounds(director: &Director, by: &str, wanted: BTreeSet<Ending>, closed: Vec<Ending>) -> Result<usize, String> {
    backup(director)?;
    log::warn!("{} connections reset by {by}", wanted.len());
    if !closed.is_empty() {
        round(director, closed, BTreeSet::new()).await?;
    }
    let mut left = round(director, wanted.iter().cloned().collect(), wanted).await?;
    for _ in 0..ROUNDS_MAX {
        // A template that is left has connections, and they are not what was to end.
        if left.iter().all(Ending::is_template) {
            break;
        }
        let busy: Vec<Ending> = left.iter().take(BUSY_MAX).cloned().collect();
        packets(director, script(&busy)).await?;
        // Time for a segment each way, so that both sides know.
        tokio::time::sleep(CUT).await;
        let after = round(director, busy, left).await;
        packets(director, REMOVE.to_owned()).await?;
        left = after?;
    }
    Ok(left.len())
}

/// Tells the daemon of `endings` and waits; returns what is left of `of`.
async fn round(director: &Director, endings: Vec<Ending>, of: BTreeSet<Ending>) -> Result<BTreeSet<Ending>, String> {
    for burst in endings.chunks(BURST) {
        let daemon = backup(director)?;
        let told = director.state_mut().kernel.end(&daemon, burst);
        told.map_err(|e| format!("connection-sync: {e}"))?;
        tokio::time::sleep(PAUSE).await;
    }
    tokio::time::sleep(GONE).await;
    walk::run(director, move |path| remaining(path, &of)).await
}

async fn packets(director: &Director, script: String) -> Result<(), String> {
    let program = director.paths.nft.clone();
    let done = tokio::task::spawn_blocking(move || nft::apply(&program, &script)).await;
    done.expect("nft::apply does not panic").map_err(nft::Failure::why)
}

/// Also when it is not there.
const REMOVE: &str = "table inet yoke_reset\ndelete table inet yoke_reset\n";

/// TCP of the IANA's protocol numbers: it has resets.
const TCP: u8 = 6;

/// Cuts these connections before IPVS sees their packets: TCP on the way to the virtual address, with a reset; datagrams both ways. Entries end
/// after 6 s.
fn script(endings: &[Ending]) -> String {
    let mut sets = [String::new(), String::new()];
    for ending in endings.iter().filter(|ending| !ending.is_template()) {
        let set = &mut sets[usize::from(ending.client().is_ipv6())];
        let protocol = ending.protocol();
        let to_client = (protocol != TCP).then_some((ending.destination(), ending.client()));
        for (from, to) in [(ending.client(), ending.service())].into_iter().chain(to_client) {
            // Writing to a string does not fail.
            let _ = write!(set, "{protocol} . {} . {} . {} . {}, ", from.ip(), from.port(), to.ip(), to.port());
        }
    }
    let mut text = format!("{REMOVE}table inet yoke_reset {{\n");
    let mut rules = String::new();
    for (elements, (set, family, address)) in sets.iter().zip([("v4", "ip", "ipv4_addr"), ("v6", "ip6", "ipv6_addr")]) {
        if elements.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            " set {set} {{\n  type inet_proto . {address} . inet_service . {address} . inet_service\n  timeout 6s\n  elements = {{ \
             {elements}}}\n }}\n"
        );
        let matching = format!("meta l4proto . {family} saddr . th sport . {family} daddr . th dport @{set}");
        let _ = write!(rules, "  meta l4proto tcp {matching} reject with tcp reset\n  {matching} drop\n");
    }
    for hook in ["input", "forward"] {
        // What answers a segment of the server ends it there too.
        let resets = "  tcp flags rst accept\n";
        let _ = write!(text, " chain {hook} {{\n  type filter hook {hook} priority -10\n{resets}{rules} }}\n");
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(line: &str) -> Ending {
        Ending::of(&parse_line(line).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn segments_to_the_service_and_datagrams_both_ways_are_cut() {
        let one = ending("TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899");
        let template = ending("TCP C6336400 0000 C000020A 0050 0A000001 1F90 NONE            299");
        let text = script(&[one, template]);
        assert!(
            text.starts_with("table inet yoke_reset\ndelete table inet yoke_reset\ntable inet yoke_reset {\n set v4 {")
        );
        assert!(text.contains("elements = { 6 . 198.51.100.1 . 49153 . 192.0.2.10 . 80, }"), "{text}");
        let datagrams = ending("UDP C6336401 C001 C000020A 0035 0A000001 14B4 UDP             299");
        let both =
            "elements = { 17 . 198.51.100.1 . 49153 . 192.0.2.10 . 53, 17 . 10.0.0.1 . 5300 . 198.51.100.1 . 49153, }";
        let script = script(&[datagrams]);
        assert!(script.contains(both), "{script}");
        assert!(!text.contains("ip6") && text.matches(" drop").count() == 2, "{text}");
    }
}
