//! The `SERVICE` nest.
//!
//! The kernel wants `TIMEOUT` and `NETMASK` also from a service without persistence, and checks an IPv6 `NETMASK` either way. Without
//! persistence they mean nothing and are not kept.

use std::num::NonZeroU32;

use super::ParseError;
use super::attribute::{Writer, attributes, family_number};
use super::stats::parse_stats;
use super::uapi::*;
use crate::{
    Family, Netmask, ObservedService, Persistence, Protocol, SchedulerFlags, SchedulerName, Service, ServiceKey, Stats,
};

const WHAT: &str = "service";

/// Every attribute of a nest that this crate reads, as it was found.
#[derive(Default)]
struct Fields<'a> {
    family: Option<Family>,
    protocol: Option<u16>,
    address: Option<super::attribute::RawAddress>,
    port: Option<u16>,
    mark: Option<u32>,
    scheduler: Option<SchedulerName>,
    engine: Option<crate::EngineName>,
    flags: u32,
    timeout: u32,
    netmask: Option<[u8; 4]>,
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
                IPVS_SVC_ATTR_AF => fields.family = Some(attribute.family()?),
                IPVS_SVC_ATTR_PROTOCOL => fields.protocol = Some(attribute.u16_host()?),
                IPVS_SVC_ATTR_ADDR => fields.address = Some(attribute.address()?),
                IPVS_SVC_ATTR_PORT => fields.port = Some(attribute.u16_be()?),
                IPVS_SVC_ATTR_FWMARK => fields.mark = Some(attribute.u32_host()?),
                IPVS_SVC_ATTR_SCHED_NAME => fields.scheduler = attribute.name()?,
                IPVS_SVC_ATTR_PE_NAME => fields.engine = attribute.name()?,
                IPVS_SVC_ATTR_FLAGS => fields.flags = attribute.flags()?,
                IPVS_SVC_ATTR_TIMEOUT => fields.timeout = attribute.u32_host()?,
                // Network order for IPv4, host order for IPv6: which it is shows only at the end.
                IPVS_SVC_ATTR_NETMASK => {
                    fields.netmask = Some(attribute.u32_host()?.to_ne_bytes());
                }
                IPVS_SVC_ATTR_STATS => fields.stats32 = Some(attribute.nest()),
                IPVS_SVC_ATTR_STATS64 => fields.stats64 = Some(attribute.nest()),
                _ => {}
            }
        }
        Ok(fields)
    }

    fn key(&self) -> Result<ServiceKey, ParseError> {
        let family = need(self.family, IPVS_SVC_ATTR_AF)?;
        // The kernel looks for the mark first; a mark of 0 is no mark.
        if let Some(mark) = self.mark.and_then(NonZeroU32::new) {
            return Ok(ServiceKey::Mark { mark, family });
        }
        Ok(ServiceKey::Address {
            protocol: Protocol::from(need(self.protocol, IPVS_SVC_ATTR_PROTOCOL)?),
            address: need(self.address, IPVS_SVC_ATTR_ADDR)?.of(family),
            port: need(self.port, IPVS_SVC_ATTR_PORT)?,
        })
    }

    fn service(&self, family: Family) -> Result<Service, ParseError> {
        let persistence = if self.flags & IP_VS_SVC_F_PERSISTENT == 0 {
            None
        } else {
            Some(Persistence { timeout: self.timeout, netmask: self.netmask(family)? })
        };
        let scheduler_bits = (self.flags >> IP_VS_SVC_F_SCHED_SHIFT) & 7;
        Ok(Service {
            scheduler: need(self.scheduler, IPVS_SVC_ATTR_SCHED_NAME)?,
            scheduler_flags: SchedulerFlags::from_bits(u8::try_from(scheduler_bits).expect("three bits")),
            persistence,
            engine: self.engine,
            one_packet: self.flags & IP_VS_SVC_F_ONEPACKET != 0,
        })
    }

    fn netmask(&self, family: Family) -> Result<Netmask, ParseError> {
        let raw = need(self.netmask, IPVS_SVC_ATTR_NETMASK)?;
        match family {
            Family::V4 => Ok(Netmask::V4(raw.into())),
            Family::V6 => {
                let length = u32::from_ne_bytes(raw);
                u8::try_from(length).map(Netmask::V6).map_err(|_| ParseError::Value {
                    what: WHAT,
                    kind: IPVS_SVC_ATTR_NETMASK,
                    value: length.into(),
                })
            }
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

/// Reads the identity in a `SERVICE` nest.
pub(super) fn parse_key(nest: &[u8]) -> Result<ServiceKey, ParseError> {
    Fields::parse(nest)?.key()
}

/// Reads identity and options.
pub(super) fn parse_service(nest: &[u8]) -> Result<(ServiceKey, Service), ParseError> {
    let fields = Fields::parse(nest)?;
    let key = fields.key()?;
    Ok((key, fields.service(key.family())?))
}

/// Reads the attributes of a `NEW_SERVICE` message without its counters.
pub(crate) fn observed_service(message: &[u8]) -> Result<(ServiceKey, Service), ParseError> {
    parse_service(super::message::nest(message, IPVS_CMD_ATTR_SERVICE)?)
}

impl ObservedService {
    /// Reads the attributes of a `NEW_SERVICE` message, the reply to `GET_SERVICE`.
    ///
    /// # Errors
    /// When they are not what the kernel sends.
    pub fn parse(attributes_of_message: &[u8]) -> Result<Self, ParseError> {
        let nest = super::message::nest(attributes_of_message, IPVS_CMD_ATTR_SERVICE)?;
        let fields = Fields::parse(nest)?;
        let key = fields.key()?;
        Ok(Self { key, service: fields.service(key.family())?, stats: fields.stats()? })
    }
}

/// Writes the identity alone: all that a request needs which does not change the service.
pub(super) fn emit_key(out: &mut Writer<'_>, key: &ServiceKey) {
    out.u16_host(IPVS_SVC_ATTR_AF, family_number(key.family()));
    match *key {
        ServiceKey::Address { protocol, address, port } => {
            out.u16_host(IPVS_SVC_ATTR_PROTOCOL, protocol.number());
            out.address(IPVS_SVC_ATTR_ADDR, address);
            out.u16_be(IPVS_SVC_ATTR_PORT, port);
        }
        ServiceKey::Mark { mark, .. } => out.u32_host(IPVS_SVC_ATTR_FWMARK, mark.get()),
    }
}

/// Writes identity and options.
pub(super) fn emit_service(out: &mut Writer<'_>, key: &ServiceKey, service: &Service) {
    emit_key(out, key);
    out.name(IPVS_SVC_ATTR_SCHED_NAME, &service.scheduler);
    if let Some(engine) = &service.engine {
        out.name(IPVS_SVC_ATTR_PE_NAME, engine);
    }
    let mut flags = u32::from(service.scheduler_flags.bits()) << IP_VS_SVC_F_SCHED_SHIFT;
    if service.persistence.is_some() {
        flags |= IP_VS_SVC_F_PERSISTENT;
    }
    if service.one_packet {
        flags |= IP_VS_SVC_F_ONEPACKET;
    }
    out.flags(IPVS_SVC_ATTR_FLAGS, flags);
    out.u32_host(IPVS_SVC_ATTR_TIMEOUT, service.persistence.map_or(0, |p| p.timeout));
    let netmask = service.persistence.map_or(Netmask::host(key.family()), |p| p.netmask);
    match netmask {
        Netmask::V4(mask) => out.bytes(IPVS_SVC_ATTR_NETMASK, &mask.octets()),
        Netmask::V6(length) => out.u32_host(IPVS_SVC_ATTR_NETMASK, length.into()),
    }
}
