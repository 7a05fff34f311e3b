//! How often somebody may begin a connection to SSH, the nft table `inet yoke_ssh`; and `show ip ssh`.
//!
//! A connection is four guesses (`services`), and costs the box an exchange of keys. So one source, an IPv4 address or an IPv6 network of 64 bits,
//! may begin [`BURST`] connections at once and [`A_MINUTE`] later on; segments of the others' handshakes are dropped and counted. The rules look at first
//! segments to port 22 of the box itself, after IPVS and after the access-class. A box whose table of sources is full lets further ones in:
//! then dropbear's own bounds are left, [`UNKNOWN_OF_SOURCE`] and [`UNKNOWN`] connections without a login on each address.
//!
//! A table of its own and never deleted while SSH is on, because what it counts has to outlive other changes of rules. No password is
//! looked at here, and nobody is locked out for longer than the rate says.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use yoke_config::model::Config;
use yoke_director::status::Ssh;

use crate::director::Director;
use crate::{commit, nft, services};

/// Connections that one source may begin in the long run. A script that asks the box every two seconds stays below.
const A_MINUTE: u32 = 30;
/// And at once: an inventory tool that runs its commands one by one.
const BURST: u32 = 60;
/// Sources that are remembered in each family, 100 bytes each, until they were silent for five minutes.
const SOURCES: u32 = 65_535;
/// Connections of one source, on one address, that dropbear serves before a login (`MAX_UNAUTH_PER_IP` of its `default_options.h`).
const UNKNOWN_OF_SOURCE: u32 = 5;
/// The same of all sources (`MAX_UNAUTH_CLIENTS`).
const UNKNOWN: u32 = 30;
/// The table.
const TABLE: &str = "inet yoke_ssh";
/// Its counter.
const COUNTER: &str = "refused";

/// What is in effect.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    script: Option<String>,
    /// The kernel's count of nft's transactions at that time, so that somebody else's are seen.
    pub(crate) generation: Option<u32>,
}

/// The script that brings the table about, whatever is there, and keeps what it has counted.
fn script(addresses: &BTreeSet<IpAddr>, port: u16) -> String {
    if addresses.is_empty() {
        // To delete a table that does not exist is an error, to declare one that does is none.
        return format!("table {TABLE}\ndelete table {TABLE}\n");
    }
    let mut text = format!("table {TABLE} {{\n counter {COUNTER} {{ }}\n");
    let families = [("ip", "ipv4_addr", "ip saddr"), ("ip6", "ipv6_addr", "ip6 saddr & ffff:ffff:ffff:ffff::")];
    for (family, kind, _) in families {
        let _ = write!(
            text,
            " set {family}_sources {{\n  type {kind}\n  size {SOURCES}\n  flags dynamic,timeout\n  timeout 5m\n }}\n"
        );
    }
    // After the chain of `inet yoke`, which has 110.
    text.push_str(" chain input {\n  type filter hook input priority 111; policy accept;\n }\n}\n");
    let _ = write!(text, "flush chain {TABLE} input\ntable {TABLE} {{\n chain input {{\n");
    for (family, _, source) in families {
        let of: Vec<String> =
            addresses.iter().filter(|a| a.is_ipv4() == (family == "ip")).map(IpAddr::to_string).collect();
        if !of.is_empty() {
            let _ = writeln!(
                text,
                "  {family} daddr {{ {} }} tcp dport {port} tcp flags & (syn | ack) == syn update @{family}_sources {{ {source} limit rate over {A_MINUTE}/minute burst {BURST} packets }} counter name {COUNTER} drop",
                of.join(", ")
            );
        }
    }
    text.push_str(" }\n}\n");
    text
}

fn wanted(config: &Config) -> String {
    script(&services::ssh_addresses(config).into_iter().collect(), config.ssh.port)
}

/// Puts the limit in effect, unless it is and nobody has used nft since.
///
/// # Errors
/// What nft says: SSH is open then, and not limited.
pub(crate) async fn limit(director: &Director) -> Result<(), String> {
    let script = wanted(&director.state().running.config);
    let nothing = services::ssh_addresses(&director.state().running.config).is_empty();
    if nothing && director.state().ssh_limit.script.is_none() {
        // What a director before this one may have left is about ports that are closed.
        return Ok(());
    }
    let now = commit::generation(director);
    let known = director.state().ssh_limit.script.as_ref() == Some(&script);
    if known && (nothing || now.is_some() && now == director.state().ssh_limit.generation) {
        return Ok(());
    }
    let done = commit::nft_transaction(director, &script).await;
    let generation = done.as_ref().ok().copied().flatten();
    director.state_mut().ssh_limit = Limit { script: done.is_ok().then_some(script), generation };
    done.map(drop).map_err(|failure| format!("ip ssh: connections are not limited: {}", failure.why()))
}

/// `show ip ssh`.
///
/// # Errors
/// What nft says.
pub(crate) async fn show(director: &Director) -> Result<Ssh, String> {
    let config = &director.state().running.clone().config;
    let addresses = services::ssh_addresses(config);
    let refused = if director.state().ssh_limit.script.is_some() && !addresses.is_empty() {
        let program = director.paths.nft.clone();
        let asked = tokio::task::spawn_blocking(move || nft::counter(&program, TABLE, COUNTER)).await;
        Some(asked.expect("nft::counter does not panic")?)
    } else {
        None
    };
    Ok(Ssh {
        port: config.ssh.port,
        addresses: addresses.iter().map(IpAddr::to_string).collect(),
        clients: config.ssh.access_class.iter().map(ToString::to_string).collect(),
        guesses: services::TRIES,
        a_minute: A_MINUTE,
        burst: BURST,
        unknown_of_source: UNKNOWN_OF_SOURCE,
        unknown: UNKNOWN,
        refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    const OPEN: &str = "username admin secret sha512 $6$a$b\nip ssh port 2222\ninterface eth0\n ip address 203.0.113.2/24\n ipv6 address 2001:db8::2/64\n";

    #[test]
    fn each_family_has_its_rule_and_its_sources() {
        let text = wanted(&config(OPEN));
        assert!(text.contains("ip daddr { 203.0.113.2 } tcp dport 2222 "), "{text}");
        assert!(text.contains("ip6 daddr { 2001:db8::2 } tcp dport 2222 "), "{text}");
        assert!(
            text.contains("@ip6_sources { ip6 saddr & ffff:ffff:ffff:ffff:: limit rate over 30/minute burst 60"),
            "{text}"
        );
        assert!(!text.contains("delete"), "what was counted stays: {text}");
    }

    #[test]
    fn closed_it_has_no_table() {
        for closed in ["", &format!("{OPEN}ip ssh shutdown\n"), "interface eth0\n ip address 203.0.113.2/24\n"] {
            assert_eq!(wanted(&config(closed)), "table inet yoke_ssh\ndelete table inet yoke_ssh\n");
        }
    }
}
