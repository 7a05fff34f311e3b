//! Every request the family takes, as a value, as bytes and as words.

use std::fmt;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer};
use netlink_packet_generic::constants::GENL_HDRLEN;

use super::attribute::Writer;
use super::message::nest;
use super::uapi::*;
use super::{ParseError, daemon, destination, service};
use crate::{Daemon, Destination, DestinationKey, Service, ServiceKey, SyncRole, Timeouts};

/// A request. Displays as what it does to what: `add destination 10.0.0.11:8080 to 192.0.2.1:80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `NEW_SERVICE`
    NewService(ServiceKey, Service),
    /// `SET_SERVICE`
    SetService(ServiceKey, Service),
    /// `DEL_SERVICE`, its destinations included
    DelService(ServiceKey),
    /// `GET_SERVICE`, one
    GetService(ServiceKey),
    /// `GET_SERVICE`, all
    DumpServices,
    /// `NEW_DEST`
    NewDestination(ServiceKey, DestinationKey, Destination),
    /// `SET_DEST`
    SetDestination(ServiceKey, DestinationKey, Destination),
    /// `DEL_DEST`
    DelDestination(ServiceKey, DestinationKey),
    /// `GET_DEST`, all of a service. Of a service that is not there: none, and no error
    DumpDestinations(ServiceKey),
    /// `NEW_DAEMON`
    NewDaemon(Daemon),
    /// `DEL_DAEMON`
    DelDaemon(SyncRole),
    /// `GET_DAEMON`, both
    DumpDaemons,
    /// `SET_CONFIG`
    SetTimeouts(Timeouts),
    /// `GET_CONFIG`
    GetTimeouts,
    /// `GET_INFO`
    GetInfo,
    /// `ZERO`: the counters of one service and its destinations, or of all
    Zero(Option<ServiceKey>),
    /// `FLUSH`: every service and destination. Daemons and timeouts stay
    Flush,
}

/// What is around a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// The family's number.
    pub family: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// What its answer will carry.
    pub sequence: u32,
}

impl Envelope {
    /// Appends both headers and what `write` appends, and closes the length.
    pub(super) fn wrap(self, command: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        // Length and sender (0: the kernel knows) are filled in below or left.
        out.extend_from_slice(&0u32.to_ne_bytes());
        out.extend_from_slice(&self.family.to_ne_bytes());
        out.extend_from_slice(&self.flags.to_ne_bytes());
        out.extend_from_slice(&self.sequence.to_ne_bytes());
        out.extend_from_slice(&0u32.to_ne_bytes());
        out.extend_from_slice(&[command, IPVS_GENL_VERSION, 0, 0]);
        write(out);
        let length = u32::try_from(out.len() - start).expect("a request has a few hundred bytes");
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

impl Request {
    /// The command's number.
    #[must_use]
    pub fn command(&self) -> u8 {
        match self {
            Self::NewService(..) => IPVS_CMD_NEW_SERVICE,
            Self::SetService(..) => IPVS_CMD_SET_SERVICE,
            Self::DelService(_) => IPVS_CMD_DEL_SERVICE,
            Self::GetService(_) | Self::DumpServices => IPVS_CMD_GET_SERVICE,
            Self::NewDestination(..) => IPVS_CMD_NEW_DEST,
            Self::SetDestination(..) => IPVS_CMD_SET_DEST,
            Self::DelDestination(..) => IPVS_CMD_DEL_DEST,
            Self::DumpDestinations(_) => IPVS_CMD_GET_DEST,
            Self::NewDaemon(_) => IPVS_CMD_NEW_DAEMON,
            Self::DelDaemon(_) => IPVS_CMD_DEL_DAEMON,
            Self::DumpDaemons => IPVS_CMD_GET_DAEMON,
            Self::SetTimeouts(_) => IPVS_CMD_SET_CONFIG,
            Self::GetTimeouts => IPVS_CMD_GET_CONFIG,
            Self::GetInfo => IPVS_CMD_GET_INFO,
            Self::Zero(_) => IPVS_CMD_ZERO,
            Self::Flush => IPVS_CMD_FLUSH,
        }
    }

    /// The command the answer carries, for those that are answered with more than an acknowledgement.
    #[must_use]
    pub fn reply_command(&self) -> Option<u8> {
        match self {
            Self::GetService(_) | Self::DumpServices => Some(IPVS_CMD_NEW_SERVICE),
            Self::DumpDestinations(_) => Some(IPVS_CMD_NEW_DEST),
            Self::DumpDaemons => Some(IPVS_CMD_NEW_DAEMON),
            Self::GetTimeouts => Some(IPVS_CMD_SET_CONFIG),
            Self::GetInfo => Some(IPVS_CMD_SET_INFO),
            Self::NewService(..)
            | Self::SetService(..)
            | Self::DelService(_)
            | Self::NewDestination(..)
            | Self::SetDestination(..)
            | Self::DelDestination(..)
            | Self::NewDaemon(_)
            | Self::DelDaemon(_)
            | Self::SetTimeouts(_)
            | Self::Zero(_)
            | Self::Flush => None,
        }
    }

    /// Whether it is answered with a list.
    #[must_use]
    pub fn is_dump(&self) -> bool {
        matches!(self, Self::DumpServices | Self::DumpDestinations(_) | Self::DumpDaemons)
    }

    /// Appends the message. `flags` of the envelope are added to those the request has of itself.
    pub fn emit(&self, envelope: Envelope, out: &mut Vec<u8>) {
        let mut envelope = envelope;
        envelope.flags |= NLM_F_REQUEST;
        if self.is_dump() {
            envelope.flags |= NLM_F_DUMP;
        }
        envelope.wrap(self.command(), out, |out| self.emit_attributes(&mut Writer::new(out)));
    }

    fn emit_attributes(&self, out: &mut Writer<'_>) {
        let service_key = |out: &mut Writer<'_>, key: &ServiceKey| {
            out.nest(IPVS_CMD_ATTR_SERVICE, |out| service::emit_key(out, key));
        };
        match self {
            Self::NewService(key, value) | Self::SetService(key, value) => {
                out.nest(IPVS_CMD_ATTR_SERVICE, |out| service::emit_service(out, key, value));
            }
            Self::DelService(key) | Self::GetService(key) | Self::DumpDestinations(key) | Self::Zero(Some(key)) => {
                service_key(out, key)
            }
            Self::NewDestination(of, key, value) | Self::SetDestination(of, key, value) => {
                service_key(out, of);
                out.nest(IPVS_CMD_ATTR_DEST, |out| destination::emit_destination(out, key, value));
            }
            Self::DelDestination(of, key) => {
                service_key(out, of);
                out.nest(IPVS_CMD_ATTR_DEST, |out| destination::emit_key(out, key));
            }
            Self::NewDaemon(value) => {
                out.nest(IPVS_CMD_ATTR_DAEMON, |out| daemon::emit_daemon(out, value));
            }
            Self::DelDaemon(role) => {
                out.nest(IPVS_CMD_ATTR_DAEMON, |out| daemon::emit_role(out, *role));
            }
            Self::SetTimeouts(timeouts) => timeouts.emit(out),
            Self::DumpServices
            | Self::DumpDaemons
            | Self::GetTimeouts
            | Self::GetInfo
            | Self::Zero(None)
            | Self::Flush => {}
        }
    }

    /// Reads one message as the kernel would. For tests that are the kernel, and for reading captures.
    ///
    /// # Errors
    /// When the bytes are no request of the family.
    pub fn parse(message: &[u8]) -> Result<(Envelope, Self), ParseError> {
        let cut = ParseError::Cut { what: "request" };
        let packet = NetlinkBuffer::new_checked(message).map_err(|_| cut)?;
        let envelope =
            Envelope { family: packet.message_type(), flags: packet.flags(), sequence: packet.sequence_number() };
        let (header, rest) = packet.payload().split_at_checked(GENL_HDRLEN).ok_or(cut)?;
        let dump = envelope.flags & NLM_F_DUMP == NLM_F_DUMP;
        Ok((envelope, Self::parse_attributes(header[0], dump, rest)?))
    }

    fn parse_attributes(command: u8, dump: bool, rest: &[u8]) -> Result<Self, ParseError> {
        let service_nest = || nest(rest, IPVS_CMD_ATTR_SERVICE);
        let service_key = || service::parse_key(service_nest()?);
        let service = || service::parse_service(service_nest()?);
        let destination =
            |of: &ServiceKey| destination::parse_destination(nest(rest, IPVS_CMD_ATTR_DEST)?, of.family());
        let daemon_nest = || nest(rest, IPVS_CMD_ATTR_DAEMON);
        Ok(match command {
            IPVS_CMD_NEW_SERVICE => service().map(|(key, value)| Self::NewService(key, value))?,
            IPVS_CMD_SET_SERVICE => service().map(|(key, value)| Self::SetService(key, value))?,
            IPVS_CMD_DEL_SERVICE => Self::DelService(service_key()?),
            IPVS_CMD_GET_SERVICE if dump => Self::DumpServices,
            IPVS_CMD_GET_SERVICE => Self::GetService(service_key()?),
            IPVS_CMD_NEW_DEST => {
                let of = service_key()?;
                destination(&of).map(|(key, value)| Self::NewDestination(of, key, value))?
            }
            IPVS_CMD_SET_DEST => {
                let of = service_key()?;
                destination(&of).map(|(key, value)| Self::SetDestination(of, key, value))?
            }
            IPVS_CMD_DEL_DEST => {
                let of = service_key()?;
                let nest = nest(rest, IPVS_CMD_ATTR_DEST)?;
                Self::DelDestination(of, destination::parse_key(nest, of.family())?)
            }
            IPVS_CMD_GET_DEST => Self::DumpDestinations(service_key()?),
            IPVS_CMD_NEW_DAEMON => Self::NewDaemon(daemon::parse_daemon(daemon_nest()?)?),
            IPVS_CMD_DEL_DAEMON => Self::DelDaemon(daemon::parse_role(daemon_nest()?)?),
            IPVS_CMD_GET_DAEMON => Self::DumpDaemons,
            IPVS_CMD_SET_CONFIG => Self::SetTimeouts(Timeouts::parse(rest)?),
            IPVS_CMD_GET_CONFIG => Self::GetTimeouts,
            IPVS_CMD_GET_INFO => Self::GetInfo,
            IPVS_CMD_ZERO if rest.is_empty() => Self::Zero(None),
            IPVS_CMD_ZERO => Self::Zero(Some(service_key()?)),
            IPVS_CMD_FLUSH => Self::Flush,
            command => return Err(ParseError::Command { command }),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewService(key, _) => write!(f, "add service {key}"),
            Self::SetService(key, _) => write!(f, "edit service {key}"),
            Self::DelService(key) => write!(f, "remove service {key}"),
            Self::GetService(key) => write!(f, "read service {key}"),
            Self::DumpServices => f.write_str("list services"),
            Self::NewDestination(of, key, _) => write!(f, "add destination {key} to {of}"),
            Self::SetDestination(of, key, _) => write!(f, "edit destination {key} of {of}"),
            Self::DelDestination(of, key) => write!(f, "remove destination {key} from {of}"),
            Self::DumpDestinations(of) => write!(f, "list destinations of {of}"),
            Self::NewDaemon(daemon) => {
                write!(f, "start {} sync daemon on {}", daemon.role, daemon.interface)
            }
            Self::DelDaemon(role) => write!(f, "stop {role} sync daemon"),
            Self::DumpDaemons => f.write_str("list sync daemons"),
            Self::SetTimeouts(_) => f.write_str("set timeouts"),
            Self::GetTimeouts => f.write_str("read timeouts"),
            Self::GetInfo => f.write_str("read info"),
            Self::Zero(Some(key)) => write!(f, "zero counters of {key}"),
            Self::Zero(None) => f.write_str("zero all counters"),
            Self::Flush => f.write_str("remove all services"),
        }
    }
}
