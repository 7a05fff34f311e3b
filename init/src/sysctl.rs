//! Kernel settings that are right for a director before anything is configured: key, value, why. Set before an address
//! exists. `net.ipv4.vs.*` and connection tracking follow the configuration and are the director's.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Settings of the machine as a whole.
const GLOBAL: [(&str, &str, &str); 20] = [
    ("kernel/panic", "10", "a dead kernel restarts, after the reason could be read"),
    ("kernel/panic_on_oops", "1", "a kernel that has lost a thread forwards wrongly; the other box is healthy"),
    ("kernel/printk", "1 4 1 7", "the console belongs to the operator, the log ring has the messages"),
    ("kernel/sysrq", "0", "a BREAK on a serial line must not restart the box"),
    ("kernel/kptr_restrict", "1", "addresses of the kernel help only an attacker"),
    ("kernel/dmesg_restrict", "1", "operators read the log through the shell, by privilege"),
    ("fs/suid_dumpable", "0", "no memory of a privileged program is written anywhere"),
    // Resets the other IPv4 settings of a fresh kernel, so it comes before them.
    ("net/ipv4/ip_forward", "1", "it is a router for the real servers of mode nat"),
    ("net/ipv6/conf/all/forwarding", "1", "the same for IPv6"),
    (
        "net/ipv4/ip_early_demux",
        "0",
        "what comes in is hardly ever for a socket here, IPv6 too; so none is looked for first",
    ),
    ("net/ipv4/tcp_syncookies", "1", "its own services survive a SYN flood"),
    ("net/ipv4/ping_group_range", "0 2147483647", "ping without privilege, for every operator"),
    ("net/core/rmem_max", "8388608", "connection sync receives bursts of a whole table"),
    ("net/core/wmem_max", "8388608", "and sends them"),
    ("net/ipv4/neigh/default/gc_thresh1", "4096", "10,000 real servers and clients on one link are not a leak"),
    ("net/ipv4/neigh/default/gc_thresh2", "16384", "the same"),
    ("net/ipv4/neigh/default/gc_thresh3", "32768", "the same"),
    ("net/ipv6/neigh/default/gc_thresh1", "4096", "the same for IPv6"),
    ("net/ipv6/neigh/default/gc_thresh2", "16384", "the same"),
    ("net/ipv6/neigh/default/gc_thresh3", "32768", "the same"),
];

/// Settings of each interface: of `all`, of `default` (interfaces to come) and of those that exist, under `net/FAMILY/conf`.
const INTERFACE: [(&str, &str, &str, &str); 14] = [
    ("ipv4", "send_redirects", "0", "a redirect would send clients of mode nat past the director"),
    ("ipv4", "accept_redirects", "0", "routes come from the configuration"),
    ("ipv4", "accept_source_route", "0", "nobody else chooses the path"),
    ("ipv4", "rp_filter", "0", "in modes dr and tun a director needs no route to its clients, replies go past it"),
    ("ipv4", "accept_local", "1", "health checks travel in path and bear an address of the box"),
    ("ipv4", "arp_ignore", "1", "an address answers on its own interface only, a routed VIP on none"),
    ("ipv4", "arp_announce", "2", "ARP requests do not carry a VIP as their source"),
    ("ipv4", "promote_secondaries", "1", "removing an address leaves the others of its subnet"),
    ("ipv6", "accept_ra", "0", "addresses and routes come from the configuration"),
    ("ipv6", "autoconf", "0", "the same"),
    ("ipv6", "accept_redirects", "0", "the same"),
    ("ipv6", "accept_source_route", "0", "nobody else chooses the path"),
    ("ipv6", "keep_addr_on_down", "1", "a shutdown and no shutdown gives the addresses back"),
    ("ipv6", "router_solicitations", "0", "no answer would be accepted"),
];

/// Sets everything; each failure is a sentence.
#[must_use]
pub fn apply_at_boot() -> Vec<String> {
    let mut problems = Vec::new();
    for (key, value, _) in GLOBAL {
        problems.extend(set(key, value).err());
    }
    for (family, key, value, _) in INTERFACE {
        for interface in interfaces(family) {
            problems.extend(set(&format!("net/{family}/conf/{interface}/{key}"), value).err());
        }
    }
    problems
}

/// Settings of one interface that differ from the table, as path below `/proc/sys` and the right value. They come to differ
/// when an interface was made by something else.
#[must_use]
pub fn drift(interface: &str) -> Vec<(String, &'static str)> {
    let keys = INTERFACE.iter().map(|(family, key, value, _)| (format!("net/{family}/conf/{interface}/{key}"), *value));
    keys.filter(|(key, value)| fs::read_to_string(path(key)).is_ok_and(|is| !same(&is, value))).collect()
}

/// Writes one setting, unless it is so already. One that this kernel does not have is no failure.
///
/// # Errors
/// A sentence with the key.
pub fn set(key: &str, value: &str) -> Result<(), String> {
    let path = path(key);
    let is = match fs::read_to_string(&path) {
        Ok(is) => is,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("sysctl {}: {error}", name(key))),
    };
    if same(&is, value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(|error| format!("sysctl {}: stays at {}: {error}", name(key), is.trim_end()))
}

/// `all` and `default` first, so that an interface that appears meanwhile is right.
fn interfaces(family: &str) -> Vec<String> {
    let found = fs::read_dir(path(&format!("net/{family}/conf"))).into_iter().flatten().flatten();
    let mut names: Vec<String> = found.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_by_key(|name| (name != "all", name != "default", name.clone()));
    names
}

/// The kernel separates several values by tabs.
fn same(is: &str, value: &str) -> bool {
    is.split_ascii_whitespace().eq(value.split_ascii_whitespace())
}

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}

/// As sysctl(8) writes it: an interface's dot, as in `eth0.20`, becomes a slash.
fn name(key: &str) -> String {
    key.chars()
        .map(|c| {
            if c == '/' {
                '.'
            } else if c == '.' {
                '/'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_stands_once_and_has_a_reason() {
        let mut seen = BTreeSet::new();
        for (key, value, why) in GLOBAL {
            assert!(seen.insert(key.to_owned()) && !value.is_empty() && why.len() > 3, "{key}");
            assert!(!key.starts_with("net/ipv4/vs"), "{key} is the director's");
        }
        for (family, key, value, why) in INTERFACE {
            assert!(seen.insert(format!("{family}/{key}")) && !value.is_empty() && why.len() > 3, "{key}");
        }
    }

    #[test]
    fn forwarding_comes_before_what_it_resets() {
        let at = |key: &str| GLOBAL.iter().position(|(k, ..)| *k == key).unwrap();
        assert!(at("net/ipv4/ip_forward") < at("net/ipv4/tcp_syncookies"));
    }

    #[test]
    fn values_compare_as_words_and_names_print_as_sysctl_does() {
        assert!(same("1\t4\t1\t7\n", "1 4 1 7") && !same("1\n", "0"));
        assert_eq!(name("net/ipv4/conf/eth0.20/rp_filter"), "net.ipv4.conf.eth0/20.rp_filter");
    }
}
