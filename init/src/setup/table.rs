//! The network of a box as data, as it is and as single changes to it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use yoke_config::model::BondMode;
use yoke_config::value::{IpNet, MacAddr};

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A network card, real or virtual.
    Card,
    /// A bond in a mode of ours; `None` for the modes an operator cannot ask for.
    Bond(Option<BondMode>),
    /// A VLAN with this id.
    Vlan(u16),
    /// `lo`.
    Loopback,
    /// Anything else: it is not ours.
    Foreign,
}

/// An interface as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// What it is.
    pub kind: Kind,
    /// Not shut down.
    pub up: bool,
    /// The cable, or whatever takes its place, works. Only known of a link that is up.
    pub carrier: bool,
    /// Bytes of an IP packet.
    pub mtu: u32,
    /// Largest MTU its driver takes; 0 when it does not say.
    pub mtu_max: u32,
    /// The bond it is a member of.
    pub master: Option<String>,
    /// What a VLAN lies on.
    pub parent: Option<String>,
}

/// An address as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Address and prefix length.
    pub net: IpNet,
    /// Another host has it (IPv6 duplicate address detection); it does not work.
    pub duplicate: bool,
}

/// A destination and its preference, lower wins: together the name of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Host bits zero.
    pub prefix: IpNet,
    /// The kernel's metric, the configuration's distance.
    pub metric: u32,
}

/// A rule of ours about which routing table a packet asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What this box sends is routed by the main table before its mark counts.
    Own {
        /// The family.
        ipv6: bool,
    },
    /// Packets with this mark come in, whatever their destination.
    Mark {
        /// The family.
        ipv6: bool,
        /// `firewall-mark`.
        mark: u32,
    },
}

impl Rule {
    /// Its family.
    pub fn ipv6(self) -> bool {
        match self {
            Self::Own { ipv6 } | Self::Mark { ipv6, .. } => ipv6,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = family(self.ipv6());
        match self {
            Self::Own { .. } => write!(f, "firewall-mark: {family} packets of this box are routed first"),
            Self::Mark { mark, .. } => write!(f, "firewall-mark {mark}: {family} packets come in"),
        }
    }
}

/// Everything `init setup` may look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// By name.
    pub links: BTreeMap<String, Link>,
    /// By name of the interface.
    pub addresses: BTreeMap<String, Vec<Address>>,
    /// Ours only, with their gateways; several share the load.
    pub routes: BTreeMap<Destination, BTreeSet<IpAddr>>,
    /// Permanent ones, by interface and address.
    pub neighbours: BTreeMap<(String, IpAddr), MacAddr>,
    /// Ours only.
    pub rules: BTreeSet<Rule>,
    /// Families whose table of ours takes everything in: IPv4 (false), IPv6 (true).
    pub takes_in: BTreeSet<bool>,
    /// Of the kernel.
    pub hostname: String,
    /// Sysctls of interfaces that are not as they should be: path below `/proc/sys`, right value.
    pub sysctl_drift: Vec<(String, String)>,
}

/// One change. `Display` is the line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of interfaces, and values that the variants name")]
pub enum Change {
    Hostname(String),
    Sysctl {
        key: String,
        value: String,
    },
    DeleteRoute {
        to: Destination,
        via: BTreeSet<IpAddr>,
    },
    DeleteNeighbour {
        link: String,
        address: IpAddr,
    },
    DeleteAddress {
        link: String,
        net: IpNet,
    },
    /// Takes a member out of its bond.
    Release {
        link: String,
    },
    DeleteLink {
        link: String,
    },
    Down {
        link: String,
    },
    AddBond {
        link: String,
        mode: BondMode,
    },
    /// Of a bond that is down and has no members.
    BondMode {
        link: String,
        mode: BondMode,
    },
    AddVlan {
        link: String,
        parent: String,
        id: u16,
    },
    /// Makes a link that is down a member.
    Enslave {
        link: String,
        bond: String,
    },
    Mtu {
        link: String,
        mtu: u32,
    },
    /// `vip`: a virtual address, which asks nobody whether it is in use and is never chosen as a source.
    AddAddress {
        link: String,
        net: IpNet,
        vip: bool,
    },
    Up {
        link: String,
    },
    /// Adds a route, or gives it other gateways (`replace`) without a moment in which there is none.
    Route {
        to: Destination,
        via: BTreeSet<IpAddr>,
        replace: bool,
    },
    Neighbour {
        link: String,
        address: IpAddr,
        mac: MacAddr,
    },
    AddRule(Rule),
    DeleteRule(Rule),
    /// Our table takes everything in.
    TakeIn {
        ipv6: bool,
    },
    TakeNothingIn {
        ipv6: bool,
    },
}

impl Change {
    /// The link it makes, and the module that makes such links.
    pub fn makes(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::AddBond { link, .. } => Some((link, "bonding")),
            Self::AddVlan { link, .. } => Some((link, "8021q")),
            _ => None,
        }
    }

    /// The link it is about, for changes that cannot succeed without it.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Enslave { bond: link, .. }
            | Self::Mtu { link, .. }
            | Self::AddAddress { link, .. }
            | Self::Up { link }
            | Self::Neighbour { link, .. }
            | Self::AddVlan { parent: link, .. } => Some(link),
            _ => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname(name) => write!(f, "hostname {name}"),
            Self::Sysctl { key, value } => write!(f, "sysctl {}: {value}", key.replace('/', ".")),
            Self::DeleteRoute { to, via } => write!(f, "{}: removed", route(to, via)),
            Self::DeleteNeighbour { link, address } => write!(f, "arp {address}: removed from {link}"),
            Self::DeleteAddress { link, net } => write!(f, "interface {link}: address {net} removed"),
            Self::Release { link } => write!(f, "interface {link}: out of its bond"),
            Self::DeleteLink { link } => write!(f, "interface {link}: removed"),
            Self::Down { link } => write!(f, "interface {link}: down"),
            Self::AddBond { link, mode } | Self::BondMode { link, mode } => {
                write!(f, "interface {link}: bond of mode {}", mode_word(*mode))
            }
            Self::AddVlan { link, parent, id } => write!(f, "interface {link}: vlan {id} on {parent}"),
            Self::Enslave { link, bond } => write!(f, "interface {link}: member of {bond}"),
            Self::Mtu { link, mtu } => write!(f, "interface {link}: mtu {mtu}"),
            Self::AddAddress { link, net, vip: false } => write!(f, "interface {link}: address {net}"),
            Self::AddAddress { link, net, vip: true } => write!(f, "interface {link}: virtual address {net}"),
            Self::Up { link } => write!(f, "interface {link}: up"),
            Self::Route { to, via, .. } => f.write_str(&route(to, via)),
            Self::Neighbour { link, address, mac } => write!(f, "arp {address}: {mac} on {link}"),
            Self::AddRule(rule) => rule.fmt(f),
            Self::DeleteRule(rule) => write!(f, "{rule}: no longer"),
            Self::TakeIn { ipv6 } => write!(f, "firewall-mark: a table for {}", family(*ipv6)),
            Self::TakeNothingIn { ipv6 } => write!(f, "firewall-mark: no table for {}", family(*ipv6)),
        }
    }
}

fn family(ipv6: bool) -> &'static str {
    if ipv6 { "IPv6" } else { "IPv4" }
}

/// The configuration's word.
fn mode_word(mode: BondMode) -> &'static str {
    match mode {
        BondMode::Lacp => "802.3ad",
        BondMode::ActiveBackup => "active-backup",
        BondMode::BalanceXor => "balance-xor",
    }
}

/// The configuration's line, but for several gateways at once.
pub(super) fn route(to: &Destination, via: &BTreeSet<IpAddr>) -> String {
    let family = if to.prefix.addr.is_ipv4() { "ip" } else { "ipv6" };
    let via: Vec<String> = via.iter().map(IpAddr::to_string).collect();
    format!("{family} route {} {}", to.prefix, via.join(" "))
}
