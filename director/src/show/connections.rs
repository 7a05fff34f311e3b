//! `show connections`: the kernel's connection table, filtered while it is read.
//!
//! The table can hold millions, and the kernel walks all of it for us: another thread reads it, and only rows that were asked for are kept.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr as _;

use ipvs::Protocol;
use ipvs::connections::{Connection, parse_line};
use yoke_config::model::{Config, FirewallMark, Virtual};
use yoke_config::value::{IpNet, Name};
use yoke_director::status::{ConnectionFilter, ConnectionRow, Connections};

use crate::director::Director;

/// Rows in one answer, some 8 MB. Who wants more than a screen wants a count, which is exact.
const ROWS_MAX: usize = 50_000;
/// Read at once: the kernel does as much for a small read as for a large one.
const READ_BYTES: usize = 256 << 10;

/// Reads the table.
pub(crate) async fn list(director: &Director, filter: ConnectionFilter) -> Result<Connections, String> {
    let filter_ = Filter::new(&director.state().running.config, &filter)?;
    let path = director.paths.proc.join("net/ip_vs_conn");
    let rows_max = match (filter.count, usize::try_from(filter.limit).unwrap_or(ROWS_MAX)) {
        (true, _) => 0,
        (false, 0) => ROWS_MAX,
        (false, limit) => limit.min(ROWS_MAX),
    };
    tokio::task::spawn_blocking(move || read(&path, &filter_, rows_max)).await.expect("reading does not panic")
}

fn read(path: &Path, filter: &Filter, rows_max: usize) -> Result<Connections, String> {
    let why = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = BufReader::with_capacity(READ_BYTES, File::open(path).map_err(why)?);
    let mut found = Connections { count: 0, rows: Vec::new() };
    let mut line = String::new();
    while file.read_line(&mut line).map_err(why)? > 0 {
        // A line that cannot be read is one of a kernel we do not know; the others are still worth showing.
        if let Ok(Some(connection)) = parse_line(&line)
            && filter.takes(&connection)
        {
            found.count += 1;
            if found.rows.len() < rows_max {
                found.rows.push(row(&connection));
            }
        }
        line.clear();
    }
    Ok(found)
}

fn row(connection: &Connection<'_>) -> ConnectionRow {
    ConnectionRow {
        protocol: connection.protocol.to_string(),
        client: connection.client.to_string(),
        virtual_: connection.service.to_string(),
        real_server: connection.destination.to_string(),
        state: connection.state.to_owned(),
        expires_s: u64::from(connection.expires),
    }
}

/// What to take, in the kernel's terms.
#[derive(Debug)]
struct Filter {
    client: Option<IpNet>,
    real_server: Option<IpAddr>,
    virtual_server: Option<Target>,
}

/// The virtual server, and what tells its connections from another's.
#[derive(Debug)]
enum Target {
    /// An address; port 0 is every port in no entry of `others`, the ports other virtual servers have at the same address and protocol.
    Address { address: IpAddr, protocol: Protocol, port: u16, others: Vec<u16> },
    /// A mark: whatever our rules mark with it. Connections carry no mark.
    Mark(Vec<FirewallMark>),
}

impl Filter {
    fn new(config: &Config, asked: &ConnectionFilter) -> Result<Self, String> {
        let client = asked.client.as_deref().map(prefix).transpose()?;
        let named = asked.virtual_server.as_deref();
        let server = config.virtual_servers.iter().find(|(name, _)| Some(name.as_str()) == named);
        let virtual_server = server.map(|(name, server)| target(config, name, server.virtual_));
        Ok(Self { client, real_server: asked.real_server, virtual_server })
    }

    fn takes(&self, connection: &Connection<'_>) -> bool {
        self.client.is_none_or(|net| net.contains(connection.client.ip()))
            && self.real_server.is_none_or(|address| connection.destination.ip() == address)
            && self.virtual_server.as_ref().is_none_or(|target| target.takes(connection))
    }
}

fn prefix(text: &str) -> Result<IpNet, String> {
    let host = || text.parse::<IpAddr>().ok().map(IpNet::host);
    IpNet::from_str(text).ok().or_else(host).ok_or_else(|| format!("client {text}: not an address or prefix"))
}

fn target(config: &Config, name: &Name, virtual_: Virtual) -> Target {
    match virtual_ {
        Virtual::Address(address, transport, port) => {
            let others = config.virtual_servers.iter().filter(|(n, server)| *n != name && !server.shutdown);
            let ports = others.filter_map(|(_, server)| match server.virtual_ {
                Virtual::Address(a, t, port) if a == address && t == transport => Some(port),
                _ => None,
            });
            let protocol = Protocol::from(u16::from(transport.number()));
            Target::Address { address, protocol, port, others: ports.collect() }
        }
        Virtual::Fwmark { mark, .. } => {
            Target::Mark(config.firewall_marks.iter().filter(|rule| rule.mark == mark).cloned().collect())
        }
    }
}

impl Target {
    fn takes(&self, connection: &Connection<'_>) -> bool {
        let (at, protocol) = (connection.service, connection.protocol);
        match self {
            Self::Address { address, protocol: p, port, others } => {
                let port = if *port == 0 { !others.contains(&at.port()) } else { at.port() == *port };
                at.ip() == *address && protocol == *p && port
            }
            Self::Mark(rules) => rules.iter().any(|rule| {
                rule.prefix.contains(at.ip())
                    && protocol.number() == u16::from(rule.protocol.number())
                    && (rule.ports.first..=rule.ports.last).contains(&at.port())
            }),
        }
    }
}
