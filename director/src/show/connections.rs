//! `show connections`: the kernel's connection table, filtered while it is read.
//!
//! The table can hold millions: [`super::walk`] reads it gently, and only rows that were asked for are kept, up to a bound. What was left out is
//! counted. Connections of health checks are nobody's: they are neither shown nor counted, nor waited for or ended by who uses this filter.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr as _;

use ipvs::Protocol;
use ipvs::connections::{self, Connection, parse_line};
use yoke_config::model::{Config, FirewallMark, Transport, Virtual};
use yoke_config::value::{IpNet, Name};
use yoke_director::status::{ConnectionFilter, ConnectionRow, Connections};
use yoke_health::SOURCE_PORTS;

use super::walk;
use crate::director::Director;

/// Rows in one answer, some 4 MB until the shell has read it. Who wants more than that wants a filter, or a count, which is exact.
pub(super) const ROWS_MAX: usize = 10_000;

/// Reads the table.
pub(crate) async fn list(director: &Director, filter: ConnectionFilter) -> Result<Connections, String> {
    let filter_ = Filter::new(&director.state().running.config, &filter)?;
    let rows_max = match (filter.count, usize::try_from(filter.limit).unwrap_or(ROWS_MAX)) {
        (true, _) => 0,
        (false, 0) => ROWS_MAX,
        (false, limit) => limit.min(ROWS_MAX),
    };
    walk::run(director, move |path| read(path, &filter_, rows_max)).await
}

fn read(path: &Path, filter: &Filter, rows_max: usize) -> Result<Connections, String> {
    let why = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = walk::open(path).map_err(why)?;
    let mut found = Connections { count: 0, rows: Vec::new() };
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).map_err(why)? > 0 {
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
    let (protocol, virtual_) = match mark(connection) {
        Some(mark) => ("any".to_owned(), format!("fwmark {mark}")),
        None => (connection.protocol.to_string(), connection.service.to_string()),
    };
    ConnectionRow {
        protocol,
        client: connection.client.to_string(),
        virtual_,
        real_server: connection.destination.to_string(),
        state: connection.state.to_owned(),
        expires_s: u64::from(connection.expires),
    }
}

/// The firewall mark of a persistence template by mark: it has protocol 0, and the mark in the first four bytes of its virtual address.
fn mark(connection: &Connection<'_>) -> Option<u32> {
    let first = match connection.service.ip() {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => u32::try_from(address.to_bits() >> 96).unwrap_or_default(),
    };
    (connection.protocol == Protocol::Other(0) && connection.client.port() == 0).then_some(first)
}

/// What to take, in the kernel's terms.
#[derive(Debug)]
pub(crate) struct Filter {
    of_connection: connections::Filter,
    virtual_server: Option<Target>,
    templates: bool,
    open: bool,
    /// Addresses from which the boxes of this configuration ask real servers.
    askers: BTreeSet<IpAddr>,
}

/// States of a connection that both sides have closed, or one has reset (ip_vs_proto_tcp.c, ip_vs_proto_sctp.c).
const ENDED: [&str; 3] = ["TIME_WAIT", "CLOSE", "CLOSED"];

/// The virtual server, and what tells its connections from another's.
#[derive(Debug)]
enum Target {
    /// An address; port 0 is every port in no entry of `others`, the ports other virtual servers have at the same address and protocol.
    Address { address: IpAddr, protocol: Protocol, port: u16, others: Vec<u16> },
    /// A mark: whatever our rules mark with it. Templates carry the mark, connections do not.
    Mark(u32, Vec<FirewallMark>),
}

impl Filter {
    pub(crate) fn new(config: &Config, asked: &ConnectionFilter) -> Result<Self, String> {
        let client = asked.client.as_deref().map(prefix).transpose()?;
        let named = asked.virtual_server.as_deref();
        let server = config.virtual_servers.iter().find(|(name, _)| Some(name.as_str()) == named);
        // Who ends connections must not get all of them for a name that is not, or no longer, there.
        if let (Some(name), None) = (named, server) {
            return Err(format!("virtual-server {name}: no such virtual server"));
        }
        let of_connection = connections::Filter {
            protocol: asked.protocol.as_deref().map(protocol).transpose()?,
            client: client.map(|net| (net.addr, net.prefix_len)),
            destination: asked.real_server.map(|address| (address, asked.real_port.unwrap_or(0)).into()),
            state: asked.state.clone(),
            service: None,
        };
        let virtual_server = server.map(|(name, server)| target(config, name, server.virtual_));
        let askers = askers(config);
        Ok(Self { of_connection, virtual_server, templates: asked.templates, open: asked.open, askers })
    }

    pub(crate) fn takes(&self, connection: &Connection<'_>) -> bool {
        // A template binds a client whatever its port: the kernel has it with port 0.
        let template = connection.client.port() == 0;
        (!self.templates || template)
            && (!self.open || !(template || ENDED.contains(&connection.state)))
            && self.is_among(connection)
    }

    /// Whether it takes templates, and this is a closed connection that may have been made by one of them.
    pub(crate) fn takes_template_of(&self, connection: &Connection<'_>) -> bool {
        let closed = connection.client.port() != 0 && ENDED.contains(&connection.state);
        self.templates && closed && self.is_among(connection)
    }

    /// Whether this is a health check's: it is no client's, and ends by itself.
    fn is_check(&self, connection: &Connection<'_>) -> bool {
        SOURCE_PORTS.contains(&connection.client.port()) && self.askers.contains(&connection.client.ip())
    }

    fn is_among(&self, connection: &Connection<'_>) -> bool {
        self.of_connection.takes(connection)
            && !self.is_check(connection)
            && self.virtual_server.as_ref().is_none_or(|target| target.takes(connection))
    }
}

/// Those of this box, and those of its peer that are known: connection sync brings what it asks.
fn askers(config: &Config) -> BTreeSet<IpAddr> {
    let fixed = config.interfaces.values().flat_map(|interface| &interface.addresses).map(|net| net.addr);
    let moving = config.vrrp_groups.values().flat_map(|group| &group.addresses).map(|address| address.net.addr);
    fixed.chain(moving).chain(config.sync_peers()).collect()
}

fn protocol(word: &str) -> Result<Protocol, String> {
    let known = [Transport::Tcp, Transport::Udp, Transport::Sctp].into_iter().find(|known| known.word() == word);
    known.map(kernels).ok_or_else(|| format!("protocol {word}: not tcp, udp or sctp"))
}

fn kernels(transport: Transport) -> Protocol {
    Protocol::from(u16::from(transport.number()))
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
            Target::Address { address, protocol: kernels(transport), port, others: ports.collect() }
        }
        Virtual::Fwmark { mark, .. } => {
            Target::Mark(mark, config.firewall_marks.iter().filter(|rule| rule.mark == mark).cloned().collect())
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
            Self::Mark(number, _) if mark(connection).is_some() => mark(connection) == Some(*number),
            Self::Mark(_, rules) => rules.iter().any(|rule| {
                rule.prefix.contains(at.ip())
                    && protocol.number() == u16::from(rule.protocol.number())
                    && (rule.ports.first..=rule.ports.last).contains(&at.port())
            }),
        }
    }
}
