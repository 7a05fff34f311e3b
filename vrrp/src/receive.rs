//! The receive checks of RFC 9568 §7.1 (and RFC 3768 §7.1) in their order, each with a counter.
//!
//! [`screen`] does what needs no virtual router; the caller then looks the VRID up (`Discard::Vrid` when it is unknown) and
//! that router's [`Gate`] does the rest. A gate is also the way out: it seals what its router sends, because the keys and
//! the sequence are the same. Nothing here logs; whoever counts may, at a limited rate.

mod counters;
#[cfg(test)]
mod tests;

pub use counters::{Counters, Discard};

use std::net::IpAddr;

use crate::auth::{AUTH_TYPE_NONE, AUTH_TYPE_TEXT, Auth, Seal};
use crate::packet::HOP_LIMIT;
use crate::router::Config;
use crate::{
    AddressList, AdvertInterval, AdvertPriority, Advertisement, Carrier, ChecksumForm, Endpoints, Identity, Message,
    UnixTime, Version,
};

/// What a router needs to know of an advertisement that passed every check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Primary address of the sender.
    pub source: IpAddr,
    /// Its claim, or its resignation.
    pub priority: AdvertPriority,
    /// Its interval, which version 3 adopts.
    pub interval: AdvertInterval,
    /// The form of its checksum.
    pub checksum: ChecksumForm,
}

/// An accepted advertisement, and what was strange about it. RFC 9568 §7.1: "SHOULD log", and not drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// For the router.
    pub heard: Heard,
    /// Its addresses are not those configured here.
    pub addresses_differ: bool,
    /// Its interval is not the one configured here (version 3; in version 2 that is a [`Discard::Interval`]).
    pub interval_differs: bool,
}

/// Hop limit, version, type, completeness, checksum: the checks before the virtual router is known.
///
/// `payload` is what the IP header's length says, without Ethernet padding; padding of zeros is tolerated.
///
/// # Errors
/// The first check that fails, for the interface's [`Counters`].
pub fn screen<'p>(payload: &'p [u8], carrier: &Carrier) -> Result<Message<'p>, Discard> {
    if carrier.hop_limit != HOP_LIMIT {
        return Err(Discard::HopLimit);
    }
    Ok(Message::parse(payload, &carrier.endpoints)?)
}

/// Where packets of one virtual router come in and go out.
#[derive(Debug)]
pub struct Gate {
    identity: Identity,
    interval: AdvertInterval,
    addresses: AddressList,
    auth: Auth,
    peers: Vec<IpAddr>,
    own: Option<IpAddr>,
    counters: Counters,
}

impl Gate {
    /// For the router `identity` with `config`. No peers means multicast.
    #[must_use]
    pub fn new(identity: Identity, config: &Config, auth: Auth, peers: Vec<IpAddr>) -> Self {
        Self {
            identity,
            interval: config.interval,
            addresses: config.addresses.clone(),
            auth,
            peers,
            own: None,
            counters: Counters::default(),
        }
    }

    /// Follows a change of the router's configuration. Counters and replay marks stay.
    pub fn set_config(&mut self, config: &Config) {
        self.interval = config.interval;
        self.addresses.clone_from(&config.addresses);
    }

    /// Unicast peers; none means multicast.
    pub fn set_peers(&mut self, peers: Vec<IpAddr>) {
        self.peers = peers;
    }

    /// The address we send from: what comes from it is our own packet, looped back.
    pub const fn set_source(&mut self, own: Option<IpAddr>) {
        self.own = own;
    }

    /// Keys and rules. To keep replay marks over a change of keys, change those of [`Auth::Hmac`] in place.
    pub const fn auth_mut(&mut self) -> &mut Auth {
        &mut self.auth
    }

    /// What came in so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets every counter to zero (`clear counters`).
    pub fn clear_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// The checks after the VRID was found to be this router's, in the order of §7.1. Counts the outcome.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn admit(&mut self, message: &Message<'_>, endpoints: &Endpoints, wall: UnixTime) -> Result<Received, Discard> {
        let outcome = self.check(message, endpoints, wall);
        match &outcome {
            Ok(received) => self.counters.accept(received),
            Err(discard) => self.counters.count(*discard),
        }
        outcome
    }

    fn check(&mut self, message: &Message<'_>, endpoints: &Endpoints, wall: UnixTime) -> Result<Received, Discard> {
        let source = endpoints.source();
        if message.protocol() != self.identity.protocol {
            return Err(Discard::Version);
        }
        if message.vrid() != self.identity.vrid {
            return Err(Discard::Vrid);
        }
        if self.own == Some(source) {
            return Err(Discard::Looped);
        }
        if self.peers.is_empty() {
            if !endpoints.is_multicast() {
                return Err(Discard::Destination);
            }
        } else if !self.peers.contains(&source) {
            return Err(Discard::Sender);
        }
        self.authenticate(message, endpoints, wall)?;
        let advertisement = message.advertisement()?;
        let interval_differs = advertisement.interval() != self.interval;
        if interval_differs && self.identity.protocol.version() == Version::V2 {
            // RFC 3768 §7.1: "If the Adver Interval in the packet is not the same ... MUST discard the packet".
            return Err(Discard::Interval);
        }
        Ok(Received {
            heard: Heard {
                source,
                priority: advertisement.priority(),
                interval: advertisement.interval(),
                checksum: message.checksum(),
            },
            addresses_differ: !advertisement.addresses().same_set(&self.addresses),
            interval_differs,
        })
    }

    fn authenticate(&mut self, message: &Message<'_>, endpoints: &Endpoints, wall: UnixTime) -> Result<(), Discard> {
        let expected_type = match self.auth {
            Auth::None | Auth::Hmac(_) => AUTH_TYPE_NONE,
            Auth::Text(_) => AUTH_TYPE_TEXT,
        };
        if let Some((auth_type, data)) = message.text_auth() {
            if auth_type != expected_type {
                return Err(Discard::AuthType);
            }
            if let Auth::Text(password) = &self.auth
                && !password.matches(data)
            {
                return Err(Discard::AuthText);
            }
        }
        match &mut self.auth {
            // A trailer that nobody asked for is not looked at: while a pair is changed over, one box signs before the
            // other has the key.
            Auth::None | Auth::Text(_) => Ok(()),
            Auth::Hmac(hmac) => Ok(hmac.verify(message, endpoints, wall)?),
        }
    }

    /// Emits `advertisement` to each of `destinations` in turn; `send` gets every packet. All copies carry one signature,
    /// only the checksum differs, and `packet` is the room they are built in.
    pub fn emit(
        &mut self,
        advertisement: &Advertisement,
        destinations: impl IntoIterator<Item = Endpoints>,
        form: ChecksumForm,
        wall: UnixTime,
        packet: &mut Vec<u8>,
        mut send: impl FnMut(&Endpoints, &[u8]),
    ) {
        let seal = match &mut self.auth {
            Auth::None => Seal::Open,
            Auth::Text(password) => Seal::Text(password),
            Auth::Hmac(hmac) => hmac.seal(wall),
        };
        for endpoints in destinations {
            advertisement.emit(&endpoints, form, seal, packet);
            send(&endpoints, packet);
        }
    }
}
