//! `ipvsadm` in the shell, for people who know it: every listing and `-S` of ipvsadm 1.31, from the same module that the program is made of.
//!
//! Nothing is changed here, the table has one writer: a command that would is answered with the lines of the configuration that do it
//! ([`instead`]). Numbers only, as with `-n`: names would come from files of the box that the operator neither sees nor edits.

mod instead;

use std::path::Path;

use ipvs::ServiceKey;
use ipvs::ipvsadm::{HELP, Line, List, Names, What, print, read, version};

use super::connections::ROWS_MAX;
use super::walk;
use crate::director::{Director, State};
use crate::kernel::Observed;

/// What the program would print.
///
/// # Errors
/// What it would say, or what an operator types instead.
pub(crate) async fn lines(director: &Director, arguments: &[String]) -> Result<Vec<String>, String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = read(&words, &Names::default()).map_err(|failure| format!("ipvsadm: {failure}"))?;
    if let Line::List(list @ List { what: What::Connections { .. }, .. }) = line {
        return walk::run(director, move |path| connections(path, &list, ROWS_MAX)).await;
    }
    table(&mut director.state_mut(), line)
}

fn table(state: &mut State, line: Line) -> Result<Vec<String>, String> {
    let failed = |e: ipvs::Error| format!("ipvsadm: {}", ipvs::ipvsadm::failed(&e));
    let names = Names::default();
    let kernel = &mut state.kernel;
    let mut out = Vec::new();
    let written = match &line {
        Line::List(list) => match list.what {
            What::Services(which, _) => {
                let info = kernel.info().map_err(failed)?;
                let mut services = kernel.statistics().map_err(failed)?;
                if let Some(key) = which {
                    services = one(services, key)?;
                }
                print::table(&mut out, list, &names, &info, &services)
            }
            What::Timeouts => print::timeouts(&mut out, list, &kernel.timeouts().map_err(failed)?),
            What::Daemons => print::daemons(&mut out, list, &kernel.daemons().map_err(failed)?),
            What::Connections { .. } => return Err("ipvsadm: connections are read elsewhere".into()),
        },
        Line::Save { numeric, full } => {
            let settings = match full {
                true => Some(print::Settings {
                    timeouts: kernel.timeouts().map_err(failed)?,
                    daemons: kernel.daemons().map_err(failed)?,
                }),
                false => None,
            };
            let services = kernel.statistics().map_err(failed)?;
            print::save(&mut out, &names, *numeric, settings.as_ref(), &services)
        }
        Line::Help => return Ok(instead::HELP.lines().chain(HELP.lines()).map(str::to_owned).collect()),
        Line::Version => return Ok(vec![version(Some(&kernel.info().map_err(failed)?))]),
        other => return Err(instead::of(other, &state.running.config)),
    };
    finish(written, out)
}

fn one(services: Vec<Observed>, key: ServiceKey) -> Result<Vec<Observed>, String> {
    let found = services.into_iter().find(|(service, _)| service.key == key);
    found.map(|service| vec![service]).ok_or_else(|| "ipvsadm: No such service".to_owned())
}

fn connections(path: &Path, list: &List, rows: usize) -> Result<Vec<String>, String> {
    let why = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut lines = walk::open(path).map_err(why)?;
    let mut out = Vec::new();
    let more = print::connections(&mut out, list, &Names::default(), &mut lines, rows).map_err(why)?;
    let mut lines = finish(Ok(()), out)?;
    if more > 0 {
        lines.push(format!("and {more} more, use: show connections count"));
    }
    Ok(lines)
}

fn finish(written: std::io::Result<()>, out: Vec<u8>) -> Result<Vec<String>, String> {
    written.map_err(|e| format!("ipvsadm: {e}"))?;
    // What a persistence engine keeps (a Call-ID) is a client's, any bytes: none of it is an order to the operator's terminal.
    let printable = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    let text = String::from_utf8_lossy(&out);
    Ok(text.split_terminator('\n').map(|line| line.chars().map(printable).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_beyond_the_limit_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ip_vs_conn");
        let line = "TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899\n";
        std::fs::write(&path, line.repeat(5)).unwrap();
        let list = List { what: What::Connections { engine: false }, ..List::default() };
        assert_eq!(connections(&path, &list, 5).unwrap().len(), 2 + 5);
        let lines = connections(&path, &list, 2).unwrap();
        assert_eq!(lines.len(), 2 + 2 + 1);
        assert_eq!(lines[2], "TCP 14:59  ESTABLISHED 198.51.100.1:49153 192.0.2.10:80      10.0.0.1:8080");
        assert_eq!(lines[4], "and 3 more, use: show connections count");
    }

    #[test]
    fn a_call_id_of_any_bytes_is_a_line_and_no_order_to_a_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ip_vs_conn");
        let mut line = b"UDP C6336401 C001 C000020A 13C4 0A000001 13C4 UDP         899 sip caf\xe9\x1b[2J@x\n".to_vec();
        line.extend(b"TCP C6336401 C001 C000020A 0050 0A000001 1F90 ESTABLISHED     899\n");
        std::fs::write(&path, line).unwrap();
        let list = List { what: What::Connections { engine: true }, ..List::default() };
        let lines = connections(&path, &list, 5).unwrap();
        assert_eq!(lines.len(), 2 + 2, "{lines:?}");
        assert!(lines[2].ends_with("caf\u{fffd}\u{fffd}[2J@x"), "{lines:?}");
    }
}
