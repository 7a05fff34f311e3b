//! `init ask JSON...`: sends requests to PID 1 and prints its replies, a line each. For laboratories and repairs; operators
//! ask through the shell.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use yoke_control::Client;

use crate::request::{Reply, Request, SOCKET};
use crate::say;

/// Runs it: 0 when every request was answered and none failed.
#[must_use]
pub fn main(requests: &[String]) -> u8 {
    match ask(requests) {
        Ok(status) => status,
        Err(error) => {
            say::problem(&format!("init ask: {error:#}"));
            2
        }
    }
}

fn ask(requests: &[String]) -> anyhow::Result<u8> {
    let mut client = Client::connect(Path::new(SOCKET)).context(SOCKET)?;
    let mut status = 0;
    for request in requests {
        let request: Request = serde_json::from_str(request).context("request")?;
        let reply: Reply = client.call(&request)?;
        status |= u8::from(matches!(reply, Reply::Failed { .. }));
        std::io::stdout().write_all(&yoke_control::emit(&reply)?)?;
    }
    Ok(status)
}
