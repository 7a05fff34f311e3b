//! From a name to addresses: a stub resolver, since a static program must not call getaddrinfo.
//!
//! It asks the servers of `/etc/resolv.conf` (the director writes it) over UDP, for A and AAAA. An answer that does not fit
//! a datagram is used as far as it goes. No cache, no hosts file, no DNSSEC: a person waits for one answer.

use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::interrupt;
use crate::outcome::{Fail, Stop};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How long one server is waited for, and how often each is asked: resolv.conf(5) has 5 s and 2, for programs that wait alone.
const TIMEOUT_MS: u16 = 2000;
const ROUNDS: usize = 2;

/// What `/etc/resolv.conf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settings {
    servers: Vec<IpAddr>,
    search: Vec<String>,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    settings.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        settings
    }

    /// The names to try for one that was typed: a short one first with the domain, a dotted one first as it is.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.trim_end_matches('.').to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        if name.contains('.') {
            std::iter::once(name.to_owned()).chain(searched).collect()
        } else {
            searched.chain(std::iter::once(name.to_owned())).collect()
        }
    }
}

/// The addresses of a host, IPv4 first; an address is itself.
///
/// # Errors
/// No server is configured or answers, or the name does not exist. Ctrl-C.
pub(crate) fn resolve(host: &str) -> Result<Vec<IpAddr>, Fail> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    // RFC 6761 6.3: this name is nobody else's to resolve.
    if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let settings = Settings::parse(&std::fs::read_to_string(Path::new(RESOLV_CONF)).unwrap_or_default());
    if settings.servers.is_empty() {
        return Err(Fail::failed(format!("{host}: no name server is configured, use an address or: ip name-server")));
    }
    for name in settings.candidates(host) {
        let mut found = Vec::new();
        for kind in [TYPE::A, TYPE::AAAA] {
            match ask_any(&settings.servers, &name, kind)? {
                Some(addresses) => found.extend(addresses),
                None => return Err(Fail::failed(format!("{host}: no name server answers"))),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(Fail::failed(format!("{host}: no such name")))
}

/// Asks the servers in turn; `None` when none answers.
fn ask_any(servers: &[IpAddr], name: &str, kind: TYPE) -> Result<Option<Vec<IpAddr>>, Fail> {
    for server in std::iter::repeat_n(servers, ROUNDS).flatten() {
        match ask(SocketAddr::new(*server, 53), name, kind) {
            Ok(Some(addresses)) => return Ok(Some(addresses)),
            Ok(None) => {}
            Err(Fail::Stopped(stop)) => return Err(stop.into()),
            Err(fail) => return Err(fail),
        }
    }
    Ok(None)
}

/// Asks one server; `None` when it does not answer or cannot.
fn ask(server: SocketAddr, name: &str, kind: TYPE) -> Result<Option<Vec<IpAddr>>, Fail> {
    let id = random_id();
    let query = query(id, name, kind)?;
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A connected socket takes datagrams of this server only, and hears that nobody listens there.
    let Ok(socket) = UdpSocket::bind((local, 0)) else { return Ok(None) };
    if socket.connect(server).and_then(|()| socket.send(&query)).is_err() {
        return Ok(None);
    }
    let mut buffer = [0; 4096];
    loop {
        let mut fds = vec![PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        fds.extend(interrupt::fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let ready = poll(&mut fds, PollTimeout::from(TIMEOUT_MS));
        if interrupt::pending() {
            return Err(Stop::Interrupted.into());
        }
        if !matches!(ready, Ok(1..)) {
            return Ok(None);
        }
        let Ok(length) = socket.recv(&mut buffer) else { return Ok(None) };
        match answer(id, &buffer[..length]) {
            Answer::NotOurs => {}
            Answer::Refused => return Ok(None),
            Answer::Addresses(addresses) => return Ok(Some(addresses)),
        }
    }
}

fn query(id: u16, name: &str, kind: TYPE) -> Result<Vec<u8>, Fail> {
    let wrong = |_| Fail::failed(format!("{name}: not a name that can be looked up"));
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(wrong)?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(wrong)
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Of an earlier query, or forged badly.
    NotOurs,
    /// The server will not or cannot say.
    Refused,
    /// What there is; nothing for a name without addresses of this kind.
    Addresses(Vec<IpAddr>),
}

fn answer(id: u16, bytes: &[u8]) -> Answer {
    let Ok(packet) = Packet::parse(bytes) else { return Answer::NotOurs };
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return Answer::NotOurs;
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        _ => return Answer::Refused,
    }
    // Aliases are resolved by the server: the addresses at their end are in the same answer.
    let addresses = packet.answers.iter().filter_map(|record| match &record.rdata {
        RData::A(a) => Some(IpAddr::from(Ipv4Addr::from(a.address))),
        RData::AAAA(a) => Some(IpAddr::from(Ipv6Addr::from(a.address))),
        _ => None,
    });
    Answer::Addresses(addresses.collect())
}

/// Hard to guess, with the port the kernel chooses: what the standard library seeds its hashers with.
fn random_id() -> u16 {
    let bytes = std::hash::RandomState::new().build_hasher().finish().to_be_bytes();
    u16::from_be_bytes([bytes[0], bytes[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_tried_with_the_domain_first() {
        let settings = Settings::parse(
            "# made by director\nsearch example.net lab\nnameserver 192.0.2.53\nnameserver fe80::1%2\n",
        );
        assert_eq!(settings.servers, ["192.0.2.53".parse::<IpAddr>().unwrap()]);
        assert_eq!(settings.candidates("web"), ["web.example.net", "web.lab", "web"]);
        assert_eq!(settings.candidates("a.b"), ["a.b", "a.b.example.net", "a.b.lab"]);
        assert_eq!(settings.candidates("a.b."), ["a.b"]);
    }

    /// A server on loopback that answers the first question with `records`.
    fn server(records: &'static [(&'static str, IpAddr)], rcode: RCODE) -> SocketAddr {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            let asked = Packet::parse(&buffer[..length]).unwrap();
            let mut reply = Packet::new_reply(asked.id());
            *reply.rcode_mut() = rcode;
            for (name, address) in records {
                let rdata = match address {
                    IpAddr::V4(v4) => RData::A((*v4).into()),
                    IpAddr::V6(v6) => RData::AAAA((*v6).into()),
                };
                let name = Name::new(name).unwrap();
                reply.answers.push(simple_dns::ResourceRecord::new(name, CLASS::IN, 60, rdata));
            }
            let mut stale = reply.clone();
            stale.set_id(asked.id().wrapping_add(1));
            socket.send_to(&stale.build_bytes_vec().unwrap(), client).unwrap();
            socket.send_to(&reply.build_bytes_vec_compressed().unwrap(), client).unwrap();
        });
        address
    }

    #[test]
    fn an_answer_is_read_and_one_to_another_question_is_not() {
        static RECORDS: [(&str, IpAddr); 2] = [
            ("www.example.net", IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            ("www.example.net", IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        let found = ask(server(&RECORDS, RCODE::NoError), "www.example.net", TYPE::A).unwrap();
        assert_eq!(found, Some(vec![RECORDS[0].1, RECORDS[1].1]));
        assert_eq!(ask(server(&[], RCODE::NameError), "nosuch.example.net", TYPE::A).unwrap(), Some(Vec::new()));
        assert_eq!(ask(server(&[], RCODE::ServerFailure), "x.example.net", TYPE::A).unwrap(), None);
    }

    #[test]
    fn rubbish_is_not_an_answer() {
        for length in 0..64 {
            assert_eq!(answer(0, &vec![0xc0; length]), Answer::NotOurs);
        }
        assert!(query(1, &"x".repeat(64), TYPE::A).is_err(), "a label has at most 63 bytes");
    }
}
