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
#![warn(missing_docs)]

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
