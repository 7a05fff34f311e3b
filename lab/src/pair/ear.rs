//! The third host of a [`Pair`](super::Pair): a packet socket that hears every frame, with the kernel's time of each.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp::{Carrier, Endpoints, receive};

use crate::net;

/// An advertisement that the third host has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert {
    /// When the kernel received it, since 1970.
    pub at: Duration,
    /// Who sent it.
    pub source: IpAddr,
    /// The hardware address it came from.
    pub mac: [u8; 6],
    /// VRID.
    pub vrid: u8,
    /// 0 is a resignation.
    pub priority: u8,
}

/// An announcement: gratuitous ARP, or an unsolicited Neighbor Advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// When the kernel received it, since 1970.
    pub at: Duration,
    /// The address.
    pub address: IpAddr,
    /// Where it is now.
    pub mac: [u8; 6],
}

/// An answer to the client's question ([`Probe`](super::Probe)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// When the kernel received it, since 1970.
    pub at: Duration,
    /// Whose it is: the identifier of RFC 792.
    pub probe: u16,
    /// To which question.
    pub number: u32,
    /// Who answered.
    pub mac: [u8; 6],
}

/// Everything heard.
#[derive(Debug, Default, Clone)]
pub struct Heard {
    /// Advertisements with a right checksum and hop limit.
    pub adverts: Vec<Advert>,
    /// Announcements.
    pub announcements: Vec<Announcement>,
    /// Echo replies.
    pub answers: Vec<Answer>,
    /// VRRP packets that RFC 9568 would have us discard.
    pub wrong: Vec<String>,
}

impl Heard {
    /// The time of the last thing heard.
    #[must_use]
    pub fn end(&self) -> Duration {
        let adverts = self.adverts.iter().map(|one| one.at);
        let others = self.announcements.iter().map(|one| one.at).chain(self.answers.iter().map(|one| one.at));
        adverts.chain(others).max().unwrap_or_default()
    }
}

/// Protocol number.
const ICMP: u8 = 1;

/// Listens in the namespace `ns`, until `stop`.
///
/// # Errors
/// When there is no such namespace, or no privilege.
pub(super) fn listen(ns: &str, heard: &Arc<Mutex<Heard>>, stop: &Arc<AtomicBool>) -> Result<JoinHandle<()>> {
    let (heard, stop) = (heard.clone(), stop.clone());
    let socket = net::enter(ns, || {
        let every_protocol = Protocol::from(i32::from(0x0003_u16.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(every_protocol))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.set_recv_buffer_size(4 << 20)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        Ok(socket)
    })?;
    Ok(std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            if let Ok((at, frame)) = receive_frame(&socket) {
                take(&frame, at, &mut heard.lock().unwrap_or_else(PoisonError::into_inner));
            }
        }
    }))
}

fn receive_frame(socket: &Socket) -> io::Result<(Duration, Vec<u8>)> {
    let mut bytes = vec![0; 2048];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let (length, at) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
        let mut at = Duration::ZERO;
        for item in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmTimestampns(time) = item {
                at = time.into();
            }
        }
        (message.bytes, at)
    };
    bytes.truncate(length);
    Ok((at, bytes))
}

/// Sorts a frame in.
fn take(frame: &[u8], at: Duration, heard: &mut Heard) {
    let (Some(ethertype), Some(body)) = (frame.get(12..14), frame.get(14..)) else { return };
    let mac: [u8; 6] = frame[6..12].try_into().expect("six bytes");
    match ethertype {
        [0x08, 0x00] if body.get(9) == Some(&vrrp::packet::PROTOCOL) && body.len() >= 20 => {
            let address = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
            let endpoints = Endpoints::V4 { source: address(12), destination: address(16) };
            let total = usize::from(u16::from_be_bytes([body[2], body[3]])).min(body.len());
            let start = usize::from(body[0] & 15) * 4;
            let payload = body.get(start..total).unwrap_or_default();
            advert(payload, Carrier { endpoints, hop_limit: body[8] }, (at, mac), heard);
        }
        // An echo reply behind a header without options.
        [0x08, 0x00] if body.get(9) == Some(&ICMP) && body.get(20) == Some(&0) && body.len() >= 32 => {
            let probe = u16::from_be_bytes([body[24], body[25]]);
            let number = u32::from_be_bytes([body[28], body[29], body[30], body[31]]);
            heard.answers.push(Answer { at, probe, number, mac });
        }
        [0x86, 0xdd] if body.get(6) == Some(&vrrp::packet::PROTOCOL) && body.len() >= 40 => {
            let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&body[at..at + 16]).expect("sixteen bytes"));
            let endpoints = Endpoints::V6 { source: address(8), destination: address(24) };
            advert(&body[40..], Carrier { endpoints, hop_limit: body[7] }, (at, mac), heard);
        }
        // Request whose sender and target are the same.
        [0x08, 0x06] if body.len() >= 28 && body[14..18] == body[24..28] => {
            let address = IpAddr::from([body[14], body[15], body[16], body[17]]);
            heard.announcements.push(Announcement { at, address, mac });
        }
        // Neighbor Advertisement to all nodes.
        [0x86, 0xdd] if body.len() >= 64 && body[6] == 58 && body[40] == 136 && body[24] == 0xff => {
            let target: [u8; 16] = body[48..64].try_into().expect("sixteen bytes");
            heard.announcements.push(Announcement { at, address: IpAddr::from(target), mac });
        }
        _ => {}
    }
}

fn advert(payload: &[u8], carrier: Carrier, (at, mac): (Duration, [u8; 6]), heard: &mut Heard) {
    let source = carrier.endpoints.source();
    match receive::screen(payload, &carrier).map(|message| (message.vrid(), message.advertisement())) {
        Ok((vrid, Ok(advertisement))) => {
            heard.adverts.push(Advert {
                at,
                source,
                mac,
                vrid: vrid.get(),
                priority: advertisement.priority().number(),
            });
        }
        Ok((_, Err(error))) => heard.wrong.push(format!("{source}: {error}")),
        Err(error) => heard.wrong.push(format!("{source}: {error}")),
    }
}
