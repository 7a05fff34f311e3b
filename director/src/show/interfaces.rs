//! `show interfaces`: the kernel's links joined with the configuration's interfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr as _;

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use yoke_config::model::Config;
use yoke_config::value::IfName;
use yoke_director::status::InterfaceRow;

use super::rtnetlink::dump;
use crate::kernel::Links;

/// Rows of the operator's interfaces (`ethN`, `bondN`, their VLANs, `lo`) that exist or are configured; tunnels the kernel makes are not shown.
pub(crate) fn rows(config: &Config, sys: &Path, only: Option<&str>) -> io::Result<Vec<InterfaceRow>> {
    let mut addresses = addresses()?;
    let mut found = BTreeMap::new();
    for link in links()? {
        if let Some((name, mut row)) = row(&link, sys) {
            row.addresses = addresses.remove(&link.header.index).unwrap_or_default();
            found.insert(name, row);
        }
    }
    for (name, interface) in &config.interfaces {
        let row = found.entry(name.clone()).or_insert_with(|| missing(name));
        row.description = interface.description.clone().unwrap_or_default();
    }
    Ok(found.into_values().filter(|row| only.is_none_or(|only| row.name == only)).collect())
}

/// Sentences about the interfaces of the configuration, and the cards under them, that are up and have no carrier at this moment.
pub(crate) fn without_carrier(config: &Config, sys: &Path) -> io::Result<Vec<String>> {
    let mut used = BTreeSet::new();
    for (name, interface) in config.interfaces.iter().filter(|(_, interface)| !interface.shutdown) {
        used.insert(name.vlan().map_or_else(|| name.clone(), |(parent, _)| parent));
        used.extend(interface.members.iter().cloned());
    }
    let dark = links()?
        .into_iter()
        .filter_map(|link| row(&link, sys))
        .filter(|(name, row)| used.contains(name) && row.state == "down");
    Ok(dark.map(|(name, _)| format!("interface {name}: no carrier, is the cable plugged in?")).collect())
}

fn links() -> io::Result<Vec<LinkMessage>> {
    let messages = dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let links = messages.into_iter().filter_map(|m| match m {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    });
    Ok(links.collect())
}

/// Addresses with prefix length, by interface index.
fn addresses() -> io::Result<BTreeMap<u32, Vec<String>>> {
    let mut found = BTreeMap::<u32, Vec<String>>::new();
    for message in dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        // `Local` is the address itself; IPv6 has only `Address`, which on IPv4 point-to-point links is the peer's.
        let local = message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Local(address) => Some(*address),
            _ => None,
        });
        let address = local.or_else(|| {
            message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            })
        });
        if let Some(address) = address {
            let text = format!("{address}/{}", message.header.prefix_len);
            found.entry(message.header.index).or_default().push(text);
        }
    }
    Ok(found)
}

/// Index to name of every link, also those `rows` leaves out.
pub(crate) fn names() -> io::Result<BTreeMap<u32, String>> {
    let named = links()?.into_iter().filter_map(|link| Some((link.header.index, name(&link)?.to_owned())));
    Ok(named.collect())
}

/// Cards, and addresses of the operator's interfaces that the kernel has given up.
///
/// Asked every few seconds by the one thread that does everything, so nothing here takes the kernel's lock for network changes (RTNL), which a
/// driver may hold for as long as it resets its card: indices are read from `/sys`, and of addresses only those of IPv6 are listed, which has
/// needed no lock since Linux 6.10; a dump of links, or of the addresses of all families, takes it.
pub(crate) fn links_now() -> io::Result<Links> {
    let mut own = BTreeMap::new();
    for entry in fs::read_dir("/sys/class/net")?.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        // One that goes at this moment has none.
        let index = fs::read_to_string(entry.path().join("ifindex")).ok().and_then(|text| text.trim().parse().ok());
        own.extend(index.zip(IfName::from_str(&name).ok()));
    }
    let mut given_up = BTreeSet::new();
    let mut question = AddressMessage::default();
    question.header.family = AddressFamily::Inet6;
    for message in dump(RouteNetlinkMessage::GetAddress(question))? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        let failed = |a: &AddressAttribute| matches!(a, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Dadfailed));
        if own.contains_key(&message.header.index) && message.attributes.iter().any(failed) {
            given_up.extend(message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            }));
        }
    }
    let cards =
        own.into_iter().filter(|(_, name)| name.is_port()).map(|(index, name)| (index, name.to_string())).collect();
    Ok(Links { cards, given_up })
}

fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn row(link: &LinkMessage, sys: &Path) -> Option<(IfName, InterfaceRow)> {
    let name = IfName::from_str(name(link)?).ok()?;
    let mut row = missing(&name);
    row.state = state(link.header.flags).to_owned();
    let device = sys.join("class/net").join(name.as_str());
    row.speed_mbps = speed(&device);
    row.driver = driver(&device);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => row.mtu = *mtu,
            LinkAttribute::Address(mac) if !name.is_lo() => row.mac = mac_text(mac),
            LinkAttribute::LinkInfo(info) => {
                for part in info {
                    if let LinkInfo::Kind(kind) = part {
                        row.driver = kind.to_string();
                    }
                }
            }
            LinkAttribute::Stats64(stats) => {
                row.rx_bytes = stats.rx_bytes;
                row.rx_packets = stats.rx_packets;
                row.rx_errors = stats.rx_errors.saturating_add(stats.rx_dropped);
                row.tx_bytes = stats.tx_bytes;
                row.tx_packets = stats.tx_packets;
                row.tx_errors = stats.tx_errors.saturating_add(stats.tx_dropped);
            }
            _ => {}
        }
    }
    Some((name, row))
}

fn state(flags: LinkFlags) -> &'static str {
    if !flags.contains(LinkFlags::Up) {
        "shutdown"
    } else if flags.contains(LinkFlags::LowerUp) {
        "up"
    } else {
        "down"
    }
}

fn missing(name: &IfName) -> InterfaceRow {
    InterfaceRow {
        name: name.to_string(),
        state: "missing".into(),
        mac: String::new(),
        mtu: 0,
        speed_mbps: 0,
        addresses: Vec::new(),
        driver: String::new(),
        description: String::new(),
        rx_bytes: 0,
        rx_packets: 0,
        rx_errors: 0,
        tx_bytes: 0,
        tx_packets: 0,
        tx_errors: 0,
    }
}

/// Colon-separated hexadecimal.
pub(crate) fn mac_text(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

/// Megabits per second; the kernel says -1, or refuses, when there is no carrier or no such thing as a speed.
fn speed(device: &Path) -> u32 {
    fs::read_to_string(device.join("speed")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn driver(device: &Path) -> String {
    let link = fs::read_link(device.join("device/driver")).unwrap_or_default();
    link.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_an_absent_interface_is_missing() {
        let mut config = Config::default();
        let absent = IfName::from_str("eth999").unwrap();
        let described = yoke_config::model::Interface { description: Some("spare".into()), ..Default::default() };
        config.interfaces.insert(absent, described);
        let rows = rows(&config, Path::new("/sys"), None).unwrap();
        let lo = rows.iter().find(|row| row.name == "lo").unwrap();
        assert!(lo.mac.is_empty() && lo.mtu > 0);
        let absent = rows.iter().find(|row| row.name == "eth999").unwrap();
        assert_eq!((absent.state.as_str(), absent.description.as_str()), ("missing", "spare"));
    }

    #[test]
    fn a_link_without_carrier_is_down_and_not_shut_down() {
        assert_eq!(state(LinkFlags::empty()), "shutdown");
        assert_eq!(state(LinkFlags::Up), "down");
        assert_eq!(state(LinkFlags::Up | LinkFlags::LowerUp), "up");
    }

    #[test]
    fn driver_and_speed_come_from_sysfs() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("device")).unwrap();
        std::os::unix::fs::symlink("../../../bus/pci/drivers/virtio_net", dir.path().join("device/driver")).unwrap();
        fs::write(dir.path().join("speed"), "10000\n").unwrap();
        assert_eq!((driver(dir.path()).as_str(), speed(dir.path())), ("virtio_net", 10_000));
        fs::write(dir.path().join("speed"), "-1\n").unwrap();
        assert_eq!(speed(dir.path()), 0);
    }
}
