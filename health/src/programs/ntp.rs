//! Whether a time server knows the time: a client's packet of NTPv4 (RFC 5905 §7.3), and an answer to it from one that is synchronized.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{SocketAddr, UdpSocket};

use crate::probe::any;

/// A packet without extensions.
const BYTES: usize = 48;
/// No leap warning, version 4, mode 3: a client.
const CLIENT: u8 = 4 << 3 | 3;
/// Of the three low bits of the first byte: a server.
const SERVER: u8 = 4;
/// Of the two high bits: the server's clock is not synchronized.
const UNSYNCHRONIZED: u8 = 3;
/// Strata of servers; 0 is a kiss of death, 16 is unsynchronized.
const STRATA: std::ops::RangeInclusive<u8> = 1..=15;
/// Where the answer repeats the time that the question bore, and where the question bears it.
const ORIGIN: std::ops::Range<usize> = 24..32;
const TRANSMIT: std::ops::Range<usize> = 40..48;

pub(super) fn ask(server: SocketAddr) -> Result<(), String> {
    let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let socket = UdpSocket::bind((any(server), 0)).map_err(failed("socket"))?;
    socket.connect(server).map_err(failed("connect"))?;
    // Only to be recognized, and not to be guessed: nobody reads the time from it. Hashers have random keys.
    let cookie = RandomState::new().build_hasher().finish().to_be_bytes();
    let mut question = [0; BYTES];
    question[0] = CLIENT;
    question[TRANSMIT].copy_from_slice(&cookie);
    socket.send(&question).map_err(failed("send"))?;
    let mut answer = [0; 1024];
    loop {
        let length = socket.recv(&mut answer).map_err(failed("reply"))?;
        if let Some(judged) = judge(&answer[..length], &cookie) {
            return judged;
        }
    }
}

/// `None` for what is no answer to this question.
fn judge(answer: &[u8], cookie: &[u8]) -> Option<Result<(), String>> {
    let Some(origin) = answer.get(ORIGIN) else { return Some(Err("no ntp message".to_owned())) };
    if answer.len() < BYTES || answer[0] & 7 != SERVER {
        return Some(Err("no ntp message of a server".to_owned()));
    }
    if origin != cookie {
        return None;
    }
    let (leap, stratum) = (answer[0] >> 6, answer[1]);
    Some(match stratum {
        0 => Err(format!("it refuses: {}", String::from_utf8_lossy(&answer[12..16]).escape_debug())),
        _ if leap == UNSYNCHRONIZED || !STRATA.contains(&stratum) => Err("its clock is not synchronized".to_owned()),
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn answer(first: u8, stratum: u8) -> [u8; BYTES] {
        let mut answer = [0; BYTES];
        (answer[0], answer[1]) = (first, stratum);
        answer[12..16].copy_from_slice(b"RATE");
        answer[ORIGIN].copy_from_slice(b"12345678");
        answer
    }

    #[test]
    fn a_server_that_does_not_know_the_time_is_no_good() {
        let said = |answer: &[u8]| judge(answer, b"12345678");
        assert_eq!(said(&answer(0x24, 2)), Some(Ok(())));
        assert_eq!(said(&answer(0xe4, 2)), Some(Err("its clock is not synchronized".to_owned())));
        assert_eq!(said(&answer(0x24, 16)), Some(Err("its clock is not synchronized".to_owned())));
        assert_eq!(said(&answer(0x24, 0)), Some(Err("it refuses: RATE".to_owned())));
        assert_eq!(said(&answer(0x23, 2)), Some(Err("no ntp message of a server".to_owned())), "a client's");
        assert_eq!(said(b"SSH-2.0-x"), Some(Err("no ntp message".to_owned())));
        assert_eq!(judge(&answer(0x24, 2), b"87654321"), None, "to another question");
    }

    #[test]
    fn a_server_is_asked() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = server.local_addr().unwrap();
        let serves = std::thread::spawn(move || {
            let mut question = [0; 100];
            let (length, client) = server.recv_from(&mut question).unwrap();
            assert_eq!((length, question[0]), (BYTES, CLIENT));
            let mut reply = answer(0x24, 1);
            reply[ORIGIN].copy_from_slice(&question[TRANSMIT]);
            server.send_to(&reply, client).unwrap();
        });
        let arguments = [address.ip().to_string(), address.port().to_string()];
        assert_eq!(crate::programs::run("ntp", &arguments), Some(Ok(())));
        serves.join().unwrap();
        assert_eq!(crate::programs::run("ntp", &arguments[..1]), Some(Err("use: ntp ADDRESS PORT".to_owned())));
        assert_eq!(crate::programs::run("none", &arguments), None);
    }
}
