//! Does what a line asks.

use std::fmt;
use std::io::{BufRead, Write};
use std::path::Path;

use super::line::{Line, List, What};
use super::print::{self, Observed, Settings};
use super::refuse::{Failure, failed};
use super::text::Names;
use super::{help, restore};
use crate::socket::Transport;
use crate::{Client, Error, ServiceKey};

/// Where lines are read and answers go.
pub struct Io<'a> {
    /// What `-R` reads.
    pub input: &'a mut dyn BufRead,
    /// Listings.
    pub out: &'a mut dyn Write,
    /// What `-R` goes past: one line for each refusal.
    pub err: &'a mut dyn Write,
    /// Names of hosts and services.
    pub names: &'a Names,
    /// `/proc/net/ip_vs_conn`.
    pub connections: &'a Path,
}

impl fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// Does a line.
///
/// # Errors
/// When it cannot be done.
pub fn run<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>, line: &Line) -> Result<(), Failure> {
    match line {
        Line::Ask(request) => client.request(request).map_err(|error| failed(&error)),
        Line::NoInterface => Err(Failure::Refused("No such device".into())),
        Line::Help => Ok(write!(io.out, "{}", help::HELP)?),
        Line::Version => {
            let info = client.info().map_err(|error| failed(&error))?;
            Ok(writeln!(io.out, "{}", help::version(Some(&info)))?)
        }
        Line::Restore { replace: true, dry_run } => restore::replace(client, io, *dry_run),
        Line::Restore { replace: false, dry_run: true } => {
            Err(Failure::Wrong("'dry-run' needs the 'replace' option with the 'restore' command".into()))
        }
        Line::Restore { replace: false, dry_run: false } => restore::lines(client, io),
        Line::Save { numeric, full } => save(client, io, *numeric, *full),
        Line::List(list) => self::list(client, io, list),
    }
}

fn save<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>, numeric: bool, full: bool) -> Result<(), Failure> {
    let kernel = |error: Error| failed(&error);
    let settings = match full {
        true => {
            Some(Settings { timeouts: client.timeouts().map_err(kernel)?, daemons: client.daemons().map_err(kernel)? })
        }
        false => None,
    };
    let services = client.statistics().map_err(kernel)?;
    Ok(print::save(io.out, io.names, numeric, settings.as_ref(), &services)?)
}

fn list<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>, list: &List) -> Result<(), Failure> {
    let kernel = |error: Error| failed(&error);
    match list.what {
        What::Services(which, _) => {
            let info = client.info().map_err(kernel)?;
            let services = match which {
                None => client.statistics().map_err(kernel)?,
                Some(key) => vec![one(client, key).map_err(|error| Failure::NotListed(failed(&error).to_string()))?],
            };
            print::table(io.out, list, io.names, &info, &services)?;
        }
        What::Connections { .. } => {
            let file = std::fs::File::open(io.connections)?;
            // The kernel walks its table anew for each read: few and large ones.
            let mut lines = std::io::BufReader::with_capacity(1 << 16, file);
            print::connections(io.out, list, io.names, &mut lines, usize::MAX)?;
        }
        What::Timeouts => print::timeouts(io.out, list, &client.timeouts().map_err(kernel)?)?,
        What::Daemons => print::daemons(io.out, list, &client.daemons().map_err(kernel)?)?,
    }
    Ok(())
}

fn one<T: Transport>(client: &mut Client<T>, key: ServiceKey) -> Result<Observed, Error> {
    Ok((client.service(key)?, client.destinations(key)?))
}
