//! The configuration of one virtual router, checked once. Names, interfaces and secrets are not in here.

use std::time::Duration;

use crate::{AddressList, AdvertInterval, ChecksumForm, Family, Identity, Priority};

/// What an operator may change while a router runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Priority before tracking lowers it.
    pub priority: Priority,
    /// How often we advertise while active, in the unit of the router's version.
    pub interval: AdvertInterval,
    /// Whether a backup of higher priority takes over.
    pub preempt: Preempt,
    /// `Accept_Mode` (RFC 9568 §6.1): whether packets to the addresses are accepted by a router that does not own them.
    /// Carried for who installs the addresses; the election does not ask. IPVS needs `true`.
    pub accept: bool,
    /// What is advertised. The group may own more ([`AddressList::select`]).
    pub addresses: AddressList,
    /// Checksum of version 3 over IPv4.
    pub checksum: ChecksumChoice,
    /// Announce every so often while active, against switches and hosts that forget or were misled. `None`: never again.
    pub refresh: Option<Duration>,
}

/// `Preempt_Mode` (RFC 9568 §6.1). The owner preempts whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preempt {
    /// The box that returns stays backup.
    Off,
    /// A backup of higher priority takes over, but not sooner than `delay` after it first heard the lower one. An absent
    /// active router is replaced without this delay.
    On {
        /// Zero is the RFC's behaviour.
        delay: Duration,
    },
}

/// The checksum that version 3 sends over IPv4; both forms are always understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChecksumChoice {
    /// With pseudo-header, as keepalived and FRR expect.
    #[default]
    PseudoHeader,
    /// The message alone, as RFC 9568 §5.2.8 says.
    Rfc9568,
    /// The form that was heard last; pseudo-header until then.
    Heard,
}

impl ChecksumChoice {
    /// The form to send, after `heard`.
    #[must_use]
    pub fn form(self, heard: Option<ChecksumForm>) -> ChecksumForm {
        match self {
            Self::PseudoHeader => ChecksumForm::PseudoHeader,
            Self::Rfc9568 => ChecksumForm::MessageOnly,
            Self::Heard => heard.unwrap_or(ChecksumForm::PseudoHeader),
        }
    }
}

/// A configuration that does not fit the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Seconds in version 3 or centiseconds in version 2.
    #[error("the advertisement interval has the unit of another version")]
    IntervalVersion,
    /// Addresses of the other family.
    #[error("the addresses are of another family than the virtual router")]
    Family,
    /// RFC 9568 §5.2.5.
    #[error("there is no address to advertise")]
    NoAddresses,
    /// RFC 9568 §5.2.9.
    #[error("the first IPv6 address is not link-local")]
    NotLinkLocal,
}

impl Config {
    /// What vrrpd takes where nothing is said: 100 ms, priority 253 (so that the skew is 1.2 ms and an owner and a
    /// preferred 254 remain possible), no preemption, accept, announce every minute.
    #[must_use]
    pub fn new(addresses: AddressList, interval: AdvertInterval) -> Self {
        Self {
            priority: Self::DEFAULT_PRIORITY,
            interval,
            preempt: Preempt::Off,
            accept: true,
            addresses,
            checksum: ChecksumChoice::default(),
            refresh: Some(Self::DEFAULT_REFRESH),
        }
    }

    /// 253.
    pub const DEFAULT_PRIORITY: Priority = Priority::new(253).expect("253 is not 0");
    /// One minute: what a host that was misled waits at most.
    pub const DEFAULT_REFRESH: Duration = Duration::from_secs(60);

    /// Checks that an advertisement can be made of this.
    pub(super) fn check(&self, identity: Identity) -> Result<(), ConfigError> {
        if self.interval.version() != identity.protocol.version() {
            return Err(ConfigError::IntervalVersion);
        }
        if self.addresses.family() != identity.protocol.family() {
            return Err(ConfigError::Family);
        }
        let Some(first) = self.addresses.iter().next() else {
            return Err(ConfigError::NoAddresses);
        };
        match (identity.protocol.family(), first) {
            (Family::V6, std::net::IpAddr::V6(first)) if !first.is_unicast_link_local() => {
                Err(ConfigError::NotLinkLocal)
            }
            (Family::V4 | Family::V6, _) => Ok(()),
        }
    }
}
