//! Every mode by every protocol by both families: twelve virtual servers on one box, asked one after the other.
//!
//! That a request arrived is not enough: each server says whom it saw and where it was reached, which tells address
//! translation from direct routing, and it counts what came out of tunnels.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{SERVING_LIMIT, typed};
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::servers::{ECHO_PORT, Server};
use crate::traffic::{self, Reply, tally};
use crate::vm::Machine;
use crate::wait;

/// One column of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nat,
    Dr,
    Tun,
}

/// One mode in one family: its VIP, the client's address there, and the servers' addresses as they see it.
struct Cell {
    mode: Mode,
    name: &'static str,
    vip: &'static str,
    client: &'static str,
    locals: [&'static str; 2],
    udp_port: u16,
}

const CELLS: [Cell; 6] = [
    Cell {
        mode: Mode::Nat,
        name: "nat_ipv4",
        vip: addr::VIP_NAT,
        client: "203.0.113.99",
        locals: ["10.0.20.11", "10.0.20.12"],
        udp_port: 53,
    },
    Cell {
        mode: Mode::Nat,
        name: "nat_ipv6",
        vip: addr::VIP_NAT6,
        client: "2001:db8:1::99",
        locals: ["2001:db8:20::11", "2001:db8:20::12"],
        udp_port: 53,
    },
    Cell {
        mode: Mode::Dr,
        name: "dr_ipv4",
        vip: addr::VIP_DR,
        client: "10.0.20.99",
        locals: [addr::VIP_DR; 2],
        udp_port: ECHO_PORT,
    },
    Cell {
        mode: Mode::Dr,
        name: "dr_ipv6",
        vip: addr::VIP_DR6,
        client: "2001:db8:20::99",
        locals: [addr::VIP_DR6; 2],
        udp_port: ECHO_PORT,
    },
    Cell {
        mode: Mode::Tun,
        name: "tun_ipv4",
        vip: addr::VIP_TUN,
        client: "203.0.113.99",
        locals: [addr::VIP_TUN; 2],
        udp_port: ECHO_PORT,
    },
    Cell {
        mode: Mode::Tun,
        name: "tun_ipv6",
        vip: addr::VIP_TUN6,
        client: "2001:db8:1::99",
        locals: [addr::VIP_TUN6; 2],
        udp_port: ECHO_PORT,
    },
];

/// Requests in each cell: two for each server.
const REQUESTS: usize = 4;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine::default())?;
    scene.must("twelve_virtual_servers_are_accepted", |world| {
        let console = world.console()?;
        console.first_password(super::PASSWORD)?;
        console.ok("terminal length 0")?;
        console.configure(&typed(include_str!("../../config/matrix.cfg")))?;
        // Each has a server after its first check that is good, a moment after its block.
        wait::until("all to be up", SERVING_LIMIT, || {
            let text = console.json("show virtual-server")?.to_string();
            let up = text.matches("\"state\":\"up\"").count();
            ensure!(up == 12, "{up} of 12 are up: {text}");
            Ok(())
        })
    })?;
    for cell in &CELLS {
        scene.check(&format!("{}_tcp", cell.name), |world| ask(world, cell, || traffic::http(cell.vip)));
        scene.check(&format!("{}_udp", cell.name), |world| ask(world, cell, || traffic::udp(cell.vip, cell.udp_port)));
    }
    scene.check("a_large_upload_through_a_tunnel_finds_the_path_mtu", |world| {
        // Full segments do not fit once they are wrapped: the director has to tell the client.
        let body = world.dir.join("body");
        std::fs::write(&body, vec![b'z'; 1 << 20])?;
        let data = format!("@{}", body.display());
        for vip in [addr::VIP_TUN, addr::VIP_TUN6] {
            let url = traffic::url(vip, 80) + "upload";
            let said = traffic::curl(Ns::Client, &["--max-time", "30", "--data-binary", &data], &url)?;
            ensure!(said.starts_with("lvs_real_server0"), "{said}");
        }
        Ok(())
    });
    scene.check("counters_and_connections_show_the_traffic", |world| {
        let console = world.console()?;
        // The kernel adds its counters up every two seconds.
        wait::until("every virtual server to have counted", SERVING_LIMIT, || {
            let text = console.json("show virtual-server")?.to_string();
            ensure!(!text.contains("\"connections\":0,"), "{text}");
            Ok(())
        })?;
        let connections = console.json("show connections virtual-server nat-udp6")?.to_string();
        ensure!(connections.contains("2001:db8:20::11"), "{connections}");
        let routes = console.ok("show ip route")?.text();
        ensure!(routes.contains("203.0.113.1"), "{routes}");
        Ok(())
    });
    Ok(())
}

/// Asks a cell of the matrix and compares what the servers saw with what its mode means.
fn ask(world: &mut World, cell: &Cell, mut request: impl FnMut() -> Result<Reply>) -> Result<()> {
    // An IPv6 VIP is used only after duplicate address detection.
    wait::until("the first answer", SERVING_LIMIT, &mut request)?;
    let out_of_tunnels = |world: &World| -> u64 {
        world
            .servers()
            .iter()
            .map(Server::decapsulated)
            .map(|(v4, v6)| if cell.vip.contains(':') { v6 } else { v4 })
            .sum()
    };
    let before = out_of_tunnels(world);
    let replies = traffic::ask(REQUESTS, request)?;
    ensure!(tally(&replies).values().eq(&[REQUESTS / 2, REQUESTS / 2]), "{:?}", tally(&replies));
    for reply in &replies {
        ensure!(reply.client == cell.client, "the server saw the client as {}", reply.client);
        ensure!(cell.locals.contains(&reply.local.as_str()), "the server was reached at {}", reply.local);
    }
    match cell.mode {
        // A packet is counted a moment after it was handed over: its answer can be faster.
        Mode::Tun => wait::until("each request to come out of a tunnel", Duration::from_secs(20), || {
            let tunnelled = out_of_tunnels(world) - before;
            ensure!(tunnelled >= REQUESTS as u64, "{tunnelled} packets came out of tunnels");
            Ok(())
        })?,
        Mode::Nat | Mode::Dr => {
            let tunnelled = out_of_tunnels(world) - before;
            ensure!(tunnelled == 0, "{tunnelled} packets came out of tunnels");
        }
    }
    Ok(())
}
