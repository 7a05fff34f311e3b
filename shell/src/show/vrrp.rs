//! `show vrrp` and `show connection-sync`: groups, what they do and why, and what was heard of the peer.

use std::collections::BTreeMap;

use vrrp::status::{Group, Peer, Status};
use yoke_config::value::Value;
use yoke_config::walk::{has, option};
use yoke_director::status::{Data, Show};

use super::{print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{draw, duration, left, long, pairs, right};

/// `show vrrp [group NAME] [detail]`.
pub(crate) fn vrrp(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let group = option(values, "group").map(ToString::to_string);
    let one = group.is_some();
    let status = match shell.director.show(Show::Vrrp { group })? {
        Data::Vrrp(status) => status,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("vrrp", &status);
    }
    if !one && !has(values, "detail") {
        return brief(&status, out);
    }
    for (place, group) in status.groups.iter().enumerate() {
        if place > 0 {
            out.text("")?;
        }
        print(&detail(group), out)?;
    }
    let discarded = status.interfaces.iter().filter(|interface| !interface.discarded.is_empty());
    for interface in discarded {
        out.text(&format!("{} {}, for no group: {}", interface.name, interface.family, counts(&interface.discarded)))?;
    }
    Ok(())
}

/// `show connection-sync`.
pub(crate) fn connection_sync(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let row = match shell.director.show(Show::ConnectionSync)? {
        Data::ConnectionSync(row) => row,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("connection_sync", &row);
    }
    let Some(row) = row else { return out.text("Connection sync is off").map_err(Into::into) };
    let runs = |runs: bool| if runs { "yes" } else { "no" }.to_owned();
    let heard: Vec<String> = row.peers.iter().map(ToString::to_string).collect();
    let lines = pairs(&[
        ("Interface", row.interface),
        ("Sends", format!("{}, while vrrp group {} is active", runs(row.sends), row.group)),
        ("Receives", runs(row.receives)),
        ("Heard are", if heard.is_empty() { "nobody".to_owned() } else { heard.join(", ") }),
        ("Sync id", row.syncid.to_string()),
        ("Group", format!("{} port {}", row.multicast, row.port)),
        ("Not carried", row.not_carried.join(", ")),
    ]);
    print(&lines, out)?;
    if !row.not_carried.is_empty() {
        out.text("Connections of mode fullnat end with a failover.")?;
    }
    Ok(())
}

fn brief(status: &Status, out: &mut Out<'_>) -> Result<(), Fail> {
    let columns = [
        long("Group", 8, 8),
        right("Vrid", 4),
        left("Interface", 9),
        left("State", 10),
        right("Prio", 4),
        long("Address", 18, 15),
        left("Since", 7),
    ];
    let rows: Vec<Vec<String>> = status
        .groups
        .iter()
        .map(|group| {
            let more = group.addresses.len().saturating_sub(1);
            let first = group.addresses.first().cloned().unwrap_or_default();
            vec![
                group.name.clone(),
                group.vrid.to_string(),
                group.interface.clone(),
                group.state.clone(),
                group.priority.to_string(),
                if more > 0 { format!("{first} +{more}") } else { first },
                age(group.since_ms),
            ]
        })
        .collect();
    print(&draw(&columns, &rows), out)
}

fn detail(group: &Group) -> Vec<String> {
    let weighed = if group.priority == group.priority_configured {
        group.priority.to_string()
    } else {
        format!("{}, configured {}", group.priority, group.priority_configured)
    };
    let totals = &group.totals;
    let sent = format!("{}, resignations {}, errors {}", totals.sent, totals.resigned, totals.send_errors);
    let heard = format!("{}, resignations {}", totals.heard, totals.heard_resigned);
    let became =
        format!("{} times, another was active beside it in {} packets", totals.became_active, totals.conflicts);
    let speaks = if group.peers.is_empty() {
        "multicast".to_owned()
    } else {
        format!("unicast to {}", group.peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    pairs(&[
        ("Group", group.name.clone()),
        ("Sync-group", group.sync_group.clone().unwrap_or_default()),
        ("State", format!("{}, for {}", group.state, age(group.since_ms))),
        ("Because", group.why.clone()),
        ("State before", group.before.clone()),
        ("Takes no part", group.faults.join(", ")),
        ("Tracked and down", group.down.join(", ")),
        ("Priority", weighed),
        ("Vrid", format!("{} on {}, version {}", group.vrid, group.interface, group.version)),
        ("Advertises", format!("every {} ms, {speaks}", group.interval_ms)),
        ("Source", group.source.map(|source| source.to_string()).unwrap_or_default()),
        ("Virtual MAC", group.virtual_mac.clone().unwrap_or_default()),
        ("Addresses", group.addresses.join(", ")),
        ("Held here", format!("{} of {}", group.held, group.addresses.len())),
        ("Heard last", group.peer.as_ref().map(peer).unwrap_or_default()),
        ("Active beside it", group.conflict.as_ref().map(peer).unwrap_or_default()),
        ("Sent", sent),
        ("Heard", heard),
        ("Became active", became),
        ("Latest deadline", format!("missed by {} us", totals.late_max_us)),
        ("Not believed", counts(&group.counters)),
    ])
}

fn peer(peer: &Peer) -> String {
    let what = match peer.priority {
        0 => "resigned".to_owned(),
        priority => format!("priority {priority}"),
    };
    format!("{}, {what}, every {} ms, {} ago", peer.address, peer.interval_ms, age(peer.heard_ms))
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(why, count)| format!("{why} {count}")).collect::<Vec<_>>().join(", ")
}

fn age(ms: u64) -> String {
    duration(ms / 1000)
}
