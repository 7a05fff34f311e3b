//! `show ntp`: what keeps the clock right, and how well.

use yoke_director::status::{Data, Show};

use super::{print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{draw, duration, left, long, pairs, right};

/// What chrony says of a server that has never answered.
const NEVER: u64 = 4_294_967_295;

/// `show ntp`.
pub(crate) fn ntp(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let ntp = match shell.director.show(Show::Ntp)? {
        Data::Ntp(ntp) => ntp,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("ntp", &ntp);
    }
    let Some(ntp) = ntp else { return Ok(out.text("No ntp server is configured, the clock is the machine's own")?) };
    let state = if ntp.synchronised {
        format!("synchronised to {}, stratum {}", ntp.reference, ntp.stratum)
    } else {
        "not synchronised".to_owned()
    };
    let mut lines = vec![("Clock", state)];
    if ntp.synchronised {
        lines.push((
            "Off by",
            format!("{}, at most {}", time(ntp.offset_ns), time(ntp.distance_ns + ntp.offset_ns.abs())),
        ));
        lines.push(("Runs", format!("{:+} ppb, corrected", ntp.frequency_ppb)));
    }
    print(&pairs(&lines), out)?;
    let columns = [
        long("Server", 15, 20),
        left("State", 12),
        right("Stratum", 7),
        right("Poll", 6),
        right("Answered", 8),
        right("Last", 6),
        right("Off by", 10),
    ];
    let cells: Vec<Vec<String>> = ntp
        .servers
        .into_iter()
        .map(|server| {
            let ever = server.last_s != NEVER;
            let last = if ever { duration(server.last_s) } else { "never".to_owned() };
            let offset = if ever { time(server.offset_ns) } else { "-".to_owned() };
            let answered = format!("{}/8", server.answered);
            vec![
                server.address,
                server.state,
                server.stratum.to_string(),
                duration(server.poll_s),
                answered,
                last,
                offset,
            ]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}

/// Nanoseconds in the unit that fits.
fn time(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let (unit, name) = match ns {
        1_000_000_000.. => (1_000_000_000, "s"),
        1_000_000.. => (1_000_000, "ms"),
        _ => (1_000, "us"),
    };
    format!("{sign}{}.{:03} {name}", ns / unit, ns % unit * 1_000 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!([time(-1_500_000_000), time(2_100_000), time(-12_007)], ["-1.500 s", "2.100 ms", "-12.007 us"]);
    }
}
