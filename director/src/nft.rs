//! Our nft table, `inet yoke`: who may reach SSH, and the firewall marks. Replaced as a whole in one transaction; nothing outside it is touched.
//!
//! [`render`] is pure. [`apply`] runs the nft program and waits for it, so the loop calls it on another thread. IPVS has its hook
//! after ours, so no rule here may match a packet of a virtual server but to mark it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use yoke_config::model::{Config, FirewallMark};
use yoke_config::value::IpNet;

use crate::services;

/// Makes a table that may not exist go away: to delete one that does not is an error, to declare one that does is none.
const REMOVE: &str = "table inet yoke\ndelete table inet yoke\n";

/// The script that replaces the table by what `config` asks for. Nothing asked for is no table.
pub(crate) fn render(config: &Config) -> String {
    let (ssh, marks) = (ssh(config), marks(config));
    let mut script = String::from(REMOVE);
    if !ssh.is_empty() || !marks.is_empty() {
        let _ = write!(script, "table inet yoke {{\n{ssh}{marks}}}\n");
    }
    script
}

/// Whether the script makes a table at all.
pub(crate) fn is_empty(script: &str) -> bool {
    script == REMOVE
}

/// `ip ssh access-class`: only for interface addresses, because port 22 of a virtual address is the virtual server's.
fn ssh(config: &Config) -> String {
    if config.ssh.access_class.is_empty() {
        return String::new();
    }
    let port = config.ssh.port;
    let mut text = String::from(" chain ssh {\n");
    for prefix in &config.ssh.access_class {
        let _ = writeln!(text, "  {} saddr {} accept", family(prefix.addr), network(prefix));
    }
    text.push_str("  drop\n }\n chain input {\n  type filter hook input priority filter; policy accept;\n");
    for address in services::interface_addresses(config) {
        let _ = writeln!(text, "  {} daddr {address} tcp dport {port} jump ssh", family(address));
    }
    text.push_str(" }\n");
    text
}

/// `firewall-mark`: set before routing, where IPVS reads them a moment later.
fn marks(config: &Config) -> String {
    if config.firewall_marks.is_empty() {
        return String::new();
    }
    let mut text = String::from(" chain marks {\n  type filter hook prerouting priority mangle; policy accept;\n");
    for FirewallMark { mark, prefix, protocol, ports } in &config.firewall_marks {
        let _ = write!(text, "  {} daddr {} ", family(prefix.addr), network(prefix));
        let protocol = protocol.word();
        let _ = match (ports.first, ports.last) {
            (0, _) => write!(text, "meta l4proto {protocol}"),
            (first, last) if first == last => write!(text, "{protocol} dport {first}"),
            (first, last) => write!(text, "{protocol} dport {first}-{last}"),
        };
        let _ = writeln!(text, " meta mark set {mark}");
    }
    text.push_str(" }\n");
    text
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

fn network(net: &IpNet) -> IpNet {
    net.network()
}

/// Hands `script` to nft, which applies all of it or nothing.
///
/// # Errors
/// What nft says, or why it could not be run.
pub(crate) fn apply(program: &Path, script: &str) -> Result<(), String> {
    let why = |e: std::io::Error| format!("nft: {e}");
    let mut child = Command::new(program)
        .env_clear()
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(why)?;
    // Dropped at the end of the statement: nft reads until it is closed.
    child.stdin.take().expect("piped").write_all(script.as_bytes()).map_err(why)?;
    let output = child.wait_with_output().map_err(why)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("nft: {}", said.lines().next().unwrap_or("failed without a word").trim()))
}

#[cfg(test)]
mod tests;
