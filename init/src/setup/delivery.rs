//! Packets that a firewall mark gives to a virtual server though no address of theirs is on this box, in the words of route
//! netlink. A rule for each such mark leads to one table of ours, in which every destination is local: so they come in,
//! where IPVS takes them.
//!
//! What this box sends bears the mark still, and IPVS has given it the real server's address by then; netfilter routes such
//! a packet once more when it translates addresses. So a rule before ours sends it to the main table. Reverse path filters
//! are off on every interface (`crate::sysctl`), and `src_valid_mark` stays off: a source is not looked up by mark.

use std::net::{Ipv4Addr, Ipv6Addr};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::RouteMessageBuilder;

use super::PROTOCOL;
use super::table::Rule;

/// The table. 253-255 are the kernel's.
pub const TABLE: u8 = 200;
/// Rules are looked at in this order; the kernel's own have 0, 32766 and 32767.
const PRIORITY_OWN: u32 = 200;
const PRIORITY_MARK: u32 = 201;
/// `lo`, whose index is 1 in every network namespace.
const LOOPBACK: u32 = 1;

fn family(ipv6: bool) -> AddressFamily {
    if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

/// A rule as the kernel takes it.
pub fn rule_message(rule: Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.ipv6());
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL)));
    match rule {
        Rule::Own { .. } => {
            message.header.table = RouteHeader::RT_TABLE_MAIN;
            message.attributes.push(RuleAttribute::Priority(PRIORITY_OWN));
            // What comes from nowhere else.
            message.attributes.push(RuleAttribute::Iifname("lo".to_owned()));
        }
        Rule::Mark { mark, .. } => {
            message.header.table = TABLE;
            message.attributes.push(RuleAttribute::Priority(PRIORITY_MARK));
            message.attributes.push(RuleAttribute::FwMark(mark));
        }
    }
    message
}

/// A rule of ours; `None` for those of others.
pub fn rule(message: &RuleMessage) -> Option<Rule> {
    let ipv6 = message.header.family == AddressFamily::Inet6;
    if !message.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL))) {
        return None;
    }
    let mark = message.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::FwMark(mark) => Some(*mark),
        _ => None,
    });
    Some(mark.map_or(Rule::Own { ipv6 }, |mark| Rule::Mark { ipv6, mark }))
}

/// The one route of the table.
pub fn route_message(ipv6: bool) -> RouteMessage {
    let mut message = if ipv6 {
        let any = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(Ipv6Addr::UNSPECIFIED, 0);
        any.output_interface(LOOPBACK).build()
    } else {
        let any = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(Ipv4Addr::UNSPECIFIED, 0);
        any.output_interface(LOOPBACK).build()
    };
    message.header.table = TABLE;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.kind = RouteType::Local;
    message.header.scope = RouteScope::Host;
    message
}

/// What a strict dump of the table is asked for.
pub fn route_filter(ipv6: bool) -> RouteMessage {
    let mut filter = RouteMessage::default();
    filter.header.address_family = family(ipv6);
    filter.header.table = TABLE;
    filter.header.protocol = RouteProtocol::Other(PROTOCOL);
    filter
}

/// Whether it is that route.
pub fn is_local_default(message: &RouteMessage) -> bool {
    let header = &message.header;
    header.table == TABLE && header.kind == RouteType::Local && header.destination_prefix_length == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rules_are_known_again_and_those_of_others_are_not_ours() {
        for ipv6 in [false, true] {
            for rule in [Rule::Own { ipv6 }, Rule::Mark { ipv6, mark: 7 }] {
                let message = rule_message(rule);
                assert_eq!(super::rule(&message), Some(rule));
                let mut foreign = message;
                foreign.attributes.retain(|attribute| !matches!(attribute, RuleAttribute::Protocol(_)));
                assert_eq!(super::rule(&foreign), None);
            }
            assert!(is_local_default(&route_message(ipv6)));
            assert!(!is_local_default(&route_filter(ipv6)));
        }
    }
}
