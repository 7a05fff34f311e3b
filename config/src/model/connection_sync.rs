//! `connection-sync`: connections of IPVS, shared with the peer.

use std::net::{IpAddr, Ipv4Addr};

use super::Config;
use crate::value::{IfName, Name};

/// `connection-sync`. It runs when interface and group are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSync {
    /// `interface IFNAME`: where connections are sent and heard.
    pub interface: Option<IfName>,
    /// `vrrp GROUP`: who sends is who is active in this group.
    pub group: Option<Name>,
    /// `syncid N`; absent: the group's vrid. 0 hears every pair on the wire.
    pub syncid: Option<u8>,
    /// `group ADDR`.
    pub multicast: IpAddr,
    /// `port N`.
    pub port: u16,
    /// `peer ADDR`: only these are heard; none: the group's unicast peers.
    pub peers: Vec<IpAddr>,
}

impl ConnectionSync {
    /// The kernel's own multicast group (`IP_VS_SYNC_GROUP`).
    pub const MULTICAST: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 81);
    /// The kernel's own port (`IP_VS_SYNC_PORT`).
    pub const PORT: u16 = 8848;
}

impl Default for ConnectionSync {
    fn default() -> Self {
        Self {
            interface: None,
            group: None,
            syncid: None,
            multicast: Self::MULTICAST.into(),
            port: Self::PORT,
            peers: Vec::new(),
        }
    }
}

impl Config {
    /// Who may send connections to this box: those named, else the group's unicast peers if they are on the same interface. Empty: nobody.
    #[must_use]
    pub fn sync_peers(&self) -> Vec<IpAddr> {
        let sync = &self.connection_sync;
        if !sync.peers.is_empty() {
            return sync.peers.clone();
        }
        let group = sync.group.as_ref().and_then(|name| self.vrrp_groups.get(name));
        let same =
            |group: &&super::VrrpGroup| group.vrid.as_ref().map(|(_, interface)| interface) == sync.interface.as_ref();
        let peers = group.filter(same).map(|group| group.peers.clone()).unwrap_or_default();
        peers.into_iter().filter(|peer| peer.is_ipv4() == sync.multicast.is_ipv4()).collect()
    }
}
