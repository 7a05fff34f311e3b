//! `show ip route`, `show ipv6 route` and `show arp`: the kernel's main table and its neighbours.

use std::io;
use std::net::IpAddr;

use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use yoke_director::status::{NeighbourRow, RouteRow};
use yoke_init::setup;

use super::interfaces;
use super::rtnetlink::dump;

/// Unicast routes of the main table.
pub(crate) fn routes(ipv6: bool) -> io::Result<Vec<RouteRow>> {
    let names = interfaces::names()?;
    let mut request = RouteMessage::default();
    request.header.address_family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let mut rows = Vec::new();
    for message in dump(RouteNetlinkMessage::GetRoute(request))? {
        if let RouteNetlinkMessage::NewRoute(route) = message
            && route.header.kind == RouteType::Unicast
            && table(&route) == u32::from(RouteHeader::RT_TABLE_MAIN)
        {
            rows.push(row(&route, ipv6, |index| names.get(&index).cloned().unwrap_or_default()));
        }
    }
    Ok(rows)
}

/// Tables above 255 are in an attribute.
fn table(route: &RouteMessage) -> u32 {
    let wide = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    wide.unwrap_or(u32::from(route.header.table))
}

fn row(route: &RouteMessage, ipv6: bool, name: impl Fn(u32) -> String) -> RouteRow {
    let any = if ipv6 { "::" } else { "0.0.0.0" };
    let length = route.header.destination_prefix_length;
    let mut row = RouteRow {
        prefix: format!("{any}/{length}"),
        gateway: String::new(),
        interface: String::new(),
        metric: 0,
        origin: origin(route.header.protocol).to_owned(),
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(address) => row.prefix = format!("{}/{length}", text(address)),
            RouteAttribute::Gateway(address) => row.gateway = text(address),
            RouteAttribute::Oif(index) => row.interface = name(*index),
            RouteAttribute::Priority(metric) => row.metric = *metric,
            _ => {}
        }
    }
    // The kernel's own routes are those of its addresses, unless they lead on.
    if row.origin == "kernel" && row.gateway.is_empty() {
        row.origin = "connected".into();
    }
    row
}

fn origin(protocol: RouteProtocol) -> &'static str {
    match protocol {
        RouteProtocol::Kernel => "kernel",
        RouteProtocol::Other(setup::PROTOCOL) => "static",
        _ => "other",
    }
}

fn text(address: &RouteAddress) -> String {
    match address {
        RouteAddress::Inet(address) => address.to_string(),
        RouteAddress::Inet6(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

/// Neighbours of both families; multicast and the like, which need no resolution, are left out.
pub(crate) fn neighbours() -> io::Result<Vec<NeighbourRow>> {
    let names = interfaces::names()?;
    let mut rows = Vec::new();
    for message in dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))? {
        let RouteNetlinkMessage::NewNeighbour(neighbour) = message else { continue };
        if matches!(neighbour.header.state, NeighbourState::Noarp | NeighbourState::None) {
            continue;
        }
        let mut address: Option<IpAddr> = None;
        let mut mac = String::new();
        for attribute in &neighbour.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => address = Some((*a).into()),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(a)) => address = Some((*a).into()),
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = interfaces::mac_text(bytes),
                _ => {}
            }
        }
        if let Some(address) = address {
            let interface = names.get(&neighbour.header.ifindex).cloned().unwrap_or_default();
            rows.push(NeighbourRow { address, mac, interface, state: neighbour.header.state.to_string() });
        }
    }
    rows.sort_by(|a, b| (a.address, &a.interface).cmp(&(b.address, &b.interface)));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_has_a_prefix_and_its_gateway() {
        let mut route = RouteMessage::default();
        route.header.protocol = RouteProtocol::Other(setup::PROTOCOL);
        route.attributes = vec![
            RouteAttribute::Gateway(RouteAddress::Inet("192.0.2.1".parse().unwrap())),
            RouteAttribute::Oif(2),
            RouteAttribute::Priority(5),
        ];
        let row = row(&route, false, |index| format!("if{index}"));
        assert_eq!((row.prefix.as_str(), row.gateway.as_str()), ("0.0.0.0/0", "192.0.2.1"));
        assert_eq!((row.interface.as_str(), row.metric, row.origin.as_str()), ("if2", 5, "static"));
    }

    #[test]
    fn a_route_of_an_address_is_connected() {
        let mut route = RouteMessage::default();
        route.header.protocol = RouteProtocol::Kernel;
        route.header.destination_prefix_length = 24;
        route.attributes = vec![RouteAttribute::Destination(RouteAddress::Inet("10.0.0.0".parse().unwrap()))];
        let row = row(&route, false, |_| String::new());
        assert_eq!((row.prefix.as_str(), row.origin.as_str()), ("10.0.0.0/24", "connected"));
    }

    #[test]
    fn the_kernel_answers_both_families() {
        routes(false).unwrap();
        routes(true).unwrap();
        neighbours().unwrap();
    }
}
