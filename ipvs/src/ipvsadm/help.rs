//! The help text and the version.

use crate::Info;

/// The version of ipvsadm whose words these are.
const LIKE: &str = "1.31";

/// The version line.
#[must_use]
pub fn version(info: Option<&Info>) -> String {
    let kernel = info.map_or(String::new(), |info| {
        let (major, minor, patch) = info.version;
        format!(" and IPVS v{major}.{minor}.{patch}")
    });
    format!("ipvsadm v{LIKE} (crate ipvs {}{kernel})", env!("CARGO_PKG_VERSION"))
}

/// What `-h` prints.
pub const HELP: &str = "\
usage: ipvsadm COMMAND [OPTIONS]      the command comes first; none lists the table

services
  -A, --add-service     SERVICE [-s SCHEDULER] [-b FLAGS] [-p [SECONDS] [-M MASK] [--pe ENGINE]] [-o]
  -E, --edit-service    the same; what is not given goes back to its default
  -D, --delete-service  SERVICE
  -C, --clear           removes every service
servers
  -a, --add-server      SERVICE -r HOST[:PORT] [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]
  -e, --edit-server     the same; what is not given goes back to its default
  -d, --delete-server   SERVICE -r HOST[:PORT]
lists
  -L, -l, --list        [SERVICE] [-n] [--exact] [--nosort] [--json]
                        [--stats|--rate|--thresholds|--persistent-conn|--tun-info]
  -L -c                 connections; with --persistent-conn also what persistence engines know
  -L --timeout          timeouts
  -L --daemon           sync daemons
  -Z, --zero            [SERVICE]: zeroes counters
files
  -S, --save            [-n] [--full]: the table as commands; --full adds thresholds, timeouts and daemons
  -R, --restore         reads commands from standard input, one a line
  -R --replace          makes the table what they say, with the fewest changes, all or none
  -R --replace --dry-run  says which changes these are
settings
  --set TCP TCPFIN UDP  timeouts in seconds; 0 leaves one as it is
  --start-daemon master|backup  [--mcast-interface NAME] [--syncid N] [--sync-maxlen BYTES]
                        [--mcast-group ADDRESS] [--mcast-port PORT] [--mcast-ttl TTL]
  --stop-daemon master|backup
  -h, --help            -v, --version

SERVICE    -t HOST[:PORT] (tcp)  -u HOST[:PORT] (udp)  --sctp-service HOST[:PORT]  -f MARK [-6]
           an IPv6 address with a port is written [ADDRESS]:PORT; port 0 is all ports and needs -p
SCHEDULER  rr wrr lc wlc (default) lblc lblcr dh sh sed nq fo ovf mh twos
FLAGS      sh-fallback,sh-port  mh-fallback,mh-port  flag-1,flag-2,flag-3
-g -i -m   direct routing (default), tunnel, masquerading
TUNNEL     --tun-type ipip (default) | gue --tun-port PORT | gre
           --tun-nocsum (default) | --tun-csum | --tun-remcsum (gue only)
";
