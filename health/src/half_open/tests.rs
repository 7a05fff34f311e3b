//! Real handshakes with the kernel of this machine, which answers as any server does.

mod neighbours;

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::*;

const S: Duration = Duration::from_secs(1);

/// With CAP_NET_RAW; without, it has to say so.
fn run(work: impl AsyncFnOnce(HalfOpen)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match HalfOpen::open() {
            Ok(half_open) => work(half_open).await,
            Err(error) => {
                assert!(!nix::unistd::geteuid().is_root(), "{error}");
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            }
        }
    });
}

/// Waits for what ends; the clock stands at `now` meanwhile, or where answers are looked at.
async fn ended(half_open: &mut HalfOpen, now: Time) -> Vec<(u64, Outcome)> {
    let ends = async {
        half_open.flush(now);
        loop {
            let look = half_open.look;
            let ended = half_open.poll_outcomes(look.unwrap_or(now));
            if !ended.is_empty() {
                return ended;
            }
            match look {
                Some(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                None => half_open.ready().await,
            }
        }
    };
    tokio::time::timeout(20 * S, ends).await.expect("something ends within 20 s")
}

fn listener(ipv6: bool) -> TcpListener {
    let ip = if ipv6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
    TcpListener::bind((ip, 0)).expect("a port")
}

#[test]
fn who_listens_is_up_and_never_hears_of_it() {
    run(async |mut half_open| {
        let servers = [false, true].map(listener);
        for number in 0..100 {
            let server = servers[usize::try_from(number).expect("few") % 2].local_addr().expect("bound");
            assert!(half_open.begin(number, server, 1, S));
            assert_eq!(ended(&mut half_open, S + S / 4).await, [(number, Ok(S / 4))]);
        }
        for server in servers {
            server.set_nonblocking(true).expect("a socket");
            assert_eq!(server.accept().map_err(|error| error.kind()).err(), Some(io::ErrorKind::WouldBlock));
        }
        assert_eq!(half_open.poll_timeout(), None);
    });
}

#[test]
fn who_does_not_listen_refuses() {
    run(async |mut half_open| {
        for ipv6 in [false, true] {
            let gone = listener(ipv6).local_addr().expect("bound");
            assert!(half_open.begin(1, gone, 1, S));
            assert_eq!(ended(&mut half_open, S).await, [(1, Err("connect: refused".to_owned()))]);
        }
    });
}

/// A server that answers nobody any more: as many as it takes wait already.
fn full() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    socket.listen(0).expect("a socket");
    let listener = TcpListener::from(socket);
    let at = listener.local_addr().expect("bound");
    let waiting = std::iter::from_fn(|| TcpStream::connect_timeout(&at, S / 5).ok()).collect();
    (at, waiting, listener)
}

#[test]
fn who_is_silent_is_waited_for_and_one_that_has_room_again_is_up() {
    run(async |mut half_open| {
        let (server, waiting, listener) = full();
        assert!(half_open.begin(1, server, 1, S));
        half_open.flush(S);
        assert_eq!(half_open.poll_outcomes(2 * S - S / 4), []);
        assert_eq!(half_open.poll_timeout(), Some(2 * S));
        let late = Err("no answer to connect in 1.0 s".to_owned());
        assert_eq!(half_open.poll_outcomes(2 * S), [(1, late)]);
        assert!(half_open.begin(2, server, 3, S));
        half_open.flush(S);
        for _ in &waiting {
            drop(listener.accept());
        }
        assert_eq!(half_open.poll_outcomes(2 * S), []);
        assert_eq!(ended(&mut half_open, 2 * S).await, [(2, Ok(S))], "the SYN was repeated");
    });
}

#[test]
fn an_answer_that_waits_counts_before_the_end_of_its_time() {
    run(async |mut half_open| {
        let server = listener(false);
        assert!(half_open.begin(1, server.local_addr().expect("bound"), 1, S));
        half_open.flush(S);
        // The answer of this machine is there when the call returns. Nobody has waited for it.
        assert_eq!(half_open.poll_outcomes(9 * S), [(1, Ok(8 * S))]);
    });
}

#[test]
fn as_many_as_there_are_ports_ask_one_server_and_a_thousand_ask_a_thousand() {
    run(async |mut half_open| {
        let server = listener(false).local_addr().expect("bound");
        let begun = (0..100).filter(|number| half_open.begin(*number, server, 1, S)).count();
        assert_eq!(begun, half_open.wire.asked().ports.len());
        let mut count = 0;
        while count < begun {
            count += ended(&mut half_open, S).await.len();
        }
        for n in 0..1_000_u16 {
            let server = SocketAddr::from(([127, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]], server.port()));
            assert!(half_open.begin(u64::from(n), server, 1, S));
        }
        let mut refused = 0;
        while refused < 1_000 {
            refused += ended(&mut half_open, S).await.iter().filter(|(_, outcome)| outcome.is_err()).count();
        }
    });
}

/// Whoever can send to our ports, but does not know our numbers, would fill the queue in which answers wait.
#[test]
fn a_flood_pushes_no_answer_out() {
    run(async |mut half_open| {
        let server = listener(false).local_addr().expect("bound");
        assert!(half_open.begin(1, server, 1, S));
        half_open.flush(S);
        let syn = Syn { isn: 0, ..half_open.flights.from(&[Ipv4Addr::LOCALHOST.into()].into())[0] };
        // What is there is read; from here on nobody reads.
        assert_eq!(ended(&mut half_open, S).await.len(), 1);
        let flood = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).expect("a raw socket");
        let ports = half_open.wire.asked().ports.clone();
        for (n, port) in (0..30_000u32).zip(ports.cycle()) {
            let isn = n.wrapping_mul(0x9e37_79b9);
            let forged = Syn { port: server.port(), server: (syn.server.ip(), port).into(), ..syn };
            let mut segment = forged.emit();
            segment[8..12].copy_from_slice(&isn.to_be_bytes());
            segment[13] = 0x14;
            let _ = flood.send_to(&segment, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into());
        }
        assert!(half_open.begin(2, server, 1, S));
        assert_eq!(ended(&mut half_open, S).await, [(2, Err("connect: refused".to_owned()))]);
    });
}

#[test]
fn after_a_burst_answers_are_read_before_anything_else_is_done() {
    run(async |mut half_open| {
        for n in 0..BURST {
            let n = u16::try_from(n).expect("few").to_be_bytes();
            assert!(half_open.begin(u64::from(n[1]), ([127, 1, n[0], n[1]], 9).into(), 1, S));
        }
        half_open.flush(S);
        assert_eq!(half_open.look, Some(S));
    });
}

#[test]
fn a_port_that_somebody_is_to_have_is_left_and_checks_go_on() {
    run(async |mut half_open| {
        let (server, waiting, listening) = full();
        assert!(half_open.begin(1, server, 30, S));
        half_open.flush(S);
        let before = half_open.wire.asked().ports.clone();
        half_open.leave(&[before.end].into(), S).expect("nothing to do");
        assert_eq!(half_open.wire.asked().ports, before);
        half_open.leave(&[before.start + 3].into(), S).expect("there are others");
        assert!(!half_open.wire.asked().ports.contains(&(before.start + 3)));
        assert!(before.clone().all(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()));
        let gone = listener(false).local_addr().expect("bound");
        assert!(half_open.begin(2, gone, 1, S));
        assert_eq!(ended(&mut half_open, S).await, [(2, Err("connect: refused".to_owned()))]);
        drop((waiting, listening));
        assert_eq!(half_open.flights.len(), 1, "the first one goes on");
    });
}

#[test]
fn a_source_that_is_gone_is_looked_up_again() {
    run(async |mut half_open| {
        let server = listener(false).local_addr().expect("bound");
        assert!(half_open.begin(1, server, 1, S));
        // As if it had been an address of ours a moment ago.
        half_open.outbox[0].source = [192, 0, 2, 77].into();
        assert_eq!(ended(&mut half_open, S).await, [(1, Err("connect: refused".to_owned()))]);
    });
}

#[test]
fn what_this_box_refuses_is_told_of_at_once() {
    run(async |mut half_open| {
        // Nobody else's wake-up tells of it: it may be the only one.
        assert!(half_open.begin(1, (Ipv4Addr::BROADCAST, 80).into(), 3, S));
        half_open.flush(S);
        assert_eq!(half_open.poll_timeout(), Some(Time::ZERO));
        let ended = half_open.poll_outcomes(S);
        assert!(matches!(ended.as_slice(), [(1, Err(_))]), "{ended:?}");
        assert_eq!(half_open.poll_timeout(), None);
    });
}
