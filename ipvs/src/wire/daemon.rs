//! The `DAEMON` nest, and what the kernel says once: `SET_CONFIG` and `SET_INFO` attributes.

use std::net::IpAddr;

use super::ParseError;
use super::attribute::{Writer, attributes};
use super::uapi::*;
use crate::{Daemon, Info, SyncRole, Timeouts};

const WHAT: &str = "daemon";

fn role(number: u32) -> Option<SyncRole> {
    match number {
        1 => Some(SyncRole::Master),
        2 => Some(SyncRole::Backup),
        _ => None,
    }
}

fn role_number(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => 1,
        SyncRole::Backup => 2,
    }
}

/// Reads the role in a `DAEMON` nest: all that stopping one needs.
pub(super) fn parse_role(nest: &[u8]) -> Result<SyncRole, ParseError> {
    for attribute in attributes(WHAT, nest) {
        let attribute = attribute?;
        if attribute.kind == IPVS_DAEMON_ATTR_STATE {
            let number = attribute.u32_host()?;
            return role(number).ok_or_else(|| attribute.bad_value(number.into()));
        }
    }
    Err(ParseError::Missing { what: WHAT, kind: IPVS_DAEMON_ATTR_STATE })
}

/// Reads a whole `DAEMON` nest.
pub(super) fn parse_daemon(nest: &[u8]) -> Result<Daemon, ParseError> {
    let (mut interface, mut sync_id) = (None, 0);
    let (mut max_length, mut group, mut port, mut ttl) = (None, None, None, None);
    for attribute in attributes(WHAT, nest) {
        let attribute = attribute?;
        match attribute.kind {
            IPVS_DAEMON_ATTR_MCAST_IFN => interface = attribute.name()?,
            IPVS_DAEMON_ATTR_SYNC_ID => {
                let id = attribute.u32_host()?;
                sync_id = u8::try_from(id).map_err(|_| attribute.bad_value(id.into()))?;
            }
            IPVS_DAEMON_ATTR_SYNC_MAXLEN => max_length = Some(attribute.u16_host()?),
            IPVS_DAEMON_ATTR_MCAST_GROUP => group = Some(IpAddr::from(attribute.ipv4()?)),
            IPVS_DAEMON_ATTR_MCAST_GROUP6 => group = Some(IpAddr::from(attribute.ipv6()?)),
            // The one port of the family in host order.
            IPVS_DAEMON_ATTR_MCAST_PORT => port = Some(attribute.u16_host()?),
            IPVS_DAEMON_ATTR_MCAST_TTL => ttl = Some(attribute.u8()?),
            _ => {}
        }
    }
    let missing = ParseError::Missing { what: WHAT, kind: IPVS_DAEMON_ATTR_MCAST_IFN };
    Ok(Daemon { role: parse_role(nest)?, interface: interface.ok_or(missing)?, sync_id, max_length, group, port, ttl })
}

impl Daemon {
    /// Reads the attributes of a `NEW_DAEMON` message, the reply to `GET_DAEMON`.
    ///
    /// # Errors
    /// When they are not what the kernel sends.
    pub fn parse(attributes_of_message: &[u8]) -> Result<Self, ParseError> {
        parse_daemon(super::message::nest(attributes_of_message, IPVS_CMD_ATTR_DAEMON)?)
    }
}

/// Writes the role alone.
pub(super) fn emit_role(out: &mut Writer<'_>, role: SyncRole) {
    out.u32_host(IPVS_DAEMON_ATTR_STATE, role_number(role));
}

/// Writes a whole daemon; what is `None` is left to the kernel.
pub(super) fn emit_daemon(out: &mut Writer<'_>, daemon: &Daemon) {
    emit_role(out, daemon.role);
    out.name(IPVS_DAEMON_ATTR_MCAST_IFN, &daemon.interface);
    out.u32_host(IPVS_DAEMON_ATTR_SYNC_ID, daemon.sync_id.into());
    if let Some(length) = daemon.max_length {
        out.u16_host(IPVS_DAEMON_ATTR_SYNC_MAXLEN, length);
    }
    if let Some(port) = daemon.port {
        out.u16_host(IPVS_DAEMON_ATTR_MCAST_PORT, port);
    }
    if let Some(ttl) = daemon.ttl {
        out.u8(IPVS_DAEMON_ATTR_MCAST_TTL, ttl);
    }
    match daemon.group {
        Some(IpAddr::V4(group)) => out.bytes(IPVS_DAEMON_ATTR_MCAST_GROUP, &group.octets()),
        Some(IpAddr::V6(group)) => out.bytes(IPVS_DAEMON_ATTR_MCAST_GROUP6, &group.octets()),
        None => {}
    }
}

impl Timeouts {
    /// Reads the attributes of a `SET_CONFIG` message, the reply to `GET_CONFIG`.
    ///
    /// # Errors
    /// When they are not what the kernel sends.
    pub fn parse(attributes_of_message: &[u8]) -> Result<Self, ParseError> {
        let mut timeouts = Self::default();
        for attribute in attributes("timeouts", attributes_of_message) {
            let attribute = attribute?;
            match attribute.kind {
                IPVS_CMD_ATTR_TIMEOUT_TCP => timeouts.tcp = attribute.u32_host()?,
                IPVS_CMD_ATTR_TIMEOUT_TCP_FIN => timeouts.tcp_fin = attribute.u32_host()?,
                IPVS_CMD_ATTR_TIMEOUT_UDP => timeouts.udp = attribute.u32_host()?,
                _ => {}
            }
        }
        Ok(timeouts)
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u32_host(IPVS_CMD_ATTR_TIMEOUT_TCP, self.tcp);
        out.u32_host(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, self.tcp_fin);
        out.u32_host(IPVS_CMD_ATTR_TIMEOUT_UDP, self.udp);
    }
}

impl Info {
    /// Reads the attributes of a `SET_INFO` message, the reply to `GET_INFO`. They are numbered apart from those of other messages.
    ///
    /// # Errors
    /// When they are not what the kernel sends.
    pub fn parse(attributes_of_message: &[u8]) -> Result<Self, ParseError> {
        let (mut version, mut table_size) = (None, 0);
        for attribute in attributes("info", attributes_of_message) {
            let attribute = attribute?;
            match attribute.kind {
                IPVS_INFO_ATTR_VERSION => {
                    let [_, major, minor, patch] = attribute.u32_host()?.to_be_bytes();
                    version = Some((major, minor, patch));
                }
                IPVS_INFO_ATTR_CONN_TAB_SIZE => table_size = attribute.u32_host()?,
                _ => {}
            }
        }
        let missing = ParseError::Missing { what: "info", kind: IPVS_INFO_ATTR_VERSION };
        Ok(Self { version: version.ok_or(missing)?, table_size })
    }
}
