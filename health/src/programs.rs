//! Programs for `type external` that the image ships: what no other type asks.
//!
//! One binary has them all, and is called by their names. Each is given the server's address and port, exits with 0 when the server is good, and
//! otherwise writes why. It runs as nobody, without a privilege, and is killed at the monitor's timeout, so none has one of its own.

mod ntp;

use std::net::SocketAddr;

/// Runs the program `name` with its arguments; `None` when there is none of this name.
#[must_use]
pub fn run(name: &str, arguments: &[String]) -> Option<Result<(), String>> {
    let program = match name {
        "ntp" => ntp::ask,
        _ => return None,
    };
    let server = match arguments {
        [address, port] => address.parse().ok().zip(port.parse().ok()).map(|(ip, port)| SocketAddr::new(ip, port)),
        _ => None,
    };
    Some(server.ok_or_else(|| format!("use: {name} ADDRESS PORT")).and_then(program))
}
