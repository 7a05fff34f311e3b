//! The `DEST` nest.

use std::net::IpAddr;

use super::ParseError;
use super::attribute::{RawAddress, Writer, attributes, family_number};
use super::stats::parse_stats;
use super::uapi::*;
use crate::{
    Destination, DestinationKey, Family, Forward, ObservedDestination, Stats, Thresholds, Tunnel, TunnelFlags,
};

const WHAT: &str = "destination";

/// Every attribute of a nest that this crate reads, as it was found.
#[derive(Default)]
struct Fields<'a> {
    family: Option<Family>,
    address: Option<RawAddress>,
    port: Option<u16>,
    method: Option<u32>,
    weight: Option<u32>,
    thresholds: Thresholds,
    tunnel_kind: u8,
    tunnel_port: u16,
    tunnel_flags: u16,
    active: u32,
    inactive: u32,
    persistent: u32,
    /// The nests of counters, unread: most callers never ask.
    stats32: Option<&'a [u8]>,
    stats64: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn parse(nest: &'a [u8]) -> Result<Self, ParseError> {
        let mut fields = Self::default();
        for attribute in attributes(WHAT, nest) {
            let attribute = attribute?;
            match attribute.kind {
                IPVS_DEST_ATTR_ADDR_FAMILY => fields.family = Some(attribute.family()?),
                IPVS_DEST_ATTR_ADDR => fields.address = Some(attribute.address()?),
                IPVS_DEST_ATTR_PORT => fields.port = Some(attribute.u16_be()?),
                IPVS_DEST_ATTR_FWD_METHOD => fields.method = Some(attribute.u32_host()?),
                IPVS_DEST_ATTR_WEIGHT => fields.weight = Some(attribute.u32_host()?),
                IPVS_DEST_ATTR_U_THRESH => fields.thresholds.upper = attribute.u32_host()?,
                IPVS_DEST_ATTR_L_THRESH => fields.thresholds.lower = attribute.u32_host()?,
                IPVS_DEST_ATTR_TUN_TYPE => fields.tunnel_kind = attribute.u8()?,
                IPVS_DEST_ATTR_TUN_PORT => fields.tunnel_port = attribute.u16_be()?,
                IPVS_DEST_ATTR_TUN_FLAGS => fields.tunnel_flags = attribute.u16_host()?,
                IPVS_DEST_ATTR_ACTIVE_CONNS => fields.active = attribute.u32_host()?,
                IPVS_DEST_ATTR_INACT_CONNS => fields.inactive = attribute.u32_host()?,
                IPVS_DEST_ATTR_PERSIST_CONNS => fields.persistent = attribute.u32_host()?,
                IPVS_DEST_ATTR_STATS => fields.stats32 = Some(attribute.nest()),
                IPVS_DEST_ATTR_STATS64 => fields.stats64 = Some(attribute.nest()),
                _ => {}
            }
        }
        Ok(fields)
    }

    /// `service` is the family where the kernel does not say one (before 3.18).
    fn key(&self, service: Family) -> Result<DestinationKey, ParseError> {
        let address = need(self.address, IPVS_DEST_ATTR_ADDR)?;
        Ok(DestinationKey {
            address: address.of(self.family.unwrap_or(service)),
            port: need(self.port, IPVS_DEST_ATTR_PORT)?,
        })
    }

    fn destination(&self) -> Result<Destination, ParseError> {
        let method = need(self.method, IPVS_DEST_ATTR_FWD_METHOD)? & IP_VS_CONN_F_FWD_MASK;
        Ok(Destination {
            forward: match method {
                0 => Forward::Masquerade,
                1 => Forward::Local,
                2 => Forward::Tunnel(self.tunnel()),
                3 => Forward::DirectRoute,
                4 => Forward::Bypass,
                other => Forward::Other(u8::try_from(other).expect("three bits")),
            },
            weight: need(self.weight, IPVS_DEST_ATTR_WEIGHT)?,
            thresholds: self.thresholds,
        })
    }

    fn tunnel(&self) -> Tunnel {
        let (port, flags) = (self.tunnel_port, TunnelFlags::from_bits(self.tunnel_flags));
        match self.tunnel_kind {
            0 => Tunnel::Ipip,
            1 => Tunnel::Gue { port, flags },
            2 => Tunnel::Gre { flags },
            kind => Tunnel::Other { kind, port, flags },
        }
    }

    /// Kernels before 4.1 have the 32 bits alone.
    fn stats(&self) -> Result<Stats, ParseError> {
        self.stats64.or(self.stats32).map_or(Ok(Stats::default()), parse_stats)
    }
}

fn need<T: Copy>(field: Option<T>, kind: u16) -> Result<T, ParseError> {
    field.ok_or(ParseError::Missing { what: WHAT, kind })
}

/// Reads the identity in a `DEST` nest.
pub(super) fn parse_key(nest: &[u8], service: Family) -> Result<DestinationKey, ParseError> {
    Fields::parse(nest)?.key(service)
}

/// Reads identity and options.
pub(super) fn parse_destination(nest: &[u8], service: Family) -> Result<(DestinationKey, Destination), ParseError> {
    let fields = Fields::parse(nest)?;
    Ok((fields.key(service)?, fields.destination()?))
}

/// Reads the attributes of a `NEW_DEST` message without its counters.
pub(crate) fn observed_destination(
    message: &[u8],
    service: Family,
) -> Result<(DestinationKey, Destination), ParseError> {
    parse_destination(super::message::nest(message, IPVS_CMD_ATTR_DEST)?, service)
}

impl ObservedDestination {
    /// Reads the attributes of a `NEW_DEST` message, the reply to `GET_DEST` for a service of that family.
    ///
    /// # Errors
    /// When they are not what the kernel sends.
    pub fn parse(attributes_of_message: &[u8], service: Family) -> Result<Self, ParseError> {
        let nest = super::message::nest(attributes_of_message, IPVS_CMD_ATTR_DEST)?;
        let fields = Fields::parse(nest)?;
        Ok(Self {
            key: fields.key(service)?,
            destination: fields.destination()?,
            active: fields.active,
            inactive: fields.inactive,
            persistent: fields.persistent,
            stats: fields.stats()?,
        })
    }
}

/// Writes the identity alone.
pub(super) fn emit_key(out: &mut Writer<'_>, key: &DestinationKey) {
    let family = match key.address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    out.u16_host(IPVS_DEST_ATTR_ADDR_FAMILY, family_number(family));
    out.address(IPVS_DEST_ATTR_ADDR, key.address);
    out.u16_be(IPVS_DEST_ATTR_PORT, key.port);
}

/// Writes identity and options. The tunnel's three attributes go along for every method, so that an edit from one method to another leaves
/// nothing of the old one behind.
pub(super) fn emit_destination(out: &mut Writer<'_>, key: &DestinationKey, value: &Destination) {
    emit_key(out, key);
    let (method, tunnel) = match value.forward {
        Forward::Masquerade => (0, Tunnel::Ipip),
        Forward::Local => (1, Tunnel::Ipip),
        Forward::Tunnel(tunnel) => (2, tunnel),
        Forward::DirectRoute => (3, Tunnel::Ipip),
        Forward::Bypass => (4, Tunnel::Ipip),
        Forward::Other(method) => (u32::from(method), Tunnel::Ipip),
    };
    let (kind, port, flags) = match tunnel {
        Tunnel::Ipip => (0, 0, TunnelFlags::NONE),
        Tunnel::Gue { port, flags } => (1, port, flags),
        Tunnel::Gre { flags } => (2, 0, flags),
        Tunnel::Other { kind, port, flags } => (kind, port, flags),
    };
    out.u32_host(IPVS_DEST_ATTR_FWD_METHOD, method);
    out.u32_host(IPVS_DEST_ATTR_WEIGHT, value.weight);
    out.u8(IPVS_DEST_ATTR_TUN_TYPE, kind);
    out.u16_be(IPVS_DEST_ATTR_TUN_PORT, port);
    out.u16_host(IPVS_DEST_ATTR_TUN_FLAGS, flags.bits());
    out.u32_host(IPVS_DEST_ATTR_U_THRESH, value.thresholds.upper);
    out.u32_host(IPVS_DEST_ATTR_L_THRESH, value.thresholds.lower);
}
