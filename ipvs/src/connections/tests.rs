//! Lines the kernel printed, and lines it never would.

use super::*;

const CONN: &str = include_str!("../../tests/captures/ip_vs_conn.txt");
const ENGINE: &str = include_str!("../../tests/captures/ip_vs_conn_engine.txt");
const SYNC: &str = include_str!("../../tests/captures/ip_vs_conn_sync.txt");

fn all(text: &str) -> Vec<Connection<'_>> {
    text.split_inclusive('\n').filter_map(|line| parse_line(line).unwrap()).collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn reads_what_the_kernel_printed() {
    let connections = all(CONN);
    assert_eq!(connections.len(), CONN.lines().count() - 1, "the header is no connection");
    let first = Connection {
        protocol: Protocol::Tcp,
        client: at("10.0.0.100:32952"),
        service: at("10.0.0.100:80"),
        destination: at("10.1.1.1:8080"),
        state: "ESTABLISHED",
        expires: 899,
        origin: None,
        engine: None,
    };
    assert_eq!(connections[0], first);
    assert_eq!(connections[1].destination, at("[fd00:1::1]:8443"));
    assert_eq!(connections[1].expires, 117);
    assert_eq!(connections[3].client, at("[fd00::100]:0"), "a persistence template");
}

#[test]
fn reads_the_origin_of_synced_connections() {
    let (here, there) = (all(CONN), all(SYNC));
    assert_eq!(here.len(), there.len());
    for (here, there) in here.iter().zip(&there) {
        // One second passed between the two files.
        assert_eq!(*here, Connection { origin: None, expires: here.expires, ..*there });
        assert_eq!(there.origin, Some(Origin::Local));
    }
    let line = "UDP 0A000064 D85E 0A000064 0035 0A010101 0035 UDP         SYNC       299\n";
    assert_eq!(parse_line(line).unwrap().unwrap().origin, Some(Origin::Sync));
}

#[test]
fn reads_a_persistence_engine() {
    let connections = all(ENGINE);
    let engines: Vec<_> = connections.iter().filter_map(|c| c.engine).collect();
    assert_eq!(engines, [("sip", b"0123456789@192.0.2.7".as_slice())]);
    let template = connections.iter().find(|c| c.engine.is_some()).unwrap();
    assert_eq!((template.client, template.state, template.expires), (at("192.0.2.7:0"), "NONE", 59));
    assert_eq!(connections[1].protocol, Protocol::Udp);
    // A Call-ID may hold spaces.
    let line = "UDP C0A80001 0000 0A000064 13C4 0A010101 13C4 UDP             299 sip a b@c";
    assert_eq!(parse_line(line).unwrap().unwrap().engine, Some(("sip", b"a b@c".as_slice())));
    // The kernel takes letters of Latin-1 for such, in a Call-ID and here.
    let line = b"UDP C0A80001 0000 0A000064 13C4 0A010101 13C4 UDP             299 sip caf\xe9@c\n";
    assert_eq!(parse_line(line).unwrap().unwrap().engine, Some(("sip", b"caf\xe9@c".as_slice())));
    let elsewhere = b"UDP C0A80001 0000 0A000064 13C4 0A010101 13C4 \xe9             299";
    assert!(parse_line(elsewhere).is_err());
}

#[test]
fn says_what_it_cannot_read() {
    let good = "TCP 0A000064 D85E 0A000064 0050 0A010101 1F90 TIME_WAIT       119";
    assert!(parse_line(good).unwrap().is_some());
    let words: Vec<&str> = good.split_whitespace().collect();
    for cut in 0..words.len() {
        assert!(parse_line(&words[..cut].join(" ")).is_err(), "{cut} words");
    }
    for (place, word) in
        [(0, "QQQ"), (1, "0A0000"), (1, "0A00006g"), (1, "+A000064"), (1, "fe80::g"), (2, "10000"), (8, "-1")]
    {
        let mut words = words.clone();
        words[place] = word;
        assert!(parse_line(&words.join(" ")).is_err(), "{word}");
    }
}

#[test]
fn filters() {
    let connections = all(CONN);
    let count = |filter: Filter| connections.iter().filter(|c| filter.takes(c)).count();
    assert_eq!(count(Filter::default()), 5);
    assert_eq!(count(Filter { protocol: Some(Protocol::Udp), ..Filter::default() }), 0);
    assert_eq!(count(Filter { service: Some(at("10.0.0.100:80")), ..Filter::default() }), 3);
    assert_eq!(count(Filter { service: Some(at("10.0.0.100:81")), ..Filter::default() }), 0);
    assert_eq!(count(Filter { service: Some(at("[fd00::100]:0")), ..Filter::default() }), 2);
    assert_eq!(count(Filter { destination: Some(at("10.1.1.1:8080")), ..Filter::default() }), 3);
    for (state, connections) in [("time_wait", 2), ("TIME-WAIT", 2), ("TIME", 0)] {
        assert_eq!(count(Filter { state: Some(state.into()), ..Filter::default() }), connections, "{state}");
    }
    let client = |prefix: &str, length| Filter { client: Some((prefix.parse().unwrap(), length)), ..Filter::default() };
    assert_eq!(count(client("10.0.0.96", 29)), 3);
    assert_eq!(count(client("10.0.0.96", 30)), 0);
    assert_eq!(count(client("0.0.0.0", 0)), 3);
    assert_eq!(count(client("::", 0)), 2);
    assert_eq!(count(client("fd00::100", 128)), 2);
    assert_eq!(count(client("fd00::100", 255)), 2);
    assert_eq!(count(client("fd00::101", 128)), 0);
}
