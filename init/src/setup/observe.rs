//! Reads the network from the kernel: nine dumps of route netlink, and a few files for what has no message.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    BondMode as KernelMode, InfoBond, InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType,
    LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol};
use netlink_packet_route::rule::RuleMessage;
use rtnetlink::{Handle, IpVersion};
use yoke_config::model::BondMode;
use yoke_config::value::{IfName, IpNet, MacAddr};

use super::table::{Address, Destination, Kind, Link, Network};
use super::{PROTOCOL, delivery};
use crate::sysctl;

/// Reads everything `init setup` may look at.
///
/// # Errors
/// When a dump fails; there is nothing to plan on then.
pub async fn observe(handle: &Handle) -> anyhow::Result<Network> {
    let messages: Vec<LinkMessage> = handle.link().get().execute().try_collect().await.context("interfaces")?;
    let names: BTreeMap<u32, String> = messages.iter().filter_map(|m| Some((m.header.index, name_of(m)?))).collect();
    let mut network = Network::default();
    for message in &messages {
        if let (Some(name), Some(link)) = (name_of(message), link(message, &names)) {
            network.links.insert(name, link);
        }
    }
    let addresses: Vec<AddressMessage> = handle.address().get().execute().try_collect().await.context("addresses")?;
    for message in &addresses {
        if let (Some(name), Some(address)) = (names.get(&message.header.index), address(message)) {
            network.addresses.entry(name.clone()).or_default().push(address);
        }
    }
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        // A strict dump: the kernel leaves out what is not in this table and not ours.
        let mut filter = RouteMessage::default();
        filter.header.address_family = family;
        filter.header.table = RouteHeader::RT_TABLE_MAIN;
        filter.header.protocol = RouteProtocol::Other(PROTOCOL);
        network.routes.extend(ours(handle, filter).await?.iter().filter_map(route));
    }
    for (ipv6, version) in [(false, IpVersion::V4), (true, IpVersion::V6)] {
        let rules: Vec<RuleMessage> = handle.rule().get(version).execute().try_collect().await.context("rules")?;
        network.rules.extend(rules.iter().filter_map(delivery::rule));
        if ours(handle, delivery::route_filter(ipv6)).await?.iter().any(delivery::is_local_default) {
            network.takes_in.insert(ipv6);
        }
    }
    let neighbours: Vec<NeighbourMessage> =
        handle.neighbours().get().execute().try_collect().await.context("neighbours")?;
    network.neighbours.extend(neighbours.iter().filter_map(|message| neighbour(message, &names)));
    network.hostname = nix::unistd::gethostname().context("host name")?.to_string_lossy().into_owned();
    for name in network.links.keys().filter(|name| name.parse::<IfName>().is_ok()) {
        network.sysctl_drift.extend(sysctl::drift(name).into_iter().map(|(key, value)| (key, value.to_owned())));
    }
    Ok(network)
}

async fn ours(handle: &Handle, filter: RouteMessage) -> anyhow::Result<Vec<RouteMessage>> {
    match handle.route().get(filter).execute().try_collect().await {
        Ok(routes) => Ok(routes),
        // No route of ours was ever made in this family.
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENOENT => Ok(Vec::new()),
        Err(error) => Err(error).context("routes"),
    }
}

fn name_of(message: &LinkMessage) -> Option<String> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

fn link(message: &LinkMessage, names: &BTreeMap<u32, String>) -> Option<Link> {
    let flags = message.header.flags;
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let mut link = Link {
        index: message.header.index,
        kind: Kind::Foreign,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        mtu: 0,
        mtu_max: 0,
        master: None,
        parent: None,
    };
    let mut made_as = None;
    let mut data = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::MaxMtu(mtu) => link.mtu_max = *mtu,
            LinkAttribute::Controller(index) => link.master = names.get(index).cloned(),
            LinkAttribute::Link(index) => link.parent = names.get(index).cloned(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => made_as = Some(kind),
                        LinkInfo::Data(it) => data = Some(it),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link.kind = match (made_as, data) {
        _ if flags.contains(LinkFlags::Loopback) => Kind::Loopback,
        (Some(InfoKind::Bond), Some(InfoData::Bond(infos))) => Kind::Bond(infos.iter().find_map(bond_mode)),
        (Some(InfoKind::Vlan), Some(InfoData::Vlan(infos))) => {
            let id = infos.iter().find_map(|info| match info {
                InfoVlan::Id(id) => Some(*id),
                _ => None,
            });
            Kind::Vlan(id?)
        }
        // A card says no kind; a veth, as laboratories use, stands for one.
        (None | Some(InfoKind::Veth), _) if ethernet => Kind::Card,
        _ => Kind::Foreign,
    };
    Some(link)
}

fn bond_mode(info: &InfoBond) -> Option<BondMode> {
    match info {
        InfoBond::Mode(KernelMode::Ieee8023Ad) => Some(BondMode::Lacp),
        InfoBond::Mode(KernelMode::ActiveBackup) => Some(BondMode::ActiveBackup),
        InfoBond::Mode(KernelMode::BalanceXor) => Some(BondMode::BalanceXor),
        _ => None,
    }
}

fn address(message: &AddressMessage) -> Option<Address> {
    let mut of_peer = None;
    let mut local = None;
    let mut duplicate = false;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(address) => of_peer = Some(*address),
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Flags(flags) => duplicate = flags.contains(AddressFlags::Dadfailed),
            _ => {}
        }
    }
    // IPv6 has the first alone; with IPv4 they differ on point-to-point links only.
    Some(Address { net: IpNet::new(local.or(of_peer)?, message.header.prefix_len)?, duplicate })
}

fn route(message: &RouteMessage) -> Option<(Destination, BTreeSet<IpAddr>)> {
    if message.header.protocol != RouteProtocol::Other(PROTOCOL) || message.header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let any: IpAddr = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0u8; 4]),
        AddressFamily::Inet6 => IpAddr::from([0u8; 16]),
        _ => return None,
    };
    let mut to = Destination { prefix: IpNet::new(any, message.header.destination_prefix_length)?, metric: 0 };
    let mut via = BTreeSet::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to.prefix.addr = ip(address)?,
            RouteAttribute::Priority(metric) => to.metric = *metric,
            RouteAttribute::Gateway(address) => via.extend(ip(address)),
            RouteAttribute::MultiPath(hops) => {
                for attribute in hops.iter().flat_map(|hop| &hop.attributes) {
                    if let RouteAttribute::Gateway(address) = attribute {
                        via.extend(ip(address));
                    }
                }
            }
            _ => {}
        }
    }
    Some((to, via))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn neighbour(message: &NeighbourMessage, names: &BTreeMap<u32, String>) -> Option<((String, IpAddr), MacAddr)> {
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let mut destination = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => destination = Some((*address).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => destination = Some((*address).into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = Some(MacAddr(bytes.as_slice().try_into().ok()?)),
            _ => {}
        }
    }
    Some(((names.get(&message.header.ifindex)?.clone(), destination?), mac?))
}
