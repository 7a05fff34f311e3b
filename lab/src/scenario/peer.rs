//! Real servers whose kernel takes tunnels apart and speaks SCTP: the hosts of the second machine.

use anyhow::{Result, ensure};

use crate::runner::Scene;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot_peer()?;
    scene.must("its_hosts_answer_by_every_protocol", |world| {
        let peer = world.peer()?;
        peer.wait_ready()?;
        for (host, address, client) in [
            ("near1", "10.0.20.21", "10.0.20.98"),
            ("near2", "2001:db8:20::22", "2001:db8:20::98"),
            ("far1", "198.18.5.21", "203.0.113.98"),
            ("far2", "2001:db8:5::22", "2001:db8:1::98"),
        ] {
            peer.shell().ok(&format!("ip netns exec {host} /yoke-lab peer serve-sctp {host} {address} 7000 &"))?;
            for (protocol, port) in [("tcp", 80), ("tcp", 8080), ("udp", 5300), ("sctp", 7000)] {
                for reply in peer.ask(protocol, address, port, 2)? {
                    let right = reply.server == host && reply.client == client && reply.local == address;
                    ensure!(right && reply.port == port.to_string(), "{host} by {protocol}: {reply:?}");
                }
            }
        }
        Ok(())
    })
}
