//! The services that depend on the configuration: vrrpd when there is a vrrp group, one dropbear for each interface address, one
//! sender for each `logging host`, chrony when there is an `ntp server`; listed for init in `/run/yoke/services.json`.
//!
//! Pure. SSH answers on interface addresses only, never on an address that is there to be balanced or translated to, so that port 22 of a
//! virtual server is the virtual server's. One process for each address: dropbear gives up an address that is not there (yet) in silence
//! when it has another one, and alone it fails, which init sees and tries again.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use yoke_config::model::{Config, Severity, Transport, Virtual, VirtualServer};
use yoke_config::value::Name;
use yoke_init::request::ServiceSpec;

use crate::files::Paths;
use crate::{accounts, host_keys, ntp};

/// The program (Debian's dropbear-bin, 2025.89).
const DROPBEAR: &str = "/usr/sbin/dropbear";
/// The redundancy protocol.
const VRRPD: &str = "/usr/sbin/vrrpd";
/// Addresses, raw sockets, memory that is never paged out, a realtime priority.
const VRRPD_CAPABILITIES: [&str; 4] = ["net_admin", "net_raw", "ipc_lock", "sys_nice"];
/// Longest silence of vrrpd in seconds. It feeds its watchdog every second, and a box whose VIPs nobody minds should not wait.
const VRRPD_WATCHDOG_S: u32 = 5;
/// Init's own program, which sends its log.
const INIT: &str = "/sbin/init";
/// What a sender of the log needs to become another user, who has none.
const SYSLOG_CAPABILITIES: [&str; 2] = ["setgid", "setuid"];
/// Receivers of the log at most: PID 1 serves sixteen callers at a time.
const LOG_HOSTS_MAX: usize = 8;
/// local7 (RFC 5424 §6.2.1).
const FACILITY: u8 = 23;
/// This program.
const DIRECTOR: &str = "/usr/sbin/director";
/// A port below 1024; becoming the user who has logged in, and giving that user a terminal. Sessions have the rest of their lives none: whoever
/// becomes another user than root keeps no capability.
const DROPBEAR_CAPABILITIES: [&str; 5] = ["net_bind_service", "setgid", "setuid", "chown", "fowner"];
/// Processes and threads of each user over SSH: 32 sessions, which the director allows, of a shell with two threads and a dropbear, and some air
/// for those that end.
const PROCESSES_OF_USER: u64 = 128;
/// Wrong passwords or keys until dropbear hangs up; each costs the caller 0.3 s.
pub(crate) const TRIES: u32 = 4;
/// Servers at most, each with an address of its own. Each costs a process of a megabyte, and three of PID 1's 1,024 file descriptors: PID 1
/// must never run out of them.
const SERVERS_MAX: usize = 64;
/// Seconds between keep-alives: a session whose client vanished ends after three of them.
const KEEPALIVE_S: &str = "60";

/// What to run, and what an operator should know of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Services {
    pub(crate) specs: Vec<ServiceSpec>,
    pub(crate) warnings: Vec<String>,
}

/// The services of a configuration. Without a credential, or after `ip ssh shutdown`, there is no SSH.
pub(crate) fn wanted(config: &Config, paths: &Paths) -> Services {
    let mut services = Services::default();
    if !config.vrrp_groups.is_empty() {
        services.specs.push(vrrpd());
    }
    services.specs.extend(ntp::service(config));
    let hosts = config.logging.hosts.len();
    services.specs.extend(log_senders(config).take(LOG_HOSTS_MAX));
    if hosts > LOG_HOSTS_MAX {
        services.warnings.push(format!(
            "logging host: the log goes to the {LOG_HOSTS_MAX} lowest addresses and not to {} others",
            hosts - LOG_HOSTS_MAX
        ));
    }
    let ssh = ssh(config, paths);
    services.specs.extend(ssh.specs);
    services.warnings.extend(ssh.warnings);
    services
}

/// First in the list, so that it is stopped last but for the director, and hands over when nothing else holds it up.
fn vrrpd() -> ServiceSpec {
    ServiceSpec {
        name: "vrrpd".to_owned(),
        argv: vec![VRRPD.to_owned()],
        // Root, for the files of `/run/yoke` that nobody else reads.
        ids: Some((0, 0)),
        capabilities: Some(VRRPD_CAPABILITIES.map(str::to_owned).to_vec()),
        notify: true,
        watchdog_s: VRRPD_WATCHDOG_S,
        oom_score_adj: ServiceSpec::ENDED_LAST,
        release: vec![VRRPD.to_owned(), "--release".to_owned()],
        ..ServiceSpec::default()
    }
}

/// The name of the service that sends the log to `address`.
pub(crate) fn log_sender(address: IpAddr) -> String {
    format!("syslog-{address}")
}

fn log_senders(config: &Config) -> impl Iterator<Item = ServiceSpec> {
    let logging = &config.logging;
    let facility = logging.facility.unwrap_or(FACILITY);
    let trap = logging.trap.unwrap_or(Severity::Informational);
    let hostname = config.hostname();
    logging.hosts.iter().map(move |(address, (transport, port))| ServiceSpec {
        name: log_sender(*address),
        argv: [
            INIT,
            yoke_init::syslog::COMMAND,
            &address.to_string(),
            if *transport == Transport::Tcp { "tcp" } else { "udp" },
            &port.to_string(),
            &facility.to_string(),
            &(trap as u8).to_string(),
            hostname,
        ]
        .map(str::to_owned)
        .to_vec(),
        // Root at first, for PID 1 tells its log to nobody else.
        ids: Some((0, 0)),
        capabilities: Some(SYSLOG_CAPABILITIES.map(str::to_owned).to_vec()),
        notify: true,
        ..ServiceSpec::default()
    })
}

/// Where SSH answers: nowhere without a credential or after `ip ssh shutdown`.
pub(crate) fn ssh_addresses(config: &Config) -> Vec<IpAddr> {
    if config.ssh.shutdown || !accounts::credential_exists(config) {
        return Vec::new();
    }
    let free = interface_addresses(config).into_iter().filter(|address| balanced(config, *address).is_none());
    free.take(SERVERS_MAX).collect()
}

fn ssh(config: &Config, paths: &Paths) -> Services {
    let mut services = Services::default();
    if config.ssh.shutdown || !accounts::credential_exists(config) {
        return services;
    }
    let all = interface_addresses(config);
    let mut taken = 0;
    for address in &all {
        if let Some(name) = balanced(config, *address) {
            taken += 1;
            services.warnings.push(format!(
                "ip ssh: virtual-server {name} has tcp port {} of {address}, SSH does not answer on this address",
                config.ssh.port
            ));
        }
    }
    services.specs = ssh_addresses(config).into_iter().map(|address| dropbear(config, paths, address)).collect();
    let beyond = all.len() - taken - services.specs.len();
    if beyond > 0 {
        services.warnings.push(format!(
            "ip ssh: SSH answers on the {SERVERS_MAX} lowest interface addresses and not on {beyond} others"
        ));
    }
    services
}

/// Addresses of interfaces that are not shut down.
pub(crate) fn interface_addresses(config: &Config) -> BTreeSet<IpAddr> {
    let up = config.interfaces.values().filter(|interface| !interface.shutdown);
    up.flat_map(|interface| interface.addresses.iter().map(|net| net.addr)).collect()
}

/// The virtual server that takes what is meant for SSH: IPVS sees it first. Other ports of an interface address may well be balanced; to close
/// SSH for that would lock the operator out who does it.
fn balanced(config: &Config, address: IpAddr) -> Option<&Name> {
    let takes = |server: &VirtualServer| match server.virtual_ {
        Virtual::Address(a, Transport::Tcp, port) => a == address && (port == 0 || port == config.ssh.port),
        Virtual::Address(..) | Virtual::Fwmark { .. } => false,
    };
    config.virtual_servers.iter().find(|(_, server)| !server.shutdown && takes(server)).map(|(name, _)| name)
}

fn dropbear(config: &Config, paths: &Paths, address: IpAddr) -> ServiceSpec {
    let keys = paths.host_keys();
    let mut argv = Words::default();
    // In the foreground, logging to stderr; no motd, which the shell prints; nobody is root; no forwarding of ports or sockets.
    argv.push([DROPBEAR, "-F", "-E", "-m", "-w", "-j", "-k"]);
    argv.push(["-T", &TRIES.to_string(), "-K", KEEPALIVE_S]);
    if config.users.values().all(|user| user.secret.is_none()) {
        argv.push(["-s"]);
    }
    for (_, file) in host_keys::KEYS {
        argv.push(["-r", &path(&keys.join(file))]);
    }
    let mut env = Vec::new();
    if let Some(banner) = &config.banner_login {
        argv.push(["-b", &path(&paths.etc().join("banner"))]);
        // dropbear reads the file when it starts: another text makes another specification, and init starts it again.
        // Sessions go on, each is a process group of its own.
        env.push(("YOKE_BANNER".to_owned(), format!("{:x}", digest(banner))));
    }
    argv.push(["-P", &path(&paths.run.join(format!("ssh-{address}.pid")))]);
    argv.push(["-p", &SocketAddr::new(address, config.ssh.port).to_string()]);
    // Makes the keys that are missing. Their randomness may be minutes away, so init waits for it and not this daemon.
    let mut before = Words::default();
    before.push([DIRECTOR, host_keys::COMMAND, &path(&keys)]);
    let name = format!("ssh-{address}");
    ServiceSpec {
        name,
        argv: argv.0,
        env,
        // Root, for the host keys and the hashes of passwords.
        ids: Some((0, 0)),
        capabilities: Some(DROPBEAR_CAPABILITIES.map(str::to_owned).to_vec()),
        processes: Some(PROCESSES_OF_USER),
        before: vec![before.0],
        oom_score_adj: ServiceSpec::ENDED_FIRST,
        ..ServiceSpec::default()
    }
}

#[derive(Debug, Default)]
struct Words(Vec<String>);

impl Words {
    fn push<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(str::to_owned));
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
