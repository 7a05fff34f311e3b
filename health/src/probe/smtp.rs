//! Greeting, EHLO and a good bye (RFC 5321 §3.1, §3.2).

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Server, Stage, Tried, quoted, read_until, tcp, words};

/// How long the answer to QUIT is waited for. Whatever it is, the server has shown that it serves.
const BYE: Duration = Duration::from_millis(200);

pub(super) async fn ask(server: Server, host: &str, stage: &Stage) -> Tried {
    let mut stream = tcp::connect(server, stage).await?;
    stage.set("greeting");
    expect(&mut stream, 220, "greeting").await?;
    stage.set("reply to EHLO");
    stream.write_all(format!("EHLO {host}\r\n").as_bytes()).await.map_err(|e| format!("EHLO: {}", words(&e)))?;
    expect(&mut stream, 250, "EHLO").await?;
    // Many servers log a client that leaves without it, or before it is answered.
    let bye = async {
        stream.write_all(b"QUIT\r\n").await.ok()?;
        expect(&mut stream, 221, "QUIT").await.ok()
    };
    let _ = tokio::time::timeout(BYE, bye).await;
    Ok(())
}

async fn expect(stream: &mut TcpStream, code: u16, what: &str) -> Tried {
    match read_until(stream, |answer| reply(answer).map(|found| (found, answer.to_vec()))).await? {
        Ok((Some(found), _)) if found == code => Ok(()),
        Ok((Some(found), _)) => Err(format!("{what}: {found}, expected {code}")),
        Ok((None, answer)) => Err(format!("no smtp: {}", quoted(&answer))),
        Err(answer) if answer.is_empty() => Err(format!("{what}: closed without a reply")),
        Err(answer) => Err(format!("no smtp: {}", quoted(&answer))),
    }
}

/// The code of a reply, once its last line is there; `Some(None)` when this is no SMTP.
fn reply(answer: &[u8]) -> Option<Option<u16>> {
    // RFC 5321 §4.2.1: `250-` goes on, `250 ` (or `250` alone) ends.
    for line in answer.split_inclusive(|byte| *byte == b'\n') {
        let digits = line.get(..line.len().min(3)).unwrap_or_default();
        if !digits.iter().all(u8::is_ascii_digit) {
            return Some(None);
        }
        if line.last() != Some(&b'\n') {
            return None;
        }
        let code = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        match line.get(3) {
            Some(b'-') if line.len() <= 512 => {}
            Some(b' ' | b'\r' | b'\n') => return Some(code),
            _ => return Some(None),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let table: [(&str, Option<Option<u16>>); 9] = [
            ("", None),
            ("2", None),
            ("220 mail", None),
            ("220 mail ESMTP\r\n", Some(Some(220))),
            ("250-mail\r\n250-SIZE\r\n", None),
            ("250-mail\r\n250 SIZE\r\n", Some(Some(250))),
            ("421\r\n", Some(Some(421))),
            ("HTTP/1.1 400 Bad Request\r\n", Some(None)),
            ("2209\r\n", Some(None)),
        ];
        for (answer, expected) in table {
            assert_eq!(reply(answer.as_bytes()), expected, "{answer:?}");
        }
    }
}
