//! `clear counters` and `clear arp`: what an operator has zeroed or forgotten so that he sees what happens from now on.
//!
//! The kernel's counters of an interface only grow: what they were is subtracted from what is shown. A director that has been restarted has
//! forgotten it, and shows them since boot. What is configured (`arp`) is not forgotten.

use std::collections::BTreeMap;
use std::io;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use yoke_director::status::{InterfaceRow, RefusalKind, Reply};

use crate::director::Director;
use crate::session::refused;
use crate::show::{interfaces, rtnetlink};

/// Linux's "no such file or directory": of a neighbour that has gone meanwhile.
const ENOENT: i32 = 2;

/// What the counters of interfaces were when they were cleared.
#[derive(Debug, Default)]
pub(crate) struct Cleared(BTreeMap<String, [u64; 6]>);

impl Cleared {
    /// From now on these count from zero.
    fn note(&mut self, rows: &mut [InterfaceRow]) {
        for row in rows {
            self.0.insert(row.name.clone(), counters(row).map(|counter| *counter));
        }
    }

    /// Leaves in the rows what has been counted since.
    pub(crate) fn subtract(&self, rows: &mut [InterfaceRow]) {
        for row in rows {
            let Some(before) = self.0.get(&row.name) else { continue };
            let counters = counters(row);
            // One that has become less is of another interface by that name, and new.
            if counters.iter().zip(before).all(|(counter, before)| **counter >= *before) {
                counters.into_iter().zip(before).for_each(|(counter, before)| *counter -= before);
            }
        }
    }
}

fn counters(row: &mut InterfaceRow) -> [&mut u64; 6] {
    let InterfaceRow { rx_bytes, rx_packets, rx_errors, tx_bytes, tx_packets, tx_errors, .. } = row;
    [rx_bytes, rx_packets, rx_errors, tx_bytes, tx_packets, tx_errors]
}

/// `clear counters [interface NAME]`.
pub(crate) fn interface_counters(director: &Director, only: Option<&str>) -> Reply {
    let mut state = director.state_mut();
    let rows = interfaces::rows(&state.running.config, &director.paths.sys, only);
    match (rows, only) {
        (Err(e), _) => refused(RefusalKind::Failed, format!("interfaces: {e}")),
        (Ok(rows), Some(name)) if rows.is_empty() => {
            refused(RefusalKind::Failed, format!("interface {name}: no such interface"))
        }
        (Ok(mut rows), _) => {
            state.cleared.note(&mut rows);
            Reply::Done { warnings: Vec::new() }
        }
    }
}

/// `clear arp`: neighbours of both families are asked for anew when they are next needed.
pub(crate) async fn neighbours() -> Reply {
    // Thousands of them take a while, and verdicts wait for nobody.
    match tokio::task::spawn_blocking(forget).await.expect("forget does not panic") {
        Ok(()) => Reply::Done { warnings: Vec::new() },
        Err(e) => refused(RefusalKind::Failed, format!("clear arp: {e}")),
    }
}

fn forget() -> io::Result<()> {
    let listed = rtnetlink::dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
    let socket = rtnetlink::open()?;
    for message in listed {
        let RouteNetlinkMessage::NewNeighbour(neighbour) = message else { continue };
        let Some(request) = request(&neighbour) else { continue };
        match rtnetlink::change(&socket, RouteNetlinkMessage::DelNeighbour(request)) {
            Err(e) if e.raw_os_error() != Some(ENOENT) => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// What removes a neighbour, unless it was given and not found out.
fn request(neighbour: &NeighbourMessage) -> Option<NeighbourMessage> {
    let learned =
        !matches!(neighbour.header.state, NeighbourState::Permanent | NeighbourState::Noarp | NeighbourState::None);
    let destination = neighbour.attributes.iter().find(|a| matches!(a, NeighbourAttribute::Destination(_)))?;
    learned.then(|| {
        let mut request = NeighbourMessage::default();
        request.header = neighbour.header.clone();
        request.attributes = vec![destination.clone()];
        request
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::neighbour::NeighbourAddress;
    use yoke_config::model::Config;

    #[test]
    fn counters_count_from_when_they_were_cleared_unless_they_are_new() {
        let paths = std::path::Path::new("/sys");
        let mut rows = interfaces::rows(&Config::default(), paths, Some("lo")).unwrap();
        let row = &mut rows[0];
        (row.rx_packets, row.tx_bytes) = (10, 700);
        let mut cleared = Cleared::default();
        cleared.note(&mut rows);
        (rows[0].rx_packets, rows[0].tx_bytes) = (13, 700);
        cleared.subtract(&mut rows);
        assert_eq!((rows[0].rx_packets, rows[0].tx_bytes), (3, 0));
        // Made again since, it begins at zero by itself.
        (rows[0].rx_packets, rows[0].tx_bytes) = (13, 20);
        cleared.subtract(&mut rows);
        assert_eq!((rows[0].rx_packets, rows[0].tx_bytes), (13, 20));
    }

    #[test]
    fn only_what_was_found_out_is_forgotten() {
        let mut neighbour = NeighbourMessage::default();
        neighbour.header.ifindex = 7;
        neighbour.attributes = vec![
            NeighbourAttribute::LinkLayerAddress(vec![2; 6]),
            NeighbourAttribute::Destination(NeighbourAddress::Inet("192.0.2.1".parse().unwrap())),
        ];
        for (state, forgotten) in [
            (NeighbourState::Reachable, true),
            (NeighbourState::Stale, true),
            (NeighbourState::Failed, true),
            (NeighbourState::Permanent, false),
            (NeighbourState::Noarp, false),
        ] {
            neighbour.header.state = state;
            let request = request(&neighbour);
            assert_eq!(request.is_some(), forgotten, "{state}");
            assert!(request.is_none_or(|r| r.header.ifindex == 7 && r.attributes.len() == 1));
        }
    }
}
