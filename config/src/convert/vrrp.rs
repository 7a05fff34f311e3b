//! Lines of `vrrp group NAME` and `vrrp sync-group NAME`, and what they mean together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::model::{Config, VrrpAddress, VrrpChecksum, VrrpGroup, VrrpRollout, VrrpSyncGroup};
use crate::tree::Tree;
use crate::value::{IfName, Name, Value};

use super::global::{port16, small};
use super::virtual_server::is_unicast;
use super::{Findings, Line};

pub(super) fn read_group(below: &Tree, out: &mut Findings) -> VrrpGroup {
    use Value as V;
    let mut group = VrrpGroup::default();
    for (key, entry) in below.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("description", [V::Text(text)]) => group.description = Some(text.clone()),
            ("vrid", [V::Int(vrid), V::Kw(_), V::If(name)]) => group.vrid = Some((small(*vrid), name.clone())),
            ("version", [V::Kw(version)]) => group.version = if *version == "2" { 2 } else { 3 },
            ("priority", [V::Int(priority)]) => group.priority = small(*priority),
            ("timers advertise", [V::Int(millis)]) => group.advertise = Some(port16(*millis)),
            ("address", [V::Net(net), place @ ..]) => {
                let interface = if let [V::Kw(_), V::If(name)] = place { Some(name.clone()) } else { None };
                group.addresses.push(VrrpAddress { net: *net, interface });
            }
            ("preempt", []) => group.preempt = Some(0),
            ("preempt", [V::Kw(_), V::Int(seconds)]) => group.preempt = Some(port16(*seconds)),
            ("peer", [V::Addr(address)]) => group.peers.push(*address),
            ("source-address", [V::Addr(address)]) => group.source = Some(*address),
            ("authentication text", [V::Word(secret)]) => group.auth.text = Some(secret.as_str().to_owned()),
            ("authentication hmac key", [V::Int(id), V::Word(secret)]) => {
                group.auth.hmac_keys.insert(small(*id), secret.as_str().to_owned());
            }
            ("authentication hmac use", [V::Int(id)]) => group.auth.hmac_use = Some(small(*id)),
            ("authentication hmac rollout", [V::Kw(step)]) => {
                group.auth.rollout = match *step {
                    "receive-only" => VrrpRollout::ReceiveOnly,
                    "permissive" => VrrpRollout::Permissive,
                    _ => VrrpRollout::Enforce,
                };
            }
            ("checksum", [V::Kw(form)]) => {
                group.checksum = match *form {
                    "rfc9568" => VrrpChecksum::Rfc9568,
                    "heard" => VrrpChecksum::Heard,
                    _ => VrrpChecksum::PseudoHeader,
                };
            }
            ("track director", weight) => group.track_director = Some(weight_of(weight)),
            ("track interface", [V::If(name), weight @ ..]) => {
                group.track_interfaces.insert(name.clone(), weight_of(weight));
            }
            ("track virtual-server", [V::Name(name), weight @ ..]) => {
                group.track_servers.insert(name.clone(), weight_of(weight));
            }
            ("use-vmac", []) => group.use_vmac = true,
            ("shutdown", []) => group.shutdown = true,
            _ => out.unread(&line),
        }
    }
    group
}

fn weight_of(words: &[&Value]) -> Option<u8> {
    if let [Value::Kw(_), Value::Int(weight)] = words { Some(small(*weight)) } else { None }
}

pub(super) fn read_sync_group(below: &Tree, out: &mut Findings) -> VrrpSyncGroup {
    let mut group = VrrpSyncGroup::default();
    for (key, entry) in below.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("description", [Value::Text(text)]) => group.description = Some(text.clone()),
            ("member", [Value::Name(name)]) => group.members.push(name.clone()),
            _ => out.unread(&line),
        }
    }
    group
}

pub(super) fn check(config: &Config, out: &mut Findings) {
    let mut identities: BTreeMap<(u8, &IfName, bool), &Name> = BTreeMap::new();
    let mut owners: BTreeMap<IpAddr, &Name> = BTreeMap::new();
    for (name, group) in &config.vrrp_groups {
        let object = format!("vrrp group {name}");
        let Some((vrid, interface)) = &group.vrid else {
            out.problem(format!("{object}: there is no vrid, use: vrid NUMBER interface IFNAME"));
            continue;
        };
        // The same number in both families names two virtual routers (RFC 9568 §1).
        if let Some(other) = identities.insert((*vrid, interface, group.is_ipv6()), name) {
            out.problem(format!("{object}: vrrp group {other} has vrid {vrid} on {interface} too, use another"));
        }
        if interface.is_lo() {
            out.problem(format!("{object}: nobody hears advertisements on lo, use another interface"));
        } else if !config.interfaces.contains_key(interface) {
            out.warning(format!("{object}: interface {interface} is not configured"));
        }
        addresses(config, &object, group, out);
        for address in &group.addresses {
            if let Some(other) = owners.insert(address.net.addr, name) {
                out.problem(format!("{object}: vrrp group {other} has {} too, remove one", address.net.addr));
            }
        }
        timers(&object, group, out);
        sender(&object, group, out);
        secrets(&object, group, out);
    }
    let mut member_of: BTreeMap<&Name, &Name> = BTreeMap::new();
    for (name, sync) in &config.vrrp_sync_groups {
        for member in &sync.members {
            if let Some(other) = member_of.insert(member, name) {
                out.problem(format!("vrrp sync-group {name}: {member} is a member of {other} too, remove it from one"));
            }
        }
        let mut priorities = sync.members.iter().filter_map(|member| Some(config.vrrp_groups.get(member)?.priority));
        let first = priorities.next();
        if priorities.any(|priority| Some(priority) != first) {
            out.warning(format!(
                "vrrp sync-group {name}: its members have different priorities, the boxes may never agree"
            ));
        }
    }
}

fn addresses(config: &Config, object: &str, group: &VrrpGroup, out: &mut Findings) {
    if group.addresses.is_empty() {
        out.warning(format!("{object}: there is no address, it takes no part"));
    }
    for VrrpAddress { net, .. } in &group.addresses {
        if !is_unicast(net.addr) || net.addr.is_loopback() {
            out.problem(format!("{object}: {} is no address of a host, use another", net.addr));
        }
        let own = config.interfaces.iter().find(|(_, i)| i.addresses.iter().any(|other| other.addr == net.addr));
        if let Some((interface, _)) = own {
            out.problem(format!("{object}: {} is interface {interface}'s own, remove it from one", net.addr));
        }
    }
    let link_local = |address: &VrrpAddress| matches!(address.net.addr, IpAddr::V6(a) if a.is_unicast_link_local());
    if group.is_ipv6() && !group.addresses.iter().any(link_local) {
        let vrid = group.vrid.as_ref().map_or(1, |(vrid, _)| *vrid);
        let example = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, vrid.into());
        out.problem(format!(
            "{object}: an IPv6 group needs a link-local address of its own, for example: address {example}/64"
        ));
    }
}

fn timers(object: &str, group: &VrrpGroup, out: &mut Findings) {
    let unit = if group.version == 2 { 1000 } else { 10 };
    let millis = group.advertise_ms();
    if !millis.is_multiple_of(unit) {
        let next = (millis / unit + 1) * unit;
        let counts = if group.version == 2 { "whole seconds" } else { "hundredths of a second" };
        out.problem(format!("{object}: version {} counts {counts}, use: timers advertise {next}", group.version));
    }
    if group.version == 2 && group.is_ipv6() {
        out.problem(format!("{object}: version 2 has no IPv6, use: version 3"));
    }
}

/// Whom it speaks to, and as whom.
fn sender(object: &str, group: &VrrpGroup, out: &mut Findings) {
    if group.addresses.is_empty() {
        return;
    }
    let family = if group.is_ipv6() { "IPv6" } else { "IPv4" };
    for (word, address) in group.peers.iter().map(|a| ("peer", *a)).chain(group.source.map(|a| ("source-address", a))) {
        if address.is_ipv6() != group.is_ipv6() {
            out.problem(format!("{object}: {word} {address}: the group speaks {family}, use an {family} address"));
        } else if !is_unicast(address) || group.addresses.iter().any(|virtual_| virtual_.net.addr == address) {
            out.problem(format!("{object}: {word} {address}: this is no address of a box, use another"));
        }
    }
}

/// keepalived's bounds: 256 bits for a margin, one block of SHA-256 at most.
const HMAC_KEY_CHARACTERS: std::ops::RangeInclusive<usize> = 32..=64;
/// RFC 2338 §5.3.6.2.
const TEXT_CHARACTERS: usize = 8;

fn secrets(object: &str, group: &VrrpGroup, out: &mut Findings) {
    let auth = &group.auth;
    if let Some(text) = &auth.text {
        if group.version != 2 {
            out.problem(format!("{object}: authentication text is for version 2, use: authentication hmac"));
        }
        if !auth.hmac_keys.is_empty() {
            out.problem(format!("{object}: authentication is text or hmac, remove one"));
        }
        if text.len() > TEXT_CHARACTERS {
            out.warning(format!("{object}: only the first {TEXT_CHARACTERS} characters of authentication text count"));
        }
    }
    for (id, secret) in &auth.hmac_keys {
        if !HMAC_KEY_CHARACTERS.contains(&secret.len()) {
            let (low, high) = (HMAC_KEY_CHARACTERS.start(), HMAC_KEY_CHARACTERS.end());
            out.problem(format!("{object}: authentication hmac key {id}: a key has {low} to {high} characters"));
        }
    }
    if auth.hmac_keys.len() > HMAC_KEYS_MAX {
        out.problem(format!("{object}: at most {HMAC_KEYS_MAX} hmac keys, remove the old ones"));
    }
    if let Some(id) = auth.hmac_use.filter(|id| !auth.hmac_keys.contains_key(id)) {
        out.problem(format!("{object}: authentication hmac use {id}: there is no such key"));
    }
}

/// As many as vrrpd keeps: the old and the new one of a rotation, and some that were forgotten.
const HMAC_KEYS_MAX: usize = 8;
