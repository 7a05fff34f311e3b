//! What the lab's program does inside the peer: `yoke-lab peer serve` answers, `yoke-lab peer ask` asks.
//!
//! A server tells who it is, whom it saw and where it was reached, over HTTP, UDP and SCTP alike, in the words of
//! [`Reply`](crate::traffic::Reply). It is here, and not nginx and curl, because those would bring half a Debian along.

use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{self, ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::servers::ECHO_PORT;

/// TCP ports of a server.
const HTTP_PORTS: [u16; 2] = [80, 8080];
/// IANA's number of the protocol.
const SCTP: i32 = 132;
/// What is said where the protocol has no words of its own.
const QUESTION: &[u8] = b"who are you";
/// One question and its answer, between emulated machines.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Without a byte for so long, a transfer is stuck: the third repetition of a segment comes after less.
const STALL_LIMIT: Duration = Duration::from_secs(8);
/// How much is written at once.
const CHUNK: usize = 16 << 10;

const USAGE: &str = "yoke-lab peer serve NAME | serve-sctp NAME ADDR PORT | ask tcp|udp|sctp ADDR PORT COUNT [FROM] | \
                     upload ADDR PORT BYTES | download ADDR PORT BYTES";

/// Runs one command line.
///
/// # Errors
/// What did not work; a server returns only then.
pub fn main(words: &[&str]) -> Result<()> {
    match words {
        ["serve", name] => serve(name),
        ["serve-sctp", name, address, port] => {
            let listener = sctp(SocketAddr::new(address.parse()?, port.parse()?))?;
            listener.listen(16)?;
            loop {
                let (mut connection, peer) = listener.accept()?;
                let (local, peer) = (address.parse::<IpAddr>()?, peer.as_socket().context("SCTP peer")?);
                // The next association must not wait for a client that says nothing.
                connection.set_read_timeout(Some(ASK_LIMIT))?;
                let _ = answer_sctp(&mut connection, &reply(name, peer.ip(), SocketAddr::new(local, port.parse()?)));
            }
        }
        ["ask", protocol, address, port, count, from @ ..] => {
            let to = SocketAddr::new(address.parse()?, port.parse()?);
            let from = from.first().map(|from| from.parse()).transpose()?;
            for _ in 0..count.parse::<usize>()? {
                let answer = ask(protocol, to, from).with_context(|| format!("{protocol} {to}"))?;
                crate::runner::say(answer.trim());
            }
            Ok(())
        }
        ["upload", address, port, bytes] => {
            let answer = upload(SocketAddr::new(address.parse()?, port.parse()?), bytes.parse()?)?;
            crate::runner::say(answer.trim());
            Ok(())
        }
        ["download", address, port, bytes] => {
            download(SocketAddr::new(address.parse()?, port.parse()?), bytes.parse()?)
        }
        _ => bail!("use: {USAGE}"),
    }
}

/// What a server says.
fn reply(name: &str, client: IpAddr, local: SocketAddr) -> String {
    format!("{name} {} {} {}\n", client.to_canonical(), local.ip().to_canonical(), local.port())
}

fn serve(name: &str) -> Result<()> {
    for port in HTTP_PORTS {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
        let name = name.to_owned();
        thread::Builder::new().spawn(move || {
            for stream in listener.incoming().flatten() {
                let name = name.clone();
                // A client that goes away in between needs no answer.
                let _ = thread::Builder::new().spawn(move || drop(answer_http(stream, &name)));
            }
        })?;
    }
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, ECHO_PORT))?;
    socket::setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    loop {
        // Likewise.
        let _ = answer_udp(&socket, name);
    }
}

/// Reads a request with its body, answers it, and closes.
fn answer_http(stream: TcpStream, name: &str) -> Result<()> {
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut body: u64 = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            body = length.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let read = std::io::copy(&mut reader.by_ref().take(body), &mut std::io::sink())?;
    ensure!(read == body, "the body ends after {read} bytes");
    let path = request.split_whitespace().nth(1).unwrap_or("/");
    let text = match path.strip_prefix("/big/").and_then(|bytes| bytes.parse().ok()) {
        Some(bytes) => "x".repeat(bytes),
        None => reply(name, peer.ip(), local),
    };
    (&stream).write_all(format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes())?;
    Ok(())
}

/// Answers one datagram from the address it was sent to, whichever of ours that is.
fn answer_udp(socket: &UdpSocket, name: &str) -> Result<()> {
    let mut buffer = [0; 2048];
    let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let message =
        socket::recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let peer = message.address.context("a datagram without a sender")?;
    let info = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(info),
        _ => None,
    });
    let mut info = info.context("a datagram without a destination")?;
    // The answer may leave elsewhere than where the question came out of a tunnel.
    info.ipi6_ifindex = 0;
    let local = SocketAddr::new(Ipv6Addr::from(info.ipi6_addr.s6_addr).into(), ECHO_PORT);
    let text = reply(name, peer.ip().into(), local);
    let text = [IoSlice::new(text.as_bytes())];
    let control = [ControlMessage::Ipv6PacketInfo(&info)];
    socket::sendmsg(socket.as_raw_fd(), &text, &control, MsgFlags::empty(), Some(&peer))?;
    Ok(())
}

/// A one-to-one socket (RFC 6458 section 4) with one address: peers would use any other that it had, past the director.
fn sctp(local: SocketAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::from(SCTP)))?;
    socket.bind(&local.into())?;
    Ok(socket)
}

fn answer_sctp(connection: &mut Socket, reply: &str) -> Result<()> {
    connection.read_exact(&mut [0; QUESTION.len()])?;
    connection.write_all(reply.as_bytes())?;
    // The client ends the association, once it has the answer.
    connection.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn ask(protocol: &str, to: SocketAddr, from: Option<IpAddr>) -> Result<String> {
    let from = from.map_or_else(|| source(to), Ok)?;
    let mut buffer = [0; 512];
    let read = match protocol {
        "tcp" => {
            let mut stream = TcpStream::connect_timeout(&to, ASK_LIMIT)?;
            stream.set_read_timeout(Some(ASK_LIMIT))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            return Ok(text.split_once("\r\n\r\n").context("no HTTP")?.1.to_owned());
        }
        "udp" => {
            let socket = UdpSocket::bind((from, 0))?;
            socket.set_read_timeout(Some(ASK_LIMIT))?;
            // Connected: an answer from any other address is not an answer.
            socket.connect(to)?;
            socket.send(QUESTION)?;
            socket.recv(&mut buffer)?
        }
        "sctp" => {
            let mut socket = sctp(SocketAddr::new(from, 0))?;
            socket.connect_timeout(&to.into(), ASK_LIMIT)?;
            socket.set_read_timeout(Some(ASK_LIMIT))?;
            socket.write_all(QUESTION)?;
            socket.read(&mut buffer)?
        }
        _ => bail!("use: {USAGE}"),
    };
    Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
}

/// The address a packet to `to` would have.
fn source(to: SocketAddr) -> Result<IpAddr> {
    let any: SocketAddr = if to.is_ipv6() { "[::]:0".parse()? } else { "0.0.0.0:0".parse()? };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, ASK_LIMIT)?;
    stream.set_read_timeout(Some(STALL_LIMIT))?;
    stream.set_write_timeout(Some(STALL_LIMIT))?;
    Ok(stream)
}

fn upload(to: SocketAddr, bytes: usize) -> Result<String> {
    let mut stream = connect(to)?;
    write!(stream, "POST / HTTP/1.0\r\nContent-Length: {bytes}\r\n\r\n")?;
    let chunk = [b'y'; CHUNK];
    let mut sent = 0;
    while sent < bytes {
        let n = stream.write(&chunk[..CHUNK.min(bytes - sent)]);
        sent += n.with_context(|| format!("stuck after {sent} bytes"))?;
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).context("sent, but not answered")?;
    Ok(text.split_once("\r\n\r\n").context("no HTTP")?.1.to_owned())
}

fn download(to: SocketAddr, bytes: u64) -> Result<()> {
    let mut stream = connect(to)?;
    write!(stream, "GET /big/{bytes} HTTP/1.0\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    while {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        !line.trim().is_empty()
    } {}
    let read = std::io::copy(&mut reader, &mut std::io::sink()).context("stuck")?;
    ensure!(read == bytes, "{read} of {bytes} bytes arrived");
    Ok(())
}
