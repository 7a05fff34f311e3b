//! `vrrp group` and `vrrp sync-group`: what vrrpd is told. Words of the configuration, not of the protocol library, which this
//! room does not know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::value::{IfName, IpNet, Name};

/// `vrrp group NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VrrpGroup {
    /// `description`.
    pub description: Option<String>,
    /// `vrid N interface IFNAME`; checked to be there.
    pub vrid: Option<(u8, IfName)>,
    /// `version`, 2 or 3 (3).
    pub version: u8,
    /// `priority`, 1-255 (253: the skew is then 1.2 ms).
    pub priority: u8,
    /// `timers advertise` in milliseconds; absent: [`VrrpGroup::advertise_ms`].
    pub advertise: Option<u16>,
    /// `address ADDR/M [interface IFNAME]`: addresses the group owns; nobody else may add them.
    pub addresses: Vec<VrrpAddress>,
    /// `preempt [delay S]`: the delay in seconds; absent: the box that returns stays backup.
    pub preempt: Option<u16>,
    /// `peer`: unicast to these; empty: multicast.
    pub peers: Vec<IpAddr>,
    /// `source-address`; absent: the interface's first.
    pub source: Option<IpAddr>,
    /// `authentication`.
    pub auth: VrrpAuth,
    /// `checksum`, pseudo-header.
    pub checksum: VrrpChecksum,
    /// `track interface IFNAME [weight N]`.
    pub track_interfaces: BTreeMap<IfName, Option<u8>>,
    /// `track virtual-server NAME [weight N]`.
    pub track_servers: BTreeMap<Name, Option<u8>>,
    /// `track director [weight N]`.
    pub track_director: Option<Option<u8>>,
    /// `use-vmac`.
    pub use_vmac: bool,
    /// `shutdown`.
    pub shutdown: bool,
}

impl Default for VrrpGroup {
    fn default() -> Self {
        Self {
            description: None,
            vrid: None,
            version: 3,
            priority: 253,
            advertise: None,
            addresses: Vec::new(),
            preempt: None,
            peers: Vec::new(),
            source: None,
            auth: VrrpAuth::default(),
            checksum: VrrpChecksum::default(),
            track_interfaces: BTreeMap::new(),
            track_servers: BTreeMap::new(),
            track_director: None,
            use_vmac: false,
            shutdown: false,
        }
    }
}

impl VrrpGroup {
    /// Time between advertisements in milliseconds: as configured, or 100, or the 1000 that version 2 can say at least.
    #[must_use]
    pub fn advertise_ms(&self) -> u16 {
        self.advertise.unwrap_or(if self.version == 2 { 1000 } else { 100 })
    }

    /// Whether it speaks IPv6. A group with both families speaks IPv4, and its IPv6 addresses move with it.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        !self.addresses.is_empty() && self.addresses.iter().all(|address| address.net.addr.is_ipv6())
    }
}

/// `address ADDR/M [interface IFNAME]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VrrpAddress {
    /// Address and prefix length, host bits kept.
    pub net: IpNet,
    /// Where it lives; absent: the group's interface.
    pub interface: Option<IfName>,
}

/// `authentication`. Never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct VrrpAuth {
    /// `text WORD`, version 2.
    pub text: Option<String>,
    /// `hmac key N WORD`.
    pub hmac_keys: BTreeMap<u8, String>,
    /// `hmac use N`; absent: the lowest.
    pub hmac_use: Option<u8>,
    /// `hmac rollout`, enforce.
    pub rollout: VrrpRollout,
}

impl std::fmt::Debug for VrrpAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VrrpAuth(text: {}, hmac keys: {})", self.text.is_some(), self.hmac_keys.len())
    }
}

/// `authentication hmac rollout`: steps in which a pair changes to signed advertisements without an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VrrpRollout {
    /// Sign nothing, check what is signed.
    ReceiveOnly,
    /// Sign, accept what is not signed.
    Permissive,
    /// Sign, accept only what is signed.
    #[default]
    Enforce,
}

/// `checksum`: what version 3 sends over IPv4; both forms are always understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VrrpChecksum {
    /// As keepalived and FRR.
    #[default]
    PseudoHeader,
    /// The message alone.
    Rfc9568,
    /// As the peer does.
    Heard,
}

/// `vrrp sync-group NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VrrpSyncGroup {
    /// `description`.
    pub description: Option<String>,
    /// `member GROUP`; may name groups that do not exist.
    pub members: Vec<Name>,
}
