//! A destination: a server below a service, and how packets reach it.
//!
//! Identity ([`DestinationKey`]) and options ([`Destination`]) are apart; every option can be edited while connections run. To delete and add
//! again what could be edited breaks connections, so nothing here makes that easy.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::BitOr;

/// What identifies a destination within its service. Displays as `10.0.0.11:8080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// The server's address: unicast or the host's own. Of the service's family, except through a tunnel.
    pub address: IpAddr,
    /// Its port. Only [`Forward::Masquerade`] rewrites ports; elsewhere the kernel keeps the packet's and this is but a label.
    pub port: u16,
}

impl DestinationKey {
    /// The destination at that address and port.
    #[must_use]
    pub fn new(at: SocketAddr) -> Self {
        Self { address: at.ip(), port: at.port() }
    }
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// Bits of a tunnel's checksum handling (`IP_VS_TUNNEL_ENCAP_FLAG_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TunnelFlags(u16);

impl TunnelFlags {
    /// No checksum in the outer header.
    pub const NONE: Self = Self(0);
    /// The outer header carries a checksum.
    pub const CHECKSUM: Self = Self(1);
    /// GUE only: remote checksum offload.
    pub const REMOTE_CHECKSUM: Self = Self(2);

    /// All sixteen bits, known or not.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// All sixteen bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for TunnelFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a tunnelled packet is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation, Linux 5.2.
    Gue {
        /// The UDP port the server listens on, not 0.
        port: u16,
        /// Checksums.
        flags: TunnelFlags,
    },
    /// GRE, Linux 5.3.
    Gre {
        /// Checksums.
        flags: TunnelFlags,
    },
    /// A kind this crate does not know, kept as it came.
    Other {
        /// The kernel's number of it.
        kind: u8,
        /// Its port.
        port: u16,
        /// Its flags.
        flags: TunnelFlags,
    },
}

/// How a packet reaches its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forward {
    /// Network address translation: the destination's address and port are written into the packet; replies must come back through here.
    Masquerade,
    /// The host itself. The kernel finds out by itself when an address is its own, so there is no need to say so.
    Local,
    /// Wrapped and sent; the server answers the client directly.
    Tunnel(Tunnel),
    /// The frame is sent on to the server's MAC address; the server answers the client directly.
    DirectRoute,
    /// To the packet's own destination, past IPVS.
    Bypass,
    /// A number (5 to 7) that has no meaning yet, kept as it came.
    Other(u8),
}

/// When a destination is full and when it is free again, in connections, active and inactive together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Thresholds {
    /// Full from here on: no new connection. 0 is no limit.
    pub upper: u32,
    /// Free again below this. 0 means three quarters of `upper`. The kernel refuses one above `upper`.
    pub lower: u32,
}

impl Thresholds {
    /// The same with the lower threshold spelt out, for comparison: the kernel keeps and returns a 0, and acts on
    /// "connections x 4 < upper x 3", which for whole numbers is "connections < upper x 3 / 4, rounded up".
    #[must_use]
    pub fn normalized(self) -> Self {
        if self.lower != 0 {
            return self;
        }
        let lower = (u64::from(self.upper) * 3).div_ceil(4);
        Self { upper: self.upper, lower: u32::try_from(lower).expect("three quarters of a u32") }
    }
}

/// How a service uses a destination. All of it can be edited while connections run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// How packets reach it.
    pub forward: Forward,
    /// Its share of new connections, 0 to 2^31 - 1; ipvsadm stops at 65535. 0 drains: connections go on, no new one comes.
    pub weight: u32,
    /// When it is full.
    pub thresholds: Thresholds,
}

impl Destination {
    /// A destination reached that way, without thresholds.
    #[must_use]
    pub fn new(forward: Forward, weight: u32) -> Self {
        Self { forward, weight, thresholds: Thresholds::default() }
    }

    /// A destination behind address translation.
    #[must_use]
    pub fn masquerade(weight: u32) -> Self {
        Self::new(Forward::Masquerade, weight)
    }

    /// The same in the one form that behaves so: equal normal forms are equal to the kernel.
    #[must_use]
    pub fn normalized(self) -> Self {
        Self { thresholds: self.thresholds.normalized(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_lower_threshold_is_the_kernels_condition() {
        for upper in 0..200u32 {
            let lower = Thresholds { upper, lower: 0 }.normalized().lower;
            for connections in 0..200u32 {
                // ip_vs_core.c, ip_vs_dest_upper/lower handling.
                assert_eq!(connections < lower, connections * 4 < upper * 3, "{connections} of {upper}");
            }
        }
        assert_eq!(Thresholds { upper: u32::MAX, lower: 0 }.normalized().lower, 3_221_225_472);
        assert_eq!(Thresholds { upper: 10, lower: 2 }.normalized().lower, 2);
    }
}
