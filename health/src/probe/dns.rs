//! A query: any answer to it without an error is good.

use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::net::UdpSocket;

use super::{Server, Stage, Tried, udp, words};

pub(super) async fn ask(server: Server, name: Option<&str>, stage: &Stage) -> Tried {
    udp::converse(server, false, stage, |socket| one(socket, name)).await
}

async fn one(socket: UdpSocket, name: Option<&str>) -> Tried {
    // The socket hears that server only, and is new for each attempt: a forger has to guess its port.
    let id = socket.local_addr().map_or(1, |own| own.port());
    let query = query(id, name)?;
    socket.send(&query).await.map_err(|error| format!("send: {}", words(&error)))?;
    let mut answer = [0; 4096];
    loop {
        let length = socket.recv(&mut answer).await.map_err(|error| format!("reply: {}", words(&error)))?;
        if let Some(judged) = judge(id, answer.get(..length).unwrap_or_default()) {
            return judged;
        }
    }
}

/// For addresses of `name`, or for the name servers of the root.
fn query(id: u16, name: Option<&str>) -> Result<Vec<u8>, String> {
    let (name, type_) = name.map_or((".", TYPE::NS), |name| (name, TYPE::A));
    let name = Name::new(name).map_err(|_| format!("request name {name}: no domain name"))?;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, QTYPE::TYPE(type_), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(|error| format!("query: {error}"))
}

/// `None` for what is no answer to this query.
fn judge(id: u16, answer: &[u8]) -> Option<Tried> {
    let Ok(packet) = Packet::parse(answer) else { return Some(Err("no dns message".to_owned())) };
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    Some(match packet.rcode() {
        RCODE::NoError => Ok(()),
        code => Err(format!("answer {code:?}")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_code() {
        let query = query(7, Some("www.example.net")).expect("a query");
        assert_eq!(judge(7, &query), None, "a query is no answer");
        let mut answer = query.clone();
        // RFC 1035 §4.1.1: QR is the first bit of the third byte, RCODE the last four of the fourth.
        answer[2] |= 0x80;
        assert_eq!(judge(7, &answer), Some(Ok(())));
        assert_eq!(judge(8, &answer), None);
        answer[3] |= 2;
        assert_eq!(judge(7, &answer), Some(Err("answer ServerFailure".to_owned())));
        assert!(super::query(7, None).is_ok());
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = judge(7, &answer);
        }
    }
}
