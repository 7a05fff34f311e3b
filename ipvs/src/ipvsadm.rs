//! The words, listings, refusals and exit statuses of ipvsadm 1.31: what the program of that name is made of, and what any other program needs
//! to answer `ipvsadm -Ln` as people know it.
//!
//! ```
//! use ipvs::ipvsadm::{self, Line, Names};
//! use ipvs::{Info, ObservedService, Service, ServiceKey, Stats};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let Line::List(list) = ipvsadm::read(&["-L", "-n"], &Names::default())? else { panic!("a list was asked for") };
//!
//! // From `Client::info` and `Client::statistics`, or from anywhere else.
//! let info = Info { version: (1, 2, 1), table_size: 4096 };
//! let key = ServiceKey::tcp("192.0.2.1:80".parse()?);
//! let service = ObservedService { key, service: Service::new("wlc".parse()?), stats: Stats::default() };
//!
//! let mut out = Vec::new();
//! ipvsadm::print::table(&mut out, &list, &Names::default(), &info, &[(service, vec![])])?;
//! assert!(String::from_utf8(out)?.ends_with("\nTCP  192.0.2.1:80 wlc\n"));
//! # Ok(())
//! # }
//! ```
//!
//! | item | does | I/O |
//! |---|---|---|
//! | [`read`] | words to a [`Line`], or the [`Failure`] ipvsadm has for them | none |
//! | [`mod@print`] | kernel values to text | none but the writer |
//! | [`run`] | a line, on a [`Client`](crate::Client): asks, lists, saves, restores | through the client and [`Io`] |
//!
//! # What is the same, and what is not
//! What is the same was found by running the original in a virtual machine; its output is kept in `tests/ipvsadm` and compared byte by byte, and
//! `yoke-lab --vm ipvsadm` compares both programs on one kernel. Its oddities are kept too (`tests/ipvsadm/README.md` lists them). Different,
//! on purpose:
//! - names come from `/etc/hosts` and `/etc/services`; no resolver is asked, so that a listing never waits for a name server;
//! - `-h` and `-v` answer without a kernel that has IPVS, and their text is our own;
//! - a server's counters do not wrap round at 32 bits in `--stats` and `--rate`;
//! - `-R` sends many requests at once;
//! - and what the original lacks: `-L --json`, `-S --full`, `-R --replace [--dry-run]`.

mod draft;
mod help;
mod json;
mod line;
mod list;
mod order;
pub mod print;
mod refuse;
mod restore;
mod rules;
mod run;
mod save;
mod text;
mod words;

pub use help::{HELP, version};
pub use line::{Columns, Line, List, What, read};
pub use refuse::{Failure, failed};
pub use run::{Io, run};
pub use text::Names;
