//! Settings of the kernel's balancer and of connection tracking: one table of key, value and reason, and the parameters of the IPVS module.
//!
//! Only this file writes below `/proc/sys/net/ipv4/vs` and `/proc/sys/net/netfilter`; every other sysctl is init's or vrrpd's. A value that is
//! right is not written. Parameters count when the module is loaded, which is once: init's modprobe reads them, and a change waits for the
//! next boot.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use yoke_config::model::{Config, Defence, HealthCheck, IpvsSettings, VirtualServer};

/// Memory a connection of mode fullnat takes: 320 bytes in IPVS (296 and what the allocator adds), as much in connection tracking.
const CONNECTION_BYTES: u64 = 640;
/// Of the memory, what tracked connections may take: the rest of the box lives in what is left.
const TRACKED_SHARE: u64 = 4;
/// Tracked connections, at least: 40 MB.
const TRACKED_MIN: u32 = 65_536;
/// Of the memory, what has to be free before the defences begin. The kernel's own 4 MB are gone before anything could be done about it.
const THRESHOLD_SHARE: u64 = 20;
/// Of the memory, what the buckets of the table of connections take at most.
const TABLE_SHARE: u64 = 256;
/// A bucket is a pointer.
const BUCKET_BYTES: u64 = 8;
/// Table sizes that are chosen: what the kernel has without a word, and 128 MiB.
const TABLE_BITS: (u32, u32) = (12, 24);
/// The kernel counts that in pages. x86 has these.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// A setting: key below its directory, value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) value: u32,
}

const fn set(key: &'static str, value: u32) -> Setting {
    Setting { key, value }
}

/// `net.ipv4.vs.*`. `conntrack` only while something needs it: it costs every connection half of [`CONNECTION_BYTES`] and a lookup. `probes` says whether this box
/// has connections of its own to real servers.
pub(crate) fn balancer(ipvs: &IpvsSettings, conntrack: bool, probes: bool, memory_bytes: u64) -> Vec<Setting> {
    let on = u32::from;
    vec![
        set("conntrack", on(conntrack)),
        // A client port that is used again gets a server anew; 0 would pin it to a server that is drained or gone.
        set("conn_reuse_mode", u32::from(ipvs.conn_reuse_mode)),
        set("expire_nodest_conn", on(ipvs.expire_nodest_conn)),
        set("expire_quiescent_template", on(ipvs.expire_quiescent_template)),
        set("sloppy_tcp", on(ipvs.sloppy_tcp)),
        set("sloppy_sctp", on(ipvs.sloppy_sctp)),
        set("schedule_icmp", on(ipvs.schedule_icmp)),
        // Before the modes that follow it.
        set("amemthresh", threshold_pages(ipvs, memory_bytes)),
        set("am_droprate", u32::from(ipvs.drop_rate())),
        set("drop_entry", defence(ipvs.drop_entry)),
        set("drop_packet", defence(ipvs.drop_packet.map(|(mode, _)| mode))),
        set("secure_tcp", defence(ipvs.secure_tcp)),
        // Rates of `show rate` come from the estimators.
        set("run_estimation", 1),
        // Too large for the tunnel: the client is told, and sends less at once.
        set("pmtu_disc", 1),
        // A server whose connection is not known here, because this box has just taken over, learns it; its address does not get out. But
        // the kernel takes the answer to a probe for such a packet (ip_vs_core.c, ip_vs_out), and the server would seem dead while it is in.
        // And at an address of a pool nothing is answered.
        set("nat_icmp_send", on(!probes && !conntrack)),
        // A packet that has its virtual address back has its route: this box has no route that depends on where a packet comes from.
        set("snat_reroute", 0),
        // A virtual server without a real server refuses; it does not send its clients past it.
        set("cache_bypass", 0),
    ]
}

/// What the kernel calls a mode: 2 is 1 while memory is short, which is the kernel's own to say.
fn defence(defence: Option<Defence>) -> u32 {
    match defence {
        None => 0,
        Some(Defence::Auto) => AUTO,
        Some(Defence::Always) => 3,
    }
}

const AUTO: u32 = 1;
const AUTO_NOW: u32 = 2;

fn threshold_pages(ipvs: &IpvsSettings, memory_bytes: u64) -> u32 {
    let bytes = ipvs.memory_threshold_mb.map_or(memory_bytes / THRESHOLD_SHARE, |mb| u64::from(mb) << 20);
    i32::try_from(bytes / PAGE_BYTES).unwrap_or(i32::MAX).cast_unsigned().max(1)
}

/// `net.netfilter.*`, while connections are tracked, be it for mode fullnat or for hosts inside. IPVS and connection tracking forget a connection at the same time: were tracking first, the
/// next packet would come from another port of the pool, and the server would not know it.
pub(crate) fn tracking(ipvs: &IpvsSettings, memory_bytes: u64) -> Vec<Setting> {
    let connections =
        u32::try_from(memory_bytes / TRACKED_SHARE / CONNECTION_BYTES).unwrap_or(u32::MAX).max(TRACKED_MIN);
    vec![
        // A chain of two on average; 8 bytes each.
        set("nf_conntrack_buckets", connections),
        set("nf_conntrack_max", connections),
        set("nf_conntrack_tcp_timeout_established", ipvs.timeout_tcp),
        // By default shorter, for data that nobody has acknowledged; IPVS keeps such a connection as long as any.
        set("nf_conntrack_tcp_timeout_max_retrans", ipvs.timeout_tcp),
        set("nf_conntrack_tcp_timeout_unacknowledged", ipvs.timeout_tcp),
        set("nf_conntrack_tcp_timeout_fin_wait", ipvs.timeout_tcpfin.max(FIN_WAIT_S)),
        set("nf_conntrack_udp_timeout", ipvs.timeout_udp),
        set("nf_conntrack_udp_timeout_stream", ipvs.timeout_udp),
        // IPVS has no setting for this one (its 15 minutes, ip_vs_proto_sctp.c).
        set("nf_conntrack_sctp_timeout_established", 900),
        // A connection that comes in the middle is one that the other box has served until now.
        set("nf_conntrack_tcp_loose", 1),
        // A segment out of window is the receiver's to judge; untranslated it would end the connection.
        set("nf_conntrack_tcp_be_liberal", 1),
    ]
}

/// The kernel's own timeout of FIN_WAIT in connection tracking.
const FIN_WAIT_S: u32 = 120;

/// Has connections tracked from now on; what else follows from the configuration is [`apply`]'s.
///
/// # Errors
/// A sentence: without it the kernel would leave source addresses alone.
pub(crate) fn track(proc: &Path, config: &Config) -> Result<(), String> {
    // Each of them is worth less than the service, and [`apply`] says so a moment later.
    let settings = tracking(&config.ipvs, memory_bytes(proc));
    write(&proc.join("sys/net/netfilter"), "net.netfilter", &settings, &mut Applied::default());
    let done = write_one(&proc.join("sys/net/ipv4/vs"), "net.ipv4.vs", &set("conntrack", 1));
    done.map(drop).map_err(|why| format!("mode fullnat: {why}"))
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// A setting this kernel does not have, or does not take, is a sentence for `show warnings`, not a failure.
    pub(crate) problems: Vec<String>,
    /// Settings that were not as they should be.
    pub(crate) written: usize,
}

/// Everything that follows a configuration, as files below `/proc/sys`. `conntrack` as in [`balancer`].
pub(crate) fn apply(proc: &Path, config: &Config, conntrack: bool) -> Applied {
    let memory = memory_bytes(proc);
    let directory = proc.join("sys/net/ipv4/vs");
    let mut applied = Applied::default();
    if !directory.exists() {
        applied.problems.push("sysctl net.ipv4.vs: not there, the kernel has no IPVS".to_owned());
        return applied;
    }
    if conntrack || !config.nat_inside.is_empty() {
        let settings = tracking(&config.ipvs, memory);
        write(&proc.join("sys/net/netfilter"), "net.netfilter", &settings, &mut applied);
    }
    let settings = balancer(&judged(config), conntrack, has_checks(config), memory);
    write(&directory, "net.ipv4.vs", &settings, &mut applied);
    applied
}

/// What connection sync needs to carry every connection, in this order (verified on the wire): one is sent with its first packet as an
/// established one, and again when it speaks, at most every 10 s, so that it does not expire at the peer. The kernel's own settings send the third
/// packet and then one in fifty. `0 0` without a refresh period would send nothing.
const SYNC: [(&str, &str); 3] = [("sync_refresh_period", "10"), ("sync_threshold", "0 0"), ("sync_retries", "1")];

/// Sets that.
pub(crate) fn synchronize(proc: &Path) -> Vec<String> {
    let directory = proc.join("sys/net/ipv4/vs");
    let set = |(key, value): &(&str, &str)| {
        let path = directory.join(key);
        let is = fs::read_to_string(&path)?;
        // Several numbers are separated by tabs.
        if is.split_ascii_whitespace().eq(value.split_ascii_whitespace()) { Ok(()) } else { fs::write(&path, value) }
    };
    let failed = |setting: &(&str, &str)| set(setting).err().map(|e| format!("sysctl net.ipv4.vs.{}: {e}", setting.0));
    SYNC.iter().filter_map(failed).collect()
}

/// The settings, and those that health checks bring with them: what a dead server has is given up at once, connections when it is taken out
/// (clients get a reset, UDP flows another server with their next packet) and persistence when it is left in with weight 0.
fn judged(config: &Config) -> IpvsSettings {
    let mut ipvs = config.ipvs;
    for server in config.virtual_servers.values().filter(|server| !server.shutdown && is_judged(server)) {
        ipvs.expire_nodest_conn = true;
        ipvs.expire_quiescent_template |= server.inhibit_on_failure;
    }
    ipvs
}

fn has_checks(config: &Config) -> bool {
    config.virtual_servers.values().any(is_judged)
}

fn is_judged(server: &VirtualServer) -> bool {
    let checked = |key, real| matches!(server.health_check_of(key, real), Some(HealthCheck::Monitor(_)));
    server.real_servers.iter().any(|(&key, real)| checked(key, real))
}

/// Writes what differs.
fn write(directory: &Path, name: &str, settings: &[Setting], applied: &mut Applied) {
    for setting in settings {
        match write_one(directory, name, setting) {
            Ok(written) => applied.written += usize::from(written),
            Err(problem) => applied.problems.push(problem),
        }
    }
}

/// Returns whether it had to be written.
fn write_one(directory: &Path, name: &str, Setting { key, value }: &Setting) -> Result<bool, String> {
    let path = directory.join(key);
    let why = |e: std::io::Error| format!("sysctl {name}.{key}: {e}");
    let is = fs::read_to_string(&path).map_err(why)?;
    let differs = !same(key, is.trim(), *value);
    if differs {
        fs::write(&path, value.to_string()).map_err(why)?;
    }
    Ok(differs)
}

fn same(key: &str, is: &str, wanted: u32) -> bool {
    let Ok(is) = is.parse::<u32>() else { return false };
    match key {
        "drop_entry" | "drop_packet" | "secure_tcp" => is == wanted || (is == AUTO_NOW && wanted == AUTO),
        // The kernel rounds up to whole pages of buckets.
        "nf_conntrack_buckets" => is >= wanted && is - wanted < u32::try_from(PAGE_BYTES / 8).unwrap_or_default(),
        _ => is == wanted,
    }
}

/// `MemTotal` of `/proc/meminfo`, 0 when it is not there.
pub(crate) fn memory_bytes(proc: &Path) -> u64 {
    let text = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() << 10
}

/// Every `net.ipv4.vs.*` as it is, by its last word; those that cannot be read are left out.
pub(crate) fn balancer_now(proc: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(proc.join("sys/net/ipv4/vs")).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let value = fs::read_to_string(entry.path()).ok()?;
        Some((entry.file_name().into_string().ok()?, value.trim().replace('\t', " ")))
    };
    entries.filter_map(read).collect()
}

/// What init's modprobe is told of the IPVS module. A kernel's own choice (Debian's: 12) knows nothing of the box: of a million connections in its
/// 4096 buckets, every packet would look at a hundred.
pub(crate) fn module_options(ipvs: &IpvsSettings, memory_bytes: u64) -> String {
    format!("options ip_vs conn_tab_bits={}\n", table_bits(ipvs, memory_bytes))
}

/// The size of the table of connections, log2 of buckets: as given, or what takes between half of [`TABLE_SHARE`] of the memory and all of it, which
/// is about a bucket for each connection that fits in a quarter of it.
pub(crate) fn table_bits(ipvs: &IpvsSettings, memory_bytes: u64) -> u32 {
    let fitting = (memory_bytes / TABLE_SHARE / BUCKET_BYTES).checked_ilog2().unwrap_or_default();
    ipvs.table_bits.map_or_else(|| fitting.clamp(TABLE_BITS.0, TABLE_BITS.1), u32::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, paths};

    fn read(proc: &Path, key: &str) -> String {
        fs::read_to_string(proc.join("sys/net").join(key)).unwrap().trim().to_owned()
    }

    #[test]
    fn only_what_differs_is_written_and_a_missing_key_is_named() {
        let (_dir, paths) = paths();
        fs::remove_file(paths.proc.join("sys/net/ipv4/vs/pmtu_disc")).unwrap();
        let problems = apply(&paths.proc, &config("ipvs sloppy-tcp\n"), false).problems;
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("sysctl net.ipv4.vs.pmtu_disc: "), "{problems:?}");
        assert_eq!(
            (read(&paths.proc, "ipv4/vs/sloppy_tcp"), read(&paths.proc, "ipv4/vs/conn_reuse_mode")),
            ("1".into(), "1".into())
        );
        assert_eq!(fs::read_to_string(paths.proc.join("sys/net/ipv4/vs/conntrack")).unwrap(), "0\n", "left alone");
        assert_eq!(apply(&paths.proc.join("empty"), &Config::default(), false).problems.len(), 1);
        assert_eq!(apply(&paths.proc, &config("ipvs sloppy-tcp\n"), false).written, 0, "what is right is left alone");
    }

    /// With nat_icmp_send the kernel swallows the answer to every probe of a server that is in the pool.
    #[test]
    fn checks_bring_the_settings_that_they_need() {
        let (_dir, paths) = paths();
        let keys = ["nat_icmp_send", "expire_nodest_conn", "expire_quiescent_template"];
        let set = |lines: &str| {
            let text = format!(
                "health-monitor m\nvirtual-server v\n virtual 192.0.2.1 tcp 80\n{lines} real-server 10.0.0.1 80\n"
            );
            assert_eq!(apply(&paths.proc, &config(&text), false).problems, Vec::<String>::new());
            keys.map(|key| read(&paths.proc, &format!("ipv4/vs/{key}"))).join(" ")
        };
        assert_eq!(set(""), "0 1 0", "the built-in monitor");
        assert_eq!(set(" health-check m\n"), "0 1 0");
        assert_eq!(set(" health-check m\n inhibit-on-failure\n"), "0 1 1");
        assert_eq!(set(" health-check none\n inhibit-on-failure\n"), "1 0 0");
    }

    #[test]
    fn tracking_is_set_up_for_as_long_as_ipvs_remembers() {
        let (_dir, paths) = paths();
        fs::write(paths.proc.join("meminfo"), "MemTotal:        1048576 kB\n").unwrap();
        let settings = config("ipvs timeout tcp 28800\nipvs timeout tcpfin 30\nipvs timeout udp 600\n");
        assert_eq!(apply(&paths.proc, &settings, false).problems, Vec::<String>::new());
        assert_eq!(read(&paths.proc, "netfilter/nf_conntrack_udp_timeout"), "0", "nobody needs it");
        assert_eq!(apply(&paths.proc, &settings, true).problems, Vec::<String>::new());
        for (key, value) in [
            ("ipv4/vs/conntrack", "1"),
            ("netfilter/nf_conntrack_tcp_timeout_established", "28800"),
            ("netfilter/nf_conntrack_tcp_timeout_fin_wait", "120"),
            ("netfilter/nf_conntrack_udp_timeout_stream", "600"),
            ("netfilter/nf_conntrack_max", "419430"),
        ] {
            assert_eq!(read(&paths.proc, key), value, "{key}");
        }
        assert_eq!(apply(&paths.proc, &settings, false).problems, Vec::<String>::new());
        assert_eq!(read(&paths.proc, "ipv4/vs/conntrack"), "0");
    }

    #[test]
    fn the_table_of_connections_fits_the_box_unless_its_size_is_given() {
        let options = |text: &str, mb: u64| module_options(&config(text).ipvs, mb << 20);
        for (mb, bits) in [(0, 12), (480, 17), (1024, 19), (7_900, 21), (262_144, 24)] {
            assert_eq!(options("", mb), format!("options ip_vs conn_tab_bits={bits}\n"), "{mb} MB");
        }
        assert_eq!(options("ipvs table-bits 14\n", 1024), "options ip_vs conn_tab_bits=14\n");
    }

    #[test]
    fn defences_have_modes_and_a_threshold() {
        let (_dir, paths) = paths();
        fs::write(paths.proc.join("meminfo"), "MemTotal:        1024000 kB\n").unwrap();
        let text = "ipvs drop-entry\nipvs drop-packet always 20\nipvs secure-tcp always\n";
        let values = |text: &str| {
            apply(&paths.proc, &config(text), false);
            ["drop_entry", "drop_packet", "secure_tcp", "am_droprate", "amemthresh"]
                .map(|key| read(&paths.proc, &format!("ipv4/vs/{key}")))
        };
        assert_eq!(values(text), ["1", "3", "3", "20", "12800"], "a twentieth of the memory, in pages");
        // The kernel's way to say that memory is short at the moment.
        fs::write(paths.proc.join("sys/net/ipv4/vs/drop_entry"), "2\n").unwrap();
        assert_eq!(values(text)[0], "2");
        assert_eq!(values("ipvs memory-threshold 64\n"), ["0", "0", "0", "10", "16384"]);
    }
}
