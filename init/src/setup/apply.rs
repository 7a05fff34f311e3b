//! Carries changes out, one message each. One that fails is a problem; the others go on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::{BondMode as KernelMode, BondXmitHashPolicy};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use nix::net::if_::if_nametoindex;
use rtnetlink::{
    AddressMessageBuilder, Handle, LinkBond, LinkMessageBuilder, LinkUnspec, LinkVlan, RouteMessageBuilder,
    RouteNextHopBuilder,
};
use yoke_config::model::BondMode;
use yoke_config::value::IpNet;

use super::table::{Change, Destination};
use super::{PROTOCOL, delivery};
use crate::sysctl;

/// Milliseconds between two looks at the carrier of a bond's members. Without it a bond never notices a pulled cable.
const BOND_MIIMON_MS: u32 = 100;

/// [`reason`] of `EOPNOTSUPP`.
const NOT_SUPPORTED: &str = "operation not supported on transport endpoint";

/// What came of a list of changes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Lines for the log.
    pub done: Vec<String>,
    /// Sentences for the operator.
    pub failures: Vec<String>,
}

/// Applies `changes` in order.
pub async fn apply(handle: &Handle, changes: &[Change]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut indices = Indices::default();
    let mut unmade = BTreeSet::new();
    for change in changes {
        // That the link is not there has been said; what needs it would only say it again.
        if change.link().is_some_and(|link| unmade.contains(link)) {
            unmade.extend(change.makes().map(|(link, _)| link.to_owned()));
            continue;
        }
        match apply_one(handle, &mut indices, change).await {
            Ok(()) => outcome.done.push(change.to_string()),
            Err(why) => {
                let why = match change.makes() {
                    Some((link, module)) => {
                        unmade.insert(link.to_owned());
                        // The kernel asks modprobe for the kind of link, and knows only that it did not get it.
                        if why == NOT_SUPPORTED { format!("module {module} does not load") } else { why }
                    }
                    None => why,
                };
                outcome.failures.push(format!("{change}: {why}"));
            }
        }
    }
    outcome
}

/// The reason is a sentence without its object.
async fn apply_one(handle: &Handle, indices: &mut Indices, change: &Change) -> Result<(), String> {
    let done = match change {
        Change::Hostname(name) => return nix::unistd::sethostname(name).map_err(|errno| errno.desc().to_lowercase()),
        Change::Sysctl { key, value } => return sysctl::set(key, value),
        Change::DeleteRoute { to, via } => handle.route().del(route_message(to, via)).execute().await,
        Change::DeleteNeighbour { link, address } => {
            let mut message = NeighbourMessage::default();
            message.header.ifindex = indices.of(link)?;
            let destination = match address {
                IpAddr::V4(address) => NeighbourAddress::Inet(*address),
                IpAddr::V6(address) => NeighbourAddress::Inet6(*address),
            };
            message.header.family = family(*address);
            message.attributes.push(NeighbourAttribute::Destination(destination));
            handle.neighbours().del(message).execute().await
        }
        Change::DeleteAddress { link, net } => {
            handle.address().del(address_message(indices.of(link)?, *net)).execute().await
        }
        Change::Release { link } => set(handle, indices.link(link)?.nocontroller()).await,
        Change::DeleteLink { link } => {
            let index = indices.of(link)?;
            // VLANs go with what they lie on.
            indices.0.clear();
            handle.link().del(index).execute().await
        }
        Change::Down { link } => set(handle, indices.link(link)?.down()).await,
        Change::AddBond { link, mode } => {
            let bond = LinkBond::new(link)
                .mode(kernel_mode(*mode))
                .miimon(BOND_MIIMON_MS)
                // A director talks to few neighbours, so their MAC addresses alone would fill one cable only.
                .xmit_hash_policy(BondXmitHashPolicy::Layer34);
            handle.link().add(bond.build()).execute().await
        }
        Change::BondMode { link, mode } => {
            handle.link().change(LinkBond::new(link).mode(kernel_mode(*mode)).build()).set_flags(CHANGE).execute().await
        }
        Change::AddVlan { link, parent, id } => {
            handle.link().add(LinkVlan::new(link, indices.of(parent)?, *id).build()).execute().await
        }
        Change::Enslave { link, bond } => set(handle, indices.link(link)?.controller(indices.of(bond)?)).await,
        Change::Mtu { link, mtu } => set(handle, indices.link(link)?.mtu(*mtu)).await,
        Change::AddAddress { link, net, vip } => {
            let mut request = handle.address().add(indices.of(link)?, net.addr, net.prefix_len);
            if *vip && net.addr.is_ipv6() {
                // The address of a service may move here from another box at once, so nobody is asked whether it is in
                // use; and a preferred life of 0 keeps it from being chosen as the source of anything.
                let mut cache = CacheInfo::default();
                (cache.ifa_preferred, cache.ifa_valid) = (0, u32::MAX);
                let attributes = &mut request.message_mut().attributes;
                attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
                attributes.push(AddressAttribute::CacheInfo(cache));
            }
            request.execute().await
        }
        Change::Up { link } => set(handle, indices.link(link)?.up()).await,
        Change::Route { to, via, replace } => {
            let request = handle.route().add(route_message(to, via));
            if *replace { request.replace() } else { request }.execute().await
        }
        Change::Neighbour { link, address, mac } => {
            handle.neighbours().add(indices.of(link)?, *address).link_layer_address(&mac.0).replace().execute().await
        }
        Change::AddRule(rule) => {
            let mut request = handle.rule().add();
            *request.message_mut() = delivery::rule_message(*rule);
            request.execute().await
        }
        Change::DeleteRule(rule) => handle.rule().del(delivery::rule_message(*rule)).execute().await,
        Change::TakeIn { ipv6 } => handle.route().add(delivery::route_message(*ipv6)).execute().await,
        Change::TakeNothingIn { ipv6 } => handle.route().del(delivery::route_message(*ipv6)).execute().await,
    };
    done.map_err(|error| reason(&error))
}

/// Changes an existing link: neither made nor refused when it is there.
const CHANGE: u16 = NLM_F_REQUEST | NLM_F_ACK;

async fn set(handle: &Handle, link: LinkMessageBuilder<LinkUnspec>) -> Result<(), rtnetlink::Error> {
    handle.link().change(link.build()).set_flags(CHANGE).execute().await
}

/// Kernel indices by name, asked for once; made and removed interfaces change them.
#[derive(Default)]
struct Indices(BTreeMap<String, u32>);

impl Indices {
    fn of(&mut self, link: &str) -> Result<u32, String> {
        if let Some(index) = self.0.get(link) {
            return Ok(*index);
        }
        let index =
            if_nametoindex(link).map_err(|errno| format!("interface {link}: {}", errno.desc().to_lowercase()))?;
        self.0.insert(link.to_owned(), index);
        Ok(index)
    }

    fn link(&mut self, link: &str) -> Result<LinkMessageBuilder<LinkUnspec>, String> {
        Ok(LinkUnspec::new_with_index(self.of(link)?))
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn kernel_mode(mode: BondMode) -> KernelMode {
    match mode {
        BondMode::Lacp => KernelMode::Ieee8023Ad,
        BondMode::ActiveBackup => KernelMode::ActiveBackup,
        BondMode::BalanceXor => KernelMode::BalanceXor,
    }
}

fn address_message(index: u32, net: IpNet) -> AddressMessage {
    match net.addr {
        IpAddr::V4(a) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(a, net.prefix_len).build(),
        IpAddr::V6(a) => AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(a, net.prefix_len).build(),
    }
}

fn route_message(to: &Destination, via: &BTreeSet<IpAddr>) -> RouteMessage {
    let mut message = match to.prefix.addr {
        IpAddr::V4(a) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(a, to.prefix.prefix_len).build(),
        IpAddr::V6(a) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(a, to.prefix.prefix_len).build(),
    };
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Priority(to.metric));
    let gateway = |via: IpAddr| match via {
        IpAddr::V4(a) => RouteAddress::Inet(a),
        IpAddr::V6(a) => RouteAddress::Inet6(a),
    };
    if via.len() == 1 {
        attributes.extend(via.iter().map(|via| RouteAttribute::Gateway(gateway(*via))));
    } else {
        // Several gateways of one distance share the load, as in IOS.
        let hop = |via: &IpAddr| {
            let mut hop = RouteNextHopBuilder::new(family(*via)).build();
            hop.attributes.push(RouteAttribute::Gateway(gateway(*via)));
            hop
        };
        attributes.push(RouteAttribute::MultiPath(via.iter().map(hop).collect()));
    }
    message
}

/// The kernel's errno in words; other errors are ours and are shown as they are.
fn reason(error: &rtnetlink::Error) -> String {
    match error {
        rtnetlink::Error::NetlinkError(message) => {
            nix::errno::Errno::from_raw(-message.raw_code()).desc().to_lowercase()
        }
        other => other.to_string(),
    }
}
