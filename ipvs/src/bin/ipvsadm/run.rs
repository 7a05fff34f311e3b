//! Does what a line asks.

use std::io::{BufRead, Write};
use std::path::Path;

use ipvs::connections::parse_line;
use ipvs::socket::Transport;
use ipvs::{Client, ObservedDestination, ObservedService, ServiceKey};

use crate::help::{self, HELP};
use crate::json;
use crate::line::{Columns, Line, List, What};
use crate::list;
use crate::order::{self, merge_sort};
use crate::refuse::{Failure, failed};
use crate::restore;
use crate::save;
use crate::text::Names;

/// Where lines are read and answers go.
pub(crate) struct Io<'a> {
    pub(crate) input: &'a mut dyn BufRead,
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
    pub(crate) names: &'a Names,
    /// `/proc/net/ip_vs_conn`.
    pub(crate) connections: &'a Path,
}

/// Does a line.
///
/// # Errors
/// When it cannot be done.
pub(crate) fn line<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>, line: &Line) -> Result<(), Failure> {
    match line {
        Line::Ask(request) => client.request(request).map_err(|error| failed(&error)),
        Line::NoInterface => Err(Failure::Refused("No such device".into())),
        Line::Help => Ok(write!(io.out, "{HELP}")?),
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

type Services = Vec<(ObservedService, Vec<ObservedDestination>)>;

/// The table, in ipvsadm's order unless it shall be the kernel's.
fn services<T: Transport>(client: &mut Client<T>, unsorted: bool) -> Result<Services, Failure> {
    let failed = |error: ipvs::Error| failed(&error);
    let mut services = client.services().map_err(failed)?;
    if !unsorted {
        services = merge_sort(&services, &|a, b| order::services(&a.key, &b.key));
    }
    let mut all = Vec::with_capacity(services.len());
    for service in services {
        match destinations(client, service.key, unsorted) {
            Ok(destinations) => all.push((service, destinations)),
            // It went while it was being listed.
            Err(error) if error.refusal() == Some(ipvs::Refusal::NoService) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(all)
}

fn destinations<T: Transport>(
    client: &mut Client<T>,
    of: ServiceKey,
    unsorted: bool,
) -> Result<Vec<ObservedDestination>, ipvs::Error> {
    let destinations = client.destinations(of)?;
    if unsorted {
        return Ok(destinations);
    }
    Ok(merge_sort(&destinations, &|a, b| order::destinations(&a.key, &b.key)))
}

fn save<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>, numeric: bool, full: bool) -> Result<(), Failure> {
    let style = save::Style { names: io.names, numeric, full };
    if full {
        let timeouts = client.timeouts().map_err(|error| failed(&error))?;
        let daemons = client.daemons().map_err(|error| failed(&error))?;
        save::settings(&mut io.out, &timeouts, &daemons)?;
    }
    for (service, destinations) in services(client, false)? {
        save::service(&mut io.out, &style, &service, &destinations)?;
    }
    Ok(())
}

fn list<T: Transport>(client: &mut Client<T>, io: &mut Io<'_>, list: &List) -> Result<(), Failure> {
    let kernel = |error: ipvs::Error| failed(&error);
    match list.what {
        What::Services(which, columns) => table(client, io, list, which, columns),
        What::Connections { engine } => connections(io, list, engine),
        What::Timeouts => {
            let timeouts = client.timeouts().map_err(kernel)?;
            if list.json {
                return Ok(writeln!(io.out, "{}", json::timeouts(&timeouts))?);
            }
            Ok(list::timeouts(&mut io.out, &timeouts)?)
        }
        What::Daemons => {
            let daemons = client.daemons().map_err(kernel)?;
            if list.json {
                return Ok(writeln!(io.out, "{}", json::daemons(&daemons))?);
            }
            for daemon in &daemons {
                list::daemon(&mut io.out, daemon)?;
            }
            Ok(())
        }
    }
}

fn table<T: Transport>(
    client: &mut Client<T>,
    io: &mut Io<'_>,
    list: &List,
    which: Option<ServiceKey>,
    columns: Columns,
) -> Result<(), Failure> {
    let info = client.info().map_err(|error| failed(&error))?;
    let services = match which {
        None => services(client, list.unsorted)?,
        Some(key) => {
            let one = client.service(key).and_then(|service| Ok((service, destinations(client, key, list.unsorted)?)));
            vec![one.map_err(|error| Failure::NotListed(failed(&error).to_string()))?]
        }
    };
    if list.json {
        return Ok(writeln!(io.out, "{}", json::table(&info, &services))?);
    }
    let style = list::Style { names: io.names, numeric: list.numeric, exact: list.exact };
    if which.is_none() {
        list::title(&mut io.out, &info)?;
    }
    list::head(&mut io.out, columns)?;
    // A service at a time: a table has many short words, and each would be a call.
    let mut text = Vec::new();
    for (service, destinations) in &services {
        text.clear();
        list::service(&mut text, &style, columns, service, destinations)?;
        io.out.write_all(&text)?;
    }
    Ok(())
}

fn connections(io: &mut Io<'_>, list: &List, engine: bool) -> Result<(), Failure> {
    let style = list::Style { names: io.names, numeric: list.numeric, exact: list.exact };
    let file = std::fs::File::open(io.connections)?;
    // The kernel walks its table anew for each read: few and large ones.
    let mut reader = std::io::BufReader::with_capacity(1 << 16, file);
    if !list.json {
        list::connections_head(&mut io.out, engine)?;
    }
    let mut line = String::new();
    while {
        line.clear();
        reader.read_line(&mut line)? > 0
    } {
        // A line that cannot be read is left out, as ipvsadm does.
        let Ok(Some(connection)) = parse_line(&line) else { continue };
        if list.json {
            writeln!(io.out, "{}", json::connection(&connection))?;
        } else {
            list::connection(&mut io.out, &style, engine, &connection)?;
        }
    }
    Ok(())
}
