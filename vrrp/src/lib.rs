//! VRRP without I/O: RFC 9568 (version 3, IPv4 and IPv6) and RFC 3768 (version 2), the packets and the election.
//!
//! No socket, no netlink, no clock and no log is in here: bytes and instants come in as parameters, effects go out as
//! data. The daemon `vrrpd` owns the sockets and does what an [`Effect`] says; the tests put N routers on a simulated
//! link instead. How each clause of the RFCs is met, and where we deviate and why: `docs/vrrp.md`.
//!
//! ```text
//! payload, IP header -> receive::screen -> Message -> lookup by VRID -> Gate::admit -> Heard
//!                        (no router needed)                              (one router's checks, its authentication)
//! Heard, now -> SyncGroup::handle_advert (or Router's) -> poll_effect -> Advertise -> Router::advertisement -> Gate::emit
//!                                                                    -> TakeAddresses, DropAddresses, Announce, Transition
//! ```
//!
//! # The contract of the machines
//! 1. Call one `handle_*` (or `start`, `set_config`, `hand_over`, `hand_back`, `shutdown`), then drain `poll_effect` until
//!    it is empty, then wait until `poll_timeout` or the next input. Undrained effects are a bug of the caller.
//! 2. Hand in every advertisement that waits in the sockets *before* `handle_timeout`, each with the instant of its
//!    reception. Otherwise a process that was held up mistakes its own lateness for the death of the active router.
//! 3. Instants come from one monotonic clock. An instant older than an earlier one is harmless.
//!
//! ```
//! use std::net::IpAddr;
//! use vrrp::{AddressList, AdvertInterval, AdvertPriority, Config, Effect, Family, Identity, Instant, Protocol, Router, Vrid};
//!
//! let identity = Identity { protocol: Protocol::V3(Family::V4), vrid: Vrid::new(51).ok_or("vrid 0")? };
//! let group = [IpAddr::from([203, 0, 113, 10])];
//! let advertised = AddressList::select(&group, Family::V4)?.advertised;
//! let mut router = Router::new(identity, Config::new(advertised, AdvertInterval::centis(10)?))?;
//!
//! // What the daemon observes of the interface, then the start.
//! let now = Instant::from_nanos(5_000_000_000);
//! router.handle_source(Some(IpAddr::from([203, 0, 113, 2])), now);
//! router.handle_link(true, now);
//! router.start(false, now);
//! assert_eq!(router.poll_effect(), Some(Effect::DropAddresses));
//! while router.poll_effect().is_some() {}
//!
//! // Nobody speaks: three intervals and the skew of priority 253 later the group is ours.
//! let deadline = router.poll_timeout().ok_or("a backup has a deadline")?;
//! assert_eq!(deadline.since(now).as_micros(), 301_171);
//! router.handle_timeout(deadline);
//! assert_eq!(router.poll_effect(), Some(Effect::Advertise(AdvertPriority::from(253))));
//! assert_eq!(router.poll_effect(), Some(Effect::TakeAddresses));
//! assert_eq!(router.poll_effect(), Some(Effect::Announce));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod address;
pub mod announce;
pub mod auth;
pub mod identity;
pub mod interval;
pub mod packet;
pub mod receive;
pub mod router;
#[cfg(test)]
mod sim;
pub mod status;
pub mod sync;
pub mod time;
pub mod track;

pub use address::AddressList;
pub use auth::Auth;
pub use identity::{AdvertPriority, Family, Identity, Priority, Protocol, Version, Vrid};
pub use interval::AdvertInterval;
pub use packet::{Advertisement, Carrier, ChecksumForm, Endpoints, Message};
pub use receive::{Counters, Discard, Gate, Heard};
pub use router::{Config, Effect, Router};
pub use sync::SyncGroup;
pub use time::{Instant, UnixTime};
