//! The clock: chrony as a service, told what to do on its command line, and `show ntp` out of what its `chronyc` says.
//!
//! chrony is a client here and nothing else: it opens no port (`port 0`, `cmdport 0`), runs as a user of its own with CAP_SYS_TIME only, and
//! steps the clock in its first three updates after its start at most, later it slews. Nothing of Yoke that waits looks at that clock: VRRP,
//! health checks and supervision go by the monotonic one.

use std::path::Path;
use std::process::Command;

use yoke_config::model::Config;
use yoke_director::status::{Ntp, NtpServerRow};
use yoke_init::request::ServiceSpec;

/// The program (Debian's and Buildroot's chrony).
const CHRONYD: &str = "/usr/sbin/chronyd";
/// Its user; operators' names cannot begin so. The number is below theirs and above Debian's own.
pub(crate) const USER: &str = "_chrony";
pub(crate) const UID: u32 = 902;
/// Root's group: so the director, root without the privilege to pass over permissions, can ask it.
pub(crate) const GID: u32 = 0;
/// Where it listens to `chronyc`.
const DIRECTORY: &str = "/run/chrony";
const SOCKET: &str = "/run/chrony/chronyd.sock";

/// The service, if there is a server to ask.
pub(crate) fn service(config: &Config) -> Option<ServiceSpec> {
    if config.ntp_servers.is_empty() {
        return None;
    }
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    // In the foreground, logging to stderr, started by who it is to be, with a filter of system calls.
    let mut argv = words(&[CHRONYD, "-d", "-U", "-u", USER, "-F", "1"]);
    for (host, prefer) in &config.ntp_servers {
        let prefer = if *prefer { " prefer" } else { "" };
        // A burst at first: seconds, not minutes, until the time is right.
        argv.push(format!("server {host} iburst{prefer}"));
    }
    argv.extend(words(&["makestep 1 3", "rtcsync", "port 0", "cmdport 0"]));
    argv.push(format!("bindcmdaddress {SOCKET}"));
    argv.push(format!("pidfile {DIRECTORY}/chronyd.pid"));
    let (uid, gid) = (UID.to_string(), GID.to_string());
    let directory = words(&["/usr/bin/busybox", "install", "-d", "-m", "770", "-o", &uid, "-g", &gid, DIRECTORY]);
    Some(ServiceSpec {
        name: "ntp".to_owned(),
        argv,
        ids: Some((UID, GID)),
        capabilities: Some(words(&["sys_time"])),
        before: vec![directory],
        ..ServiceSpec::default()
    })
}

/// Asks chrony. Blocks for some seconds when it does not answer.
///
/// # Errors
/// A sentence.
pub(crate) fn show(chronyc: &Path) -> Result<Ntp, String> {
    let ask = |what: &str| {
        let output = Command::new(chronyc)
            .env_clear()
            .args(["-h", SOCKET, "-n", "-c", what])
            .output()
            .map_err(|e| format!("ntp: {e}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("ntp: {}", said.lines().next().unwrap_or("no answer")))
        }
    };
    parse(&ask("tracking")?, &ask("sources")?).ok_or_else(|| "ntp: chronyc says what is not understood".to_owned())
}

/// Reads the comma-separated form of `tracking` and `sources` (chronyc(1)).
fn parse(tracking: &str, sources: &str) -> Option<Ntp> {
    let fields: Vec<&str> = tracking.trim().split(',').collect();
    let [_, reference, stratum, _, offset_s, _, _, frequency_ppm, _, _, delay_s, dispersion_s, _, leap] =
        fields.as_slice()
    else {
        return None;
    };
    let servers = sources.lines().map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, state, address, stratum, poll, reach, last_s, _, offset_s, error_s] = fields.as_slice() else {
            return None;
        };
        Some(NtpServerRow {
            address: (*address).to_owned(),
            state: state_of(state).to_owned(),
            stratum: stratum.parse().ok()?,
            // As log2.
            poll_s: 1_u64.checked_shl(poll.parse().ok()?).unwrap_or(0),
            // Octal: the last eight questions, a bit for each that was answered.
            answered: u8::from_str_radix(reach, 8).ok()?.count_ones(),
            last_s: last_s.parse().ok()?,
            offset_ns: billionths(offset_s)?,
            error_ns: billionths(error_s)?,
        })
    });
    Some(Ntp {
        synchronised: *leap != "Not synchronised",
        reference: (*reference).to_owned(),
        stratum: stratum.parse().ok()?,
        // chrony says how far the clock is behind true time; an operator asks how far it is off.
        offset_ns: -billionths(offset_s)?,
        frequency_ppb: billionths(frequency_ppm)? / 1_000_000,
        distance_ns: billionths(delay_s)? / 2 + billionths(dispersion_s)?,
        servers: servers.collect::<Option<Vec<_>>>()?,
    })
}

/// A decimal number, in billionths; more digits than nine are dropped.
fn billionths(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    let whole: i64 = whole.parse().ok().filter(|n| (0..1_000_000_000).contains(n))?;
    Some(sign * (whole * 1_000_000_000 + part.parse::<u32>().map(i64::from).ok()?))
}

fn state_of(mark: &str) -> &str {
    match mark {
        "*" => "selected",
        "+" => "combined",
        "-" => "not combined",
        "x" => "wrong time",
        "~" => "too variable",
        _ => "no answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[test]
    fn servers_become_arguments_and_none_no_service() {
        assert_eq!(service(&config("")), None);
        let spec = service(&config("ntp server 192.0.2.1\nntp server ntp.example.net prefer\n")).unwrap();
        for word in
            ["server 192.0.2.1 iburst", "server ntp.example.net iburst prefer", "port 0", "cmdport 0", "makestep 1 3"]
        {
            assert!(spec.argv.iter().any(|w| w == word), "{word}: {:?}", spec.argv);
        }
        assert_eq!((spec.ids, spec.capabilities), (Some((902, 0)), Some(vec!["sys_time".to_owned()])));
    }

    #[test]
    fn what_chronyc_says_is_read() {
        let tracking = "CB007163,203.0.113.99,3,1795255451.123456789,-0.000012,0.000004,0.000015,-7.123,0.002,0.021,\
                        0.000400000,0.000100000,64.2,Normal\n";
        let sources = "^,*,203.0.113.99,2,6,377,23,-0.000012,-0.000013,0.000210\n\
                       ^,?,2001:db8::1,0,7,0,4294967295,0.000000000,0.000000000,0.000000000\n";
        let ntp = parse(tracking, sources).unwrap();
        assert!(ntp.synchronised && ntp.reference == "203.0.113.99" && ntp.stratum == 3);
        assert_eq!((ntp.offset_ns, ntp.distance_ns, ntp.frequency_ppb), (12_000, 300_000, -7_123));
        assert_eq!(
            (ntp.servers[0].state.as_str(), ntp.servers[0].poll_s, ntp.servers[0].answered),
            ("selected", 64, 8)
        );
        assert_eq!((ntp.servers[1].state.as_str(), ntp.servers[1].answered), ("no answer", 0));
        let never = "00000000,,0,0.000000000,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n";
        assert!(!parse(never, "").unwrap().synchronised);
        for (text, value) in
            [("1", Some(1_000_000_000)), ("-0.5", Some(-500_000_000)), ("1.0000000019", Some(1_000_000_001))]
        {
            assert_eq!(billionths(text), value);
        }
        for text in ["", "--1", "1.-5", "nan", "99999999999999999999", "1e5"] {
            assert_eq!(billionths(text), None, "{text}");
        }
        for damaged in ["", "a,b", "^,*,x,2,6,999,1,0,0,0"] {
            assert_eq!(parse(damaged, ""), None);
        }
        assert_eq!(parse(tracking, "^,*,x,2,6,999,1,0,0,0"), None);
    }
}
