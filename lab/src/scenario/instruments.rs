//! Do the lab's own instruments measure? Everything here works without a director; if one of these fails, no result of
//! the other scenarios means anything.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::{Ns, SERVERS, addr};
use crate::runner::Scene;
use crate::servers::{ECHO_PORT, SLOW_BYTES};
use crate::traffic;
use crate::wait;

/// Tells it.
pub(super) fn run(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.check("each_server_answers_as_itself_over_tcp_and_udp", |_| {
        for (server, hosts) in SERVERS.into_iter().zip([
            ["10.0.20.11", "2001:db8:20::11", "198.18.5.11", "2001:db8:5::11"],
            ["10.0.20.12", "2001:db8:20::12", "198.18.5.12", "2001:db8:5::12"],
        ]) {
            for host in hosts {
                let reply = traffic::http(host)?;
                ensure!(reply.server == server.server_name() && reply.local == host, "{host}: {reply:?}");
            }
            for host in &hosts[..2] {
                let reply = traffic::udp(host, ECHO_PORT)?;
                ensure!(reply.server == server.server_name() && reply.local == *host, "{host}: {reply:?}");
            }
        }
        Ok(())
    });
    scene.check("nobody_answers_for_a_vip_on_lo", |_| {
        [addr::VIP_DR, addr::VIP_DR6, addr::VIP_TUN, addr::VIP_TUN6]
            .iter()
            .try_for_each(|vip| traffic::silent(vip, ECHO_PORT))
    });
    scene.check("an_upload_arrives_whole_and_a_slow_download_too", |world| {
        let body = world.dir.join("body");
        std::fs::write(&body, vec![b'y'; 3 << 20])?;
        let data = format!("@{}", body.display());
        let said = traffic::curl(Ns::Client, &["--data-binary", &data], "http://10.0.20.11:80/upload")?;
        ensure!(said.starts_with("lvs_real_server01"), "{said}");
        let slow = ["--max-time", "30", "-o", "/dev/null", "-w", "%{size_download}"];
        let bytes = traffic::curl(Ns::Client, &slow, "http://10.0.20.11/slow")?;
        ensure!(bytes == SLOW_BYTES.to_string(), "{bytes} bytes of {SLOW_BYTES}");
        Ok(())
    });
    scene.check("tunnels_end_at_the_servers", |world| {
        let before: Vec<_> = world.servers().iter().map(crate::servers::Server::decapsulated).collect();
        // As a director's outer packets arrive: from somewhere, with a whole packet of the client inside.
        Ns::Router.enter(|| {
            let inner = udp_packet(Ipv4Addr::new(203, 0, 113, 99), addr::VIP_TUN.parse()?, 4000, ECHO_PORT);
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(4)))?;
            socket.send_to(&inner, &SocketAddr::new("198.18.5.11".parse()?, 0).into())?;
            let inner = udp_packet6("2001:db8:1::99".parse()?, addr::VIP_TUN6.parse()?, 4000, ECHO_PORT);
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(41)))?;
            socket.send_to(&inner, &SocketAddr::new("2001:db8:5::12".parse()?, 0).into())?;
            Ok(())
        })?;
        wait::until("both tunnels to deliver", Duration::from_secs(20), || {
            let after: Vec<_> = world.servers().iter().map(crate::servers::Server::decapsulated).collect();
            ensure!(after[0].0 == before[0].0 + 1 && after[1].1 == before[1].1 + 1, "{before:?} became {after:?}");
            Ok(())
        })
    });
    scene.check("silence_is_told_from_an_answer", |_| {
        let error =
            traffic::silent("10.0.20.11", ECHO_PORT).err().context("a server's own address counts as silent")?;
        ensure!(format!("{error:#}").contains("lvs_real_server01"), "{error:#}");
        Ok(())
    });
    Ok(())
}

/// An IPv4 packet with an empty datagram.
fn udp_packet(from: Ipv4Addr, to: Ipv4Addr, from_port: u16, to_port: u16) -> Vec<u8> {
    // Version and length, total 28, id, no fragment, TTL 64, UDP; the kernel fills in the checksum. A UDP checksum of
    // zero means none (RFC 768).
    let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(from_port.to_be_bytes());
    packet.extend(to_port.to_be_bytes());
    packet.extend([0, 8, 0, 0]);
    packet
}

/// An IPv6 packet with an empty datagram, whose checksum is not optional (RFC 8200 section 8.1).
fn udp_packet6(from: Ipv6Addr, to: Ipv6Addr, from_port: u16, to_port: u16) -> Vec<u8> {
    let sum: u32 = [from, to].iter().flat_map(Ipv6Addr::segments).map(u32::from).sum::<u32>()
        + u32::from(from_port)
        + u32::from(to_port)
        + 2 * 8
        + 17;
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let checksum = !u16::try_from(folded).expect("folded twice, it fits");
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(from_port.to_be_bytes());
    packet.extend(to_port.to_be_bytes());
    packet.extend([0, 8]);
    packet.extend(checksum.to_be_bytes());
    packet
}
