//! The real servers: nginx, a UDP echo, and the far end of IP-in-IP tunnels, one set in each server's namespace.
//!
//! This machine's kernel has no IPIP device, so the tunnel ends in user space: a raw socket receives the outer packets
//! (the kernel hands them over reassembled) and another one injects the inner packet as it is. From there on the
//! server's own stack has it, with the client's address as source and the VIP on `lo` as destination.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::{Ns, addr};
use crate::traffic;
use crate::wait;

/// UDP port of the echo, on every address of a server.
pub const ECHO_PORT: u16 = 5300;

/// Bytes of `/slow`.
pub const SLOW_BYTES: usize = 512 << 10;

/// How often a thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// All that runs in one server's namespace. Dropping it stops all of it.
#[derive(Debug)]
pub struct Server {
    ns: Ns,
    home: PathBuf,
    nginx: Child,
    stop: Arc<AtomicBool>,
    decapsulated: [Arc<AtomicU64>; 2],
}

impl Server {
    /// Starts everything and waits until nginx answers. Files go below `dir`.
    ///
    /// # Errors
    /// When a program is missing or an address is.
    pub fn start(ns: Ns, dir: &Path) -> Result<Self> {
        let home = dir.join(ns.name());
        std::fs::create_dir_all(&home)?;
        let conf = include_str!("../nginx.conf").replace("%NAME%", ns.server_name());
        std::fs::write(home.join("nginx.conf"), conf)?;
        std::fs::write(home.join("slow.bin"), vec![b'x'; SLOW_BYTES])?;
        let nginx = nginx(ns, &home)?;
        let server = Self { ns, home, nginx, stop: Arc::default(), decapsulated: Default::default() };

        let own = if ns == Ns::Server1 { 11 } else { 12 };
        let addresses: [IpAddr; 7] = [
            IpAddr::V4(Ipv4Addr::new(10, 0, 20, own)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0, 0, 0, 0, if own == 11 { 0x11 } else { 0x12 })),
            IpAddr::V4(Ipv4Addr::new(192, 168, 40, own + 90)),
            addr::VIP_DR.parse()?,
            addr::VIP_DR6.parse()?,
            addr::VIP_TUN.parse()?,
            addr::VIP_TUN6.parse()?,
        ];
        for address in addresses {
            let socket = ns.enter(|| Ok(UdpSocket::bind((address, ECHO_PORT))?)).context("bind the UDP echo")?;
            let (stop, name) = (server.stop.clone(), ns.server_name());
            std::thread::Builder::new().name(format!("{name} echo")).spawn(move || echo(&socket, name, &stop))?;
        }
        for (ipv6, count) in [false, true].into_iter().zip(&server.decapsulated) {
            let ends = ns.enter(|| tunnel_end(ipv6))?;
            let (stop, count) = (server.stop.clone(), count.clone());
            std::thread::Builder::new()
                .name(format!("{} tunnel", ns.server_name()))
                .spawn(move || decapsulate(&ends, ipv6, &stop, &count))?;
        }
        server.wait_nginx()?;
        Ok(server)
    }

    fn wait_nginx(&self) -> Result<()> {
        wait::until("nginx to answer in its own namespace", Duration::from_secs(30), || {
            traffic::curl(self.ns, &[], "http://127.0.0.1/").map(drop)
        })
    }

    /// Ends nginx at once, with every connection it has. The machine goes on: it refuses.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop_nginx(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.nginx.id())?);
        // Not SIGKILL, which would leave its worker behind.
        kill(pid, Signal::SIGTERM).context("stop nginx")?;
        self.nginx.wait().context("wait for nginx")?;
        Ok(())
    }

    /// Starts nginx again and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_nginx(&mut self) -> Result<()> {
        self.nginx = nginx(self.ns, &self.home)?;
        self.wait_nginx()
    }

    /// Packets that came out of a tunnel since the start, IPv4 and IPv6.
    pub fn decapsulated(&self) -> (u64, u64) {
        let [v4, v6] = &self.decapsulated;
        (v4.load(Ordering::Relaxed), v6.load(Ordering::Relaxed))
    }
}

fn nginx(ns: Ns, home: &Path) -> Result<Child> {
    let mut nginx = ns.command("nginx");
    nginx.arg("-p").arg(home).args(["-e", "stderr", "-c", "nginx.conf"]);
    let log = std::fs::File::options().create(true).append(true).open(home.join("nginx.log"))?;
    nginx.stdout(Stdio::null()).stderr(log).spawn().context("start nginx (package nginx-light)")
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Its worker dies with its namespace, a moment later.
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

/// Answers every datagram with who answers, whom it saw, and on which address.
fn echo(socket: &UdpSocket, name: &str, stop: &AtomicBool) {
    let Ok(local) = socket.local_addr() else { return };
    if socket.set_read_timeout(Some(LOOK)).is_err() {
        return;
    }
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let answer = format!("{name} {} {} {}", peer.ip(), local.ip(), local.port());
            // A client that has gone needs no answer.
            let _ = socket.send_to(answer.as_bytes(), peer);
        }
    }
}

/// Where outer packets arrive, and where inner ones leave.
#[derive(Debug)]
struct TunnelEnd {
    outer: Socket,
    inner: Socket,
}

fn tunnel_end(ipv6: bool) -> Result<TunnelEnd> {
    // RFC 2003 (IPv4 in IPv4) and RFC 2473 (IPv6 in IPv6); 255 is IPPROTO_RAW: what is sent brings its own header.
    let (domain, encapsulation) = if ipv6 { (Domain::IPV6, 41) } else { (Domain::IPV4, 4) };
    let open = |protocol| Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)));
    let outer = open(encapsulation).context("raw socket (needs root)")?;
    outer.set_read_timeout(Some(LOOK))?;
    Ok(TunnelEnd { outer, inner: open(255)? })
}

fn decapsulate(ends: &TunnelEnd, ipv6: bool, stop: &AtomicBool, count: &AtomicU64) {
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let Ok(received) = (&ends.outer).read(&mut buffer) else { continue };
        let packet = &buffer[..received];
        // An IPv4 raw socket delivers the outer header as well, an IPv6 one does not.
        let header = if ipv6 { 0 } else { packet.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4) };
        let Some((inner, to)) = packet.get(header..).and_then(|inner| Some((inner, destination(inner)?))) else {
            continue;
        };
        if ends.inner.send_to(inner, &SocketAddr::new(to, 0).into()).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where an IP packet goes, from its own header.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?)),
        6 => Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_from_both_headers() {
        let mut v4 = vec![0x45; 20];
        v4[16..20].copy_from_slice(&[203, 0, 113, 20]);
        assert_eq!(destination(&v4), Some("203.0.113.20".parse().unwrap()));
        let mut v6 = vec![0x60; 40];
        v6[24..40].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        assert_eq!(destination(&v6), Some("::1".parse().unwrap()));
        for short in [&v4[..19], &v6[..39], &[], &[0x10; 40]] {
            assert_eq!(destination(short), None);
        }
    }
}
