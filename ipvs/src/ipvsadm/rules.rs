//! Which options go with which command, and which tunnel options with which tunnel: ipvsadm's tables, found by trying every pair.

use super::draft::Given;
use super::refuse::Failure;
use super::words::{Flag, Verb};

/// What an option is called in a message. Several words can be one option: each way to give a service, each way to forward.
pub(super) fn option(flag: Flag) -> &'static str {
    match flag {
        Flag::Tcp | Flag::Udp | Flag::Sctp | Flag::Mark => "service-address",
        Flag::V6 => "ipv6",
        Flag::Scheduler => "scheduler",
        Flag::Persistent => "persistent",
        Flag::Netmask => "netmask",
        Flag::Engine => "pe",
        Flag::SchedulerFlags => "sched-flags",
        Flag::OnePacket => "ops",
        Flag::RealServer => "real-server",
        Flag::Gatewaying | Flag::Ipip | Flag::Masquerading => "forwarding-method",
        Flag::TunnelType => "tun-type",
        Flag::TunnelPort => "tun-port",
        Flag::TunnelNoChecksum => "tun-nocsum",
        Flag::TunnelChecksum => "tun-csum",
        Flag::TunnelRemoteChecksum => "tun-remcsum",
        Flag::Weight => "weight",
        Flag::Upper => "u-threshold",
        Flag::Lower => "l-threshold",
        Flag::Connection => "connection",
        Flag::Timeout => "timeout",
        Flag::Daemon => "daemon",
        Flag::Stats => "stats",
        Flag::Rate => "rate",
        Flag::Exact => "exact",
        Flag::Thresholds => "thresholds",
        Flag::PersistentConn => "persistent-conn",
        Flag::TunnelInfo => "tun-info",
        Flag::Sort => "sort",
        Flag::NoSort => "nosort",
        Flag::Numeric => "numeric",
        Flag::SyncId => "syncid",
        Flag::SyncMaxlen => "sync-maxlen",
        Flag::McastInterface => "mcast-interface",
        Flag::McastGroup => "mcast-group",
        Flag::McastPort => "mcast-port",
        Flag::McastTtl => "mcast-ttl",
        Flag::Json => "json",
        Flag::Full => "full",
        Flag::Replace => "replace",
        Flag::DryRun => "dry-run",
    }
}

/// What a command is called in a message.
pub(super) fn command(verb: Verb) -> &'static str {
    match verb {
        Verb::AddService => "add-service",
        Verb::EditService => "edit-service",
        Verb::DeleteService => "delete-service",
        Verb::Flush => "flush",
        Verb::Restore => "restore",
        Verb::Save => "save",
        Verb::AddServer => "add-server",
        Verb::EditServer => "edit-server",
        Verb::DeleteServer => "delete-server",
        Verb::List => "list",
        Verb::Zero => "zero",
        Verb::Set => "set",
        Verb::StartDaemon => "start-daemon",
        Verb::StopDaemon => "stop-daemon",
        Verb::Help => "help",
        Verb::Version => "version",
    }
}

/// The order in which options are judged.
const ORDER: [&str; 36] = [
    "numeric",
    "connection",
    "service-address",
    "scheduler",
    "persistent",
    "netmask",
    "real-server",
    "forwarding-method",
    "weight",
    "u-threshold",
    "l-threshold",
    "mcast-interface",
    "timeout",
    "daemon",
    "stats",
    "rate",
    "thresholds",
    "persistent-conn",
    "nosort",
    "syncid",
    "exact",
    "ops",
    "pe",
    "sched-flags",
    "tun-info",
    "tun-type",
    "tun-port",
    "tun-nocsum",
    "tun-csum",
    "tun-remcsum",
    "sync-maxlen",
    "mcast-group",
    "mcast-port",
    "mcast-ttl",
    "json",
    "full",
];
/// Those of ours that come last.
const ORDER_OURS: [&str; 2] = ["replace", "dry-run"];

/// What a command needs, and what else it takes. `--sort` and `-6` go with all; `-6` has a rule of its own.
fn takes(verb: Verb) -> (&'static [&'static str], &'static [&'static str]) {
    const SERVICE: &[&str] = &["scheduler", "persistent", "netmask", "ops", "pe", "sched-flags"];
    const SERVER: &[&str] = &[
        "forwarding-method",
        "weight",
        "u-threshold",
        "l-threshold",
        "tun-type",
        "tun-port",
        "tun-nocsum",
        "tun-csum",
        "tun-remcsum",
    ];
    const LIST: &[&str] = &[
        "numeric",
        "connection",
        "service-address",
        "timeout",
        "daemon",
        "stats",
        "rate",
        "thresholds",
        "persistent-conn",
        "nosort",
        "syncid",
        "exact",
        "tun-info",
        "json",
    ];
    const DAEMON: &[&str] = &["mcast-interface", "syncid", "sync-maxlen", "mcast-group", "mcast-port", "mcast-ttl"];
    match verb {
        Verb::AddService | Verb::EditService => (&["service-address"], SERVICE),
        Verb::DeleteService => (&["service-address"], &[]),
        Verb::AddServer | Verb::EditServer => (&["service-address", "real-server"], SERVER),
        Verb::DeleteServer => (&["service-address", "real-server"], &[]),
        Verb::List => (&[], LIST),
        Verb::Zero => (&[], &["service-address"]),
        Verb::Save => (&[], &["numeric", "full"]),
        Verb::Restore => (&[], &["replace", "dry-run"]),
        Verb::StartDaemon => (&[], DAEMON),
        Verb::StopDaemon => (&[], &["syncid"]),
        Verb::Flush | Verb::Set | Verb::Help | Verb::Version => (&[], &[]),
    }
}

/// Judges a command's options.
///
/// # Errors
/// The first that is missing or does not belong.
pub(super) fn judge(verb: Verb, given: &Given) -> Result<(), Failure> {
    let (needed, allowed) = takes(verb);
    let belongs = |name: &&str| needed.contains(name) || allowed.contains(name);
    if needed.iter().all(|name| given.contains(name)) && given.iter().all(|name| belongs(&name)) {
        return if verb == Verb::List { judge_list(given) } else { Ok(()) };
    }
    let command = command(verb);
    for name in ORDER.iter().chain(&ORDER_OURS) {
        if needed.contains(name) {
            if !given.contains(name) {
                let text = format!("You need to supply the '{name}' option for the '{command}' command");
                return Err(Failure::Wrong(text));
            }
        } else if given.contains(name) && !belongs(name) {
            return Err(Failure::Wrong(format!("Illegal '{name}' option with the '{command}' command")));
        }
    }
    Ok(())
}

fn judge_list(given: &Given) -> Result<(), Failure> {
    // One of these at most.
    let kinds = ["connection", "service-address", "timeout", "daemon"];
    let mut found = kinds.iter().filter(|kind| given.contains(kind));
    if let (Some(first), Some(second)) = (found.next(), found.next()) {
        let text = format!("The option '{second}' conflicts with the '{first}' option in the 'list' command");
        return Err(Failure::Wrong(text));
    }
    // Columns are for the table.
    let other = ["timeout", "daemon"].iter().any(|kind| given.contains(kind));
    let columns = ["stats", "rate", "thresholds"].iter().any(|column| given.contains(column));
    let persistent = given.contains("persistent-conn");
    if (other && (columns || persistent)) || (given.contains("connection") && columns) {
        return Err(Failure::Wrong("options conflicts in the list command".into()));
    }
    Ok(())
}

/// Judges a tunnel's options against its kind (`ipip`, `gue` or `gre`).
///
/// # Errors
/// The first that is missing, does not belong, or contradicts another.
pub(super) fn judge_tunnel(kind: &str, given: &Given) -> Result<(), Failure> {
    let allowed: &[&str] = match kind {
        "gue" => &["tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"],
        "gre" => &["tun-nocsum", "tun-csum"],
        _ => &[],
    };
    let mut checksum = None;
    for name in ["tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"] {
        let is_given = given.contains(name);
        if name == "tun-port" && kind == "gue" && !is_given {
            let text = format!("You need to supply the '{name}' option for the '{kind}' tunnel type");
            return Err(Failure::Wrong(text));
        }
        if !is_given {
            continue;
        }
        if !allowed.contains(&name) {
            return Err(Failure::Wrong(format!("Illegal '{name}' option with the '{kind}' tunnel type")));
        }
        if name == "tun-port" {
            continue;
        }
        if let Some(other) = checksum {
            let text = format!("The option '{name}' conflicts with the '{other}' option in the '{kind}' tunnel type");
            return Err(Failure::Wrong(text));
        }
        checksum = Some(name);
    }
    Ok(())
}
