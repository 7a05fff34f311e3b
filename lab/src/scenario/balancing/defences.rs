//! The kernel's three defences against floods, each seen to bite: SYNs that are lost, half-open connections that are dropped, a stricter table
//! of states. "While memory is short" is made true by a threshold above all the memory there is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::SERVING_LIMIT;
use crate::net::{Ns, addr};
use crate::runner::{Scene, World};
use crate::wait;

/// Half-open connections of the flood. The kernel looks at a 32nd of its table each second.
const FLOOD: usize = 256;
/// Less than the second after which a client repeats its SYN.
const ANSWERED_WITHIN: Duration = Duration::from_millis(800);
/// The kernel looks whether memory is short every second; half-open connections would end by themselves after 60.
const LIMIT: Duration = Duration::from_secs(40);
/// The virtual server of the flood: nobody has the address of its real server.
const SILENT_PORT: u16 = 83;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) {
    scene.check("drop_packet_loses_one_syn_of_so_many_or_all_while_memory_is_short", |world| {
        world.console()?.configure(&["ipvs drop-packet always 2"])?;
        wait::until("a SYN to be lost", SERVING_LIMIT, || {
            ensure!(!answered()?, "answered");
            Ok(())
        })?;
        let answers: Vec<bool> = (0..6).map(|_| answered()).collect::<Result<_>>()?;
        ensure!(answers.iter().filter(|answer| **answer).count() == 3, "every second one: {answers:?}");
        world.console()?.configure(&["ipvs drop-packet", "ipvs memory-threshold 1048576"])?;
        works(world, "drop-packet auto (active)")?;
        ensure!(!answered()? && !answered()?, "an answer though memory is short");
        world.console()?.configure(&["no ipvs memory-threshold"])?;
        works(world, "drop-packet auto,")?;
        ensure!(answered()? && answered()?, "no answer though memory is not short");
        world.console()?.configure(&["no ipvs drop-packet"])
    });
    scene.check("drop_entry_drops_half_open_connections_and_secure_tcp_is_stricter", |world| {
        world.console()?.configure(&[
            "virtual-server silent",
            "virtual 203.0.113.10 tcp 83",
            "mode dr",
            "health-check none",
            "real-server 10.0.20.77 83",
        ])?;
        flood(FLOOD)?;
        wait::until("the flood", SERVING_LIMIT, || {
            let count = half_open(world, "syn-recv")?;
            ensure!(count == FLOOD, "{count} half-open connections");
            Ok(())
        })?;
        world.console()?.configure(&["ipvs drop-entry", "ipvs memory-threshold 1048576"])?;
        works(world, "drop-entry auto (active)")?;
        wait::until("half-open connections to be dropped", LIMIT, || {
            let count = half_open(world, "syn-recv")?;
            ensure!(count < FLOOD - FLOOD / 32, "{count} half-open connections");
            Ok(())
        })?;
        world.console()?.configure(&["no ipvs drop-entry", "ipvs secure-tcp"])?;
        works(world, "secure-tcp auto (active)")?;
        // The client's SYN is all that passes here: with this table it is not yet taken for a client that means it.
        flood(8)?;
        wait::until("another state", SERVING_LIMIT, || {
            let count = half_open(world, "synack")?;
            ensure!(count == 8, "{count} connections in it");
            Ok(())
        })?;
        world.console()?.configure(&["no ipvs secure-tcp", "no ipvs memory-threshold"])?;
        works(world, "secure-tcp off")?;
        flood(8)?;
        let count = half_open(world, "synack")?;
        ensure!(count == 8, "{count} connections in it afterwards");
        world.console()?.configure(&["no virtual-server silent"])
    });
}

/// Waits until `show ipvs` says this of a defence.
fn works(world: &mut World, wanted: &str) -> Result<()> {
    wait::until(wanted, LIMIT, || {
        let shown = world.console()?.ok("show ipvs")?.text();
        ensure!(shown.contains(wanted), "{shown}");
        Ok(())
    })
}

/// Whether the first SYN of a new connection is answered.
fn answered() -> Result<bool> {
    let to: SocketAddr = format!("{}:80", addr::VIP_NAT).parse()?;
    Ns::Client.enter(|| match std::net::TcpStream::connect_timeout(&to, ANSWERED_WITHIN) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Ok(false),
        Err(error) => Err(error).context("neither answered nor lost"),
    })
}

/// Begins `count` connections to the silent virtual server, a SYN each, and forgets them.
fn flood(count: usize) -> Result<()> {
    let to: SocketAddr = format!("{}:{SILENT_PORT}", addr::VIP_NAT).parse()?;
    Ns::Client.enter(|| {
        let sockets = (0..count).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            match socket.connect(&to.into()) {
                Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => Ok(socket),
                Err(error) => Err(error).context("begin a connection"),
                Ok(()) => anyhow::bail!("somebody answers"),
            }
        });
        sockets.collect::<Result<Vec<_>>>().map(drop)
    })
}

/// How many connections of the silent virtual server are in a state.
fn half_open(world: &mut World, state: &str) -> Result<usize> {
    let shown = world.console()?.ok(&format!("show connections virtual-server silent state {state} count"))?.text();
    shown.trim().parse().with_context(|| shown.clone())
}
