//! The Linux kernel's load balancer, IPVS, over generic netlink.
//!
//! IPVS keeps a table: *services* (a virtual address, protocol and port, or a firewall mark), and below each the *destinations* it
//! spreads connections over. This crate reads that table, says what differs from a wanted one, and writes the difference:
//!
//! ```no_run
//! use ipvs::{Client, Destination, DestinationKey, Service, ServiceKey, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::open()?;
//! let actual = client.observe()?;
//!
//! let mut wanted = actual.clone();
//! let service = wanted.service(ServiceKey::tcp("192.0.2.1:80".parse()?), Service::new("wlc".parse()?));
//! service.destinations.insert(DestinationKey::new("10.0.0.11:8080".parse()?), Destination::masquerade(1));
//!
//! let changes = plan(&actual, &wanted); // pure: two messages if the service is new, none if it is as wanted
//! client.apply(&changes)?;              // both in one system call
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//! | module | does | I/O |
//! |---|---|---|
//! | (root) | the values: [`ServiceKey`], [`Service`], [`DestinationKey`], [`Destination`], [`Daemon`], ... | none |
//! | [`wire`] | values to bytes and back | none |
//! | [`table`] | [`Table`], [`plan()`], [`Change`] and its inverse | none |
//! | [`connections`] | lines of `/proc/net/ip_vs_conn` | none |
//! | [`sync`] | datagrams of connection sync that end connections | none |
//! | [`socket`] | the netlink socket, behind a trait so that a test can be the kernel | all |
//! | [`Client`] | exchanges over that trait: requests, dumps, many messages in one send, replies that are lost | through the trait |
//! | `ipvsadm` | the words and listings of the program of that name (feature `ipvsadm`, on by default) | through [`Client`] |
//!
//! The program `ipvsadm` of the same feature is built on it.
//!
//! # What it does not do
//! It sets no sysctl, adds no address and loads no module itself (the kernel loads IPVS and its schedulers when asked for them, where a
//! `modprobe` is there). It never resolves a name. It is synchronous: the kernel answers a netlink request before the send returns, so there
//! is nothing to wait for. IPVS has no notifications: who wants to know of foreign changes observes again.
//!
//! Every request needs `CAP_NET_ADMIN`, also those that only read. A client belongs to the network namespace it was opened in.

pub mod client;
pub mod connections;
mod daemon;
mod destination;
mod error;
#[cfg(feature = "ipvsadm")]
pub mod ipvsadm;
mod name;
mod service;
pub mod socket;
mod stats;
pub mod sync;
pub mod table;
pub mod wire;

pub use client::Client;
pub use daemon::{Daemon, Info, SyncRole, Timeouts};
pub use destination::{Destination, DestinationKey, Forward, Thresholds, Tunnel, TunnelFlags};
pub use error::{Error, Refusal, ReplyError};
pub use name::{EngineName, InterfaceName, Name, NameError, SchedulerName};
pub use service::{Family, Netmask, Persistence, Protocol, SchedulerFlags, Service, ServiceKey};
pub use stats::{ObservedDestination, ObservedService, Rates, Stats};
pub use table::{ApplyError, Change, Entry, Table, inverse, plan};
